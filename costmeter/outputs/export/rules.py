"""Thresholds, links and wrappings of the recording and alerting rules."""

import re
from collections.abc import Mapping
from decimal import Decimal

from costmeter.outputs.export.currency import in_currency
from costmeter.outputs.export.wishes import Wishes

#: Where the rules' runbooks are unless somebody keeps his own.
RUNBOOKS = "https://github.com/costmeter/costmeter/blob/main/docs/runbooks"
#: Where the rules expect the boards: Grafana in the compose stack.
GRAFANA = "http://localhost:3000"
#: Where the alerts' commands ask: Prometheus in the compose stack, as seen from its machine.
PROMETHEUS = "http://localhost:9090"
#: Rules that are one number each, by the wish that sets it: how many times its amount.
AMOUNTS: Mapping[str, Mapping[str, int]] = {
    "idle_above": {"costmeter:threshold_idle_usd_per_hour": 1, "costmeter:threshold_idle_usd_per_day": 10},
    "unheld_above": {
        "costmeter:threshold_unheld_usd_per_hour": 1,
        "costmeter:threshold_unheld_cluster_usd_per_hour": 5,
    },
    "held_above": {"costmeter:threshold_held_usd_per_hour": 1},
    "sunk_above": {"costmeter:threshold_sunk_usd": 1},
    "month_budget": {"costmeter:month_budget_usd": 1},
}


def rule_files(canonical: Mapping[str, str]) -> dict[str, str]:
    """The rules by name of file, without their unit tests, which Prometheus would not load."""
    here = "prometheus/rules/"
    names = [path.removeprefix(here) for path in canonical if path.startswith(here)]
    return {name: canonical[here + name] for name in sorted(names) if not name.endswith("_test.yml")}


def with_wishes(text: str, wishes: Wishes) -> str:
    """Rules that are in the currency already, with other thresholds and other links."""
    for wish, records in AMOUNTS.items():
        if not (amount := getattr(wishes, wish)):
            continue
        for record, times in records.items():
            number = amount if times == 1 else f"{(Decimal(amount) * times).normalize():f}"
            text = _constant(in_currency(record, wishes.currency)).sub(rf"\g<1>{number}\g<3>", text)
    text = text.replace(GRAFANA, wishes.grafana_url) if wishes.grafana_url else text
    text = text.replace(PROMETHEUS, wishes.prometheus_url) if wishes.prometheus_url else text
    return text.replace(RUNBOOKS, wishes.runbooks) if wishes.runbooks else text


def groups(text: str, spaces: int) -> str:
    """The groups of a file of rules, without their head, moved to the right."""
    _, _, body = text.partition("\ngroups:\n") if "\ngroups:\n" in text else ("", "", text.removeprefix("groups:\n"))
    return "".join(" " * spaces + line if line.strip() else line for line in body.splitlines(keepends=True))


def _constant(record: str) -> re.Pattern[str]:
    return re.compile(rf"(record: {re.escape(record)}(?:[ \t]+#.*)?\n\s+expr: vector\()([0-9.]+)(\))")
