"""What a run did over time, in a few hundred steps of equal length: what a page draws, however long the run was.

Steps are cut on the clock, so hosts side by side and parts one after the other share them. Memory is bounded: where
there would be too many, steps double in length and pairs become one. What straddles an edge is divided by telescoping
integers, so that sums over all steps are those of the record.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import add
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.copies import copied
from costmeter.ledger.journal import records
from costmeter.ledger.overlap import Sharing, Windows, metered_elsewhere
from costmeter.ledger.query import priced_only
from costmeter.ledger.record import Header, Mark, RatesChange, SlotEntry
from costmeter.meter.charge import QUANTUM_DIGITS, Rates, charge
from costmeter.meter.slot import Slot
from costmeter.units import NANOSECONDS_PER_SECOND, portion

#: As many steps as a page of paper shows apart.
POINTS = 600
#: The step to begin with, short enough for a run of seconds; doubled often enough it is 15 s, and then whole minutes.
_FINEST_NS = 15 * NANOSECONDS_PER_SECOND // 512
_NOTHING = Decimal(0)
#: Charges are in millionths of a millionth: as many of them are an integer.
#: A run that saves every second would cover its own picture with ticks.
_MARKS_KEPT = 10_000
#: Phases that change more often than this are told by their shares of each step alone.
_SPANS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """All GPUs of a run between two instants: nanoseconds by state and phase, energy, utilization and money.

    From `start_utc_ns` to `end_utc_ns` something was recorded: the first and the last step may be shorter than others.
    `phases` are GPU-nanoseconds by the phase that the run told, under "" what was before it told of any. `steps` is
    how far the run had come by its end, None where it told of no steps in it.
    """

    start_utc_ns: int
    end_utc_ns: int
    busy_nanoseconds: int = 0
    idle_nanoseconds: int = 0
    unknown_nanoseconds: int = 0
    microjoules: int = 0
    unmeasured_nanoseconds: int = 0
    utilized_nanoseconds: int = 0
    observed_nanoseconds: int = 0
    redone_nanoseconds: int = 0
    cost: Decimal = Decimal(0)
    phases: Mapping[str, int] = field(default_factory=dict)
    steps: int | None = None

    @property
    def nanoseconds(self) -> int:
        """GPU-time in all states."""
        return self.busy_nanoseconds + self.idle_nanoseconds + self.unknown_nanoseconds


@dataclass(frozen=True, slots=True)
class Span:
    """A time that one host spent in one phase; "" is before it told of any."""

    start_utc_ns: int
    end_utc_ns: int
    phase: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Steps in order of time, with nothing where nothing was recorded; checkpoints and goings-back as instants.

    `spans` are the phases of the first host that told of any, `spans_host`, exactly when they were: all hosts of a run
    tell of the same ones. There are none where they changed more often than anybody could draw.
    """

    steps: tuple[Step, ...] = ()
    step_nanoseconds: int = 0
    checkpoints_utc_ns: tuple[int, ...] = ()
    resumes_utc_ns: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    spans_host: str = ""


def timeline(paths: Sequence[Path], points: int = POINTS) -> Timeline:
    """The steps of a run, at most `points` of them, from its journals; what cannot be read is left out.

    Money is in the currency of each journal: paths of one currency belong together. A GPU that two meters held at the
    same time is drawn once, as it is counted.
    """
    grid, checkpoints, resumes, hosts = _Grid(points), set[int](), set[int](), dict[str, _Spans]()
    for path, elsewhere in _elsewhere(paths).items():
        rates: Rates | None = None
        spans, sharing = _Spans(), Sharing(elsewhere)
        try:
            for record in records(path, []):
                if isinstance(record, SlotEntry):
                    slot = sharing.ours(record.slot)
                    grid.add(slot, rates)
                    spans.add(slot)
                elif isinstance(record, Header):
                    spans = hosts.setdefault(record.host, spans)
                    sharing.time.begins(record.anchor)
                elif isinstance(record, RatesChange):
                    rates = record.rates
                elif isinstance(record, Mark) and len(checkpoints) + len(resumes) < _MARKS_KEPT:
                    {"checkpoint": checkpoints, "resume": resumes}.get(record.kind, set()).add(record.at_utc_ns)
        except JournalError:
            continue
    marks = tuple(sorted(checkpoints)), tuple(sorted(resumes))
    return Timeline(grid.steps(), grid.width_ns, *marks, *_first_told(hosts))


def timeline_of(slots: Iterable[tuple[str, Slot, Rates | None]], points: int = POINTS) -> Timeline:
    """The same from slots, those of each host in order of time, with the host and the rates in force; no marks."""
    grid, hosts = _Grid(points), dict[str, _Spans]()
    for host, slot, rates in slots:
        grid.add(slot, rates)
        hosts.setdefault(host, _Spans()).add(slot)
    spans, host = _first_told(hosts)
    return Timeline(grid.steps(), grid.width_ns, spans=spans, spans_host=host)


def _first_told(hosts: "Mapping[str, _Spans]") -> tuple[tuple[Span, ...], str]:
    """The phases of the first host that told of any, and which one that is."""
    return next(((spans.all, host) for host, spans in hosts.items() if spans.has_told), ((), ""))


def _elsewhere(paths: Sequence[Path]) -> dict[Path, Windows]:
    """What of each journal counts from another one, without copies; none is read for it where there is but one."""
    if len(paths) == 1:
        return {paths[0]: {}}
    parts = {}
    for path in paths:
        with contextlib.suppress(JournalError):
            parts[path] = fold_path(path)
    for copy in copied(tuple(parts.items())):
        del parts[copy]
    return dict(zip(parts, metered_elsewhere(tuple(parts.values())), strict=True))


class _Spans:
    """The phases of one host in the making, neighbours of one phase as one; none once they are too many."""

    def __init__(self) -> None:
        self._spans: list[Span] | None = []
        self.has_told = False

    @property
    def all(self) -> tuple[Span, ...]:
        """In order of time."""
        return tuple(sorted(self._spans or (), key=lambda span: span.start_utc_ns))

    def add(self, slot: Slot) -> None:
        """One slot more."""
        self.has_told = self.has_told or bool(slot.phase)
        if self._spans is None or slot.start_utc_ns >= slot.end_utc_ns or not slot.devices:
            return
        start_ns = slot.start_utc_ns
        if self._spans and self._spans[-1].phase == slot.phase and self._spans[-1].end_utc_ns == start_ns:
            start_ns = self._spans.pop().start_utc_ns
        self._spans.append(Span(start_ns, slot.end_utc_ns, slot.phase))
        if len(self._spans) > _SPANS_KEPT:
            self._spans = None


#: The integers of a `Step` in its order, from busy nanoseconds to money in 1e-12.
_NO_SUMS: tuple[int, ...] = (0,) * 9


class _Cell:
    """One step in the making: the instants between which something was recorded, and sums as in `Step`."""

    __slots__ = ("end_ns", "phases", "start_ns", "steps", "sums")

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns
        self.sums = _NO_SUMS
        self.phases: dict[str, int] = {}
        self.steps: int | None = None

    def take(self, other: "_Cell") -> None:
        """Add what is in another."""
        self.start_ns, self.end_ns = min(self.start_ns, other.start_ns), max(self.end_ns, other.end_ns)
        self.sums = tuple(map(add, self.sums, other.sums))
        for phase, nanoseconds in other.phases.items():
            self.phases[phase] = self.phases.get(phase, 0) + nanoseconds
        if other.steps is not None:
            self.steps = max(other.steps, self.steps or 0)

    @property
    def step(self) -> Step:
        """The step it has become."""
        busy_ns, idle_ns, unknown_ns, energy_uj, unmeasured_ns, utilized_ns, observed_ns, redone_ns, cost = self.sums
        return Step(
            self.start_ns,
            self.end_ns,
            busy_ns,
            idle_ns,
            unknown_ns,
            energy_uj,
            unmeasured_ns,
            utilized_ns,
            observed_ns,
            redone_ns,
            Decimal(cost).scaleb(-QUANTUM_DIGITS),
            self.phases,
            self.steps,
        )


class _Grid:
    """Steps on the clock, by their number since 1970; no more of them than `points`."""

    def __init__(self, points: int) -> None:
        self.width_ns = _FINEST_NS
        self._points = points
        self._cells: dict[int, _Cell] = {}

    def add(self, slot: Slot, rates: Rates | None) -> None:
        """One slot more, under the rates in force; without any it costs nothing that is known."""
        length_ns = slot.end_utc_ns - slot.start_utc_ns
        while length_ns > self.width_ns * self._points:
            self._widen()
        sums, before, start_ns = _sums(slot, rates), _NO_SUMS, slot.start_utc_ns
        while start_ns < slot.end_utc_ns:
            number = start_ns // self.width_ns
            end_ns = min(slot.end_utc_ns, (number + 1) * self.width_ns)
            upto = tuple(portion(each, end_ns - slot.start_utc_ns, length_ns) for each in sums)
            piece = _Cell(start_ns, end_ns)
            piece.sums = tuple(after - earlier for after, earlier in zip(upto, before, strict=True))
            piece.phases = {slot.phase: sum(piece.sums[:3])}
            piece.steps = slot.progress.steps if slot.progress and end_ns == slot.end_utc_ns else None
            self._cells.setdefault(number, _Cell(start_ns, end_ns)).take(piece)
            before, start_ns = upto, end_ns
        while len(self._cells) > self._points:
            self._widen()

    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return tuple(self._cells[number].step for number in sorted(self._cells))

    def _widen(self) -> None:
        """Steps twice as long, every two of them as one."""
        self.width_ns *= 2
        cells: dict[int, _Cell] = {}
        for number, cell in self._cells.items():
            known = cells.setdefault(number // 2, cell)
            if known is not cell:
                known.take(cell)
        self._cells = cells


def _sums(slot: Slot, rates: Rates | None) -> tuple[int, ...]:
    """All GPUs of a slot as the integers of a `Step`, in its order, money in 1e-12."""
    busy_ns = idle_ns = unknown_ns = energy_uj = unmeasured_ns = utilized_ns = observed_ns = 0
    for each in slot.devices.values():
        busy_ns += each.busy_nanoseconds
        idle_ns += each.idle_nanoseconds
        unknown_ns += each.unknown_nanoseconds
        energy_uj += each.busy_microjoules + each.idle_microjoules + each.unknown_microjoules
        unmeasured_ns += each.unmeasured_nanoseconds
        utilized_ns += each.utilized_nanoseconds
        observed_ns += each.observed_nanoseconds
    redone_ns = busy_ns + idle_ns + unknown_ns if slot.redone else 0
    cost = int(_cost(slot, rates).scaleb(QUANTUM_DIGITS))
    return busy_ns, idle_ns, unknown_ns, energy_uj, unmeasured_ns, utilized_ns, observed_ns, redone_ns, cost


def _cost(slot: Slot, rates: Rates | None) -> Decimal:
    """What a slot comes to, charges less credits."""
    if rates is None:
        return _NOTHING
    charged = charge(priced_only(slot, rates)[0], rates).values()
    paid = sum((sum(each.charges.values(), _NOTHING) for each in charged), _NOTHING)
    return paid - sum((sum(each.credits.values(), _NOTHING) for each in charged), _NOTHING)
