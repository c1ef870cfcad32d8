"""The energy counter of a device: where it starts, how it steps, and what goes wrong with it."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from costmeter.sources.simulated.scenario import EnergyCounter, Fault

PICOJOULES_PER_MILLIJOULE = 1_000_000_000

#: Picojoules drawn from the epoch to an instant.
Energy = Callable[[int], int]

_Change = Literal["reset", "freeze", "resume", "catch up", "shift", "shift back"]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `start_ns` the counter's line is at `value_pj`, and at what was drawn since `drawn_pj` when it `runs`.

    `shifts` are the faults that move what is shown off that line, each with the picojoules it adds. A counter that
    stands still shows `held_pj`, whatever else goes wrong meanwhile.
    """

    start_ns: int
    value_pj: int
    drawn_pj: int
    runs: bool = True
    held_pj: int = 0
    shifts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter over all time, as stretches between what goes wrong. Build it with `counter`."""

    energy: Energy
    step_ns: int
    phase_ns: int
    starts_ns: tuple[int, ...]
    stretches: tuple[_Stretch, ...]

    def millijoules(self, at_ns: int) -> int:
        """What the counter shows at an instant."""
        if len(self.stretches) == 1:  # nothing ever goes wrong
            return (self.stretches[0].value_pj + self.energy(self.renewed_ns(at_ns))) // PICOJOULES_PER_MILLIJOULE
        stretch = self.stretches[bisect_right(self.starts_ns, at_ns) - 1]
        return _shown_pj(stretch, self.renewed_ns(at_ns), self.energy) // PICOJOULES_PER_MILLIJOULE

    def renewed_ns(self, at_ns: int) -> int:
        """When the counter last moved: the grid of steps at or before the instant."""
        return max(0, at_ns - (at_ns - self.phase_ns) % self.step_ns)


def counter(facts: EnergyCounter, phase_ns: int, faults: Iterable[Fault], energy: Energy) -> Counter:
    """A counter with its faults: resets, freezes, shifts, and driver reloads, which reset it when they end."""
    stretches = [_Stretch(0, facts.start_millijoules * PICOJOULES_PER_MILLIJOULE, 0)]
    whole = Counter(energy, facts.step_ns, phase_ns, (), ())
    changes = [change for number, fault in enumerate(faults) for change in _changes(number, fault)]
    # A counter that is reset and shifted at one instant is shifted after it began anew.
    for start_ns, change, shift in sorted(changes, key=lambda each: (each[0], each[1] == "shift")):
        stretches.append(_changed(stretches, start_ns, change, shift, whole))
    return Counter(energy, facts.step_ns, phase_ns, tuple(stretch.start_ns for stretch in stretches), tuple(stretches))


def _changes(number: int, fault: Fault) -> Iterable[tuple[int, _Change, tuple[int, int]]]:
    """What a fault does to the counter: when, what, and the fault's number with the picojoules it shifts by."""
    shifted_pj = fault.millijoules * PICOJOULES_PER_MILLIJOULE
    shift = (number, -shifted_pj if fault.kind == "counter-fall" else shifted_pj)
    if fault.kind == "counter-reset":
        yield fault.start_ns, "reset", shift
    elif fault.kind == "driver-reload":
        yield fault.end_ns, "reset", shift
    elif fault.kind == "counter-frozen":
        yield fault.start_ns, "freeze", shift
        yield fault.end_ns, "catch up" if fault.catches_up else "resume", shift
    elif fault.kind in ("counter-jump", "counter-fall"):
        yield fault.start_ns, "shift", shift
        yield fault.end_ns, "shift back", shift


def _changed(
    stretches: list[_Stretch], start_ns: int, change: _Change, shift: tuple[int, int], whole: Counter
) -> _Stretch:
    """The stretch that a change begins, from the ones before it. A reset ends freezes and shifts for good."""
    last = stretches[-1]
    if change == "reset":
        return _Stretch(start_ns, 0, whole.energy(start_ns))
    if change == "shift":
        return replace(last, start_ns=start_ns, shifts=(*last.shifts, shift))
    if change == "shift back":
        return replace(last, start_ns=start_ns, shifts=tuple(kept for kept in last.shifts if kept != shift))
    if change == "freeze":
        renewed_ns = whole.renewed_ns(start_ns)
        line_pj, shown_pj = _line_pj(last, renewed_ns, whole.energy), _shown_pj(last, renewed_ns, whole.energy)
        return replace(last, start_ns=start_ns, value_pj=line_pj, drawn_pj=0, runs=False, held_pj=shown_pj)
    if last.runs:  # reset while frozen: it runs already
        return replace(last, start_ns=start_ns)
    if change == "resume":
        return replace(last, start_ns=start_ns, drawn_pj=whole.energy(start_ns), runs=True)
    running = next(stretch for stretch in reversed(stretches) if stretch.runs)
    return replace(last, start_ns=start_ns, value_pj=running.value_pj, drawn_pj=running.drawn_pj, runs=True)


def _line_pj(stretch: _Stretch, renewed_ns: int, energy: Energy) -> int:
    """A step of the grid that lies before the stretch began shows nothing of what the stretch counts."""
    return stretch.value_pj + (max(0, energy(renewed_ns) - stretch.drawn_pj) if stretch.runs else 0)


def _shown_pj(stretch: _Stretch, renewed_ns: int, energy: Energy) -> int:
    if not stretch.runs:
        return stretch.held_pj
    return max(0, _line_pj(stretch, renewed_ns, energy) + sum(added_pj for _, added_pj in stretch.shifts))
