"""Resuming: what a meter that died here left of its run, and when it left nothing."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.identity import boot_id, start_ticks
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode, seal, unseal
from costmeter.ledger.record import Devices, Record, SlotEntry
from costmeter.ledger.resume import FILLED_NS, NOTHING_EARLIER, Earlier, Resume, left_behind
from costmeter.meter.slot import Slot
from costmeter.meter.standing import Standing
from costmeter.readings import DriverFacts
from tests.samples import (
    BEGAN_NS,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    instances,
    measured,
    rates,
    rates_from_start,
    rental,
    slot,
    uuids,
)

HOST = "gpu01"
DRIVER = "570.124.06"
TWO = devices(2)
ORDER = uuids(TWO)
#: The counters up to which the first minute is booked.
COUNTERS = {ORDER[0]: 5_000_000, ORDER[1]: 7_000_000}
#: Two seconds after the first minute, which is all that the meters here have booked.
NOW_NS = BEGAN_NS + MINUTE + 2 * SECOND


def resume(counter_uj: int, booked_ns: int) -> Resume:
    """What is left of a board whose counter says all there is to say."""
    return Resume(booked_ns, Standing(counter_uj, booked_ns))


LEFT = Earlier(DRIVER, {uuid: resume(counter_uj, BEGAN_NS + MINUTE) for uuid, counter_uj in COUNTERS.items()})


def minute(number: int = 0, more_uj: int = 0) -> SlotEntry:
    """A closed minute of both GPUs, with the counters at its end."""
    counters = {uuid: counter_uj + more_uj for uuid, counter_uj in COUNTERS.items()}
    return SlotEntry(
        replace(slot(dict.fromkeys(ORDER, measured(MINUTE, 10**10)), number), counters_microjoules=counters)
    )


def meter(folder: Path, *records: Record, of: Iterable[Any] = TWO, still_open: Slot | None = None, **who: Any) -> Path:
    """The journal of a meter on this boot whose process is gone; `who` changes its header."""
    told = header(boot_id=boot_id(), pid=os.getpid(), pid_start_ticks=1, **who)
    order = uuids(tuple(of))
    file = JournalFile(folder, told.host)
    for record in (replace(told, part=file.part), *records):
        file.append(encode(record, order))
    if still_open is not None:
        file.write_open(encode_open(still_open, order, 1), len(order))
    file.close(finished=False)
    return file.path


def opened(of: Iterable[Any] = TWO, **changes: Any) -> tuple[Record, ...]:
    """What a meter writes when the driver has answered."""
    devices = tuple(of)
    return replace(held(devices), **changes), rates_from_start(rates({d.uuid: rental() for d in devices}))


def left(folder: Path, now_ns: int = NOW_NS) -> Earlier:
    return left_behind(folder, HOST, boot_id(), now_ns)


# What is left


def test_a_killed_meter_leaves_its_counters_and_the_instant_it_had_booked(tmp_path: Path) -> None:
    """Both GPUs are booked for the minute since the spawn, up to the counters that its slot names."""
    meter(tmp_path, *opened(), minute())
    assert LEFT == left(tmp_path)


def test_the_slot_that_was_open_counts(tmp_path: Path) -> None:
    """A minute closed and 12 s of the next still open: booked for 72 s, up to the counters of the open slot."""
    twelve = slot(dict.fromkeys(ORDER, measured(12 * SECOND, 10**9)), 1, 12 * SECOND)
    still_open = replace(twelve, counters_microjoules={ORDER[0]: 6_000_000, ORDER[1]: 8_000_000})
    meter(tmp_path, *opened(), minute(), still_open=still_open)
    booked_ns = BEGAN_NS + 72 * SECOND
    expected = {ORDER[0]: resume(6_000_000, booked_ns), ORDER[1]: resume(8_000_000, booked_ns)}
    assert Earlier(DRIVER, expected) == left(tmp_path, booked_ns)


def test_the_last_of_several_meters_counts(tmp_path: Path) -> None:
    """Of a run that was killed twice, the gap begins where the second meter stopped: 30 s after it, and a minute on."""
    meter(tmp_path, *opened(), minute())
    meter(tmp_path, *opened(), minute(more_uj=1_000_000), start_ns=BEGAN_NS + 90 * SECOND)
    booked_ns = BEGAN_NS + 150 * SECOND
    expected = {uuid: resume(counter_uj + 1_000_000, booked_ns) for uuid, counter_uj in COUNTERS.items()}
    assert Earlier(DRIVER, expected) == left(tmp_path, booked_ns)


def test_a_device_is_booked_from_where_its_journal_says(tmp_path: Path) -> None:
    """A meter that filled a gap began before its own spawn, and one GPU came late: each has its minute from there."""
    since_ns = {ORDER[0]: BEGAN_NS - 20 * SECOND, ORDER[1]: BEGAN_NS + 10 * SECOND}
    meter(tmp_path, *opened(since_ns=since_ns), minute())
    found = left(tmp_path, NOW_NS + MINUTE).boards
    assert {uuid: began_ns + MINUTE for uuid, began_ns in since_ns.items()} == {
        uuid: resume.booked_ns for uuid, resume in found.items()
    }


def test_the_instances_of_a_board_leave_the_board(tmp_path: Path) -> None:
    """MIG instances of 3 and 4 slices are one board with one counter; that of the other board is its own."""
    divided = instances(TWO[0], 3, 4)
    of = (*divided, TWO[1])
    quantities = dict.fromkeys(uuids(of), measured(MINUTE, 10**9))
    counters = {divided[0].uuid: 5_000_000, divided[1].uuid: 5_000_000, ORDER[1]: 7_000_000}
    entry = SlotEntry(replace(slot(quantities), counters_microjoules=counters))
    meter(tmp_path, *opened(of), entry, of=of)
    assert LEFT == left(tmp_path)


def test_a_device_without_a_counter_leaves_its_time(tmp_path: Path) -> None:
    """Where one of two GPUs has no counter, the rent of its gap is counted all the same."""
    counted = slot(dict.fromkeys(ORDER, measured(MINUTE, 10**9)))
    meter(tmp_path, *opened(), SlotEntry(replace(counted, counters_microjoules={ORDER[1]: 7_000_000})))
    without = replace(LEFT.boards[ORDER[0]], standing=None)
    assert Earlier(DRIVER, {ORDER[0]: without, ORDER[1]: LEFT.boards[ORDER[1]]}) == left(tmp_path)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param((), id="before-the-driver-opened"),
        pytest.param((held(TWO),), id="before-the-first-reading"),
        pytest.param(opened(), id="before-its-first-slot"),
    ],
)
def test_a_meter_that_booked_nothing_hides_none_before_it(records: tuple[Record, ...], tmp_path: Path) -> None:
    """One killed before its first reading left no counter of its own: the gap goes back to the meter before."""
    meter(tmp_path, *opened(), minute())
    meter(tmp_path, *records, start_ns=BEGAN_NS + MINUTE + SECOND)
    meter(tmp_path, *records, start_ns=BEGAN_NS + MINUTE + 3 * SECOND // 2)
    assert LEFT == left(tmp_path)


def test_the_driver_that_counted_is_named(tmp_path: Path) -> None:
    """Under another driver the counters began anew, so the version is left with them."""
    meter(tmp_path, *opened(driver=DriverFacts("550.54.15", True)), minute())
    assert "550.54.15" == left(tmp_path).driver_version


@pytest.mark.parametrize(
    ("age_ns", "boards"),
    [
        pytest.param(0, 2, id="at-once"),
        pytest.param(FILLED_NS, 2, id="at-the-limit"),
        pytest.param(FILLED_NS + 1, 0, id="a-nanosecond-too-long"),
        pytest.param(-1, 0, id="from-the-future"),
    ],
)
def test_a_gap_is_filled_up_to_a_quarter_of_an_hour(age_ns: int, boards: int, tmp_path: Path) -> None:
    """What was booked longer ago than that, or not yet, leaves nothing."""
    meter(tmp_path, *opened(), minute())
    assert boards == len(left(tmp_path, BEGAN_NS + MINUTE + age_ns).boards)


# Nothing is left


def test_a_run_that_was_never_metered_left_nothing(tmp_path: Path) -> None:
    """Neither a folder that is not there nor an empty one is a fault."""
    assert NOTHING_EARLIER == left(tmp_path / "never") == left(tmp_path)


def test_a_meter_that_ended_left_nothing(tmp_path: Path) -> None:
    """With a footer the run had ended: what the GPUs did afterwards was not its."""
    meter(tmp_path, *opened(), minute(), footer(MINUTE))
    assert NOTHING_EARLIER == left(tmp_path)


def test_a_meter_that_ended_ends_what_was_killed_before_it(tmp_path: Path) -> None:
    """Killed, then metered again to a proper end, even one without a reading: no gap is left to fill."""
    meter(tmp_path, *opened(), minute())
    meter(tmp_path, footer(SECOND), start_ns=BEGAN_NS + MINUTE + SECOND)
    assert NOTHING_EARLIER == left(tmp_path)


def test_another_hosts_meter_left_nothing_here(tmp_path: Path) -> None:
    """Parts of other hosts lie in the same folder, also of one whose name begins like ours."""
    meter(tmp_path, *opened(), minute(), host="gpu02")
    meter(tmp_path, *opened(), minute(), host="gpu01.rack7")
    assert NOTHING_EARLIER == left(tmp_path)


def test_before_a_reboot_nothing_was_left(tmp_path: Path) -> None:
    """Counters and the clock of lengths begin anew with the machine."""
    meter(tmp_path, *opened(), minute())
    assert NOTHING_EARLIER == left_behind(tmp_path, HOST, "another-boot", NOW_NS)


def test_a_meter_that_lives_left_nothing(tmp_path: Path) -> None:
    """Two meters of one run on one host: what the first still books is not booked again by the second."""
    path = meter(tmp_path, *opened(), minute())
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        other = meter(tmp_path, *opened(), minute())
        lines = other.read_bytes().split(b"\n", 1)[1]
        alive = header(boot_id=boot_id(), part=2, pid=sleeper.pid, pid_start_ticks=start_ticks(sleeper.pid))
        other.write_bytes(encode(alive, ORDER) + lines)
        assert NOTHING_EARLIER == left(tmp_path)
    finally:
        sleeper.communicate()
    assert LEFT == left(tmp_path)
    assert path.exists()


def test_a_journal_that_cannot_be_read_left_nothing(tmp_path: Path) -> None:
    """A file without a readable header says nothing, and hides no other part."""
    (tmp_path / "gpu01.1.jsonl").write_bytes(b"not a journal\n")
    assert NOTHING_EARLIER == left(tmp_path)
    meter(tmp_path, *opened(), minute())
    assert LEFT == left(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"start_ns": "x"}, id="a-start-in-words"),
        pytest.param({"boot_id": []}, id="a-boot-that-is-a-list"),
        pytest.param({"pid_start_ticks": {}}, id="ticks-that-are-an-object"),
        pytest.param({"anchor": {"boottime_ns": 0, "utc_ns": 10**40}}, id="at-no-date"),
    ],
)
def test_a_garbled_journal_left_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    """A header that no meter wrote, under a right checksum, stops no later meter, and hides no other part."""
    path = meter(tmp_path, *opened(), minute(1))
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([seal(unseal(first) | changes), *rest]))
    assert NOTHING_EARLIER == left(tmp_path)
    meter(tmp_path, *opened(), minute())
    assert LEFT == left(tmp_path)


@pytest.mark.parametrize("garbled", ["x", [5_000_000], ["5", 1], [5, 1, 0, 0, 0], [5, -1], [None, None]], ids=repr)
def test_a_garbled_standing_is_not_gone_on_with(tmp_path: Path, garbled: object) -> None:
    """The slot that has one is unreadable, and the one before it counts: nobody is handed an account in words."""
    path = meter(tmp_path, *opened(), minute(), minute(1, more_uj=1_000_000))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], seal(unseal(lines[-1]) | {"standings": {ORDER[0]: garbled}})]))
    assert LEFT == left(tmp_path)


def test_without_a_driver_nothing_was_left(tmp_path: Path) -> None:
    """Time that was booked for GPUs nobody could identify has no counter to go on from."""
    nothing_read = slot(dict.fromkeys(ORDER, measured(MINUTE)))
    meter(tmp_path, Devices(TWO, None, 0), opened()[1], SlotEntry(nothing_read))
    assert NOTHING_EARLIER == left(tmp_path)


def test_gpus_whose_rates_are_damaged_stop_no_resumption(tmp_path: Path) -> None:
    """A meter that found a second GPU and whose rates since cannot be read: the first is gone on with as it stood."""
    rest = [*opened(), minute(1)]
    path = meter(tmp_path, *opened(TWO[:1]), of=TWO[:1])
    written = b"".join(encode(record, ORDER) for record in rest)
    path.write_bytes(path.read_bytes() + written.replace(b"rental", b"rentel"))
    assert LEFT.boards[TWO[0].board] == left(tmp_path).boards[TWO[0].board]
