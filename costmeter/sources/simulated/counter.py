"""The energy counter of a device: where it starts, how it steps, when it is reset and when it stands still."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from costmeter.sources.simulated.scenario import EnergyCounter, Fault

PICOJOULES_PER_MILLIJOULE = 1_000_000_000

#: Picojoules drawn from the epoch to an instant.
Energy = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `start_ns` the counter shows `value_pj`, and what was drawn since `drawn_pj` when it `runs`."""

    start_ns: int
    value_pj: int
    drawn_pj: int
    runs: bool


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter over all time, as stretches between resets and freezes. Build it with `counter`."""

    energy: Energy
    step_ns: int
    phase_ns: int
    starts_ns: tuple[int, ...]
    stretches: tuple[_Stretch, ...]

    def millijoules(self, at_ns: int) -> int:
        """What the counter shows at an instant."""
        stretch = self.stretches[0] if len(self.stretches) == 1 else self._stretch(at_ns)
        return _shown_pj(stretch, self.renewed_ns(at_ns), self.energy) // PICOJOULES_PER_MILLIJOULE

    def renewed_ns(self, at_ns: int) -> int:
        """When the counter last moved: the grid of steps at or before the instant."""
        return max(0, at_ns - (at_ns - self.phase_ns) % self.step_ns)

    def _stretch(self, at_ns: int) -> _Stretch:
        return self.stretches[bisect_right(self.starts_ns, at_ns) - 1]


def counter(facts: EnergyCounter, phase_ns: int, faults: Iterable[Fault], energy: Energy) -> Counter:
    """A counter with its faults: resets, freezes, and driver reloads, which reset it when they end."""
    stretches = [_Stretch(0, facts.start_millijoules * PICOJOULES_PER_MILLIJOULE, 0, True)]
    whole = Counter(energy, facts.step_ns, phase_ns, (), ())
    for start_ns, change in sorted(_changes(faults), key=lambda pair: pair[0]):
        stretches.append(_changed(stretches, start_ns, change, whole))
    return Counter(energy, facts.step_ns, phase_ns, tuple(stretch.start_ns for stretch in stretches), tuple(stretches))


def _changes(faults: Iterable[Fault]) -> Iterable[tuple[int, str]]:
    for fault in faults:
        if fault.kind == "counter-reset":
            yield fault.start_ns, "reset"
        elif fault.kind == "driver-reload":
            yield fault.end_ns, "reset"
        elif fault.kind == "counter-frozen":
            yield fault.start_ns, "freeze"
            yield fault.end_ns, "catch up" if fault.catches_up else "resume"


def _changed(stretches: list[_Stretch], start_ns: int, change: str, whole: Counter) -> _Stretch:
    """The stretch that a change begins, from the ones before it."""
    last = stretches[-1]
    if change == "reset":
        return _Stretch(start_ns, 0, whole.energy(start_ns), True)
    if change == "freeze":
        return _Stretch(start_ns, _shown_pj(last, whole.renewed_ns(start_ns), whole.energy), 0, False)
    if last.runs:  # reset while frozen: it runs already
        return _Stretch(start_ns, last.value_pj, last.drawn_pj, True)
    if change == "resume":
        return _Stretch(start_ns, last.value_pj, whole.energy(start_ns), True)
    running = next(stretch for stretch in reversed(stretches) if stretch.runs)
    return _Stretch(start_ns, running.value_pj, running.drawn_pj, True)


def _shown_pj(stretch: _Stretch, renewed_ns: int, energy: Energy) -> int:
    """A step of the grid that lies before the stretch began shows nothing of what the stretch counts."""
    if not stretch.runs:
        return stretch.value_pj
    return stretch.value_pj + max(0, energy(renewed_ns) - stretch.drawn_pj)
