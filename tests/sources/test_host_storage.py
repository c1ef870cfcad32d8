"""The size of a tree, on real folders."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from costmeter.readings import Missing
from costmeter.sources import host_storage
from costmeter.sources.host_storage import Size, measure


def look(path: Path) -> Size | Missing:
    """A walk that rests nowhere."""
    return measure(str(path), lambda: True)


def file(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def links(folder: Path) -> None:
    file(folder / "a", 100)
    os.link(folder / "a", folder / "again")
    (folder / "elsewhere").symlink_to("/usr")
    (folder / "itself").symlink_to(folder)


def sparse(folder: Path) -> None:
    with open(folder / "sparse", "wb") as handle:
        handle.truncate(5_000_000)


def pipes(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    file(folder / "a", 7)


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        pytest.param(0, lambda folder: None, id="empty"),
        pytest.param(30, lambda folder: (file(folder / "a", 10), file(folder / "b/c/d", 20)), id="files-in-folders"),
        pytest.param(100, links, id="two-names-count-once-and-links-are-not-followed"),
        pytest.param(5_000_000, sparse, id="length-and-not-blocks"),
        pytest.param(7, pipes, id="a-pipe-is-never-opened"),
    ],
)
def test_a_tree_has_the_size_of_its_files(expected: int, make: Callable[[Path], object], tmp_path: Path) -> None:
    """Regular files count with their length; nothing else counts."""
    make(tmp_path)
    assert Size(expected) == look(tmp_path)


def test_the_path_itself_may_be_a_link(tmp_path: Path) -> None:
    """`./ckpt` that leads to the scratch file system is what somebody pays for."""
    file(tmp_path / "scratch/a", 12)
    (tmp_path / "ckpt").symlink_to(tmp_path / "scratch")
    assert Size(12) == look(tmp_path / "ckpt")


def test_a_path_may_be_a_file_or_nothing(tmp_path: Path) -> None:
    """A file has its own size; what does not exist has none, and is said not to be there."""
    assert Size(9) == look(file(tmp_path / "a", 9))
    assert Size(0, exists=False) == look(tmp_path / "no/such/folder")
    assert Size(0, exists=False) == look(tmp_path / "a" / "below-a-file")


def test_a_pipe_has_no_size(tmp_path: Path) -> None:
    """A path that is neither file nor folder says so, and nobody waits for it."""
    os.mkfifo(tmp_path / "pipe")
    assert Missing("neither a file nor a folder") == look(tmp_path / "pipe")


def test_folders_that_refuse_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be read counts, and how many folders could not is told; where nothing could, nobody knows the size."""
    file(tmp_path / "a", 10)
    closed = str(file(tmp_path / "closed/b", 20).parent)
    scandir = os.scandir

    def refusing(path: str) -> object:  # as it does to anybody but root, whom no folder refuses
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert Size(10, unread=1) == look(tmp_path)
    assert Missing("permission denied") == look(Path(closed))


def test_a_refusal_by_the_system_is_told(tmp_path: Path) -> None:
    """A loop of links, and a path that no system takes, have no size and a reason."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert isinstance(look(tmp_path / "loop"), Missing)
    assert isinstance(measure("a\0b", lambda: True), Missing)


def test_files_that_vanish_while_walking_are_left_out(tmp_path: Path) -> None:
    """A checkpoint that is deleted under the walk costs no more than itself."""
    for number in range(3 * host_storage.ENTRIES_AT_ONCE):
        file(tmp_path / f"{number % 3}/{number}", 1)

    def rest() -> bool:
        for path in tmp_path.glob("*/*"):
            path.unlink()
        return True

    found = measure(str(tmp_path), rest)
    assert isinstance(found, Size)
    assert 0 < found.size_bytes < 3 * host_storage.ENTRIES_AT_ONCE


def test_a_walk_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Once nobody waits for it any more, a walk of however many files stops at its next rest."""
    for number in range(host_storage.ENTRIES_AT_ONCE + 1):
        file(tmp_path / str(number), 1)
    assert Missing("the run has ended") == measure(str(tmp_path), lambda: False)


def test_a_tree_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many entries the walk says so, and what to write instead."""
    monkeypatch.setattr(host_storage, "MOST_ENTRIES", 5)
    for number in range(6):
        file(tmp_path / str(number), 1)
    found = look(tmp_path)
    assert isinstance(found, Missing)
    assert "more than 5 files" in found.reason
