"""The announced runs, without sockets: what is told on how often, and that every run ends once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.attribution.announcement import Announcement
from costmeter.meter.progress import Progress
from costmeter.runtime.agent.announcedruns import (
    CHANGES_AT_ONCE,
    GONE_AFTER_NS,
    MOST,
    MOST_OF_A_USER,
    WORDLESS_NS,
    AnnouncedRuns,
    Session,
)
from costmeter.runtime.agent.announceline import Farewell, Saying
from costmeter.runtime.agent.events import RunGone, RunTold
from costmeter.units import NANOSECONDS_PER_SECOND as SECOND

ANNOUNCED = Announcement(1000, 5, "r-1", "ada", 1, 1, None)


def of(run: str, uid: int = 1000, pid: int = 5, root: int = 0) -> Announcement:
    return replace(ANNOUNCED, run=run, uid=uid, pid=pid, root_pid=root, root_start_ticks=root)


def taken(runs: AnnouncedRuns, announcement: Announcement) -> Session:
    session = runs.announce(announcement)
    assert session is not None
    return session


def test_progress_is_told_once_a_second_and_the_last_at_the_end() -> None:
    """Ten steps a second for 3 s: told at 0, 1 and 2 s, and the thirtieth before the end."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    session = taken(runs, of("r-1"))
    told = [
        each
        for tenth in range(30)
        for each in runs.hear(session, Saying(progress=Progress(tenth + 1)), tenth * SECOND // 10)
    ]
    last = runs.end(session, Farewell("ok", 0), 3 * SECOND)
    assert [1, 11, 21] == [each.progress.steps for each in told if isinstance(each, RunTold)]
    assert [RunTold(3 * SECOND, (1000, "r-1"), Progress(30)), RunGone(3 * SECOND, (1000, "r-1"), "ok", 0)] == last


def test_phases_that_change_too_fast_are_heard_when_their_time_has_come() -> None:
    """Four hundred changes at once are 128, of however many runs; a second later the last one is in force."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    session = taken(runs, of("r-1"))
    seen = []
    other = taken(runs, of("r-2", root=9))
    for number in range(CHANGES_AT_ONCE - 1):
        runs.hear(other, Saying(f"q{number}"), 0)
    for number in range(400):
        runs.hear(session, Saying(f"p{number}"), 0)
        seen.append(runs.announcements()[0].phase)
    assert {"p0"} == set(seen)
    runs.sweep(SECOND)
    assert "p399" == runs.announcements()[0].phase


def test_a_run_without_a_first_process_is_over_half_a_minute_after_its_connection() -> None:
    """Nobody can say how it ended."""
    runs = AnnouncedRuns(lambda pid, ticks: False)
    runs.close(taken(runs, of("r-1")), 0)
    assert [] == runs.sweep(GONE_AFTER_NS - 1)
    assert [RunGone(GONE_AFTER_NS, (1000, "r-1"), "unknown")] == runs.sweep(GONE_AFTER_NS)
    assert () == runs.announcements()


def test_there_is_room_for_64_of_a_user_and_1000_in_all() -> None:
    """One user cannot keep the others out; what is refused is counted; a run that is announced again needs no room."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    of_one = [runs.announce(of(f"r-{number}", pid=number)) for number in range(MOST_OF_A_USER + 5)]
    assert MOST_OF_A_USER == sum(each is not None for each in of_one)
    users = range(2_000, 2_040)
    of_others = [runs.announce(of(f"r-{number}", uid, pid=number)) for uid in users for number in range(30)]
    assert MOST - MOST_OF_A_USER == sum(each is not None for each in of_others)
    assert 5 + 40 * 30 - (MOST - MOST_OF_A_USER) == runs.dropped
    assert runs.announce(of("r-3", pid=3)) is not None


A, B = frozenset({"GPU-a"}), frozenset({"GPU-b"})


def test_of_two_who_announce_one_run_each_holds_what_it_says_and_the_newer_speaks() -> None:
    """Two wrappers of one id, a GPU each: it has both; the newer says name, phase and progress, the first its start."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    older = taken(runs, replace(of("r-1", pid=7, root=8), uuids=A, name="older", started_utc_ns=3))
    newer = taken(runs, replace(of("r-1", pid=9, root=10), uuids=B, name="newer", started_utc_ns=5))
    runs.hear(newer, Saying("eval"), 0)
    assert [] == runs.hear(older, Saying("train", progress=Progress(3)), 0)
    found = runs.announcements()
    assert [(A, "newer", "eval", 3, 8), (B, "newer", "eval", 3, 10)] == [
        (each.uuids, each.name, each.phase, each.started_utc_ns, each.root_pid) for each in found
    ]
    assert [] == runs.end(newer, Farewell("ok", 0), SECOND)
    assert [(A, "older", "train", 3)] == [(e.uuids, e.name, e.phase, e.started_utc_ns) for e in runs.announcements()]
    assert RunGone(2 * SECOND, (1000, "r-1"), "ok", 0) == runs.end(older, Farewell("ok", 0), 2 * SECOND)[-1]


@pytest.mark.parametrize(
    ("expected", "first", "last"),
    [
        pytest.param(("failed", 3), Farewell("failed", 3), Farewell("ok", 0), id="the-first-failed"),
        pytest.param(("failed", 3), Farewell("ok", 0), Farewell("failed", 3), id="the-last-failed"),
        pytest.param(("failed", 3), Farewell("failed", 3), Farewell("preempted", 143), id="failed-is-worse"),
        pytest.param(("cancelled", None), Farewell("ok", 0), Farewell("cancelled", None, 2), id="cancelled"),
        pytest.param(("failed", 3), Farewell("failed", 3), Farewell("failed", 4), id="who-failed-first"),
    ],
)
def test_a_run_of_two_announcers_ends_once_as_the_worst(
    expected: tuple[str, int | None], first: Farewell, last: Farewell
) -> None:
    """It is counted when the last has ended, whichever that is; a run of that name after it begins anew."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    for one in ("r-1", "r-1"):
        older, newer = taken(runs, of(one, pid=7, root=8)), taken(runs, of(one, pid=9, root=10))
        assert [] == runs.end(older, first, SECOND)
        [gone] = runs.end(newer, last, 2 * SECOND)
        assert isinstance(gone, RunGone)
        assert (*expected, 2 * SECOND) == (gone.outcome, gone.exit_code, gone.at_ns)
    [gone] = runs.end(taken(runs, of("r-1")), Farewell("ok", 0), 3 * SECOND)
    assert isinstance(gone, RunGone)
    assert "ok" == gone.outcome


def test_a_run_of_the_agent_before_stands_until_its_announcer_or_its_end_is_heard() -> None:
    """With what it held and did; who comes again takes its place, with the word of then on when it began."""
    alive = {8}
    runs = AnnouncedRuns(lambda pid, ticks: pid in alive)
    before = [replace(of(run, pid=0, root=8), uuids=A, phase="eval", started_utc_ns=3) for run in ("r-1", "r-2", "r-3")]
    runs.expect(before, 0)
    assert tuple(before) == runs.announcements()
    assert [] == runs.sweep(60 * SECOND)

    again = taken(runs, replace(of("r-1", pid=7, root=8), uuids=B, started_utc_ns=9))
    assert [(B, "", 3)] == [(e.uuids, e.phase, e.started_utc_ns) for e in runs.announcements() if e.run == "r-1"]
    assert [RunGone(61 * SECOND, (1000, "r-1"), "ok")] == runs.end(again, Farewell("ok"), 61 * SECOND)

    alive.clear()
    assert [] == runs.sweep(62 * SECOND)
    late = taken(runs, of("r-2", pid=7))  # its wrapper, whose command has just ended: it names no process any more
    assert [RunGone(62 * SECOND, (1000, "r-2"), "ok")] == runs.end(late, Farewell("ok"), 62 * SECOND)
    assert [RunGone(62 * SECOND, (1000, "r-3"), "interrupted")] == runs.sweep(63 * SECOND)
    assert () == runs.announcements()


def test_two_ranks_that_name_one_first_process_are_two() -> None:
    """A launcher's ranks, each with a GPU of its own: while both speak, both hold; who comes again is the same."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    rank = taken(runs, replace(of("r-1", pid=7, root=5), uuids=A))
    taken(runs, replace(of("r-1", pid=9, root=5), uuids=B))
    assert [A, B] == [each.uuids for each in runs.announcements()]
    runs.close(rank, SECOND)
    taken(runs, replace(of("r-1", pid=7, root=5), uuids=A))
    assert [B, A] == [each.uuids for each in runs.announcements()]


ACTS = st.lists(
    st.tuples(st.sampled_from(["announce", "end", "close", "kill", "wait"]), st.integers(0, 5)), max_size=40
)


@given(ACTS)
def test_a_run_is_announced_or_gone_and_gone_once_each_time(acts: list[tuple[str, int]]) -> None:
    """Law: in any order of announcements, ends, lost connections and deaths, what is announced less what is gone is
    what is there; and with nobody left who speaks or lives, nothing is.
    """
    dead: set[int] = set()
    runs = AnnouncedRuns(lambda pid, ticks: pid not in dead)
    sessions: list[Session] = []
    now_ns, there = 0, set[tuple[int, str]]()
    for act, number in acts:
        now_ns += SECOND
        posted = []
        if act == "announce":
            session = runs.announce(of(f"r-{number % 2}", pid=number + 1, root=number))
            assert session is not None
            sessions.append(session)
            there.add(session.key)
        elif act == "kill":
            dead.add(number)
        elif act == "wait":
            now_ns += GONE_AFTER_NS
        elif sessions:
            session = sessions[number % len(sessions)]
            posted = runs.end(session, Farewell("ok"), now_ns) if act == "end" else runs.close(session, now_ns)
        for gone in posted + runs.sweep(now_ns):
            assert gone.key in there
            there.remove(gone.key)
        assert sorted(there) == sorted({each.key for each in runs.announcements()})
    dead |= set(range(6))
    for session in sessions:
        runs.close(session, now_ns)
    runs.sweep(now_ns + GONE_AFTER_NS)
    runs.sweep(now_ns + GONE_AFTER_NS + WORDLESS_NS)
    assert () == runs.announcements()


@pytest.mark.parametrize(
    ("expected_ns", "ended_utc_ns"),
    [
        pytest.param(97 * SECOND, 997 * SECOND, id="three-seconds-ago"),
        pytest.param(100 * SECOND, 1_005 * SECOND, id="not-after-it-says-so"),
        pytest.param(95 * SECOND, 3 * SECOND, id="not-before-it-began"),
        pytest.param(100 * SECOND, None, id="it-does-not-say"),
    ],
)
def test_a_run_ends_when_it_says(expected_ns: int, ended_utc_ns: int | None) -> None:
    """A run that began 5 s ago, at 995 s UTC, is over from the instant that its farewell names, within its life."""
    runs = AnnouncedRuns(lambda pid, ticks: True)
    session = taken(runs, replace(of("r-1"), started_utc_ns=995 * SECOND))
    said = Farewell("failed", 1, None, ended_utc_ns)
    [gone] = runs.end(session, said, 100 * SECOND, 1_000 * SECOND)
    assert gone.at_ns == expected_ns
