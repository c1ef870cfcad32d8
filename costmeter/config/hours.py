"""Days of the week and hours of the day as they are written, in windows and in tariffs alike."""

import re

from costmeter.config.faults import NoteFault, shown, shown_node, suggestion
from costmeter.config.yamlfile import Node, Scalar, Sequence
from costmeter.meter.calendar import ALL_DAY, Hours

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_WORDS = {
    "weekday": frozenset(range(5)),
    "weekend": frozenset((5, 6)),
    **{name: frozenset((number,)) for number, name in enumerate(DAYS)},
    **{name[:3]: frozenset((number,)) for number, name in enumerate(DAYS)},
}
_HOURS = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])\s?-\s?([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)


def clock(weekday: int, minute: int) -> str:
    """A time of the week for people: `Monday 07:30`."""
    return f"{DAYS[weekday].title()} {minute // 60:02}:{minute % 60:02}"


def days(node: Node, fault: NoteFault) -> frozenset[int]:
    """The weekdays of a word or a list of words; what is no day is a fault, and left out."""
    weekdays: frozenset[int] = frozenset()
    for item in node.items if isinstance(node, Sequence) else (node,):
        named = _DAY_WORDS.get(item.text.casefold()) if isinstance(item, Scalar) else None
        if named is None:
            hint = suggestion(item.text, _DAY_WORDS) if isinstance(item, Scalar) else ""
            fault(item, f"expected weekday, weekend or names of days, not {shown_node(item)}{hint}")
        weekdays |= named or frozenset()
    return weekdays


def hours(node: Node, fault: NoteFault) -> tuple[tuple[Hours, ...], bool]:
    """The hours of a text or a list of texts, and whether they are those that others leave (`other`)."""
    if isinstance(node, Scalar) and node.text == "other":
        return ALL_DAY, True
    items = node.items if isinstance(node, Sequence) else (node,)
    if not items:
        fault(node, "this window has no hours")
    return tuple(span for item in items if (span := _span(item, fault))), False


def _span(node: Node, fault: NoteFault) -> Hours | None:
    match = _HOURS.fullmatch(node.text) if isinstance(node, Scalar) else None
    if match is None:
        fault(node, f'expected hours such as "16:00-21:00" or other, not {shown_node(node)}')
        return None
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    try:
        return Hours(start, end)
    except ValueError:
        fault(node, f"{shown(match[0])} is no part of a day; a whole day is 00:00-24:00")
        return None
