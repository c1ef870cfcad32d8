"""Folders that are written whole or not at all, whatever is in the way."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.cli.wholefolder import File, write
from costmeter.errors import CostmeterError, UsageError

FILES = {"a.txt": File("a\n"), "b/c.sh": File("c\n", is_program=True)}


def found(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    """A folder that is not there is made; its files have their texts and modes, and no drafts remain."""
    done = write(str(tmp_path / "x" / "y"), FILES, is_forced=False)

    assert (("a.txt", "b/c.sh"), ()) == (done.written, done.unchanged)
    assert {"x/y/a.txt": "a\n", "x/y/b/c.sh": "c\n"} == found(tmp_path)
    assert os.access(tmp_path / "x/y/b/c.sh", os.X_OK)
    assert ["y"] == [path.name for path in (tmp_path / "x").iterdir()]


@given(present=st.dictionaries(st.sampled_from(["a.txt", "b/c.sh", "other"]), st.sampled_from(["a\n", "c\n", "x"])))
def test_without_force_nothing_that_differs_is_ever_replaced(
    present: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is there: without force either all files are as wished and no other has changed, or nothing changed."""
    folder = tmp_path_factory.mktemp("folder")
    for path, text in present.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    try:
        write(str(folder), {path: File(file.text) for path, file in FILES.items()}, is_forced=False)
    except UsageError:
        assert present == found(folder)
        assert any(present.get(path, file.text) != file.text for path, file in FILES.items())
    else:
        assert {**present, "a.txt": "a\n", "b/c.sh": "c\n"} == found(folder)


@pytest.mark.parametrize("is_forced", [False, True])
def test_everything_in_the_way_is_named(tmp_path: Path, is_forced: bool) -> None:
    """A folder where a file is to be, and a file where a folder is, are both named, and force does not help."""
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "b").write_text("b")

    with pytest.raises(UsageError) as refusal:
        write(str(tmp_path), FILES, is_forced)

    assert f"{tmp_path}/a.txt is in the way: a folder" in refusal.value.message
    assert f"{tmp_path}/b is in the way: not a folder" in refusal.value.message


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    """DIR itself may not be a file."""
    (tmp_path / "out").write_text("mine")

    with pytest.raises(UsageError, match="out is in the way: not a folder"):
        write(str(tmp_path / "out"), FILES, is_forced=True)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """A pipe where a file is to be is in the way, and nobody waits for its writer."""
    os.mkfifo(tmp_path / "a.txt")

    with pytest.raises(UsageError, match=r"a\.txt is in the way: not a regular file"):
        write(str(tmp_path), FILES, is_forced=True)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, is_there: bool) -> None:
    """Where one file cannot be made, none is, and of folders that were made none is left."""
    folder = tmp_path / "out"
    if is_there:
        folder.mkdir()

    with pytest.raises(CostmeterError, match="nothing was written"):
        write(str(folder), {**FILES, f"d/{'n' * 300}": File("too long a name")}, is_forced=False)

    assert ([folder] if is_there else []) == list(tmp_path.iterdir())
    assert not is_there or list(folder.iterdir()) == []


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("has_links", [True, False])
def test_a_failure_halfway_puts_everything_back(
    tmp_path: Path, fails_at: int, has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename fails: files have their old texts, new ones are gone, and nothing remains beside them.

    The system's calls fail as they do on a full or faulty disk, and as link(2) does where a file system has none.
    """
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "z.txt").write_text("older")
    calls, replace = list[str](), os.replace

    def faulty(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO), target)
        replace(source, target)

    def none(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), target)

    monkeypatch.setattr(os, "replace", faulty)
    if not has_links:
        monkeypatch.setattr(os, "link", none)
    with pytest.raises(CostmeterError, match="nothing was written"):
        write(str(tmp_path), {**FILES, "z.txt": File("new")}, is_forced=True)

    assert {"a.txt": "old", "z.txt": "older"} == found(tmp_path)
    assert ["a.txt", "z.txt"] == sorted(os.listdir(tmp_path))


def test_what_cannot_be_put_back_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses that, too, it is said which files are new, and under what names the old ones remain."""
    (tmp_path / "a.txt").write_text("old")
    calls, replace = list[str](), os.replace

    def faulty(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO), target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", faulty)
    with pytest.raises(CostmeterError, match=rf"these are changed already: {tmp_path}/a\.txt") as failure:
        write(str(tmp_path), FILES, is_forced=True)

    kept = failure.value.message.rpartition("as it was: ")[2].rstrip(")")
    assert {"a.txt": "a\n", os.path.relpath(kept, tmp_path): "old"} == found(tmp_path)


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """A file that is a link stays one; what it leads to is replaced."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").symlink_to(tmp_path / "real")

    write(str(tmp_path / "out"), FILES, is_forced=True)

    assert (tmp_path / "out" / "a.txt").is_symlink()
    assert (tmp_path / "real").read_text() == "a\n"


def test_a_lost_mode_is_restored(tmp_path: Path) -> None:
    """A script that may no longer be run differs, and is replaced by one that may."""
    write(str(tmp_path), FILES, is_forced=False)
    (tmp_path / "b/c.sh").chmod(0o644)

    done = write(str(tmp_path), FILES, is_forced=True)

    assert ("b/c.sh",) == done.written
    assert os.access(tmp_path / "b/c.sh", os.X_OK)


@pytest.mark.parametrize("is_forced", [False, True])
def test_what_is_left_out_goes_when_forced(tmp_path: Path, is_forced: bool) -> None:
    """What an earlier export left is named; forced, it goes, but for what somebody changed or made a link of."""
    names = ("ours", "changed", "link")
    (tmp_path / "ours").write_text("as it was")
    (tmp_path / "changed").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "ours")

    done = write(str(tmp_path), FILES, is_forced, dict.fromkeys((*names, "absent"), "as it was".__eq__))

    assert (("ours",) if is_forced else (), () if is_forced else ("ours",)) == (done.removed, done.stale)
    assert ("changed", "link") == done.others
    assert is_forced != (tmp_path / "ours").exists()
    assert "mine" == (tmp_path / "changed").read_text()


def test_a_failure_halfway_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last thing to be taken away cannot be, those before it are there again, and nothing is written."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("as it was")
    unlink = os.unlink

    def faulty(path: str) -> None:
        if path.endswith("/two"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", faulty)
    with pytest.raises(CostmeterError, match="nothing was written"):
        write(str(tmp_path), FILES, True, dict.fromkeys(("one", "two"), "as it was".__eq__))

    assert {"one": "as it was", "two": "as it was"} == found(tmp_path)
