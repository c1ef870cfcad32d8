"""Slurm by control group and title, in the forms of Slurm's plugins, and the files of the shipped prolog and epilog."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from costmeter.attribution.slurm import Job, Jobs, Step, jobs_in, run_id, step_of_cgroups, step_of_title
from tests.end_to_end.installed import EXAMPLES

PROLOG, EPILOG = EXAMPLES / "slurm" / "prolog.sh", EXAMPLES / "slurm" / "epilog.sh"


@pytest.mark.parametrize(
    ("expected", "paths"),
    [
        pytest.param(Step(123, "0"), ["/slurm/uid_1000/job_123/step_0"], id="v1"),
        pytest.param(Step(123, "0"), ["/slurm/uid_1000/job_123/step_0/task_3"], id="v1-task"),
        pytest.param(Step(123, "batch"), ["/slurm_node7/uid_1000/job_123/step_batch"], id="v1-several-slurmd"),
        pytest.param(Step(123), ["/slurm/uid_1000/job_123"], id="v1-job"),
        pytest.param(Step(123, "0"), ["/system.slice/slurmstepd.scope/job_123/step_0/user/task_0"], id="v2"),
        pytest.param(Step(9, "extern"), ["/system.slice/node7_slurmstepd.scope/job_9/step_extern/user"], id="v2-node"),
        pytest.param(Step(9, "1"), ["/../../system.slice/slurmstepd.scope/job_9/step_1/user"], id="seen-from-below"),
        pytest.param(Step(9, "1"), ["/", "/slurm/uid_5/job_9", "/slurm/uid_5/job_9/step_1"], id="the-fullest"),
        pytest.param(Step(9, "1"), ["/slurmstepd.scope/job_9/step_1/user"], id="v2-seen-from-its-slice"),
        pytest.param(
            None,
            ["/user.slice/user-1000.slice/user@1000.service/slurmstepd.scope/job_77/step_0"],
            id="made-by-a-user",
        ),
        pytest.param(
            None, ["/../../user.slice/user-1000.slice/slurmstepd.scope/job_77/step_0"], id="made-by-a-user-elsewhere"
        ),
        pytest.param(None, ["/user.slice/slurm/uid_1000/job_77/step_0"], id="made-by-a-user-v1"),
        pytest.param(None, ["/system.slice/slurmd.service"], id="the-daemon"),
        pytest.param(None, ["/user.slice/job_5/step_0"], id="no-slurm"),
        pytest.param(None, ["/slurm/uid_1000/job_x"], id="no-number"),
        pytest.param(None, [], id="nothing"),
    ],
)
def test_a_control_group_names_job_and_step(expected: Step | None, paths: list[str]) -> None:
    """Both of Slurm's layouts are read; a path that only looks alike is not."""
    assert expected == step_of_cgroups(paths)


@pytest.mark.parametrize(
    ("expected", "title"),
    [
        pytest.param(Step(123, "0"), "slurmstepd: [123.0]", id="a-step"),
        pytest.param(Step(1, "batch"), "slurmstepd: [1.batch]", id="the-batch-script"),
        pytest.param(None, "slurmstepd", id="without-a-job"),
        pytest.param(None, "python slurmstepd: [1.0]", id="somebody-else"),
    ],
)
def test_a_title_names_job_and_step(expected: Step | None, title: str) -> None:
    """What `ps` shows of Slurm 22.05's slurmstepd."""
    assert expected == step_of_title(title)


@pytest.mark.parametrize(
    ("expected", "step", "array"),
    [
        pytest.param("slurm-123-0", Step(123, "0"), "", id="a-step"),
        pytest.param("slurm-123", Step(123, "batch"), "", id="the-batch-script"),
        pytest.param("slurm-123", Step(123), "", id="the-job"),
        pytest.param("slurm-120_3-0", Step(123, "0"), "120_3", id="a-task-of-an-array"),
    ],
)
def test_a_step_is_a_run(expected: str, step: Step, array: str) -> None:
    """A step with a number is a run of its own; what has none is its job's."""
    assert expected == run_id(step, Job(123, 1000, array=array))


# Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the agent looks."""
    return tmp_path / "slurm"


def script(path: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a prolog or epilog with the variables of a job, and no others."""
    environ = {"COSTMETER_SLURM_FOLDER": str(folder), **variables}
    return subprocess.run([str(path)], env=environ, capture_output=True, text=True, timeout=30, check=False)


JOB = {"SLURM_JOB_ID": "123", "SLURM_JOB_UID": "1000", "SLURM_JOB_USER": "alice", "SLURM_JOB_GPUS": "0,3"}


@pytest.mark.parametrize(
    ("expected", "variables"),
    [
        pytest.param(Job(123, 1000, "alice", ("0", "3")), {}, id="what-22.05-tells"),
        pytest.param(
            Job(123, 1000, "alice", ("0", "3"), 'a "b" \\c', "nlp"),
            {"SLURM_JOB_NAME": 'a "b"\n \\c', "SLURM_JOB_ACCOUNT": "nlp"},
            id="a-hostile-name",
        ),
        pytest.param(
            Job(123, 1000, "alice", ("GPU-abc",), array="120_3"),
            {"SLURM_JOB_GPUS": "GPU-abc", "SLURM_ARRAY_JOB_ID": "120", "SLURM_ARRAY_TASK_ID": "3"},
            id="an-array",
        ),
    ],
)
def test_the_prolog_tells_and_the_epilog_takes_back(expected: Job, variables: dict[str, str], folder: Path) -> None:
    """The shipped scripts, run as Slurm runs them: with nothing but a job's variables in the environment."""
    began = script(PROLOG, folder, **(JOB | variables))
    assert (0, "", "") == (began.returncode, began.stdout, began.stderr)
    assert Jobs((expected,)) == jobs_in(str(folder))
    assert ["123.json"] == os.listdir(folder)

    assert 0 == script(EPILOG, folder, **JOB).returncode
    assert Jobs() == jobs_in(str(folder))


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="no-job"),
        pytest.param({"SLURM_JOB_ID": "5", "SLURM_JOB_UID": "1"}, id="no-gpus"),
    ],
)
def test_a_job_without_gpus_leaves_no_file(variables: dict[str, str], folder: Path) -> None:
    """A job that was given no GPU holds none."""
    assert 0 == script(PROLOG, folder, **variables).returncode
    assert not folder.exists()


@pytest.mark.parametrize("path", [PROLOG, EPILOG])
def test_a_folder_that_cannot_be_written_keeps_no_job(path: Path, tmp_path: Path) -> None:
    """A prolog that fails drains the node: these end well whatever happens."""
    (tmp_path / "file").write_text("")

    assert 0 == script(path, tmp_path / "file" / "slurm", **JOB).returncode


@pytest.mark.parametrize("which", ["folder", "parent"])
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_nothing_is_written_where_others_may_write(which: str, mode: int, folder: Path) -> None:
    """The prolog runs as root: where others could swap a folder or a file for a link, it and the epilog refuse."""
    folder.mkdir()
    (folder / "123.json").write_text("old")
    (folder if which == "folder" else folder.parent).chmod(mode)

    done = [script(path, folder, **JOB) for path in (PROLOG, EPILOG)]

    assert [0, 0] == [each.returncode for each in done]
    assert {"123.json": "old"} == {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="folders of another user need root")
@pytest.mark.parametrize("which", ["folder", "parent"])
def test_nothing_is_written_into_a_folder_of_somebody_else(which: str, folder: Path) -> None:
    """A folder that another user owns, or in whose folder it is, is his to swap."""
    folder.mkdir()
    (folder / "123.json").write_text("old")
    os.chown(folder if which == "folder" else folder.parent, 65534, 65534)

    for path in (PROLOG, EPILOG):
        assert 0 == script(path, folder, **JOB).returncode
    assert {"123.json": "old"} == {path.name: path.read_text() for path in folder.iterdir()}


def test_a_link_is_not_followed(folder: Path) -> None:
    """A folder that is a link leads nowhere, and a file that is one is replaced, not written through."""
    victim = folder.parent / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    folder.symlink_to(victim)
    script(PROLOG, folder, **JOB)
    assert ["file"] == os.listdir(victim)

    folder.unlink()
    folder.mkdir()
    (folder / "123.json").symlink_to(victim / "file")
    script(PROLOG, folder, **JOB)
    assert "mine" == (victim / "file").read_text()
    assert not (folder / "123.json").is_symlink()


def test_the_file_is_for_everybody_to_read(folder: Path) -> None:
    """Whatever the umask of slurmd, with no moment at which more is permitted."""
    before = os.umask(0o077)
    try:
        script(PROLOG, folder, **JOB)
    finally:
        os.umask(before)

    assert (0o755, 0o644) == (folder.stat().st_mode & 0o777, (folder / "123.json").stat().st_mode & 0o777)


@pytest.mark.parametrize("job", ["", "../123", "1;2", "12x"])
def test_only_a_number_is_a_job(job: str, folder: Path) -> None:
    """What is no number names no file."""
    for path in (PROLOG, EPILOG):
        assert 0 == script(path, folder, **(JOB | {"SLURM_JOB_ID": job})).returncode
    assert not folder.exists()


def told(**changes: object) -> str:
    return json.dumps({"job": 1, "uid": 2, "gpus": []} | changes)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        pytest.param("is no JSON", "{", id="torn"),
        pytest.param("is no JSON", "[" * 60_000, id="deep"),
        pytest.param("is no object", "[1]", id="a-list"),
        pytest.param('"job" is no whole number', told(job="x"), id="no-job"),
        pytest.param('"uid" is no whole number', told(uid=-1), id="a-negative-user"),
        pytest.param('"uid" is no whole number', told(uid=True), id="a-flag"),
        pytest.param('"gpus" is no list', told(gpus="0,1"), id="no-list"),
        pytest.param("is longer than 65,536 bytes", told(name="x" * 70_000), id="long"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(expected: str, text: str, folder: Path) -> None:
    """One bad file is a fault with its name, and the others are read."""
    folder.mkdir()
    (folder / "1.json").write_text(text)
    (folder / "2.json").write_text(told(job="2", uid="3", gpus=[0, "GPU-x"], name=7))
    found = jobs_in(str(folder))

    assert (Job(2, 3, gpus=("0", "GPU-x")),) == found.jobs
    [fault] = found.faults
    assert fault.startswith(f"{folder}/1.json: ")
    assert expected in fault


def test_a_file_that_others_may_write_is_not_believed(folder: Path) -> None:
    """Only root, or whoever runs the agent, says who was given a GPU: no link, no device, no open mode."""
    folder.mkdir()
    (folder / "1.json").write_text(told())
    (folder / "1.json").chmod(0o666)
    (folder / "2.json").symlink_to("/etc/passwd")
    os.mkfifo(folder / "3.json", 0o644)
    (folder / "4.json").mkdir(0o755)
    found = jobs_in(str(folder))

    assert () == found.jobs
    assert 4 == len(found.faults)


def test_no_folder_is_no_fault(folder: Path) -> None:
    """A node without Slurm has no jobs."""
    assert Jobs() == jobs_in(str(folder))


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """What stands where the folder should is told."""
    (tmp_path / "slurm").write_text("")

    assert Jobs((), (f"{tmp_path}/slurm: cannot be read: Not a directory",)) == jobs_in(f"{tmp_path}/slurm")
