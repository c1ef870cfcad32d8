"""The runs that a user meters without an agent, in the shape of a node's JSON: what `top` shows where there is none."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from costmeter import __version__
from costmeter.ledger.liveruns import LiveRun
from costmeter.meter.charge import cost_per_hour
from costmeter.meter.progress import UNTOLD
from costmeter.meter.slot import ZERO, Quantities, Slot
from costmeter.outputs.figures import plain
from costmeter.outputs.gpus import shown_order
from costmeter.outputs.receipt import timestamp
from costmeter.units import watts_from_energy


def nodes_of(runs: Sequence[LiveRun], at_utc_ns: int) -> list[dict[str, Any]]:
    """One for each host and currency, and for what is simulated, since those never add up."""
    groups: dict[tuple[str, bool, str], list[LiveRun]] = {}
    for run in runs:
        header = run.part.header
        groups.setdefault((header.host, header.simulated, run.so_far.currency), []).append(run)
    return [_node(of, at_utc_ns) for _, of in sorted(groups.items(), key=lambda item: item[0])]


def _node(runs: Sequence[LiveRun], at_utc_ns: int) -> dict[str, Any]:
    gpus = [gpu for run in runs for gpu in _gpus(run)]
    return {
        "version": __version__,
        "host": runs[0].part.header.host,
        "at": timestamp(at_utc_ns),
        "simulated": runs[0].part.header.simulated,
        "currency": runs[0].so_far.currency,
        "now": {
            "per_hour": _sum(gpus),
            "idle_per_hour": _sum([gpu for gpu in gpus if gpu["state"] == "idle"]),
            "unheld_per_hour": "0",
            "unpriced_gpus": sum(gpu["per_hour"] is None for gpu in gpus),
        },
        "today": None,
        "today_since": None,
        "gpus": gpus,
        "runs": [_run(run) for run in runs],
        "health": None,
    }


def _sum(gpus: Sequence[dict[str, Any]]) -> str | None:
    known = [Decimal(gpu["per_hour"]) for gpu in gpus if gpu["per_hour"] is not None]
    return None if gpus and not known else plain(sum(known, Decimal(0)))


def _run(run: LiveRun) -> dict[str, Any]:
    slot, header = run.open_slot, run.part.header
    told = (slot.progress if slot is not None else None) or run.so_far.summary.progress or UNTOLD
    return {
        "run": header.run,
        "uid": 0,
        "user": header.user,
        "name": header.name,
        "ended": None,
        "cost": plain(run.so_far.summary.whole.cost),
        "phase": (slot.phase or None) if slot is not None else None,
        "step": told.steps,
        "of_steps": told.of_steps,
    }


def _gpus(run: LiveRun) -> list[dict[str, Any]]:
    holder = {"run": run.part.header.run, "uid": 0, "user": run.part.header.user, "source": "announced"}
    slot = run.open_slot
    return [
        {
            "uuid": device.uuid,
            "index": device.index,
            "model": device.name,
            **_did(None if slot is None else slot.devices.get(device.uuid)),
            "memory_used_bytes": None,
            "since": None,
            "reason": None,
            "per_hour": _per_hour(run, device.uuid, slot),
            "holders": [holder],
        }
        for device in sorted(run.part.devices.values(), key=shown_order)
    ]


def _did(held: Quantities | None) -> dict[str, Any]:
    """What a GPU did in the slot that is open: for most of it; nothing is known of one that has not begun."""
    if held is None or not held.nanoseconds:
        return {"utilization": None, "power_watts": None, "state": "unknown"}
    times = {"busy": held.busy_nanoseconds, "unknown": held.unknown_nanoseconds, "idle": held.idle_nanoseconds}
    known_ns = held.nanoseconds - held.unmeasured_nanoseconds
    return {
        "utilization": held.mean_utilization,
        "power_watts": watts_from_energy(held.microjoules, held.nanoseconds) if known_ns > 0 else None,
        "state": max(times, key=lambda state: times[state]),
    }


def _per_hour(run: LiveRun, uuid: str, slot: Slot | None) -> str | None:
    """With power as it was in the open slot."""
    held = (None if slot is None else slot.devices.get(uuid)) or ZERO
    energy_uj = held.microjoules + held.host_microjoules
    amount = cost_per_hour(run.part.rates, uuid, energy_uj, held.nanoseconds)
    return None if amount is None else plain(amount)
