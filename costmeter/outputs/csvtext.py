"""Text of CSV files: exact figures without exponents, and nothing that a spreadsheet or a terminal would execute."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from costmeter.outputs.figures import plain
from costmeter.outputs.style import printable
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_JOULE, MICROJOULES_PER_KWH, NANOSECONDS_PER_SECOND

#: So finely quantities are told that are no integers of their smallest unit.
NANO = Decimal("1e-9")
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@")


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of CSV as RFC 4180 has them, but for the line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()


def harmless(text: str) -> str:
    """A printable text that no spreadsheet takes for a formula: what begins like one has an apostrophe before it."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def billionths(quantity: int, per_unit: int) -> Decimal:
    """A quantity in a unit of so many, to the billionth."""
    return (Decimal(quantity) / per_unit).quantize(NANO)


def exact_kwh(microjoules: int) -> str:
    """Kilowatt-hours to the billionth."""
    return plain(billionths(microjoules, MICROJOULES_PER_KWH))


def exact_joules(microjoules: int) -> str:
    """Joules, to the last microjoule."""
    return _exact(microjoules, MICROJOULES_PER_JOULE)


def exact_seconds(nanoseconds: int) -> str:
    """Seconds, to the last nanosecond."""
    return _exact(nanoseconds, NANOSECONDS_PER_SECOND)


def exact_grams(micrograms: int) -> str:
    """Grams, to the last microgram."""
    return _exact(micrograms, MICROGRAMS_PER_GRAM)


def _exact(quantity: int, per_unit: int) -> str:
    return plain(Decimal(quantity) / per_unit)
