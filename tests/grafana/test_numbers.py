"""How the panels' numbers read, through Grafana's own code: a person's figures, and never "12.3 Mg" for 12 tonnes."""

from typing import Any

import pytest

from tests.grafana.boards import NAMES, load, panels
from tests.grafana.grafana import needs_grafana, texts

pytestmark = needs_grafana

#: What each unit of the boards shows of values as they come up, small and large.
READS: dict[tuple[str, int | None], dict[float, str]] = {
    ("currencyUSD", None): {0: "$0", 0.0042: "$0.00420", 0.5: "$0.500", 12.3456: "$12.3", 12345.678: "$12.3K"},
    ("currency:financial:$", 2): {1: "$1.00", 12.3456: "$12.35", 12345.678: "$12,345.68", 1234567.8: "$1,234,567.80"},
    ("massg", None): {0: "0 g", 0.0042: "4.20 mg", 345.6: "346 g", 12345: "12.3 kg", 999_999: "1000 kg"},
    ("masst", None): {1: "1 t", 12.345: "12.3 t", 123.4: "123 t"},
    ("kwatth", None): {0: "0 kWh", 0.0042: "4.20 Wh", 345.6: "346 kWh", 12345.678: "12.3 MWh"},
    ("percentunit", None): {0: "0%", 0.0042: "0.420%", 0.5: "50%", 0.873: "87.3%", 1: "100%"},
    ("percentunit", 1): {0: "0.0%", 0.0042: "0.4%", 0.873: "87.3%", 1: "100.0%"},
    ("watt", None): {0: "0 W", 345.6: "346 W", 12345.678: "12.3 kW"},
    ("locale", None): {0: "0", 7: "7", 12345: "12,345"},
    ("locale", 0): {0: "0", 7: "7", 12345: "12,345"},
    ("locale", 1): {0: "0", 12.34: "12.3", 12345.678: "12,345.7"},
    ("locale", 2): {0.0042: "0", 12.345: "12.35", 12345.678: "12,345.68"},
    ("s", None): {0.00023: "230 µs", 0.012: "12 ms", 7200: "2 hours", 93784: "1.09 days", 15724800: "26 weeks"},
    ("s", 0): {0: "0 s", 1.4: "1 s", 130: "2 mins", 7200: "2 hours"},
    ("s", 1): {300: "5.0 mins", 9900: "2.8 hours"},
    ("bytes", None): {41074688: "39.2 MiB", 18_245_222_400: "17.0 GiB"},
    ("dateTimeAsIso", None): {1763770000000: "2025-11-22 00:06:40"},
    ("none", None): {0: "0", 1: "1", 2.31: "2.31"},
}
#: Values of nothing a person reads: names.
NAMES_OF_THINGS = {("string", None)}


def units(board: dict[str, Any]) -> set[tuple[str, int | None]]:
    """Every unit with its decimals in a board's panels: of the panel and of its overrides."""
    found = set()
    for panel in panels(board):
        config = panel["fieldConfig"]
        found.add((config["defaults"].get("unit", "none"), config["defaults"].get("decimals")))
        for override in config["overrides"]:
            values = {each["id"]: each.get("value") for each in override["properties"]}
            if "unit" in values:
                found.add((values["unit"], values.get("decimals")))
        if panel["type"] == "heatmap":
            found.add((panel["options"]["cellValues"]["unit"], panel["options"]["cellValues"]["decimals"]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_of_a_board_is_one_of_those_that_are_read_here(name: str) -> None:
    """A unit that nobody looked at is in no board."""
    assert units(load(name)) <= READS.keys() | NAMES_OF_THINGS


def test_numbers_read_as_a_person_expects() -> None:
    """Grafana 13.2.3 shows exactly these texts."""
    asked = [(unit, decimals, value) for (unit, decimals), values in READS.items() for value in values]
    expected = [text for values in READS.values() for text in values.values()]
    assert list(zip(asked, expected, strict=True)) == list(zip(asked, texts(asked), strict=True))


def sizes(panel: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    """The queries of a stat panel with the unit and decimals of each."""
    config = panel["fieldConfig"]
    own = {
        override["matcher"]["options"]: {each["id"]: each.get("value") for each in override["properties"]}
        for override in config["overrides"]
    }
    found = []
    for target in panel["targets"]:
        values = own.get(target["refId"], config["defaults"])
        found.append((target["expr"], values["unit"], values.get("decimals")))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_money_and_mass_change_their_unit_with_their_size(name: str) -> None:
    """A stat asks once for what is small and once for what is large: $0.00420 and $12,345.68, 12.3 kg and 12.3 t."""
    for panel in (each for each in panels(load(name)) if each["type"] == "stat"):
        asked = sizes(panel)
        for expression, unit, _ in asked:
            bound = {
                "currencyUSD": ") < 1)",
                "currency:financial:$": ") >= 1)",
                "massg": ") < 1e6)",
                "masst": ") >= 1e6) / 1e6",
            }
            assert expression.endswith(bound.get(unit, "")), f"{panel['title']}: {unit}"
        assert {unit for _, unit, _ in asked} not in ({"currencyUSD"}, {"massg"}), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_grams_are_no_unit_of_an_axis_or_a_column(name: str) -> None:
    """There they would become megagrams; a column says kg in its head instead."""
    for panel in (each for each in panels(load(name)) if each["type"] != "stat"):
        config = panel["fieldConfig"]
        written = [config["defaults"].get("unit")]
        written += [each.get("value") for override in config["overrides"] for each in override["properties"]]
        assert not {"massg", "masskg", "masst"} & {unit for unit in written if isinstance(unit, str)}, panel["title"]
