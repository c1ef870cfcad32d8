"""Lines of events: what the reader said is what is read, whatever it said, and a tick of eight GPUs is small."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import DeviceGone
from costmeter.ledger.line import seal, unseal
from costmeter.readings import NOT_ASKED, Missing, Reading, Sample
from costmeter.runtime.eventline import (
    Beginning,
    Boards,
    Taken,
    boards_of,
    decode,
    decode_beginning,
    encode,
    encode_beginning,
)
from costmeter.runtime.events import Batch, Ended, Opened, OpenFailed
from tests.runtime.spoken import beginnings, events, takens
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, SECOND, device, devices


def round_trip(spoken: list[Taken]) -> list[Taken]:
    """Events as lines, sealed, unsealed and read again in the same order."""
    written: Boards = ()
    read: Boards = ()
    again = []
    for taken in spoken:
        line = seal(encode(taken, written))
        written = boards_of(taken.event, written)
        again.append(decode(unseal(line), read))
        read = boards_of(again[-1].event, read)
    return again


@given(st.lists(takens(events), max_size=5))
def test_events_are_read_as_they_were_said(spoken: list[Taken]) -> None:
    """Devices, readings, samples, host, every missing value with its reason, and both clocks survive."""
    assert spoken == round_trip(spoken)


@pytest.mark.parametrize("hint", ["", "Check: costmeter doctor"])
def test_a_driver_that_did_not_open_is_read_as_it_was_said(hint: str) -> None:
    """The words of a refusal survive; what kind of refusal it was no longer matters to the recorder."""
    said = OpenFailed(DeviceGone("no NVIDIA driver", hint))
    (again,) = round_trip([Taken(said, BEGAN_NS, BEGAN_UTC_NS)])
    assert isinstance(again.event, OpenFailed)
    assert ("no NVIDIA driver", hint) == (again.event.error.message, again.event.error.hint)


@given(beginnings)
def test_what_a_run_began_with_is_read_as_it_was_written(beginning: Beginning) -> None:
    """Who metered what, where and by which rules survives, bytes that are no text included."""
    assert beginning == decode_beginning(unseal(seal(encode_beginning(beginning))))


def test_a_tick_is_packed_as_documented() -> None:
    """A row: offset, energy, power, utilization, memory, samples; null for not asked, nothing after the last."""
    readings: dict[str, Reading | Missing] = {
        "GPU-0": Reading("GPU-0", BEGAN_NS + 300, 5_000_000, NOT_ASKED, 0.5),
        "GPU-1": Missing("fell off the bus"),
        "GPU-2": Reading(
            "GPU-2", BEGAN_NS + 900, Missing("no counter"), 72.5, 0.0, NOT_ASKED, (Sample(BEGAN_NS, 70.0),)
        ),
    }
    body = encode(Taken(Batch(BEGAN_NS, readings, slow=False), BEGAN_NS + 1_000, BEGAN_UTC_NS), ())
    expected = {
        "type": "batch",
        "boot_ns": BEGAN_NS + 1_000,
        "utc_ns": BEGAN_UTC_NS,
        "at_ns": BEGAN_NS,
        "boards": ["GPU-0", "GPU-1", "GPU-2"],
        "readings": [
            [300, 5_000_000, None, 0.5],
            {"missing": "fell off the bus"},
            [900, {"missing": "no counter"}, 72.5, 0.0, None, [[0, 70.0]]],
        ],
    }
    assert expected == json.loads(json.dumps(body))


def test_a_tick_of_eight_gpus_is_a_few_hundred_bytes() -> None:
    """8 rows of `[7 digits,13 digits,null,0.97]` and their commas are 8 × 33, all else below 160."""
    readings = {
        each.uuid: Reading(each.uuid, BEGAN_NS + 1_000_000 + place, 10**12 + place, NOT_ASKED, 0.97)
        for place, each in enumerate(devices(8))
    }
    line = seal(encode(Taken(Batch(BEGAN_NS, readings, slow=False), BEGAN_NS, BEGAN_UTC_NS), tuple(readings)))
    assert len(line) < 8 * 33 + 160


def test_defaults_are_left_out() -> None:
    """A whole GPU in a plain node says nothing of MIG, scope or lost events."""
    body = encode(Taken(Opened((device(),), 1, None), BEGAN_NS, BEGAN_UTC_NS), ())
    assert {"uuid", "index", "name", "pci_bus_id", "power_limit_watts", "method"} == set(body["devices"][0])
    assert {"type", "boot_ns", "utc_ns", "devices", "node_gpus", "facts"} == set(body)


def test_what_a_newer_version_adds_to_a_device_is_passed_over() -> None:
    """A field that this version does not know is no fault; an event that it does not know is."""
    body = encode(Taken(Opened((device(),), 1, None), BEGAN_NS, BEGAN_UTC_NS), ())
    body["devices"][0]["colour"] = "green"
    assert Opened((device(),), 1, None) == decode(body, ()).event
    with pytest.raises(ValueError, match="repainted"):
        decode(body | {"type": "repainted"}, ())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"readings": [[0, 1]]}, id="fewer-rows-than-boards"),
        pytest.param({"readings": [[0], 5]}, id="no-row"),
        pytest.param({"readings": None}, id="no-rows"),
        pytest.param({"readings": [[0], {"gone": ""}]}, id="missing-without-reason"),
        pytest.param({"host": {"zones": []}}, id="host-without-instant"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(change: dict[str, object]) -> None:
    """A line whose checksum is right and whose content is not never becomes another event."""
    readings: dict[str, Reading | Missing] = {each.uuid: Missing("silent") for each in devices(2)}
    body = encode(Taken(Batch(BEGAN_NS, readings, slow=True), BEGAN_NS, BEGAN_UTC_NS), ())
    with pytest.raises(ValueError, match="batch event lacks or garbles"):
        decode(body | change, ())


def test_the_end_says_what_was_heard() -> None:
    """Signals and orphans are sets again, and the CPU time of the meter stands with the end."""
    ended = Ended(BEGAN_NS + SECOND, None, 15, frozenset({15, 2}), frozenset({7, 9}))
    body = encode(Taken(ended, BEGAN_NS + SECOND, BEGAN_UTC_NS, cpu_ns=42), ())
    assert ([2, 15], [7, 9], 42) == (body["heard"], body["orphans"], body["cpu_ns"])
    assert Taken(ended, BEGAN_NS + SECOND, BEGAN_UTC_NS, cpu_ns=42) == decode(body, ())
