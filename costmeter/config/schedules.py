"""Figures made into schedules: the files they name are read here, and everything is checked against the currency.

A file is named relative to the folder of the file that names it; in the environment and in flags, relative to the
working directory. Its own faults carry its own lines, and one more fault says in whose place the default is used.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from costmeter.config.faults import shown, suggestion, visible
from costmeter.config.parse import Value
from costmeter.config.yamlfile import Fault, Place
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant, Schedule
from costmeter.rates.book import Instance, Sourced

if TYPE_CHECKING:  # loaded where a setting is one of them: every run loads this module, and few need those
    from costmeter.config.forms import Listed, SeriesFile, TariffFiles
    from costmeter.config.windows import Windows
    from costmeter.meter.tariff import Tariff
    from costmeter.rates.dated import DatedSeries

#: What a figure is measured in, after the currency; the grid's has none.
_UNITS = {"gpu.price": "h", "electricity.price": "kWh"}


@dataclass(slots=True)
class Schedules:
    """Reads figures, collecting faults. `zone` is that of all settings; `cwd` is where the sources' paths begin.

    `tariffs` are the price sheets that were used, `scopes` say of grid factors which emissions they count, where that
    is known. `named_by` has, for each file that had faults, the sources that name it: whoever refuses a source's faults
    refuses those of its files too.
    """

    currency: str
    zone: tzinfo | None
    cwd: str
    faults: list[Fault] = field(default_factory=list)
    tariffs: "tuple[Tariff, ...]" = ()
    scopes: dict[str, str] = field(default_factory=dict)
    named_by: dict[str, set[str]] = field(default_factory=dict)

    def sourced(self, value: Value | None, name: str) -> Sourced | None:
        """The schedule of a setting and where it was written; None when it is not set, and with faults."""
        if value is None:
            return None
        item = value.item
        if isinstance(item, Decimal):
            return Sourced(Constant(item), origin(value))
        from costmeter.config.forms import Listed, SeriesFile, TariffFiles, Zoned
        from costmeter.config.windows import Windows

        if isinstance(item, Windows):
            return self._windows(value, item, name)
        if isinstance(item, Listed):
            return self._listed(value, item, name)
        if isinstance(item, Zoned):
            self.scopes[name] = item.factor.scope
            told = Origin("configured", f"{item.factor.described}, {value.place.brief}")
            return Sourced(Constant(item.factor.grams_per_kwh), told)
        if isinstance(item, SeriesFile):
            return self._series(value, item, name)
        return self._tariff(value, item, name) if isinstance(item, TariffFiles) else None

    def price(self, value: Value | None, name: str) -> Sourced | Instance | None:
        """The price of a GPU: a schedule, or what a whole machine costs."""
        if value is not None and not isinstance(value.item, Decimal):
            from costmeter.config.forms import PerInstance

            if isinstance(value.item, PerInstance):
                return Instance(value.item.price_per_hour, value.item.gpus, origin(value))
        return self.sourced(value, name)

    def fault(self, value: Value, what: str) -> None:
        """Note a fault once, though several blocks may have it from the same place."""
        self._note(Fault(value.place, what))

    def _note(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    def _windows(self, value: Value, item: "Windows", name: str) -> Sourced | None:
        from costmeter.meter.calendar import Calendar
        from costmeter.meter.calendar import Place as LocalPlace

        zone = item.zone or self.zone
        if zone is None:
            self.fault(value, f"{name}: windows need a zone; add  timezone: America/Los_Angeles  or the like")
            return None
        return Sourced(Calendar(LocalPlace(zone), item.windows), origin(value))

    def _listed(self, value: Value, item: "Listed", name: str) -> Sourced | None:
        from costmeter.rates.catalog import CURRENCY, traps

        offer, price = item.offer, item.offer.price(item.kind)
        if self.currency != CURRENCY:
            self.fault(value, f"{name}: the catalogue is in {CURRENCY}, not {self.currency}; nothing is converted")
        if self.currency != CURRENCY or price is None:
            return None
        doubts = "".join(f"; {trap}" for trap in traps(offer, item.kind))
        told = f"{offer.key} {item.kind} ({offer.sourced(item.kind)}){doubts}, {value.place.brief}"
        dated = offer.dated(item.kind)
        return Sourced(Constant(price), Origin(f"list price {dated[:7]}", told), dated, offer.gpu_key)

    def _series(self, value: Value, item: "SeriesFile", name: str) -> Sourced | None:
        from costmeter.rates.dated import GRAMS_PER_KWH

        dated = self._dated(value, item, name)
        wanted = f"{self.currency}/{_UNITS[name]}" if name in _UNITS else GRAMS_PER_KWH
        if dated is None:
            return None
        if dated.unit != wanted:
            hint = _not_converted(dated, wanted)
            self.fault(value, f"{name}: {shown(item.name)} is in {dated.unit}, not in {wanted}{hint}")
            return None
        self.scopes[name] = dated.scope
        facts = [fact for fact in (dated.scope, dated.method, dated.source) if fact]
        facts += [f"fetched {dated.fetched}"] if dated.fetched else []
        about = f" ({', '.join(facts)})" if facts else ""
        told = f"series {visible(_below(item.name, value.place))}{about}, {value.place.brief}"
        return Sourced(_shared(dated, item.gpus), Origin("configured", told), dated.fetched)

    def _dated(self, value: Value, item: "SeriesFile", name: str) -> "DatedSeries | None":
        from costmeter.config.seriesfile import SeriesFormat, read_series

        path, shown_as = self._located(item.name, value.place)
        dated, faults = read_series(path, shown_as, SeriesFormat(currency=self.currency))
        self._blame(value.place, faults, item.name, name)
        return None if faults else dated

    def _tariff(self, value: Value, item: "TariffFiles", name: str) -> Sourced | None:
        from costmeter.config.tariff import succession

        sheets = [self._sheet(item, file, name) for file in item.names]
        tariffs = tuple(sheet for sheet in sheets if sheet is not None)
        if len(tariffs) < len(sheets) or not self._fit(value, tariffs, item.tier, name):
            return None
        try:
            schedule = succession(tariffs, item.tier)
        except ValueError as problem:
            self.fault(value, f"{name}: {problem}")
            return None
        self.tariffs = tariffs
        files = [visible(_below(file, place)) for file, place in item.names]
        named = ", ".join(f"{tariff.id} ({file})" for tariff, file in zip(tariffs, files, strict=True))
        told = f"tariff {named}{_tier_told(tariffs, item.tier)}, {value.place.brief}"
        return Sourced(schedule, Origin("configured", told))

    def _sheet(self, item: "TariffFiles", file: tuple[str, Place], name: str) -> "Tariff | None":
        """The one plan of a file that is meant."""
        from costmeter.config.tariff import read_tariffs

        path, shown_as = self._located(file[0], file[1])
        tariffs, faults = read_tariffs(path, shown_as)
        self._blame(file[1], faults, file[0], name)
        if faults:
            return None
        ids = [tariff.id for tariff in tariffs]
        meant = [tariff for tariff in tariffs if not item.plans or tariff.id in item.plans]
        if len(meant) == 1:
            return meant[0]
        if item.plans:
            hint = suggestion(item.plans[0], ids)
            self._note(Fault(file[1], f"{name}.plan: {shown(file[0])} has no plan {shown(item.plans[0])}{hint}"))
        else:
            listed = ", ".join(ids)
            several = f"{shown(file[0])} has {len(ids)} plans ({listed})"
            self._note(Fault(file[1], f"{name}: {several}; say which, such as  plan: {ids[0]}"))
        return None

    def _fit(self, value: Value, tariffs: "tuple[Tariff, ...]", tier: int | None, name: str) -> bool:
        """Whether tariffs are in the currency of the settings, and have the tier that is asked for."""
        for tariff in tariffs:
            if tariff.currency != self.currency:
                what = f"tariff {tariff.id} is in {tariff.currency}, not {self.currency}; nothing is converted"
                self.fault(value, f"{name}: {what}")
                return False
        most = max(map(_tiers, tariffs))
        if tier is not None and tier >= most:
            count = "no tiers" if most == 1 else f"{most} tiers"
            self.fault(value, f"{name}.tier: the tariff has {count}, so there is no tier {tier + 1}; leave it out")
            return False
        return True

    def _located(self, file: str, place: Place) -> tuple[str, str]:
        """A file's path, and as what it is shown."""
        shown_as = _below(file, place)
        return os.path.join(self.cwd, shown_as), visible(shown_as)

    def _blame(self, place: Place, faults: tuple[Fault, ...], file: str, name: str) -> None:
        """Note the faults of a file, and at the place that names it that it is not used."""
        if faults:
            self._note(Fault(place, f"{name}: {shown(file)} cannot be used, so this is not set"))
        for fault in faults:
            self._note(fault)
            self.named_by.setdefault(fault.place.source, set()).add(place.source)


def origin(value: Value) -> Origin:
    """Configured, and where."""
    return Origin("configured", value.place.brief)


def _below(file: str, place: Place) -> str:
    """A file as it is shown: relative to where its namer is shown. The name of a variable or a flag has no folder."""
    return os.path.normpath(os.path.join(os.path.dirname(place.source), file))


def _shared(dated: "DatedSeries", gpus: int | None) -> Schedule:
    """The series, its values divided among GPUs."""
    if gpus is None:
        return dated.series
    return replace(dated.series, values=tuple(value / gpus for value in dated.series.values))


def _not_converted(dated: "DatedSeries", wanted: str) -> str:
    """A hint where only the currency is another."""
    return "; nothing is converted" if dated.unit.partition("/")[2] == wanted.partition("/")[2] else ""


def _tiers(tariff: "Tariff") -> int:
    """The number of tiers of its entry that has most."""
    tiers = getattr(tariff.energy, "tiers", ())
    return max(map(len, tiers), default=1)


def _tier_told(tariffs: "tuple[Tariff, ...]", tier: int | None) -> str:
    """Which tier the live price is of, where there are several."""
    if all(_tiers(tariff) == 1 for tariff in tariffs):
        return ""
    return " at its last tier" if tier is None else f" at tier {tier + 1}"
