"""Sunk cost: what went into work that is lost, or was done twice."""

from decimal import Decimal
from typing import Any

from costmeter.ledger.ending import Lost
from costmeter.ledger.query import Run
from costmeter.meter.charge import Origin
from costmeter.outputs.figures import plain
from costmeter.units import NANOSECONDS_PER_SECOND

#: Outcomes of which nobody can say that what was paid came to nothing.
_NOTHING_LOST = ("ok", "running", "unknown")
_NO_CHECKPOINT = "the run told of no checkpoint"
_WHY_NOTHING = {
    "ok": "the run ended well",
    "running": "the run still goes on",
    "unknown": "how the run ended is not known",
}
_PART_TOLD = "the hosts that told of none are left out"
#: Whose word steps, phases and checkpoints are.
TOLD_BY_JOB = "as told by the job"


def sunk_of(run: Run, outcome: str, lost: Lost | None) -> dict[str, Any]:
    """What a run that ended like this has sunk; `lost` is what it cost since its last checkpoint, where it told of one.

    The whole cost of a run that came to no good end; of any other the part that was done twice. A part after which a
    later one went on is judged by how that one ended. `reason` is there where nothing is known of what was lost.
    """
    cost, redone = run.totals.whole.cost, sum((part.redone.cost for part in run.parts), Decimal(0))
    redone_ns = sum(part.redone.quantities.nanoseconds for part in run.parts)
    return {
        "total": plain(redone if outcome in _NOTHING_LOST else cost),
        "lost_since_checkpoint": None if lost is None else plain(lost.cost),
        "lost_seconds": None if lost is None else lost.nanoseconds / NANOSECONDS_PER_SECOND,
        "reason": "" if lost is not None else _WHY_NOTHING.get(outcome, _NO_CHECKPOINT),
        "checkpoints": _checkpoints(run),
        "redone": plain(redone),
        "redone_gpu_seconds": redone_ns / NANOSECONDS_PER_SECOND,
    }


def last_checkpoint_utc_ns(run: Run) -> int | None:
    """When the last checkpoint of any host was whole; None where the run told of none."""
    return max((part.saved.at_utc_ns for part in run.parts if part.saved), default=None)


def sunk_origins(run: Run, lost: Lost | None) -> dict[str, Origin]:
    """How the figures of `sunk` are known: by what the job told, as far as it did."""
    origins = {}
    if lost is not None:
        hosts = {part.header.host for part in run.parts}
        silent = hosts - {part.header.host for part in run.parts if part.saved}
        detail = f"checkpoints {TOLD_BY_JOB}"
        origins["sunk.lost_since_checkpoint"] = (
            Origin("estimated", f"{detail}; {_PART_TOLD}") if silent else Origin("measured", detail)
        )
    if any(part.redone.quantities.nanoseconds for part in run.parts):
        origins["sunk.redone"] = Origin("measured", f"steps {TOLD_BY_JOB}")
    return origins


def _checkpoints(run: Run) -> int:
    """Checkpoints of the host that told of the most: every node of a run tells of the same ones."""
    by_host: dict[str, int] = {}
    for part in run.parts:
        by_host[part.header.host] = by_host.get(part.header.host, 0) + part.checkpoints
    return max(by_host.values())
