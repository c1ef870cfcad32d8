"""Weekly windows as they are written: days, hours and a price per entry, first match wins, `hours: other` the rest."""

import re
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.grammar import Number
from costmeter.config.number import complaint, decimal, wanted
from costmeter.config.yamlfile import Fault, Mapping, Node, Scalar, Sequence
from costmeter.meter.calendar import ALL_DAY, EVERY_DAY, Hours, Window, gap

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_WORDS = {
    "weekday": frozenset(range(5)),
    "weekend": frozenset((5, 6)),
    **{name: frozenset((number,)) for number, name in enumerate(DAYS)},
    **{name[:3]: frozenset((number,)) for number, name in enumerate(DAYS)},
}
_HOURS = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])\s?-\s?([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
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
        when = f"{DAYS[missing.weekday].title()} {missing.minute // 60:02}:{missing.minute % 60:02}"
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
        weekdays = self._days(found["days"]) if "days" in found else EVERY_DAY
        hours, others = self._hours(found["hours"]) if "hours" in found else (ALL_DAY, False)
        if price is None or not weekdays or not hours:
            return None, others
        return Window(weekdays, hours, price), others

    def _price(self, node: Node | None, entry: Node) -> Decimal | None:
        if node is None:
            self._fault(entry, f"this window has no {self._key}")
            return None
        if not isinstance(node, Scalar):
            self._fault(node, f"expected {wanted(self._number)}, not {shown_node(node)}")
            return None
        problem = complaint(self._number, node.text)
        if problem is not None:
            self._fault(node, problem)
        return decimal(node.text) if problem is None else None

    def _days(self, node: Node) -> frozenset[int]:
        weekdays: frozenset[int] = frozenset()
        for item in node.items if isinstance(node, Sequence) else (node,):
            days = _DAY_WORDS.get(item.text.casefold()) if isinstance(item, Scalar) else None
            if days is None:
                hint = suggestion(item.text, _DAY_WORDS) if isinstance(item, Scalar) else ""
                expected = "expected weekday, weekend or names of days"
                self._fault(item, f"{expected}, not {shown_node(item)}{hint}")
            weekdays |= days or frozenset()
        return weekdays

    def _hours(self, node: Node) -> tuple[tuple[Hours, ...], bool]:
        if isinstance(node, Scalar) and node.text == "other":
            return ALL_DAY, True
        items = node.items if isinstance(node, Sequence) else (node,)
        if not items:
            self._fault(node, "this window has no hours")
        return tuple(hours for item in items if (hours := self._span(item))), False

    def _span(self, node: Node) -> Hours | None:
        match = _HOURS.fullmatch(node.text) if isinstance(node, Scalar) else None
        if match is None:
            self._fault(node, f'expected hours such as "16:00-21:00" or other, not {shown_node(node)}')
            return None
        start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        try:
            return Hours(start, end)
        except ValueError:
            self._fault(node, f"{shown(match[0])} is no part of a day; a whole day is 00:00-24:00")
            return None

    def _fault(self, node: Node, what: str) -> None:
        self.faults.append(Fault(node.place, f"{self._name}: {what}"))
