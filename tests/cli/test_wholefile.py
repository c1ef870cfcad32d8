"""Files that are whole or as they were: mode, owner and links, what a kill leaves behind, and two writers at once."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from costmeter.cli import wholefile
from costmeter.errors import CostmeterError
from tests.end_to_end.installed import uncovered

HOUR_SECONDS = 3600
NOBODY = 65534


def test_mode_and_link_of_the_old_file_stay(tmp_path: Path) -> None:
    """A file behind a link is replaced where it lies, readable by those who could read it."""
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.csv"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link.csv").symlink_to(target)
    assert "" == wholefile.replace(str(tmp_path / "link.csv"), "new €")
    assert (tmp_path / "link.csv").is_symlink()
    assert "new €" == target.read_text(encoding="utf-8")
    assert 0o640 == target.stat().st_mode & 0o777
    assert ["a.csv"] == os.listdir(tmp_path / "real")


@pytest.mark.parametrize("is_hasty", [True, False])
def test_a_new_file_has_the_usual_mode(is_hasty: bool, tmp_path: Path) -> None:
    """What the umask leaves of rw-rw-rw-, as of any new file."""
    mask = os.umask(0o027)
    try:
        wholefile.replace(str(tmp_path / "a"), "x", is_hasty)
    finally:
        os.umask(mask)
    assert 0o640 == (tmp_path / "a").stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_of_the_old_file_stay(tmp_path: Path) -> None:
    """A file of somebody else, which root's cron job renews, stays theirs."""
    target = tmp_path / "a.csv"
    target.write_text("old")
    os.chown(target, NOBODY, 1)
    assert "" == wholefile.replace(str(target), "new")
    assert (NOBODY, 1, "new") == (target.stat().st_uid, target.stat().st_gid, target.read_text())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_owner_that_cannot_be_kept_is_told() -> None:
    """Another user in the file's group replaces it: the group stays, the owner changes, and that is said."""
    with tempfile.TemporaryDirectory() as folder:  # where every user may go, unlike below pytest's own folders
        target = Path(folder, "a.csv")
        target.write_text("old")
        os.chown(target, 0, 1)
        Path(folder).chmod(0o777)
        script = f"""
import os
from costmeter.cli import wholefile
os.setgroups([1]); os.setgid({NOBODY}); os.setuid({NOBODY})
print(wholefile.replace({str(target)!r}, "new"))
"""
        argv = [sys.executable, "-c", script]
        done = subprocess.run(argv, env=uncovered(os.environ), capture_output=True, text=True, timeout=60, check=False)
        said = f"owner and group were 0:1 and are {NOBODY}:1 now; sudo chown 0:1\n"
        assert (said, "") == (done.stdout, done.stderr)
        assert (NOBODY, 1) == (target.stat().st_uid, target.stat().st_gid)


@pytest.mark.parametrize("where", ["missing/a.csv", "a.csv/b.csv", "."])
def test_what_cannot_be_written_is_told(where: str, tmp_path: Path) -> None:
    """No folder, a file in a folder's place, a folder: one refusal, and nothing is left behind."""
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(CostmeterError, match="was not written") as caught:
        wholefile.write(str(tmp_path / where), "new", where)
    assert "-o " in caught.value.hint
    assert ["a.csv"] == os.listdir(tmp_path)
    assert "old" == (tmp_path / "a.csv").read_text()


def test_what_a_kill_left_behind_goes(tmp_path: Path) -> None:
    """An unfinished file is removed after an hour; a younger one, another file's and other names stay."""
    names = [".a.csv.0123abcd.tmp", ".a.csv.k_x9q2zz.tmp", ".a.csv.ffffffff.tmp", ".b.csv.0123abcd.tmp", ".a.csv.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
        old = (tmp_path / name).stat().st_mtime - 2 * HOUR_SECONDS
        if "ffffffff" not in name:
            os.utime(tmp_path / name, (old, old))
    wholefile.replace(str(tmp_path / "a.csv"), "whole")
    assert sorted(["a.csv", *names[2:]]) == sorted(os.listdir(tmp_path))


def test_one_writer_waits_for_the_other(tmp_path: Path) -> None:
    """While one holds the folder another is refused after its patience, and let in afterwards; no file is left."""
    path = str(tmp_path / "a.csv")
    with wholefile.alone(path, "a.csv"):
        again = wholefile.alone(path, "a.csv", patience_ns=100_000_000)
        with pytest.raises(CostmeterError, match=r"another process has held its folder's lock for 0\.1 s"), again:
            raise AssertionError("both are in")
    with wholefile.alone(path, "a.csv", patience_ns=0):
        assert [] == os.listdir(tmp_path)


def test_where_there_is_no_folder_nobody_waits(tmp_path: Path) -> None:
    """A folder that is missing is told."""
    with (
        pytest.raises(CostmeterError, match="was not written: No such file"),
        wholefile.alone(str(tmp_path / "no" / "a.csv"), "a.csv"),
    ):
        raise AssertionError("it is locked")
