"""Runs as people have them, from the records of their journals: what golden files show, and receipts are tested on."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Part, Run, begin, fold_all
from costmeter.ledger.record import (
    Budgets,
    Footer,
    Header,
    Items,
    Mark,
    Outcome,
    RatesChange,
    Record,
    SlotEntry,
    Usage,
)
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.charge import DeviceRates, Origin, Rates
from costmeter.meter.idling import Reason
from costmeter.meter.item import BYTES_PER_GB, LineItem
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.units import microjoules_from_power, portion
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    KWH,
    MINUTE,
    SECOND,
    device,
    devices,
    footer,
    header,
    held,
    instances,
    measured,
    rates,
    rates_from_start,
    rental,
    silent,
    slot,
    uuids,
)

EIGHT = devices(8)
TWO = devices(2)
COMMAND = ("torchrun", "--nproc-per-node=8", "train.py")
ORIGINS = {
    "gpu.price": Origin("configured", "costmeter.yaml:3"),
    "electricity.price": Origin("estimated", "not charged: rent includes electricity"),
    "electricity.pue": Origin("configured", "costmeter.yaml:8"),
    "carbon.intensity": Origin("configured", "costmeter.yaml:10"),
    "carbon.embodied": Origin("estimated", "164 kg over 4 years"),
    "host.power": Origin("configured", "costmeter.yaml:12"),
}
RENTED = rates(
    {uuid: rental("2.49", embodied="4.68") for uuid in uuids(EIGHT)},
    pue=Decimal("1.2"),
    carbon_grams_per_kwh=Decimal(380),
    origins=ORIGINS,
)
#: ($30,000 - $3,000) / (4 × 8,760 h).
CAPITAL = Decimal("0.770547945205")


PLACE = Origin("configured", "costmeter.yaml:14")
ITEMS = Items(
    (
        LineItem("checkpoints", "path", Decimal("0.023"), PLACE, path="./ckpt"),
        LineItem("scratch", "gb", Decimal("0.10"), PLACE, Decimal(500)),
        LineItem("traffic", "network", Decimal("0.09"), PLACE, direction="sent"),
        LineItem("licences", "per_gpu_hour", Decimal("0.12"), PLACE),
        LineItem("people", "per_hour", Decimal(85), PLACE, Decimal("0.5")),
        LineItem("data labelling", "fixed", Decimal(1200), PLACE),
    )
)
#: 12.4 GB for 11,527 s, and 3.1 GB sent.
USED = Usage(
    BEGAN_UTC_NS + 11_527 * SECOND,
    {"checkpoints": 124 * BYTES_PER_GB // 10 * 11_527 * SECOND, "traffic": 31 * BYTES_PER_GB // 10},
)


def part(first: Header, *rest: Record) -> Part:
    return fold_all(begin(first), rest)


def entry(of: dict[str, Quantities], length_ns: int) -> SlotEntry:
    """A slot of any length, so that a run of hours is one record."""
    return SlotEntry(Slot(BEGAN_UTC_NS, BEGAN_UTC_NS + length_ns, of))


def one(host: str, outcome: Outcome | None, exit_code: int | None = None, start_ns: int = 0) -> Part:
    """One minute on two GPUs at $2.49, from `start_ns` after the beginning."""
    order = uuids(TWO)
    closed = slot(dict.fromkeys(order, measured(MINUTE, 10**10)), start_ns // MINUTE)
    first = header(host=host, start_ns=BEGAN_NS + start_ns)
    records: list[Record] = [
        held(TWO),
        rates_from_start(rates(dict.fromkeys(order, rental()))),
        SlotEntry(closed),
    ]
    if outcome is not None:
        end = footer(MINUTE, outcome, exit_code)
        records.append(replace(end, ended_utc_ns=closed.end_utc_ns))
    return part(first, *records)


def repriced(given: Part, **changes: Any) -> Part:
    """The part under other rates."""
    assert given.rates is not None
    return replace(given, rates=replace(given.rates, **changes))


def with_host(of: Quantities, host_uj: int) -> Quantities:
    """What a GPU did, with its share of the host's energy, used evenly over the time."""
    busy_uj = portion(host_uj, of.busy_nanoseconds, of.nanoseconds)
    return replace(of, busy_host_microjoules=busy_uj, idle_host_microjoules=host_uj - busy_uj)


def healthy() -> Run:
    """3 h 12 min 7 s on 8 rented GPUs, 11.3 % of it idle; 15.68 kWh, a host of 900 W, PUE 1.2, 380 g/kWh.

    11,527 s × 8 = 25.6156 GPU-h × $2.49 = $63.78. Idle: 1,302.5 s × 8 = 2.8944 GPU-h = $7.21. Host: 900 W × 11,527 s =
    2.88 kWh. Cooling: (15.68 + 2.88) × 0.2 = 3.71. In all 22.27 kWh × 380 g/kWh = 8.46 kg.
    """
    length_ns, idle_ns = 11_527 * SECOND, 13_025 * SECOND // 10
    each = measured(length_ns - idle_ns, 6_902_000 * JOULE, idle_ns, 154_000 * JOULE)
    each = with_host(each, microjoules_from_power(900 / 8, length_ns))
    spent = entry(dict.fromkeys(uuids(EIGHT), each), length_ns)
    named = header(command=COMMAND, name="sft-llama", labels={"project": "llm", "team": "nlp"})
    return Run((part(named, held(EIGHT), rates_from_start(RENTED), spent, footer(length_ns)),))


def waited(phase: str = "") -> Run:
    """The healthy run, of whose 8 × 1,302.5 s of idle time somebody knows most reasons.

    8 × 900 s waited for data: 2 GPU-h × $2.49 = $4.98; 8 × 252.5 s in checkpoints: 0.5611 GPU-h = $1.40; of the start
    8 × 144 s: 0.32 GPU-h = $0.80; of 8 × 6 s nobody knows: 0.0133 GPU-h = $0.03.
    """
    idle_ns: dict[Reason | None, int] = {
        "waiting-for-data": 900 * SECOND,
        "checkpoint": 505 * SECOND // 2,
        "start-up": 144 * SECOND,
        None: 6 * SECOND,
    }
    (whole,) = healthy().parts
    busy_ns = 11_527 * SECOND - sum(idle_ns.values())
    slots = [_idle_for(reason, nanoseconds, phase) for reason, nanoseconds in idle_ns.items()]
    work = Slot(BEGAN_UTC_NS, BEGAN_UTC_NS + busy_ns, dict.fromkeys(uuids(EIGHT), measured(busy_ns, 6_902_000 * JOULE)))
    records: list[Record] = [held(EIGHT), rates_from_start(RENTED), SlotEntry(replace(work, phase=phase))]
    return Run((part(whole.header, *records, *slots, footer(11_527 * SECOND)),))


def _idle_for(reason: Reason | None, nanoseconds: int, phase: str) -> SlotEntry:
    """All eight GPUs idle for one reason."""
    of = dict.fromkeys(uuids(EIGHT), measured(idle_ns=nanoseconds, idle_uj=nanoseconds // 10**9 * 118 * JOULE))
    reasons = {} if reason is None else dict.fromkeys(of, reason)
    return SlotEntry(Slot(BEGAN_UTC_NS, BEGAN_UTC_NS + nanoseconds, of, phase=phase, reasons=reasons))


def beside() -> Run:
    """The healthy run with line items, the size of one path not known at the end.

    checkpoints: 12.4 GB × 11,527 s / (730 × 3,600 s) × $0.023 = $0.00125; scratch: 500 GB likewise × $0.10 = $0.2193;
    traffic: 3.1 GB × $0.09 = $0.279; licences: 25.6156 GPU-h × $0.12 = $3.0739; people: 3.20194 h × 0.5 × $85 =
    $136.0826; data labelling $1,200. In all $1,339.6559; with $63.7827 of the run $1,403.44.
    """
    (whole,) = healthy().parts
    late = LineItem("archive", "path", Decimal("0.01"), PLACE, path="/mnt/archive")
    noted = replace(USED, notes={"archive": "it could not be looked at in time"})
    return Run((fold_all(whole, [Items((*ITEMS.items, late)), noted]),))


def moving() -> Run:
    """2 bought GPUs for 10 h under a tariff of two prices, and a grid of two intensities.

    9 h at $0.10 and 400 g with 12 kWh, then 1 h at $0.40 and 100 g with 1 kWh: $1.60 for 13 kWh is $0.123077 per kWh;
    (12 × 400 + 100) g = 4.9 kg is 376.9 g/kWh. Under the market-based factor of 20 g/kWh it is 260 g.
    """
    tariff = Origin("configured", "tariff b20, costmeter.yaml:6")
    origins = {
        "gpu.price": ORIGINS["gpu.price"],
        "electricity.price": tariff,
        "electricity.pue": Origin("estimated", "not set: cooling not counted; set electricity.pue"),
        "carbon.intensity": Origin("configured", "carbon.csv, costmeter.yaml:9"),
        "carbon.market": Origin("configured", "residual mix of DE 2024, costmeter.yaml:10"),
        "host.power": Origin("configured", "costmeter.yaml:12"),
    }
    ended = origins | {"electricity.price": Origin("estimated", "valid until 2026-11-22T23:00Z only; tariff b20")}
    cheap = rates(
        dict.fromkeys(uuids(TWO), DeviceRates((("capital", CAPITAL),), True)),
        electricity_per_kwh=Decimal("0.10"),
        carbon_grams_per_kwh=Decimal(400),
        origins=ended,
        market_grams_per_kwh=Decimal(20),
    )
    dear = replace(cheap, electricity_per_kwh=Decimal("0.40"), carbon_grams_per_kwh=Decimal(100), origins=origins)
    first = entry(dict.fromkeys(uuids(TWO), measured(9 * HOUR, 6 * KWH)), 9 * HOUR)
    start_utc_ns = BEGAN_UTC_NS + 9 * HOUR
    last = Slot(start_utc_ns, start_utc_ns + HOUR, dict.fromkeys(uuids(TWO), measured(HOUR, KWH // 2)))
    change = RatesChange(start_utc_ns, dear)
    records: list[Record] = [held(TWO, 8), rates_from_start(cheap), first, change, SlotEntry(last), footer(10 * HOUR)]
    return Run((part(header(), *records),))


def unpriced() -> Run:
    """The healthy run, with no price for two of its eight GPUs: their hours cost nothing that anybody knows."""
    known = {uuid: rental("2.49", embodied="4.68") for uuid in uuids(EIGHT[:6])}
    under = replace(RENTED, devices=known | {each.uuid: DeviceRates((), False) for each in EIGHT[6:]})
    spent = entry(dict.fromkeys(uuids(EIGHT), measured(HOUR, 2_340_000 * JOULE)), HOUR)
    return Run((part(header(), held(EIGHT), rates_from_start(under), spent, footer(HOUR)),))


def failed() -> Run:
    """46 minutes on 8 GPUs, one of which fell off the bus after 30 and left the run to fail."""
    length_ns, lost_ns = 46 * MINUTE, 16 * MINUTE
    good = measured(length_ns, 1_700_000 * JOULE)
    lost = measured(length_ns - lost_ns, 1_100_000 * JOULE) + silent(lost_ns)
    of = {uuid: lost if uuid == EIGHT[3].uuid else good for uuid in uuids(EIGHT)}
    at_utc_ns = BEGAN_UTC_NS + 30 * MINUTE
    marks = [
        Mark(at_utc_ns, "fault", "GPU is lost", EIGHT[3].uuid),
        *(Mark(at_utc_ns + n * MINUTE, "fault", "energy counter was reset", EIGHT[n % 3].uuid) for n in range(1, 7)),
    ]
    records: list[Record] = [
        held(EIGHT),
        rates_from_start(RENTED),
        *marks,
        entry(of, length_ns),
        footer(length_ns, "failed", 1),
    ]
    return Run((part(header(command=COMMAND), *records),))


def owned() -> Run:
    """2 bought GPUs for 10 h: capital $15.41; (12 + 1) kWh × PUE 1.2 × $0.12 = $1.87."""
    length_ns = 10 * HOUR
    each = measured(9 * HOUR, 21_000_000 * JOULE, HOUR, 600_000 * JOULE)
    bought = DeviceRates((("capital", CAPITAL),), True)
    origins = ORIGINS | {"electricity.price": Origin("configured", "costmeter.yaml:6")}
    under = replace(
        RENTED,
        devices=dict.fromkeys(uuids(TWO), bought),
        electricity_per_kwh=Decimal("0.12"),
        origins={name: origin for name, origin in origins.items() if name != "carbon.embodied"},
    )
    spent = entry(dict.fromkeys(uuids(TWO), with_host(each, KWH // 2)), length_ns)
    return Run((part(header(), held(TWO, 8), rates_from_start(under), spent, footer(length_ns)),))


def no_driver() -> Run:
    """Nothing to meter and no price: the driver is not there."""
    mark = Mark(BEGAN_UTC_NS + SECOND // 5, "fault", "no NVIDIA driver (libnvidia-ml.so.1 not found)")
    return Run((part(header(), mark, held([], 0), footer(90 * SECOND)),))


def none_held() -> Run:
    """A command that was given none of the eight GPUs of its node."""
    return Run((part(header(), held([], 8), footer(90 * SECOND)),))


def nodes() -> Run:
    """An hour on an H100 of one node, another on an A100 of the next at another price, a third node without driver."""
    gpus = (device(0), device(1, "NVIDIA A100-SXM4-80GB"))
    listed = Origin("list price 2026-05", "A100-80GB-SXM4 at lambda")
    prices = ((gpus[0], "2.49", ORIGINS["gpu.price"]), (gpus[1], "1.29", listed))
    parts = []
    for place, (gpu, price, origin) in enumerate(prices):
        under = replace(RENTED, devices={gpu.uuid: rental(price)}, origins=ORIGINS | {"gpu.price": origin})
        spent = entry({gpu.uuid: measured(HOUR, 2_000_000 * JOULE)}, HOUR)
        first = header(host=f"gpu0{place + 1}", start_ns=BEGAN_NS + place * SECOND)
        parts.append(part(first, held([gpu]), rates_from_start(under), spent, footer(HOUR)))
    mark = Mark(BEGAN_UTC_NS + 2 * SECOND, "fault", "no NVIDIA driver (libnvidia-ml.so.1 not found)")
    last = header(host="gpu03", start_ns=BEGAN_NS + 2 * SECOND)
    return Run((*parts, part(last, mark, held([], 0), footer(HOUR))))


def interrupted() -> Run:
    """A meter that was killed after 25 minutes and 13 seconds, on GPUs of two kinds with prices of their own."""
    mixed = (device(0), device(1, "NVIDIA A100-SXM4-80GB", power_limit_watts=400.0, method="power"))
    length_ns = 25 * MINUTE + 13 * SECOND
    by_power = replace(measured(length_ns, 500_000 * JOULE), counter_microjoules=0, power_microjoules=500_000 * JOULE)
    of = {mixed[0].uuid: measured(length_ns, 900_000 * JOULE), mixed[1].uuid: by_power}
    origins = {
        f"gpu.price.{mixed[0].uuid}": Origin("configured", "--price"),
        f"gpu.price.{mixed[1].uuid}": Origin(
            "list price 2026-05", "A100-80GB-SXM4 at lambda, 9 sellers 1.1 to 4.1 USD"
        ),
        "electricity.price": ORIGINS["electricity.price"],
        "electricity.pue": Origin("estimated", "not set: cooling not counted; set electricity.pue"),
        "carbon.intensity": Origin("estimated", "world average 2024; set carbon.intensity"),
        "host.power": Origin("estimated", "missing: the host's power is not measured; set host.power in watts"),
    }
    under = Rates(
        "USD",
        {mixed[0].uuid: rental("2.49"), mixed[1].uuid: rental("1.29")},
        Decimal(0),
        Decimal(1),
        Decimal(473),
        origins,
    )
    return Run((part(header(), held(mixed), rates_from_start(under), entry(of, length_ns)),))


def simulated() -> Run:
    """Three seconds on one simulated GPU at list price: cents, watt-hours and grams."""
    one = devices(1)
    origins = ORIGINS | {
        "gpu.price": Origin(
            "list price 2026-05",
            "H100-80GB-SXM5 at digitalocean, 12 sellers 1.95 to 11.061 USD; set yours: --price or gpu.price",
        )
    }
    under = replace(RENTED, devices={one[0].uuid: rental("3.39", "4.68")}, pue=Decimal(1), origins=origins)
    heads = replace(
        measured(3 * SECOND, 1_950 * JOULE), counter_microjoules=1_800 * JOULE, estimated_microjoules=150 * JOULE
    )
    spent = entry({one[0].uuid: heads}, 3 * SECOND)
    first = header(simulated=True, command=("sleep", "3"))
    end = Footer(BEGAN_UTC_NS + 3 * SECOND, 3 * SECOND, "ok", 0, None, 221_000_000, 3)
    return Run((part(first, held(one), rates_from_start(under), spent, end),))


def reloaded() -> Run:
    """An hour on 8 GPUs whose driver was unloaded for 20 s after a quarter of it, as `Tally` tells it."""
    length_ns, away_ns, at_utc_ns = HOUR, 20 * SECOND, BEGAN_UTC_NS + 15 * MINUTE
    gone = "the NVIDIA driver was unloaded or restarted"
    marks = [
        *(Mark(at_utc_ns + n * SECOND // 50, "fault", gone, each.uuid) for n, each in enumerate(EIGHT)),
        *(
            Mark(
                at_utc_ns + (22 if n else 23) * SECOND,
                "fault",
                f"answers again (was: {gone}); the energy counter was reset",
                each.uuid,
            )
            for n, each in enumerate(EIGHT)
        ),
    ]
    each = measured(length_ns - away_ns, 2_340_000 * JOULE) + silent(away_ns)
    records: list[Record] = [
        held(EIGHT),
        rates_from_start(RENTED),
        *marks,
        entry(dict.fromkeys(uuids(EIGHT), each), length_ns),
    ]
    return Run((part(header(command=COMMAND), *records, footer(length_ns)),))


def divided() -> Run:
    """Two hours on three MIG instances (5 of 7 slices) of one H100, and on a Grace Hopper module by power."""
    length_ns = 2 * HOUR
    board, grace = device(0), device(1, "NVIDIA GH200 480GB", method="power", scope="module")
    pieces = instances(board, 3, 1, 1)
    share = Quantities(
        unknown_nanoseconds=length_ns, unknown_microjoules=400_000 * JOULE, counter_microjoules=400_000 * JOULE
    )
    of = dict.fromkeys(uuids(pieces), share)
    by_power = replace(
        measured(length_ns, 4_000_000 * JOULE), counter_microjoules=0, power_microjoules=4_000_000 * JOULE
    )
    marks = [Mark(BEGAN_UTC_NS + HOUR + n * MINUTE, "fault", "unknown driver error", board.uuid) for n in range(3)]
    marks.append(Mark(BEGAN_UTC_NS + length_ns, "fault", "unknown driver error (37 times in all)", board.uuid))
    all_of = (*pieces, grace)
    under = replace(RENTED, devices={each.uuid: rental("1.10") for each in all_of})
    records: list[Record] = [
        held(all_of),
        rates_from_start(under),
        *marks,
        entry(of | {grace.uuid: by_power}, length_ns),
    ]
    return Run((part(header(), *records, footer(length_ns)),))


def stretch(start_ns: int, length_ns: int, idle_ns: int = 0, watts: int = 600, **told: Any) -> SlotEntry:
    """So long on eight GPUs, from `start_ns` after the beginning, with what the run told of it."""
    busy_ns = length_ns - idle_ns
    each = measured(busy_ns, microjoules_from_power(watts, busy_ns), idle_ns, microjoules_from_power(120, idle_ns))
    start_utc_ns = BEGAN_UTC_NS + start_ns
    return SlotEntry(Slot(start_utc_ns, start_utc_ns + length_ns, dict.fromkeys(uuids(EIGHT), each), **told))


def trained() -> Run:
    """3 h 12 min 7 s on 8 GPUs at $2.49 that told what they did: start-up, training, evaluation, checkpoints.

    Start-up 390 s, all idle: 0.8667 GPU-h, $2.158. Training 10,415 s, 916 s of it idle: 23.1444 GPU-h, $57.6297.
    Evaluation 470 s: 1.0444 GPU-h, $2.6007. Checkpoints 252 s: 0.56 GPU-h, $1.3944. In all $63.7827 for 12,400 steps:
    $5.1438 per 1,000; for 1,625,292,800 tokens: $0.039244 per million. $63.7827 of $80 is 79.73 %.
    """
    told = Progress(12_400, 1_625_292_800, 1.87, 12_400)
    began = (("", 390, 390), ("training", 10_000, 916))
    slots, start_ns = [], 0
    for phase, seconds, idle in (*began, ("eval", 470, 0), ("checkpoint", 252, 0), ("training", 415, 0)):
        progress = told if phase else None
        slots.append(stretch(start_ns, seconds * SECOND, idle * SECOND, phase=phase, progress=progress))
        start_ns += seconds * SECOND
    saved = Mark(BEGAN_UTC_NS + 11_112 * SECOND, "checkpoint", "step 12,000")
    budgets = Budgets(BEGAN_UTC_NS, (BudgetUse(Budget(Decimal(80))),))
    named = header(command=COMMAND, name="sft-llama", labels={"project": "llm"})
    records: list[Record] = [held(EIGHT), rates_from_start(RENTED), budgets, *slots[:4], saved, slots[4]]
    return Run((part(named, *records, footer(start_ns)),))


def broke_off() -> Run:
    """46 min 10 s on 8 GPUs at $2.49, the last checkpoint 12 min 21 s before it failed.

    2,770 s × 8 = 6.1556 GPU-h, $15.3273; since the checkpoint 741 s × 8 = 1.6467 GPU-h, $4.1002.
    """
    told: dict[str, Any] = {"phase": "training", "progress": Progress(2_900, None, 3.1, 12_400)}
    before, after = stretch(0, 2_029 * SECOND, **told), stretch(2_029 * SECOND, 741 * SECOND, **told)
    saved = Mark(BEGAN_UTC_NS + 2_029 * SECOND, "checkpoint", "step 2,000")
    end = footer(2_770 * SECOND, "failed", 1)
    return Run((part(header(command=COMMAND), held(EIGHT), rates_from_start(RENTED), before, saved, after, end),))


def resumed() -> Run:
    """A run that was preempted after 40 minutes, 10 of them after its last checkpoint, and went on in another part.

    The second part does 10 minutes anew, 1.3333 GPU-h or $3.32, and 50 more. 100 minutes: 13.3333 GPU-h, $33.20, for
    9,000 steps: $3.6889 per 1,000.
    """

    def told(steps: int) -> dict[str, Any]:
        return {"phase": "training", "progress": Progress(steps, None, 2.5, 9_000)}

    saved = Mark(BEGAN_UTC_NS + 30 * MINUTE, "checkpoint", "step 3,000")
    first: list[Record] = [
        stretch(0, 30 * MINUTE, **told(3_000)),
        saved,
        stretch(30 * MINUTE, 10 * MINUTE, **told(4_000)),
    ]
    ended = replace(footer(40 * MINUTE, "preempted", None, 15), ended_utc_ns=BEGAN_UTC_NS + 40 * MINUTE)
    again: list[Record] = [
        stretch(HOUR, 10 * MINUTE, redone=True, **told(4_000)),
        stretch(HOUR + 10 * MINUTE, 50 * MINUTE, **told(9_000)),
    ]
    last = replace(footer(HOUR), ended_utc_ns=BEGAN_UTC_NS + 2 * HOUR)
    second = header(part=2, start_ns=BEGAN_NS + HOUR, command=COMMAND)
    return Run(
        (
            part(header(command=COMMAND), held(EIGHT), rates_from_start(RENTED), *first, ended),
            part(second, held(EIGHT), rates_from_start(RENTED), *again, last),
        )
    )


def going_on() -> Run:
    """An hour of a run that has not ended: 4,000 of 12,000 steps on 8 GPUs at $2.49."""
    told: dict[str, Any] = {"phase": "training", "progress": Progress(4_000, None, 2.9, 12_000)}
    records: list[Record] = [held(EIGHT), rates_from_start(RENTED), stretch(0, HOUR, 6 * MINUTE, **told)]
    return Run((part(header(command=COMMAND), *records),))
