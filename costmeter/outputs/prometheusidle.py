"""What a metrics page says of idle GPUs: what they have cost by reason, the reason in force, and since when."""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from costmeter.meter.idling import REASONS, IdleSpell, IdleUse, Reason
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.prometheustext import Sheet, labels
from costmeter.units import NANOSECONDS_PER_SECOND

#: The labels of so many devices are made once and not at every scrape.
_GPUS_KEPT = 2_048
_NOTHING: Mapping[Reason, IdleUse] = {}
_NONE: Mapping[Reason, bool] = {}


def add_idle_costs(sheet: Sheet, snapshot: NodeSnapshot, has_zeros: bool) -> None:
    """Charges of closed slots, since the reason of an open one may change, by each reason that has been.

    Where the page `has_zeros`, a new reason stands at 0 first.
    """
    sheet.add("gpu_idle_cost_{currency}", _costs(snapshot, has_zeros))


def add_idle_reasons(sheet: Sheet, devices: Collection[str], idle: Mapping[str, IdleSpell]) -> None:
    """Of every device that is idle for a reason now, that reason, and since when it has been idle."""
    spells = [(uuid, idle[uuid]) for uuid in devices if uuid in idle]
    sheet.add("gpu_idle_reason", [(_labels(uuid)[spell.reason], 1.0) for uuid, spell in spells])
    since = [(_gpu_labels(uuid), spell.since_utc_ns / NANOSECONDS_PER_SECOND) for uuid, spell in spells]
    sheet.add("gpu_idle_since_timestamp_seconds", since)


def _costs(snapshot: NodeSnapshot, has_zeros: bool) -> Iterator[tuple[str, float]]:
    part, known = snapshot.part, snapshot.idle_reasons
    for uuid in part.devices:
        if uuid not in part.idle and uuid not in known:
            continue
        uses, risen = part.idle.get(uuid, _NOTHING), known.get(uuid, _NONE)
        for reason, text in _labels(uuid).items():
            if reason in uses or reason in risen:
                is_shown = reason in uses and (not has_zeros or risen.get(reason, True))
                yield text, float(uses[reason].charges) if is_shown else 0.0


@lru_cache(_GPUS_KEPT)
def _gpu_labels(uuid: str) -> str:
    return labels(gpu_uuid=uuid)


@lru_cache(_GPUS_KEPT)
def _labels(uuid: str) -> dict[Reason, str]:
    """The labels of a device with each of the reasons, in their order."""
    return {reason: labels(gpu_uuid=uuid, reason=reason) for reason in REASONS}
