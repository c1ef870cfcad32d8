"""Figures for people: money, energy, carbon and time in few digits, and columns that still add up."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

#: Less time than this would read as 0.0 s, and is not told of.
SHOWN_FROM_SECONDS = 0.05
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


def plain(amount: Decimal) -> str:
    """A decimal as text without an exponent, which few other programs read."""
    return format(amount, "f")


def quantum(total: Decimal) -> Decimal:
    """How finely to show amounts of this size: cents, or finer for a run that cost less than a dollar."""
    size = abs(total)
    if size >= 1 or size == 0:
        return Decimal("0.01")
    return Decimal("0.0001") if size >= Decimal("0.01") else Decimal("0.000001")


def money(amount: Decimal, currency: str, step: Decimal | None = None) -> str:
    """An amount with its currency: $12.34, -€0.0042, 12.34 SEK."""
    shown = amount.quantize(step or quantum(amount), ROUND_HALF_EVEN)
    sign, symbol = "-" if shown < 0 else "", _SYMBOLS.get(currency)
    return f"{sign}{symbol}{abs(shown):,}" if symbol else f"{sign}{abs(shown):,} {currency}"


def price_of(price: str, currency: str) -> str:
    """A price as it was given, with two to six decimals."""
    exponent = Decimal(price).normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 2
    return money(Decimal(price), currency, Decimal(1).scaleb(-min(6, max(2, places))))


def rounded(parts: Sequence[Decimal], step: Decimal) -> list[Decimal]:
    """Parts rounded to `step` so that they add up to their rounded total (largest remainder)."""
    floors = [part.quantize(step, ROUND_FLOOR) for part in parts]
    total = sum(parts, Decimal(0)).quantize(step, ROUND_HALF_EVEN)
    missing = int((total - sum(floors, Decimal(0))) / step)
    by_remainder = sorted(range(len(parts)), key=lambda place: parts[place] - floors[place], reverse=True)
    for place in by_remainder[:missing]:
        floors[place] += step
    return floors


def roughly(amount: Decimal, digits: int) -> Decimal:
    """The step that leaves an amount so many digits, whole units at most: 0.0001 for 0.0394 in three, 1 for 230."""
    if not amount:
        return Decimal("0.01")
    return Decimal(1).scaleb(min(0, amount.adjusted() - digits + 1))


def significant(value: float, digits: int = 3) -> str:
    """A number in a few digits and no exponent: 22.3, 0.00412, 1,630."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, digits - 1 - _magnitude(value, digits))}f}"


def _magnitude(value: float, digits: int) -> int:
    """The power of ten of the first digit, once rounded: 9.996 in three digits is 10.0."""
    return int(f"{abs(value):.{digits - 1}e}".partition("e")[2])


def energy(kwh: float) -> str:
    """Energy in the unit tariffs use: kWh, or Wh for what is too small to read in kWh."""
    return f"{significant(kwh)} kWh" if kwh >= 0.01 or kwh == 0 else f"{significant(kwh * 1000)} Wh"


def energies(parts_kwh: Sequence[float]) -> tuple[list[str], str]:
    """Energies that are read as a sum, and their unit: four digits of their total, so that they add up to it."""
    total = sum(parts_kwh)
    factor, unit = (1, "kWh") if total >= 0.01 or total == 0 else (1_000, "Wh")
    return _addends([part * factor for part in parts_kwh], 4), unit


def carbons(parts_grams: Sequence[float]) -> tuple[list[str], str]:
    """Emissions that are read as a sum, and their unit."""
    divisor, unit = (1_000, "kg") if sum(parts_grams) >= 100 else (1, "g")
    return _addends([part / divisor for part in parts_grams], 3), unit


def _addends(parts: Sequence[float], digits: int) -> list[str]:
    total = sum(parts)
    step = Decimal(1).scaleb(min(0, _magnitude(total, digits) - digits + 1) if total else 0)
    return [f"{part:,}" for part in rounded([Decimal(repr(part)) for part in parts], step)]


def carbon(grams: float) -> str:
    """CO2e in kilograms, or grams below a tenth of one."""
    return f"{significant(grams / 1000, 2)} kg CO2e" if grams >= 100 else f"{significant(grams, 2)} g CO2e"


def duration(seconds: float) -> str:
    """3 h 12 m 07 s; 41.3 s below a minute."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    text = f"{minutes} m {whole % 60:02d} s"
    if days or hours:
        text = f"{hours} h {minutes:02d} m {whole % 60:02d} s"
    return f"{days} d {text}" if days else text


def about(seconds: float) -> str:
    """A length of time in its two largest units: 2 h 10 m, 3 d 4 h, 31 m, 40 s."""
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    days, hours = minutes // 1_440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} m" if hours else f"{minutes} m"


def gpu_hours(seconds: Iterable[float]) -> list[Decimal]:
    """GPU-hours that add up: hundredths, or finer below an hour."""
    hours = [Decimal(repr(each)) / 3600 for each in seconds]
    return rounded(hours, Decimal("0.01") if sum(hours) >= 1 else Decimal("0.0001"))


def local_time(text: str) -> datetime:
    """An instant of a receipt by the clock of whoever reads it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()


def seconds_between(first: str, second: str) -> float:
    """From one instant of JSON to another; 0 where a clock was set back between them."""
    return max(0.0, (local_time(second) - local_time(first)).total_seconds())
