"""Scenarios as they are typed: what a flag or a text changes of a run's rates, and what is refused."""

import argparse
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.cli.scenarios import Around, scenario
from costmeter.cli.typedscenarios import typed
from costmeter.cli.whatif import add_arguments, parse
from costmeter.config.settings import Settings
from costmeter.config.zones import zone
from costmeter.errors import UsageError
from costmeter.ledger.repricing import Setting
from costmeter.ledger.scenario import Scenario
from costmeter.meter.charge import Origin
from costmeter.meter.series import OPEN_END, Series
from costmeter.rates.book import Book, Sourced
from costmeter.units import iso_minute
from tests.samples import BEGAN_UTC_NS, devices

HALF_HOURS = Series((0,), (OPEN_END,), (Decimal("0.2"),))
NOW = Settings(
    timezone=zone("Europe/Berlin"), book=Book(electricity=Sourced(HALF_HOURS, Origin("configured", "agile.csv")))
)


def made(*arguments: str, settings: Settings = NOW, node_gpus: Collection[int] = ()) -> list[Scenario]:
    """The scenarios of a command line. Raises UsageError with what is wrong with them."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    around = Around("USD", settings, "/nonexistent", {}, node_gpus)
    rows, faults = typed(parse(parser, arguments))
    if faults:
        raise UsageError("\n".join(faults))
    return [scenario(each, around) for each in rows]


@pytest.mark.parametrize(
    ("arguments", "replaced", "what"),
    [
        pytest.param(["--price", "1.99/gpu-h"], {"gpu"}, "rental, $1.99/GPU-h", id="price"),
        pytest.param(["--price", "per_instance_hour:55.04"], {"gpu"}, "rental, $55.04 / the node's GPUs", id="machine"),
        pytest.param(["--spot", "1.25"], {"gpu"}, "spot, $1.25/GPU-h", id="spot"),
        pytest.param(
            ["--owned", "purchase=30000,life_years=4,expected_use=0.7"],
            {"gpu"},
            "$30,000/GPU over 4 y at 70 % use",
            id="owned",
        ),
        pytest.param(
            ["--owned", "purchase=30000", "--electricity", "0.12"],
            {"gpu", "electricity"},
            "$30,000/GPU over 4 y, electricity 0.12/kWh",
            id="owned-pays-the-price-beside-it",
        ),
        pytest.param(["--electricity", "0.12"], {"electricity"}, "electricity 0.12/kWh", id="electricity"),
        pytest.param(["--pue", "1.1"], {"pue"}, "PUE 1.1", id="pue"),
        pytest.param(["--zone", "SE"], {"carbon"}, "grid of SE", id="zone"),
        pytest.param(["--carbon", "25"], {"carbon"}, "grid of 25 g/kWh", id="carbon"),
        pytest.param(
            ["--scenario", "all: price=1.99, pue=1.1, zone=SE"],
            {"gpu", "pue", "carbon"},
            "rental, $1.99/GPU-h, PUE 1.1, grid of SE",
            id="several-in-one-row",
        ),
        pytest.param(
            ["--scenario", 'w: electricity={windows: [{price_per_kwh: 0.3}], timezone: "UTC"}, pue=1.2'],
            {"electricity", "pue"},
            'electricity {windows: [{price_per_kwh: 0.3}], timezone: "UTC"}, PUE 1.2',
            id="commas-in-braces-divide-nothing",
        ),
    ],
)
def test_a_scenario_replaces_what_it_names(arguments: list[str], replaced: set[Setting], what: str) -> None:
    """Exactly the settings that were typed are replaced, and the row says them."""
    (one,) = made(*arguments)

    assert one.change is not None
    assert one.change.replaced == replaced
    assert one.what == what


@pytest.mark.parametrize(
    ("text", "node_gpus", "what"),
    [
        pytest.param("per_instance_hour:55.04", {8}, "spot, $55.04 / 8 GPUs", id="of-the-node"),
        pytest.param("per_instance_hour:55.04", {1}, "spot, $55.04 / 1 GPU", id="one-gpu"),
        pytest.param("per_instance_hour:55.04", {8, 4}, "spot, $55.04 / 4 or 8 GPUs", id="nodes-of-two-sizes"),
        pytest.param("{per_instance_hour: 55.04, gpus: 2}", {8}, "spot, $55.04 / 2 GPUs", id="as-named"),
    ],
)
def test_a_machines_price_is_shown_with_what_divides_it(text: str, node_gpus: set[int], what: str) -> None:
    """The row says what the machine costs and how many GPUs share it: those named, else those of the runs' nodes."""
    assert [each.what for each in made("--spot", text, node_gpus=node_gpus)] == [what]


def test_every_flag_is_a_row_and_may_come_again() -> None:
    """Two prices and a zone are three rows."""
    assert [each.name for each in made("--price", "1.99", "--price", "2.99", "--zone", "SE")] == [
        "price 1.99",
        "price 2.99",
        "zone SE",
    ]


def test_the_price_is_exact() -> None:
    """What was typed is the decimal that prices, in the runs' currency."""
    (one,) = made("--scenario", "x: price=1.10")

    assert one.change is not None
    found = one.change.book.quotation(devices(1), 1).at(BEGAN_UTC_NS)
    assert str(found.devices[devices(1)[0].uuid].hourly) == "(('rental', Decimal('1.10')),)"
    assert found.currency == "USD"


def test_interruptions_and_idle_time_are_estimates() -> None:
    """Both change quantities, and say so."""
    spot, idle = made("--spot", "1.25", "--interruptions-per-day", "4", "--lost-minutes", "36", "--no-idle")

    assert spot.interruptions is not None
    assert spot.interruptions.factor == Decimal("1.1")
    assert "an estimate: everything × 1.1000" in spot.notes[0]
    assert (idle.drops_idle, idle.is_estimate, idle.change) == (True, True, None)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        pytest.param("+6h", "2026-11-22T20:03Z", id="later"),
        pytest.param("-1d", "2026-11-21T14:03Z", id="earlier"),
        pytest.param("+90m", "2026-11-22T15:33Z", id="minutes"),
        pytest.param("Mon 02:00", "2026-11-23T01:00Z", id="berlin-is-an-hour-ahead"),
        pytest.param("15:03", "2026-11-22T14:03Z", id="the-very-start"),
        pytest.param("2026-12-01T00:00Z", "2026-12-01T00:00Z", id="an-instant"),
    ],
)
def test_another_start(text: str, starts: str) -> None:
    """A shift is a length, or the first such local time at or after the run's own start (Sunday 14:03 UTC)."""
    (one,) = made("--shift", text)

    assert one.shift is not None
    assert iso_minute(BEGAN_UTC_NS + one.shift(BEGAN_UTC_NS)) == starts
    assert one.change is not None
    assert one.change.replaced == {"electricity"}
    assert one.notes == (f"{one.name}: electricity.price as configured now, looked up at the other time",)


def test_a_shift_needs_a_price_that_changes() -> None:
    """Where nothing is known that changes over time, another start has no answer, and the row says what to add."""
    (one,) = made("--shift", "+6h", settings=Settings())

    assert one.unpriced == "no price is known that changes over time; add tariff=FILE, or set electricity.price"


def test_a_file_of_scenarios(tmp_path: Path) -> None:
    """A YAML file holds scenarios by name, with the keys of --scenario; a figure may be a mapping."""
    path = tmp_path / "scenarios.yaml"
    path.write_text(
        "cheap: {price: 1.99}\nbought:\n  purchase: 30000\n  electricity: {windows: [{price_per_kwh: 0.3}]}\n"
    )

    cheap, bought = made("--scenarios", str(path))

    assert (cheap.name, bought.name) == ("cheap", "bought")
    assert bought.change is not None
    assert bought.change.replaced == {"gpu", "electricity"}
    assert bought.change.book.electricity is not None
    assert bought.change.book.electricity.schedule.at(BEGAN_UTC_NS) == Decimal("0.3")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--price", "abc"], '--price: "abc": expected a price per GPU-hour such as 1.99', id="price"),
        pytest.param(["--price", "catalog:aws/nope"], "no instance", id="catalogue"),
        pytest.param(["--zone", "XX"], 'no zone "XX"', id="zone"),
        pytest.param(["--pue", "0.5"], "a PUE is at least 1, not 0.5", id="pue"),
        pytest.param(["--electricity", "1e9999"], "expected a price per kWh", id="electricity"),
        pytest.param(["--owned", "life_years=4"], "add its price, purchase=30000", id="owned-without-price"),
        pytest.param(["--owned", "wheels=4"], "no such key: wheels", id="owned-unknown"),
        pytest.param(["--owned", "purchase=}"], "has no other half", id="braces"),
        pytest.param(["--shift", "+x"], "expected a length such as +6h", id="shift"),
        pytest.param(["--shift", "someday"], "expected a time such as", id="shift-time"),
        pytest.param(["--lost-minutes", "3"], "add its price, --spot 1.25", id="losses-alone"),
        pytest.param(["--spot", "1", "--lost-minutes", "3"], "interruptions need both", id="half-of-the-losses"),
        pytest.param(["--plan", "x"], "give its file, --tariff", id="plan-alone"),
        pytest.param(["--scenario", "x"], "expected NAME: key=value", id="no-name"),
        pytest.param(["--scenario", "x: "], "it changes nothing", id="empty"),
        pytest.param(["--scenario", "x: foo=1"], "no such key: foo; a scenario has price", id="unknown-key"),
        pytest.param(["--scenario", "x: price=1, price=2"], "price is there twice", id="twice"),
        pytest.param(["--scenario", "x: price=1, spot=2"], "price and spot say the same", id="rivals"),
        pytest.param(["--scenario", "x: price=1, purchase=2"], "price and purchase say the same", id="rent-and-buy"),
        pytest.param(["--scenario", "x: price"], "expected key=value", id="no-value"),
        pytest.param(["--scenario", "x: pue="], "nothing after pue", id="empty-value"),
        pytest.param(["--scenarios", "/nonexistent/x.yaml"], "No such file", id="no-file"),
        pytest.param(["--tariff", "/nonexistent/x.yaml"], "No such file", id="no-tariff"),
    ],
)
def test_what_can_be_no_scenario_is_refused(arguments: list[str], said: str) -> None:
    """A wrong flag is a UsageError that names it."""
    with pytest.raises(UsageError) as refusal:
        made(*arguments)
    assert said in refusal.value.message
    assert arguments[0].removeprefix("--")[:5] in refusal.value.message or "x.yaml" in refusal.value.message


@pytest.mark.parametrize("content", ["- a\n", "a: 1\n", "{", "a: {b: {}}\n", ""])
def test_a_file_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    """A file without scenarios names itself, with its line where there is one."""
    path = tmp_path / "s.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"s\.yaml"):
        made("--scenarios", str(path))


def test_all_faults_are_told_at_once() -> None:
    """Three wrong flags are three complaints of one refusal."""
    with pytest.raises(UsageError) as refusal:
        made("--lost-minutes", "3", "--plan", "x", "--scenario", "x", "--scenario", "y: a", "--owned", "wheels=4")
    assert len(refusal.value.message.splitlines()) == 5


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param("x: pric=1, pue=", ['no such key: pric. Did you mean "price"?', "nothing after pue"], id="keys"),
        pytest.param("x: price=1, spot=2, plan=z", ["price and spot say the same", "add tariff=FILE"], id="contradict"),
        pytest.param(
            "x: price=abc, pue=0.5, shift=+x, interruptions_per_day=a, lost_minutes=b",
            ['price: "abc"', "shift", 'day: "a"', 'minutes: "b"'],
            id="values",
        ),
        pytest.param("x: pue=0.5, zone=XX", ["a PUE is at least 1", 'no zone "XX"'], id="settings"),
        pytest.param("x: price=a, carbon={", ["has no other half"], id="braces"),
    ],
)
def test_all_faults_of_a_scenario_are_told_at_once(text: str, faults: list[str]) -> None:
    """Each with where it is; what can be checked only once a key is right is told then."""
    with pytest.raises(UsageError) as refusal:
        made("--scenario", text)
    lines = refusal.value.message.splitlines()
    assert len(lines) == len(faults)
    assert all(fault in line and "--scenario" in line for fault, line in zip(faults, lines, strict=True))
