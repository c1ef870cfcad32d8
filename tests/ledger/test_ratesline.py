"""Rates in few bytes: equal GPUs once, words once, and no price that depends on another line."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.line import decode, encode, seal
from costmeter.ledger.ratesline import LOST, fingerprint
from costmeter.ledger.record import RatesChange
from costmeter.ledger.sequence import MISPRICED
from costmeter.meter.charge import Origin
from tests.depth import examples
from tests.ledger.slowly import read_journal
from tests.ledger.test_query import BEGINNING, ORDER, minute
from tests.samples import decimals, orders, rates, rates_of, rental

EIGHT = tuple(f"GPU-{index}" for index in range(8))
WORDS = {"gpu.price": Origin("configured", "costmeter.yaml:2:10"), "electricity.price": Origin("estimated", "café")}


def change(at_ns: int, price: str, electricity: str = "0") -> RatesChange:
    of = rates(dict.fromkeys(ORDER, rental(price)), electricity_per_kwh=Decimal(electricity))
    return RatesChange(at_ns, replace(of, origins=WORDS))


@examples(30)
@given(st.data(), orders(min_size=0))
def test_what_names_earlier_words_is_read_with_them(data: st.DataObject, order: tuple[str, ...]) -> None:
    """Any rates, written where their origins were spelled out before, are read back whole and are no longer."""
    record = RatesChange(0, data.draw(rates_of(order, decimals)))
    digits = fingerprint(record.rates.origins)
    line = encode(record, order, {digits})
    assert record == decode(line, order, {digits: record.rates.origins})
    assert isinstance(json.loads(line)["origins"], str)


def test_eight_equal_gpus_are_written_once() -> None:
    """One kind, and how many there are; of two kinds both, and which GPU is which."""
    same = RatesChange(0, rates(dict.fromkeys(EIGHT, rental("2.50"))))
    body = json.loads(encode(same, EIGHT))
    assert (1, 8) == (len(body["devices"]), body["device_count"])
    mixed = RatesChange(0, rates({uuid: rental("1" if uuid > "GPU-5" else "2.50") for uuid in EIGHT}))
    body = json.loads(encode(mixed, EIGHT))
    assert (2, [0, 0, 0, 0, 0, 0, 1, 1]) == (len(body["devices"]), body["device_kinds"])
    assert (same, mixed) == (decode(encode(same, EIGHT), EIGHT), decode(encode(mixed, EIGHT), EIGHT))


def test_rates_for_other_gpus_are_refused() -> None:
    """Where the line that says which GPUs there are is lost, no GPU gets the price of another number of them."""
    line = encode(RatesChange(0, rates(dict.fromkeys(EIGHT, rental()))), EIGHT)
    with pytest.raises(ValueError, match="rates"):
        decode(line, EIGHT[:7])


def test_a_journal_of_before_is_read() -> None:
    """Every GPU by itself and every origin in full, as journals had it at first."""
    record = change(0, "2.50")
    body = json.loads(encode(record, ORDER))
    body["devices"] *= body.pop("device_count")
    del body["crc"]
    assert record == decode(seal(body), ORDER)


def test_words_are_spelled_out_once_in_a_file(tmp_path: Path) -> None:
    """A price that changes writes no origin again; a second file begins with them anew; both are read whole."""
    for host in ("a", "b"):
        file = JournalFile(tmp_path, host)
        lines = [*BEGINNING[:2], change(0, "1"), minute(0), change(1, "2"), minute(1)]
        for record in lines:
            file.write(record, ORDER)
        file.close(finished=False)
        assert 1 == file.path.read_bytes().count(b"costmeter.yaml")
        assert tuple(lines) == read_journal(file.path).records


@pytest.mark.parametrize("lost", [2, 4])
def test_a_damaged_line_costs_no_other_its_prices(tmp_path: Path, lost: int) -> None:
    """Prices are whole in every line. Words that only the lost line spelled out are said to be lost, and no guess.

    What follows a lost line is priced as before it until the next, and that is said.
    """
    file = JournalFile(tmp_path, "a")
    for record in [*BEGINNING[:2], change(0, "1"), minute(0), change(1, "2"), minute(1), change(2, "3"), minute(2)]:
        file.write(record, ORDER)
    file.close(finished=False)
    lines = file.path.read_bytes().split(b"\n")
    lines[lost] = lines[lost].replace(b"rental", b"rentel")
    file.path.write_bytes(b"\n".join(lines))
    journal = read_journal(file.path)
    read = [record.rates for record in journal.records if isinstance(record, RatesChange)]
    assert [rental(price) for price in ("1", "2", "3") if price != str(lost // 2)] == [
        each.devices[ORDER[0]] for each in read
    ]
    assert ([LOST] * 2 if lost == 2 else [WORDS] * 2) == [each.origins for each in read]
    problem, *more = journal.problems
    assert f"line {lost + 1} unreadable" in problem
    assert "the prices before it" in problem
    assert ([] if lost == 2 else [MISPRICED.format(1)]) == more
