"""A node's slot divided among those who hold its GPUs: all shares together are the slot, to the last nanosecond."""

from collections.abc import Iterable
from dataclasses import replace

from costmeter.meter.holder import Holder
from costmeter.meter.share import shares
from costmeter.meter.slot import Quantities, Slot


def by_holder(slot: Slot) -> dict[Holder | None, Slot]:
    """What each holder's GPUs did in this slot; under None what nobody held.

    The driver does not prove whose work on a shared GPU took which energy, so that holders of one GPU have equal parts
    of its time and its energy (Σ = the GPU's, and none ever falls: `shares`). Each is a slot of its own, in the phase
    of its holder; why a GPU was idle holds for all who held it, and of what nobody held there is no reason.
    """
    held: dict[Holder | None, dict[str, Quantities]] = {}
    for uuid, quantities in slot.devices.items():
        holders = slot.holders.get(uuid, ())
        if not holders:
            held.setdefault(None, {})[uuid] = quantities
            continue
        for holder, part in zip(_in_order(holders), shares(quantities, len(holders)), strict=True):
            held.setdefault(holder, {})[uuid] = part
    return {holder: _slot_of(slot, holder, devices) for holder, devices in held.items()}


def _in_order(holders: Iterable[Holder]) -> list[Holder]:
    """By user and run, so that who came first changes no share."""
    return sorted(holders)


def _slot_of(slot: Slot, holder: Holder | None, devices: dict[str, Quantities]) -> Slot:
    own = replace(slot, devices=devices, counters_microjoules={}, standings={}, holders={})
    if holder is None:
        return replace(own, phase="", redone=False, reasons={})
    reasons = {uuid: reason for uuid, reason in slot.reasons.items() if uuid in devices}
    return replace(own, phase=holder.phase, redone=holder.redone, reasons=reasons)
