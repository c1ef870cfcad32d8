"""The prices that the settings in effect come to now: value, origin, age, and why to doubt them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal

from costmeter.config.settings import Settings
from costmeter.rates.book import Instance, Sourced
from costmeter.units import NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class InEffect:
    """One figure. `age_days` is None where nothing is dated; `doubt` is empty where there is none."""

    name: str
    value: str
    word: str
    detail: str
    age_days: int | None
    doubt: str


def in_effect(settings: Settings, now_ns: int) -> Iterator[InEffect]:
    """Every price and grid factor, in the order of the settings. GPUs nobody priced are at their models' list price."""
    book, currency = settings.book, settings.currency
    several = len(book.gpus) > 1
    for position, plan in enumerate(book.gpus):
        name = f"gpu[{position}].price" if several else "gpu.price"
        if isinstance(plan.price, Sourced):
            yield _figure(name, plan.price, f"{currency}/GPU-h", now_ns)
        elif isinstance(plan.price, Instance):
            origin = plan.price.origin
            value = f"{plan.price.price_per_hour:f} {currency}/h for the machine"
            yield InEffect(name, value, origin.word, origin.detail, None, "")
        elif plan.owned is not None:
            value = f"{plan.owned.capital_per_hour:.4f} {currency}/h of capital"
            yield InEffect(
                name.replace("price", "owned"), value, plan.owned.origin.word, plan.owned.origin.detail, None, ""
            )
    if not book.gpus:
        yield InEffect("gpu.price", "of the model", "list price", "costmeter doctor names it; set gpu.price", None, "")
    if book.electricity is not None:
        yield _figure("electricity.price", book.electricity, f"{currency}/kWh", now_ns)
    yield _figure("electricity.pue", book.pue, "", now_ns)
    yield _figure("carbon.intensity", book.carbon, "g/kWh", now_ns)
    if book.market is not None:
        yield _figure("carbon.market", book.market, "g/kWh", now_ns)


def _figure(name: str, sourced: Sourced, unit: str, now_ns: int) -> InEffect:
    value, word = sourced.schedule.at(now_ns), sourced.origin_at(now_ns).word
    age_days, doubt = age(sourced.dated, now_ns), sourced.schedule.doubt(now_ns)
    return InEffect(name, f"{number(value)} {unit}".rstrip(), word, sourced.origin.detail, age_days, doubt)


def number(value: Decimal) -> str:
    """At most six places, without zeros at the end."""
    return f"{round(value, 6).normalize():f}"


def age(dated: str, now_ns: int) -> int | None:
    """Days since an ISO day, month or instant; None where it is none. A month counts from its first day."""
    try:
        day = date.fromisoformat(f"{dated}-01" if len(dated) == len("2026-11") else dated[: len("2026-11-22")])
    except ValueError:
        return None
    return max(0, (utc_day(now_ns) - day).days)


def utc_day(utc_ns: int) -> date:
    """The day of an instant in UTC."""
    return datetime.fromtimestamp(utc_ns // NANOSECONDS_PER_SECOND, timezone.utc).date()
