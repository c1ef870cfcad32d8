"""One record of a URDB answer, read field by field; every fault names its place in the JSON."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from costmeter.config.faults import shown
from costmeter.config.tariff.reading import EXACT
from costmeter.config.urdbmatrix import DayPair
from costmeter.config.yamlfile import Fault, Place

_MAX_CHARACTERS = 8_000_000
_MAX_DIGITS = 18
_TEXT_CHARACTERS = 200
_BRIEF_CHARACTERS = 40
_SECONDS_PER_DAY = 86_400
_LAST_DAY = 84_006  # 2200-01-01, in days since 1970


class _Odd(str):
    """A number that no price or hour can be, as it was written."""

    __slots__ = ()


def choose(text: str, shown_as: str, label: str | None) -> tuple["Record | None", tuple[Fault, ...]]:
    """The record of that label, or the only one; None and a fault when there is no such."""
    document, fault = _document(text, shown_as)
    if fault is not None:
        return None, (fault,)
    if not isinstance(document, dict):
        return None, (Fault(Place(shown_as, 1, 1), "expected a URDB record or {items: […]}"),)
    if "items" not in document:
        records = [("", document)]
    elif isinstance(document["items"], list):
        records = [(f"items[{number}]", record) for number, record in enumerate(document["items"])]
    else:
        return None, (Fault(Place(shown_as), "items: expected a list of records"),)
    if label is not None:
        records = [
            (path, record) for path, record in records if isinstance(record, dict) and record.get("label") == label
        ]
    if len(records) == 1 and isinstance(records[0][1], dict):
        return Record(records[0][1], records[0][0], shown_as), ()
    labels = [shown(str(record.get("label"))) for _, record in records if isinstance(record, dict)]
    known = f"; choose one by its label: {', '.join(labels[:8])}" if len(labels) > 1 and label is None else ""
    which = f" labelled {shown(label)}" if label is not None else ""
    return None, (Fault(Place(shown_as), f"items: expected one record{which}, found {len(records)}{known}"),)


def _document(text: str, shown_as: str) -> tuple[object, Fault | None]:
    if len(text) > _MAX_CHARACTERS:
        return None, Fault(Place(shown_as), f"more than {_MAX_CHARACTERS} characters")
    try:
        return json.loads(
            text.removeprefix("\ufeff"), parse_float=_number, parse_int=_number, parse_constant=_Odd
        ), None
    except json.JSONDecodeError as problem:
        return None, Fault(Place(shown_as, problem.lineno, problem.colno), f"not valid JSON: {problem.msg}")
    except RecursionError:
        return None, Fault(Place(shown_as), "not a URDB record: nested too deep")


def _number(written: str) -> Decimal | str:
    """A number as it is written, exactly; one of absurd size stays text."""
    try:
        value = Decimal(written)
    except InvalidOperation:
        return _Odd(written)
    exponent = value.as_tuple().exponent
    is_sane = isinstance(exponent, int) and exponent >= -_MAX_DIGITS and value.adjusted() < _MAX_DIGITS
    return value if is_sane and len(written) <= 2 * _MAX_DIGITS else _Odd(written)


def one_line(text: str) -> str:
    """A text on one printable line of a sensible length."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_TEXT_CHARACTERS]


class Record:
    """The fields of a record, checked as they are asked for. `path` is where it stands in the JSON."""

    def __init__(self, fields: dict[str, object], path: str, shown_as: str) -> None:
        self.fields = {key: value for key, value in fields.items() if value is not None}
        self.faults: list[Fault] = []
        self._path = path
        self._shown_as = shown_as

    def fault(self, field: str, what: str) -> None:
        """Note that something is wrong with a field, once."""
        path = f"{self._path}.{field}" if self._path else field
        found = Fault(Place(self._shown_as), f"{path}: {what}")
        if found not in self.faults:
            self.faults.append(found)

    def says(self, field: str) -> bool:
        """Whether a field says more than nothing, zeros and no."""
        return field in self.fields and any(_leaves(self.fields[field]))

    def brief(self, field: str) -> str:
        """What a field says, for people."""
        words = one_line(", ".join(map(str, _leaves(self.fields[field]))))
        return words if len(words) <= _BRIEF_CHARACTERS else f"{words[:_BRIEF_CHARACTERS]}…"

    def text(self, field: str) -> str:
        """A text; empty when there is none."""
        value = self.fields.get(field, "")
        if isinstance(value, str) and not isinstance(value, _Odd):
            return one_line(value)
        self.fault(field, f"expected a text, not {_brief(value)}")
        return ""

    def number(self, field: str) -> Decimal | None:
        """A number."""
        return self._decimal(self.fields.get(field), field)

    def day(self, field: str, after: int = 0) -> date | None:
        """The UTC date of an instant in seconds since 1970, and so many days after; None when it is not said."""
        if field not in self.fields:
            return None
        seconds = self.number(field)
        if seconds is None:
            return None
        days = int(seconds // _SECONDS_PER_DAY) + after
        if seconds < 0 or days >= _LAST_DAY:
            self.fault(field, f"expected seconds since 1970, not {seconds}")
            return None
        return date(1970, 1, 1) + timedelta(days=days)

    def structure(self, field: str) -> list[object]:
        """The periods of a rate structure; empty when there are none."""
        periods = self.fields.get(field, [])
        if isinstance(periods, list):
            return periods
        self.fault(field, f"expected a list of periods, not {_brief(periods)}")
        return []

    def tiers(self, field: str, periods: list[object], period: int, unit: str) -> list[tuple[Decimal, Decimal | None]]:
        """Price (rate + adj) and upper edge of each tier of a period; the last one is open."""
        place, tiers = f"{field}[{period}]", periods[period]
        if not isinstance(tiers, list) or not tiers:
            self.fault(place, f"expected a list of tiers, not {_brief(tiers)}")
            return [(Decimal(0), None)]
        found: list[tuple[Decimal, Decimal | None]] = []
        below = Decimal(0)
        for number, tier in enumerate(tiers):
            path, is_last = f"{place}[{number}]", number == len(tiers) - 1
            if not isinstance(tier, dict):
                self.fault(path, f"expected a tier such as {{rate, max, unit}}, not {_brief(tier)}")
                continue
            self._check_tier(tier, path, unit)
            edge = None if is_last else self._decimal(tier.get("max"), f"{path}.max")
            if edge is not None and edge <= below:
                self.fault(f"{path}.max", f"{edge} does not exceed {below}; the edges of tiers ascend")
            below = edge if edge is not None else below
            found.append((self._price(tier, path), edge))
        return found

    def _check_tier(self, tier: dict[str, object], path: str, unit: str) -> None:
        written = tier.get("unit", unit)
        if written != unit:
            cannot = f"{_brief(written)} cannot be carried; a tariff here counts {unit} of a month"
            self.fault(f"{path}.unit", cannot)
        for key in tier.keys() - {"rate", "adj", "max", "unit", "sell"}:
            self.fault(f"{path}.{one_line(key)}", "unknown key in a tier")

    def _price(self, tier: dict[str, object], path: str) -> Decimal:
        if tier.get("rate") is None and tier.get("adj") is None:
            self.fault(f"{path}.rate", "no rate; URDB leaves it out where nobody entered one")
            return Decimal(0)
        parts = [self._decimal(tier[key], f"{path}.{key}") for key in ("rate", "adj") if tier.get(key) is not None]
        return EXACT.add(parts[0] or Decimal(0), (parts[1] if len(parts) > 1 else None) or Decimal(0))

    def is_free(self, periods: list[object], period: int) -> bool:
        """Whether every tier of a period costs nothing."""
        tiers = periods[period]
        rows = [tier for tier in tiers if isinstance(tier, dict)] if isinstance(tiers, list) else []
        costs = [tier.get(key) for tier in rows for key in ("rate", "adj")]
        return (
            bool(rows) and all(cost is None or cost == 0 for cost in costs) and any(cost is not None for cost in costs)
        )

    def sells(self) -> bool:
        """Whether any tier of energy pays for what is fed in."""
        periods = self.structure("energyratestructure")
        tiers = [tier for period in periods if isinstance(period, list) for tier in period]
        return any(isinstance(tier, dict) and tier.get("sell") for tier in tiers)

    def schedule(self, weekdays: str, weekends: str, periods: list[object]) -> list[DayPair] | None:
        """For each month the periods of its hours, on weekdays and on weekends. A single period needs no schedule."""
        if weekdays not in self.fields and weekends not in self.fields and len(periods) == 1:
            return [((0,) * 24, (0,) * 24)] * 12
        tables = [self._table(field, len(periods)) for field in (weekdays, weekends)]
        if tables[0] is None or tables[1] is None:
            return None
        return list(zip(tables[0], tables[1], strict=True))

    def months(self, field: str, periods: list[object]) -> list[int] | None:
        """The period of each month; the only one where none is said."""
        if field not in self.fields and len(periods) == 1:
            return [0] * 12
        row = self._row(self.fields.get(field), field, 12, len(periods))
        return None if row is None else list(row)

    def _table(self, field: str, periods: int) -> list[tuple[int, ...]] | None:
        rows = self.fields.get(field)
        if not isinstance(rows, list) or len(rows) != 12:
            self.fault(field, f"expected 12 rows of 24 hours, not {_brief(rows)}")
            return None
        read = [self._row(row, f"{field}[{month}]", 24, periods) for month, row in enumerate(rows)]
        whole = [row for row in read if row is not None]
        return whole if len(whole) == len(read) else None

    def _row(self, row: object, path: str, length: int, periods: int) -> tuple[int, ...] | None:
        if not isinstance(row, list) or len(row) != length:
            self.fault(path, f"expected {length} numbers of periods, not {_brief(row)}")
            return None
        for position, value in enumerate(row):
            is_whole = isinstance(value, Decimal) and value == value.to_integral_value()
            if not is_whole or not 0 <= value < periods:
                self.fault(f"{path}[{position}]", f"expected a period from 0 to {periods - 1}, not {_brief(value)}")
                return None
        return tuple(map(int, row))

    def _decimal(self, value: object, path: str) -> Decimal | None:
        if isinstance(value, Decimal):
            return value
        self.fault(path, f"expected a number such as 0.12, not {_brief(value)}")
        return None


def _brief(value: object) -> str:
    """What stands there, in words for a fault."""
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "keys and values" if isinstance(value, dict) else shown(str(value))


def _leaves(value: object) -> Iterable[object]:
    """The single values inside a value, however deep they are."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (list, dict)):
            waiting += reversed(list(inner.values() if isinstance(inner, dict) else inner))
        else:
            yield inner
