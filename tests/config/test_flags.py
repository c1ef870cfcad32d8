"""Flag values that are checked before the job starts."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from costmeter.config.flags import parse_address, parse_gpus, parse_interval, parse_label, parse_price
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


def test_checking_flags_imports_nothing_heavy() -> None:
    """The wrapper's check before the job needs no YAML, no dataclasses and no decimals."""
    code = (
        "import sys, costmeter.config.flags; print(*{'yaml', 'dataclasses', 'decimal', 'zoneinfo'} & set(sys.modules))"
    )
    # -S leaves out the editable install's own finder, which imports what it likes.
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
