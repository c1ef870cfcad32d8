"""Devices, quantities, slots, rates and records for the tests of the core: builders with defaults, and strategies.

Quantities are drawn as the meter can make them: three states' energies and three methods' energies have one sum, and
no part is longer than the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from costmeter.clock import Anchor
from costmeter.ledger.record import Devices, Footer, Header, Mark, Outcome, RatesChange, SlotEntry
from costmeter.meter.activity import IdleRule
from costmeter.meter.charge import DeviceRates, Origin, Rates
from costmeter.meter.idling import REASONS, Reason
from costmeter.meter.interval import Interval
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.readings import Device, DriverFacts, Method, Mig, Missing
from costmeter.units import MICROJOULES_PER_JOULE, NANOSECONDS_PER_SECOND

SECOND = NANOSECONDS_PER_SECOND
MINUTE = 60 * SECOND
HOUR = 3_600 * SECOND
JOULE = MICROJOULES_PER_JOULE
KWH = 3_600_000 * JOULE

#: 2026-11-22 14:03:00 UTC, a Sunday.
BEGAN_UTC_NS = 1_795_356_180 * SECOND
#: When the machine had been up for an hour.
BEGAN_NS = HOUR

MEASURED = Origin("measured", "by the driver")
CONFIGURED = Origin("configured", "costmeter.yaml:3")


# Builders


def device(index: int = 0, name: str = "NVIDIA H100 80GB HBM3", **changes: Any) -> Device:
    """One of a node's GPUs."""
    facts: dict[str, Any] = {
        "uuid": f"GPU-{index:08x}-0000-4000-8000-000000000000",
        "index": index,
        "name": name,
        "pci_bus_id": f"0000:{index + 0x18:02X}:00.0",
        "power_limit_watts": 700.0,
        "method": "counter",
    }
    return Device(**(facts | changes))


def devices(count: int) -> tuple[Device, ...]:
    """The first GPUs of a node."""
    return tuple(device(index) for index in range(count))


def instances(board: Device, *widths: int) -> tuple[Device, ...]:
    """The MIG instances that stand in place of a board: so many of its seven slices each, side by side."""
    made: list[Device] = []
    for place, width in enumerate(widths):
        first = sum(widths[:place])
        mig = Mig(board.uuid, place, place + 1, 0, first, first + width, 7)
        name = f"{board.name} MIG {width}g.{width}0gb"
        made.append(replace(board, uuid=f"MIG-{board.index:04x}{place:04x}-0000-5000", name=name, mig=mig))
    return tuple(made)


def uuids(held: Sequence[Device]) -> tuple[str, ...]:
    """Their identities, in order."""
    return tuple(each.uuid for each in held)


def measured(
    busy_ns: int = 0, busy_uj: int = 0, idle_ns: int = 0, idle_uj: int = 0, utilization: float = 0.9
) -> Quantities:
    """Busy and idle time, its energy found by the counter, and utilization known throughout."""
    return Quantities(
        busy_nanoseconds=busy_ns,
        idle_nanoseconds=idle_ns,
        busy_microjoules=busy_uj,
        idle_microjoules=idle_uj,
        counter_microjoules=busy_uj + idle_uj,
        utilized_nanoseconds=round(busy_ns * utilization),
        observed_nanoseconds=busy_ns + idle_ns,
    )


def silent(nanoseconds: int) -> Quantities:
    """Time in which a device said nothing."""
    return Quantities(unknown_nanoseconds=nanoseconds, unmeasured_nanoseconds=nanoseconds)


def slot(of: Mapping[str, Quantities], minute: int = 0, length_ns: int = MINUTE) -> Slot:
    """One slot, `minute` minutes into the run."""
    start_utc_ns = BEGAN_UTC_NS + minute * MINUTE
    return Slot(start_utc_ns, start_utc_ns + length_ns, of, number=minute)


def rental(price: str = "2.49", embodied: str = "0") -> DeviceRates:
    """A rented GPU: its energy is in the rent."""
    return DeviceRates((("rental", Decimal(price)),), False, Decimal(embodied))


def owned(capital: str, embodied: str = "0") -> DeviceRates:
    """A bought GPU, whose electricity is paid on top."""
    return DeviceRates((("capital", Decimal(capital)),), True, Decimal(embodied))


def rates(of: Mapping[str, DeviceRates], **changes: Any) -> Rates:
    """Rates in dollars; electricity for nothing, no overhead and a clean grid unless told otherwise."""
    facts: dict[str, Any] = {
        "currency": "USD",
        "devices": dict(of),
        "electricity_per_kwh": Decimal(0),
        "pue": Decimal(1),
        "carbon_grams_per_kwh": Decimal(0),
    }
    return Rates(**(facts | changes))


def header(**changes: Any) -> Header:
    """The first line of a wrapper's journal."""
    facts: dict[str, Any] = {
        "run": "r-0123456789ab",
        "part": 1,
        "meter": "wrapper",
        "name": "",
        "labels": {},
        "command": ("python", "train.py"),
        "host": "gpu01",
        "boot_id": "5f4d3c2b-0000-4000-8000-000000000000",
        "pid": 4242,
        "pid_start_ticks": 360_000,
        "start_ns": BEGAN_NS,
        "anchor": Anchor(BEGAN_NS, BEGAN_UTC_NS),
        "period_ns": SECOND,
        "rule": IdleRule(),
        "simulated": False,
        "currency": "USD",
        "versions": {"costmeter": "0.1.0"},
    }
    return Header(**(facts | changes))


def footer(length_ns: int, outcome: Outcome = "ok", exit_code: int | None = 0, signal: int | None = None) -> Footer:
    """The last line of a run that took so long; its meter used 0.8 ms of CPU at each second's tick."""
    cpu_ns = 150_000_000 + length_ns // 1_250
    return Footer(BEGAN_UTC_NS + length_ns, length_ns, outcome, exit_code, signal, cpu_ns, 1_200)


def held(of: Sequence[Device], node_gpus: int | None = None) -> Devices:
    """The devices line of a run."""
    return Devices(tuple(of), DriverFacts("570.124.06", False), node_gpus or len(of))


def rates_from_start(of: Rates) -> RatesChange:
    """The rates line of a run whose prices never change."""
    return RatesChange(BEGAN_UTC_NS, of)


# Strategies

#: Text as it comes from command lines and drivers: any character, and the surrogates of bytes that are not UTF-8.
words = st.text(st.characters(exclude_categories=["Cs"]) | st.integers(0xDC80, 0xDCFF).map(chr), max_size=20)
nanoseconds = st.integers(0, MINUTE)
microjoules = st.integers(0, 10**11)
instants = st.integers(0, 2**62)
ratios = st.floats(0, 1)
prices = st.decimals(0, 1_000, places=4)
signed_prices = st.decimals(-1_000, 1_000, places=4)
#: Decimals of any size and scale that a person could write into a file.
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)
methods: st.SearchStrategy[Method] = st.sampled_from(("counter", "power", "estimated"))
missing = words.map(Missing)


@st.composite
def quantities(draw: st.DrawFn) -> Quantities:
    """What one device did in up to three minutes."""
    busy_ns, idle_ns, unknown_ns = draw(nanoseconds), draw(nanoseconds), draw(nanoseconds)
    busy_uj, idle_uj, unknown_uj = draw(microjoules), draw(microjoules), draw(microjoules)
    held_ns, energy_uj = busy_ns + idle_ns + unknown_ns, busy_uj + idle_uj + unknown_uj
    counter_uj = draw(st.sampled_from((0, energy_uj)) | st.integers(0, energy_uj))
    power_uj = draw(st.sampled_from((0, energy_uj - counter_uj)) | st.integers(0, energy_uj - counter_uj))
    observed_ns = draw(st.sampled_from((0, held_ns)) | st.integers(0, held_ns))
    return Quantities(
        busy_ns,
        idle_ns,
        unknown_ns,
        busy_uj,
        idle_uj,
        unknown_uj,
        draw(st.integers(0, held_ns)),
        counter_uj,
        power_uj,
        energy_uj - counter_uj - power_uj,
        draw(st.integers(0, observed_ns)),
        observed_ns,
        draw(microjoules),
        draw(microjoules),
        draw(microjoules),
    )


def orders(min_size: int = 1, max_size: int = 4) -> st.SearchStrategy[tuple[str, ...]]:
    """The identities of some GPUs."""
    return st.integers(min_size, max_size).map(lambda count: uuids(devices(count)))


phases = st.sampled_from(("", "training", "eval", "checkpoint"))
counts = st.none() | st.integers(0, 10**12)
#: What a run may tell of its progress; never nothing at all, which is written as no progress.
losses = st.none() | st.floats(-10, 100)
progresses = st.builds(Progress, counts, counts, losses, counts, counts, counts).filter(lambda p: p != UNTOLD)


@st.composite
def slots(draw: st.DrawFn, order: Sequence[str]) -> Slot:
    """A slot of these devices: random, or full as the meter closes it, with every device held for its whole length."""
    of = {uuid: draw(quantities() | st.just(Quantities())) for uuid in order}
    start_utc_ns, length_ns = draw(instants), draw(st.integers(1, 3 * MINUTE))
    if draw(st.booleans()):
        length_ns = max(each.nanoseconds for each in of.values())
        of = {uuid: _filled(each, length_ns) for uuid, each in of.items()}
    known = draw(st.sets(st.sampled_from(list(order)))) if order else set()
    counters = {uuid: 1_000 * draw(instants) for uuid in order if uuid in known}
    number, phase, redone = draw(st.integers(0, 10**6)), draw(phases), draw(st.booleans())
    progress = draw(progresses | st.none())
    end_utc_ns, reasons = start_utc_ns + length_ns, draw(reasons_of(of))
    return Slot(start_utc_ns, end_utc_ns, of, counters, number, {}, phase, redone, progress, reasons=reasons)


@st.composite
def reasons_of(draw: st.DrawFn, of: Mapping[str, Quantities]) -> dict[str, Reason]:
    """Why those of them were idle that were: all for one reason, each for its own, or nobody knows."""
    idle = [uuid for uuid, each in of.items() if each.idle_nanoseconds or each.idle_microjoules]
    alike = draw(st.sampled_from((*REASONS, None)))
    words = [alike] * len(idle) if draw(st.booleans()) else [draw(st.sampled_from((*REASONS, None))) for _ in idle]
    return {uuid: word for uuid, word in zip(idle, words, strict=True) if word is not None}


def _filled(short: Quantities, length_ns: int) -> Quantities:
    return short + Quantities(busy_nanoseconds=length_ns - short.nanoseconds)


@st.composite
def device_rates(draw: st.DrawFn, of: st.SearchStrategy[Decimal]) -> DeviceRates:
    """A GPU rented, owned, owned with idle share, or without a price."""
    components = draw(st.sampled_from(((), ("rental",), ("capital",), ("capital", "idle_share"))))
    hourly = tuple((component, draw(of)) for component in components)
    return DeviceRates(hourly, draw(st.booleans()), draw(prices))


@st.composite
def rates_of(
    draw: st.DrawFn, order: Sequence[str], of: st.SearchStrategy[Decimal] = signed_prices, simple: bool = False
) -> Rates:
    """Rates of these devices; `of` are the prices of GPUs and electricity, `simple` has neither origins nor a PUE."""
    names = st.dictionaries(words, st.builds(Origin, words, words), max_size=3)
    return Rates(
        draw(st.sampled_from(("USD", "EUR", "SEK"))),
        {uuid: draw(device_rates(of)) for uuid in order},
        draw(of),
        Decimal(1) if simple else draw(st.decimals(1, 3, places=3)),
        draw(st.decimals(0, 2_000, places=2)),
        {} if simple else draw(names),
        None if simple else draw(st.none() | st.decimals(0, 2_000, places=2)),
    )


@st.composite
def intervals(draw: st.DrawFn, min_length_ns: int = 0) -> Interval:
    """One device's time between two readings, at most an hour."""
    start_ns = draw(st.integers(0, 2**50))
    method = draw(methods | st.none())
    return Interval(
        "GPU-0",
        start_ns,
        start_ns + draw(st.integers(min_length_ns, HOUR)),
        draw(st.sampled_from(("busy", "idle", "unknown"))),
        0 if method is None else draw(microjoules),
        method,
        draw(ratios | st.none()),
    )


facts = st.none() | st.builds(DriverFacts, words, st.booleans())
any_device = st.builds(
    Device,
    words,
    st.integers(0, 1_023),
    words,
    words,
    st.floats(0, 2_000) | missing,
    methods | missing,
)
marks = st.builds(Mark, instants, st.sampled_from(("fault", "clock", "gap")), words, words)
headers = st.builds(
    Header,
    run=words,
    part=st.integers(1, 99),
    meter=st.sampled_from(("wrapper", "agent")),
    name=words,
    labels=st.dictionaries(words, words, max_size=3),
    command=st.none() | st.lists(words, max_size=4).map(tuple),
    host=words,
    boot_id=words,
    pid=st.integers(1, 2**22),
    pid_start_ticks=instants,
    start_ns=instants,
    anchor=st.builds(Anchor, instants, instants),
    period_ns=instants,
    rule=st.builds(IdleRule, ratios, ratios),
    simulated=st.booleans(),
    currency=st.sampled_from(("USD", "EUR")),
    versions=st.dictionaries(words, words, max_size=3),
)
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(("ok", "failed", "cancelled", "preempted", "stopped by budget"))
footers = st.builds(
    Footer,
    instants,
    instants,
    outcomes,
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    instants,
    instants,
)


@st.composite
def recordings(draw: st.DrawFn) -> tuple[tuple[str, ...], list[Header | Devices | RatesChange | SlotEntry | Mark]]:
    """A run as its meter records it, before its footer: the order of its devices, and its lines."""
    count = draw(st.integers(1, 3))
    order = uuids(devices(count))
    lines: list[Header | Devices | RatesChange | SlotEntry | Mark] = [header(), held(devices(count))]
    lines.append(rates_from_start(draw(rates_of(order))))
    for minute in range(draw(st.integers(0, 4))):
        of = {uuid: draw(quantities()) for uuid in order}
        lines.append(SlotEntry(slot(of, minute)))
        if draw(st.booleans()):
            lines.append(draw(marks.filter(lambda mark: mark.kind != "clock")))
        if draw(st.booleans()):
            lines.append(RatesChange(BEGAN_UTC_NS + (minute + 1) * MINUTE, draw(rates_of(order))))
    return order, lines
