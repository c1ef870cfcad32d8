"""What a run did over time: sums that are those of the record, and no more steps than were asked for."""

import itertools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.record import Mark, Record, SlotEntry
from costmeter.ledger.timeline import Span, timeline
from costmeter.meter.progress import Progress
from tests.ledger.slowly import fold_journal, read_journal
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    recordings,
    rental,
    slot,
    uuids,
)

ORDER = uuids(devices(2))


def written(directory: Path, lines: list[Record], order: tuple[str, ...] = ORDER, host: str = "gpu01") -> Path:
    """A journal of these lines."""
    file = JournalFile(directory, host)
    for line in lines:
        file.write(line, order)
    file.close(finished=True)
    return file.path


def begun(host: str = "gpu01") -> list[Record]:
    """The first lines of a run on two GPUs at $3.60 an hour: $0.001 a second each."""
    return [header(host=host), held(devices(2)), rates_from_start(rates(dict.fromkeys(ORDER, rental("3.60"))))]


@given(recordings(), st.integers(1, 40))
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_over_all_steps_are_those_of_the_record(
    tmp_path: Path, recording: tuple[tuple[str, ...], list[Record]], points: int
) -> None:
    """Time, energy and money of the steps are the fold's, to the last unit, however few steps there are."""
    order, lines = recording
    path = written(tmp_path, lines, order)
    steps, whole = timeline([path], points).steps, fold_journal(read_journal(path)).totals.whole
    assert len(steps) <= points
    assert (whole.quantities.nanoseconds, whole.quantities.microjoules, whole.quantities.observed_nanoseconds) == (
        sum(step.nanoseconds for step in steps),
        sum(step.microjoules for step in steps),
        sum(step.observed_nanoseconds for step in steps),
    )
    assert whole.cost == sum((step.cost for step in steps), Decimal(0))
    assert all(sum(step.phases.values()) == step.nanoseconds for step in steps)
    assert all(left.end_utc_ns <= right.start_utc_ns for left, right in itertools.pairwise(steps))


@pytest.mark.parametrize("seconds", [3, 18, 60, 600, 7_200, 86_400])
def test_every_run_has_a_few_hundred_steps(tmp_path: Path, seconds: int) -> None:
    """However short or long it was, a step is at most a hundredth of it, and there are no more than 600."""
    of = dict.fromkeys(ORDER, measured(min(seconds, 60) * SECOND, 10**9))
    slots = [SlotEntry(slot(of, minute, min(seconds, 60) * SECOND)) for minute in range(max(1, seconds // 60))]
    seen = timeline([written(tmp_path, [*begun(), *slots])])
    assert 100 <= len(seen.steps) <= 600
    assert 100 * seen.step_nanoseconds <= seconds * SECOND


def test_a_day_is_drawn_in_whole_minutes(tmp_path: Path) -> None:
    """A minute of 300 W is drawn in steps of 60/512 s; 1,440 minutes in 360 of 4 minutes, with the same mean power."""
    each = measured(MINUTE, 300 * 60 * 10**6)
    minutes = [SlotEntry(slot(dict.fromkeys(ORDER, each), minute)) for minute in range(1_440)]
    short = timeline([written(tmp_path / "short", [*begun(), minutes[0]])])
    assert (512, 60 * SECOND // 512) == (len(short.steps), short.step_nanoseconds)
    long = timeline([written(tmp_path / "long", [*begun(), *minutes])])
    assert (4 * MINUTE, True) == (long.step_nanoseconds, 360 <= len(long.steps) <= 361)
    for step in (*short.steps[::100], *long.steps):
        assert step.microjoules / (step.end_utc_ns - step.start_utc_ns) == pytest.approx(2 * 300 / 1_000)
        assert step.cost == Decimal(2 * (step.end_utc_ns - step.start_utc_ns)) / 10**12


def test_what_the_run_told_is_there(tmp_path: Path) -> None:
    """Phases, work done again, steps, checkpoints and goings-back stand where they were told."""
    of = dict.fromkeys(ORDER, measured(MINUTE, 10**10))
    lines: list[Record] = [
        *begun(),
        SlotEntry(slot(of)),
        SlotEntry(replace(slot(of, 1), phase="training", progress=Progress(steps=120))),
        Mark(BEGAN_UTC_NS + 2 * MINUTE, "checkpoint", "step 120"),
        Mark(BEGAN_UTC_NS + 2 * MINUTE, "resume", "went on from step 100, after 120"),
        SlotEntry(replace(slot(of, 2), phase="training", redone=True)),
        footer(3 * MINUTE),
    ]
    seen = timeline([written(tmp_path, lines)], points=12)
    assert ["", "training", "training"] == [next(iter(step.phases)) for step in seen.steps[::4]]
    assert seen.spans == (
        Span(BEGAN_UTC_NS, BEGAN_UTC_NS + MINUTE, ""),
        Span(BEGAN_UTC_NS + MINUTE, BEGAN_UTC_NS + 3 * MINUTE, "training"),
    )
    assert [0, 0, 2 * MINUTE] == [
        sum(step.redone_nanoseconds for step in seen.steps[place : place + 4]) for place in (0, 4, 8)
    ]
    assert [None] * 7 + [120] + [None] * 4 == [step.steps for step in seen.steps]
    assert ((BEGAN_UTC_NS + 2 * MINUTE,),) * 2 == (seen.checkpoints_utc_ns, seen.resumes_utc_ns)


def test_a_gpu_that_two_meters_held_is_drawn_once(tmp_path: Path) -> None:
    """Two meters of one host saw two GPUs in the same minute, $0.06 each: $0.12 are drawn, as they are counted."""
    of = dict.fromkeys(ORDER, measured(MINUTE, 10**10))
    paths = [written(tmp_path / part, [*begun(), SlotEntry(slot(of)), footer(MINUTE)]) for part in ("1", "2")]
    assert Decimal("0.12") == sum((step.cost for step in timeline(paths).steps), Decimal(0))


def test_hosts_side_by_side_share_steps_and_a_pause_has_none(tmp_path: Path) -> None:
    """Two hosts in the same minute are summed; the hour between a part and its requeue is drawn as nothing."""
    of = dict.fromkeys(ORDER, measured(MINUTE, 10**10))
    paths = [written(tmp_path / host, [*begun(host), SlotEntry(slot(of))], host=host) for host in ("gpu01", "gpu02")]
    requeued = written(tmp_path / "later", [*begun("gpu03"), SlotEntry(slot(of, 61))])
    steps = timeline([*paths, requeued], points=8).steps
    assert [4 * 15 * SECOND] * 4 + [2 * 15 * SECOND] * 4 == [step.nanoseconds for step in steps]
    assert steps[4].start_utc_ns - steps[3].end_utc_ns == HOUR


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A damaged line costs its minute and a foreign file everything in it; the rest is drawn."""
    of = dict.fromkeys(ORDER, measured(MINUTE, 10**10))
    path = written(tmp_path, [*begun(), SlotEntry(slot(of)), SlotEntry(slot(of, 1))])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"slot", b"slit"), *lines[4:]]))
    foreign = tmp_path / "notes.jsonl"
    foreign.write_text("hello\n")
    assert BEGAN_UTC_NS + MINUTE == timeline([foreign, path, tmp_path / "nothing.jsonl"]).steps[0].start_utc_ns
    assert () == timeline([foreign]).steps
