"""Figures: few digits, one spelling of units, and columns that add up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.outputs.figures import (
    about,
    carbon,
    carbons,
    duration,
    energies,
    energy,
    money,
    quantum,
    roughly,
    rounded,
    significant,
)

STEPS = st.sampled_from([Decimal(step) for step in ("0.01", "0.0001", "0.000001", "0.1", "1")])
AMOUNTS = st.decimals(-10_000, 10_000, places=12)
#: How many of a unit are one kilowatt-hour, or one gram.
UNITS = {"kWh": Decimal(1), "Wh": Decimal(1_000), "g": Decimal(1), "kg": Decimal("0.001")}
PARTS = st.lists(st.floats(0, 10_000), min_size=1, max_size=4)


@given(st.lists(AMOUNTS, max_size=8), STEPS)
def test_rounded_parts_add_up_to_their_rounded_total(parts: list[Decimal], step: Decimal) -> None:
    """Largest remainder: the column adds up to the total shown, and no part is off by a whole step."""
    shown = rounded(parts, step)
    assert sum(parts, Decimal(0)).quantize(step) == sum(shown, Decimal(0))
    assert all(abs(part - each) < step for part, each in zip(parts, shown, strict=True))
    assert all(each == each.quantize(step) for each in shown)


@pytest.mark.parametrize(
    ("expected", "parts"),
    [
        pytest.param(["0.33", "0.33", "0.34"], ["0.333", "0.333", "0.334"], id="the-largest-remainder-gets-the-cent"),
        pytest.param(["0.01", "0.00", "0.00"], ["0.003", "0.003", "0.003"], id="thirds-of-a-cent"),
        pytest.param(["-0.05", "0.10"], ["-0.05", "0.10"], id="a-credit"),
        pytest.param([], [], id="no-parts"),
    ],
)
def test_rounding_by_largest_remainder(expected: list[str], parts: list[str]) -> None:
    """By hand: what rounding down leaves goes to the largest remainders, the first of equals."""
    assert list(map(Decimal, expected)) == rounded(list(map(Decimal, parts)), Decimal("0.01"))


@pytest.mark.parametrize(
    ("expected", "amount", "currency"),
    [
        pytest.param("$63.78", "63.782733", "USD", id="cents"),
        pytest.param("$1,234,567.89", "1234567.89", "USD", id="thousands"),
        pytest.param("$0.0227", "0.022659", "USD", id="a-few-cents"),
        pytest.param("$0.002825", "0.002825", "USD", id="below-a-cent"),
        pytest.param("$0.00", "0", "USD", id="nothing"),
        pytest.param("-€5.41", "-5.41", "EUR", id="a-credit"),
        pytest.param("£2.00", "1.999", "GBP", id="pounds"),
        pytest.param("12.34 SEK", "12.34", "SEK", id="no-symbol"),
        pytest.param("-12.34 SEK", "-12.34", "SEK", id="a-credit-without-symbol"),
        pytest.param("0.000000 SEK", "-0.0000001", "SEK", id="no-negative-nothing"),
    ],
)
def test_money(expected: str, amount: str, currency: str) -> None:
    """Cents, and finer for what cost less than one; the sign first, the symbol next."""
    assert expected == money(Decimal(amount), currency)


@given(AMOUNTS)
def test_the_step_grows_with_the_amount(amount: Decimal) -> None:
    """The larger the total the coarser its step, from a millionth to a cent."""
    assert Decimal("0.000001") <= quantum(amount) <= Decimal("0.01")
    assert quantum(amount) == quantum(-amount)


@pytest.mark.parametrize(
    ("expected", "value", "digits"),
    [
        pytest.param("22.3", 22.27, 3, id="three-digits"),
        pytest.param("1,630", 1630.4, 3, id="no-exponent"),
        pytest.param("0.00412", 0.004123, 3, id="small"),
        pytest.param("10.0", 9.996, 3, id="one-more-digit-by-rounding"),
        pytest.param("100", 99.96, 3, id="three-nines"),
        pytest.param("0", 0.0, 3, id="zero"),
        pytest.param("8.5", 8.463, 2, id="two-digits"),
        pytest.param("-1.50", -1.5, 3, id="negative"),
    ],
)
def test_significant_digits(expected: str, value: float, digits: int) -> None:
    """So many digits, never an exponent."""
    assert expected == significant(value, digits)


@given(st.floats(1e-9, 1e9), st.integers(1, 6))
def test_significant_digits_are_true(value: float, digits: int) -> None:
    """What is shown is off by at most half of its last digit."""
    shown = float(significant(value, digits).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.5 * 10 ** (1 - digits) * (1 + 1e-9))


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        pytest.param("40 s", 40.4, id="seconds"),
        pytest.param("1 m", 59.6, id="a-minute-by-rounding"),
        pytest.param("31 m", 1_860, id="minutes"),
        pytest.param("2 h 10 m", 7_800, id="hours"),
        pytest.param("1 h 00 m", 3_599, id="an-hour-by-rounding"),
        pytest.param("3 d 4 h", 273_600, id="days"),
    ],
)
def test_about_how_long(expected: str, seconds: float) -> None:
    """The two largest units, as people say it."""
    assert expected == about(seconds)


@pytest.mark.parametrize(
    ("expected", "amount", "digits"),
    [
        pytest.param("0.0392", "0.039244", 3, id="below-one"),
        pytest.param("23", "22.7", 2, id="tens"),
        pytest.param("1234", "1234.4", 2, id="whole-units-at-most"),
        pytest.param("-0.51", "-0.514", 2, id="negative"),
        pytest.param("0.00", "0", 2, id="nothing"),
    ],
)
def test_roughly_how_much(expected: str, amount: str, digits: int) -> None:
    """So many digits of an amount, and never less than whole units of it."""
    assert expected == str(Decimal(amount).quantize(roughly(Decimal(amount), digits)))


@pytest.mark.parametrize(
    ("expected", "kwh"),
    [
        pytest.param("22.3 kWh", 22.272, id="kWh"),
        pytest.param("4.20 Wh", 0.0042, id="Wh"),
        pytest.param("0.0100 kWh", 0.01, id="edge"),
        pytest.param("0 kWh", 0.0, id="none"),
    ],
)
def test_energy(expected: str, kwh: float) -> None:
    """Kilowatt-hours, as tariffs have them; watt-hours for what is too small to read."""
    assert expected == energy(kwh)


@pytest.mark.parametrize(
    ("expected", "grams"),
    [
        pytest.param("8.5 kg CO2e", 8_463.36, id="kg"),
        pytest.param("0.10 kg CO2e", 100, id="edge"),
        pytest.param("99 g CO2e", 98.7, id="g"),
        pytest.param("0 g CO2e", 0, id="none"),
    ],
)
def test_carbon(expected: str, grams: float) -> None:
    """Kilograms, or grams for little."""
    assert expected == carbon(grams)


def test_energies_of_a_sum() -> None:
    """15.684 + 2.882 + 3.713 kWh are 22.279, shown in four digits as 22.28 and parts that add up to it."""
    assert (["15.68", "2.88", "3.71"], "kWh") == energies([15.680, 2.880, 3.712])
    assert (["15.69", "2.88", "3.71"], "kWh") == energies([15.684, 2.882, 3.713])
    assert (["3.610", "0.680"], "Wh") == energies([0.003610, 0.000680])


@given(PARTS)
def test_energies_and_carbons_add_up(parts: list[float]) -> None:
    """Parts shown as a sum add up to a total that is right in its last digit."""
    for texts, unit in (energies(parts), carbons(parts)):
        shown = sum((Decimal(text.replace(",", "")) for text in texts), Decimal(0))
        whole = sum(map(Decimal, parts), Decimal(0)) * UNITS[unit]
        assert abs(shown - whole) <= max(whole * Decimal("0.006"), Decimal("1e-9"))


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        pytest.param("0.0 s", 0.0, id="nothing"),
        pytest.param("41.3 s", 41.34, id="seconds"),
        pytest.param("1 m 00 s", 59.96, id="no-sixty-seconds"),
        pytest.param("1 m 30 s", 90.0, id="minutes"),
        pytest.param("3 h 12 m 07 s", 11_527.4, id="hours"),
        pytest.param("1 d 0 h 00 m 00 s", 86_399.7, id="a-day-by-rounding"),
        pytest.param("90 d 1 h 02 m 03 s", 90 * 86_400 + 3_723, id="days"),
    ],
)
def test_duration(expected: str, seconds: float) -> None:
    """Days to seconds, tenths below a minute."""
    assert expected == duration(seconds)
