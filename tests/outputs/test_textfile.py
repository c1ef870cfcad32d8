"""Files for node_exporter's textfile collector: whole or not there, renewed in time, and removed when nobody does."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from costmeter.clock import ManualClock, RealClock
from costmeter.outputs.textfile import EVERY_NS, KEPT_NS, Textfile, remove_old, write_textfile
from tests.end_to_end.installed import PATIENCE_SECONDS, uncovered
from tests.samples import BEGAN_UTC_NS, SECOND

PAGE = b"# TYPE costmeter_pue_ratio gauge\ncostmeter_pue_ratio 1.2\n"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_page_is_put_in_place(tmp_path: Path) -> None:
    """One file, of the page alone, that node_exporter finds by its name and may read whatever our umask is."""
    before = os.umask(0o077)
    try:
        write_textfile(str(tmp_path), "r-1", b"old\n")
        write_textfile(str(tmp_path), "r-1", PAGE)
    finally:
        os.umask(before)
    assert ["costmeter-r-1.prom"] == names(tmp_path)
    file = tmp_path / "costmeter-r-1.prom"
    assert (PAGE, 0o644) == (file.read_bytes(), file.stat().st_mode & 0o777)


def test_a_draft_that_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    """A process of the same number was killed while it wrote: its draft goes, wherever it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine\n")
    (tmp_path / f".costmeter-r-1.{os.getpid()}.draft").symlink_to(elsewhere)
    write_textfile(str(tmp_path), "r-1", PAGE)
    assert ["costmeter-r-1.prom", "elsewhere"] == names(tmp_path)
    assert b"mine\n" == elsewhere.read_bytes()


def test_a_full_disk_leaves_the_page_of_before(tmp_path: Path) -> None:
    """A page that does not fit is not there in part, and leaves no draft; what was there before still is."""
    write_textfile(str(tmp_path), "r-1", PAGE)
    code = """
import resource, sys
from costmeter.outputs.textfile import write_textfile
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_textfile(sys.argv[1], "r-1", bytes(100_000))
except OSError as refusal:
    print(refusal.strerror)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=uncovered(os.environ), check=False)
    assert ("File too large\n", "") == (done.stdout, done.stderr)
    assert ["costmeter-r-1.prom"] == names(tmp_path)
    assert PAGE == (tmp_path / "costmeter-r-1.prom").read_bytes()


@pytest.mark.parametrize(
    ("is_removed", "name", "age_ns"),
    [
        pytest.param(True, "costmeter-r-1.prom", KEPT_NS + SECOND, id="old"),
        pytest.param(True, ".costmeter-r-1.42.draft", KEPT_NS + SECOND, id="an-old-draft"),
        pytest.param(False, "costmeter-r-1.prom", KEPT_NS - SECOND, id="renewed"),
        pytest.param(False, "costmeter-r-1.prom", -SECOND, id="from-the-future"),
        pytest.param(False, "node.prom", 10 * KEPT_NS, id="somebody-elses"),
        pytest.param(False, "costmeter-notes.txt", 10 * KEPT_NS, id="no-metrics"),
    ],
)
def test_what_nobody_renews_is_removed(is_removed: bool, name: str, age_ns: int, tmp_path: Path) -> None:
    """Files and drafts of ours that are older than a quarter of an hour, and nothing else."""
    file = tmp_path / name
    file.write_bytes(PAGE)
    at_ns = BEGAN_UTC_NS - age_ns
    os.utime(file, ns=(at_ns, at_ns))
    remove_old(str(tmp_path), BEGAN_UTC_NS)
    assert is_removed != file.exists()


def test_what_cannot_be_removed_stays(tmp_path: Path) -> None:
    """A folder of that name is no file of ours; a folder that is not there is looked into by nobody."""
    folder = tmp_path / "costmeter-r-1.prom"
    folder.mkdir()
    os.utime(folder, ns=(0, 0))
    remove_old(str(tmp_path), BEGAN_UTC_NS)
    remove_old(str(tmp_path / "gone"), BEGAN_UTC_NS)
    assert folder.exists()


def rounds(folder: Path, count: int, each: Callable[[int], None]) -> tuple[list[int], list[str]]:
    """A text file that is ended while its last page but one is made: when pages were made, and the warnings."""
    clock, made_ns, warnings = ManualClock(BEGAN_UTC_NS), list[int](), list[str]()

    def page() -> bytes:
        made_ns.append(clock.boottime_ns())
        each(len(made_ns))
        if len(made_ns) == count - 1:
            file.finish(0)
        return str(len(made_ns)).encode()

    file = Textfile(str(folder), "r-1", page, clock, warnings.append)
    file.start()
    assert file.wait(PATIENCE_SECONDS)
    return made_ns, warnings


def test_a_page_is_written_every_15_seconds_and_at_the_end(tmp_path: Path) -> None:
    """At once, after 15 and 30 seconds, and once more when it ends, whenever that is."""
    made_ns, warnings = rounds(tmp_path, 4, lambda _: None)
    assert ([0, EVERY_NS, 2 * EVERY_NS, 2 * EVERY_NS], []) == (made_ns, warnings)
    assert b"4" == (tmp_path / "costmeter-r-1.prom").read_bytes()


def test_what_fails_is_told_once_and_tried_again(tmp_path: Path) -> None:
    """The folder is gone for three rounds and comes back: one warning, and the last page is there."""
    folder = tmp_path / "folder"
    made_ns, warnings = rounds(folder, 5, lambda turn: folder.mkdir() if turn == 4 else None)
    assert 5 == len(made_ns)
    assert [f"--textfile {folder}: no metrics written: No such file or directory; tried again every 15 s"] == warnings
    assert ["costmeter-r-1.prom"] == names(folder)


def test_a_page_that_cannot_be_made_is_told_too(tmp_path: Path) -> None:
    """A fault of ours costs a page, and not those after it."""

    def fail(turn: int) -> None:
        if turn == 1:
            raise ValueError("no such state")

    _, warnings = rounds(tmp_path, 3, fail)
    assert [f"--textfile {tmp_path}: no metrics written: ValueError: no such state; tried again every 15 s"] == warnings
    assert b"3" == (tmp_path / "costmeter-r-1.prom").read_bytes()


def test_one_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """The end waits only as long as it is told to, while the page is still being written."""
    hangs, released = threading.Event(), threading.Event()

    def page() -> bytes:
        hangs.set()
        released.wait(PATIENCE_SECONDS)
        return PAGE

    file = Textfile(str(tmp_path), "r-1", page, RealClock(), lambda _: None)
    file.start()
    assert hangs.wait(PATIENCE_SECONDS)
    file.finish(0.01)
    assert [] == names(tmp_path)
    released.set()
    assert file.wait(PATIENCE_SECONDS)
    assert ["costmeter-r-1.prom"] == names(tmp_path)


def test_without_a_folder_there_is_nothing_to_wait_for() -> None:
    """No page is made, and the end comes at once however long it might wait."""
    pages = list[bytes]()

    def page() -> bytes:
        pages.append(PAGE)
        return PAGE

    file = Textfile(None, "r-1", page, RealClock(), lambda _: None)
    file.start()
    file.finish(PATIENCE_SECONDS)
    assert [] == pages
