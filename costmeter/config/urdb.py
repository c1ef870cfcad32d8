"""Tariffs of the OpenEI Utility Rate Database (URDB, its data are CC0): a record as JSON becomes a tariff file of ours.

Prices are `rate + adj`, in US dollars; hours are of the wall clock; months are calendar months. What a tariff file
cannot say (ratchets, reactive power, coincident peaks, feed-in) is listed in a comment, and in `notes` for reports.
"""

from decimal import Decimal

from costmeter.config.faults import shown
from costmeter.config.quoting import quoted
from costmeter.config.tariff.reading import EXACT
from costmeter.config.urdbmatrix import Months, Part, peaked, priced, runs
from costmeter.config.urdbrecord import Record, choose, one_line
from costmeter.config.yamlfile import Fault, Place
from costmeter.config.zones import nearest, zone

_FIXED_UNITS = {"$/month": "month", "$/day": "day", "$/year": "year"}
_ENERGY, _DEMAND = ("price_per_kwh", "up_to_kwh", "kWh"), ("price_per_kw", "up_to_kw", "kW")
#: Keys that are carried, and those that only describe the record.
_CARRIED = {
    *("energyratestructure", "energyweekdayschedule", "energyweekendschedule", "startdate", "enddate"),
    *("demandratestructure", "demandweekdayschedule", "demandweekendschedule", "demandrateunit", "demandwindow"),
    *("flatdemandstructure", "flatdemandmonths", "flatdemandunit"),
    *("fixedchargefirstmeter", "fixedchargeunits", "label", "uri", "name", "utility", "sector"),
}
_DESCRIBES = {
    *("approved", "eiaid", "is_default", "country", "supersedes", "servicetype", "service_type", "description"),
    *("source", "sourceparent", "basicinformationcomments", "energycomments", "demandcomments", "revisions"),
    *("latest_update", "energyattrs", "demandattrs", "fixedattrs", "demandunits", "voltagecategory", "phasewiring"),
    *("peakkwcapacitymin", "peakkwcapacitymax", "peakkwcapacityhistory", "peakkwhusagemin", "peakkwhusagemax"),
    *("peakkwhusagehistory", "voltageminimum", "voltagemaximum", "sourcereference", "supercedes"),
}
_DEFAULT_WINDOW = Decimal(15)


def from_urdb(text: str, shown_as: str, zone: str, label: str | None = None) -> tuple[str | None, tuple[Fault, ...]]:
    """A tariff file made of a URDB answer (`{"items": […]}`) or of one record; never raises.

    `zone` is where its hours are, which URDB does not say; `label` chooses among several records. None and faults that
    name the place in the JSON (`items[0].energyratestructure[1][0].rate`) when it cannot be carried.
    """
    record, faults = choose(text, shown_as, label)
    if record is None:
        return None, faults
    writer = _Writer(record, zone)
    written = writer.tariff()
    if _zone_fault(zone):
        record.faults.insert(0, Fault(Place(shown_as), _zone_fault(zone)))
    return (None, tuple(record.faults)) if record.faults else (written, ())


def _zone_fault(name: str) -> str:
    return "" if zone(name) else f"{shown(name)} is no time zone{nearest(name)}"


class _Writer:
    """Writes one record as a tariff file; the record notes the faults."""

    def __init__(self, record: Record, zone_name: str) -> None:
        self._record = record
        self._zone = zone_name
        self._seasons: dict[str, Months] = {}
        self._lost: list[str] = []

    def tariff(self) -> str:
        """The text of the file. It counts only when the record has no fault."""
        energy = self._energy()
        demand = [*self._flat_demand(), *self._timed_demand()]
        fixed = self._fixed()
        head = self._head()
        lines = [*head, *self._season_lines(), *fixed, "energy:", *energy]
        lines += ["demand:", *demand] if demand else []
        return "\n".join([*self._comment(), *lines, *self._notes(), ""])

    def _head(self) -> list[str]:
        record = self._record
        label, utility, sector = record.text("label"), record.text("utility"), record.text("sector")
        lines = [f"id: {quoted('urdb-' + label if label else 'urdb')}"]
        lines.append(f"name: {quoted(' '.join(filter(None, [utility, record.text('name')])) or 'URDB record')}")
        lines += [f"{key}: {quoted(text)}" for key, text in (("utility", utility), ("sector", sector)) if text]
        uri = record.text("uri")
        lines += [f"source: {quoted(uri)}"] if uri else []
        lines += ["licence: CC0", f"timezone: {quoted(self._zone)}", "currency: USD"]
        first, last = record.day("startdate"), record.day("enddate", after=1)
        lines += [f"valid_from: {first}"] if first else []
        lines += [f"valid_to: {last}"] if last else []
        return lines

    def _comment(self) -> list[str]:
        label, uri = self._record.text("label"), self._record.text("uri")
        lines = [
            f"# From URDB record {label or 'without a label'}{f' ({uri})' if uri else ''}; URDB data are CC0.",
            "# URDB has whole hours, taken here as wall-clock time, and no holidays. Prices are rate + adj in USD.",
        ]
        if "enddate" in self._record.fields:
            lines.append("# The enddate of URDB is taken as the last day: valid_to is the day after.")
        return lines + [f"# Not carried: {what}" for what in self._not_carried()]

    def _not_carried(self) -> list[str]:
        keys = [
            f"{one_line(key)} ({self._record.brief(key)})"
            for key in sorted(self._record.fields.keys() - _CARRIED - _DESCRIBES)
            if self._record.says(key)
        ]
        sells = ["what is fed in (sell)"] if self._record.sells() else []
        return [*self._lost, *sells, *keys]

    def _notes(self) -> list[str]:
        lost = self._not_carried()
        return [f"notes: {quoted('not carried from URDB: ' + '; '.join(lost))}"] if lost else []

    def _season_lines(self) -> list[str]:
        named = [(name, months.dates) for name, months in self._seasons.items()]
        lines = [f'  {name}: {{from: "{first}", to: "{last}"}}' for name, (first, last) in named]
        return ["seasons:", *lines] if lines else []

    def _energy(self) -> list[str]:
        """The entries of energy. Those of one period share its name, because they fill the same tiers."""
        structure = self._record.structure("energyratestructure")
        if not structure:
            self._record.fault("energyratestructure", "no price of energy; a tariff has at least one")
            return []
        pairs = self._record.schedule("energyweekdayschedule", "energyweekendschedule", structure)
        parts = priced(pairs) if pairs else []
        prices = {period: self._price("energyratestructure", structure, period, _ENERGY) for period in _periods(parts)}
        return [self._entry(part, f"period_{part.period}", prices[part.period]) for part in parts]

    def _flat_demand(self) -> list[str]:
        structure = self._record.structure("flatdemandstructure")
        if not structure:
            return []
        self._check_unit("flatdemandunit")
        months = self._record.months("flatdemandmonths", structure)
        parts = [Part(run, months[run.first]) for run in runs(months)] if months else []
        charged = [part for part in parts if not self._record.is_free(structure, part.period)]
        return self._demand_entries(charged, structure, "flatdemandstructure", "flat")

    def _timed_demand(self) -> list[str]:
        structure = self._record.structure("demandratestructure")
        if not structure:
            return []
        self._check_unit("demandrateunit")
        pairs = self._record.schedule("demandweekdayschedule", "demandweekendschedule", structure)
        if not pairs:
            return []
        nothing = frozenset(period for period in range(len(structure)) if self._record.is_free(structure, period))
        parts, lost = peaked(pairs, nothing)
        self._lost += [f"demand period {period} in {months.name or 'all months'}" for months, period in lost]
        return self._demand_entries(parts, structure, "demandratestructure", "timed")

    def _demand_entries(self, parts: list[Part], structure: list[object], key: str, prefix: str) -> list[str]:
        prices = {period: self._price(key, structure, period, _DEMAND) for period in _periods(parts)}
        interval = self._interval()
        lines = []
        for part in parts:
            rest = "rest" if part.is_rest else ""
            name = "_".join(filter(None, [prefix, part.months.name, part.days, rest, f"period_{part.period}"]))
            lines.append(self._entry(part, name, prices[part.period], interval))
        return lines

    def _interval(self) -> str:
        """The minutes over which demand is a mean, where the record says so."""
        if "demandwindow" not in self._record.fields:
            return ""
        minutes = self._record.number("demandwindow")
        if minutes is None:
            return ""
        if minutes <= 0 or minutes != int(minutes) or 60 % int(minutes):
            self._record.fault("demandwindow", f"{minutes} minutes do not divide an hour")
        return "" if minutes == _DEFAULT_WINDOW else f"interval_minutes: {minutes}"

    def _check_unit(self, key: str) -> None:
        unit = self._record.text(key)
        if unit not in ("", "kW"):
            self._record.fault(key, f"demand in {shown(unit)} cannot be carried; a tariff here prices kW of a month")

    def _entry(self, part: Part, name: str, price: str, further: str = "") -> str:
        season = part.months.name
        if season:
            self._seasons[season] = part.months
        quoted = ", ".join(f'"{span}"' for span in part.hours)
        hours = "hours: other" if part.is_rest else f"hours: [{quoted}]" if quoted else ""
        season_text, days = f"season: {season}" if season else "", f"days: {part.days}" if part.days else ""
        return f"  - {{{', '.join(filter(None, [f'name: {name}', season_text, days, hours, price, further]))}}}"

    def _price(self, key: str, structure: list[object], period: int, words: tuple[str, str, str]) -> str:
        """The price of a period, in tiers where it has several."""
        price_key, edge_key, unit = words
        tiers = self._record.tiers(key, structure, period, unit)
        if len(tiers) == 1:
            return f"{price_key}: {_plain(tiers[0][0])}"
        texts = []
        for price, edge in tiers:
            up_to = "" if edge is None else f"{edge_key}: {_plain(edge)}, "
            texts.append(f"{{{up_to}{price_key}: {_plain(price)}}}")
        return f"tiers: [{', '.join(texts)}]"

    def _fixed(self) -> list[str]:
        if not self._record.says("fixedchargefirstmeter"):
            return []
        amount = self._record.number("fixedchargefirstmeter")
        unit = self._record.text("fixedchargeunits")
        per = _FIXED_UNITS.get(unit)
        if per is None:
            self._record.fault("fixedchargeunits", f"expected $/month, $/day or $/year, not {shown(unit)}")
        return [] if amount is None else ["fixed:", f"  - {{amount: {_plain(amount)}, per: {per}}}"]


def _periods(parts: list[Part]) -> list[int]:
    return sorted({part.period for part in parts})


def _plain(number: Decimal) -> str:
    """A number without an exponent."""
    return f"{EXACT.plus(number):f}"
