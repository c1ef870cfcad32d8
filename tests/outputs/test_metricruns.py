"""Runs from metrics as text: what is not known is not invented, and sums are sums of what is shown."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.feeds.promdetail import Detail
from costmeter.feeds.promruns import SeenRun, Told
from costmeter.outputs.metricrun import render_run
from costmeter.outputs.metricruns import Read, grouped, groups_document, render, render_groups, runs_document
from costmeter.outputs.style import Style

READ = Read("http://prom:9090", 1_795_352_400 * 10**9, None)
TOLD = Told(
    {("rental", "busy"): Decimal("9"), ("rental", "idle"): Decimal("1")},
    {("gpu",): Decimal(5)},
    {("operational",): Decimal(1900)},
    {("busy",): Decimal(3240), ("idle",): Decimal(360), ("unknown",): Decimal(0)},
)
RUN = SeenRun(
    "r-1", "", "USD", {"name": "sft", "user": "maya"}, {"a": TOLD}, {"a": "agent"}, False,
    Decimal(1_795_348_800), Decimal(1_795_352_400), False, 0,
)  # fmt: skip


def test_a_list_adds_up() -> None:
    """Two runs of 10 USD, 5 kWh and an hour."""
    lines = render([RUN, replace(RUN, id="r-2", exit_code=3)], READ, Style(100)).splitlines()
    assert ["r-1", "r-2", "2"] == [line.split()[0] for line in lines[1:4]]
    assert ["2.00", "20.00", "10.00"] == lines[3].split()[2:]
    assert lines[2].endswith("10 %  failed (3)")


@pytest.mark.parametrize(
    ("run", "ending"),
    [
        pytest.param(RUN, "ok", id="ended"),
        pytest.param(replace(RUN, exit_code=9), "failed (9)", id="failed"),
        pytest.param(replace(RUN, active=True, exit_code=None, ended_seconds=None), "running", id="goes-on"),
        pytest.param(replace(RUN, exit_code=None, ended_seconds=None), "unknown", id="vanished"),
    ],
)
def test_how_a_run_ended(run: SeenRun, ending: str) -> None:
    """As far as an exit code tells; one that vanished from the metrics is unknown, not failed."""
    assert render([run], READ, Style(100)).splitlines()[1].endswith(ending)


def test_what_has_no_price_has_no_cost() -> None:
    """Neither 0 dollars nor any currency; null as data."""
    unpriced = replace(RUN, currency="", by_host={"a": replace(TOLD, costs={})})
    assert "no price" in render_run(unpriced, Detail(), READ, Style())
    assert "$" not in render_run(unpriced, Detail(), READ, Style())
    (found,) = runs_document([(unpriced, None)], READ)["runs"]
    assert (None, None) == (found["cost"], found["currency"])


def test_a_total_that_is_too_small_says_so() -> None:
    """Where samples could not be had, or a store did not answer: list, groups and detail say why."""
    read = replace(READ, least=("not all stores answered",))
    groups = grouped([RUN], lambda run: "all")
    texts = (render([RUN], read, Style(100)), render_groups(groups, "user", read, Style(100)))
    assert all("Not all stores answered: at least" in text for text in texts)
    assert groups_document(groups, "user", read)["is_least"]
    assert re.search("At least +not all stores answered", render_run(RUN, Detail(), read, Style()))
    assert "at least" not in render([RUN], READ, Style(100)).lower()


def test_what_was_spent_before_it_was_scraped_is_in_no_line() -> None:
    """It stands beneath them, by currency."""
    read = replace(READ, unscraped={"USD": Decimal(5000)})
    text = render_groups(grouped([RUN], lambda run: "2026-11-22"), "day", read, Style(100))
    assert "in no line: $5,000.00 that runs had cost before they were first scraped" in text
    assert {"USD": "5000"} == groups_document([], "day", read)["unscraped"]


def test_two_users_runs_of_one_id_are_told_apart() -> None:
    """In the list by what they are called; and they count as two."""
    runs = [replace(RUN, called="r-1~maya"), replace(RUN, facts={"user": "lee"}, called="r-1~lee")]
    assert {"r-1~maya", "r-1~lee"} < {*render(runs, READ, Style(100)).split()}
    assert [2] == [group.runs for group in grouped(runs, lambda run: "all")]


def test_currencies_and_simulated_runs_never_add_up() -> None:
    """A block for each."""
    runs = [RUN, replace(RUN, id="r-2", currency="EUR"), replace(RUN, id="r-3", simulated=True)]
    text = render_groups(grouped(runs, lambda run: run.facts["user"]), "user", READ, Style(100))
    assert 3 == text.count("total")
    assert "simulated GPUs, which nobody pays for:" in text
