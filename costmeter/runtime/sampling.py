"""Which boards have their power read between two ticks, when, and what came of it.

A board whose counter tells its energy needs none of this. Where power is all there is, it is read ten times a second,
once in each tenth, at another instant of it each time: training is periodic, and a steady poll would meet it in one
phase.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from costmeter.readings import Device, Missing, Reading, Sample
from costmeter.units import NANOSECONDS_PER_SECOND

#: One power reading lies in each such stretch of boot time.
CELL_NS = NANOSECONDS_PER_SECOND // 10
#: Where a power reading is the mean of the last second, one in so many stretches is enough.
MEAN_CELLS = 10
#: Instants within their stretches lie a golden section apart, which spreads any few of them evenly: a periodic load is
#: then met in all its phases several times sooner than by chance. Chance begins anew after so many, for the loads whose
#: period fits even these steps.
_GOLDEN, _ALIKE = (5**0.5 - 1) / 2, 64
#: A counter that said the same twice over less than this may only be between two of its steps.
_STEP_NS = NANOSECONDS_PER_SECOND // 2


class Sampling:
    """The plan for the time until the next tick, which follows from what boards said at the last one."""

    def __init__(self, period_ns: int, chance: Callable[[], float]) -> None:
        self._period_ns, self._chance = period_ns, chance
        self._cells: dict[str, int] = {}
        self._cell, self._next_ns, self._drawn, self._offset = 0, -1, 0, 0.0
        self._sampled: frozenset[str] = frozenset()
        self._kept: dict[str, list[Sample]] = {}
        self._moved: dict[str, tuple[int | Missing, int]] = {}

    def hold(self, devices: Sequence[Device]) -> None:
        """How often each board would be sampled; one without a power reading never is."""
        self._cells = {
            d.board: MEAN_CELLS if d.power_is_mean else 1 for d in devices if d.method in ("counter", "power")
        }
        self._sampled = self._sampled.intersection(self._cells)

    def next(self, now_ns: int, until_ns: int) -> tuple[int, frozenset[str]]:
        """The next instant to read power at, and of which boards; `until_ns` and none when the tick comes first."""
        if not self._sampled:
            return until_ns, frozenset()
        every = min(self._cells[board] for board in self._sampled)
        while self._next_ns < now_ns or self._cell % every:
            self._draw(now_ns, every)
        at_ns = self._next_ns
        if at_ns >= until_ns:
            return until_ns, frozenset()  # what was drawn holds beyond the tick: a tick's phase must not show
        due = frozenset(board for board in self._sampled if self._cell % self._cells[board] == 0)
        self._draw(at_ns, every)
        return at_ns, due

    def _draw(self, now_ns: int, every: int) -> None:
        """Choose the instant in the next stretch; it may have passed, and the stretch then goes without."""
        cell = max(self._cell + 1, now_ns // CELL_NS)
        self._cell = cell + -cell % every
        self._offset = (self._offset + _GOLDEN) % 1 if self._drawn % _ALIKE else self._chance()
        self._drawn += 1
        self._next_ns = self._cell * CELL_NS + int(self._offset * CELL_NS)

    def keep(self, board: str, sample: Sample) -> None:
        """Keep a power reading until the next tick takes it."""
        self._kept.setdefault(board, []).append(sample)

    def complete(self, reading: Reading) -> Reading:
        """A reading with the power readings since the one before; what it says decides whether its board goes on."""
        board = reading.uuid
        cells = self._cells.get(board)
        is_enough = cells == MEAN_CELLS and self._period_ns <= NANOSECONDS_PER_SECOND
        is_wanted = self._says_nothing(reading) and cells is not None and not is_enough
        if is_wanted != (board in self._sampled):
            self._sampled = self._sampled | {board} if is_wanted else self._sampled - {board}
        samples = self._kept.pop(board, None)
        return replace(reading, samples=tuple(samples)) if samples else reading

    def complete_or_drop(self, board: str, said: Reading | Missing) -> Reading | Missing:
        """The same of a board that may have said nothing: until it answers it is not sampled."""
        if isinstance(said, Reading):
            return self.complete(said)
        self._sampled = self._sampled - {board}
        self._kept.pop(board, None)
        return said

    def _says_nothing(self, reading: Reading) -> bool:
        """Whether the counter cannot be read, or has not moved for longer than its steps are apart."""
        counter, (before, moved_ns) = reading.energy_microjoules, self._moved.get(reading.uuid, (None, 0))
        if counter != before:
            self._moved[reading.uuid] = counter, reading.at_ns
            return isinstance(counter, Missing)
        return isinstance(counter, Missing) or reading.at_ns - moved_ns >= _STEP_NS
