"""How a benchmark reports: what was measured, the bar it is held against, and whether it is under it."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `bar` None is a figure without a promise, printed for its own sake."""

    what: str
    measured: float
    unit: str
    bar: float | None = None
    note: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the promise holds."""
        return self.bar is None or self.measured <= self.bar


def text(rows: Iterator[Row]) -> Iterator[str]:
    """One line per row, as it is measured."""
    for row in rows:
        bar = "" if row.bar is None else f"bar {row.bar:g} {row.unit}"
        verdict = "" if row.bar is None else ("ok" if row.is_kept else "OVER")
        yield f"  {row.what:<58} {row.measured:>10.3f} {row.unit:<8} {bar:<16} {verdict:<5} {row.note}".rstrip()
