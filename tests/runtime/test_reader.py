"""The reader with a driver that hangs, goes away and comes back: nothing else waits for it."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from costmeter.clock import Anchor, Clock, RealClock, anchor
from costmeter.readings import Device, Missing, Reading
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed
from costmeter.runtime.reader import STUCK_AFTER_NS, Reader
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from tests.sources.nodes import STEADY, node

PATIENCE_SECONDS = 20
PERIOD_NS = 50_000_000
#: So many ticks are waited for; a few are needed.
TICKS = 200

ONE_OF_TWO_HANGS = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
    faults:
      - {kind: hang, at: 500 ms, functions: [nvmlDeviceGetTotalEnergyConsumption]}
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
"""
MISSING = (
    STEADY
    + """
faults:
  - {kind: driver-missing}
"""
)
GONE_FOR_A_MOMENT = (
    STEADY
    + """
faults:
  - {kind: driver-reload, at: 300 ms, for: 300 ms}
"""
)


def anchored(clock: Clock) -> Callable[[], Anchor]:
    """An anchor that stays as it is."""
    taken = anchor(clock)
    return lambda: taken


class Running:
    """A reader on a simulated node and the machine's own clock, and what it posts."""

    def __init__(self, scenario: str, source: type[NvmlSource] = NvmlSource, period_ns: int = PERIOD_NS) -> None:
        self.clock = RealClock()
        self.library: SimulatedLibrary = node(scenario, self.clock, self.clock.boottime_ns())
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.source = source(self.clock, self.library)
        self.reader = Reader(self.source, self.clock, anchored(self.clock), period_ns, tuple, self.events.put)
        self.reader.start()

    def next(self) -> Event:
        """The next event; a failure when none comes."""
        return self.events.get(timeout=PATIENCE_SECONDS)

    def batch(self) -> Batch:
        """The next tick."""
        while not isinstance(event := self.next(), Batch):
            pass
        return event

    def stop(self) -> None:
        """End the reader and whatever hangs."""
        self.reader.end(Ended(self.clock.boottime_ns(), 0, None))
        self.library.release_hung_calls()
        assert self.reader.finished.wait(PATIENCE_SECONDS)
        self.library.uninstall()


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A reader of the scenario named by the test."""
    made = Running(request.param)
    yield made
    made.stop()


def spoken(batch: Batch) -> list[bool]:
    """Which devices answered, in order."""
    return [isinstance(said, Reading) for said in batch.readings.values()]


@pytest.mark.parametrize("running", [STEADY], indirect=True)
def test_devices_come_before_readings(running: Running) -> None:
    """The first event tells the devices, every later one is a tick with a reading of each, the first one slow."""
    opened = running.next()
    assert isinstance(opened, Opened)
    first, second = running.batch(), running.batch()
    assert [True] == spoken(first) == spoken(second)
    assert first.slow
    assert not second.slow
    assert first.at_ns < second.at_ns


@pytest.mark.parametrize("running", [MISSING], indirect=True)
def test_a_missing_driver_is_told_and_ticks_go_on(running: Running) -> None:
    """Without a driver the reader says so once and goes on ticking, so that time is still booked."""
    failed = running.next()
    assert isinstance(failed, OpenFailed)
    assert {} == running.batch().readings == running.batch().readings


@pytest.mark.parametrize("running", [ONE_OF_TWO_HANGS], indirect=True)
def test_a_hung_device_is_left_behind_with_its_thread(running: Running) -> None:
    """One GPU's call hangs for ever: after two seconds the other is read again, and the hung one is Missing."""
    while not any(thread_is_stuck(running)):
        running.reader.watch()
    while spoken(batch := running.batch()) != [False, True]:
        running.reader.watch()
    silent = next(iter(batch.readings.values()))
    assert isinstance(silent, Missing)
    assert "does not answer" in silent.reason


@pytest.mark.parametrize("running", [ONE_OF_TWO_HANGS], indirect=True)
def test_a_device_that_answers_again_is_read_again(running: Running) -> None:
    """When the hung call returns at last, its device is read again with the others."""
    while not any(thread_is_stuck(running)):
        running.reader.watch()
    running.library.release_hung_calls()
    assert any(spoken(running.batch()) == [True, True] for _ in range(TICKS))


def thread_is_stuck(running: Running) -> list[bool]:
    """Whether more reader threads live than one: the one left behind, and its successor."""
    names = [thread.name for thread in threading.enumerate() if thread.name == "costmeter-reader"]
    return [len(names) > 1]


@pytest.mark.parametrize("running", [GONE_FOR_A_MOMENT], indirect=True)
def test_a_reloaded_driver_is_opened_again(running: Running) -> None:
    """A driver that is unloaded for a moment is opened again, and the same device is read again."""
    assert any(spoken(running.batch()) == [False] for _ in range(TICKS))
    assert any(spoken(running.batch()) == [True] for _ in range(TICKS))


def test_a_call_is_stuck_after_two_seconds() -> None:
    """The design's limit for one driver call is two seconds."""
    assert STUCK_AFTER_NS == 2_000_000_000


def held_first(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Hold only the first device."""
    return devices[:1]


def test_only_held_devices_are_read() -> None:
    """Devices that the run does not hold are not asked, and the node's count still names them."""
    clock = RealClock()
    library = node(ONE_OF_TWO_HANGS.replace("at: 500 ms", "at: 1 h"), clock, clock.boottime_ns())
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    source = NvmlSource(clock, library)
    reader = Reader(source, clock, anchored(clock), PERIOD_NS, held_first, events.put)
    reader.start()
    opened, batch = events.get(timeout=PATIENCE_SECONDS), events.get(timeout=PATIENCE_SECONDS)
    reader.end(Ended(clock.boottime_ns(), 0, None))
    assert reader.finished.wait(PATIENCE_SECONDS)
    library.uninstall()
    assert isinstance(opened, Opened)
    assert isinstance(batch, Batch)
    assert (len(opened.devices), opened.node_gpus) == (1, 2)
    assert [opened.devices[0].uuid] == list(batch.readings)


def test_a_gpu_that_is_still_held_after_the_end_is_told() -> None:
    """When a process the job left behind holds a GPU, the last tick names the GPU and the process, and no other."""
    clock = RealClock()
    processes = "    processes:\n      - {pid: 41001, memory: 1 GiB}\n      - {pid: 41002, memory: 1 GiB}\n"
    library = node(STEADY + processes, clock, clock.boottime_ns())
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    reader = Reader(NvmlSource(clock, library), clock, anchored(clock), PERIOD_NS, tuple, events.put)
    reader.start()
    reader.end(Ended(clock.boottime_ns(), 0, None, orphans=frozenset({41002, 99})))
    assert reader.finished.wait(PATIENCE_SECONDS)
    library.uninstall()
    posted = [events.get(timeout=PATIENCE_SECONDS) for _ in range(events.qsize())]
    last = posted[-1]
    assert isinstance(last, Batch)
    assert [(41002,)] == list(last.still_held.values())


def test_on_a_node_slow_ticks_list_every_devices_processes() -> None:
    """The first tick is slow and lists them; fast ticks ask nobody, and who does not want to know is not told."""
    clock = RealClock()
    processes = "    processes:\n      - {pid: 41001, memory: 1 GiB}\n"
    library = node(STEADY + processes, clock, clock.boottime_ns())
    found: list[list[Batch]] = []
    for lists in (True, False):
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        source, now = NvmlSource(clock, library), anchored(clock)
        reader = Reader(source, clock, now, PERIOD_NS, tuple, events.put, lists_processes=lists)
        reader.start()
        batches: list[Batch] = []
        while len(batches) < 2:
            event = events.get(timeout=PATIENCE_SECONDS)
            batches += [event] if isinstance(event, Batch) else []
        reader.end(Ended(clock.boottime_ns(), 0, None))
        assert reader.finished.wait(PATIENCE_SECONDS)
        found.append(batches)
    library.uninstall()
    [first, second], told_nothing = found
    assert first.processes is not None
    assert list(first.processes.values()) == [(41001,)]
    assert second.processes is None
    assert [batch.processes for batch in told_nothing] == [None, None]


class Surprising(NvmlSource):
    """A source whose driver answers what nobody foresaw."""

    def read(self, uuid: str, slow: bool) -> Reading:
        """Fail as no driver should."""
        raise ZeroDivisionError("surprise")


def test_a_failure_nobody_foresaw_costs_one_reading_and_not_the_thread() -> None:
    """An error of another kind becomes a Missing reading that names it, and the next tick comes."""
    clock = RealClock()
    library = node(STEADY, clock, clock.boottime_ns())
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    reader = Reader(Surprising(clock, library), clock, anchored(clock), PERIOD_NS, tuple, events.put)
    reader.start()
    _, first, second = (events.get(timeout=PATIENCE_SECONDS) for _ in range(3))
    reader.end(Ended(clock.boottime_ns(), 0, None))
    assert reader.finished.wait(PATIENCE_SECONDS)
    library.uninstall()
    for batch in (first, second):
        assert isinstance(batch, Batch)
        assert [Missing("reading failed: ZeroDivisionError: surprise")] == list(batch.readings.values())
