"""What counters of runs came to, from what a Prometheus scraped: falls, gaps, several addresses of one counter.

A counter's highest value is exact, where `increase()` would extrapolate. Where a counter fell (its agent began again
from zero), or was scraped under several addresses, every sample is asked for.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from costmeter.feeds.promapi import Prometheus, Stretch, TooMuch, any_of, quoted

#: The labels that say whose a series is, and those that say what of it; the others say where it was scraped.
_WHOSE = ("cluster", "run_id", "host", "meter")
_OF_WHAT = ("component", "state", "part", "scope", "phase")
#: Runs whose samples are asked for in one question.
_AT_ONCE = 20
#: A series without a sample for longer was not scraped meanwhile, and tells nothing of what it was.
_GAP_SECONDS = 600

#: A run on a host, by one meter: cluster, run id, host, meter.
Whose: TypeAlias = tuple[str, str, str, str]
#: What of it: the values of its own labels, in the order of `_OF_WHAT`; empty ones left out.
Cell: TypeAlias = tuple[str, ...]
Cells: TypeAlias = Mapping[Cell, Decimal]
_Key: TypeAlias = tuple[Whose, Cell]
_Point: TypeAlias = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, in whole seconds since 1970."""

    start_seconds: int
    end_seconds: int

    @property
    def text(self) -> str:
        """Its length as queries have it."""
        return f"{max(1, self.end_seconds - self.start_seconds)}s"


def key_of(labels: Mapping[str, str]) -> _Key:
    """Whose a series is, and what of it."""
    cluster, run_id, host, meter = (labels.get(name, "") for name in _WHOSE)
    return (cluster, run_id, host, meter), tuple(labels[name] for name in _OF_WHAT if labels.get(name))


def added(one: Cells, other: Cells) -> dict[Cell, Decimal]:
    """Cell by cell."""
    return {cell: one.get(cell, Decimal(0)) + other.get(cell, Decimal(0)) for cell in {**one, **other}}


@dataclass(slots=True)
class Counter:
    """Where a counter stands, and what each address that it is scraped under showed last: (instant, value)."""

    value: Decimal = Decimal(0)
    shown: dict[frozenset[tuple[str, str]], _Point] = field(default_factory=dict)

    def grow(self, stretches: Iterable[Stretch]) -> Decimal:
        """By how much it grew over these samples; it begins again at zero with every fall.

        Where addresses overlap in time they are one counter seen twice, and the first tells it until it ends. The other
        may be a moment behind then: only where its own values fall is that a fall.
        """
        grown, end = Decimal(0), Decimal("-Infinity")
        pieces = (piece for stretch in stretches for piece in _unbroken(stretch))
        for stretch in sorted(pieces, key=lambda each: (each.points[0][0], -each.points[-1][0], -each.points[-1][1])):
            address = frozenset(stretch.labels.items())
            own = self.shown.get(address)
            for at, value in stretch.points:
                if at > end:
                    is_behind = own is not None and at - own[0] <= _GAP_SECONDS and own[1] <= value < self.value
                    if not is_behind:
                        grown += value - self.value if value >= self.value else value
                        self.value = value
                own = (at, value)
            end = max(end, stretch.points[-1][0])
            self.shown[address] = stretch.points[-1]
        return grown


def _unbroken(stretch: Stretch) -> Iterator[Stretch]:
    """The parts of a stretch between its gaps."""
    first, points = 0, stretch.points
    for at in range(1, len(points)):
        if points[at][0] - points[at - 1][0] > _GAP_SECONDS:
            yield Stretch(stretch.labels, points[first:at])
            first = at
    if points:
        yield Stretch(stretch.labels, points[first:])


@dataclass(frozen=True, slots=True)
class Grown:
    """What counters of one family came to in a window.

    `unscraped` is what they stood at when they were first seen, of runs that had begun before: no window's.
    """

    amounts: dict[Whose, dict[Cell, Decimal]] = field(default_factory=dict)
    unscraped: dict[Whose, Decimal] = field(default_factory=dict)


class Counters:
    """The counters of these families over windows that follow each other. Raises CostmeterError as questions do.

    All counters of a run fall together, and those of `telling` are looked at for it; the first is of every run.
    `starts` are the instants at which runs began, where what was counted before a window is not to be in it.
    `run_id` asks for the counters of one run alone.
    """

    def __init__(
        self,
        server: Prometheus,
        families: Sequence[str],
        telling: Sequence[str],
        windows: Sequence[Window],
        starts: Mapping[Whose, Decimal] | None = None,
        run_id: str | None = None,
    ) -> None:
        self._server, self._families, self._starts = server, families, starts
        self._telling, self._windows = telling, windows
        self._of = "" if run_id is None else f"{{run_id={quoted(run_id)}}}"
        self._last: dict[tuple[str, _Key], Counter] = {}
        #: Some samples could not be had: a counter that fell is counted from its highest value only.
        self.is_least = False

    def grown(self) -> Iterator[dict[str, Grown]]:
        """Window by window, by family. A fall at the edge of two windows, or after days of silence, is one as well."""
        fallen = self._fallen(Window(self._windows[0].start_seconds, self._windows[-1].end_seconds))
        seen: set[Whose] = set()
        for place, window in enumerate(self._windows):
            peaks = {family: self._extremes("max", family, window) for family in self._families}
            present = {key[0] for of in peaks.values() for key in of}
            starts = self._starts if place and self._starts is not None else {}
            late = {whose for whose in present - seen if starts.get(whose, window.start_seconds) < window.start_seconds}
            seen |= present
            yield {family: self._of_family(family, window, of, fallen, late) for family, of in peaks.items()}

    def _of_family(
        self, family: str, window: Window, peaks: Mapping[_Key, Decimal], fallen: set[Whose], late: Collection[Whose]
    ) -> Grown:
        exact = self._exact(family, window, fallen & {whose for whose, _ in peaks})
        lows = self._extremes("min", family, window) if any(whose in late for whose, _ in peaks) else {}
        found = Grown()
        for key, peak in peaks.items():
            whose, cell = key
            counter = self._last.setdefault((family, key), Counter())
            stretches = exact.get(key, [])
            if whose in late:
                first = min((each.points[0] for each in stretches), default=(Decimal(0), lows.get(key, peak)))[1]
                counter.value = first
                found.unscraped[whose] = found.unscraped.get(whose, Decimal(0)) + first
            # Without samples: the highest value, beyond what it was.
            grown = counter.grow(stretches or [Stretch({}, [(Decimal(window.end_seconds), peak)])])
            found.amounts.setdefault(whose, {})[cell] = grown
        return found

    def _extremes(self, which: str, family: str, window: Window) -> dict[_Key, Decimal]:
        """The highest or lowest value of each counter, over all its addresses."""
        found: dict[_Key, Decimal] = {}
        choose = max if which == "max" else min
        for sample in self._server.values(f"{which}_over_time({family}{self._of}[{window.text}])", window.end_seconds):
            key = key_of(sample.labels)
            found[key] = choose(sample.value, found.get(key, sample.value))
        return found

    def _fallen(self, window: Window) -> set[Whose]:
        """Whose counters fell, or were scraped under more than one address."""
        text, by = window.text, ", ".join((*_WHOSE, *_OF_WHAT))
        queries = [f"resets({family}{self._of}[{text}]) > 0" for family in self._families if family in self._telling]
        queries.append(f"count by ({by}) (last_over_time({self._telling[0]}{self._of}[{text}])) > 1")
        found = (each for query in queries for each in self._server.values(query, window.end_seconds))
        return {key_of(each.labels)[0] for each in found}

    def _exact(self, family: str, window: Window, fallen: set[Whose]) -> dict[_Key, list[Stretch]]:
        """Every sample of these, as far as the server can."""
        runs = sorted({whose[1] for whose in fallen})
        found: dict[_Key, list[Stretch]] = {}
        for first in range(0, len(runs), _AT_ONCE):
            of = any_of(runs[first : first + _AT_ONCE])
            try:
                stretches = self._server.samples(f"{family}{{run_id=~{of}}}[{window.text}]", window.end_seconds)
            except TooMuch:
                self.is_least = True
                continue
            for stretch in stretches:
                key = key_of(stretch.labels)
                if key[0] in fallen and stretch.points:
                    found.setdefault(key, []).append(stretch)
        return found
