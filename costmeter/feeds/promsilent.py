"""Which targets are not scraped, of jobs that scrape costmeter: also where none of a job answers, or of all jobs."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from costmeter.feeds.promapi import Sample, any_of
from costmeter.feeds.promtargets import GPUS, Instant

_COST = re.compile(r"costmeter_gpu_cost_([a-z]{3})_total")
#: A job none of whose targets answers is known for so long.
_REMEMBERED = "[1h]"

#: Instance, cluster.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Silent:
    """Targets that fail: the currencies of their jobs, by job; none where only recorded series tell of it.

    `down` are all targets that fail, whoever's.
    """

    down: tuple[Sample, ...] = ()
    jobs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def at_seconds(self) -> Decimal:
        """When."""
        return max((sample.at_seconds for sample in self.down), default=Decimal(0))

    @property
    def currencies(self) -> list[str]:
        """Of all of them."""
        return sorted(frozenset().union(*self.jobs.values()))

    def places(self, currency: str | None = None, others: Collection[str] = ()) -> list[Place]:
        """Those of a currency, and those that are in none of the others either: each stands somewhere."""
        found = set()
        for sample in self.down:
            told = self.jobs.get(sample.labels.get("job", ""))
            if told is not None and (currency is None or currency in told or told.isdisjoint(others)):
                found.add((sample.labels.get("instance", ""), sample.labels.get("cluster", "")))
        return sorted(found)


def instances(places: Iterable[Place]) -> tuple[str, ...]:
    """Their names, each once."""
    return tuple(sorted({instance for instance, _ in places}))


def silent(server: Instant) -> Silent:
    """Asked of what failed at the last scrape: whose job tells, or told, of GPUs. Raises CostmeterError."""
    down = tuple(server.values("up == 0"))
    jobs: dict[str, frozenset[str]] = {}
    for remembered in ("", _REMEMBERED):  # what is there now costs little to ask
        asked = {sample.labels.get("job", "") for sample in down} - jobs.keys()
        if asked:
            found: dict[str, set[str]] = {}
            for job, currency in _told(server, asked, remembered):
                found.setdefault(job, set()).update(currency)
            jobs |= {job: frozenset(currencies) for job, currencies in found.items()}
    return Silent(down, jobs)


def _told(server: Instant, jobs: Collection[str], remembered: str) -> Iterator[tuple[str, list[str]]]:
    of = any_of(sorted(jobs))
    names = f"costmeter_gpu_cost_[a-z]{{3}}_total|{GPUS}"
    series = f'{{__name__=~"{names}",state=~"|busy",job=~{of}}}{remembered}'
    each = f"last_over_time({series})" if remembered else series
    for sample in server.values(f"group by (__name__, job) ({each})"):
        found = _COST.fullmatch(sample.labels.get("__name__", ""))
        yield sample.labels.get("job", ""), [found[1]] if found else []
