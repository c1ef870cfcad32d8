"""Octopus Energy: documented payloads from a real server."""

import json
from decimal import Decimal
from itertools import pairwise

import pytest

from costmeter.feeds import octopus
from costmeter.feeds.http import FeedError
from tests.feeds.servers import Request, Said, always, asked, door, serving

WORDS = ("AGILE-18-02-21", "E-1R-AGILE-18-02-21-C")


def rate(start: str, end: str | None, value: str, paid: str | None = None) -> str:
    ends = "null" if end is None else f'"{end}"'
    return (
        f'{{"value_exc_vat": 1.0, "value_inc_vat": {value}, "valid_from": "{start}", "valid_to": {ends},'
        f' "payment_method": {json.dumps(paid)}}}'
    )


def page(*rates: str, following: str | None = None) -> str:
    return f'{{"count": 1, "next": {json.dumps(following)}, "previous": null, "results": [{", ".join(rates)}]}}'


def test_the_newest_comes_first_and_is_turned_round() -> None:
    """Rates are pence with VAT, exact, oldest first; a negative price stays negative."""
    newest = rate("2026-11-22T12:30:00Z", "2026-11-22T13:00:00Z", "-3.15")
    oldest = rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "12.600000000001")
    with serving(always(page(newest, oldest))) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert [Decimal("12.600000000001"), Decimal("-3.15")] == [row.value for row in answer.rows]
    assert ("GBp/kWh", ()) == (answer.unit, answer.missing)
    assert "period_from=2026-11-22T12%3A00Z" in server.requests[0].path
    assert "/electricity-tariffs/E-1R-AGILE-18-02-21-C/standard-unit-rates/" in server.requests[0].path


@pytest.mark.parametrize(
    ("day", "count"),
    [pytest.param("2026-03-29", 46, id="spring"), pytest.param("2026-10-25", 50, id="autumn")],
)
def test_days_of_23_and_25_hours_have_all_their_half_hours(day: str, count: int) -> None:
    """A London day of the clock change is 46 or 50 half hours of UTC, none of them twice and none missing.

    In 2026 British clocks change on 29 March (the day runs 00:00Z to 23:00Z) and 25 October (23:00Z to 24:00Z).
    """
    from datetime import datetime, timedelta, timezone

    start = datetime.fromisoformat(f"{day}T00:00+00:00") - (timedelta(hours=1) if count == 50 else timedelta())
    assert start.tzinfo == timezone.utc
    edges = [start + timedelta(minutes=30 * step) for step in range(count + 1)]
    rates = [rate(f"{one:%Y-%m-%dT%H:%M:%SZ}", f"{after:%Y-%m-%dT%H:%M:%SZ}", "10") for one, after in pairwise(edges)]
    with serving(always(page(*reversed(rates)))) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert count == len({row.start_utc_ns for row in answer.rows}) == len(answer.rows)
    assert () == answer.missing


def test_all_pages_are_read() -> None:
    """`next` is followed on the same host, to the last page."""

    def script(request: Request) -> Said:
        if "page=2" in request.path:
            return Said(page(rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "1")))
        following = f"{server.base}/v1/more?page=2"
        return Said(page(rate("2026-11-22T12:30:00Z", "2026-11-22T13:00:00Z", "2"), following=following))

    with serving(script) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert [1, 2] == [row.value for row in answer.rows]


@pytest.mark.parametrize(
    ("following", "told"),
    [
        pytest.param("{base}/broken", "in trouble (status 500)", id="second-page-fails"),
        pytest.param("http://127.0.0.2:1/steal", "another host", id="another-host"),
        pytest.param("{base}{self}", "no end", id="loop"),
        pytest.param("no url", "another host", id="no-url"),
    ],
)
def test_what_came_before_a_page_that_fails_is_kept(following: str, told: str) -> None:
    """Pages that cannot be read are told as missing; a page whose own `next` is wrong is not believed either."""

    def script(request: Request) -> Said:
        if request.path == "/broken":
            return Said("oops", 500)
        return Said(
            page(
                rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "1"),
                following=following.format(base=server.base, self=request.path),
            )
        )

    with serving(script) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert [1] == [row.value for row in answer.rows]
    assert any(told in missing for missing in answer.missing)


def test_an_open_end_stays_open() -> None:
    """`valid_to` null is a rate that holds until further notice."""
    with serving(always(page(rate("2026-11-22T12:00:00Z", None, "24.1")))) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert [None] == [row.end_utc_ns for row in answer.rows]


def test_of_two_ways_to_pay_direct_debit_is_taken() -> None:
    """A fixed tariff lists each stretch twice; the price of those who pay otherwise is left out."""
    both = [
        rate("2026-11-22T12:00:00Z", None, "24", "DIRECT_DEBIT"),
        rate("2026-11-22T12:00:00Z", None, "26", "NON_DIRECT_DEBIT"),
    ]
    with serving(always(page(*both))) as server:
        assert [24] == [row.value for row in octopus.fetch(door(), asked(server, *WORDS)).rows]


def test_a_hole_is_told() -> None:
    """Half hours that the source lost are named."""
    rates = [
        rate("2026-11-22T12:00:00Z", "2026-11-22T12:30:00Z", "1"),
        rate("2026-11-22T13:30:00Z", "2026-11-22T14:00:00Z", "2"),
    ]
    with serving(always(page(*rates))) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS))
    assert ("no values from 2026-11-22T12:30Z to 2026-11-22T13:30Z",) == answer.missing


def test_the_ends_of_a_span_that_was_asked_for_are_holes_too() -> None:
    """Of a day that was asked for by dates, what lies before the first and after the last value is missing."""
    rates = rate("2026-11-22T13:00:00Z", "2026-11-22T13:30:00Z", "1")
    with serving(always(page(rates))) as server:
        answer = octopus.fetch(door(), asked(server, *WORDS, is_dated=True))
    assert (
        "no values from 2026-11-22T12:00Z to 2026-11-22T13:00Z",
        "no values from 2026-11-22T13:30Z to 2026-11-23T12:00Z",
    ) == answer.missing


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param("<html>", 'no JSON; it begins "<html>"', id="html"),
        pytest.param("[]", "expected an object", id="list"),
        pytest.param("{}", "has no results", id="nothing"),
        pytest.param(page(), "holds no values", id="empty"),
        pytest.param(
            page(rate("2026-11-22T12:00", None, "1")), "results[0].valid_from: expected an instant", id="naive"
        ),
        pytest.param(page(rate("2026-11-22T12:00:30Z", None, "1")), "whole minute", id="seconds"),
        pytest.param(page(rate("9999-11-22T12:00Z", None, "1")), "results[0].valid_from", id="far-future"),
        pytest.param(page(rate("2026-11-22T12:00Z", None, "NaN")), "no JSON", id="nan"),
        pytest.param(page(rate("2026-11-22T12:00Z", None, '"12"')), "value_inc_vat: expected a number", id="text"),
        pytest.param(page(rate("2026-11-22T12:00Z", None, "1e999999")), "value_inc_vat: expected a number", id="huge"),
        pytest.param(page(rate("2026-11-22T12:00Z", None, "1e-99999")), "at most 18 places", id="tiny"),
        pytest.param(page(rate("2026-11-22T12:00Z", "2026-11-22T11:00Z", "1")), "is empty", id="backwards"),
        pytest.param(
            page(rate("2026-11-22T12:00Z", None, "1"), rate("2026-11-22T12:00Z", None, "2")),
            "two values",
            id="two-values",
        ),
        pytest.param("[" * 100_000, "no JSON", id="deep"),
    ],
)
def test_what_is_not_as_documented_names_the_feed_and_the_place(body: str, words: str) -> None:
    """Every mismatch is one refusal with the JSON path of what is wrong."""
    with serving(always(body)) as server, pytest.raises(FeedError) as caught:
        octopus.fetch(door(), asked(server, *WORDS))
    assert words in caught.value.message
    assert caught.value.message.startswith("octopus: ")
