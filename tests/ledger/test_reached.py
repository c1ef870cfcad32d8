"""How far earlier parts of a run got, from the files they left, whole and damaged."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from costmeter.clock import ManualClock, anchor
from costmeter.ledger import identity
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.reached import steps_reached
from costmeter.ledger.record import Footer, Header, SlotEntry
from costmeter.meter.activity import IdleRule
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot

MINUTE = 60_000_000_000
NOW_NS = 1_795_356_192_000_000_000
CLOCK = ManualClock(NOW_NS, 5_000 * 1_000_000_000)
#: The pid of a process that ended: pids end far below it.
GONE = 2**31 - 1


def part(
    folder: Path, steps: list[int | None], still_open: int | None = None, host: str = "here", pid: int = GONE,
    has_ended: bool = False, silent_ns: int = 10 * MINUTE,
) -> Path:  # fmt: skip
    """A part with slots at these steps, and one that is open."""
    header = Header(
        run="r", part=1, meter="wrapper", name="", labels={}, command=None, host=host, boot_id=identity.boot_id(),
        pid=pid, pid_start_ticks=identity.start_ticks(pid) or 0, start_ns=0, anchor=anchor(CLOCK), period_ns=1,
        rule=IdleRule(), simulated=True, currency="USD",
    )  # fmt: skip
    file = JournalFile(folder, host)
    file.write(header, ())
    for number, count in enumerate(steps):
        slot = Slot(number * MINUTE, (number + 1) * MINUTE, {}, number=number)
        file.write(SlotEntry(slot if count is None else replace(slot, progress=Progress(count))), ())
    if still_open is not None:
        slot = Slot(0, 1, {}, number=len(steps), progress=Progress(still_open))
        file.write_open(encode_open(slot, (), 1), 0)
    if has_ended:
        file.write(Footer(0, 0, "ok", 0, None, 0, 0), ())
    file.close(finished=has_ended)
    for path in folder.iterdir():
        os.utime(path, ns=(NOW_NS - silent_ns,) * 2)
    return file.path


@pytest.mark.parametrize(
    ("steps", "still_open", "expected"),
    [
        pytest.param([], None, None, id="nothing"),
        pytest.param([None, None], None, None, id="no-steps"),
        pytest.param([10, 20], None, 20, id="closed"),
        pytest.param([10, 20], 25, 25, id="open"),
        pytest.param([], 25, 25, id="open-only"),
        pytest.param([10, 40, 20], 25, 40, id="went-back"),
    ],
)
def test_the_most_counts(tmp_path: Path, steps: list[int | None], still_open: int | None, expected: int | None) -> None:
    """Of all slots, the one that was open when the meter was killed included."""
    part(tmp_path, steps, still_open)

    assert steps_reached(tmp_path, "here", CLOCK) == expected


def test_every_part_on_every_host_counts(tmp_path: Path) -> None:
    """The furthest of all parts: one with a footer, one killed here, one of a host that fell silent."""
    part(tmp_path, [10], has_ended=True)
    part(tmp_path, [30])
    part(tmp_path, [20], host="there")

    assert steps_reached(tmp_path, "here", CLOCK) == 30


def test_a_part_being_written_is_not_earlier(tmp_path: Path) -> None:
    """That of a meter which lives here, and that of another host which wrote a minute ago; a footer ends both."""
    part(tmp_path / "a", [10], pid=os.getpid())
    part(tmp_path / "b", [10], host="there", silent_ns=MINUTE)
    part(tmp_path / "c", [10], host="there", silent_ns=MINUTE, has_ended=True)

    reached = [steps_reached(tmp_path / name, "here", CLOCK) for name in "abc"]

    assert reached == [None, None, 10]


def test_damage_is_passed_over(tmp_path: Path) -> None:
    """A line whose checksum does not match says nothing of steps, however many it names; nor does a file of noise."""
    path = part(tmp_path, [10, 777_777])
    path.write_bytes(path.read_bytes().replace(b"777777", b"999999"))
    (tmp_path / "noise.1.jsonl").write_bytes(b'\xff\x00"steps":5000000\n' * 9)
    (tmp_path / "empty.1.jsonl").touch()
    (tmp_path / "folder.1.jsonl").mkdir()

    assert steps_reached(tmp_path, "here", CLOCK) == 10


def test_no_folder_is_nothing(tmp_path: Path) -> None:
    """A run that was never recorded reached nothing."""
    assert steps_reached(tmp_path / "none", "here", CLOCK) is None
