"""The reader when the driver as a whole is missing, goes away, comes back with other GPUs, or hangs while it opens."""

import threading
from collections.abc import Iterator

import pytest

from costmeter.clock import Clock
from costmeter.errors import SourceStopped
from costmeter.readings import Device, Reading
from costmeter.runtime.events import OpenFailed
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from tests.runtime.hurried import PATIENCE_SECONDS, Hurried
from tests.sources.nodes import SECOND, STEADY

THREE = STEADY + "    count: 3\n"


def test_a_driver_that_appears_is_found() -> None:
    """Without a driver for 40 s, the looks at 1, 3, 7, 15 and 31 s find none, that at 61 s does: read from 62 s on."""
    run = Hurried("faults: [{kind: driver-missing, for: 40 s}]\n" + STEADY, 65)
    assert isinstance(run.events[0], OpenFailed)
    assert [type(event) for event in run.events].count(OpenFailed) == 1
    [(second, [device])] = run.opened
    assert (second, device.method) == (62, "counter")
    assert run.answered(61) == []
    assert run.answered(62) == [True]


def test_a_driver_that_is_reloaded_is_opened_at_once() -> None:
    """Away from 10 s to 15 s: each tick tries, all boards say the one reason meanwhile, and at 16 s all are read.

    The same devices are no news.
    """
    run = Hurried("faults: [{kind: driver-reload, at: 10 s, for: 5 s}]\n" + THREE, 20)
    gone = "the NVIDIA driver was unloaded or restarted"
    assert run.answered(9) == [True] * 3
    for second in range(10, 16):
        assert run.answered(second) == [gone] * 3
    assert run.answered(16) == [True] * 3
    assert len(run.opened) == 1


def test_other_gpus_after_a_reload_are_news() -> None:
    """After the reload the second GPU is gone and the third is first: they are posted before their first reading.

    The one that is gone stays in every tick, with the reason.
    """
    reload = "faults: [{kind: driver-reload, at: 10 s, for: 500 ms, then_devices: [2, 0]}]\n"
    run = Hurried(reload + THREE, 15)
    (_, before), (second, after) = run.opened
    assert (second, [device.uuid for device in after]) == (12, [before[2].uuid, before[0].uuid])
    readings = next(batch for batch in run.batches if batch.at_ns == 12_000_000_000).readings
    assert {uuid for uuid, said in readings.items() if isinstance(said, Reading)} == {d.uuid for d in after}
    assert [said for said in run.answered(13) if said is not True] == ["the driver does not list it any more"]


def test_a_gpu_that_was_lost_at_the_opening_is_looked_for() -> None:
    """Lost for 20 s: the look at 31 s finds it, and from 32 s it is read under its own name; the others always were.

    The name it had for want of a better one is in no tick any more.
    """
    run = Hurried("faults: [{kind: lost, devices: [1], for: 20 s}]\n" + THREE, 35)
    (_, before), (second, after) = run.opened
    assert (before[1].uuid, second) == ("unidentified-1", 32)
    assert after[1].method == "counter"
    assert run.answered(31) == [True, "GPU is lost", True]
    assert run.answered(32) == [True] * 3


def test_a_name_that_timed_out_is_looked_for_soon() -> None:
    """The name times out for 2.5 s: the look at 1 s posts nothing, that at 3 s finds it, and no further one is news."""
    text = STEADY + "    faults: [{kind: error, code: TIMEOUT, for: 2500 ms, functions: [nvmlDeviceGetName]}]\n"
    run = Hurried(text, 40, lambda clock, library: NvmlSource(clock, library, probe_seconds=0.2))
    found = [(second, device.name, device.method) for second, [device] in run.opened]
    assert found == [(0, "unknown GPU", "counter"), (4, "NVIDIA H100 80GB HBM3", "counter")]
    assert all(run.answered(second) == [True] for second in range(40))


class Hanging(NvmlSource):
    """A driver that hangs whenever it is opened again or searched, until the gate is opened; then it refuses."""

    def __init__(self, clock: Clock, library: SimulatedLibrary, gate: threading.Event) -> None:
        super().__init__(clock, library)
        self._gate, self._was_opened = gate, False

    def open(self) -> tuple[Device, ...]:
        if self._was_opened:
            self._hang()
        self._was_opened = True
        return super().open()

    def seek(self) -> tuple[Device, ...]:
        self._hang()
        return super().seek()

    def _hang(self) -> None:
        self._gate.wait(PATIENCE_SECONDS)
        raise SourceStopped("let go at the end of the test")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hung openings wait for."""
    made = threading.Event()
    yield made
    made.set()


def test_a_reopening_that_hangs_holds_up_no_tick(gate: threading.Event) -> None:
    """When the driver hangs while it is opened anew, every tick comes, all boards say why, and so does the last."""
    text = "faults: [{kind: driver-reload, at: 5 s, for: 1 s}]\n" + THREE
    run = Hurried(text, 60, lambda clock, library: Hanging(clock, library, gate))
    assert [batch.at_ns // SECOND for batch in run.batches if batch.until_ns is None] == list(range(61))
    assert run.answered(4) == [True] * 3
    assert run.answered(59) == ["the NVIDIA driver was unloaded or restarted"] * 3


def test_a_reopening_that_hangs_is_not_begun_twice(gate: threading.Event) -> None:
    """However many ticks it hangs for, one thread is left behind in it."""
    text = "faults: [{kind: driver-reload, at: 5 s, for: 1 s}]\n" + THREE
    Hurried(text, 60, lambda clock, library: Hanging(clock, library, gate))
    assert len([thread for thread in threading.enumerate() if thread.name == "costmeter-driver"]) == 1


def test_a_search_that_hangs_holds_up_no_reading(gate: threading.Event) -> None:
    """While the driver hangs in a search for a lost GPU, from 1 s on, the others are read at every tick."""
    text = "faults: [{kind: lost, devices: [1]}]\n" + THREE
    run = Hurried(text, 90, lambda clock, library: Hanging(clock, library, gate))
    assert all(run.answered(second) == [True, "GPU is lost", True] for second in range(90))
