"""`costmeter prices check`: what is wrong with price files or with the prices in effect, and what is to be doubted."""

import argparse
import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from costmeter.cli import folder
from costmeter.cli.prices_effect import age, in_effect, number, utc_day
from costmeter.clock import RealClock
from costmeter.config.seriesfile import MAX_SERIES_BYTES
from costmeter.meter.series import Series
from costmeter.meter.tariff import Energy, Tariff
from costmeter.rates.dated import GRAMS_PER_KWH, DatedSeries
from costmeter.rates.stretches import holes
from costmeter.units import iso_minute

Verdict = Literal["ok", "warn", "fail"]
Line = tuple[Verdict, str]

#: Between these nobody is surprised: an hour of a GPU and a kWh in currencies of about a dollar, grams per kWh.
_PLAUSIBLE = {"h": (Decimal("0.01"), Decimal(200)), "kWh": (Decimal(-1), Decimal(5)), "g": (Decimal(0), Decimal(1500))}
_ABOUT_A_DOLLAR = ("AUD", "CAD", "CHF", "EUR", "GBP", "NZD", "USD")
#: Prices older than this are worth a fetch, lists older than that a look.
_OLD_DAYS = 180
_DAYS_A_YEAR, _MONTHS_A_YEAR = 365, 12
#: A file longer than this is soon too long.
_LONG_BYTES = 6_000_000
#: A quote is reproduced when it differs by no more than this: sellers round each line.
_QUOTE_SHARE = Decimal("0.005")


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when one of them is a fault."""
    now_ns = RealClock().utc_ns()
    failed = False
    for verdict, text in _files(args.files, now_ns) if args.files else _settings(args.config, now_ns):
        print(f"{verdict:<5} {text}")
        failed = failed or verdict == "fail"
    return int(failed)


def _settings(config: str | None, now_ns: int) -> Iterator[Line]:
    """The faults of the settings, then each figure in effect with its doubts."""
    from costmeter.config.layers import load_settings

    loaded = load_settings(config, {}, os.environ, folder.current(), strict=False)
    for fault in loaded.faults:
        yield "fail", fault
    for one in in_effect(loaded.settings, now_ns):
        told = f"{one.name} {one.value} ({one.word}{f': {one.detail}' if one.detail else ''})"
        doubts = [one.doubt] if one.doubt else []
        if one.age_days is not None and one.age_days > _OLD_DAYS:
            doubts.append(f"{one.age_days} days old")
        if one.word != "configured":
            doubts.append("nobody set it" if one.word == "estimated" else "a list price: confirm it with a bill")
        yield ("warn", f"{told}: {'; '.join(doubts)}") if doubts else ("ok", told)
    for tariff in loaded.settings.tariffs:
        yield from _tariff(tariff, tariff.id, now_ns)


def _files(paths: list[str], now_ns: int) -> Iterator[Line]:
    from costmeter.config.seriesfile import read_series
    from costmeter.config.tariff import read_tariffs

    for path in paths:
        if path.endswith(".csv"):
            dated, faults = read_series(path, path)
            found = [] if dated is None else [*_size(path), *_series(dated, path, now_ns)]
            about = "" if dated is None else f"{len(dated.series.values)} values in {dated.unit}"
        else:
            tariffs, faults = read_tariffs(path, path)
            found = [line for tariff in tariffs for line in _tariff(tariff, f"{path}: {tariff.id}", now_ns)]
            about = f"{len(tariffs)} plan{'' if len(tariffs) == 1 else 's'}"
        for fault in faults:
            yield "fail", str(fault)
        if not faults:
            yield "ok", f"{path}: {about}"
            yield from found


def _size(path: str) -> Iterator[Line]:
    """A doubt before the file is too long to be read."""
    size = os.path.getsize(path)
    if size > _LONG_BYTES:
        told = f"{size:,} bytes, and more than {MAX_SERIES_BYTES:,} are not read"
        yield "warn", f"{path}: {told}; fetch into another file from now on"


def _series(dated: DatedSeries, name: str, now_ns: int) -> Iterator[Line]:
    """Doubts of a series: its end, its holes, its age, its values, and what it does not say."""
    yield from _span(dated.series, name, now_ns)
    days = age(dated.fetched, now_ns)
    if days is not None and days > _OLD_DAYS:
        yield "warn", f"{name}: fetched {days} days ago"
    if not dated.source:
        yield "warn", f"{name}: does not say its source; add a line such as  # source: my supplier"
    if dated.unit == GRAMS_PER_KWH and not dated.scope:
        yield "warn", f"{name}: does not say whether it is lifecycle or direct; add  # scope: lifecycle"
    yield from _range(dated.series.values, dated.unit, name)


def _span(series: Series, name: str, now_ns: int) -> Iterator[Line]:
    doubt = series.doubt(now_ns)
    if doubt:
        yield "warn", f"{name}: {doubt}"
    gaps = list(holes(series))
    if gaps:
        first = f"{iso_minute(gaps[0][0])} to {iso_minute(gaps[0][1])}"
        yield "warn", f"{name}: {len(gaps)} hole{'' if len(gaps) == 1 else 's'}, the first {first}"


def _range(values: tuple[Decimal, ...], unit: str, name: str) -> Iterator[Line]:
    currency, _, per = unit.partition("/")
    if unit != GRAMS_PER_KWH and currency not in _ABOUT_A_DOLLAR:
        return
    least, most = _PLAUSIBLE["g" if unit == GRAMS_PER_KWH else per]
    for value, is_odd in ((min(values), min(values) < least), (max(values), max(values) > most)):
        if is_odd:
            yield "warn", f"{name}: {number(value)} {unit} is unusual; is the unit right?"


def _tariff(tariff: Tariff, name: str, now_ns: int) -> Iterator[Line]:
    """Doubts of a price sheet: its dates, its prices, its own quote, and what only a bill knows."""
    unit, today = f"{tariff.currency}/kWh", utc_day(now_ns)
    if tariff.valid_from is not None and today < tariff.valid_from:
        yield "warn", f"{name}: valid from {tariff.valid_from} only"
    if tariff.valid_to is not None and today >= tariff.valid_to:
        yield "warn", f"{name}: was valid until {tariff.valid_to}"
    if isinstance(tariff.energy, Series):
        yield from _span(tariff.energy, name, now_ns)
        yield from _range(tariff.energy.values, unit, name)
    else:
        yield from _range(tuple(tier.price for tiers in tariff.energy.tiers for tier in tiers), unit, name)
        yield from _quote(tariff, tariff.energy, name)
    for remark in tariff.untold:
        yield "warn", f"{name}: {remark}"


def _quote(tariff: Tariff, energy: Energy, name: str) -> Iterator[Line]:
    """Whether the seller's own figure for a year comes out, where it says what is used when."""
    if tariff.quote is None:
        return
    prices = {entry: tiers[0].price for entry, tiers in zip(energy.names, energy.tiers, strict=True)}
    if len(prices) == 1:
        prices[""] = next(iter(prices.values()))
    used = dict(tariff.quote.kwh_per_year)
    if energy.is_tiered or not used.keys() <= prices.keys():
        yield "ok", f"{name}: the seller's quote does not say enough to be computed"
        return
    per_year = {"day": _DAYS_A_YEAR, "month": _MONTHS_A_YEAR, "year": 1}
    cost = sum((prices[entry] * kwh for entry, kwh in used.items()), Decimal(0))
    cost += sum((one.amount * per_year[one.per] for one in tariff.fixed), Decimal(0))
    quoted = tariff.quote.annual_cost
    told = f"{name}: the seller quotes {quoted:f} {tariff.currency} a year, these prices make {cost:.2f}"
    yield ("ok", told) if abs(cost - quoted) <= abs(quoted) * _QUOTE_SHARE else ("warn", told)
