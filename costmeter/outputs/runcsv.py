"""Runs as CSV: one line a run and currency, plain decimals, ISO times; and nothing that a spreadsheet would execute."""

import json
from collections.abc import Iterable, Iterator

from costmeter.ledger.listing import Listed
from costmeter.outputs.csvtext import csv_text, exact_grams, exact_joules, exact_kwh, exact_seconds, harmless
from costmeter.outputs.figures import plain
from costmeter.outputs.gpus import brief_names
from costmeter.outputs.receipt import timestamp
from costmeter.outputs.style import printable

COLUMNS = (
    "run",
    "name",
    "experiment",
    "project",
    "user",
    "hosts",
    "started_at",
    "ended_at",
    "seconds",
    "outcome",
    "exit_code",
    "signal",
    "gpus",
    "currency",
    "simulated",
    "cost",
    "idle_cost",
    "redone_cost",
    "lost_cost",
    "energy_kwh",
    "energy_joules",
    "gpu_seconds",
    "idle_gpu_seconds",
    "emissions_grams",
    "steps",
    "tokens",
    "loss",
    "labels",
)
_JSON = json.JSONEncoder(ensure_ascii=False)


def runs_csv(runs: Iterable[Listed]) -> str:
    """One line a run, several where it was paid for in several currencies; a line of heads above."""
    return csv_text(COLUMNS, (row for run in runs for row in _rows(run)))


def _rows(run: Listed) -> Iterator[list[str]]:
    labels = {printable(key): printable(value) for key, value in run.header.labels.items()}
    for ours, spent in zip(run.apart, run.spendings, strict=True):  # each currency with its own hosts and time
        header, quantities = run.header, spent.whole.quantities
        ended, last = ours.ending, ours.progress
        yield [
            harmless(run.id),
            harmless(header.name),
            harmless(header.labels.get("experiment", "")),
            harmless(header.labels.get("project", "")),
            harmless(header.user),
            harmless(" ".join(ours.hosts)),
            timestamp(ended.started_utc_ns),
            timestamp(ended.ended_utc_ns),
            exact_seconds(ended.length_ns),
            ended.outcome,
            _or_empty(ended.exit_code),
            _or_empty(ended.signal),
            harmless(brief_names(ours.gpus)),
            spent.currency,
            "true" if spent.simulated else "false",
            plain(spent.cost),
            plain(spent.idle),
            plain(spent.redone),
            "" if spent.lost is None else plain(spent.lost.cost),
            exact_kwh(spent.microjoules),
            exact_joules(spent.microjoules),
            exact_seconds(quantities.nanoseconds),
            exact_seconds(quantities.idle_nanoseconds),
            exact_grams(spent.micrograms),
            _or_empty(last.steps if last else None),
            _or_empty(last.tokens if last else None),
            _or_empty(last.loss if last else None),
            _JSON.encode(labels),
        ]


def _or_empty(value: float | None) -> str:
    return "" if value is None else str(value)
