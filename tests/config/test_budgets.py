"""Budgets as people write them: in one word, with keys, several of them, in several places."""

from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.errors import ConfigError, UsageError
from costmeter.meter.budget import Budget
from tests.config.writing import Site, read

HALF, MOST = Decimal("0.5"), Decimal("0.8")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project, a home and a machine of their own."""
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("80", (Budget(Decimal(80)),), id="a-number"),
        pytest.param("80 USD", (Budget(Decimal(80)),), id="with-its-currency"),
        pytest.param("80USD / day", (Budget(Decimal(80), per="day"),), id="a-day"),
        pytest.param(".5/project/month", (Budget(Decimal(".5"), per="project/month"),), id="a-projects-month"),
        pytest.param("{amount: 80 USD}", (Budget(Decimal(80)),), id="keys"),
        pytest.param(
            "{amount: 500, per: month, project: llm, warn_at: [90%, 0.25], on_exceed: stop, buffer: 10%}",
            (Budget(Decimal(500), (Decimal("0.25"), Decimal("0.9")), "stop", "project/month", "llm", Decimal("0.1")),),
            id="all-keys",
        ),
        pytest.param("[80, 500/month]", (Budget(Decimal(80)), Budget(Decimal(500), per="month")), id="several"),
        pytest.param(
            "[80, {amount: 60, on_exceed: stop}]",
            (Budget(Decimal(80)), Budget(Decimal(60), on_exceed="stop")),
            id="two-of-one-spending",
        ),
        pytest.param("[]", (), id="none"),
        pytest.param("", (), id="not-set"),
    ],
)
def test_budgets_are_read_in_every_form(text: str, expected: tuple[Budget, ...]) -> None:
    """One word, keys, or a list of both; exact amounts, shares as numbers or per cents."""
    settings, faults = read(f"budget: {text}")
    assert ([], expected) == (faults, settings.budgets)
    assert len(expected) == len(settings.budgets_set_in)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("80 EUR", "1:9: budget: 80 EUR is not in USD, the currency that is set", id="currency"),
        pytest.param("{amount: 8EUR}", "1:18: budget: 8EUR is not in USD", id="currency-in-keys"),
        pytest.param(
            "80/year", '1:9: budget: expected keys, or an amount such as 80, 80 USD or 80/day, not "80/year"', id="year"
        ),
        pytest.param("0", "1:9: budget: expected keys, or an amount", id="nothing"),
        pytest.param("-5", "1:9: budget: expected keys, or an amount", id="less-than-nothing"),
        pytest.param("{amount: 0}", "1:18: budget.amount: an amount of money is more than 0, not 0", id="zero"),
        pytest.param("{amount: 5, per: yaer}", "1:26: budget.per: expected run or day", id="per"),
        pytest.param("{amount: 5, buffer: 100%}", "budget.buffer: a share of the budget is less than 1", id="buffer"),
        pytest.param("{amount: 5, warn_at: [150%]}", "budget.warn_at: a share of the budget is at most 1", id="share"),
        pytest.param("{amount: 5, limit: 3}", '1:21: unknown key "limit" in budget', id="unknown-key"),
        pytest.param("[{per: day}]", "1:10: budget: an amount is missing", id="no-amount"),
        pytest.param("{amount: 5, project: [a]}", "budget.project: expected one word, not a list", id="project"),
    ],
)
def test_a_faulty_budget_is_told_and_left_out_whole(text: str, fault: str) -> None:
    """Without the key that is wrong it would be another budget; the one beside it holds."""
    settings, faults = read(f"budget: {text}")
    assert 1 == len(faults)
    assert fault in faults[0]
    assert () == settings.budgets
    beside, _ = read(f"budget: [9/day, {text.strip('[]')}]")
    assert (Budget(Decimal(9), per="day"),) == beside.budgets


def test_budgets_of_several_places_add_up(site: Site) -> None:
    """The user's month holds beside the project's run; of the same spending the nearer place's holds alone."""
    site.write(site.machine, "budget: [900/month, 70]")
    site.write(site.home, "budget: {amount: 500, per: month, on_exceed: stop}")
    site.write(site.project, "budget: 80")
    loaded = site.load()
    month = Budget(Decimal(500), per="month", on_exceed="stop")
    assert (month, Budget(Decimal(80))) == loaded.settings.budgets
    assert ("costmeter.yaml:1",) == loaded.settings.budgets_set_in[1:]
    assert ("500", "80") == tuple(loaded.effective[f"budget[{at}].amount"].value for at in (0, 1))
    assert "budget.amount" not in loaded.effective


def test_what_a_command_wrote_is_beside_the_users_settings(site: Site) -> None:
    """`budgets.yaml` is read after the user's file and before the project's."""
    site.write(site.home, "budget: [1/day, 1/month]")
    (site.home / ".config/costmeter/budgets.yaml").write_text("budget:\n  - {amount: 2, per: month}\n")
    amounts = {budget.per: budget.amount for budget in site.load().settings.budgets}
    assert {"day": Decimal(1), "month": Decimal(2)} == amounts


def test_projects_are_spendings_of_their_own(site: Site) -> None:
    """A budget of one project replaces none of another; `per: month` of a project is its month."""
    site.write(site.home, "budget: [{amount: 1, per: month, project: a}, {amount: 2, per: month, project: b}, 3/month]")
    site.write(site.project, "budget: {amount: 9, per: project/month, project: a}")
    found = {(budget.per, budget.project): budget.amount for budget in site.load().settings.budgets}
    assert {("project/month", "b"): 2, ("month", ""): 3, ("project/month", "a"): 9} == found


def test_keys_without_an_amount_hold_for_every_budget(site: Site) -> None:
    """`on_exceed` alone, from a variable or a flag, goes over all that there are."""
    site.write(site.home, "budget: [80, 500/month]")
    loaded = site.load(environ={"COSTMETER_BUDGET_ON_EXCEED": "stop"})
    assert ["stop", "stop"] == [budget.on_exceed for budget in loaded.settings.budgets]
    loaded = site.load(flags={"budget.on_exceed": "stop"})
    assert ["stop", "stop"] == [budget.on_exceed for budget in loaded.settings.budgets]


def test_a_budget_of_a_flag_brings_its_own_consequence(site: Site) -> None:
    """`--budget 80 --on-budget stop` stops at 80 and makes no other budget stop."""
    site.write(site.home, "budget: 500/month")
    loaded = site.load(flags={"budget": "{amount: 80, on_exceed: stop}"})
    assert {"month": "warn", "run": "stop"} == {each.per: each.on_exceed for each in loaded.settings.budgets}


def test_an_empty_list_takes_all_earlier_ones_away(site: Site) -> None:
    """Whoever wants no budget in a project says so."""
    site.write(site.home, "budget: [80, 500/month]")
    site.write(site.project, "budget: []")
    assert () == site.load().settings.budgets
    assert ("7",) == tuple(str(b.amount) for b in site.load(environ={"COSTMETER_BUDGET": "7/day"}).settings.budgets)


def test_a_flag_in_another_currency_is_a_wrong_command_line(site: Site) -> None:
    """Before the start it refuses; in a found file it warns."""
    with pytest.raises(UsageError, match=r"^--budget: budget: 8 EUR is not in USD"):
        site.load(flags={"budget": "{amount: 8 EUR}"})
    site.write(site.project, "budget: 8 EUR")
    assert ("costmeter.yaml:1:9: budget: 8 EUR is not in USD, the currency that is set; nothing is converted",) == (
        site.load().faults
    )
    with pytest.raises(ConfigError):
        site.load(strict=True)
