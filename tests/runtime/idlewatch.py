"""One GPU whose idleness is watched, without a recorder: who may hold it, and what it does in an interval."""

from decimal import Decimal

from costmeter.clock import Anchor
from costmeter.meter.holder import Holder
from costmeter.meter.interval import Interval
from costmeter.runtime.idling import Idling
from tests.samples import SECOND

MINUTE = 60 * SECOND
GPU = "GPU-1"
LEE, MAYA = Holder(1002, "", "lee", "user"), Holder(1001, "r-1", "maya", "announced")
ANCHOR = Anchor(0, 0)


def interval(start_ns: int, end_ns: int, does: str) -> Interval:
    """An interval of the GPU that computes, spins, does nothing or is silent."""
    state, utilization = {"busy": ("busy", 0.9), "spins": ("idle", 1.0), "idle": ("idle", 0.0)}.get(
        does, ("unknown", None)
    )
    return Interval(GPU, start_ns, end_ns, state, 0, "counter", utilization)  # type: ignore[arg-type]  # from a table


def idling() -> Idling:
    """Knows of nobody yet; idle time has always cost 7."""
    return Idling(lambda _: Decimal(7))
