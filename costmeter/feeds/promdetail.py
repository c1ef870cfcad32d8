"""What one run told of itself, as a Prometheus remembers it: money by phase, steps, tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.feeds.promapi import Prometheus, quoted
from costmeter.feeds.promcounters import Counters, Grown, Window, key_of
from costmeter.feeds.promruns import TIME, SeenRun


@dataclass(frozen=True, slots=True)
class Detail:
    """What one run told of itself: money by phase (the first eight have a name, `other` is the rest), steps, tokens.

    `is_least`: of a counter that fell the samples could not be had.
    """

    phases: Mapping[str, Decimal] = field(default_factory=dict)
    steps: Decimal | None = None
    tokens: Decimal | None = None
    is_least: bool = False


def detail(server: Prometheus, run: SeenRun, window: Window) -> Detail:
    """Asked for one run. Raises CostmeterError as questions do."""
    phases, is_least = _phases(server, run, window)
    steps, tokens = (_furthest(server, run, window, what) for what in ("steps", "tokens"))
    return Detail(phases, steps, tokens, is_least)


def _phases(server: Prometheus, run: SeenRun, window: Window) -> tuple[dict[str, Decimal], bool]:
    """Money by phase, counted as the run's own is: over every fall, so that phases add up to it."""
    if not run.currency:
        return {}, False
    currency = run.currency.lower()
    phases, cost = f"costmeter_run_phase_cost_{currency}_total", f"costmeter_run_cost_{currency}_total"
    counters = Counters(server, [TIME, cost, phases], [TIME, cost, phases], [window], run_id=run.id)
    (grown,) = counters.grown()
    spent: dict[str, Decimal] = {}
    for (cluster, _, host, meter), cells in grown.get(phases, Grown()).amounts.items():
        if cluster == run.cluster and run.meters.get(host) == meter:
            for cell, amount in cells.items():
                if cell:
                    spent[cell[-1]] = spent.get(cell[-1], Decimal(0)) + amount
    return spent, counters.is_least


def _furthest(server: Prometheus, run: SeenRun, window: Window, what: str) -> Decimal | None:
    """The most that was reached on any host: the run itself counts them, whatever became of an agent meanwhile."""
    query = f"max_over_time(costmeter_run_{what}_total{{run_id={quoted(run.id)}}}[{window.text}])"
    told = ((key_of(sample.labels)[0], sample.value) for sample in server.values(query, window.end_seconds))
    return max((value for whose, value in told if whose[0] == run.cluster and whose[2] in run.by_host), default=None)
