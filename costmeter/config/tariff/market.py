"""A tariff that follows a market: a dated series beside the file, and the formula from the market to the customer."""

import os
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from costmeter.config.faults import shown
from costmeter.config.grammar import Number
from costmeter.config.seriesfile import SeriesFormat, read_series
from costmeter.config.tariff.reading import EXACT, Reader
from costmeter.config.yamlfile import Node, Sequence
from costmeter.meter.series import Series
from costmeter.units import NANOSECONDS_PER_MINUTE

_ZERO = Decimal(0)
_FACTOR = Number("a factor", "1.03", above=_ZERO)
_AMOUNT = Number("an amount per kWh", "0.12")
TAX = Number("percent of tax", "19", minimum=_ZERO, maximum=Decimal(100))
_DURATION = re.compile(r"P(?:([0-9]{1,3})D)?(?:T(?:([0-9]{1,4})H)?(?:([0-9]{1,5})M)?)?", re.ASCII)
_SERIES_KEYS = ("file", "time_column", "end_column", "value_column", "unit", "resolution", "time", "end", "value")


@dataclass(frozen=True, slots=True)
class Formula:
    """The price of a kWh: (market × factor + added), and `tax_factor` times that."""

    factor: Decimal = Decimal(1)
    added: Decimal = _ZERO
    tax_factor: Decimal = Decimal(1)

    def price(self, market: Decimal) -> Decimal:
        """The price that a market price becomes, exactly."""
        return EXACT.multiply(EXACT.add(EXACT.multiply(market, self.factor), self.added), self.tax_factor)


PLAIN: Final = Formula()


def tax_factor(percent: Decimal) -> Decimal:
    """What an amount before tax is multiplied by, without rounding: 1.19 for 19 %."""
    return EXACT.add(Decimal(1), percent.scaleb(-2, EXACT))


def formula(node: Node, reader: Reader, tax: Decimal) -> Formula:
    """The formula as it is written. `tax` is the tariff's own tax factor, which holds where the formula has none."""
    found = reader.keys(node, ("factor", "add_per_kwh", "tax_percent"), "formula")
    factor = reader.number(found["factor"], _FACTOR) if "factor" in found else None
    added = _added(found["add_per_kwh"], reader) if "add_per_kwh" in found else _ZERO
    if "tax_percent" in found:
        percent = reader.number(found["tax_percent"], TAX)
        if tax != 1:
            reader.fault(found["tax_percent"], "tax_percent also stands beside the formula; say it once")
        tax = tax_factor(percent) if percent is not None else tax
    return Formula(Decimal(1) if factor is None else factor, added, tax)


def _added(node: Node, reader: Reader) -> Decimal:
    """The sum of a number, or of a list of {name, amount}."""
    if not isinstance(node, Sequence):
        return reader.number(node, _AMOUNT) or _ZERO
    total = _ZERO
    for item in node.items:
        found = reader.keys(item, ("name", "amount"), "an addition")
        if "amount" not in found:
            reader.fault(item, "this addition has no amount")
            continue
        total = EXACT.add(total, reader.number(found["amount"], _AMOUNT) or _ZERO)
    return total


def market(node: Node, reader: Reader, path: str, shown_as: str, currency: str, applied: Formula) -> Series | None:
    """The prices of a series file after the formula. `path` and `shown_as` are the tariff's; the file stands beside."""
    before = len(reader.faults)
    found = reader.keys(node, _SERIES_KEYS, "series")
    said = {key: reader.text(value, "a text") for key, value in found.items()}
    for short, long in (("time", "time_column"), ("end", "end_column"), ("value", "value_column")):
        if short in said and long in said:
            reader.fault(found[short], f"{short} and {long} are the same; leave one out")
        said.setdefault(long, said.get(short, ""))
    if "file" not in said:
        reader.fault(node, "series has no file")
    resolution_ns = _resolution(found["resolution"], said["resolution"], reader) if "resolution" in found else None
    if len(reader.faults) > before:
        return None
    plain = SeriesFormat()
    form = SeriesFormat(
        said["time_column"] or plain.time_column,
        said["end_column"] or plain.end_column,
        said["value_column"] or plain.value_column,
        said.get("unit"),
        resolution_ns,
        currency,
    )
    beside, shown_beside = (os.path.join(os.path.dirname(name), said["file"]) for name in (path, shown_as))
    dated, faults = read_series(beside, shown_beside, form)
    for fault in faults:
        if fault.place.line:
            reader.faults.append(fault)
        else:
            reader.fault(found["file"], f"series {fault}")
    if dated is None:
        return None
    if currency and dated.unit != f"{currency}/kWh":
        reader.fault(found.get("unit", node), f"the series is in {dated.unit}; this tariff is in {currency} per kWh")
    series = dated.series
    if applied == PLAIN:
        return series
    return Series(series.starts_utc_ns, series.ends_utc_ns, tuple(map(applied.price, series.values)))


def _resolution(node: Node, written: str, reader: Reader) -> int | None:
    """Nanoseconds of an ISO duration of days, hours and minutes."""
    match = _DURATION.fullmatch(written)
    days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = (days * 24 + hours) * 60 + minutes
    if not total:
        reader.fault(node, f"expected a duration such as PT30M, not {shown(written)}")
        return None
    return total * NANOSECONDS_PER_MINUTE
