"""Where a run's money and time went by phase: what the run told that it was doing, and what was before it told."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Part, Run
from costmeter.meter.progress import START_UP
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.figures import plain
from costmeter.units import MICROJOULES_PER_JOULE, NANOSECONDS_PER_SECOND

#: What a host was doing that never told, beside others of its run that did.
NOT_TOLD = "not told"


@dataclass(frozen=True, slots=True)
class PhaseUse:
    """What one phase took of all GPUs: money, GPU-nanoseconds by state, and the GPUs' energy in microjoules."""

    cost: Decimal = Decimal(0)
    busy_nanoseconds: int = 0
    idle_nanoseconds: int = 0
    unknown_nanoseconds: int = 0
    microjoules: int = 0

    def __add__(self, other: "PhaseUse") -> "PhaseUse":
        return PhaseUse(
            self.cost + other.cost,
            self.busy_nanoseconds + other.busy_nanoseconds,
            self.idle_nanoseconds + other.idle_nanoseconds,
            self.unknown_nanoseconds + other.unknown_nanoseconds,
            self.microjoules + other.microjoules,
        )

    def __sub__(self, other: "PhaseUse") -> "PhaseUse":
        return PhaseUse(
            self.cost - other.cost,
            self.busy_nanoseconds - other.busy_nanoseconds,
            self.idle_nanoseconds - other.idle_nanoseconds,
            self.unknown_nanoseconds - other.unknown_nanoseconds,
            self.microjoules - other.microjoules,
        )


def phases_of(run: Run) -> dict[str, PhaseUse]:
    """Every phase of a run in order of first appearance; their sum is the run. Empty where it never told of any.

    What a host was at before its first word is `start-up`, as is what it called so. A host that never had a word was at
    nobody knows what.
    """
    told = {part.header.host for part in run.parts if _has_told(part)}
    phases: dict[str, PhaseUse] = {}
    for part in run.parts if told else ():
        before = START_UP if part.header.host in told else NOT_TOLD
        for name, use in _of(part, before).items():
            phases[name] = phases.get(name, PhaseUse()) + use
    return phases


def phase_rows(phases: Mapping[str, PhaseUse]) -> list[dict[str, Any]]:
    """Phases as the receipt has them."""
    return [
        {
            "name": name,
            "cost": plain(use.cost),
            "gpu_seconds": {
                "busy": use.busy_nanoseconds / NANOSECONDS_PER_SECOND,
                "idle": use.idle_nanoseconds / NANOSECONDS_PER_SECOND,
                "unknown": use.unknown_nanoseconds / NANOSECONDS_PER_SECOND,
            },
            "joules": use.microjoules / MICROJOULES_PER_JOULE,
        }
        for name, use in phases.items()
    ]


def _has_told(part: Part) -> bool:
    return bool(part.phases) or part.progress is not None


def _of(part: Part, before: str) -> dict[str, PhaseUse]:
    """The phases of one part; first, where there is any, what no phase has, with what was told under that very name."""
    told = {name: _use(totals) for name, totals in part.phases.items()}
    rest = _use(part.totals.whole)
    for use in told.values():
        rest = rest - use
    return told if rest == PhaseUse() else {before: rest} | told | {before: rest + told.get(before, PhaseUse())}


def _use(totals: DeviceTotals) -> PhaseUse:
    quantities = totals.quantities
    return PhaseUse(
        totals.cost,
        quantities.busy_nanoseconds,
        quantities.idle_nanoseconds,
        quantities.unknown_nanoseconds,
        quantities.microjoules,
    )
