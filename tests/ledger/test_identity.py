"""Identity: run ids that are fit to be file names, processes that are who they were, secrets that are not kept."""

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.identity import (
    boot_id,
    host_name,
    is_alive,
    is_other_rank,
    redacted,
    run_id,
    start_ticks,
    user_name,
    user_of,
)
from tests.samples import BEGAN_UTC_NS, HOUR, SECOND


@pytest.mark.parametrize(
    "given_id",
    [
        pytest.param("sft-llama_3.1", id="a-name"),
        pytest.param("x" * 64, id="64-characters"),
        pytest.param("..x", id="dots-and-more"),
    ],
)
def test_a_fit_name_is_the_run_id(given_id: str) -> None:
    """COSTMETER_RUN_ID names the run, so that all nodes of a job record one run."""
    assert given_id == run_id({"COSTMETER_RUN_ID": given_id}, 0)


@pytest.mark.parametrize(
    "given_id",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="a-parent-folder"),
        pytest.param("../x", id="a-path"),
        pytest.param("a b", id="a-blank"),
        pytest.param("a\n", id="a-line-end"),
        pytest.param("x" * 65, id="65-characters"),
        pytest.param("é", id="not-ascii"),
    ],
)
def test_an_unfit_name_is_replaced(given_id: str) -> None:
    """A name that is no safe file name is not used: the run gets an id of its own."""
    assert re.fullmatch(r"r-[0-9a-hjkmnp-tv-z]{12}", run_id({"COSTMETER_RUN_ID": given_id}, BEGAN_UTC_NS))


STEP = {"SLURM_JOB_ID": "123", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        pytest.param("slurm-123-0", STEP, id="a-step"),
        pytest.param("slurm-123-7", STEP | {"SLURM_STEP_ID": "7", "SLURM_NODEID": "3"}, id="on-any-node"),
        pytest.param(
            "slurm-120_3-0", STEP | {"SLURM_ARRAY_JOB_ID": "120", "SLURM_ARRAY_TASK_ID": "3"}, id="a-task-of-an-array"
        ),
        pytest.param("mine", STEP | {"COSTMETER_RUN_ID": "mine"}, id="a-name-that-is-given"),
        pytest.param("slurm-123-0", STEP | {"COSTMETER_RUN_ID": "a/b"}, id="a-name-that-is-unfit"),
    ],
)
def test_a_step_of_slurm_is_one_run(expected: str, environ: dict[str, str]) -> None:
    """All nodes of a step record one run, without being told its name."""
    assert expected == run_id(environ, BEGAN_UTC_NS)


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"SLURM_JOB_ID": "123"}, id="a-batch-script"),
        pytest.param(STEP | {"SLURM_STEP_ID": "4294967290"}, id="an-interactive-step"),
        pytest.param(STEP | {"SLURM_JOB_ID": "../x"}, id="no-number"),
    ],
)
def test_outside_a_numbered_step_a_run_has_an_id_of_its_own(environ: dict[str, str]) -> None:
    """A batch script may hold several runs, one after the other."""
    assert run_id(environ, BEGAN_UTC_NS).startswith("r-")


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        pytest.param(True, STEP | {"SLURM_LOCALID": "1"}, id="the-second-of-a-node"),
        pytest.param(False, STEP | {"SLURM_LOCALID": "0", "SLURM_PROCID": "8"}, id="the-first-of-another-node"),
        pytest.param(False, STEP, id="no-local-rank"),
        pytest.param(False, {"SLURM_JOB_ID": "123", "SLURM_LOCALID": "3"}, id="no-step"),
    ],
)
def test_the_first_rank_of_a_node_meters(expected: bool, environ: dict[str, str]) -> None:
    """Eight ranks on a node are one meter: eight would count every GPU eight times."""
    assert expected == is_other_rank(environ)


def test_a_process_is_its_users() -> None:
    """The real user's, by /proc; of a process that is not there it is nobody."""
    assert os.getuid() == user_of(os.getpid())
    assert user_of(2**22 + 1) is None


@pytest.mark.parametrize(("expected", "uid"), [("root", 0), ("3999999", 3_999_999), (str(2**40), 2**40)])
def test_a_user_has_a_name_or_a_number(expected: str, uid: int) -> None:
    """A user whom the machine does not know is shown by number."""
    assert expected == user_name(uid)


def test_run_ids_sort_by_time() -> None:
    """An id begins with its second, so that a listing of names is in order of time."""
    made = [run_id({}, BEGAN_UTC_NS + hours * HOUR) for hours in range(50)]
    assert sorted(made) == made


def test_the_time_in_a_run_id_is_crockfords_base_32() -> None:
    """Second 32 × 32 + 31 is the digits 1, 0 and z; the five characters after the seven of the time are noise."""
    assert run_id({}, (32 * 32 + 31) * SECOND).startswith("r-000010z")


def test_runs_of_one_second_differ() -> None:
    """Two runs begun at once do not share an id."""
    assert len({run_id({}, BEGAN_UTC_NS) for _ in range(100)}) == 100


def test_this_process_is_alive() -> None:
    """A pid, its start and the boot together are this very process."""
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    assert is_alive(os.getpid(), ticks, boot_id())


def test_a_process_that_ended_is_not_alive() -> None:
    """A reaped process has no start, so nobody else can be taken for it."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ticks = start_ticks(process.pid)
    assert ticks is not None
    process.communicate(b"\n")
    assert not is_alive(process.pid, ticks, boot_id())


@pytest.mark.parametrize(
    ("later", "boot"),
    [
        pytest.param(1, boot_id(), id="a-pid-used-again"),
        pytest.param(0, "another boot", id="another-boot"),
    ],
)
def test_a_pid_alone_is_nobody(later: int, boot: str) -> None:
    """A pid is who it was only with its start, on its boot."""
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    assert not is_alive(os.getpid(), ticks + later, boot)


def test_a_process_may_have_any_name(tmp_path: os.PathLike[str]) -> None:
    """A program whose name looks like the rest of its status line is found all the same."""
    name = os.path.join(tmp_path, "a) S 1 1")
    os.symlink(sys.executable, name)
    shell = ["/bin/sh", "-c", 'exec "$0" -c "input()"', name]
    with subprocess.Popen(shell, stdin=subprocess.PIPE) as process:
        ticks = start_ticks(process.pid)
        process.communicate(b"\n")
    own = start_ticks(os.getpid())
    assert ticks is not None
    assert own is not None
    assert ticks >= own


def test_a_host_has_a_name() -> None:
    """The name is what the kernel calls this machine."""
    assert host_name() == os.uname().nodename


@pytest.mark.parametrize(
    ("expected", "command"),
    [
        pytest.param("train.py --lr 3e-4", "train.py --lr 3e-4", id="nothing-to-hide"),
        pytest.param("x --api-key ***", "x --api-key hunter2", id="next-argument"),
        pytest.param("x --api_key=***", "x --api_key=hunter2", id="same-argument"),
        pytest.param("env WANDB_API_KEY=*** python", "env WANDB_API_KEY=hunter2 python", id="environment"),
        pytest.param("x model.hub_token=***", "x model.hub_token=hunter2", id="dotted-setting"),
        pytest.param("x --PASSWORD *** --lr 1", "x --PASSWORD hunter2 --lr 1", id="upper-case"),
        pytest.param("x --passwd *** --secret ***", "x --passwd hunter2 --secret hunter2", id="two-secrets"),
        pytest.param("x --secrets=*** --credentials ***", "x --secrets=hunter2 --credentials hunter2", id="plurals"),
        pytest.param("x --use-auth-token *** ***", "x --use-auth-token --hub-token hunter2", id="switch-before-secret"),
        pytest.param("x --token=***", "x --token=a=hunter2", id="equals-in-the-secret"),
        pytest.param("x --tokenizer gpt2", "x --tokenizer gpt2", id="a-tokenizer-is-no-token"),
        pytest.param("x --keep-key-frames 3", "x --keep-key-frames 3", id="key-inside-a-name"),
        pytest.param("x secret", "x secret", id="a-word-is-no-name"),
        pytest.param("x --token", "x --token", id="nothing-follows"),
    ],
)
def test_secrets_are_not_kept(expected: str, command: str) -> None:
    """The value of an argument named like a secret is `***`; every other argument is as it was."""
    assert tuple(expected.split()) == redacted(command.split())


NAMES = st.sampled_from(("--api-key", "--hf_token", "-password", "--client-secret", "--credential"))


@pytest.mark.parametrize(
    ("expected", "script"),
    [
        pytest.param("API_KEY=***", "API_KEY=hunter2 python x.py", id="a-secret-may-hold-blanks"),
        pytest.param("A=1 API_KEY=*** python x.py", "A=1 API_KEY=hunter2 python x.py", id="environment"),
        pytest.param("cd /x &&\n python x.py --token ***", "cd /x &&\n python x.py --token hunter2", id="option"),
        pytest.param("x  --lr   1", "x  --lr   1", id="nothing-to-hide"),
    ],
)
def test_secrets_in_a_script_are_not_kept(expected: str, script: str) -> None:
    """A command line inside an argument is redacted like one of its own, its blanks untouched."""
    assert ("bash", "-c", expected) == redacted(["bash", "-c", script])


@given(st.lists(st.text()), NAMES, st.booleans())
def test_no_secret_is_left_whatever_comes_before(before: list[str], name: str, joined: bool) -> None:
    """The secret does not appear, whatever arguments precede its name."""
    secret = "hunter2-is-not-in-any-other-argument"
    command = [*before, f"{name}={secret}"] if joined else [*before, name, secret]
    assert not any(secret in argument for argument in redacted(command))
    assert len(command) == len(redacted(command))
