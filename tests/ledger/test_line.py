"""Lines: what is written is what is read, and what was damaged is known to be."""

import json
import zlib
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import JournalError
from costmeter.ledger.line import decode, encode, seal, unseal
from costmeter.ledger.node.record import Line
from costmeter.ledger.record import SCHEMA, Devices, Footer, Header, Mark, RatesChange
from costmeter.meter.charge import DeviceRates, Rates
from costmeter.readings import Missing
from tests.samples import (
    BEGAN_UTC_NS,
    SECOND,
    any_device,
    decimals,
    device,
    facts,
    footer,
    footers,
    header,
    headers,
    held,
    instants,
    marks,
    orders,
    rates,
    rates_of,
    rental,
)

MARK = Mark(BEGAN_UTC_NS, "fault", "GPU fell off the bus", "GPU-0")


def round_trip(record: Line, order: tuple[str, ...] = ()) -> Line | None:
    line = encode(record, order)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    return decode(line, order)


@given(headers)
def test_a_header_is_read_as_it_was_written(record: Header) -> None:
    """Any name, label and command survives: line ends, Unicode, and bytes that are not UTF-8."""
    assert record == round_trip(record)


@given(st.builds(Devices, st.lists(any_device, max_size=4).map(tuple), facts, st.integers(0, 16)))
def test_devices_are_read_as_they_were_written(record: Devices) -> None:
    """What a device could not say is read back as missing, with its reason."""
    assert record == round_trip(record)


@given(st.data(), orders(min_size=0))
def test_rates_are_read_as_they_were_written(data: st.DataObject, order: tuple[str, ...]) -> None:
    """Prices come back as the same decimals, written with the same digits."""
    record = RatesChange(data.draw(instants), data.draw(rates_of(order, decimals)))
    read = round_trip(record, order)
    assert record == read
    assert isinstance(read, RatesChange)
    assert _digits(record.rates) == _digits(read.rates)


def _digits(of: Rates) -> list[str]:
    """Every price as it is written: 2.50 is not 2.5."""
    hourly = [str(price) for each in of.devices.values() for _, price in each.hourly]
    grid = [str(of.carbon_grams_per_kwh), str(of.market_grams_per_kwh)]
    return [*hourly, str(of.electricity_per_kwh), str(of.pue), *grid]


@given(marks)
def test_a_mark_is_read_as_it_was_written(record: Mark) -> None:
    """Any text survives, line ends and control characters included."""
    assert record == round_trip(record)


@given(footers)
def test_a_footer_is_read_as_it_was_written(record: Footer) -> None:
    """Outcome, exit code and signal survive, None included."""
    assert record == round_trip(record)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("two\nlines\r\n", id="line-ends"),
        pytest.param("\x00\x1b[31m\x7f", id="control-characters"),
        pytest.param("\u2028\u2029\x85", id="other-line-ends"),
        pytest.param('"},"crc":"00000000"}', id="looks-like-a-checksum"),
        pytest.param(b"caf\xe9".decode("utf-8", "surrogateescape"), id="not-utf-8"),
        pytest.param("Größe 速度 🚀", id="unicode"),
    ],
)
def test_awkward_text_stays_in_its_line(text: str) -> None:
    """No text can end a line, end a record or forge its checksum."""
    assert replace(MARK, what=text) == round_trip(replace(MARK, what=text))


def test_a_line_is_plain_json() -> None:
    """Other programs read a line without us, and may check it: CRC-32 of the bytes before the checksum's comma."""
    line = encode(MARK)
    body = json.loads(line)
    checked = line[: line.index(b',"crc"')]
    assert {"type", "utc_ns", "kind", "what", "device", "crc"} == set(body)
    assert f"{zlib.crc32(checked):08x}" == body["crc"]


def test_prices_are_text_and_what_is_missing_says_why() -> None:
    """No price passes through a binary float, and no missing value is written as 0 or null."""
    priced = json.loads(encode(RatesChange(0, rates({"a": rental("2.50")})), ("a",)))
    assert {"rental": "2.50"} == priced["devices"][0]["hourly"]
    unknown = held([device(method=Missing("not supported"), power_limit_watts=Missing("no permission"))])
    written = json.loads(encode(unknown))["devices"][0]
    assert ({"missing": "not supported"}, {"missing": "no permission"}) == (
        written["method"],
        written["power_limit_watts"],
    )


def test_a_market_based_factor_is_written_only_where_there_is_one() -> None:
    """Journals from before it are read as before, and without one a journal's bytes are what they were."""
    without = encode(RatesChange(0, rates({"a": rental()})), ("a",))
    assert "market_grams_per_kwh" not in json.loads(without)
    of = rates({"a": rental()}, market_grams_per_kwh=Decimal("724.560"))
    written = json.loads(encode(RatesChange(0, of), ("a",)))
    assert "724.560" == written["market_grams_per_kwh"]
    del written["market_grams_per_kwh"]
    read = decode(seal({key: value for key, value in written.items() if key != "crc"}), ("a",))
    assert isinstance(read, RatesChange)
    assert read.rates.market_grams_per_kwh is None


def test_every_single_byte_of_damage_is_found() -> None:
    """Whichever byte of a line becomes whichever other byte, the line is refused."""
    line = encode(footer(60 * SECOND)).rstrip(b"\n")
    for place, byte in enumerate(line):
        for other in (byte ^ 1, byte ^ 0x80, 0, ord("\n"), ord('"'), ord("0"), ord(" ")):
            if other != byte:
                damaged = line[:place] + bytes([other]) + line[place + 1 :]
                with pytest.raises(ValueError, match="checksum"):
                    decode(damaged)


@given(marks, st.data())
def test_damage_of_any_byte_of_any_line_is_found(record: Mark, data: st.DataObject) -> None:
    """A line with one byte changed is never read as a record."""
    line = encode(record).rstrip(b"\n")
    place = data.draw(st.integers(0, len(line) - 1))
    damaged = line[:place] + bytes([line[place] ^ data.draw(st.integers(1, 255))]) + line[place + 1 :]
    with pytest.raises(ValueError, match="checksum"):
        decode(damaged)


def test_a_shortened_line_is_refused() -> None:
    """No beginning of a line passes for the line."""
    line = encode(MARK)
    for length in range(len(line) - 1):
        with pytest.raises(ValueError, match="checksum"):
            decode(line[:length])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_line_are_refused(line: bytes) -> None:
    """Whatever a disk returns, the answer is a refusal and not a traceback of another kind."""
    with pytest.raises(ValueError, match="checksum"):
        unseal(line)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "mark"}, id="nothing-in-it"),
        pytest.param({"type": "footer", "exit_code": 0}, id="half-a-footer"),
        pytest.param({"type": "devices", "node_gpus": 1, "driver": None, "devices": [3]}, id="a-number-as-device"),
        pytest.param({"type": "slot", "utc_ns": 0, "ns": "long"}, id="text-as-length"),
        pytest.param({"type": "slot", "utc_ns": 0, "ns": 1, "idle_ns": [1, 2]}, id="more-devices-than-known"),
        pytest.param({"type": "slot", "utc_ns": 0, "ns": 1, "idle_ns": "1"}, id="text-as-array"),
        pytest.param({"type": "slot", "utc_ns": 0, "ns": 1, "counters_mj": 3}, id="a-number-as-counters"),
        pytest.param({"type": "header", "schema": SCHEMA}, id="half-a-header"),
        pytest.param(
            {
                "type": "rates",
                "utc_ns": 0,
                "currency": "USD",
                "devices": [{"hourly": {"rental": "two"}, "pays_electricity": False, "embodied_grams_per_hour": "0"}],
            },
            id="a-price-that-is-none",
        ),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(body: dict[str, object]) -> None:
    """A line whose checksum is right and whose content is not is refused like a damaged one."""
    with pytest.raises(ValueError, match=str(body["type"])):
        decode(seal(body), ("GPU-0",))


def test_a_record_of_a_later_costmeter_is_passed_over() -> None:
    """A type nobody knows yet is no damage."""
    assert decode(seal({"type": "weather", "utc_ns": 0})) is None


def test_a_journal_of_a_later_schema_is_refused_with_what_to_do() -> None:
    """A file that this costmeter would misread is refused, and the refusal says how to read it."""
    line = seal(json.loads(encode(header())) | {"schema": "costmeter.journal/2"})
    with pytest.raises(JournalError, match="journal/2") as refusal:
        decode(line)
    assert refusal.value.hint == "pip install -U costmeter"


def test_a_free_gpu_is_not_an_unpriced_one() -> None:
    """A price of 0 and no price are two facts, and both survive."""
    of = rates({"a": rental("0"), "b": DeviceRates((), False)})
    read = round_trip(RatesChange(0, of), ("a", "b"))
    assert isinstance(read, RatesChange)
    assert [(("rental", Decimal(0)),), ()] == [each.hourly for each in read.rates.devices.values()]
