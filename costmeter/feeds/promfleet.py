"""What a fleet does now, as a Prometheus tells it: money per hour by node, by run, and by who holds idle GPUs.

Rates are of the last five minutes: from recorded series where there are any (`costmeter export prometheus` writes their
rules), else from the counters themselves. A node that has been scraped for less than that has rates that are too low,
of time as of money: as many GPUs as it has run at one second per second, so both are brought up to that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from costmeter.errors import CostmeterError
from costmeter.feeds.promapi import Prometheus, Sample
from costmeter.feeds.promsilent import Silent, instances, silent
from costmeter.feeds.promtargets import GPUS, TIME, Instant, Target, Targets, present, target, targets

_HOLDERS = ("costmeter_gpu_holder_share_ratio", "holder:costmeter_gpu_holder_share_ratio:last3m")
_RUNS = ("run:costmeter_info", "costmeter_run_info")
_NAMES = "|".join(
    ("costmeter_gpu_cost_[a-z]{3}_total", "(instance|holder|run):costmeter_.+:rate5m", GPUS, *_HOLDERS, *_RUNS)
)
_HOUR = 3_600
#: User, run, instance, cluster, reason.
_Holder: TypeAlias = tuple[str, str, str, str, str]
#: Run, cluster.
_Run: TypeAlias = tuple[str, str]
#: Rates of targets by state; of money, by currency.
_Rates: TypeAlias = Mapping[Target, list[Sample]]
_Money: TypeAlias = Mapping[str, _Rates]


@dataclass(frozen=True, slots=True)
class Node:
    """One node: money per hour by state, GPUs by state."""

    instance: str
    cluster: str
    per_hour: Mapping[str, Decimal]
    gpus: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class IdleHolder:
    """Somebody whose GPUs are idle, on one node and for one reason: how many, and money per hour."""

    user: str
    run: str
    instance: str
    cluster: str
    reason: str
    gpus: int
    per_hour: Decimal


@dataclass(frozen=True, slots=True)
class FleetRun:
    """One run over all its nodes: money per hour now, too little of one that was not scraped 5 minutes ago."""

    run: str
    cluster: str
    name: str
    user: str
    project: str
    per_hour: Decimal
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it, in one currency. `silent` nodes were not scraped; of `unknown` ones there is no rate yet.

    `has_holders`: whether agents tell there who holds what. `partial`: what was missing from the answers.
    """

    currency: str
    at_seconds: Decimal
    nodes: tuple[Node, ...]
    idle: tuple[IdleHolder, ...]
    runs: tuple[FleetRun, ...]
    silent: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    has_holders: bool = True
    partial: tuple[str, ...] = ()

    def per_hour(self, *states: str) -> Decimal:
        """Of GPUs in these states; of all without any."""
        return sum(
            (each for node in self.nodes for state, each in node.per_hour.items() if not states or state in states),
            Decimal(0),
        )

    @property
    def idle_without_holder(self) -> bool:
        """Whether most of what idles is nobody's in `idle`: reasons come a minute or two after the money."""
        told = sum((each.per_hour for each in self.idle), Decimal(0))
        return 2 * told < self.per_hour("idle")

    def gpus(self, *states: str) -> int:
        """How many GPUs are in these states, on the mean of five minutes; of all without any."""
        counts = (each for node in self.nodes for state, each in node.gpus.items() if not states or state in states)
        return round(sum(counts, Decimal(0)))


def fleets(server: Prometheus) -> list[Fleet]:
    """One for each currency. Raises CostmeterError where no agent is scraped, or was, or nobody answers."""
    known = server.values(f'group by (__name__) ({{__name__=~"{_NAMES}"}})')
    names = {sample.labels.get("__name__", "") for sample in known}
    marks = ("costmeter_gpu_cost_", "instance:costmeter_gpu_cost_")
    found = sorted({name.removeprefix(mark)[:3] for name in names for mark in marks if name.startswith(mark)})
    then = Instant(server, known[0].at_seconds if known else None)
    failing = silent(then)
    if not found:
        return _unheard(server, failing)
    asked = _Asked(then, names, targets(then, found, GPUS in names), failing)
    money = {each: asked.by_target(f"costmeter_gpu_cost_{each}") for each in found}
    times = asked.by_target("costmeter_gpu_time_seconds")
    all_of_them = [_fleet(asked, currency, money, times) for currency in found]
    shown = [each for each in all_of_them if each.nodes or each.unknown or each.silent] or all_of_them[:1]
    return [replace(each, partial=server.partial) for each in shown]


def _unheard(server: Prometheus, failing: Silent) -> list[Fleet]:
    """Fleets of which no node answers. Raises CostmeterError where nobody knows of any, and says what is known."""
    places = instances(failing.places())
    if failing.currencies and places:
        return [
            Fleet(each.upper(), failing.at_seconds, (), (), (), instances(failing.places(each)), partial=server.partial)
            for each in failing.currencies
        ]
    message, hint = f"{server.where} has no GPUs of costmeter now", "is it scraping them? costmeter export prometheus"
    if places:
        message += f"; not scraped: {', '.join(places)}"
    elif failing.down:
        hint = f"is it scraping them? {len(failing.down)} of its targets cannot be: {server.where}/targets"
    if server.partial:
        message, hint = f"{message}; not all stores answered", f"which are away? {server.where}/stores"
    raise CostmeterError(message, hint)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The server as of now, the names of its series, and its targets."""

    then: Instant
    names: set[str]
    targets: Targets
    failing: Silent

    def rate(self, series: str) -> list[Sample]:
        """Of nodes: as recorded, else from the counters of their GPUs."""
        recorded = f"instance:{series}:rate5m"
        return self.then.values(recorded if recorded in self.names else _of_nodes(f"rate({series}_total[5m])"))

    def by_target(self, series: str) -> dict[Target, list[Sample]]:
        """The same, by target, of those at which GPUs count."""
        return _by_target(self.rate(series), self.targets)


def _of_nodes(each: str) -> str:
    """Summed over GPUs: of one that a wrapper serves too, the agent's, whose GPUs alone can be unheld."""
    once = f'({each} and ignoring (state) {TIME}{{state="unheld"}}) or on (cluster, gpu_uuid) {each}'
    return f"sum without (gpu_uuid) ({once})"


def _by_target(samples: Iterable[Sample], known: Targets) -> dict[Target, list[Sample]]:
    found: dict[Target, list[Sample]] = {}
    for sample in samples:
        told_by = target(sample.labels)
        if known.own.get(told_by) != 0:
            found.setdefault(told_by, []).append(sample)
    return found


def _fleet(asked: _Asked, currency: str, money: _Money, times: _Rates) -> Fleet:
    known = asked.targets
    here = {each: told for each, told in money[currency].items() if known.is_now_in(each, currency)}
    scales = _scales(asked, currency, here, times)
    nodes = _nodes(here, times, known, scales)
    told_of = {_place(each) for each in here if known.is_present(each)}
    failing = [place for place in asked.failing.places(currency, money) if place not in told_of]
    placed = {_place(each) for told in money.values() for each in told}.union(failing)
    late = {_place(each) for each, count in known.own.items() if count and known.is_now_in(each, currency)} - placed
    return Fleet(
        currency.upper(),
        max(
            (sample.at_seconds for told in here.values() for sample in told),
            default=asked.then.at_seconds or Decimal(0),
        ),
        nodes,
        _idle(asked, currency, here, scales),
        _runs(asked, currency, money),
        instances(failing),
        instances(late),
        not asked.names.isdisjoint(_HOLDERS),
    )


def _scales(asked: _Asked, currency: str, here: _Rates, times: _Rates) -> dict[Target, Decimal]:
    """What rates of money are to be multiplied by.

    GPUs by the time that they ran per second, which is less where a part of the five minutes is missing. After a change
    of currency it is the money's minutes alone that are missing: it is brought to the slope of the samples there are.
    """
    known, server, cost = asked.targets, asked.then, f"costmeter_gpu_cost_{currency}_total"
    found = {each: _scale(each, times.get(each, ()), known) for each in here}
    new = found.keys() & known.present.get(currency, frozenset()) - present(server, currency, "offset 5m")
    if not new:
        return found

    def samples(counter: str) -> dict[Target, Decimal]:
        query = f'min without (gpu_uuid, state) (count_over_time({counter}{{state="busy"}}[5m]))'
        return {target(sample.labels): sample.value for sample in server.values(query)}

    had, took = samples(cost), samples(TIME)
    changed = {each for each in new if had.get(each, 0) < took.get(each, 0)}
    if changed:
        slopes = _by_target(server.values(_of_nodes(f"deriv({cost}[5m])")), known)
        ran = _by_target(server.values(_of_nodes(f"deriv({TIME}[5m])")), known)
        for each in changed:
            told, slope = _sum(here[each]), _sum(slopes.get(each, ()))
            if told > 0 and slope > 0:
                found[each] = slope / told * _scale(each, ran.get(each, ()), known)
    return found


def _scale(told_by: Target, times: Iterable[Sample], known: Targets) -> Decimal:
    gpus, seconds = known.own.get(told_by), _sum(times)
    return Decimal(gpus) / seconds if gpus and seconds > 0 and known.is_present(told_by) else Decimal(1)


def _sum(samples: Iterable[Sample]) -> Decimal:
    return sum((sample.value for sample in samples), Decimal(0))


def _place(told_by: Target) -> tuple[str, str]:
    labels = dict(told_by)
    return labels.get("instance", ""), labels.get("cluster", "")


def _nodes(money: _Rates, times: _Rates, known: Targets, scales: Mapping[Target, Decimal]) -> tuple[Node, ...]:
    per_hour: dict[tuple[str, str], dict[str, Decimal]] = {}
    gpus: dict[tuple[str, str], dict[str, Decimal]] = {}
    for told_by, told in money.items():
        _add(per_hour.setdefault(_place(told_by), {}), told, _HOUR * scales[told_by])
        timed = times.get(told_by, ())
        _add(gpus.setdefault(_place(told_by), {}), timed, _scale(told_by, timed, known))
    return tuple(Node(*place, of, gpus[place]) for place, of in sorted(per_hour.items()))


def _add(states: dict[str, Decimal], samples: Iterable[Sample], factor: Decimal) -> None:
    for sample in samples:
        state = sample.labels.get("state", "")
        states[state] = states.get(state, Decimal(0)) + factor * sample.value


def _idle(asked: _Asked, currency: str, here: _Rates, scales: Mapping[Target, Decimal]) -> tuple[IdleHolder, ...]:
    """Who holds idle GPUs: recorded, or each GPU's idle money by the shares of its holders, the dearest first."""
    recorded = f"holder:costmeter_gpu_idle_cost_{currency}:rate5m"
    if recorded in asked.names:
        told = [(sample.labels, sample.value) for sample in asked.then.values(recorded)]
    else:
        told = list(_shared(asked.then, currency))
    pieces = [
        (target(labels), labels, value)
        for labels, value in told
        if value > 0 and target(labels) in scales and asked.targets.counts(labels)
    ]
    totals: dict[Target, Decimal] = {}
    for told_by, _, value in pieces:
        totals[told_by] = totals.get(told_by, Decimal(0)) + value
    money: dict[_Holder, Decimal] = {}
    uuids: dict[_Holder, set[str]] = {}
    for told_by, labels, value in pieces:
        # Recorded at another moment than the node's money: of a new node it is brought up to that at most.
        idle = scales[told_by] * _sum(each for each in here[told_by] if each.labels.get("state") == "idle")
        scale = min(scales[told_by], max(Decimal(1), idle / totals[told_by]))
        user, run, reason = (labels.get(name, "") for name in ("user", "run_id", "reason"))
        key = (user, run, labels.get("instance", ""), labels.get("cluster", ""), reason)
        money[key] = money.get(key, Decimal(0)) + _HOUR * scale * value
        uuids.setdefault(key, set()).add(labels.get("gpu_uuid", ""))
    found = [IdleHolder(*key, len(uuids[key]), amount) for key, amount in money.items()]
    return tuple(sorted(found, key=lambda each: (-each.per_hour, each.user, each.instance)))


def _shared(server: Instant, currency: str) -> Iterator[tuple[Mapping[str, str], Decimal]]:
    shares: dict[tuple[str, Target], list[Sample]] = {}
    for share in server.values(_HOLDERS[0]):
        shares.setdefault((share.labels.get("gpu_uuid", ""), target(share.labels)), []).append(share)
    for sample in server.values(f"rate(costmeter_gpu_idle_cost_{currency}_total[5m]) > 0"):
        for share in shares.get((sample.labels.get("gpu_uuid", ""), target(sample.labels)), ()):
            yield {**share.labels, "reason": sample.labels.get("reason", "")}, sample.value * share.value


def _runs(asked: _Asked, currency: str, money: _Money) -> tuple[FleetRun, ...]:
    """Runs that cost something now, the dearest first; a host that two meters tell of counts once, by its agent."""
    recorded, counter = f"run:costmeter_cost_{currency}:rate5m", f"costmeter_run_cost_{currency}_total"
    is_recorded = recorded in asked.names
    costs: dict[_Run, Decimal] = {}
    if not is_recorded or asked.targets.spare:
        costs = _totals(asked.then.values(f"{_of_runs(counter)} > 0"))
    if is_recorded and not costs:
        told = asked.then.values(f"sum without (component) ({recorded}) > 0")
        costs = _totals(sample for sample in told if not asked.targets.is_spare(sample.labels))
    if len(money) > 1:
        costs = _now_in(asked.then, currency, costs, [other for other in money if other != currency])
    series = recorded if is_recorded else counter
    old = {_run(each.labels) for each in asked.then.values(f"group by (cluster, run_id) ({series} offset 5m)")}
    facts: dict[_Run, Mapping[str, str]] = {}
    for info in _RUNS:
        if info in asked.names:
            facts |= {_run(told.labels): told.labels for told in asked.then.values(info)}
    found = []
    for key, per_second in costs.items():
        name, user, project = (facts.get(key, {}).get(each, "") for each in ("name", "user", "project"))
        found.append(FleetRun(*key, name, user, project, _HOUR * per_second, key not in old))
    return tuple(sorted(found, key=lambda each: (-each.per_hour, each.run)))


def _of_runs(counter: str) -> str:
    """Rates of runs from counters: each host of a run once, by its agent, however many scrape it."""
    by = "max by (cluster, run_id, host, component, state)"
    all_of_them = f"{by} (rate({counter}[5m]))"
    by_agent = f'{by} (rate({counter}{{meter="agent"}}[5m]))'
    return f"sum by (cluster, run_id) ({by_agent} or on (cluster, run_id, host) {all_of_them})"


def _now_in(server: Instant, currency: str, costs: dict[_Run, Decimal], others: list[str]) -> dict[_Run, Decimal]:
    """Those whose pages are in this currency: not the rests of those that changed to another."""

    def told(each: str) -> set[_Run]:
        query = f"group by (cluster, run_id) (costmeter_run_cost_{each}_total)"
        return {_run(sample.labels) for sample in server.values(query)}

    gone: set[_Run] = set().union(*(told(each) for each in others)) - told(currency)
    return {key: amount for key, amount in costs.items() if key not in gone}


def _totals(samples: Iterable[Sample]) -> dict[_Run, Decimal]:
    found: dict[_Run, Decimal] = {}
    for sample in samples:
        found[_run(sample.labels)] = found.get(_run(sample.labels), Decimal(0)) + sample.value
    return found


def _run(labels: Mapping[str, str]) -> _Run:
    return labels.get("run_id", ""), labels.get("cluster", "")
