"""The open slots of one meter: what is booked in them, who or what they were for, and what follows their closing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from costmeter.clock import Anchor
from costmeter.ledger.record import Mark
from costmeter.meter.holder import HeldBy
from costmeter.meter.idling import UNEXPLAINED, Reason
from costmeter.meter.interval import Interval
from costmeter.meter.progress import Progress
from costmeter.meter.slot import ZERO, Quantities, Slot
from costmeter.meter.standing import Standing
from costmeter.readings import Device
from costmeter.runtime.events import Told
from costmeter.runtime.minutes import Minutes

#: So many changes may wait for a device that does not answer; what comes on top changes the last of them.
STRETCHES_KEPT = 1_000

#: What is recorded where a stretch begins, after the slot before it.
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Stretch(Generic[R]):
    """From an instant on a run was in one phase, or devices had these holders; `begins` is what happened just then."""

    from_utc_ns: int
    phase: str = ""
    redone: bool = False
    progress: Progress | None = None
    holders: HeldBy = field(default_factory=dict)
    begins: tuple[R, ...] = ()


class Slots(Generic[R]):
    """Slots being filled, oldest first. A slot lies in one UTC minute and in one stretch."""

    def __init__(self, start_utc_ns: int) -> None:
        self._minutes = Minutes()
        self._stretches: list[Stretch[R]] = [Stretch(start_utc_ns)]
        self.start_utc_ns = start_utc_ns
        self.closed = 0

    @property
    def open_edge_utc_ns(self) -> int:
        """Where the oldest slot ends."""
        return self._minutes.edge_after(self.start_utc_ns)

    def edges(self) -> list[int]:
        """The ends of all slots that hold anything, oldest first."""
        return self._minutes.edges()

    @property
    def filled(self) -> frozenset[str]:
        """The devices of which any slot holds something."""
        return self._minutes.uuids

    def waiting_ns(self, uuid: str) -> int:
        """How much of a device's time lies in slots that are not closed."""
        return sum(self._minutes.held(edge, (uuid,))[uuid].nanoseconds for edge in self.edges())

    def book(self, interval: Interval, anchor: Anchor) -> None:
        """Add an interval to the slots it lies in."""
        self._minutes.book(interval, anchor, self.open_edge_utc_ns)

    def slot(
        self, edge_utc_ns: int, end_utc_ns: int, devices: Mapping[str, Device], counters_uj: dict[str, int],
        standings: Mapping[str, Standing],
    ) -> Slot:  # fmt: skip
        """The oldest slot as it stands. Counters, which it takes over, and standings are of everything that is booked.

        Of the counters what is booked already beyond the end of the slot is taken off, so that a gap begins where the
        slots end. Of a MIG instance only its own share of the board is booked, so its board's counter is left as it is.
        """
        doing = self._stretches[0]
        beyond = [later_utc_ns for later_utc_ns in self.edges() if later_utc_ns > edge_utc_ns]
        held = self._minutes.held(edge_utc_ns, devices)
        for later_utc_ns in beyond:
            for uuid, quantities in self._minutes.held(later_utc_ns, counters_uj).items():
                counters_uj[uuid] -= 0 if devices[uuid].mig else quantities.microjoules
        return Slot(
            self.start_utc_ns,
            end_utc_ns,
            held,
            counters_uj,
            self.closed,
            {} if beyond else standings,
            doing.phase,
            doing.redone,
            doing.progress,
            doing.holders,
            self._reasons(edge_utc_ns, end_utc_ns, held, doing),
        )

    def _reasons(
        self, edge_utc_ns: int, end_utc_ns: int, devices: Mapping[str, Quantities], doing: Stretch[R]
    ) -> dict[str, Reason]:
        """Why devices were idle that somebody held: each that was has a reason, be it that nobody knows one."""
        found = self._minutes.reasons(edge_utc_ns)
        idle = (uuid for uuid, did in devices.items() if did.idle_nanoseconds or uuid in found)
        held = (uuid for uuid in idle if self._is_held(uuid, doing))
        return {uuid: found[uuid] if uuid in found else self._unasked(uuid, end_utc_ns) for uuid in held}

    def _unasked(self, uuid: str, at_utc_ns: int) -> Reason:
        """Why a held device was idle up to an instant where nobody asked: who held it was told only afterwards."""
        return UNEXPLAINED

    def _is_held(self, uuid: str, doing: Stretch[R]) -> bool:
        """Whether somebody held a device meanwhile: a run holds all of its own."""
        return True

    def held_quantities(self, uuid: str) -> Quantities:
        """What a device did, while it was held, in the slots that are not closed."""
        held = ZERO
        for edge_utc_ns in self.edges():
            doing = [each for each in self._stretches if each.from_utc_ns < edge_utc_ns] or self._stretches
            if self._is_held(uuid, doing[-1]):
                held = held + self._minutes.held(edge_utc_ns, (uuid,))[uuid]
        return held

    def close(self, edge_utc_ns: int, end_utc_ns: int) -> tuple[R, ...]:
        """Forget the oldest slot, which has been recorded up to `end_utc_ns`; what is to be recorded after it."""
        self._minutes.drop(edge_utc_ns)
        self.closed += 1
        self.start_utc_ns = end_utc_ns
        begun = [stretch for stretch in self._stretches[1:] if stretch.from_utc_ns <= end_utc_ns]
        del self._stretches[: len(begun)]
        return tuple(record for stretch in begun for record in stretch.begins)

    def rest(self) -> tuple[R, ...]:
        """When nothing more will be booked: what happened at the very end."""
        return tuple(record for stretch in self._stretches[1:] for record in stretch.begins)

    def step(self, nanoseconds: int) -> None:
        """Follow the wall clock, which was stepped."""
        self.start_utc_ns += nanoseconds
        self._minutes.step(nanoseconds)
        first, *ahead = self._stretches
        self._stretches = [first, *(replace(each, from_utc_ns=each.from_utc_ns + nanoseconds) for each in ahead)]


class RunSlots(Slots[Mark]):
    """The slots of one run, cut where it does something else."""

    def tell(self, told: Told, at_utc_ns: int) -> tuple[Mark, ...]:
        """What the run said holds from an instant on, beyond which nothing is booked; the marks to write at once.

        Marks of an instant that a slot must be cut at come when that slot is closed.
        """
        last = self._stretches[-1]
        at_utc_ns = max(at_utc_ns, last.from_utc_ns)
        marks = progress_marks(told, at_utc_ns)
        is_same = (last.phase, last.redone) == (told.phase, told.redone) and last.progress is not None
        upto = last.progress if told.resumed is not None or last.progress is None else told.progress
        if (is_same and not marks) or len(self._stretches) >= STRETCHES_KEPT:
            self._stretches[-1] = replace(last, progress=told.progress, begins=(*last.begins, *marks))
            return ()
        if at_utc_ns <= self.start_utc_ns:
            self._stretches = [Stretch(self.start_utc_ns, told.phase, told.redone, told.progress)]
            return marks
        self._stretches[-1] = replace(last, progress=upto)
        self._stretches.append(Stretch(at_utc_ns, told.phase, told.redone, told.progress, begins=marks))
        self._minutes.cut(at_utc_ns)
        return ()


def progress_marks(told: Told, at_utc_ns: int) -> tuple[Mark, ...]:
    """What happened at an instant, as a journal says it."""
    marks = []
    if told.has_saved:
        steps = told.progress.steps
        marks.append(Mark(at_utc_ns, "checkpoint", "saved" if steps is None else f"saved at step {steps:,}"))
    if told.resumed is not None:
        to_steps, from_steps = told.resumed
        marks.append(Mark(at_utc_ns, "resume", f"went on from step {to_steps:,}, after {from_steps:,}"))
    return tuple(marks)
