"""Flag values that are checked before the job starts."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from costmeter.config.flags import (
    parse_address,
    parse_budget,
    parse_gpus,
    parse_grace,
    parse_interval,
    parse_label,
    parse_price,
)
from costmeter.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2.49", "2.49", id="number"),
        pytest.param("2.49/gpu-h", "2.49", id="per-gpu-hour"),
        pytest.param("2.49/h", "2.49", id="per-hour"),
        pytest.param("2.49 / gpu-hour", "2.49", id="spaces"),
        pytest.param("2.490/gpu-h", "2.490", id="digits-kept"),
        pytest.param(" 3 ", "3", id="whole"),
        pytest.param(".5", ".5", id="no-leading-zero"),
        pytest.param("0", "0", id="free"),
    ],
)
def test_prices_are_exact_text(text: str, expected: str) -> None:
    """A price comes out as the digits that were typed."""
    assert expected == parse_price(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "-1",
        "2,49",
        "2.49/kWh",
        "2.49/day",
        "1e9",
        "NaN",
        "inf",
        "2.49 EUR",
        "2.4.9",
        "٣",
        "$",
        "$2.49",
        "€2.49",
        "9" * 40,
    ],
)
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    """What is no price is refused, quoted, with what would be one."""
    with pytest.raises(UsageError, match=r"expected a price per GPU-hour such as 2\.49 or 2\.49/gpu-h"):
        parse_price(text)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(parse_address, "127.0.0.1:26786", ("127.0.0.1", 26786), id="address"),
        pytest.param(parse_address, "0", ("127.0.0.1", 0), id="port-alone-is-loopback"),
        pytest.param(parse_address, ":9100", ("127.0.0.1", 9100), id="no-host-is-loopback"),
        pytest.param(parse_address, "[::1]:0", ("::1", 0), id="ipv6"),
        pytest.param(parse_interval, "0.5", 0.5, id="interval"),
        pytest.param(parse_label, "team=nlp=x", ("team", "nlp=x"), id="label"),
        pytest.param(parse_gpus, " 0,1 ", "0,1", id="indexes"),
        pytest.param(parse_gpus, "GPU-8932f937", "GPU-8932f937", id="uuid"),
        pytest.param(parse_gpus, "0:1,1:0", "0:1,1:0", id="mig-instances"),
        pytest.param(parse_gpus, "mig-4f1c", "mig-4f1c", id="uuid-in-small-letters"),
    ],
)
def test_other_flags_come_out_parsed(parse: Callable[[str], object], text: str, expected: object) -> None:
    """Addresses, intervals, labels and GPU lists arrive as what they mean."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "flag"),
    [
        pytest.param(parse_address, "127.0.0.1:70000", "--listen", id="port"),
        pytest.param(parse_address, "a b:1", "--listen", id="host"),
        pytest.param(parse_interval, "0", "--interval", id="zero"),
        pytest.param(parse_interval, "nan", "--interval", id="nan"),
        pytest.param(parse_interval, "soon", "--interval", id="word"),
        pytest.param(parse_label, "1a=b", "--label", id="label-name"),
        pytest.param(parse_label, "team", "--label", id="label-without-value"),
        pytest.param(parse_gpus, "0;1", "--gpus", id="gpus"),
    ],
)
def test_other_flags_refuse_by_name(parse: Callable[[str], object], text: str, flag: str) -> None:
    """A refusal names the flag and quotes what was typed."""
    with pytest.raises(UsageError, match=f'^{flag} "{text}": expected '):
        parse(text)


@pytest.mark.parametrize(
    ("text", "on_exceed", "expected"),
    [
        pytest.param("80", None, "{amount: 80}", id="an-amount"),
        pytest.param("80USD", "stop", "{amount: 80 USD, on_exceed: stop}", id="stops"),
        pytest.param(" 80.50 USD/day ", "warn", "{amount: 80.50 USD, per: day, on_exceed: warn}", id="a-day"),
        pytest.param("9/project/month", None, "{amount: 9, per: project/month}", id="a-projects-month"),
    ],
)
def test_a_budget_becomes_one_of_the_settings(text: str, on_exceed: str | None, expected: str) -> None:
    """A budget comes out as the settings have it, with the digits that were typed."""
    assert expected == parse_budget(text, on_exceed)


@pytest.mark.parametrize(
    "text", ["80 dollars", "", "0", "0.00", "-5", "1,000", "$80", "80/year", "80/", "80 usd", "8e3"]
)
def test_a_budget_that_is_none_is_refused_in_words(text: str) -> None:
    """What is expected is said as UX.md has it."""
    with pytest.raises(UsageError) as refused:
        parse_budget(text, None)
    assert f'--budget "{text}": expected an amount such as 80, 80USD or 80/day' == refused.value.message


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("90s", 90), ("1h", 3_600), ("600", 600), ("1.5m", 90), ("24h", 86_400)]
)
def test_a_grace_is_a_time(text: str, seconds: float) -> None:
    """Seconds, minutes or hours; a number alone is seconds."""
    assert seconds == parse_grace(text)


@pytest.mark.parametrize("text", ["0", "0.5s", "25h", "soon", "-1m", "", "1 week"])
def test_nothing_is_stopped_without_a_grace(text: str) -> None:
    """Less than a second, more than a day, and what is no time at all are refused."""
    with pytest.raises(UsageError, match=f'^--grace "{text}": expected a time from 1s to 24h'):
        parse_grace(text)


def test_checking_flags_imports_nothing_heavy() -> None:
    """The wrapper's check before the job needs no YAML, no dataclasses and no decimals."""
    code = (
        "import sys, costmeter.config.flags; print(*{'yaml', 'dataclasses', 'decimal', 'zoneinfo'} & set(sys.modules))"
    )
    # -S leaves out the editable install's own finder, which imports what it likes.
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
