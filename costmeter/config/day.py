"""Days as people write them, 2026-01-31: one reader for settings, tariff files and flags."""

import re
from datetime import date

from costmeter.config.faults import NoteFault, shown_node
from costmeter.config.yamlfile import Node, Scalar

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
#: Before and after these nobody is billed, and arithmetic on days would leave the calendar.
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


def day(text: str) -> date | None:
    """The day a text stands for, of the years 1970 to 2199; None when it is none."""
    if not _DAY.fullmatch(text) or not _is_near(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_day(node: Node, fault: NoteFault) -> date | None:
    """The day at a node; None, with a fault, where there is none."""
    found = day(node.text) if isinstance(node, Scalar) else None
    if found is None:
        fault(node, f"expected a day such as 2026-01-31{_years(node)}, not {shown_node(node)}")
    return found


def _years(node: Node) -> str:
    """What to add where the text is a day, only of another age."""
    is_far = isinstance(node, Scalar) and _DAY.fullmatch(node.text) and not _is_near(node.text)
    return f", of the years {_FIRST_YEAR} to {_LAST_YEAR}" if is_far else ""


def _is_near(text: str) -> bool:
    return _FIRST_YEAR <= int(text[:4]) <= _LAST_YEAR
