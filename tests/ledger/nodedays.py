"""Days of a node as an agent may write them: runs that come, share GPUs, change phase and go, from a seed."""

import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from costmeter.ledger.node.record import Holders, Line, Opening, RunEnded, RunFacts, RunSeen
from costmeter.ledger.record import Mark, RatesChange, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder
from costmeter.meter.idling import REASONS, Reason
from costmeter.meter.slot import Quantities, Slot
from costmeter.readings import Device
from tests.samples import BEGAN_UTC_NS, MINUTE, device, held, owned, rates, rental, uuids

#: A node of two models, of which the last GPU is not always listed.
GPUS = (device(0), device(1), device(2, "NVIDIA A100-SXM4-80GB"))
PEOPLE = ((1001, "maya"), (1002, "lee"))
_METHODS = ("counter", "power", "estimated")


def facts(holder: Holder, at_utc_ns: int = BEGAN_UTC_NS, **changes: object) -> RunFacts:
    """What is known of a holder's run."""
    return replace(RunFacts.of(holder, at_utc_ns), **changes)  # type: ignore[arg-type]


def node_day(seed: int, slots: int = 60, gpus: tuple[Device, ...] = GPUS) -> list[Line]:
    """All that follows the header of a file: some stretches long, some of one slot, some shared, prices that change."""
    rng = random.Random(seed)
    records: list[Line] = [Opening(BEGAN_UTC_NS), held(gpus), RatesChange(BEGAN_UTC_NS, _prices(rng, gpus))]
    at, live = 0, list[Holder]()
    while at < slots:
        records += _turn(rng, BEGAN_UTC_NS + at * MINUTE, gpus, live)
        length = min(slots - at, rng.choice((1, 2, 5, 9, 20)))
        kind = rng.choice(_METHODS)
        records += [_slot(rng, number, gpus, kind) for number in range(at, at + length)]
        at += length
    return records


def _turn(rng: random.Random, at_utc_ns: int, gpus: tuple[Device, ...], live: list[Holder]) -> Iterator[Line]:
    """What happens between two slots: a run comes or goes, somebody else holds a GPU, or other prices hold."""
    if rng.random() < 0.5:
        uid, user = rng.choice(PEOPLE)
        new = Holder(uid, f"r-{rng.randrange(4)}", user, "announced", rng.choice(("", "train")), rng.random() < 0.2)
        if all(each.key != new.key for each in live):
            live.append(new)
            yield RunSeen(at_utc_ns, facts(new, at_utc_ns, name=rng.choice(("", "sft")), labels={"project": "llm"}))
    if live and rng.random() < 0.3:
        gone = live.pop(rng.randrange(len(live)))
        yield RunEnded(at_utc_ns, gone.key, rng.choice(("ok", "failed", "unknown")), rng.choice((None, 0, 1)))
    if rng.random() < 0.2:
        yield RatesChange(at_utc_ns, _prices(rng, gpus))
    if rng.random() < 0.2:
        yield Mark(at_utc_ns, "gap", "somewhere")
    users = [Holder(uid, "", user, "user") for uid, user in PEOPLE]
    if rng.random() < 0.8:
        found = {each.uuid: tuple(rng.sample([*live, *users], rng.choice((0, 1, 1, 1, 2)))) for each in gpus}
        yield Holders(at_utc_ns, {uuid: holders for uuid, holders in found.items() if holders})


def _prices(rng: random.Random, gpus: tuple[Device, ...]) -> Rates:
    of = owned("0.7705", embodied="4.68") if rng.random() < 0.5 else rental(rng.choice(("2.49", "3.60")))
    electricity, grams = Decimal(rng.choice(("0.16853", "-0.01"))), Decimal(380)
    return rates(
        dict.fromkeys(uuids(gpus), of), electricity_per_kwh=electricity, pue=Decimal("1.2"), carbon_grams_per_kwh=grams
    )


def _slot(rng: random.Random, number: int, gpus: tuple[Device, ...], kind: str) -> SlotEntry:
    start = BEGAN_UTC_NS + number * MINUTE
    devices = {uuid: _quantities(rng, kind) for uuid in uuids(gpus)}
    counters = dict.fromkeys(devices, number * 60000000)
    return SlotEntry(Slot(start, start + MINUTE, devices, counters, number, reasons=_reasons(rng, devices)))


def _reasons(rng: random.Random, devices: dict[str, Quantities]) -> dict[str, Reason]:
    """Why they were idle: mostly all for one reason, now and then each for its own, or nobody knows."""
    word, kind = rng.choice(REASONS), rng.random()
    if kind < 0.2:
        return {}
    words = {uuid: word if kind < 0.7 else rng.choice((*REASONS, None)) for uuid in devices}
    idle = (uuid for uuid, each in devices.items() if each.idle_nanoseconds or each.idle_microjoules)
    return {uuid: reason for uuid in idle if (reason := words[uuid]) is not None}


def _quantities(rng: random.Random, kind: str) -> Quantities:
    idle_ns, idle_uj, busy_uj = rng.choice((0, rng.randrange(MINUTE))), rng.randrange(10**6), rng.randrange(10**10)
    ways = dict.fromkeys((f"{each}_microjoules" for each in _METHODS), 0)
    first = busy_uj if rng.random() < 0.8 else rng.randrange(busy_uj + 1)
    ways[f"{kind}_microjoules"], ways["estimated_microjoules"] = first, 0
    ways["estimated_microjoules"] += busy_uj + idle_uj - first
    if kind == "estimated":
        ways["estimated_microjoules"] = busy_uj + idle_uj
    observed_ns = rng.choice((0, MINUTE))
    return Quantities(
        MINUTE - idle_ns,
        idle_ns,
        0,
        busy_uj,
        idle_uj,
        0,
        0,
        **ways,
        utilized_nanoseconds=observed_ns // 3,
        observed_nanoseconds=observed_ns,
        busy_host_microjoules=rng.randrange(99),
    )
