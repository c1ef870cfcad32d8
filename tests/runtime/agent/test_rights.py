"""What a meter of the node says that it does not see: from /proc, files and folders as they are on other machines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from costmeter.runtime.agent import rights

PTRACE, READ_SEARCH, OVERRIDE = 1 << 19, 1 << 2, 1 << 1
ALL = PTRACE | READ_SEARCH | OVERRIDE
FIRST_NAMESPACE = "pid:[4026531836]"


def proc(folder: Path, capabilities: int, namespace: str = FIRST_NAMESPACE, shows_init: bool = True) -> Path:
    """A /proc in which process 7 has these capabilities."""
    (folder / "7" / "ns").mkdir(parents=True)
    (folder / "7" / "status").write_text(f"Name:\tcostmeter\nCapInh:\t0\nCapEff:\t{capabilities:016x}\nThreads:\t9\n")
    os.symlink(namespace, folder / "7" / "ns" / "pid")
    if shows_init:
        (folder / "1").mkdir()
        (folder / "1" / "stat").write_text("1 (init) S 0")
    return folder


@pytest.mark.parametrize(
    ("capabilities", "namespace", "shows_init", "says"),
    [
        pytest.param(ALL, FIRST_NAMESPACE, True, [], id="all"),
        pytest.param(PTRACE | READ_SEARCH, FIRST_NAMESPACE, True, [], id="both"),
        pytest.param(PTRACE, FIRST_NAMESPACE, True, ["environments"], id="ptrace-alone"),
        pytest.param(READ_SEARCH, FIRST_NAMESPACE, True, ["environments"], id="read-search-alone"),
        pytest.param(0, FIRST_NAMESPACE, True, ["environments"], id="none"),
        pytest.param(0, FIRST_NAMESPACE, False, ["hidepid", "environments"], id="hidepid"),
        pytest.param(ALL, "pid:[4026532201]", True, ["pid namespace"], id="container"),
    ],
)
def test_what_processes_are_not_seen(
    tmp_path: Path, capabilities: int, namespace: str, shows_init: bool, says: list[str]
) -> None:
    """Each lack is named once with what enables it; capabilities(7) and ptrace(2) say which read an environment."""
    found = list(rights.of_processes(7, False, proc(tmp_path, capabilities, namespace, shows_init)))
    assert len(says) == len(found)
    assert all(word in lack.what for word, lack in zip(says, found, strict=True))
    assert all(lack.enable in str(lack) for lack in found)


def test_a_simulated_node_has_no_namespace(tmp_path: Path) -> None:
    """The processes of a scenario are numbers, which no namespace shows or hides."""
    assert [] == list(rights.of_processes(7, True, proc(tmp_path, ALL, "pid:[4026532201]")))


def test_of_a_process_that_is_not_shown_nothing_is_said(tmp_path: Path) -> None:
    """Neither its capabilities nor its namespace can be seen: that is no finding."""
    assert [] == list(rights.of_processes(7, False, tmp_path))


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode != 0,
    reason="no process namespace of its own may be had here",
)
def test_a_namespace_of_its_own_is_seen_by_a_real_process() -> None:
    """Under `unshare --pid` with a /proc of its own the agent cannot tell the processes that NVML lists."""
    code = (
        "import os; from costmeter.runtime.agent import rights; "
        "print(*rights.of_processes(os.getpid(), False), sep='\\n')"
    )
    argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", code]
    assert "hostPID" in subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_kubelet_that_is_not_here_is_no_lack(tmp_path: Path) -> None:
    """Nodes without Kubernetes hear nothing of it."""
    assert rights.kubelet(tmp_path / "kubelet.sock", tmp_path / "nothing") is None


def test_a_kubelet_whose_socket_is_hidden_is_one(tmp_path: Path) -> None:
    """The kubelet's folder is there, and its socket not to be opened."""
    lack = rights.kubelet(tmp_path / "pod-resources" / "kubelet.sock", tmp_path)
    assert lack is not None
    assert "CAP_DAC_OVERRIDE" in lack.enable
    assert str(tmp_path / "pod-resources") in lack.enable


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param(None, "no prolog has written", id="no-folder"),
        pytest.param({}, None, id="no-job"),
        pytest.param({"7.json": {"job": 7, "uid": 1, "gpus": ["0"]}}, None, id="a-job"),
        pytest.param({"7.json": []}, "is no object", id="garbled"),
    ],
)
def test_what_slurms_prolog_left(tmp_path: Path, files: dict[str, object] | None, says: str | None) -> None:
    """Where Slurm is, its prolog's folder has to be, with files that can be used."""
    folder = tmp_path / "slurm"
    if files is not None:
        folder.mkdir()
        for name, told in files.items():
            (folder / name).write_text(json.dumps(told))
    lack = rights.slurm(folder, is_here=True)
    assert (lack is None) == (says is None)
    assert says is None or says in str(lack)


def test_without_slurm_no_prolog_is_missed(tmp_path: Path) -> None:
    """A node of no cluster is told nothing of Slurm."""
    assert rights.slurm(tmp_path / "slurm", is_here=False) is None
