"""Runs as a Prometheus remembers them: what their counters came to, over all their hosts, each metered once.

A host that both its agent and a wrapper metered counts once, by its agent. Two users' runs of one id are two, and money
of two currencies is never added.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from costmeter.errors import CostmeterError
from costmeter.feeds.promapi import Prometheus
from costmeter.feeds.promcounters import Cell, Cells, Counters, Grown, Whose, Window, added, key_of

AGENT = "agent"
_FACTS = ("name", "user", "project", "team", "experiment", "job_id")
_COST = re.compile(r"costmeter_run_cost_([a-z]{3})_total")
_SELECTOR = '{__name__=~"costmeter_run_.+|run:costmeter_.+"}'
TIME = "costmeter_run_gpu_time_seconds_total"
_QUANTITIES = {
    "costmeter_run_energy_kwh_total": "kwh",
    "costmeter_run_emissions_grams_total": "grams",
    TIME: "seconds",
}
_DAY_SECONDS = 86_400
#: Hosts of one run that ended within so much of each other ended together.
_TOGETHER_SECONDS = 60

#: A run on a host, and a currency; an empty one is that of no price.
Priced: TypeAlias = tuple[Whose, str]


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

    A run that was metered in two currencies is told twice. `called` is its id, with the user's name behind it where
    another user has a run of that id. GPU time, energy and emissions of a host are with the first of its currencies.

    `by_host` are its hosts; `meters` who metered each. Instants are seconds since 1970, None where nobody told them.
    `is_least`: some of what it came to is not known (`Readback.least` says why).
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
    called: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What no other run has: its cluster, id and user."""
        return self.cluster, self.id, self.facts.get("user", "")

    @property
    def word(self) -> str:
        """What it is called among the others."""
        return self.called or self.id

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


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of runs on their hosts beside what was counted."""

    of: Mapping[Whose, Mapping[str, str]]
    starts: Mapping[Whose, Decimal]
    ends: Mapping[Whose, Decimal]
    codes: Mapping[Whose, Decimal]
    active: frozenset[Whose]
    simulated: frozenset[Whose]

    def users(self, everybody: Iterable[Whose]) -> dict[tuple[str, str, str], str]:
        """Whose run it is on each host: as either meter there says, else as the only user of that id does."""
        of_host: dict[tuple[str, str, str], str] = {}
        of_run: dict[tuple[str, str], set[str]] = {}
        for whose in sorted(self.of, key=_agent_first, reverse=True):  # the agent has the last word
            if user := self.of[whose]["user"]:
                of_host[whose[:3]] = user
                of_run.setdefault(whose[:2], set()).add(user)
        only = {run: next(iter(users)) for run, users in of_run.items() if len(users) == 1}
        return {each[:3]: of_host.get(each[:3], only.get(each[:2], "")) for each in everybody}

    def end(self, of: Sequence[Whose]) -> tuple[Decimal | None, int | None]:
        """When and how a run ended that these meters tell of: the highest exit code of the hosts that ended last.

        A host that ended before, or before the last began, was left by the run. An agent may not know what the wrapper
        beside it does. Nothing is known while it goes on, or where a host that began later has vanished.
        """
        ended = [each for each in of if each in self.codes]
        last = max((self.ends[each] for each in ended if each in self.ends), default=None)
        if any(each in self.active for each in of):
            return None, None
        if last is None:
            return None, max((int(self.codes[each]) for each in ended), default=None)
        hosts = {each[2] for each in ended}
        if any(self.starts.get(each, last) > last for each in of if each[2] not in hosts):
            return None, None
        began = max(self.starts.get(each, Decimal(0)) for each in ended if self.ends.get(each) == last)
        left = max(last - _TOGETHER_SECONDS, min(began, last))
        return last, max(int(self.codes[each]) for each in ended if self.ends.get(each, last) >= left)


@dataclass(frozen=True, slots=True)
class Added:
    """What was added in windows that follow each other, and what had been spent before anybody scraped it."""

    windows: Sequence[Mapping[Priced, Told]]
    unscraped: Mapping[Priced, Decimal]


class Readback:
    """The runs of one server. Raises CostmeterError where it has none, or does not answer."""

    def __init__(self, server: Prometheus, window: Window) -> None:
        self._server, self.window = server, window
        self._names = frozenset(server.names(_SELECTOR, window.start_seconds, window.end_seconds))
        self.currencies = tuple(found[1] for name in sorted(self._names) if (found := _COST.fullmatch(name)))
        if TIME not in self._names:
            only = "; it has only recorded series" if any(name.startswith("run:") for name in self._names) else ""
            missing = "; not all stores answered" if server.partial else ""
            raise CostmeterError(
                f"{server.where} has no runs of costmeter in that time{only}{missing}",
                "is it scraping them? costmeter export prometheus.  More time: --since 30d",
            )
        self._is_least = False

    @property
    def least(self) -> tuple[str, ...]:
        """Why there may be more than was found so far; nothing where all is known."""
        fell = ("some counters fell and their samples could not be had",) * self._is_least
        return (*fell, *("not all stores answered",) * bool(self._server.partial))

    def note_fallen(self) -> None:
        """Of something else that was asked for, samples of a counter that fell could not be had."""
        self._is_least = True

    def runs(self) -> list[SeenRun]:
        """Every run that was seen in the window, with all that its counters came to."""
        (told,) = self._increments([self.window], None).windows
        facts = self._facts()
        chosen = once(whose for whose, _ in told)
        everybody = sorted({*chosen} | facts.of.keys() | facts.starts.keys() | facts.ends.keys())
        users = facts.users(everybody)
        tellers: dict[tuple[str, str, str], list[Whose]] = {}
        hosts: dict[tuple[str, str, str], list[Whose]] = {}
        for all_of, found in ((everybody, tellers), (chosen, hosts)):
            for whose in all_of:
                found.setdefault((*whose[:2], users[whose[:3]]), []).append(whose)
        of_users = Counter(key[:2] for key in hosts)
        in_currencies: dict[Whose, dict[str, Told]] = {}
        for (whose, currency), each in told.items():
            in_currencies.setdefault(whose, {})[currency] = each
        runs = []
        for key, own in hosts.items():
            called = f"{key[1]}~{key[2] or 'unknown'}" if of_users[key[:2]] > 1 else key[1]
            runs += self._in_each_currency({each: in_currencies[each] for each in own}, tellers[key], facts, called)
        return runs

    def _in_each_currency(
        self, told: Mapping[Whose, Mapping[str, Told]], of: Sequence[Whose], facts: _Facts, called: str
    ) -> list[SeenRun]:
        """A run by its hosts and currencies, once for each currency; `of` are all meters that tell of it."""
        ended, code = facts.end(of)
        runs = []
        for currency in sorted({each for amounts in told.values() for each in amounts}):
            own = [whose for whose, amounts in told.items() if currency in amounts]
            runs.append(
                SeenRun(
                    own[0][1],
                    own[0][0],
                    currency.upper(),
                    next((facts.of[each] for each in (*own, *of) if each in facts.of), {}),
                    {whose[2]: told[whose][currency] for whose in own},
                    {whose[2]: whose[3] for whose in own},
                    any(whose in facts.simulated for whose in told),
                    min((facts.starts[each] for each in told if each in facts.starts), default=None),
                    ended,
                    any(each in facts.active for each in of),
                    code,
                    bool(self.least),
                    called,
                )
            )
        return runs

    def by_window(self, windows: Sequence[Window]) -> Added:
        """What was added in each of these windows, which follow each other; what was before the first is not.

        What runs that began before had come to when they were first scraped is in none of them.
        """
        first = windows[0]
        day_before = Window(first.start_seconds - _DAY_SECONDS, first.start_seconds)
        found = self._increments([day_before, *windows], self._starts())
        return Added(found.windows[1:], found.unscraped)

    def _increments(self, windows: Sequence[Window], starts: Mapping[Whose, Decimal] | None) -> Added:
        """What every run on every host came to in each window, by each meter and in each currency."""
        charges = {f"costmeter_run_cost_{currency}_total": currency for currency in self.currencies}
        credits = {f"costmeter_run_credit_{currency}_total": currency for currency in self.currencies}
        families = [name for name in (*charges, *credits, *_QUANTITIES) if name in self._names]
        counters = Counters(self._server, families, [TIME, *charges], windows, starts)
        found: list[dict[Priced, Told]] = []
        unscraped: dict[Priced, Decimal] = {}
        for grown in counters.grown():
            found.append(_in_currencies(grown, charges, credits))
            for of, sign in ((charges, 1), (credits, -1)):
                for name, currency in of.items():
                    for whose, amount in grown.get(name, Grown()).unscraped.items():
                        key = whose, currency
                        unscraped[key] = unscraped.get(key, Decimal(0)) + sign * amount
        self._is_least = self._is_least or counters.is_least
        return Added(found, unscraped)

    # Facts

    def _facts(self) -> _Facts:
        found = self._server.values(f"last_over_time(costmeter_run_info[{self.window.text}])", self.window.end_seconds)
        of = {key_of(s.labels)[0]: {name: s.labels.get(name, "") for name in _FACTS} for s in found}
        ends, codes = self._last("end_timestamp_seconds"), self._last("exit_code")
        return _Facts(of, self._starts(), ends, codes, self._active(), self._simulated())

    def _starts(self) -> dict[Whose, Decimal]:
        """The first that was told: an agent that begins again at zero does not move it."""
        return self._gauge("min_over_time", "start_timestamp_seconds", min)

    def _last(self, what: str) -> dict[Whose, Decimal]:
        return self._gauge("last_over_time", what, max)

    def _gauge(self, function: str, what: str, choose: Callable[[Decimal, Decimal], Decimal]) -> dict[Whose, Decimal]:
        """What each meter tells, by one of its addresses."""
        found: dict[Whose, Decimal] = {}
        query = f"{function}(costmeter_run_{what}[{self.window.text}])"
        for sample in self._server.values(query, self.window.end_seconds):
            whose, _ = key_of(sample.labels)
            found[whose] = choose(sample.value, found.get(whose, sample.value))
        return found

    def _active(self) -> frozenset[Whose]:
        """Runs that go on at the end of the window: told in its last five minutes, so that none has vanished."""
        query = "costmeter_run_active == 1"
        return frozenset(key_of(sample.labels)[0] for sample in self._server.values(query, self.window.end_seconds))

    def _simulated(self) -> frozenset[Whose]:
        """Runs on pages whose GPUs are simulated."""
        seconds = self.window.text
        pages = self._server.values(
            f'last_over_time(costmeter_readings_total{{source="simulated",result="ok"}}[{seconds}])',
            self.window.end_seconds,
        )
        targets = {_target(sample.labels, ("source", "result")) for sample in pages}
        if not targets:
            return frozenset()
        starts = self._server.values(
            f"last_over_time(costmeter_run_start_timestamp_seconds[{seconds}])", self.window.end_seconds
        )
        own = ("run_id", "host", "meter")
        return frozenset(key_of(s.labels)[0] for s in starts if _target(s.labels, own) in targets)


def _in_currencies(
    grown: Mapping[str, Grown], charges: Mapping[str, str], credits: Mapping[str, str]
) -> dict[Priced, Told]:
    """What each run on each host came to, in each currency in which it came to anything; else in the first it has."""
    money: dict[Whose, dict[str, dict[Cell, Decimal]]] = {}
    for of, sign in ((charges, 1), (credits, -1)):
        for name, currency in of.items():
            for whose, cells in grown.get(name, Grown()).amounts.items():
                own = money.setdefault(whose, {})
                signed = {cell: sign * amount for cell, amount in cells.items()}
                own[currency] = added(own.get(currency, {}), signed)
    quantities: dict[Whose, dict[str, Cells]] = {}
    for name, sort in _QUANTITIES.items():
        for whose, cells in grown.get(name, Grown()).amounts.items():
            quantities.setdefault(whose, {})[sort] = cells
    found: dict[Priced, Told] = {}
    for whose in {**quantities, **money}:
        of_money = money.get(whose, {})
        known = [currency for currency, cells in sorted(of_money.items()) if any(cells.values())]
        first, *others = known or sorted(of_money)[:1] or [""]
        found[whose, first] = Told(of_money.get(first, {}), **quantities.get(whose, {}))
        found |= {(whose, currency): Told(of_money[currency]) for currency in others}
    return found


def _target(labels: Mapping[str, str], own: Sequence[str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name not in own and name != "__name__")


def _agent_first(whose: Whose) -> tuple[tuple[str, ...], bool, str]:
    return whose[:3], whose[3] != AGENT, whose[3]


def once(told: Iterable[Whose]) -> list[Whose]:
    """Of every host of every run one meter: its agent where there is one."""
    chosen: dict[tuple[str, str, str], Whose] = {}
    for whose in sorted(told, key=_agent_first):
        chosen.setdefault(whose[:3], whose)
    return list(chosen.values())
