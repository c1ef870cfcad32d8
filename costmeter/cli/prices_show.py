"""`costmeter prices show`: one price, zone, tariff or series in full; without a word, those in effect."""

import argparse
import os
import shlex
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

from costmeter.cli import folder
from costmeter.cli.lines import warn
from costmeter.cli.prices_effect import in_effect, number
from costmeter.clock import RealClock
from costmeter.config.yamlfile import Fault
from costmeter.errors import CostmeterError
from costmeter.meter.schedule import Schedule
from costmeter.meter.series import OPEN_END, Series
from costmeter.meter.tariff import Tariff, Tier
from costmeter.outputs.columns import columns
from costmeter.rates.dated import DatedSeries
from costmeter.rates.stretches import holes, mean
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND, iso_minute

if TYPE_CHECKING:
    from costmeter.rates.catalog import Kind, Offer

_DAYS_SHOWN = 7
_FILES = (".csv", ".yaml", ".yml")


def run(args: argparse.Namespace) -> int:
    """Print what is asked for; 1 when it cannot be read. Raises CostmeterError when there is no such thing."""
    now_ns = RealClock().utc_ns()
    if args.key is None:
        return _show_effect(args.config, now_ns)
    if args.key.endswith(_FILES) or os.path.exists(args.key):  # no disk is asked for the first: it may hang
        lines, faults = _file(args.key, now_ns)
        for fault in faults:
            print(fault, file=sys.stderr)
        if lines:
            print("\n".join(lines))
        return int(bool(faults))
    print("\n".join(_fields(_keyed(args.key))))
    return 0


def _show_effect(config: str | None, now_ns: int) -> int:
    from costmeter.config.layers import load_settings

    loaded = load_settings(config, {}, os.environ, folder.current(), strict=False)
    for fault in loaded.faults:
        warn(fault)
    rows = []
    for one in in_effect(loaded.settings, now_ns):
        age = "" if one.age_days is None else f"{one.age_days} days old"
        rows.append((one.name, one.value, f"{one.word}: {one.detail}" if one.detail else one.word, age))
        if one.doubt:
            rows.append(("", "", f"doubt: {one.doubt}", ""))
    print("\n".join(columns(rows)))
    return 0


def _fields(pairs: list[tuple[str, str]]) -> list[str]:
    return columns([(name, value) for name, value in pairs if value])


def _keyed(key: str) -> list[tuple[str, str]]:
    """A catalogue key or a carbon zone. Raises CostmeterError with what is nearest."""
    refusals = {}
    for look in (_offer, _zone) if key.count("/") > 1 else (_zone, _offer):
        try:
            return look(key)
        except LookupError as problem:
            refusals[look] = str(problem.args[0])
    raise _unknown(key, refusals[_offer], refusals[_zone])


def _unknown(key: str, as_offer: str, as_zone: str) -> CostmeterError:
    """What a word that is neither was probably to be: a key where a seller stands first, a part of rows, a zone."""
    from costmeter.cli.prices_list import gpu_records
    from costmeter.rates.catalog import offers

    provider, _, rest = key.casefold().partition("/")
    hint = "costmeter prices list WORD, or costmeter prices list --kind carbon WORD"
    if rest and any(offer.provider == provider for offer in offers()):
        instance = rest.partition("/")[0]
        is_sold = any((offer.provider, offer.instance.casefold()) == (provider, instance) for offer in offers())
        is_near_zone = "/" not in rest and not is_sold and "Did you mean" in as_zone
        return CostmeterError(as_zone if is_near_zone else as_offer, hint)
    count = sum(1 for _ in gpu_records(key.split())) if "/" not in key else 0
    if count:
        rows = f"{count} price{' has' if count == 1 else 's have'} it"
        return CostmeterError(f'"{key}" is neither a key of the catalogue nor a zone; {rows}', _listing(key))
    return CostmeterError(as_offer if "/" in rest else as_zone, hint)


def _listing(word: str) -> str:
    return f"costmeter prices list {shlex.quote(word)}"


def _offer(key: str) -> list[tuple[str, str]]:
    from costmeter.rates.catalog import KINDS, find, traps

    offer, asked = find(key)
    per = "GPU-hour" if offer.published.per_gpu else "machine-hour"
    prices = [
        (kind, f"{number(price)} USD/GPU-h, published {offer.as_published(kind):f} per {per}, {_read_at(offer, kind)}")
        for kind in (asked, *(other for other in KINDS if other != asked))
        if (price := offer.price(kind)) is not None
    ]
    return [
        ("catalog", f"{offer.key}/{asked}"),
        *prices,
        ("model", f"{offer.gpus:f} × {offer.gpu_key}"),
        ("notes", offer.notes),
        *(("doubt", trap) for trap in traps(offer, asked)),
        ("use it", f"gpu: {{price: {{catalog: {offer.key}/{asked}}}}}"),
    ]


def _read_at(offer: "Offer", kind: "Kind") -> str:
    """The day of a price and whose list it was read in: each price has its own."""
    return f"{offer.dated(kind)}, {offer.sourced(kind)}"


def _zone(name: str) -> list[tuple[str, str]]:
    from costmeter.rates.grid import SOURCES, zone

    factor = zone(name)
    return [
        ("zone", f"{factor.spelling}, {factor.name}"),
        ("intensity", f"{factor.grams_per_kwh:f} gCO2e/kWh"),
        ("year", str(factor.year)),
        ("scope", factor.scope),
        ("method", factor.method),
        ("source", SOURCES.get(factor.source, factor.source)),
        ("notes", factor.notes),
        ("use it", f"carbon: {{intensity: {{zone: {factor.spelling}}}}}"),
    ]


def _file(path: str, now_ns: int) -> tuple[list[str], tuple[Fault, ...]]:
    """A series by its ending, else a tariff file."""
    if path.endswith(".csv"):
        from costmeter.config.seriesfile import read_series

        dated, faults = read_series(path, path)
        return ([] if dated is None else _fields(_series(dated, now_ns))), faults
    from costmeter.config.tariff import read_tariffs

    tariffs, faults = read_tariffs(path, path)
    lines: list[str] = []
    for tariff in tariffs:
        lines += ([""] if lines else []) + _fields(_tariff(tariff, now_ns))
    return lines, faults


def _series(dated: DatedSeries, now_ns: int) -> list[tuple[str, str]]:
    return [
        ("source", dated.source),
        ("fetched", dated.fetched),
        ("scope", dated.scope),
        ("method", dated.method),
        *_figures(dated.series, dated.unit, now_ns),
    ]


def _figures(series: Series, unit: str, now_ns: int) -> list[tuple[str, str]]:
    """Span, holes, the extremes, the mean over time, and the value now."""
    ends = "further notice" if series.ends_utc_ns[-1] == OPEN_END else iso_minute(series.ends_utc_ns[-1])
    gaps = list(holes(series))
    named = "; ".join(f"{iso_minute(start)} to {iso_minute(end)}" for start, end in gaps[:5])
    doubt = series.doubt(now_ns)
    return [
        ("span", f"{iso_minute(series.starts_utc_ns[0])} to {ends}, {len(series.values)} values"),
        ("holes", f"{len(gaps)}: {named}{'; …' if len(gaps) > 5 else ''}" if gaps else ""),
        ("least", f"{number(min(series.values))} {unit}"),
        ("mean", f"{number(mean(series))} {unit}"),
        ("most", f"{number(max(series.values))} {unit}"),
        ("now", f"{number(series.at(now_ns))} {unit}{f' ({doubt})' if doubt else ''}"),
    ]


def _tariff(tariff: Tariff, now_ns: int) -> list[tuple[str, str]]:
    schedule, unit = tariff.schedule(), f"{tariff.currency}/kWh"
    doubt = schedule.doubt(now_ns)
    pairs = [
        ("tariff", f"{tariff.id}, {tariff.name}"),
        ("valid", f"{tariff.valid_from or '…'} to {tariff.valid_to or '…'}"),
        ("now", f"{number(schedule.at(now_ns))} {unit}{f' ({doubt})' if doubt else ''}"),
    ]
    if isinstance(tariff.energy, Series):
        pairs += _figures(tariff.energy, unit, now_ns)[:-1]
    else:
        pairs += [(day.days, day.prices) for day in _week(schedule, tariff.zone, now_ns)]
        entries = zip(tariff.energy.names, tariff.energy.tiers, strict=True)
        pairs += [(f"tiers {name}", _tiers(tiers, tariff.currency, "kWh")) for name, tiers in entries if len(tiers) > 1]
    pairs += [
        ("fixed", f"{number(one.amount)} {tariff.currency} a {one.per} {one.name}".rstrip()) for one in tariff.fixed
    ]
    pairs += [
        ("demand", f"{one.name}: {_tiers(one.tiers, tariff.currency, 'kW')}, by {one.interval_minutes} minutes")
        for one in tariff.demand
    ]
    return pairs + [("untold", remark) for remark in tariff.untold]


def _tiers(tiers: tuple[Tier, ...], currency: str, per: str) -> str:
    """`0.31 USD a kWh up to 500 kWh, then 0.4 USD a kWh`."""
    words = []
    for tier in tiers:
        limit = "" if tier.up_to is None else f" up to {number(tier.up_to)} {per}"
        words.append(f"{number(tier.price)} {currency} a {per}{limit}")
    return ", then ".join(words)


@dataclass(frozen=True, slots=True)
class _Days:
    """Days that are priced alike, and their prices by local time."""

    days: str
    prices: str


def _week(schedule: Schedule, zone: tzinfo, now_ns: int) -> list[_Days]:
    """The next seven days by local time, those alike together."""
    today = datetime.fromtimestamp(now_ns // NANOSECONDS_PER_SECOND, zone).date()
    alike: dict[str, list[str]] = {}
    for ahead in range(_DAYS_SHOWN):
        day = today + timedelta(days=ahead)
        alike.setdefault(_day(schedule, zone, day), []).append(f"{day:%a}")
    return [_Days(" ".join(days), prices) for prices, days in alike.items()]


def _day(schedule: Schedule, zone: tzinfo, day: date) -> str:
    """`00:00 0.17, 07:00 0.31`: the prices of a local day of 23, 24 or 25 hours, each from its minute on."""
    start_ns, end_ns = (_midnight_ns(one, zone) for one in (day, day + timedelta(days=1)))
    told, before = [], None
    for minute_ns in range(start_ns, end_ns, NANOSECONDS_PER_MINUTE):
        value = schedule.at(minute_ns)
        if value != before:
            local = datetime.fromtimestamp(minute_ns // NANOSECONDS_PER_SECOND, zone)
            told.append(f"{local:%H:%M} {number(value)}")
            before = value
    return ", ".join(told)


def _midnight_ns(day: date, zone: tzinfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp()) * NANOSECONDS_PER_SECOND
