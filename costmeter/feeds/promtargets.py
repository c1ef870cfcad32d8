"""Which scraped target tells of which GPUs: each GPU once, however many scrape its meter.

One agent is on several targets where two jobs or two replicas of a Prometheus scrape it, or where its pod has a new
address. A GPU is then one of the targets', and what the others say of it is the same money again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from costmeter.feeds.promapi import Prometheus, Sample

TIME = "costmeter_gpu_time_seconds_total"
#: GPUs as they were last told of; of one that a wrapper serves besides an agent, the agent's, which has `unheld`.
_SEEN = (
    f'last_over_time({TIME}{{state="unheld"}}[5m]) or on (cluster, gpu_uuid) last_over_time({TIME}{{state="busy"}}[5m])'
)
#: Recorded of each agent; what there is where single GPUs are not.
GPUS = "instance:costmeter_gpus:count"
#: Labels that are of what is told, and not of the target that tells it.
_TOLD = frozenset(("__name__", "gpu_uuid", "state", "run_id", "user", "reason", "component"))

#: All labels of a target.
Target: TypeAlias = frozenset[tuple[str, str]]
#: Cluster, UUID, and of a simulated GPU the instance: simulated UUIDs are the same everywhere.
_Gpu: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Instant:
    """A server as of one instant, so that no scrape comes between two questions; None is whenever it is asked."""

    server: Prometheus
    at_seconds: Decimal | None

    def values(self, query: str) -> list[Sample]:
        """What a query comes to then. Raises CostmeterError."""
        return self.server.values(query, self.at_seconds)


@dataclass(frozen=True, slots=True)
class Targets:
    """`own`: how many GPUs count at each target. `present`: those whose last scrape went well, by currency.

    `seen` are those whose own series are there, or were five minutes ago: of others only recorded ones are.
    """

    own: Mapping[Target, int]
    present: Mapping[str, frozenset[Target]]
    simulated: frozenset[Target]
    chosen: Mapping[_Gpu, Target]
    seen: frozenset[Target]

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether what is said of a GPU is said by the target at which it counts."""
        told_by = target(labels)
        chosen = self.chosen.get(_gpu(labels, told_by in self.simulated))
        return chosen == told_by if chosen else self.own.get(told_by) != 0

    def is_now_in(self, told_by: Target, currency: str) -> bool:
        """Whether its page is in this currency: not in another one, which it was in before."""
        others = (found for told, found in self.present.items() if told != currency)
        return told_by in self.present.get(currency, ()) or not any(told_by in found for found in others)

    def is_present(self, told_by: Target) -> bool:
        """Whether its last scrape went well. Where only recorded series are, nobody knows, and it is."""
        return told_by not in self.seen or any(told_by in found for found in self.present.values())

    @property
    def spare(self) -> tuple[Target, ...]:
        """Those that tell nothing that others don't."""
        return tuple(each for each, count in self.own.items() if not count)

    def is_spare(self, labels: Mapping[str, str]) -> bool:
        """Whether a sum over nodes (with fewer labels than a target) is only of targets that are spare."""
        told = target(labels)
        return any(told <= each for each in self.spare) and not any(
            told <= each for each, count in self.own.items() if count
        )


def target(labels: Mapping[str, str]) -> Target:
    """Who told it."""
    return frozenset((name, value) for name, value in labels.items() if name not in _TOLD)


def targets(server: Instant, currencies: Iterable[str], has_counts: bool) -> Targets:
    """All of them. Raises CostmeterError where nobody answers."""
    seen = server.values(_SEEN)
    found = {each: present(server, each) for each in currencies}
    simulated = _simulated(server) if len({sample.labels.get("gpu_uuid") for sample in seen}) < len(seen) else ()
    everywhere = frozenset().union(*found.values()) if found else frozenset()
    chosen: dict[_Gpu, Target] = {}
    own: dict[Target, int] = {}
    for told_by, sample in sorted(
        ((target(sample.labels), sample) for sample in seen),
        key=lambda each: (each[0] not in everywhere, sorted(each[0])),
    ):
        gpu = _gpu(sample.labels, told_by in simulated)
        own[told_by] = own.get(told_by, 0) + (chosen.setdefault(gpu, told_by) == told_by)
    own_series = frozenset(own)
    for told_by, count in _recorded(server.values(GPUS) if has_counts else ()).items():
        own.setdefault(told_by, count)
    return Targets(own, found, frozenset(simulated), chosen, own_series)


def present(server: Instant, currency: str, when: str = "") -> frozenset[Target]:
    """Targets whose page is, or was then, in a currency."""
    query = f'count without (gpu_uuid, state) (costmeter_gpu_cost_{currency}_total{{state="busy"}} {when})'
    return frozenset(target(sample.labels) for sample in server.values(query))


def _simulated(server: Instant) -> frozenset[Target]:
    query = 'count without (source, result) (costmeter_readings_total{source="simulated"})'
    return frozenset(target(sample.labels) for sample in server.values(query))


def _recorded(samples: Iterable[Sample]) -> dict[Target, int]:
    """GPUs of each; of targets with one address, the first in order has them."""
    found: dict[Target, int] = {}
    addresses: set[tuple[str, str]] = set()
    for sample in sorted(samples, key=lambda each: sorted(each.labels.items())):
        address = (sample.labels.get("cluster", ""), sample.labels.get("instance", ""))
        found[target(sample.labels)] = 0 if address in addresses else int(sample.value)
        addresses.add(address)
    return found


def _gpu(labels: Mapping[str, str], is_simulated: bool) -> _Gpu:
    return labels.get("cluster", ""), labels.get("gpu_uuid", ""), labels.get("instance", "") if is_simulated else ""
