"""Flag values that are checked before the job starts."""

import subprocess
import sys

import pytest

from costmeter.config.flags import parse_price
from costmeter.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2.49", "2.49", id="number"),
        pytest.param("2.49/gpu-h", "2.49", id="per-gpu-hour"),
        pytest.param("2.49/h", "2.49", id="per-hour"),
        pytest.param("2.49 / gpu-hour", "2.49", id="spaces"),
        pytest.param("$2.49", "2.49", id="dollar"),
        pytest.param("$2.490/gpu-h", "2.490", id="digits-kept"),
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
    ["", "abc", "-1", "2,49", "2.49/kWh", "2.49/day", "1e9", "NaN", "inf", "2.49 EUR", "2.4.9", "٣", "$", "9" * 40],
)
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    """What is no price is refused, quoted, with what would be one."""
    with pytest.raises(UsageError, match=r"expected a price per GPU-hour such as 2\.49 or 2\.49/gpu-h"):
        parse_price(text)


def test_checking_flags_imports_nothing_heavy() -> None:
    """The wrapper's check before the job needs no YAML, no dataclasses and no decimals."""
    code = (
        "import sys, costmeter.config.flags; print(*{'yaml', 'dataclasses', 'decimal', 'zoneinfo'} & set(sys.modules))"
    )
    # -S leaves out the editable install's own finder, which imports what it likes.
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
