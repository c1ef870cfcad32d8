"""What one run told of itself, as a Prometheus remembers it: money by phase, steps, tokens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.feeds.promapi import Prometheus
from costmeter.feeds.promcounters import Cell, Whose, Window, key_of
from costmeter.feeds.promruns import SeenRun


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
            key = key_of(sample.labels)
            if key[0][0] == run.cluster and key[0][2] in run.by_host:
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
