"""The journal on disk: whole or readable up to where it was torn, private, and never in the way."""

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import JournalError
from costmeter.ledger.journal import JournalFile, encode, encode_open, is_whole, ran_outside, safe_name, state_directory
from costmeter.ledger.line import decode, seal
from costmeter.ledger.query import begin
from costmeter.ledger.record import Footer, Header, Mark, Place, Record, SlotEntry
from costmeter.meter.slot import Slot
from tests.ledger.slowly import read_journal
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    rental,
    slot,
    uuids,
)

ORDER = uuids(devices(2))


def minute(number: int, length_ns: int = MINUTE) -> Slot:
    """A minute in which both GPUs were busy, the first a little less."""
    of = {uuid: measured(length_ns - place, 650 * JOULE + number) for place, uuid in enumerate(ORDER)}
    return slot(of, number, length_ns)


BEGINNING: list[Record] = [header(), held(devices(2)), rates_from_start(rates({uuid: rental() for uuid in ORDER}))]
RUN: list[Record] = [
    *BEGINNING,
    SlotEntry(minute(0)),
    Mark(BEGAN_UTC_NS + 90 * SECOND, "fault", "two\nlines", ORDER[0]),
    SlotEntry(minute(1)),
    footer(2 * MINUTE),
]
LINES = [encode(record, ORDER) for record in RUN]


def written(directory: Path, lines: list[bytes], open_file: bytes | None = None) -> Path:
    """A journal as some moment left it on disk."""
    path = directory / "gpu01.1.jsonl"
    path.write_bytes(b"".join(lines))
    if open_file is not None:
        path.with_suffix(".open").write_bytes(open_file)
    return path


def opened(directory: Path, *slots: Slot, after: int = 3) -> Path:
    """A journal that was killed after so many lines, its open slot written once a tick for each of `slots`."""
    file = JournalFile(directory, "gpu01")
    for line in LINES[:after]:
        file.append(line)
    for sequence, each in enumerate(slots, 1):
        file.write_open(encode_open(each, ORDER, sequence), len(ORDER))
    file.close(finished=False)
    return file.path


# A journal that was written


def test_what_is_appended_is_what_is_read(tmp_path: Path) -> None:
    """A finished run reads as its records, in order and without problems."""
    file = JournalFile(tmp_path / "runs" / "r-1", "gpu01")
    for line in LINES:
        file.append(line)
    file.sync()
    file.close(finished=True)
    journal = read_journal(file.path)
    assert (tuple(RUN), ()) == (journal.records, journal.problems)


def test_a_finished_journal_has_no_open_slot(tmp_path: Path) -> None:
    """A footer ends the run: what was open is closed, and its file is gone."""
    file = JournalFile(tmp_path, "gpu01")
    file.write_open(encode_open(minute(0), ORDER, 1), 2)
    file.close(finished=True)
    assert ["gpu01.1.jsonl"] == [path.name for path in tmp_path.iterdir()]


def test_journals_are_private(tmp_path: Path) -> None:
    """Command lines and prices are their owner's: files 0600 in a folder 0700, under any umask."""
    before = os.umask(0)
    try:
        file = JournalFile(tmp_path / "run", "gpu01")
        file.write_open(encode_open(minute(0), ORDER, 1), 2)
        file.close(finished=False)
    finally:
        os.umask(before)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").iterdir()}
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_meters_of_one_run_take_parts_of_their_own(tmp_path: Path) -> None:
    """However many meters begin a journal at once, none shares a file, and none is skipped."""
    with ThreadPoolExecutor(16) as pool:
        files = list(pool.map(lambda _: JournalFile(tmp_path, "gpu01"), range(64)))
    for file in files:
        file.append(encode(header(part=file.part)))
        file.close(finished=True)
    assert list(range(1, 65)) == sorted(file.part for file in files)
    assert {file.part for file in files} == {_part(path) for path in tmp_path.glob("*.jsonl")}


def _part(path: Path) -> int:
    (only,) = read_journal(path).records
    assert isinstance(only, Header)
    return only.part


def test_meters_in_processes_of_their_own_take_parts_of_their_own(tmp_path: Path) -> None:
    """What keeps meters apart is the file system, not a lock that one process knows of."""
    script = (
        "import sys, pathlib, costmeter.ledger.journal as j; print(j.JournalFile(pathlib.Path(sys.argv[1]), 'h').part)"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    begun = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [1, 2, 3, 4] == sorted(int(process.communicate()[0]) for process in begun)


def test_hosts_of_one_run_do_not_meet(tmp_path: Path) -> None:
    """On a shared file system every host counts its own parts."""
    files = [JournalFile(tmp_path, host) for host in ("gpu01", "gpu02", "../gpu01")]
    for file in files:
        file.close(finished=True)
    assert ["gpu01.1.jsonl", "gpu02.1.jsonl", "-gpu01.1.jsonl"] == [file.path.name for file in files]
    assert {tmp_path} == {file.path.parent for file in files}


# A disk that refuses

_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from costmeter.ledger.journal import JournalFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lines = sys.stdin.buffer.read().splitlines(keepends=True)
file = JournalFile(Path(sys.argv[1]), "gpu01")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
refused = 0
for line in lines:
    try:
        file.append(line)
    except OSError:
        refused += 1
print(file.path.stat().st_size, refused > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.flush()
"""


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(0, id="no-byte-fits"),
        pytest.param(len(LINES[0]), id="a-whole-line-fits"),
        pytest.param(len(LINES[0]) + 40, id="a-line-is-cut"),
        pytest.param(sum(map(len, LINES)) - 1, id="all-but-the-last-byte"),
    ],
)
def test_a_full_disk_tears_no_line_once_there_is_room_again(tmp_path: Path, room: int) -> None:
    """What a full disk cuts off goes out first when there is space, and the journal is as if nothing had happened."""
    argv = [sys.executable, "-c", _FULL_DISK, str(tmp_path), str(room)]
    done = subprocess.run(argv, input=b"".join(LINES), capture_output=True, check=True)
    assert [b"%d" % room, b"True"] == done.stdout.split()
    assert sum(map(len, LINES)) == (tmp_path / "gpu01.1.jsonl").stat().st_size
    journal = read_journal(tmp_path / "gpu01.1.jsonl")
    assert (tuple(RUN), ()) == (journal.records, journal.problems)


@given(st.lists(st.sampled_from(RUN[1:-1]), max_size=6), st.data())
def test_a_footer_knows_whether_what_precedes_it_is_as_it_was(between: list[Record], data: st.DataObject) -> None:
    """By CRC-32 of all bytes before it: any byte that changed shows, and so does a file that lost its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = recorded(Path(folder), [RUN[0], *between])
        whole = path.read_bytes()
        place = last_place(whole)
        assert place == Place(place.at, place.devices_at, place.rates_at, zlib.crc32(whole[: place.at]))
        assert is_whole(path, place)
        assert not is_whole(path, replace(place, crc=None))
        changed, bit = data.draw(st.integers(0, place.at - 1)), data.draw(st.integers(0, 7))
        path.write_bytes(whole[:changed] + bytes([whole[changed] ^ 1 << bit]) + whole[changed + 1 :])
        assert not is_whole(path, place)
        path.write_bytes(whole[:changed])
        assert not is_whole(path, place)
        path.unlink()
        assert not is_whole(path, place)


def recorded(folder: Path, records: list[Record]) -> Path:
    """A journal of these records, and a footer with a summary of nothing."""
    file = JournalFile(folder, "gpu01")
    for record in (*records, replace(footer(2 * MINUTE), summary=begin(header()).summary)):
        file.write(record, ORDER)
    file.close(finished=True)
    return file.path


def last_place(journal: bytes) -> Place:
    """What the last line says of where it stands."""
    last = decode(journal.splitlines()[-1])
    assert isinstance(last, Footer)
    assert last.place is not None
    return last.place


_FULL_OPEN = """
import resource, signal, sys
from pathlib import Path
from costmeter.ledger.journal import JournalFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
header, *records = sys.stdin.buffer.read().splitlines(keepends=True)
file = JournalFile(Path(sys.argv[1]), "gpu01")
file.append(header)
for record in records[:2]:
    file.write_open(record, 2)
half = file.path.with_suffix(".open").stat().st_size // 2
resource.setrlimit(resource.RLIMIT_FSIZE, (len(records[0]) // 2, resource.RLIM_INFINITY))
for record in records[2:]:
    try:
        file.write_open(record, 2)
    except OSError as refusal:
        print(refusal.errno)
"""


def test_a_disk_that_takes_half_a_record_leaves_the_other_record_whole(tmp_path: Path) -> None:
    """An open slot of which only a part could be written is refused, and tried again in the same half."""
    records = [encode_open(minute(0, tick * SECOND), ORDER, tick) for tick in range(1, 6)]
    lines = b"".join([LINES[0], *records])
    argv = [sys.executable, "-c", _FULL_OPEN, str(tmp_path)]
    done = subprocess.run(argv, input=lines, capture_output=True, check=True)
    assert [errno.ENOSPC] * 3 == [int(word) for word in done.stdout.split()]
    with (tmp_path / "gpu01.1.jsonl").open("ab") as file:
        file.writelines(LINES[1:3])
    assert SlotEntry(minute(0, 2 * SECOND)) == read_journal(tmp_path / "gpu01.1.jsonl").records[-1]


# A journal that was damaged


def test_a_torn_journal_reads_as_its_beginning(tmp_path: Path) -> None:
    """Cut at any byte at all, a journal is read up to its last whole line, and what was dropped is said."""
    whole = b"".join(LINES)
    ends = [sum(map(len, LINES[:count])) for count in range(len(LINES) + 1)]
    for cut in range(len(LINES[0]), len(whole) + 1):
        journal = read_journal(written(tmp_path, [whole[:cut]]))
        count = sum(1 for end in ends if 0 < end <= cut)
        assert tuple(RUN[:count]) == journal.records
        assert (() if cut in ends else ("last line torn, dropped",)) == journal.problems


def test_a_journal_torn_in_its_first_line_is_refused(tmp_path: Path) -> None:
    """Without a header nobody knows what was metered: a clear refusal, never a traceback."""
    for cut in range(len(LINES[0])):
        with pytest.raises(JournalError, match="no readable header"):
            read_journal(written(tmp_path, [LINES[0][:cut]]))


@pytest.mark.parametrize("place", [pytest.param(place, id=f"line-{place + 1}") for place in range(1, len(RUN))])
def test_a_damaged_line_is_reported_and_the_rest_is_read(tmp_path: Path, place: int) -> None:
    """One bad line costs that line, and the lines that cannot be understood without it; each is named."""
    damaged = [*LINES[:place], LINES[place].replace(b'"type"', b'"tipe"'), *LINES[place + 1 :]]
    journal = read_journal(written(tmp_path, damaged))
    lost = {place} | (_in_need_of_devices() if place == 1 else set())
    assert tuple(record for at, record in enumerate(RUN) if at not in lost) == journal.records
    said = [f"line {at + 1} unreadable" for at in sorted(lost)]
    missing = ["slots missing: 1"] if place == RUN.index(SlotEntry(minute(0))) else []
    assert [*said, *missing] == [text.partition(",")[0] for text in journal.problems]


def _in_need_of_devices() -> set[int]:
    """Lines of arrays over devices."""
    return {at for at, record in enumerate(RUN) if not isinstance(record, Header | Mark)} - {1, len(RUN) - 1}


@given(st.data())
def test_any_damaged_byte_is_survived(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever byte after the devices is changed, all lines but its own are read, and nothing that was not there."""
    whole = b"".join(LINES)
    place = data.draw(st.integers(len(LINES[0]) + len(LINES[1]), len(whole) - 1))
    damaged = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    journal = read_journal(written(tmp_path_factory.mktemp("run"), [damaged]))
    assert set(map(repr, journal.records)) < set(map(repr, RUN))
    assert len(journal.records) >= len(RUN) - 2  # a line end that was damaged takes two lines with it
    assert journal.problems


def test_a_journal_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The refusal names the file and the system's reason."""
    with pytest.raises(JournalError, match="No such file"):
        read_journal(tmp_path / "gpu01.1.jsonl")


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    """Lines of another program are no journal."""
    with pytest.raises(JournalError, match="no readable header"):
        read_journal(written(tmp_path, [b'{"type":"header"}\n', b"\xff\xfe\n", b"\n"]))


def test_lines_of_a_later_costmeter_are_passed_over(tmp_path: Path) -> None:
    """A record type that nobody knows yet is neither read nor a problem."""
    journal = read_journal(written(tmp_path, [*LINES[:3], seal({"type": "weather"}), *LINES[3:]]))
    assert (tuple(RUN), ()) == (journal.records, journal.problems)


# The open slot


def test_a_killed_meter_loses_at_most_a_tick(tmp_path: Path) -> None:
    """The last slot of a killed run is the open one as its last tick left it."""
    path = opened(tmp_path, *(minute(0, tick * SECOND) for tick in range(1, 8)))
    assert (*BEGINNING, SlotEntry(minute(0, 7 * SECOND))) == read_journal(path).records


@pytest.mark.parametrize("torn", [pytest.param(0, id="first-half"), pytest.param(1, id="second-half")])
@pytest.mark.parametrize("ticks", [pytest.param(2, id="second-is-newer"), pytest.param(3, id="first-is-newer")])
def test_a_torn_half_leaves_the_other(tmp_path: Path, torn: int, ticks: int) -> None:
    """Whichever of the two records a kill tore, at whatever byte, the other is used."""
    path = opened(tmp_path, *(minute(0, tick * SECOND) for tick in range(1, ticks + 1)))
    halves = bytearray(path.with_suffix(".open").read_bytes())
    middle = len(halves) // 2
    newest = (ticks - 1) % 2
    survivor = ticks - 1 if torn == newest else ticks
    record = bytes(halves[torn * middle :]).index(b"\n")
    for byte in range(0, record, 7):
        damaged = bytearray(halves)
        damaged[torn * middle + byte] ^= 0x20
        path.with_suffix(".open").write_bytes(damaged)
        assert SlotEntry(minute(0, survivor * SECOND)) == read_journal(path).records[-1]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" * 4_096, id="zeros"),
        pytest.param(b"\xff" * 333, id="odd-length"),
        pytest.param(seal({"type": "open"}) * 2, id="without-sequence"),
        pytest.param(seal({"sequence": 1, "utc_ns": 0}) * 2, id="without-length"),
    ],
)
def test_an_open_slot_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """Damage in the open slot costs the open slot and nothing else."""
    journal = read_journal(written(tmp_path, LINES[:4], content))
    assert (tuple(RUN[:4]), ()) == (journal.records, journal.problems)


def test_a_copy_of_the_open_slot_that_was_cut_off_is_survived(tmp_path: Path) -> None:
    """An open file of any length gives a slot that was written, or none."""
    path = opened(tmp_path, minute(0, SECOND), minute(0, 2 * SECOND))
    content = path.with_suffix(".open").read_bytes()
    for length in range(0, len(content), 101):
        path.with_suffix(".open").write_bytes(content[:length])
        assert read_journal(path).records[3:] in (
            (),
            (SlotEntry(minute(0, SECOND)),),
            (SlotEntry(minute(0, 2 * SECOND)),),
        )


def test_an_open_slot_that_was_closed_is_not_counted_again(tmp_path: Path) -> None:
    """Killed between a slot's line and the next tick, the slot is in both files and is read once."""
    path = opened(tmp_path, minute(0, 58 * SECOND), minute(0, 59 * SECOND), after=4)
    assert tuple(RUN[:4]) == read_journal(path).records


def test_an_open_slot_after_a_closed_one_is_the_last(tmp_path: Path) -> None:
    """The minute after the last closed one is read from the open file."""
    path = opened(tmp_path, minute(0, 59 * SECOND), minute(1, SECOND), after=4)
    assert (*RUN[:4], SlotEntry(minute(1, SECOND))) == read_journal(path).records


def test_an_open_slot_stands_in_for_its_damaged_line(tmp_path: Path) -> None:
    """A closed slot whose line is damaged is not lost while its last tick is still there."""
    path = opened(tmp_path, minute(0, 58 * SECOND), minute(0, 59 * SECOND), after=4)
    path.write_bytes(path.read_bytes().replace(b'"slot"', b'"slut"'))
    assert SlotEntry(minute(0, 59 * SECOND)) == read_journal(path).records[-1]


@pytest.mark.parametrize(
    "step_ns",
    [pytest.param(-600 * SECOND, id="back-ten-minutes"), pytest.param(600 * SECOND, id="forward-ten-minutes")],
)
def test_a_stepped_wall_clock_loses_no_open_slot(tmp_path: Path, step_ns: int) -> None:
    """After the wall clock was stepped, the open slot is later than all before it, whatever its date says."""
    cut_short = slot(minute(0).devices, 0, 30 * SECOND)
    open_start_ns = cut_short.end_utc_ns + step_ns
    still_open = replace(minute(0), start_utc_ns=open_start_ns, end_utc_ns=open_start_ns + SECOND, number=1)
    lines: list[Record] = [*BEGINNING, SlotEntry(cut_short), Mark(cut_short.end_utc_ns, "clock", "stepped")]
    halves = encode_open(cut_short, ORDER, 1).ljust(2_048, b"\0") + encode_open(still_open, ORDER, 2).ljust(
        2_048, b"\0"
    )
    path = written(tmp_path, [encode(line, ORDER) for line in lines], halves)
    assert (*lines, SlotEntry(still_open)) == read_journal(path).records


def test_a_slot_cut_short_by_a_stepped_clock_is_not_counted_again(tmp_path: Path) -> None:
    """Killed just after the step, the slot that the step closed may still stand in the open file: it is read once."""
    cut_short = slot(minute(0).devices, 0, 30 * SECOND)
    lines: list[Record] = [*BEGINNING, SlotEntry(cut_short), Mark(cut_short.end_utc_ns, "clock", "stepped")]
    halves = encode_open(cut_short, ORDER, 1).ljust(2_048, b"\0") * 2
    path = written(tmp_path, [encode(line, ORDER) for line in lines], halves)
    assert tuple(lines) == read_journal(path).records


def test_an_open_slot_may_grow_beyond_what_was_reserved(tmp_path: Path) -> None:
    """A record that is longer than any before it still fits."""
    file = JournalFile(tmp_path, "gpu01")
    for line in LINES[:3]:
        file.append(line)
    file.write_open(encode_open(minute(0, SECOND), ORDER, 1), 0)
    padded = seal({"sequence": 2, "note": "x" * 5_000} | json.loads(encode_open(minute(0, 2 * SECOND), ORDER, 2)))
    file.write_open(padded, 0)
    file.close(finished=False)
    assert SlotEntry(minute(0, 2 * SECOND)) == read_journal(file.path).records[-1]


# Names


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        pytest.param("/data/state/costmeter", {"XDG_STATE_HOME": "/data/state", "HOME": "/home/maya"}, id="xdg"),
        pytest.param("/home/maya/.local/state/costmeter", {"HOME": "/home/maya"}, id="home"),
        pytest.param("/home/maya/.local/state/costmeter", {"XDG_STATE_HOME": "x", "HOME": "/home/maya"}, id="relative"),
        pytest.param("/home/maya/.local/state/costmeter", {"XDG_STATE_HOME": "", "HOME": "/home/maya"}, id="empty"),
    ],
)
def test_where_runs_are_kept(expected: str, environ: dict[str, str]) -> None:
    """XDG's state directory where it is an absolute path, else the one under the home directory."""
    assert Path(expected) == state_directory(environ)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        pytest.param("gpu01.cluster", "gpu01.cluster", id="a-host"),
        pytest.param("-etc-passwd", "/etc/passwd", id="a-path"),
        pytest.param("-..-x", "../../x", id="a-way-up"),
        pytest.param("unnamed", "..", id="dots-alone"),
        pytest.param("unnamed", "", id="nothing"),
        pytest.param("a-b-c", "a b\nc", id="blanks"),
    ],
)
def test_a_name_becomes_one_path_component(expected: str, name: str) -> None:
    """No host or run can name a folder of its own choice, or a hidden file."""
    assert expected == safe_name(name)


# What is no journal


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "a-pipe", "a-folder"])
def test_what_never_ends_is_no_journal(tmp_path: Path, target: str) -> None:
    """A device, a pipe and a folder are refused at once: nobody waits for a writer, and no memory is filled."""
    os.mkfifo(tmp_path / "a-pipe")
    (tmp_path / "a-folder").mkdir()
    path = tmp_path / "gpu01.1.jsonl"
    path.symlink_to(target)
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(path)
    assert not ran_outside(path, 0, 1)


def test_an_open_slot_that_is_a_pipe_is_none(tmp_path: Path) -> None:
    """What was closed counts, and nobody waits."""
    path = written(tmp_path, LINES)
    path.with_suffix(".open").unlink(missing_ok=True)
    os.mkfifo(path.with_suffix(".open"))
    assert tuple(RUN) == read_journal(path).records


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    """A file with a hole of gigabytes in place of a line is no journal, and is not read to its end."""
    path = written(tmp_path, LINES[:4])
    with path.open("r+b") as file:
        file.truncate(2**36)
    with pytest.raises(JournalError, match="line 5 is longer"):
        read_journal(path)


DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("lines", "written_at", "between", "expected"),
    [
        pytest.param(-1, 0, (-3 * DAY, -2 * DAY), True, id="began-after"),
        pytest.param(-1, 0, (-1 * DAY, 0), False, id="began-at-the-end"),
        pytest.param(-1, -9 * DAY, (-3 * DAY, -2 * DAY), False, id="began-after-by-a-clock-that-was-wrong"),
        pytest.param(-1, 90 * DAY, (121 * SECOND, DAY), True, id="its-footer-is-before"),
        pytest.param(-1, 90 * DAY, (119 * SECOND, DAY), False, id="its-footer-is-within"),
        pytest.param(-2, 2 * MINUTE, (3 * DAY, 4 * DAY), True, id="killed-long-before"),
        pytest.param(-2, 2 * DAY, (2 * DAY, 4 * DAY), False, id="killed-and-written-since"),
        pytest.param(-2, 2 * MINUTE, (DAY, 4 * DAY), False, id="killed-the-day-before"),
    ],
)
def test_a_journal_that_lies_outside_says_so_itself(
    tmp_path: Path, lines: int, written_at: int, between: tuple[int, int], expected: bool
) -> None:
    """By its first line and its footer, else by when it was written, with a day to spare for clocks."""
    path = written(tmp_path, LINES if lines == -1 else LINES[:lines])
    os.utime(path, ns=(BEGAN_UTC_NS + written_at, BEGAN_UTC_NS + written_at))
    assert expected == ran_outside(path, BEGAN_UTC_NS + between[0], BEGAN_UTC_NS + between[1])
