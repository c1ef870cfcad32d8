"""The node as data: the public JSON contract `costmeter.node/1`, made from one snapshot of its agent.

Money is text, because binary floats cannot hold it. Watts, ratios, kWh, grams and seconds are numbers, rendered from
integers. What is not known is null: a GPU without a price has no cost per hour, and one that is silent no power.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter import __version__
from costmeter.ledger.node.query import NodePart
from costmeter.ledger.node.record import RunAccount
from costmeter.meter.activity import UNHELD
from costmeter.meter.charge import Rates, cost_per_hour
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.idleuse import idle_use
from costmeter.meter.interval import Interval
from costmeter.meter.progress import UNTOLD
from costmeter.meter.totals import DeviceTotals, by_state, net
from costmeter.outputs.figures import plain
from costmeter.outputs.gpus import shown_order
from costmeter.outputs.looked import NOT_LOOKED, Looked, OnGpu
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.receipt import timestamp
from costmeter.readings import Device, Mig, Missing
from costmeter.units import (
    MICROGRAMS_PER_GRAM,
    MICROJOULES_PER_KWH,
    NANOSECONDS_PER_SECOND,
    watts_from_energy,
)

SCHEMA = "costmeter.node/1"
#: What a holder's part of a cost per hour is rounded to.
_STEP = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Passed:
    """When the metrics were last read over HTTP, and last written for node_exporter and where; None: never."""

    read_utc_ns: int | None = None
    written_utc_ns: int | None = None
    folder: str | None = None


def node_json(snapshot: NodeSnapshot, passed: Passed = Passed(), looked: Looked = NOT_LOOKED) -> dict[str, Any]:
    """The node as it is now: its GPUs, the runs that have series, and what all of it came to since the counters began.

    Runs are in the order in which they came. A run's cost is its cost on this node.
    """
    part = snapshot.node
    gpus = [_Gpu(snapshot, part, device) for device in sorted(part.devices.values(), key=shown_order)]
    held: dict[RunKey, list[_Gpu]] = {}
    for gpu in gpus:
        for key in {holder.key for holder in gpu.holders}:
            held.setdefault(key, []).append(gpu)
    runs = [part.accounts[key] for key in snapshot.shown if key in part.accounts]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "host": part.header.host,
        "at": timestamp(snapshot.at_utc_ns),
        "simulated": part.header.simulated,
        "currency": part.header.currency,
        "now": _now(gpus),
        **_today(snapshot, part),
        "gpus": [gpu.row(looked.processes.get(gpu.device.uuid, ())) for gpu in gpus],
        "runs": [_run(snapshot, account, held.get(account.facts.key, ())) for account in runs],
        "totals": _totals(part),
        "health": _health(snapshot)
        | {
            "last_scrape": _known(passed.read_utc_ns),
            "last_written": _known(passed.written_utc_ns),
            "written_to": passed.folder,
        },
    }


def _known(utc_ns: int | None) -> str | None:
    return None if utc_ns is None else timestamp(utc_ns)


class _Gpu:
    """One device of a snapshot: what it does, who holds it, and what it costs per hour by the last interval."""

    def __init__(self, snapshot: NodeSnapshot, part: NodePart, device: Device) -> None:
        slot = snapshot.open_slot
        is_silent = device.board in snapshot.seen.silent
        holders = part.holders if slot is None else slot.holders
        self.device = device
        self.holders: Sequence[Holder] = sorted(holders.get(device.uuid, ()))
        self.interval = None if is_silent else snapshot.seen.intervals.get(device.uuid)
        self.state = _state(self.holders, self.interval)
        self.per_hour = _per_hour(device.uuid, self.interval, part.rates)
        self._slow = None if is_silent else snapshot.seen.slow.get(device.uuid)
        self._since_ns = snapshot.since_utc_ns.get(device.uuid)
        self._spell = snapshot.idle.get(device.uuid)
        self._watched = snapshot.idle_times.get(device.uuid)
        self._totals = part.held.devices.get(device.uuid, DeviceTotals())
        self._unheld = part.unheld.devices.get(device.uuid, DeviceTotals())

    def row(self, processes: Sequence[OnGpu]) -> dict[str, Any]:
        """The device as JSON, with the processes on it that can be seen."""
        device, limit = self.device, self.device.power_limit_watts
        memory = None if self._slow is None else self._slow.memory_used_bytes
        return {
            "uuid": device.uuid,
            "index": device.index,
            "model": device.name,
            "mig": None if device.mig is None else _slices(device.mig),
            "utilization": None if self.interval is None else self.interval.utilization_ratio,
            "power_watts": _watts(self.interval),
            "power_limit_watts": None if isinstance(limit, Missing) else limit,
            "memory_used_bytes": None if isinstance(memory, Missing) else memory,
            "state": self.state,
            "since": None if self._since_ns is None else timestamp(self._since_ns),
            **self._idle(),
            **self._times(),
            "per_hour": None if self.per_hour is None else plain(self.per_hour),
            "holders": [_holder(holder) for holder in self.holders],
            "processes": [{"pid": each.pid, "user": each.user} for each in processes],
            "cost": {**_by_state(self._totals), UNHELD: plain(self._unheld.cost)},
        }

    def _idle(self) -> dict[str, str | None]:
        """Why it is idle, since when, and what its idle time has cost since; what was paid back is not taken off."""
        spell = self._spell
        if spell is None or not self.holders:  # it changes hands just now
            return {"reason": None, "reason_since": None, "idle_cost": None}
        idle = idle_use(self._totals)
        cost = idle.cost - spell.cost_before
        if not idle.credits:  # what is only charged never falls, though prices changed within a slot
            cost = max(Decimal(0), cost)
        return {"reason": spell.reason, "reason_since": timestamp(spell.since_utc_ns), "idle_cost": plain(cost)}

    def _times(self) -> dict[str, float | None]:
        """For how long it was seen to be idle since, and to compute in between; what nobody saw is in neither."""
        times = None if self._spell is None or not self.holders else self._watched
        return {
            "idle_seconds": None if times is None else times.idle_ns / NANOSECONDS_PER_SECOND,
            "busy_seconds": None if times is None else times.busy_ns / NANOSECONDS_PER_SECOND,
        }

    def share(self, key: RunKey) -> Decimal | None:
        """What a run pays per hour for it: holders of one GPU have equal parts."""
        if self.per_hour is None:
            return None
        own = sum(holder.key == key for holder in self.holders)
        return (self.per_hour * own / len(self.holders)).quantize(_STEP) if own else Decimal(0)


def _state(holders: Sequence[Holder], interval: Interval | None) -> str:
    if not holders:
        return UNHELD
    return "unknown" if interval is None else interval.state


def _per_hour(uuid: str, interval: Interval | None, rates: Rates | None) -> Decimal | None:
    """With power as it was in the last interval."""
    if interval is None:
        return cost_per_hour(rates, uuid, 0, 0)
    energy_uj = interval.microjoules + interval.host_microjoules
    return cost_per_hour(rates, uuid, energy_uj, interval.end_ns - interval.start_ns)


def _watts(interval: Interval | None) -> float | None:
    if interval is None or interval.method is None or interval.end_ns == interval.start_ns:
        return None
    return watts_from_energy(interval.microjoules, interval.end_ns - interval.start_ns)


def _slices(mig: Mig) -> dict[str, Any]:
    return {"board": mig.board, "slices": mig.width, "of": mig.slices, "split": mig.split}


def _holder(holder: Holder) -> dict[str, Any]:
    return {"run": holder.run or None, "uid": holder.uid, "user": holder.user, "source": holder.source}


def _now(gpus: Sequence[_Gpu]) -> dict[str, Any]:
    return {
        "per_hour": _sum(gpu.per_hour for gpu in gpus),
        "idle_per_hour": _sum(gpu.per_hour for gpu in gpus if gpu.state == "idle"),
        "unheld_per_hour": _sum(gpu.per_hour for gpu in gpus if gpu.state == UNHELD),
        "unpriced_gpus": sum(gpu.per_hour is None for gpu in gpus),
    }


def _sum(amounts: Iterable[Decimal | None]) -> str | None:
    """Of those that are known; None where there are some, and none is."""
    given = list(amounts)
    known = [amount for amount in given if amount is not None]
    return None if given and not known else plain(sum(known, Decimal(0)))


def _today(snapshot: NodeSnapshot, part: NodePart) -> dict[str, Any]:
    """What was metered of the day: from UTC midnight, or from when counters began after that."""
    if snapshot.opened is None:
        return {"today": None, "today_since": None}
    since_utc_ns, before = snapshot.opened
    return {"today": plain(part.totals.whole.cost - before), "today_since": timestamp(since_utc_ns)}


def _run(snapshot: NodeSnapshot, account: RunAccount, held: Sequence[_Gpu]) -> dict[str, Any]:
    facts, ended, whole = account.facts, account.ended, account.totals.whole
    now = held if ended is None else ()
    told = snapshot.furthest.get(facts.key, UNTOLD) if ended is None else ended.progress or UNTOLD
    return {
        "run": facts.run,
        "uid": facts.uid,
        "user": facts.user,
        "name": facts.name,
        "labels": dict(facts.labels),
        "job": facts.job,
        "pid": facts.pid or None,
        "source": facts.source,
        "started": timestamp(facts.started_utc_ns),
        "seen": timestamp(facts.seen_utc_ns),
        "ended": None if ended is None else timestamp(ended.at_utc_ns),
        "outcome": None if ended is None else ended.outcome,
        "gpus": [gpu.device.uuid for gpu in now] if ended is None else list(account.totals.devices),
        "cost": plain(whole.cost),
        "costs": _by_state(whole),
        **_use(whole),
        "per_hour": _sum(gpu.share(facts.key) for gpu in now),
        "state": _run_state(gpu.state for gpu in now),
        "phase": _phase(now, facts.key),
        "step": told.steps,
        "of_steps": told.of_steps,
    }


def _run_state(states: Iterable[str]) -> str | None:
    """Of a run that holds several GPUs: busy where one is, idle where all are; None where it holds none."""
    found = set(states)
    return next((state for state in ("busy", "unknown", "idle") if state in found), None)


def _phase(gpus: Sequence[_Gpu], key: RunKey) -> str | None:
    phases = (holder.phase for gpu in gpus for holder in gpu.holders if holder.key == key)
    return next((phase for phase in phases if phase), None)


def _totals(part: NodePart) -> dict[str, Any]:
    held, unheld = part.held.whole, part.unheld.whole
    return {
        "held": {"cost": plain(held.cost), "costs": _by_state(held), **_use(held)},
        UNHELD: {"cost": plain(unheld.cost), **_use(unheld)},
        "ended": dict(part.ended),
        "sunk": {outcome: plain(amount) for outcome, amount in part.sunk.items()},
    }


def _by_state(totals: DeviceTotals) -> dict[str, str]:
    return {state: plain(amount) for state, amount in by_state(net(totals.charges, totals.credits)).items()}


def _use(totals: DeviceTotals) -> dict[str, float]:
    return {
        "gpu_seconds": totals.quantities.nanoseconds / NANOSECONDS_PER_SECOND,
        "energy_kwh": totals.facility_microjoules / MICROJOULES_PER_KWH,
        "emissions_grams": totals.emitted_micrograms / MICROGRAMS_PER_GRAM,
    }


def _health(snapshot: NodeSnapshot) -> dict[str, Any]:
    last_ns, reload = snapshot.seen.last_answer_utc_ns, snapshot.reload
    return {
        "began": timestamp(snapshot.began_utc_ns),
        "journal_writable": snapshot.journal_writable,
        "collectors": dict(snapshot.collectors),
        "last_reading": None if last_ns is None else timestamp(last_ns),
        "silent": sorted(snapshot.seen.silent),
        "readings": snapshot.seen.readings,
        "failures": snapshot.seen.failures,
        "runs_hidden": snapshot.hidden,
        "runs_refused": snapshot.refused,
        "last_reload_successful": None if reload is None else reload.is_good,
    }
