"""Numbers as people write them: exact, bounded, and never another number."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.planning.numbers import gpus, hours, number, share, whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("175B", "175e9"),
        ("175b", "175e9"),
        ("300e9", "300e9"),
        ("3.14e23", "3.14e23"),
        ("3.14E+23", "3.14e23"),
        ("1.4T", "1.4e12"),
        ("7 M", "7e6"),
        ("10k", "10000"),
        (".5", "0.5"),
        (" 12 ", "12"),
    ],
)
def test_a_number_is_what_people_mean(text: str, expected: str) -> None:
    """Scales are thousands, millions, billions and trillions, in any case, and nothing is rounded."""
    assert Decimal(expected) == number(text)


@pytest.mark.parametrize(
    "text",
    ["", "B", "1,5", "1,022,362", "-3", "+3", "1e999", "NaN", "inf", "0x10", "1_000", "12 apples", "٣", "1e", "7BB"],
)
def test_what_is_no_number_is_none(text: str) -> None:
    """Commas, signs, foreign digits, endless exponents and other units are refused, not guessed at."""
    assert number(text) is None


@given(st.decimals(min_value=0, max_value=10**9, places=6), st.sampled_from(["", "k", "M", "B", "T"]))
def test_a_scale_only_moves_the_point(value: Decimal, scale: str) -> None:
    """The digits of a scaled number are the digits written."""
    power = {"": 0, "k": 3, "M": 6, "B": 9, "T": 12}[scale]
    assert value * 10**power == number(f"{value:f}{scale}")


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_none(text: str) -> None:
    """No text makes a reader fail, and what is read is finite and not negative."""
    for read in (number, share, hours, whole):
        value = read(text)
        assert value is None or (value >= 0 and Decimal(value).is_finite())
    assert isinstance(gpus(text), tuple)


@pytest.mark.parametrize(("text", "expected"), [("15%", "0.15"), ("0.15", "0.15"), ("40 %", "0.4"), ("100%", "1")])
def test_a_share_may_be_written_in_percent(text: str, expected: str) -> None:
    """15% is 0.15."""
    assert Decimal(expected) == share(text)


@pytest.mark.parametrize(("text", "expected"), [("12", "12"), ("12h", "12"), ("14.8d", "355.2"), ("2 D", "48")])
def test_a_length_may_be_written_in_days(text: str, expected: str) -> None:
    """A day has 24 hours."""
    assert Decimal(expected) == hours(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("8", 8), ("10k", 10_000), ("2e3", 2000), ("1.5", None), ("1e12", None)]
)
def test_a_whole_number_has_no_fraction(text: str, expected: int | None) -> None:
    """1.5 GPUs are none, and neither are more than there are."""
    assert expected == whole(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8xH100", (8, "H100")),
        ("8 × H100 SXM", (8, "H100 SXM")),
        ("512Xa100-80gb", (512, "a100-80gb")),
        ("h100", (None, "h100")),
        ("4090", (None, "4090")),
    ],
)
def test_gpus_may_be_counted_before_their_name(text: str, expected: tuple[int | None, str]) -> None:
    """A number and an x before the name count the GPUs; a model that is a number is a name."""
    assert expected == gpus(text)
