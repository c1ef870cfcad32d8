"""Watching line items: real folders and counters, threads that hang, and what the last look of a run is worth."""

import os
import queue
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.clock import ManualClock
from costmeter.ledger.record import Items, Usage
from costmeter.meter.item import NOTHING_THERE, LineItem
from costmeter.meter.item_totals import item_totals
from costmeter.runtime.items import LAST_LOOK_NS, ItemWatch
from tests.runtime.metered import metered
from tests.samples import CONFIGURED, MINUTE, SECOND
from tests.sources.nodes import STEADY

PATIENCE_SECONDS = 30


class SlowClock(ManualClock):
    """A clock that stands still until it is told; who waits for it is let go by what he waits for, or by a minute."""

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        while self.boottime_ns() < until_boottime_ns and not event.wait(0.002):
            pass
        return event.is_set()


class Watched:
    """Items under watch, and what was posted of them."""

    def __init__(self, *items: LineItem) -> None:
        self.clock = SlowClock(1_000 * SECOND, 100 * SECOND)
        self.posts: queue.SimpleQueue[Items | Usage] = queue.SimpleQueue()
        self.watch = ItemWatch(items, self.clock, 100 * SECOND, self.posts.put)

    def next(self) -> Items | Usage:
        return self.posts.get(timeout=PATIENCE_SECONDS)

    def usage(self) -> Usage:
        posted = self.next()
        assert isinstance(posted, Usage)
        return posted

    def end(self, late_ns: int = 0) -> Usage:
        """The run ends now; the clock moves on by so much while the last looks are made."""
        self.watch.end(self.clock.boottime_ns())
        self.clock.advance(late_ns)
        self.watch.close()
        return self.usage()


def path(of: Path, name: str = "ckpt") -> LineItem:
    return LineItem(name, "path", Decimal("0.023"), CONFIGURED, path=str(of))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What lets go of a hanging disk at the end of a test."""
    event = threading.Event()
    yield event
    event.set()


def hang(monkeypatch: pytest.MonkeyPatch, folder: Path, release: threading.Event) -> threading.Event:
    """A folder that does not answer from now on; the event tells that somebody is stuck in it."""
    scandir, stuck = os.scandir, threading.Event()

    def hanging(of: str) -> object:
        if of == str(folder):
            stuck.set()
            release.wait()
        return scandir(of)

    monkeypatch.setattr(os, "scandir", hanging)
    return stuck


def test_a_size_is_watched_from_the_first_look_to_the_last(tmp_path: Path) -> None:
    """10 bytes at the start and 30 a minute later, at the end: 20 on average, over a minute."""
    (tmp_path / "a").write_bytes(b"x" * 10)
    watched = Watched(path(tmp_path))
    watched.watch.start()
    assert isinstance(watched.next(), Items)
    # Nothing is posted before the first minute is over, so that the first look has been made by then.
    watched.clock.advance(MINUTE)
    first = watched.usage()
    (tmp_path / "b").write_bytes(b"x" * 20)
    watched.clock.advance(MINUTE // 2)
    last = watched.end()
    assert {} == last.notes
    assert first.used.get("ckpt", 0) <= last.used["ckpt"]
    assert 10 * 3 * MINUTE // 2 <= last.used["ckpt"] <= 30 * 3 * MINUTE // 2


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_the_end_does_not_wait_for_a_look_that_never_came_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    """A folder that hung from the start is not given its moment at the end: the clock stands, and the run ends."""
    stuck = hang(monkeypatch, tmp_path, release)
    watched = Watched(path(tmp_path))
    watched.watch.start()
    watched.next()
    assert stuck.wait(PATIENCE_SECONDS)
    watched.clock.advance(LAST_LOOK_NS + SECOND)
    assert "it could not be looked at in time" == watched.end().notes["ckpt"]


def test_a_look_after_the_end_counts_up_to_the_end(tmp_path: Path) -> None:
    """A command that ended before the meter had looked is charged for its own time, and not for the meter's."""
    (tmp_path / "a").write_bytes(b"x" * 10)
    watched = Watched(path(tmp_path))
    ended_ns = watched.clock.boottime_ns() + SECOND
    watched.clock.advance(MINUTE)
    watched.watch.start()
    watched.next()
    watched.clock.advance(MINUTE)
    while "ckpt" not in watched.usage().used:
        watched.clock.advance(MINUTE)
    watched.watch.end(ended_ns)
    watched.watch.close()
    last = watched.usage()
    while not watched.posts.empty():
        last = watched.usage()
    assert 10 * SECOND == last.used["ckpt"]


def test_a_path_that_does_not_exist_yet_has_no_size(tmp_path: Path) -> None:
    """A folder of checkpoints is made by the job: until then its size is 0, and known."""
    watched = Watched(path(tmp_path / "later"))
    watched.watch.start()
    watched.next()
    watched.clock.advance(SECOND)
    last = watched.end()
    assert ({"ckpt": 0}, {"ckpt": NOTHING_THERE}) == (last.used, last.notes)


def test_a_hanging_disk_delays_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    """A path that never answers has no size, another one beside it has its own, and the end does not wait."""
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a").write_bytes(b"x" * 10)
    stuck = hang(monkeypatch, tmp_path / "bad", release)
    (tmp_path / "bad").mkdir()
    watched = Watched(path(tmp_path / "bad", "bad"), path(tmp_path / "good", "good"))
    watched.watch.start()
    watched.next()
    assert stuck.wait(PATIENCE_SECONDS)
    watched.clock.advance(10 * MINUTE)
    used = watched.usage()
    assert ("bad" in used.used, used.notes["bad"]) == (False, "not looked at yet")
    last = watched.end(LAST_LOOK_NS)
    assert {"bad": "it could not be looked at in time"} == {
        name: note for name, note in last.notes.items() if "b" in name
    }
    assert "bad" not in last.used


def test_the_last_known_size_holds_while_a_look_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    """A disk that hangs after the first look is charged by what was known, and the receipt is told."""
    (tmp_path / "a").write_bytes(b"x" * 10)
    watched = Watched(path(tmp_path))
    watched.watch.start()
    watched.next()
    watched.clock.advance(MINUTE)
    while "ckpt" not in watched.usage().used:
        watched.clock.advance(MINUTE)
    stuck = hang(monkeypatch, tmp_path, release)
    while not stuck.wait(0.01):
        watched.clock.advance(MINUTE)
    watched.clock.advance(5 * MINUTE)
    while "has not come back" not in watched.usage().notes.get("ckpt", ""):
        watched.clock.advance(MINUTE)
    watched.clock.advance(MINUTE)
    now_ns = watched.clock.boottime_ns()
    last = watched.end(LAST_LOOK_NS)
    while not last.notes.get("ckpt", "").startswith("its last look"):  # what was posted before the end
        last = watched.usage()
    assert 10 * (now_ns - 100 * SECOND) == last.used["ckpt"]


def test_nothing_is_posted_after_the_end(tmp_path: Path) -> None:
    """The last use is the last: whatever a thread finds later changes nothing."""
    watched = Watched(path(tmp_path))
    watched.watch.start()
    watched.next()
    watched.end()
    watched.clock.advance(5 * MINUTE)
    with pytest.raises(queue.Empty):
        watched.posts.get(timeout=0.05)


def test_traffic_is_counted_for_each_item() -> None:
    """Two items look at the counters of this machine; one that fits no interface says so and has no bytes."""
    items = [
        LineItem("all", "network", Decimal("0.09"), CONFIGURED),
        LineItem("none", "network", Decimal("0.09"), CONFIGURED, interface="no-such*"),
    ]
    watched = Watched(*items)
    watched.watch.start()
    watched.next()
    last = watched.end()
    assert 'no interface fits "no-such*"' == last.notes["none"]
    assert "none" not in last.used
    assert last.used.get("all", 0) >= 0


@pytest.mark.parametrize("minutes", [pytest.param(minutes, id=f"{minutes}-minutes") for minutes in (0, 1, 3)])
def test_what_is_read_from_the_journal_is_what_was_live(minutes: int) -> None:
    """Items and the last use of them are folded from the file as they were folded live, and cost the same."""
    item = LineItem("ckpt", "path", Decimal("0.023"), CONFIGURED, path="ckpt")
    with metered(STEADY) as run:
        run.recorder.handle(Items((item,)))
        run.open()
        for minute in range(minutes):
            run.tick(MINUTE)
            run.recorder.handle(Usage(run.clock.utc_ns(), {"ckpt": (minute + 1) * 10**24}))
        run.end()
        live, read = run.recorder.part, run.written()
    assert (live.items, live.usage) == (read.items, read.usage)
    assert item_totals([live.use()]) == item_totals([read.use()])
    (total,) = item_totals([read.use()])
    assert total.cost == (item.cost(minutes * 10**24) if minutes else None)


def test_the_snapshot_knows_how_long_the_run_has_lasted() -> None:
    """What is paid by time grows on the page with the readings, and ends as the footer has it."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick(90 * SECOND)
        assert 90 * SECOND == run.snapshot.length_ns
        run.clock.advance(SECOND)
        run.end()
        assert 91 * SECOND == run.snapshot.length_ns == run.written().length_ns


@pytest.mark.parametrize(
    "items",
    [
        pytest.param((), id="none"),
        pytest.param((LineItem("x", "fixed", Decimal(1), CONFIGURED),), id="nothing-to-watch"),
    ],
)
def test_what_needs_no_watching_has_no_thread(items: tuple[LineItem, ...]) -> None:
    """Amounts by time are counted from the record: they are named at the start, and nobody looks at anything."""
    before = set(threading.enumerate())
    watched = Watched(*items)
    watched.watch.start()
    watched.watch.end(watched.clock.boottime_ns())
    watched.watch.close()
    assert (set(), bool(items)) == (set(threading.enumerate()) - before, not watched.posts.empty())
