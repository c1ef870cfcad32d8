"""Weekly windows as they are written: days, hours and a price per entry, first match wins, `hours: other` the rest."""

from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import Number
from costmeter.config.hours import clock, days, hours
from costmeter.config.number import read_number
from costmeter.config.yamlfile import Fault, Mapping, Node, Sequence
from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Window, gap

#: Keys of tariff files that say more than a week can.
_LATER = ("season", "tiers", "demand")


@dataclass(frozen=True, slots=True)
class Windows:
    """The entries of a weekly schedule, and its own zone; None is the zone of all settings."""

    windows: tuple[Window, ...]
    zone: tzinfo | None


class WindowParser:
    """Reads the list under `windows`, collecting faults. `key` is what an entry calls its price."""

    def __init__(self, name: str, key: str, number: Number) -> None:
        self.faults: list[Fault] = []
        self._name = name
        self._key = key
        self._number = number

    def parse(self, node: Node) -> tuple[Window, ...] | None:
        """The windows in the order they apply; None when one of them is faulty or a part of the week has no price."""
        if not isinstance(node, Sequence) or not node.items:
            there = "an empty list" if isinstance(node, Sequence) else shown_node(node)
            self._fault(node, f"expected a list of {{days, hours, {self._key}}}, not {there}")
            return None
        entries = [self._entry(item) for item in node.items]
        if self.faults:
            return None
        listed = tuple(window for window, others in entries if window and not others)
        rest = tuple(window for window, others in entries if window and others)
        missing = gap(listed + rest)
        if missing is None:
            return listed + rest
        when = clock(missing.weekday, missing.minute)
        self._fault(node, f"no window covers {when}; add {{hours: other, {self._key}: …}}")
        return None

    def _entry(self, node: Node) -> tuple[Window | None, bool]:
        """One window, and whether it takes the hours that others leave."""
        if not isinstance(node, Mapping):
            self._fault(node, f"expected {{days, hours, {self._key}}}, not {shown_node(node)}")
            return None, False
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text in _LATER:
                self._fault(key, f"{key.text} is not supported by this version")
            elif key.text in ("name", "days", "hours", self._key):
                found[key.text] = value
            else:
                known = ("name", "days", "hours", self._key)
                self._fault(key, f"unknown key {shown(key.text)}{suggestion(key.text, known)}")
        price = self._price(found.get(self._key), node)
        weekdays = days(found["days"], self._fault) if "days" in found else EVERY_DAY
        times, others = hours(found["hours"], self._fault) if "hours" in found else (ALL_DAY, False)
        if price is None or not weekdays or not times:
            return None, others
        return Window(weekdays, times, price), others

    def _price(self, node: Node | None, entry: Node) -> Decimal | None:
        if node is None:
            self._fault(entry, f"this window has no {self._key}")
            return None
        return read_number(self._number, node, self._fault)

    def _fault(self, node: Node, what: str) -> None:
        self.faults.append(Fault(node.place, f"{self._name}: {what}"))
