"""Slot lines: every quantity comes back, and a day of them is small."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.line import decode, encode
from costmeter.ledger.record import SlotEntry
from costmeter.ledger.slotline import decode_slot, devices_in_slot, encode_slot
from costmeter.meter.idling import Reason
from costmeter.meter.slot import ZERO, Quantities, Slot
from costmeter.units import microjoules_from_power
from tests.depth import examples
from tests.samples import (
    BEGAN_UTC_NS,
    JOULE,
    KWH,
    MINUTE,
    SECOND,
    devices,
    measured,
    orders,
    silent,
    slot,
    slots,
    uuids,
)

#: Lines in a day.
MINUTES_PER_DAY = 1_440
MEGABYTE = 1_000_000


@examples(40)
@given(st.data(), orders(min_size=0, max_size=8))
def test_a_slot_is_read_as_it_was_written(data: st.DataObject, order: tuple[str, ...]) -> None:
    """Any quantities of any devices survive to the last unit."""
    of = data.draw(slots(order)) if order else Slot(1, 2, {})
    assert SlotEntry(of) == decode(encode(SlotEntry(of), order), order)


FULL = measured(busy_ns=MINUTE, busy_uj=42_000 * JOULE)
IDLE = measured(idle_ns=MINUTE, idle_uj=4_000 * JOULE)
HALF = measured(busy_ns=30 * SECOND, busy_uj=20_000 * JOULE, idle_ns=30 * SECOND, idle_uj=2_000 * JOULE)
POWER = Quantities(MINUTE, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0, MINUTE)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param([ZERO], id="one-device-that-did-nothing"),
        pytest.param([ZERO] * 8, id="eight-that-did-nothing"),
        pytest.param([FULL], id="one-busy"),
        pytest.param([FULL] * 8, id="eight-busy-alike"),
        pytest.param([IDLE] * 2, id="all-idle"),
        pytest.param([silent(MINUTE)] * 2, id="all-silent"),
        pytest.param([FULL, IDLE, HALF, silent(MINUTE)], id="every-state"),
        pytest.param([FULL, ZERO], id="one-that-was-never-read"),
        pytest.param([FULL, POWER], id="two-methods"),
        pytest.param([measured(busy_ns=MINUTE + 7, busy_uj=1), FULL], id="longer-than-the-slot"),
    ],
)
def test_every_short_form_is_read_as_it_was_written(of: list[Quantities]) -> None:
    """What is left out of a line, or written once for all devices, comes back as it was."""
    order = uuids(devices(len(of)))
    entry = SlotEntry(slot(dict(zip(order, of, strict=True))))
    assert entry == decode(encode(entry, order), order)


@pytest.mark.parametrize(
    ("reasons", "why"),
    [
        pytest.param({}, None, id="nobody-knows"),
        pytest.param({"b": "hang", "c": "hang"}, "hang", id="all-that-were-idle"),
        pytest.param({"a": "hang", "b": "hang", "c": "hang"}, "hang", id="one-that-was-not"),
        pytest.param({"b": "hang"}, [None, "hang", None], id="of-one-nobody-knows"),
        pytest.param({"b": "hang", "c": "checkpoint"}, [None, "hang", "checkpoint"], id="several"),
    ],
)
def test_why_is_one_word_where_it_can_be(reasons: dict[str, Reason], why: object) -> None:
    """A GPU that was busy throughout needs no reason and gets none."""
    of = replace(slot({"a": FULL, "b": IDLE, "c": HALF}), reasons=reasons)
    entry, order = SlotEntry(of), ("a", "b", "c")
    assert why == encode_slot(of, order).get("why")
    read = decode(encode(entry, order), order)
    assert isinstance(read, SlotEntry)
    assert {uuid: word for uuid, word in reasons.items() if uuid != "a"} == read.slot.reasons


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        pytest.param("hang", {"b": "hang", "c": "hang"}, id="known"),
        pytest.param("solar-flare", {"b": "unexplained", "c": "unexplained"}, id="of-a-newer-meter"),
        pytest.param([None, "solar-flare", "hang"], {"b": "unexplained", "c": "hang"}, id="one-of-a-newer-meter"),
        pytest.param(["hang", "hang", None], {"b": "hang"}, id="of-one-that-was-not-idle"),
        pytest.param(None, {}, id="none"),
    ],
)
def test_a_reason_that_is_not_known_is_unexplained(why: object, expected: dict[str, str]) -> None:
    """A newer meter may have found another; its slot is whole and counts."""
    order = ("a", "b", "c")
    body = encode_slot(slot({"a": FULL, "b": IDLE, "c": HALF}), order) | {"why": why}
    assert expected == decode_slot(body, order).reasons


@pytest.mark.parametrize("why", [7, True, {}, ["hang"], ["hang", "hang", 7], [[], None, None]])
def test_a_garbled_why_is_damage(why: object) -> None:
    """What is no word, and no word or null for every device, was not written by a meter."""
    order = ("a", "b", "c")
    body = encode_slot(slot({"a": FULL, "b": IDLE, "c": HALF}), order) | {"why": why}
    with pytest.raises(ValueError, match="why"):
        decode_slot(body, order)


def test_arrays_are_in_the_order_of_the_devices_line() -> None:
    """The journal's device order decides, not the order in which a slot was summed."""
    of = slot({"b": IDLE, "a": FULL})
    assert [0, MINUTE] == encode_slot(of, ("a", "b"))["idle_ns"]


@pytest.mark.parametrize(
    ("read_with", "says"),
    [
        pytest.param((), "no readable devices before it", id="devices-lost"),
        pytest.param(("a",), "2 counters, and 1 devices before it", id="fewer-than-counters"),
        pytest.param(tuple("abc"), "2 counters, and 3 devices before it", id="more-than-counters"),
    ],
)
def test_a_slot_of_other_devices_than_were_read_is_refused(read_with: tuple[str, ...], says: str) -> None:
    """Where its values stand for all devices alike, the counters tell how many these are; it is not taken for less."""
    of = Slot(0, MINUTE, {"a": FULL, "b": FULL}, {"b": 5 * JOULE})
    with pytest.raises(ValueError, match=says):
        decode(encode(SlotEntry(of), ("a", "b")), read_with)


@pytest.mark.parametrize(
    ("of", "count"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([FULL], 1, id="one"),
        pytest.param([FULL, FULL], None, id="all-alike"),
        pytest.param([FULL, IDLE], 2, id="two-states"),
        pytest.param([ZERO] * 3, None, id="all-did-nothing"),
    ],
)
def test_a_slot_says_of_how_many_devices_it_is(of: list[Quantities], count: int | None) -> None:
    """Unless all that it says holds for any number of devices."""
    order = uuids(devices(len(of)))
    assert count == devices_in_slot(encode_slot(slot(dict(zip(order, of, strict=True))), order))


def test_a_line_is_short_where_there_is_little_to_say() -> None:
    """Eight GPUs alike need no arrays but their counters, and a line holds no money."""
    of = slot(dict.fromkeys("abcdefgh", FULL))
    assert {
        "n": 0,
        "utc_ns": BEGAN_UTC_NS,
        "ns": MINUTE,
        "busy_ns": MINUTE,
        "busy_uj": 42_000 * JOULE,
        "utilized_ns": 54 * SECOND,
        "method": "counter",
    } == encode_slot(of, tuple("abcdefgh"))


def test_busy_time_is_left_out_where_the_rest_tells_it() -> None:
    """Where `busy_ns` is not there, a device was busy for what `idle_ns` and `unknown_ns` leave of `ns`."""
    written = encode_slot(slot({"a": HALF, "b": FULL}), ("a", "b"))
    assert ("busy_ns" in written, written["idle_ns"]) == (False, [30 * SECOND, 0])


def test_a_counter_nobody_read_is_null() -> None:
    """A device without a counter has none in the line, and none when it is read."""
    of = Slot(0, MINUTE, {"a": FULL, "b": FULL}, {"b": 5 * JOULE})
    assert [None, 5_000] == encode_slot(of, ("a", "b"))["counters_mj"]
    assert SlotEntry(of) == decode(encode(SlotEntry(of), ("a", "b")), ("a", "b"))


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize(
    ("idle_minutes", "host_watts"),
    [
        pytest.param(0.0, 112.5, id="training-with-host-power"),
        pytest.param(0.2, 112.5, id="sometimes-idle-with-host-power"),
        pytest.param(0.5, 0.0, id="often-idle"),
    ],
)
def test_a_day_of_eight_gpus_is_at_most_a_megabyte(idle_minutes: float, host_watts: float) -> None:
    """1,440 minutes, in some of which a GPU is idle for a while, of GPUs no two of which are alike, up for a month."""
    chance = random.Random(1)
    order = uuids(devices(8))
    counters_uj = {uuid: chance.randrange(400, 500) * KWH for uuid in order}
    size = 0
    for minute in range(MINUTES_PER_DAY):
        of = {uuid: _mixed(chance, idle_minutes, host_watts) for uuid in order}
        for uuid, each in of.items():
            counters_uj[uuid] += each.microjoules // 1_000 * 1_000
        closed = slot(of, minute)
        size += len(encode(SlotEntry(replace(closed, counters_microjoules=counters_uj)), order))
    assert size <= MEGABYTE


def _mixed(chance: random.Random, idle_minutes: float, host_watts: float) -> Quantities:
    """A minute wholly busy, or partly idle, with energies and utilization that no two GPUs share."""
    idle_ns = chance.randrange(SECOND, 59 * SECOND) if chance.random() < idle_minutes else 0
    busy_ns = MINUTE - idle_ns
    busy_uj = microjoules_from_power(chance.uniform(550, 700), busy_ns)
    idle_uj = microjoules_from_power(chance.uniform(70, 130), idle_ns)
    return replace(
        measured(busy_ns, busy_uj, idle_ns, idle_uj, chance.uniform(0.8, 1.0)),
        busy_host_microjoules=microjoules_from_power(host_watts, busy_ns - chance.randrange(10_000)),
        idle_host_microjoules=microjoules_from_power(host_watts, idle_ns),
    )


def test_a_line_stays_within_what_the_open_slot_reserves() -> None:
    """A minute at its most varied, every array different, is a line of under 2.4 kB for 8 GPUs."""
    chance = random.Random(2)
    order = uuids(devices(8))
    of = {uuid: Quantities(*(chance.randrange(10**10, 10**11) for _ in range(15))) for uuid in order}
    line = encode(SlotEntry(Slot(2**61, 2**61 + MINUTE, of, dict.fromkeys(order, 10**18))), order)
    assert len(json.loads(line)) == 21
    assert len(line) < 2_400
