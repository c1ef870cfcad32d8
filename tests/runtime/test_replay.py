"""Replays: a recording metered again gives what its meter gave, and the committed ones what they always gave."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.clock import ManualClock
from costmeter.config.settings import HostPower, Settings
from costmeter.errors import JournalError, SourceStopped
from costmeter.ledger.query import Run
from costmeter.ledger.record import Header
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier, Resume
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant
from costmeter.meter.standing import Standing
from costmeter.outputs.receipt import receipt
from costmeter.rates.book import Book, GpuPlan, Sourced
from costmeter.readings import HostReading, Zone
from costmeter.runtime.eventline import Beginning, Taken
from costmeter.runtime.events import Batch, Ended, Opened, OpenFailed
from costmeter.runtime.recorder import Post, Pricing, Recorder
from costmeter.runtime.recording import Recording
from costmeter.runtime.replay import replay
from tests.golden.compare import golden
from tests.recordings.making import BEGINS_SECONDS, Recorded, bundled, lines
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND
from tests.runtime.metered import header as header_of
from tests.sources.nodes import STEADY, node

LOST = STEADY + "    faults:\n      - {kind: lost, at: 3 s, for: 4 s}\n"
RESET = STEADY + "    faults:\n      - {kind: counter-reset, at: 5500 ms}\n"


def recorded(scenario: str, seconds: int = 10) -> Recorded:
    """A run on the node of a scenario text."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    return Recorded(node(scenario, clock, BOOTED_NS), clock, seconds)


def replayed(
    folder: Path, beginning: Beginning | Header, story: Sequence[Taken], settings: Settings | None = None
) -> dict[str, Any]:
    """The receipt of a story that went through a file; two GPUs are assumed unless its beginning says otherwise."""
    beginning = Beginning(beginning, 2) if isinstance(beginning, Header) else beginning
    path = folder / "run.jsonl"
    path.write_bytes(b"".join(lines(beginning, story)))
    return replay(Recording(path), settings or Settings()).receipt


def metered(header: Header, story: Sequence[Taken], earlier: Earlier = NOTHING_EARLIER) -> dict[str, Any]:
    """The receipt of a meter that is handed a story on a clock that stands as it stood."""
    clock = ManualClock(header.anchor.utc_ns, header.anchor.boottime_ns)
    posts: list[Post] = []
    recorder = Recorder(header, Pricing(Book().quotation, lambda: (), 0.0), clock, posts.append, earlier)
    for taken in story:
        clock.advance(taken.boot_ns - clock.boottime_ns())
        clock.step_wall(taken.utc_ns - clock.utc_ns())
        recorder.handle(taken.event)
    return receipt(Run((recorder.part,)))


def without_overhead(told: dict[str, Any]) -> dict[str, Any]:
    """A receipt less the CPU time of its meter."""
    return told | {"meter": {name: value for name, value in told["meter"].items() if name != "cpu_seconds"}}


@pytest.mark.parametrize("scenario", [STEADY, LOST, RESET], ids=["steady", "lost", "reset"])
def test_a_replay_gives_what_the_meter_gave(scenario: str, tmp_path: Path) -> None:
    """Every figure, every fault and its time, to the last digit."""
    run = recorded(scenario)
    assert without_overhead(metered(run.header, run.story)) == without_overhead(
        replayed(tmp_path, run.header, run.story)
    )


def test_a_steady_minute_is_metered_as_calculated(tmp_path: Path) -> None:
    """Read from the spawn on: 300 W for 10 s are 3,000 J by counter, all of it busy, and 1 ct at $3.60/h."""
    run = recorded(STEADY)
    plan = GpuPlan(price=Sourced(Constant(Decimal("3.60")), Origin("configured", "test")))
    told = replayed(tmp_path, run.header, run.story, Settings(book=Book(gpus=(plan,))))
    seconds = told["run"]["seconds"]
    assert seconds == pytest.approx(10, abs=1)
    assert {"busy": seconds, "idle": 0, "unknown": 0} == told["gpu_seconds"]
    assert told["energy"]["methods"]["counter"] == pytest.approx(300 * seconds)
    assert Decimal(told["cost"]["total"]) == pytest.approx(Decimal(seconds) / 1000, abs=Decimal("1e-9"))


def test_the_overhead_is_the_recorded_meters(tmp_path: Path) -> None:
    """1.5 s of CPU are told as they were, however long the replay takes."""
    run = recorded(STEADY)
    last = run.story[-1]
    story = [*run.story[:-1], Taken(last.event, last.boot_ns, last.utc_ns, cpu_ns=1_500_000_000)]
    assert 1.5 == replayed(tmp_path, run.header, story)["meter"]["cpu_seconds"]


def test_a_recording_without_end_counts_up_to_its_last_reading(tmp_path: Path) -> None:
    """Cut after any event it is interrupted; each further tick of a second adds a second, and 300 J for it."""
    run = recorded(STEADY)
    joules = []
    for count in range(2, len(run.story) - 1):
        told = replayed(tmp_path, run.header, run.story[:count])
        assert "interrupted" == told["run"]["outcome"]
        last = run.story[count - 1].boot_ns
        assert told["run"]["seconds"] == pytest.approx((last - run.header.start_ns) / SECOND)
        joules.append(told["energy"]["gpu_joules"])
    assert joules == pytest.approx([300 * tick for tick in range(len(joules))])


def test_a_recording_that_ends_before_the_driver_answered_is_refused(tmp_path: Path) -> None:
    """A meter killed within its first second knew of no GPU and of no lack of one: no receipt, and why."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    with pytest.raises(JournalError, match=r"run\.jsonl: ends before the driver answered") as caught:
        replayed(tmp_path, header_of(clock), [])
    assert "Ask for the whole file" in caught.value.hint


def test_a_run_that_ended_before_the_driver_answered_has_a_receipt(tmp_path: Path) -> None:
    """A driver that hung for all of two seconds is no fault of the recording: exit 0, and no device."""
    header = header_of(ManualClock(BEGAN_UTC_NS, BOOTED_NS))
    ended_ns = header.start_ns + 2 * SECOND
    story = [
        Taken(Batch(ended_ns, {}, slow=False, until_ns=ended_ns), ended_ns, BEGAN_UTC_NS + 2 * SECOND),
        Taken(Ended(ended_ns, 0, None), ended_ns, BEGAN_UTC_NS + 2 * SECOND),
    ]
    told = replayed(tmp_path, header, story)
    assert ("ok", 2.0, []) == (told["run"]["outcome"], told["run"]["seconds"], told["devices"])


def test_where_the_recording_ends_is_said_with_the_receipt(tmp_path: Path) -> None:
    """One that was cut after a whole line says so among the warnings; a whole one has none."""
    run = recorded(STEADY)
    for story, said in ((run.story[:4], ["the recording ends here without the end of its run"]), (run.story, [])):
        path = tmp_path / "run.jsonl"
        path.write_bytes(b"".join(lines(Beginning(run.header, 1), story)))
        warnings = replay(Recording(path), Settings()).warnings
        assert said == [warning.split(":")[0] for warning in warnings]


def test_a_stepped_wall_clock_is_stepped_again(tmp_path: Path) -> None:
    """An hour's step between two minutes is in the replay's marks, as it was in the run's."""
    run = recorded(STEADY, 130)
    at_ns = run.header.start_ns + 90 * SECOND
    story = [
        taken
        if taken.boot_ns < at_ns
        else Taken(taken.event, taken.boot_ns, taken.utc_ns + 3_600 * SECOND, taken.cpu_ns)
        for taken in run.story
    ]
    told = replayed(tmp_path, run.header, story)
    assert without_overhead(metered(run.header, story)) == without_overhead(told)
    assert "wall clock was stepped by +3600.000 s" in [fault["what"] for fault in told["meter"]["faults"]]


@pytest.mark.parametrize("priced", [False, True])
def test_without_a_driver_the_assumed_gpus_are_held(priced: bool, tmp_path: Path) -> None:
    """Two GPUs that nobody could ask are worth their time where a price is set, and are none where it is not."""
    header = header_of(ManualClock(BEGAN_UTC_NS, BOOTED_NS))
    ended_ns = header.start_ns + 1_800 * SECOND
    story = [
        Taken(OpenFailed(SourceStopped("no NVIDIA driver")), header.start_ns, BEGAN_UTC_NS),
        Taken(Ended(ended_ns, 0, None), ended_ns, BEGAN_UTC_NS + 1_800 * SECOND),
    ]
    plan = GpuPlan(price=Sourced(Constant(Decimal(3)), Origin("configured", "test")))
    told = replayed(tmp_path, header, story, Settings(book=Book(gpus=(plan,) if priced else ())))
    assert Decimal(3 if priced else 0) == Decimal(told["cost"]["total"])
    assert (2 if priced else 0) == len(told["devices"])


RAPL = Origin("measured", "RAPL: package-0")


@pytest.mark.parametrize(
    ("power", "joules", "origin"),
    [
        pytest.param(HostPower(), 500, RAPL, id="read"),
        pytest.param(HostPower("watts", Decimal(120)), 1_200, None, id="watts"),
        pytest.param(HostPower("none"), 0, None, id="none"),
    ],
)
def test_the_hosts_counters_are_replayed_unless_its_power_is_set(
    power: HostPower, joules: int, origin: Origin | None, tmp_path: Path
) -> None:
    """A host that draws 50 W for 10 s for its one GPU: 500 J as read; 1,200 J for who sets 120 W, none for `none`."""
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)

    def host() -> HostReading:
        now_ns = clock.boottime_ns()
        return HostReading(now_ns, (Zone("package-0", (now_ns - BOOTED_NS) // 20, 2**40),))

    run = Recorded(node(STEADY, clock, BOOTED_NS), clock, 10, host)
    settings = Settings(host=power)
    told = replayed(tmp_path, Beginning(run.header, 1, RAPL), run.story, settings)
    assert told["energy"]["host_joules"] == pytest.approx(joules, rel=0.01)
    expected = (origin or settings.book.host).detail
    assert expected == told["origins"]["host.power"]


def test_the_gap_that_an_earlier_meter_left_is_filled_again(tmp_path: Path) -> None:
    """A meter that died a minute before, at 5 J: the replay counts that minute as its run did, and not without it."""
    run = recorded(STEADY)
    opened = run.story[0].event
    assert isinstance(opened, Opened)
    assert opened.facts
    booked_ns = run.header.start_ns - 60 * SECOND
    left = Resume(booked_ns, Standing(5_000_000, booked_ns))
    earlier = Earlier(opened.facts.version, {opened.devices[0].board: left})
    told = replayed(tmp_path, Beginning(run.header, 1, None, earlier), run.story)
    assert without_overhead(metered(run.header, run.story, earlier)) == without_overhead(told)
    seconds = sum(told["gpu_seconds"].values())
    assert seconds == pytest.approx(told["run"]["seconds"])
    assert seconds == pytest.approx(60 + 10, abs=1)


@pytest.mark.parametrize("scenario", BEGINS_SECONDS)
def test_the_recorded_scenarios_give_what_they_gave(scenario: str) -> None:
    """Energy by method, seconds by state and faults of a recorded minute change only where that is meant."""
    path = bundled(scenario)
    told = replay(Recording(path), Settings()).receipt
    devices = [
        {name: device[name] for name in ("index", "name", "method", "joules", "seconds", "mean_utilization")}
        for device in told["devices"]
    ]
    figures = {
        "outcome": told["run"]["outcome"],
        "seconds": told["run"]["seconds"],
        "energy": told["energy"],
        "gpu_seconds": told["gpu_seconds"],
        "unmeasured_gpu_seconds": told["unmeasured_gpu_seconds"],
        "devices": devices,
        "readings": told["meter"]["readings"],
        "faults": told["meter"]["faults"],
    }
    assert told["simulated"]
    assert path.stat().st_size < 40_000
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    assert text == golden(f"replay-{scenario}.json", text)


def test_the_recorded_notebook_draws_what_its_scenario_says() -> None:
    """72 W for a minute are 4,320 J, by counter, and none of it is busy."""
    told = replay(Recording(bundled("notebook")), Settings()).receipt
    assert told["energy"]["methods"]["counter"] == pytest.approx(4_320, rel=0.001)
    assert {"busy": 0, "idle": 60, "unknown": 0} == told["gpu_seconds"]


def test_the_recorded_hang_is_idle_from_where_it_spins() -> None:
    """From 25 s on eight GPUs train until 60 s, and then spin: 8 × 35 s busy, but for the tick it takes."""
    told = replay(Recording(bundled("hang")), Settings()).receipt
    assert told["gpu_seconds"]["busy"] == pytest.approx(8 * 35, abs=8)
    assert told["gpu_seconds"]["idle"] == pytest.approx(8 * 25, abs=8)
