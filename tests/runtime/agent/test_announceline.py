"""What a run says on the agent's socket, without one: any line is read, and what is sent arrives."""

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.budget import Per
from costmeter.meter.outlook import Allowed, Outlook
from costmeter.runtime.agent.announceline import (
    MOST_BUDGETS,
    Greeting,
    Refused,
    Saying,
    further,
    greeting,
    greeting_line,
    saying_line,
)


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(end|phase|steps|loss|gpus|redone)": ?.{0,40}\}', fullmatch=True))
def test_whatever_is_said_is_taken_or_passed_over(line: bytes) -> None:
    """No line makes the parser fail, and nothing that it makes of one is out of bounds."""
    said = further(line)
    if isinstance(said, Saying):
        assert said.phase.isprintable()
        assert len(said.phase) <= 64
    with pytest.raises(Refused):
        greeting(line)


TEXTS = st.text(st.characters(categories=["L", "N", "P"]), max_size=30)


AMOUNTS = st.decimals(0, 999_999_999_999, places=6, allow_nan=False, allow_infinity=False)
BUDGETS = st.builds(Allowed, AMOUNTS, st.sampled_from(get_args(Per)), TEXTS)


@given(st.none() | AMOUNTS, st.lists(BUDGETS, max_size=16))
def test_an_outlook_arrives_as_it_was_sent(cost: Decimal | None, budgets: list[Allowed]) -> None:
    """What a run will cost and may cost comes to the agent to the millionth, in its currency."""
    has_any = cost is not None or budgets
    sent = Saying(outlook=Outlook("USD" if has_any else "", cost, tuple(budgets)))
    assert sent == further(saying_line(sent))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param('"currency": "USD", "projected_cost": 9.5', id="a-float"),
        pytest.param('"currency": "USD", "projected_cost": "NaN"', id="no-number"),
        pytest.param('"currency": "USD", "projected_cost": "-1"', id="below-nothing"),
        pytest.param('"currency": "USD", "projected_cost": "1e999999999"', id="an-exponent"),
        pytest.param('"currency": "USD", "projected_cost": "1234567890123"', id="more-than-there-is"),
        pytest.param('"currency": "USD", "budgets": {"amount": "1"}', id="no-list"),
        pytest.param(
            '"currency": "USD", "budgets": [{"amount": "1", "per": "hour"}, 7, {"per": "run"}]', id="no-budget"
        ),
        pytest.param('"currency": "USD", "budgets": [{"amount": "1", "per": ["run"], "project": 7}]', id="wrong-types"),
    ],
)
def test_what_is_no_money_is_passed_over(said: str) -> None:
    """Amounts are texts of digits, and only known kinds of budgets count; the rest of the line does."""
    found = further(f'{{"phase": "eval", {said}}}'.encode())
    assert Saying("eval", outlook=Outlook("USD")) == found


def test_money_without_a_currency_is_none() -> None:
    """Nobody can say what 9 is."""
    assert Saying() == further(b'{"projected_cost": "9", "budgets": [{"amount": "9"}]}')
    assert Saying() == further(b'{"currency": "usd", "projected_cost": "9"}')


def test_so_many_budgets_are_kept() -> None:
    """A flood of budgets is cut."""
    many = ", ".join(f'{{"amount": "{number}"}}' for number in range(1_000))
    found = further(f'{{"currency": "USD", "budgets": [{many}]}}'.encode())
    assert isinstance(found, Saying)
    assert MOST_BUDGETS == len(found.outlook.budgets)


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=16), st.none() | st.frozensets(TEXTS.filter(bool), max_size=8))
def test_a_greeting_arrives_as_it_was_sent(name: str, labels: dict[str, str], uuids: frozenset[str] | None) -> None:
    """Both sides of the protocol agree."""
    sent = Greeting("r-1", name, labels, 17, 4, uuids, 99, is_simulated=True)
    assert sent == greeting(greeting_line(sent))
