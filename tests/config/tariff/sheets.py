"""The tariffs of `examples/tariffs`, and sums over their minutes."""

from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from costmeter.config.tariff import read_tariffs
from costmeter.config.tariff.files import parse_tariffs
from costmeter.meter.schedule import Schedule
from costmeter.meter.tariff import Tariff
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND

EXAMPLES = Path(__file__).parents[3] / "examples" / "tariffs"
FILES = sorted(EXAMPLES.glob("*.yaml"))
SERIES = sorted(EXAMPLES.glob("*.csv"))

#: The least that a tariff says.
HEAD = "timezone: Europe/Berlin\ncurrency: EUR\n"


def example(name: str, plan: int = 0) -> Tariff:
    """A tariff of the examples by the start of its file's name."""
    (path,) = (path for path in FILES if path.name.startswith(name))
    tariffs, faults = read_tariffs(str(path), path.name)
    assert faults == ()
    return tariffs[plan]


def parsed(body: str, head: str = HEAD) -> tuple[tuple[Tariff, ...], list[str]]:
    """The tariffs and the faults of a text below the least that a tariff says, which is two lines."""
    tariffs, faults = parse_tariffs(head + body, str(EXAMPLES / "t.yaml"), "t.yaml")
    return tariffs, [str(fault) for fault in faults]


def one(body: str, head: str = HEAD) -> Tariff:
    """The tariff of a text that has one and no fault."""
    tariffs, faults = parsed(body, head)
    assert faults == []
    (tariff,) = tariffs
    return tariff


def utc_ns(iso: str) -> int:
    """Nanoseconds of an ISO instant with its offset."""
    return int(datetime.fromisoformat(iso).timestamp()) * NANOSECONDS_PER_SECOND


def midnight_ns(day: date, zone: tzinfo) -> int:
    """When a local day begins."""
    return int(datetime.combine(day, time(), zone).timestamp()) * NANOSECONDS_PER_SECOND


def kwh_cost(schedule: Schedule, start_ns: int, end_ns: int) -> Decimal:
    """What a constant 1 kW costs from start to end, minute by minute: a 60th of each minute's price, exactly."""
    total = sum(
        (Fraction(schedule.at(instant)) for instant in range(start_ns, end_ns, NANOSECONDS_PER_MINUTE)), Fraction(0)
    )
    hours = total / 60
    return Decimal(hours.numerator) / Decimal(hours.denominator)


def day_cost(tariff: Tariff, day: str, days: int = 1) -> Decimal:
    """What a constant 1 kW costs over local days of the tariff's zone, without fixed charges."""
    first = date.fromisoformat(day)
    start_ns, end_ns = (midnight_ns(at, tariff.zone) for at in (first, first + timedelta(days=days)))
    return kwh_cost(tariff.schedule(), start_ns, end_ns)
