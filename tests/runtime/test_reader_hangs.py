"""The reader with boards that hang at any of their calls: a thread is left behind, and nothing else."""

import contextlib
import queue
import threading
from collections.abc import Iterator

import pytest

from costmeter.clock import Clock
from costmeter.readings import Missing, Reading, Sample
from costmeter.runtime.events import NO_ANSWER, Batch, Ended, Opened
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from costmeter.units import NANOSECONDS_PER_SECOND
from tests.runtime.test_reader import ONE_OF_TWO_HANGS, PATIENCE_SECONDS, PERIOD_NS, Running, spoken

WITHOUT_COUNTER = ONE_OF_TWO_HANGS.replace(
    "    load:", "    energy_counter: none\n    power_reading: {window: 25 ms}\n    load:"
).replace("    faults:\n      - {kind: hang, at: 500 ms, functions: [nvmlDeviceGetTotalEnergyConsumption]}\n", "")


class Gated(NvmlSource):
    """A source some of whose calls wait for a gate of their own before they answer."""

    def __init__(self, clock: Clock, library: SimulatedLibrary) -> None:
        super().__init__(clock, library)
        self.gates: dict[tuple[str, str], threading.Event] = {}

    def shut(self, call: str, board: str) -> None:
        """Let a call hang."""
        self.gates[call, board] = threading.Event()

    def release(self) -> None:
        """Let every call go."""
        for gate in self.gates.values():
            gate.set()

    def read(self, board: str, slow: bool) -> Reading:
        self._pass("read", board)
        return super().read(board, slow)

    def sample(self, board: str) -> Sample:
        self._pass("sample", board)
        return super().sample(board)

    def processes(self, uuid: str) -> tuple[int, ...] | Missing:
        self._pass("processes", uuid)
        return super().processes(uuid)

    def _pass(self, call: str, board: str) -> None:
        gate = self.gates.get((call, board))
        if gate is not None:
            assert gate.wait(PATIENCE_SECONDS)


class GatedRun(Running):
    """A reader on two GPUs whose calls a test may hold up."""

    source: Gated

    def __init__(self, scenario: str, period_ns: int = PERIOD_NS) -> None:
        super().__init__(scenario, Gated, period_ns)
        opened = self.next()
        assert isinstance(opened, Opened)
        self.boards = [device.board for device in opened.devices]

    def shut(self, call: str, *indexes: int) -> None:
        """Let these boards' calls hang from now on."""
        for index in indexes:
            self.source.shut(call, self.boards[index])

    def until(self, expected: list[bool]) -> Batch:
        """The first tick in which just these boards answer; meanwhile somebody watches."""
        while True:
            self.reader.watch()
            with contextlib.suppress(queue.Empty):
                event = self.events.get(timeout=0.05)
                if isinstance(event, Batch) and spoken(event) == expected:
                    return event

    def stop(self) -> None:
        self.source.release()
        super().stop()


@pytest.fixture
def gated(request: pytest.FixtureRequest) -> Iterator[GatedRun]:
    """A reader whose calls may be held up, on the node and at the period named by the test."""
    made = GatedRun(*request.param)
    yield made
    made.stop()


TWO = ONE_OF_TWO_HANGS.replace("at: 500 ms", "at: 1 h")


@pytest.mark.parametrize("gated", [pytest.param((WITHOUT_COUNTER, NANOSECONDS_PER_SECOND), id="")], indirect=True)
def test_a_hung_sample_leaves_its_thread_behind(gated: GatedRun) -> None:
    """When power hangs between two ticks the other board is read on, and the hung one again once it answers."""
    gated.batch()
    gated.shut("sample", 0)
    batch = gated.until([False, True])
    gated.source.release()
    assert next(iter(batch.readings.values())) == NO_ANSWER
    assert spoken(gated.until([True, True])) == [True, True]


@pytest.mark.parametrize("gated", [pytest.param((WITHOUT_COUNTER, NANOSECONDS_PER_SECOND), id="")], indirect=True)
def test_boards_without_a_counter_bring_samples(gated: GatedRun) -> None:
    """Without a counter each tick brings the power readings since the one before, oldest first and all before it."""
    gated.batch()
    first, second = gated.batch(), gated.batch()
    for board in gated.boards:
        before, reading = first.readings[board], second.readings[board]
        assert isinstance(before, Reading)
        assert isinstance(reading, Reading)
        instants = [sample.at_ns for sample in reading.samples]
        assert instants == sorted(instants)
        assert instants
        assert before.at_ns <= instants[0]
        assert instants[-1] <= reading.at_ns
        assert {sample.power_watts for sample in reading.samples} == {300.0}


@pytest.mark.parametrize("gated", [pytest.param((TWO,), id="")], indirect=True)
def test_two_stuck_boards_each_leave_a_thread_and_return(gated: GatedRun) -> None:
    """When both boards hang, ticks go on without either; whichever answers is read again, whoever was stuck first."""
    gated.batch()
    gated.shut("read", 0, 1)
    neither = gated.until([False, False])
    gated.source.gates["read", gated.boards[1]].set()
    second = gated.until([False, True])
    gated.source.release()
    both = gated.until([True, True])
    assert list(neither.readings.values()) == [NO_ANSWER, NO_ANSWER]
    assert second.readings[gated.boards[0]] == NO_ANSWER
    assert isinstance(second.readings[gated.boards[1]], Reading)
    assert spoken(both) == [True, True]
    assert neither.at_ns < second.at_ns < both.at_ns


@pytest.mark.parametrize("gated", [pytest.param((TWO,), id="")], indirect=True)
def test_a_thread_that_was_left_behind_posts_nothing(gated: GatedRun) -> None:
    """Ticks that follow a hang are whole, and each begins after the one before: none of them comes twice."""
    gated.batch()
    gated.shut("read", 1)
    gated.until([True, False])
    gated.source.release()
    ticks = [gated.batch() for _ in range(20)]
    instants = [tick.at_ns for tick in ticks]
    assert instants == sorted(set(instants))
    assert {tuple(tick.readings) for tick in ticks} == {tuple(gated.boards)}


@pytest.mark.parametrize("gated", [pytest.param((TWO, 3_600 * NANOSECONDS_PER_SECOND), id="")], indirect=True)
def test_giving_up_keeps_what_was_read(gated: GatedRun) -> None:
    """When the second board hangs in the last tick, the first one's reading is posted, and nothing after it."""
    gated.batch()
    gated.shut("read", 1)
    ended = Ended(gated.clock.boottime_ns(), 0, None)
    gated.reader.end(ended)
    while gated.reader._asking is None or gated.reader._asking[0] != gated.boards[1]:
        pass
    gated.reader.give_up(ended)
    last = gated.batch()
    gated.source.release()
    for thread in threading.enumerate():
        if thread.name == "costmeter-reader":
            thread.join(PATIENCE_SECONDS)
    gated.reader.finished.set()  # so that the fixture does not wait for what was given up on
    assert (spoken(last), last.until_ns) == ([True, False], ended.at_ns)
    assert gated.events.empty()


@pytest.mark.parametrize("gated", [pytest.param((TWO, 3_600 * NANOSECONDS_PER_SECOND), id="")], indirect=True)
def test_a_hung_process_list_does_not_lose_the_last_tick(gated: GatedRun) -> None:
    """When the list of processes hangs after the last readings, the other board's are posted all the same."""
    gated.batch()
    gated.shut("processes", 0)
    gated.reader.end(Ended(gated.clock.boottime_ns(), 0, None, orphans=frozenset({99})))
    last = gated.until([False, True])
    assert last.until_ns is not None
    assert gated.reader.finished.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "gated", [pytest.param((WITHOUT_COUNTER, 3_600 * NANOSECONDS_PER_SECOND), id="")], indirect=True
)
def test_the_end_does_not_wait_for_the_next_tick(gated: GatedRun) -> None:
    """With ticks a minute apart and samples between them, the last tick follows the end of the child and no other."""
    first = gated.batch()
    ended = Ended(gated.clock.boottime_ns(), 0, None)
    gated.reader.end(ended)
    last = gated.batch()
    assert (first.until_ns, last.until_ns) == (None, ended.at_ns)
    assert spoken(last) == [True, True]
