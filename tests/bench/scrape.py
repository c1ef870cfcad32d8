"""Scrapes: the metrics page of a node, whole: the slot still open folded in, and the text.

Medians of many, in CPU time: what else the machine does only adds to it. The slot is half a minute old and all of it is
charged: rent, energy with an overhead, host and emissions; what was closed before is there as well. Every run holds
its share of the GPUs, and where there are more runs than GPUs they share them. Every GPU has been idle for three
reasons, and is so for one.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from costmeter.ledger.node.query import begin_node, fold_node_all
from costmeter.ledger.node.record import Holders, NodeRecord, RunFacts, RunSeen
from costmeter.ledger.record import Record, SlotEntry
from costmeter.meter.holder import Holder
from costmeter.meter.idling import IdleSpell, IdleUse, Reason
from costmeter.meter.interval import Interval
from costmeter.meter.slot import Quantities, Slot
from costmeter.outputs.nodepage import RunNames, page
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.snapshot import Seen
from costmeter.readings import Reading
from tests import samples
from tests.bench.table import Row
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, JOULE, MINUTE, SECOND

#: GPUs, runs, and what a scrape may take.
CASES = ((8, 1, 3.0), (8, 50, None), (1_024, 1, 60.0), (1_024, 50, 60.0))
_SCRAPES = {8: 201, 1_024: 21}


def measure() -> Iterator[Row]:
    """The page of small and large nodes, with few and many runs."""
    for gpus, runs, bar in CASES:
        snapshot, names = node(gpus, runs), RunNames()
        taken_ms = []
        for _ in range(_SCRAPES[gpus]):
            began = time.process_time_ns()
            text, _ = page(snapshot, "", names)
            taken_ms.append((time.process_time_ns() - began) / 1e6)
        size = f"{sum(not line.startswith(b'#') for line in text.splitlines()):,} series, {len(text) / 1e3:,.0f} kB"
        what = f"scrape, {gpus:,} GPUs, {runs} run{'s' if runs > 1 else ''}"
        yield Row(what, statistics.median(taken_ms), "ms", bar, size)


def node(gpus: int, runs: int) -> NodeSnapshot:
    """A node at work: all its GPUs are held, and one more minute is closed."""
    devices = samples.devices(gpus)
    rates = samples.rates(
        {each.uuid: samples.rental("2.49", embodied="4.7") for each in devices},
        electricity_per_kwh=Decimal("0.12"),
        pue=Decimal("1.2"),
        carbon_grams_per_kwh=Decimal(380),
    )
    holders = [Holder(1_000 + number, f"r-{number:012}", f"user{number}", "announced") for number in range(runs)]
    held = {
        each.uuid: tuple(holders[number] for number in range(runs) if number % gpus == each.index % min(gpus, runs))
        for each in devices
    }
    of = {each.uuid: _worked(each.index) for each in devices}
    closed = Slot(BEGAN_UTC_NS, BEGAN_UTC_NS + MINUTE, of, holders=held)
    still_open = replace(closed, start_utc_ns=closed.end_utc_ns, end_utc_ns=closed.end_utc_ns + MINUTE // 2, number=1)
    seen = [RunFacts(h.uid, h.run, h.user, h.source, BEGAN_UTC_NS, BEGAN_UTC_NS, f"run {h.run}") for h in holders]
    records: list[Record | NodeRecord] = [
        samples.held(devices),
        samples.rates_from_start(rates),
        *(RunSeen(BEGAN_UTC_NS, facts) for facts in seen),
        Holders(BEGAN_UTC_NS, held),
        SlotEntry(closed),
    ]
    part = fold_node_all(begin_node(samples.header(meter="agent", run="", command=None)), records)
    now_ns = BEGAN_NS + 90 * SECOND
    use, spell = IdleUse(MINUTE, Decimal("0.04")), IdleSpell("waiting-for-data", BEGAN_UTC_NS, Decimal(0))
    idle: dict[str, dict[Reason, IdleUse]] = {
        each.uuid: {"start-up": use, "checkpoint": use, "waiting-for-data": use} for each in devices
    }
    part = replace(part, idle=idle)
    return NodeSnapshot(
        BEGAN_UTC_NS + 90 * SECOND,
        BEGAN_UTC_NS,
        part,
        still_open,
        Seen(
            {e.uuid: Interval(e.uuid, now_ns - SECOND, now_ns, "busy", 650 * JOULE, "counter", 0.98) for e in devices},
            {e.uuid: Reading(e.uuid, now_ns, 5, 650.0, 0.98, 68_719_476_736) for e in devices},
            readings=91 * gpus,
            last_answer_utc_ns=BEGAN_UTC_NS + 90 * SECOND,
        ),
        shown=tuple(part.accounts),
        idle=dict.fromkeys(idle, spell),
        idle_reasons={uuid: dict.fromkeys(of, True) for uuid, of in idle.items()},
    )


def _worked(index: int) -> Quantities:
    """Half a minute of a GPU that computed most of it."""
    busy_ns = 25 * SECOND + index
    return Quantities(
        busy_nanoseconds=busy_ns,
        idle_nanoseconds=MINUTE // 2 - busy_ns,
        busy_microjoules=17_500 * JOULE + index,
        idle_microjoules=350 * JOULE,
        counter_microjoules=17_850 * JOULE + index,
        utilized_nanoseconds=busy_ns,
        observed_nanoseconds=MINUTE // 2,
        busy_host_microjoules=600 * JOULE,
        idle_host_microjoules=100 * JOULE,
    )
