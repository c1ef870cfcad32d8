"""`costmeter run`: what is refused or told before anything of a run is metered."""

import subprocess
from pathlib import Path

import pytest

from costmeter.cli import recordings
from costmeter.errors import UsageError
from tests.end_to_end.installed import COSTMETER, own_home


def run(run_id: str) -> subprocess.CompletedProcess[str]:
    """A run that prints its id, quietly, with this id asked for."""
    command = [COSTMETER, "run", "-q", "--simulate", "healthy", "--", "sh", "-c", "echo $COSTMETER_RUN_ID"]
    with own_home() as environ:
        return subprocess.run(
            command, env=environ | {"COSTMETER_RUN_ID": run_id}, capture_output=True, text=True, timeout=60
        )


@pytest.mark.parametrize("given", ["a/b", "..", "x" * 65])
def test_an_id_that_is_no_name_is_told_and_replaced(given: str) -> None:
    """The command runs all the same, under an id of ours, and one warning says what an id may be."""
    done = run(given)
    assert (0, True) == (done.returncode, done.stdout.startswith("r-"))
    assert 1 == done.stderr.count("COSTMETER_RUN_ID is no run id (1 to 64 letters, digits, ., _ and -")
    assert done.stdout.strip() in done.stderr


@pytest.mark.parametrize("given", ["", "sweep_1.a-b"])
def test_no_id_and_a_fit_one_are_not_told(given: str) -> None:
    """Nothing is said where nothing was given, or what was given is taken."""
    done = run(given)
    assert "COSTMETER_RUN_ID" not in done.stderr
    assert done.stdout.strip() == given or not given


def test_a_recording_without_a_folder_says_what_to_type(tmp_path: Path) -> None:
    """The folder is made by the person who named it: a blank in its name is quoted."""
    with pytest.raises(UsageError, match="no such folder") as refused:
        recordings.check(str(tmp_path / "my runs" / "x"))
    assert f"mkdir -p '{tmp_path}/my runs'" == refused.value.hint
