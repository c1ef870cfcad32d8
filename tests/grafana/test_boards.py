"""The committed boards: what the code builds, whole, laid out without gaps, and made of what the exporter exports."""

import re
import sys

import pytest

from tests.grafana.boards import NAMES, asked, load, panels
from tests.grafana.stack import FILES
from tests.grafana.test_lint import parsed
from tests.grafana.test_rules import RECORDED, exported, rules

#: What is on the page and on no board and in no rule, and why.
ELSEWHERE = {
    "costmeter_run_market_emissions_grams_total": "under the market-based factor: beside the emissions, for reports",
    "costmeter_run_item_cost_usd_total": "of a wrapper's page alone, and no part of the cost: for receipts",
    "costmeter_runs_ended_total": "a count: what the runs had cost is on the board of spend",
    "costmeter_carbon_intensity_grams_per_kwh": "what CO2e is made of; the board of spend says where it is from",
    "costmeter_energy_resets_total": "for who looks into one agent",
    "costmeter_config_last_reload_success_timestamp_seconds": "for who looks into one agent",
    "costmeter_http_requests_total": "for who looks into one agent",
    "costmeter_page_seconds": "for who looks into one agent; Prometheus says how long a scrape takes",
    "process_open_fds": "for who looks into one agent",
}
#: Prometheus's own, but for `up`, which the rules read too.
OF_PROMETHEUS = {"scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE"}
FULL_WIDTH = 24


def shown() -> set[str]:
    """Every series name that a board asks for."""
    return {each.metric for name in NAMES for query in asked(name) for each in parsed(query.expression)}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")
@pytest.mark.parametrize("name", NAMES)
def test_a_committed_board_is_what_the_code_builds(name: str) -> None:
    """To the letter; `python -m grafana.boards` writes them anew."""
    from grafana.boards.__main__ import BOARDS
    from grafana.boards.text import text_of

    assert text_of(BOARDS[name]()) == (FILES / "grafana" / "dashboards" / f"{name}.json").read_text()


def test_every_series_of_a_board_exists() -> None:
    """The exporter exports it, a rule records it, or Prometheus makes it."""
    assert shown() - exported() - RECORDED - OF_PROMETHEUS == set()


def test_every_family_is_on_a_board_in_a_rule_or_elsewhere_for_a_reason() -> None:
    """Nothing is exported for nobody, and no reason outlives its family's absence."""
    in_rules = set(re.findall(r"\b(?:costmeter|process)_\w+", " ".join(rule["expr"] for rule in rules())))
    assert exported() - shown() - in_rules == set(ELSEWHERE)


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_called_and_linked_by_names_that_stay(name: str) -> None:
    """Schema, uid, tag, variables, numbers of panels, and links to the other two boards."""
    board = load(name)
    assert (42, f"costmeter-{name}") == (board["schemaVersion"], board["uid"])
    assert {"costmeter", name} == set(board["tags"])
    assert board["refresh"]
    names = [each["name"] for each in board["templating"]["list"]]
    assert ["datasource", "cluster", "job", "instance"] == names[:4]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    assert 0 not in numbers
    others = {f"/d/costmeter-{other}" for other in NAMES if other != name}
    assert others == {link["url"] for link in board["links"]}


@pytest.mark.parametrize("name", NAMES)
def test_panels_fill_their_rows(name: str) -> None:
    """Each row is 24 columns wide, of one height, and begins where the one above ends."""
    rows: dict[int, list[dict[str, int]]] = {}
    for panel in load(name)["panels"]:
        rows.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    below = 0
    for y, places in sorted(rows.items()):
        assert below == y
        assert len({place["h"] for place in places}) == 1
        x = 0
        for place in places:
            assert x == place["x"]
            x += place["w"]
        assert FULL_WIDTH == x
        below = y + places[0]["h"]


@pytest.mark.parametrize("name", NAMES)
def test_titles_are_said_once(name: str) -> None:
    """Nobody asks which of two panels is meant."""
    titles = [panel["title"] for panel in panels(load(name))]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("name", NAMES)
def test_a_table_opens_runs_on_their_board(name: str) -> None:
    """Where a row names a run, a click leads to the board of that run."""
    for panel in (each for each in panels(load(name)) if each["type"] == "table" and name != "run"):
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["options"] == "Run":
                links = next(each["value"] for each in override["properties"] if each["id"] == "links")
                assert links[0]["url"].startswith("/d/costmeter-run/?var-run=${__value.raw}&")
