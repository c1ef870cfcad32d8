"""One price sheet: its keys, read into a tariff."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from costmeter.config.faults import shown, suggestion
from costmeter.config.grammar import Number
from costmeter.config.tariff.entries import EntryParser
from costmeter.config.tariff.market import TAX, formula, market, tax_factor
from costmeter.config.tariff.reading import EXACT, Reader
from costmeter.config.tariff.whereabouts import place, seasons
from costmeter.config.yamlfile import Mapping, Node
from costmeter.meter.series import Series
from costmeter.meter.tariff import DemandCharge, Energy, FixedCharge, Per, Quote, Tariff

#: Said for people; nothing is computed from them. (`country` also says how holidays are observed.)
_SPOKEN = ("name", "region", "sector", "utility", "source", "licence", "notes", "formula_background")
KEYS = (
    *("id", "currency", "timezone", "meter_clock", "country", "valid_from", "valid_to", *_SPOKEN),
    *("seasons", "holidays", "holidays_count_as", "holidays_observed", "prices_include_tax", "tax_percent"),
    *("fixed", "energy", "demand", "tiers_reset", "series", "formula", "credits", "check"),
)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_AMOUNT = Number("an amount of money", "107.36")
_KWH = Number("kWh in a year", "2700", minimum=Decimal(0))
_PERIODS: tuple[Per, ...] = ("day", "month", "year")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sheet is from: the file, how people know it, and the keys that it has."""

    path: str
    shown_as: str
    root: Node
    found: dict[str, Node]


def tariff(source: Source, unnamed: str, reader: Reader) -> Tariff | None:
    """The tariff of a sheet; None when the reader found a fault in it. `unnamed` is the id of a sheet that has none."""
    sheet = _Sheet(source, reader)
    found = source.found
    for key in ("currency", "timezone"):
        if key not in found:
            reader.fault(source.root, f"this tariff has no {key}")
    whereabouts = place(found, reader)
    energy: Energy | Series | None = None
    if "energy" in found and "series" in found:
        reader.fault(found["series"], "a tariff has energy or a series, not both")
    elif "series" in found:
        energy = sheet.series()
    elif "energy" in found and whereabouts is not None:
        energy = sheet.parser.energy(found["energy"], whereabouts[1])
    elif "energy" not in found:
        reader.fault(source.root, "this tariff has neither energy nor a series")
    valid = sheet.validity()
    said = {key: reader.text(found[key], "a text") for key in ("id", *_SPOKEN) if key in found}
    fixed, demand, quote, untold = sheet.fixed(), sheet.demand(), sheet.quote(energy), sheet.untold(said)
    if reader.faults or whereabouts is None or energy is None:
        return None
    own = said.get("id") or unnamed
    zone, calendar = whereabouts
    return Tariff(
        own, said.get("name", own), sheet.currency, zone, calendar, energy, fixed, demand, *valid, quote, untold
    )


class _Sheet:
    """The parts of one sheet."""

    def __init__(self, source: Source, reader: Reader) -> None:
        self._source = source
        self._found = source.found
        self._reader = reader
        self.currency = self._currency()
        self._includes_tax = self._tax_is_included()
        self._tax = self._tax_factor()
        self.parser = EntryParser(reader, seasons(source.found.get("seasons"), reader), self._tax)

    def _currency(self) -> str:
        if "currency" not in self._found:
            return ""
        written = self._reader.text(self._found["currency"], "a currency")
        if written and not _CURRENCY.fullmatch(written):
            self._reader.fault(self._found["currency"], f"expected a currency such as EUR, not {shown(written)}")
            return ""
        return written

    def _tax_is_included(self) -> bool | None:
        """What the sheet says of it; None where it does not."""
        if "prices_include_tax" not in self._found:
            return None
        word = self._reader.word(self._found["prices_include_tax"], ("true", "false"))
        return None if word is None else word == "true"

    def _tax_factor(self) -> Decimal:
        """What prices are multiplied by. Where they include tax, `tax_percent` only says how much of it."""
        if "tax_percent" not in self._found:
            return Decimal(1)
        percent = self._reader.number(self._found["tax_percent"], TAX)
        return Decimal(1) if percent is None or self._includes_tax else tax_factor(percent)

    def series(self) -> Series | None:
        """The market's prices after the formula and tax."""
        found, reader = self._found, self._reader
        empty = Mapping((), found["series"].place)
        applied = formula(found.get("formula", empty), reader, self._tax)
        if self._includes_tax and applied.tax_factor != 1:
            reader.fault(found["formula"], "prices_include_tax is true; leave the formula's tax_percent out")
        return market(found["series"], reader, self._source.path, self._source.shown_as, self.currency, applied)

    def validity(self) -> tuple[date | None, date | None]:
        """The first date of the sheet, and the first after it."""
        first, after = (
            self._reader.date(self._found[key]) if key in self._found else None for key in ("valid_from", "valid_to")
        )
        if first is not None and after is not None and after <= first:
            self._reader.fault(self._found["valid_to"], f"valid_to {after} is not after valid_from {first}")
        return first, after

    def fixed(self) -> tuple[FixedCharge, ...]:
        """The fixed charges, with tax."""
        charges = []
        listed = self._reader.items(self._found["fixed"], "{amount, per}") if "fixed" in self._found else ()
        for item in listed:
            found = self._reader.keys(item, ("amount", "per", "name"), "a fixed charge")
            if not {"amount", "per"} <= found.keys():
                self._reader.fault(item, "a fixed charge needs amount and per")
                continue
            amount = self._reader.number(found["amount"], _AMOUNT)
            word = self._reader.word(found["per"], _PERIODS)
            per = next((known for known in _PERIODS if known == word), None)
            name = self._reader.text(found["name"], "a name") if "name" in found else ""
            if amount is not None and per is not None:
                charges.append(FixedCharge(EXACT.multiply(amount, self._tax), per, name))
        return tuple(charges)

    def demand(self) -> tuple[DemandCharge, ...]:
        """The charges for demand, with tax; also says how tiers are counted."""
        if "tiers_reset" in self._found:
            self._reader.word(self._found["tiers_reset"], ("month",))
        if "formula" in self._found and "series" not in self._found:
            self._reader.fault(self._found["formula"], "a formula needs a series")
        return self.parser.demand(self._found["demand"]) if "demand" in self._found else ()

    def quote(self, energy: Energy | Series | None) -> Quote | None:
        """What the seller says a year costs."""
        if "check" not in self._found:
            return None
        node, reader = self._found["check"], self._reader
        cost_keys = ("annual_cost", f"annual_cost_{self.currency.lower()}") if self.currency else ("annual_cost",)
        found = reader.keys(node, ("kwh_per_year", *cost_keys), "check")
        costs = [found[key] for key in cost_keys if key in found]
        if "kwh_per_year" not in found or len(costs) != 1:
            reader.fault(node, f"a check needs kwh_per_year and one {cost_keys[-1]}")
            return None
        annual = reader.number(costs[0], _AMOUNT)
        kwh = self._kwh(found["kwh_per_year"], energy.names if isinstance(energy, Energy) else ())
        return None if annual is None else Quote(kwh, annual)

    def _kwh(self, node: Node, names: tuple[str, ...]) -> tuple[tuple[str, Decimal], ...]:
        """kWh in all, or by the names of entries."""
        if not isinstance(node, Mapping):
            total = self._reader.number(node, _KWH)
            return () if total is None else (("", total),)
        by_name = []
        for key, value in node.entries:
            amount = self._reader.number(value, _KWH)
            if names and key.text not in names:
                self._reader.fault(key, f"no entry of energy is named {shown(key.text)}{suggestion(key.text, names)}")
            if amount is not None:
                by_name.append((key.text, amount))
        return tuple(by_name)

    def untold(self, said: dict[str, str]) -> tuple[str, ...]:
        """Remarks: credits, taxes and notes that are in no total."""
        remarks = []
        listed = self._reader.items(self._found["credits"], "credits") if "credits" in self._found else ()
        for item in listed:
            found = self._reader.keys(item, ("name", "per_kwh", "per", "amount", "up_to", "notes"), "a credit")
            words = {key: self._reader.text(value, "a text") for key, value in found.items()}
            name = words.pop("name", "without a name")
            facts = ", ".join(f"{key} {value}" for key, value in words.items())
            remarks.append(f"credit {name} is in no total ({facts})" if facts else f"credit {name} is in no total")
        if self._includes_tax is False and self._tax == 1 and "formula" not in self._found:
            remarks.append("prices are before tax, and the file says no tax_percent")
        return (*remarks, said["notes"]) if said.get("notes") else tuple(remarks)
