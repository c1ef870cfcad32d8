"""What a fleet does now, as a Prometheus tells it: money per hour by node, by run, and by who holds idle GPUs.

Rates are of the last five minutes: from recorded series where there are any (`costmeter export prometheus` writes their
rules), else from the counters themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from costmeter.errors import CostmeterError
from costmeter.feeds.promapi import Prometheus, Sample

_NAMES = "costmeter_gpu_cost_[a-z]{3}_total|(instance|holder|run):costmeter_.+:rate5m"
_TIME = "costmeter_gpu_time_seconds_total"
_HOUR = 3_600
#: User, run, instance, cluster, reason.
_Holder: TypeAlias = tuple[str, str, str, str, str]


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
    """One run over all its nodes: money per hour now."""

    run: str
    cluster: str
    name: str
    user: str
    project: str
    per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it, in one currency."""

    currency: str
    at_seconds: Decimal
    nodes: tuple[Node, ...]
    idle: tuple[IdleHolder, ...]
    runs: tuple[FleetRun, ...]
    silent: tuple[str, ...]

    def per_hour(self, *states: str) -> Decimal:
        """Of GPUs in these states; of all without any."""
        return sum(
            (each for node in self.nodes for state, each in node.per_hour.items() if not states or state in states),
            Decimal(0),
        )

    def gpus(self, *states: str) -> int:
        """How many GPUs are in these states, on the mean of five minutes; of all without any."""
        counts = (each for node in self.nodes for state, each in node.gpus.items() if not states or state in states)
        return round(sum(counts, Decimal(0)))


def fleets(server: Prometheus) -> list[Fleet]:
    """One for each currency. Raises CostmeterError where no agent is scraped, or nobody answers."""
    known = server.values(f'group by (__name__) ({{__name__=~"{_NAMES}"}})')
    names = {sample.labels.get("__name__", "") for sample in known}
    marks = ("costmeter_gpu_cost_", "instance:costmeter_gpu_cost_")
    found = {name.removeprefix(mark)[:3] for name in names for mark in marks if name.startswith(mark)}
    if not found:
        hint = "is it scraping them? costmeter export prometheus"
        raise CostmeterError(f"{server.where} has no GPUs of costmeter now", hint)
    return [_fleet(server, names, currency) for currency in sorted(found)]


def _fleet(server: Prometheus, names: set[str], currency: str) -> Fleet:
    def rate(recorded: str, counters: str) -> list[Sample]:
        return server.values(recorded if recorded in names else counters)

    cost = f"costmeter_gpu_cost_{currency}"
    money = rate(f"instance:{cost}:rate5m", f"sum without (gpu_uuid) ({_counted_once(f'{cost}_total')})")
    times = rate("instance:costmeter_gpu_time_seconds:rate5m", f"sum without (gpu_uuid) ({_counted_once(_TIME)})")
    per_hour, gpus = _by_node(money, _HOUR), _by_node(times, 1)
    nodes = tuple(Node(*key, of, gpus.get(key, {})) for key, of in sorted(per_hour.items()))
    at_seconds = max((sample.at_seconds for sample in money), default=Decimal(0))
    silent = sorted(
        sample.labels.get("instance", "")
        for sample in server.values(f"up == 0 and on (job) group by (job) ({cost}_total)")
    )
    return Fleet(
        currency.upper(),
        at_seconds,
        nodes,
        _idle(server, names, currency),
        _runs(server, names, currency),
        tuple(silent),
    )


def _counted_once(counter: str) -> str:
    """Rates of all GPUs: of one that a wrapper serves too, the agent's, whose GPUs alone can be unheld."""
    rate = f"rate({counter}[5m])"
    return f'({rate} and ignoring (state) {_TIME}{{state="unheld"}}) or on (cluster, gpu_uuid) {rate}'


def _by_node(samples: Iterable[Sample], factor: int) -> dict[tuple[str, str], dict[str, Decimal]]:
    found: dict[tuple[str, str], dict[str, Decimal]] = {}
    for sample in samples:
        key = (sample.labels.get("instance", ""), sample.labels.get("cluster", ""))
        states = found.setdefault(key, {})
        state = sample.labels.get("state", "")
        states[state] = states.get(state, Decimal(0)) + factor * sample.value
    return found


def _idle(server: Prometheus, names: set[str], currency: str) -> tuple[IdleHolder, ...]:
    """Who holds idle GPUs: recorded, or each GPU's idle money by the shares of its holders, the dearest first."""
    recorded = f"holder:costmeter_gpu_idle_cost_{currency}:rate5m"
    if recorded in names:
        pieces = [(dict(sample.labels), sample.value) for sample in server.values(recorded)]
    else:
        pieces = list(_shared(server, currency))
    money: dict[_Holder, Decimal] = {}
    uuids: dict[_Holder, set[str]] = {}
    for labels, value in pieces:
        if value > 0:
            user, run, reason = (labels.get(name, "") for name in ("user", "run_id", "reason"))
            key = (user, run, labels.get("instance", ""), labels.get("cluster", ""), reason)
            money[key] = money.get(key, Decimal(0)) + _HOUR * value
            uuids.setdefault(key, set()).add(labels.get("gpu_uuid", ""))
    found = [IdleHolder(*key, len(uuids[key]), amount) for key, amount in money.items()]
    return tuple(sorted(found, key=lambda each: (-each.per_hour, each.user, each.instance)))


def _shared(server: Prometheus, currency: str) -> Iterable[tuple[dict[str, str], Decimal]]:
    shares: dict[tuple[str, str, str], list[Sample]] = {}
    for share in server.values("costmeter_gpu_holder_share_ratio"):
        shares.setdefault(_gpu(share.labels), []).append(share)
    for sample in server.values(f"rate(costmeter_gpu_idle_cost_{currency}_total[5m]) > 0"):
        for share in shares.get(_gpu(sample.labels), ()):
            yield {**share.labels, "reason": sample.labels.get("reason", "")}, sample.value * share.value


def _gpu(labels: Mapping[str, str]) -> tuple[str, str, str]:
    return labels.get("gpu_uuid", ""), labels.get("instance", ""), labels.get("cluster", "")


def _runs(server: Prometheus, names: set[str], currency: str) -> tuple[FleetRun, ...]:
    """Runs that cost something now, the dearest first; a host that two meters tell of counts once, by its agent."""
    recorded, counter = f"run:costmeter_cost_{currency}:rate5m", f"costmeter_run_cost_{currency}_total"
    query = f"sum by (cluster, run_id) ({recorded})"
    if recorded not in names:
        by_agent = f'rate({counter}{{meter="agent"}}[5m])'
        query = f"sum by (cluster, run_id) ({by_agent} or on (cluster, run_id, host) rate({counter}[5m]))"
    facts: dict[tuple[str, str], Mapping[str, str]] = {}
    for told in server.values("costmeter_run_info"):
        facts[_run(told.labels)] = told.labels
    found = []
    for sample in server.values(f"{query} > 0"):
        known = facts.get(_run(sample.labels), {})
        run, cluster = _run(sample.labels)
        name, user, project = (known.get(each, "") for each in ("name", "user", "project"))
        found.append(FleetRun(run, cluster, name, user, project, _HOUR * sample.value))
    return tuple(sorted(found, key=lambda each: (-each.per_hour, each.run)))


def _run(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("run_id", ""), labels.get("cluster", "")
