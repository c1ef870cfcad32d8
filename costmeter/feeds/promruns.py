"""Runs as a Prometheus remembers them: what their counters came to, over all their hosts, each metered once.

A counter's highest value is exact, where `increase()` would extrapolate. Where a counter fell (its agent began again
from zero), or was scraped under several addresses, every sample is asked for, and what was counted before each fall is
added. A host that both its agent and a wrapper metered counts once, by its agent.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from costmeter.errors import CostmeterError
from costmeter.feeds.promapi import Prometheus, Stretch

AGENT = "agent"
#: The labels that say whose a series is, and those that say what of it; the others say where it was scraped.
_WHOSE = ("cluster", "run_id", "host", "meter")
_OF_WHAT = ("component", "state", "part", "scope", "phase")
_FACTS = ("name", "user", "project", "team", "experiment", "job_id")
_COST = re.compile(r"costmeter_run_cost_([a-z]{3})_total")
_SELECTOR = '{__name__=~"costmeter_run_.+|run:costmeter_.+"}'
_TIME = "costmeter_run_gpu_time_seconds_total"
#: Runs whose samples are asked for in one question.
_AT_ONCE = 20

#: A run on a host, by one meter: cluster, run id, host, meter.
Whose: TypeAlias = tuple[str, str, str, str]
#: What of it: the values of its own labels, in the order of `_OF_WHAT`; empty ones left out.
Cell: TypeAlias = tuple[str, ...]
Cells: TypeAlias = Mapping[Cell, Decimal]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, in whole seconds since 1970."""

    start_seconds: int
    end_seconds: int

    @property
    def text(self) -> str:
        """Its length as queries have it."""
        return f"{max(1, self.end_seconds - self.start_seconds)}s"


@dataclass(frozen=True, slots=True)
class Told:
    """What counters told: money by component and state, net of credits; kWh by part; grams by scope; GPU seconds."""

    costs: Cells = field(default_factory=dict)
    kwh: Cells = field(default_factory=dict)
    grams: Cells = field(default_factory=dict)
    seconds: Cells = field(default_factory=dict)

    def __add__(self, other: "Told") -> "Told":
        return Told(
            *(added(getattr(self, name), getattr(other, name)) for name in ("costs", "kwh", "grams", "seconds"))
        )

    @property
    def cost(self) -> Decimal:
        """All of the money."""
        return sum(self.costs.values(), Decimal(0))

    @property
    def idle_cost(self) -> Decimal:
        """The money of idle time."""
        return sum((amount for cell, amount in self.costs.items() if cell[-1:] == ("idle",)), Decimal(0))


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as its metrics tell it, in one currency; an empty currency is that of no price.

    `by_host` are its hosts; `meters` who metered each. Instants are seconds since 1970, None where nobody told them.
    `is_least`: some samples could not be had, and a counter that fell is counted from its highest value only.
    """

    id: str
    cluster: str
    currency: str
    facts: Mapping[str, str]
    by_host: Mapping[str, Told]
    meters: Mapping[str, str]
    simulated: bool
    started_seconds: Decimal | None
    ended_seconds: Decimal | None
    active: bool
    exit_code: int | None
    is_least: bool = False

    @property
    def whole(self) -> Told:
        """All hosts together."""
        return sum(self.by_host.values(), Told())

    @property
    def outcome(self) -> str:
        """As far as metrics tell: a budget's stop or a preemption is `failed`, by its exit code."""
        if self.active:
            return "running"
        if self.exit_code is None:
            return "unknown"
        return "failed" if self.exit_code else "ok"


def added(one: Cells, other: Cells) -> dict[Cell, Decimal]:
    """Cell by cell."""
    return {cell: one.get(cell, Decimal(0)) + other.get(cell, Decimal(0)) for cell in {**one, **other}}


class Readback:
    """The runs of one server. Raises CostmeterError where it has none, or does not answer."""

    def __init__(self, server: Prometheus, window: Window) -> None:
        self._server, self.window = server, window
        self._names = frozenset(server.names(_SELECTOR, window.start_seconds, window.end_seconds))
        self.currencies = tuple(found[1] for name in sorted(self._names) if (found := _COST.fullmatch(name)))
        if _TIME not in self._names:
            only = "; it has only recorded series" if any(name.startswith("run:") for name in self._names) else ""
            raise CostmeterError(
                f"{server.where} has no runs of costmeter in that time{only}",
                "is it scraping them? costmeter export prometheus.  More time: --since 30d",
            )
        self.is_least = False

    def runs(self) -> list[SeenRun]:
        """Every run that was seen in the window, with all that its counters came to."""
        told, currency_of = self._increments([self.window])[0]
        facts, starts, ends = self._facts(), self._last("start_timestamp_seconds"), self._last("end_timestamp_seconds")
        codes, active, simulated = self._last("exit_code"), self._active(), self._simulated()
        known: dict[tuple[str, str], list[Whose]] = {}
        for whose in sorted(facts.keys() | starts.keys() | ends.keys()):
            known.setdefault(whose[:2], []).append(whose)
        groups: dict[tuple[str, str, str], list[Whose]] = {}
        for whose in once(told):
            groups.setdefault((whose[0], whose[1], currency_of.get(whose, "")), []).append(whose)
        runs = []
        for (cluster, run_id, currency), of in groups.items():
            everybody = known.get((cluster, run_id), [])
            runs.append(
                SeenRun(
                    run_id,
                    cluster,
                    currency.upper(),
                    next((facts[each] for each in (*of, *everybody) if each in facts), {}),
                    {whose[2]: told[whose] for whose in of},
                    {whose[2]: whose[3] for whose in of},
                    any(whose in simulated for whose in of),
                    min((starts[each] for each in of if each in starts), default=None),
                    max((ends[each] for each in of if each in ends), default=None),
                    any(each in active for each in of),
                    _worst(codes, everybody),
                    self.is_least,
                )
            )
        return runs

    def by_window(self, windows: Sequence[Window]) -> list[tuple[dict[Whose, Told], dict[Whose, str]]]:
        """What was added in each of these windows, which follow each other; what was before the first is not."""
        first = windows[0]
        day_before = Window(first.start_seconds - 86_400, first.start_seconds)
        return self._increments([day_before, *windows])[1:]

    def _increments(self, windows: Sequence[Window]) -> list[tuple[dict[Whose, Told], dict[Whose, str]]]:
        """What every run on every host came to in each window, by each meter, and in which currency."""
        found: list[dict[Whose, dict[str, Cells]]] = [{} for _ in windows]
        currency_of: list[dict[Whose, str]] = [{} for _ in windows]
        fallen = [self._fallen(window) for window in windows]
        for family, sort, sign, currency in self._families():
            last: dict[tuple[Whose, Cell], Decimal] = {}
            for at, window in enumerate(windows):
                for whose, cells in self._grown(family, window, fallen[at], last).items():
                    kinds = found[at].setdefault(whose, {})
                    signed = {cell: sign * amount for cell, amount in cells.items()}
                    if currency and (signed or whose not in currency_of[at]):
                        currency_of[at][whose] = currency
                    kinds[sort] = added(kinds.get(sort, {}), signed)
        return [
            ({whose: Told(**kinds) for whose, kinds in each.items()}, of)
            for each, of in zip(found, currency_of, strict=True)
        ]

    def _families(self) -> list[tuple[str, str, int, str]]:
        families = [(f"costmeter_run_cost_{currency}_total", "costs", 1, currency) for currency in self.currencies]
        families += [(f"costmeter_run_credit_{currency}_total", "costs", -1, "") for currency in self.currencies]
        families += [("costmeter_run_energy_kwh_total", "kwh", 1, "")]
        families += [("costmeter_run_emissions_grams_total", "grams", 1, ""), (_TIME, "seconds", 1, "")]
        return [family for family in families if family[0] in self._names]

    def _grown(
        self, family: str, window: Window, fallen: set[Whose], last: dict[tuple[Whose, Cell], Decimal]
    ) -> dict[Whose, dict[Cell, Decimal]]:
        """What each counter came to in a window beyond what it was before, which `last` remembers by turns."""
        exact = self._exact(family, window, fallen)
        peaks: dict[tuple[Whose, Cell], Decimal] = {}
        for sample in self._server.values(f"max_over_time({family}[{window.text}])", window.end_seconds):
            key = _key(sample.labels)
            peaks[key] = max(sample.value, peaks.get(key, Decimal(0)))
        grown: dict[Whose, dict[Cell, Decimal]] = {}
        for key, peak in peaks.items():
            before = last.get(key, Decimal(0))
            if key in exact:
                amount, last[key] = _grown_over(exact[key], before)
            else:
                amount, last[key] = peak - before if peak >= before else peak, peak
            grown.setdefault(key[0], {})[key[1]] = amount
        return grown

    def _fallen(self, window: Window) -> set[Whose]:
        """Whose counters fell in a window, or were scraped under more than one address."""
        fell = self._server.values(f"resets({_TIME}[{window.text}]) > 0", window.end_seconds)
        several = self._server.values(
            f"count by (cluster, run_id, host, meter, state) (last_over_time({_TIME}[{window.text}])) > 1",
            window.end_seconds,
        )
        return {_key(sample.labels)[0] for sample in (*fell, *several)}

    def _exact(
        self, family: str, window: Window, fallen: set[Whose]
    ) -> dict[tuple[Whose, Cell], list[tuple[Decimal, Decimal]]]:
        """Every sample of these, those of one counter under several addresses as one."""
        runs = sorted({whose[1] for whose in fallen})
        found: dict[tuple[Whose, Cell], list[Stretch]] = {}
        for first in range(0, len(runs), _AT_ONCE):
            of = json.dumps("|".join(map(re.escape, runs[first : first + _AT_ONCE])))
            try:
                stretches = self._server.samples(f"{family}{{run_id=~{of}}}[{window.text}]", window.end_seconds)
            except CostmeterError:
                self.is_least = True
                continue
            for stretch in stretches:
                found.setdefault(_key(stretch.labels), []).append(stretch)
        return {key: _one_counter(stretches) for key, stretches in found.items() if key[0] in fallen}

    # Facts

    def _last(self, what: str) -> dict[Whose, Decimal]:
        query = f"last_over_time(costmeter_run_{what}[{self.window.text}])"
        return {_key(sample.labels)[0]: sample.value for sample in self._server.values(query, self.window.end_seconds)}

    def _facts(self) -> dict[Whose, dict[str, str]]:
        query = f"last_over_time(costmeter_run_info[{self.window.text}])"
        found = self._server.values(query, self.window.end_seconds)
        return {_key(s.labels)[0]: {name: s.labels.get(name, "") for name in _FACTS} for s in found}

    def _active(self) -> set[Whose]:
        """Runs that go on at the end of the window: told in its last five minutes, so that none has vanished."""
        query = "costmeter_run_active == 1"
        return {_key(sample.labels)[0] for sample in self._server.values(query, self.window.end_seconds)}

    def _simulated(self) -> set[Whose]:
        """Runs on pages whose GPUs are simulated."""
        seconds = self.window.text
        pages = self._server.values(
            f'last_over_time(costmeter_readings_total{{source="simulated",result="ok"}}[{seconds}])',
            self.window.end_seconds,
        )
        targets = {_target(sample.labels, ("source", "result")) for sample in pages}
        if not targets:
            return set()
        starts = self._server.values(
            f"last_over_time(costmeter_run_start_timestamp_seconds[{seconds}])", self.window.end_seconds
        )
        return {_key(s.labels)[0] for s in starts if _target(s.labels, ("run_id", "host", "meter")) in targets}


def _key(labels: Mapping[str, str]) -> tuple[Whose, Cell]:
    cluster, run_id, host, meter = (labels.get(name, "") for name in _WHOSE)
    return (cluster, run_id, host, meter), tuple(labels[name] for name in _OF_WHAT if labels.get(name))


def _target(labels: Mapping[str, str], own: Sequence[str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name not in own and name != "__name__")


def once(told: Iterable[Whose]) -> list[Whose]:
    """Of every host of every run one meter: its agent where there is one."""
    chosen: dict[tuple[str, str, str], Whose] = {}
    for whose in sorted(told, key=lambda each: (each[:3], each[3] != AGENT, each[3])):
        chosen.setdefault(whose[:3], whose)
    return list(chosen.values())


def _worst(codes: Mapping[Whose, Decimal], of: Iterable[Whose]) -> int | None:
    """How the run ended: the highest exit code of its hosts; an agent may not know what the wrapper beside it does."""
    known = [int(codes[whose]) for whose in of if whose in codes]
    return max(known, default=None)


def _grown_over(points: Sequence[tuple[Decimal, Decimal]], before: Decimal) -> tuple[Decimal, Decimal]:
    """By how much a counter grew from `before` on, which every fall lets begin at zero; and its last value."""
    grown = Decimal(0)
    for _, value in points:
        grown += value - before if value >= before else value
        before = value
    return grown, before


def _one_counter(stretches: Sequence[Stretch]) -> list[tuple[Decimal, Decimal]]:
    """The samples of one counter that was scraped under several addresses.

    Where these overlap in time they are the same counter seen twice, and the one that goes furthest tells it; where
    they follow each other, one continues the other.
    """
    chosen: list[Sequence[tuple[Decimal, Decimal]]] = []
    for stretch in sorted((each for each in stretches if each.points), key=lambda each: each.points[0][0]):
        if chosen and stretch.points[0][0] <= chosen[-1][-1][0]:
            both = (chosen[-1], stretch.points)
            chosen[-1] = max(both, key=lambda points: _grown_over(points, Decimal(0))[0])
        else:
            chosen.append(stretch.points)
    return [point for points in chosen for point in points]


@dataclass(frozen=True, slots=True)
class Detail:
    """What one run told of itself: money by phase (the first eight have a name, `other` is the rest), steps, tokens."""

    phases: Mapping[str, Decimal] = field(default_factory=dict)
    steps: Decimal | None = None
    tokens: Decimal | None = None


def detail(server: Prometheus, run: SeenRun, window: Window) -> Detail:
    """Asked for one run. Steps and tokens are the whole run's on every host: the most is told, not the sum."""

    def highest(family: str) -> dict[tuple[Whose, Cell], Decimal]:
        query = f"max_over_time({family}{{run_id={json.dumps(run.id)}}}[{window.text}])"
        peaks: dict[tuple[Whose, Cell], Decimal] = {}
        for sample in server.values(query, window.end_seconds):
            key = _key(sample.labels)
            if key[0][0] == run.cluster:
                peaks[key] = max(sample.value, peaks.get(key, Decimal(0)))
        return peaks

    spent: dict[str, Decimal] = {}
    if run.currency:
        for (whose, cell), amount in highest(f"costmeter_run_phase_cost_{run.currency.lower()}_total").items():
            if cell and run.meters.get(whose[2]) == whose[3]:
                spent[cell[-1]] = spent.get(cell[-1], Decimal(0)) + amount
    return Detail(
        spent,
        max(highest("costmeter_run_steps_total").values(), default=None),
        max(highest("costmeter_run_tokens_total").values(), default=None),
    )
