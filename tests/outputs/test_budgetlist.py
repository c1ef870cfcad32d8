"""The table of budgets, on wide and narrow terminals."""

from decimal import Decimal

import pytest

from costmeter.ledger.spent import Spent
from costmeter.meter.budget import Budget
from costmeter.outputs.budgetlist import InForce, as_text
from costmeter.outputs.style import Style

PLACE = "/home/maya/.config/costmeter/budgets.yaml:3"
PROJECT = "a-project-whose-name-goes-on-and-on-for-ever"


@pytest.mark.parametrize("is_unicode", [True, False])
@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_lines_fit_the_terminal(width: int, is_unicode: bool) -> None:
    """Where it was set is cut at its beginning, then the budget's name at its end; figures never are."""
    budget = Budget(Decimal(500), per="project", project=PROJECT)
    heads, line = as_text([InForce(budget, "USD", None, Spent(Decimal(100), 4), PLACE)], Style(width, is_unicode))
    assert max(len(heads), len(line)) <= width
    assert all(figure in line for figure in ("$100.00", "$400.00", "20.0 %", "budgets.yaml:3"))
    assert (width < 160) is (PLACE not in line)
    assert is_unicode or line.isascii()
