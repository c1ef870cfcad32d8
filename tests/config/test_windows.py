"""Weekly windows as they are written: schedules out of entries, and faults that name their entry."""

import re
from decimal import Decimal

import pytest

from tests.config.writing import H100, read


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        pytest.param(
            "{hours: ['25:00-26:00'], price_per_kwh: 1}", 'expected hours such as "16:00-21:00" or other', id="no-time"
        ),
        pytest.param("{hours: ['9:00-10:00'], price_per_kwh: 1}", "expected hours such as", id="one-digit"),
        pytest.param(
            "{hours: ['10:00-10:00'], price_per_kwh: 1}",
            '"10:00-10:00" is no part of a day; a whole day is 00:00-24:00',
            id="empty",
        ),
        pytest.param("{hours: ['24:00-06:00'], price_per_kwh: 1}", '"24:00-06:00" is no part of a day', id="from-24"),
        pytest.param("{hours: ['10:00-24:30'], price_per_kwh: 1}", '"10:00-24:30" is no part of a day', id="beyond-24"),
        pytest.param("{hours: [], price_per_kwh: 1}", "this window has no hours", id="no-hours"),
        pytest.param(
            "{days: wekday, price_per_kwh: 1}",
            'expected weekday, weekend or names of days, not "wekday". Did you mean "weekday"?',
            id="day",
        ),
        pytest.param(
            "{days: [mon, {a: b}], price_per_kwh: 1}",
            "expected weekday, weekend or names of days, not keys and values",
            id="day-mapping",
        ),
        pytest.param("{hours: other}", "this window has no price_per_kwh", id="no-price"),
        pytest.param(
            "{hours: other, price_per_kwh: [1]}", "expected a price per kWh such as 0.12, not a list", id="price-list"
        ),
        pytest.param(
            "{hours: other, price: 1, price_per_kwh: 1}", 'unknown key "price". Did you mean "price_per_kwh"?', id="key"
        ),
        pytest.param("{season: summer, price_per_kwh: 1}", "season is not supported by this version", id="season"),
        pytest.param("other", "expected {days, hours, price_per_kwh}, not", id="no-entry"),
        pytest.param(
            "{days: weekday, price_per_kwh: 1}",
            "no window covers Saturday 00:00; add {hours: other, price_per_kwh: …}",
            id="hole",
        ),
    ],
)
def test_faults_in_windows_name_their_entry(entry: str, fault: str) -> None:
    """A faulty window is refused with its own line, and the whole price is left out."""
    text = f"timezone: UTC\nelectricity:\n  price:\n    windows:\n    - {entry}\n"
    got, faults = read(text)
    assert len(faults) == 1
    assert re.fullmatch(rf"c\.yaml:5:\d+: electricity\.price: {re.escape(fault)}.*", faults[0])
    assert got.book.electricity is None


@pytest.mark.parametrize(
    ("entries", "instant", "expected"),
    [
        pytest.param("[{hours: other, price: 1}]", 0, 1, id="all-week"),
        pytest.param("[{price: 1}]", 0, 1, id="no-hours-is-all-day"),
        pytest.param(
            "[{hours: other, price: 1}, {days: thu, hours: 00:00-01:00, price: 2}]", 0, 2, id="other-takes-what-is-left"
        ),
        pytest.param("[{days: thursday, hours: other, price: 1}, {hours: other, price: 2}]", 0, 1, id="other-of-a-day"),
        pytest.param(
            "[{hours: ['23:00-24:00', '00:00-00:30'], price: 1}, {hours: other, price: 2}]", 0, 1, id="until-24"
        ),
        pytest.param("[{hours: ['23:00-00:30'], price: 1}, {hours: other, price: 2}]", 0, 1, id="over-midnight"),
        pytest.param("[{hours: ['01:00-00:00'], price: 1}, {hours: other, price: 2}]", 0, 2, id="until-midnight"),
    ],
)
def test_windows_are_schedules(entries: str, instant: int, expected: int) -> None:
    """Windows of a GPU price hold by local time: 1970-01-01 00:00 UTC is a Thursday."""
    got, faults = read(f"gpu:\n  price: {{timezone: UTC, windows: {entries}}}")
    assert faults == []
    assert dict(got.book.at(instant, [H100]).devices["GPU-0"].hourly) == {"rental": Decimal(expected)}


def test_windows_without_a_zone_are_refused() -> None:
    """Local hours mean nothing without a zone; their own zone goes before the one of all settings."""
    windows = "windows: [{hours: '00:00-01:00', price: 1}, {hours: other, price: 2}]"
    _, faults = read(f"gpu: {{price: {{{windows}}}}}")
    assert faults == ["c.yaml:1:14: gpu.price: windows need a zone; add  timezone: America/Los_Angeles  or the like"]
    got, faults = read(f"timezone: Asia/Tokyo\ngpu: {{price: {{timezone: UTC, {windows}}}}}")
    assert faults == []
    assert dict(got.book.at(0, [H100]).devices["GPU-0"].hourly) == {"rental": Decimal(1)}


@pytest.mark.parametrize("written", ["none", "[]", "{hours: other, price: 1}"])
def test_windows_are_a_list(written: str) -> None:
    """Windows that are no list of entries are refused with what an entry looks like."""
    _, faults = read(f"gpu: {{price: {{timezone: UTC, windows: {written}}}}}")
    assert len(faults) == 1
    assert faults[0].startswith("c.yaml:1:39: gpu.price: expected a list of {days, hours, price}, not ")
