"""The entries of a tariff: a price of energy or demand, in tiers, at its days and hours of its season."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from costmeter.config.faults import shown, suggestion
from costmeter.config.grammar import Number
from costmeter.config.hours import clock, days, hours
from costmeter.config.tariff.reading import EXACT, Reader
from costmeter.config.yamlfile import Node
from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Calendar, Place, Season, Window, gap
from costmeter.meter.tariff import DemandCharge, Energy, Tier

_ZERO = Decimal(0)
_MINUTES_PER_HOUR = 60
_INTERVAL = Number("minutes that divide an hour", "15", above=_ZERO, maximum=Decimal(_MINUTES_PER_HOUR))


@dataclass(frozen=True, slots=True)
class Kind:
    """What a list of entries prices, and how its keys are called."""

    what: str
    price_key: str
    edge_key: str
    price: Number
    edge: Number
    own_keys: tuple[str, ...] = ()


ENERGY = Kind(
    "energy",
    "price_per_kwh",
    "up_to_kwh",
    Number("a price per kWh", "0.12"),
    Number("kWh in a month", "20000", above=_ZERO),
)
DEMAND = Kind(
    "demand",
    "price_per_kw",
    "up_to_kw",
    Number("a price per kW", "19.85"),
    Number("kW", "100", above=_ZERO),
    ("interval_minutes",),
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as it is written. `takes_rest` is `hours: other`; `is_part` that it says days or hours of its own."""

    name: str
    window: Window
    tiers: tuple[Tier, ...]
    takes_rest: bool
    is_part: bool
    interval_minutes: int


def _clash(one: _Entry, other: _Entry, kind: Kind) -> bool:
    """Whether entries cannot share their name. Energy under one name fills one set of tiers; a peak stands alone."""
    return one.name == other.name and (kind is DEMAND or one.tiers != other.tiers)


class EntryParser:
    """Reads lists of entries. `factor` is what every price is multiplied by: 1.19 for 19 % of tax."""

    def __init__(self, reader: Reader, seasons: dict[str, Season], factor: Decimal) -> None:
        self._reader = reader
        self._seasons = seasons
        self._factor = factor

    def energy(self, node: Node, where: Place) -> Energy | None:
        """The price of energy; a fault, and None, when some hour of the year has none."""
        entries = self._entries(node, ENERGY)
        if not entries:
            return None
        ordered = sorted(entries, key=lambda entry: entry.takes_rest)
        windows = tuple(entry.window for entry in ordered)
        missing = gap(windows)
        if missing is not None:
            self._uncovered(node, missing.weekday, missing.minute, missing.month_day)
            return None
        names, tiers = tuple(entry.name for entry in ordered), tuple(entry.tiers for entry in ordered)
        return Energy(Calendar(where, windows), names, tiers)

    def demand(self, node: Node) -> tuple[DemandCharge, ...]:
        """The charges for demand. `hours: other` is when no entry with days or hours of its own holds."""
        entries = self._entries(node, DEMAND)
        parts = tuple(entry.window for entry in entries if entry.is_part and not entry.takes_rest)
        return tuple(
            DemandCharge(
                entry.name, entry.window, parts if entry.takes_rest else (), entry.tiers, entry.interval_minutes
            )
            for entry in entries
        )

    def _entries(self, node: Node, kind: Kind) -> list[_Entry]:
        """The entries of a list; none of them when one is faulty."""
        before = len(self._reader.faults)
        items = self._reader.items(node, f"{{name, days, hours, {kind.price_key}}}")
        if not items and kind is ENERGY and len(self._reader.faults) == before:
            self._reader.fault(node, "energy has no entry; add {hours: other, price_per_kwh: …}")
        entries: list[_Entry] = []
        for position, item in enumerate(items):
            entry = self._entry(item, kind, f"{kind.what} {position + 1}")
            if entry is not None and any(_clash(entry, other, kind) for other in entries):
                remedy = "give it the same price or another name" if kind is ENERGY else "give it another name"
                self._reader.fault(item, f"{kind.what} has another entry named {shown(entry.name)}; {remedy}")
            entries += [entry] if entry is not None else []
        return entries if len(self._reader.faults) == before else []

    def _entry(self, node: Node, kind: Kind, unnamed: str) -> _Entry | None:
        keys = ("name", "season", "days", "hours", kind.price_key, "tiers", *kind.own_keys)
        before = len(self._reader.faults)
        found = self._reader.keys(node, keys, f"an entry of {kind.what}")
        name = self._reader.text(found["name"], "a name") if "name" in found else unnamed
        weekdays = days(found["days"], self._reader.fault) if "days" in found else EVERY_DAY
        spans, takes_rest = hours(found["hours"], self._reader.fault) if "hours" in found else (ALL_DAY, False)
        season = self._season(found["season"]) if "season" in found else None
        tiers = self._tiers(node, found, kind) if found else ()
        interval = self._interval(found["interval_minutes"]) if "interval_minutes" in found else 15
        if len(self._reader.faults) > before or not tiers or not weekdays:
            if len(self._reader.faults) == before:
                self._reader.fault(node, f"an entry of {kind.what} that says nothing")
            return None
        window = Window(weekdays, spans, tiers[-1].price, season)
        return _Entry(name, window, tiers, takes_rest, "days" in found or "hours" in found, interval)

    def _season(self, node: Node) -> Season | None:
        name = self._reader.text(node, "the name of a season")
        if name and name not in self._seasons:
            self._reader.fault(node, f"no season {shown(name)} under seasons{suggestion(name, self._seasons)}")
        return self._seasons.get(name)

    def _interval(self, node: Node) -> int:
        minutes = self._reader.number(node, _INTERVAL)
        if minutes is not None and (minutes != int(minutes) or _MINUTES_PER_HOUR % int(minutes)):
            self._reader.fault(node, f"interval_minutes divides an hour, such as 15 or 30; {minutes} does not")
            return 15
        return int(minutes or 15)

    def _tiers(self, node: Node, found: dict[str, Node], kind: Kind) -> tuple[Tier, ...]:
        """The tiers of an entry; a single price is one tier without an edge."""
        if ("tiers" in found) == (kind.price_key in found):
            both = "both tiers and" if "tiers" in found else "neither tiers nor"
            self._reader.fault(node, f"this entry has {both} {kind.price_key}; it needs one of them")
            return ()
        if "tiers" not in found:
            price = self._reader.number(found[kind.price_key], kind.price)
            return () if price is None else (Tier(self._taxed(price)),)
        items = self._reader.items(found["tiers"], f"{{{kind.edge_key}, {kind.price_key}}}")
        if not items:
            self._reader.fault(found["tiers"], "tiers need at least one tier")
        return tuple(self._checked(items, kind))

    def _checked(self, items: Sequence[Node], kind: Kind) -> Iterable[Tier]:
        """Tiers whose edges ascend, the last one open."""
        below = _ZERO
        for position, item in enumerate(items):
            found = self._reader.keys(item, (kind.price_key, kind.edge_key), "a tier")
            price = self._reader.number(found[kind.price_key], kind.price) if kind.price_key in found else None
            edge = self._reader.number(found[kind.edge_key], kind.edge) if kind.edge_key in found else None
            is_last = position == len(items) - 1
            if kind.price_key not in found:
                self._reader.fault(item, f"this tier has no {kind.price_key}")
            if is_last and kind.edge_key in found:
                self._reader.fault(
                    item, f"the last tier is open; leave its {kind.edge_key} out, or add a tier above it"
                )
            elif not is_last and kind.edge_key not in found:
                self._reader.fault(item, f"this tier has no {kind.edge_key}; only the last one is open")
            elif edge is not None and edge <= below:
                self._reader.fault(item, f"{kind.edge_key} ascends; {edge} does not exceed {below}")
            below = edge if edge is not None else below
            if price is not None:
                yield Tier(self._taxed(price), edge)

    def _taxed(self, price: Decimal) -> Decimal:
        return price if self._factor == 1 else EXACT.multiply(price, self._factor)

    def _uncovered(self, node: Node, weekday: int, minute: int, month_day: int | None) -> None:
        when, season = clock(weekday, minute), ""
        if month_day is not None:
            named = [name for name, season in self._seasons.items() if season.contains(month_day)]
            date = f"{month_day // 100:02}-{month_day % 100:02}"
            when += f" on {date}, in season {' and '.join(named)}" if named else f" on {date}, which is in no season"
            season = f"season: {named[0]}, " if named else ""
        self._reader.fault(node, f"no entry covers {when}; add {{{season}hours: other, price_per_kwh: …}}")
