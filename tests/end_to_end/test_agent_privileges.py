"""The installed agent with fewer privileges, and on less than it wants: what it needs, and what it says of the rest."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attribution.kubelets import kubelet, pod
from tests.end_to_end.agents import StartedAgent, agent, agent_command
from tests.end_to_end.computing import places, using
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, uncovered

#: Users without names, privileges or homes: whose the agent is, and whose the jobs are.
AGENT_USER, JOB_USER = 64_001, 64_002
TRACES, READS = "+sys_ptrace", "+dac_read_search"
QUIET = """
devices:
  - {name: NVIDIA H100 80GB HBM3, count: 2, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB}
"""


def as_user(uid: int, *capabilities: str) -> list[str]:
    """The words before a command that is to run as this user, with no more than these capabilities."""
    given = ",".join(capabilities)
    has = [f"--inh-caps={given}", f"--ambient-caps={given}"] if given else []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *has]


def _absent() -> str:
    if os.geteuid() != 0:
        return "only root can be several users"
    if shutil.which("setpriv") is None:
        return "not installed: setpriv (apt-get install util-linux)"
    tried = subprocess.run([*as_user(AGENT_USER), COSTMETER, "--version"], capture_output=True)
    return f"other users may not run {COSTMETER}" if tried.returncode else ""


ABSENT = _absent()
several_users = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)


@contextmanager
def home_of(uid: int) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder that is a user's own and that others may enter, and his environment; no coverage is written there."""
    with own_home() as environ, tempfile.TemporaryDirectory(prefix="agent-") as name:
        Path(environ["HOME"]).parent.chmod(0o755)
        folder = Path(name)
        folder.chmod(0o755)
        for each in (folder, *Path(environ["HOME"]).parent.iterdir()):
            os.chown(each, uid, uid)
        yield folder, uncovered(environ)


@contextmanager
def wrapped(uid: int, run: str, socket_path: Path, gpus: str) -> Iterator[None]:
    """A metered command of a user, announced at a socket, for as long as the context is open."""
    with home_of(uid) as (folder, environ):
        argv = [*as_user(uid), COSTMETER, "run", "-q", "--simulate", "healthy", "--gpus", gpus, "--", "sleep", "600"]
        told = {"COSTMETER_AGENT": str(socket_path), "COSTMETER_RUN_ID": run}
        with subprocess.Popen(argv, env=environ | told, cwd=folder, stdin=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.terminate()


def holders(started: StartedAgent) -> list[list[tuple[str | None, str, str]]]:
    """Of every GPU, run, user and source of its holders."""
    return [[(each["run"], each["user"], each["source"]) for each in gpu["holders"]] for gpu in started.node["gpus"]]


def until(started: StartedAgent, expected: Sequence[Sequence[tuple[str | None, str, str]]]) -> None:
    """Wait until the GPUs' holders are these."""
    seen: list[object] = []

    def look() -> bool | None:
        seen.append(holders(started))
        return seen[-1] == list(expected) or None

    try:
        eventually(look, "the holders")
    except AssertionError:
        assert seen[-1] == list(expected), started.said


def unsaved(started: StartedAgent) -> bool | None:
    """Whether the agent shows GPUs, and that its journal is not being saved."""
    node = started.node if "metering" in started.said else None
    return bool(node and node["gpus"] and not node["health"]["journal_writable"]) or None


@several_users
def test_an_unprivileged_agent_hears_the_runs_of_everybody() -> None:
    """Runs of two other users announce themselves at its socket, and each holds its own GPUs under its own user."""
    with home_of(AGENT_USER) as (folder, environ), agent(folder, environ, before=as_user(AGENT_USER)) as started:
        at = folder / "agent.sock"
        eventually(lambda: at.exists() or None, "the socket")
        with wrapped(JOB_USER, "r-theirs", at, "0"), wrapped(0, "r-ours", at, "1"):
            assert str(JOB_USER) == started.run("r-theirs")["user"]
            assert "root" == started.run("r-ours")["user"]
            expected = [[("r-theirs", str(JOB_USER), "announced")], [("r-ours", "root", "announced")]]
            eventually(lambda: expected == holders(started)[:2] or None, "the GPUs of both")
        assert started.stop() == 0
        assert "Traceback" not in started.said
        assert {AGENT_USER} == {path.stat().st_uid for path in (folder / "state").rglob("*")}


@several_users
def test_what_an_unprivileged_agent_does_not_see_is_said_once_with_what_enables_it() -> None:
    """A line each in the log at the start: the environments of others, and the host's energy that only root reads."""
    with home_of(AGENT_USER) as (folder, environ):
        counter = folder / "sys" / "class" / "powercap" / "intel-rapl:0" / "energy_uj"
        counter.parent.mkdir(parents=True)
        counter.write_text("1\n")
        counter.chmod(0o400)
        sees_less = environ | {"COSTMETER_SYSFS": str(folder / "sys")}
        with agent(folder, sees_less, before=as_user(AGENT_USER)) as started:
            eventually(lambda: "metering" in started.said or None, "GPUs")
            assert started.stop() == 0
        lacks = [line for line in started.said.splitlines() if "Enable: " in line]
        assert 2 == len(lacks)
        assert "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH" in lacks[0]
        assert "CAP_DAC_READ_SEARCH, or chmod a+r" in lacks[1]
        assert f"{counter} may be read by root only" in lacks[1]


@several_users
@pytest.mark.parametrize(
    ("capabilities", "holder"),
    [
        pytest.param((), (None, str(JOB_USER), "user"), id="none"),
        pytest.param((TRACES,), (None, str(JOB_USER), "user"), id="one-is-not-enough"),
        pytest.param((TRACES, READS), ("r-marked", str(JOB_USER), "environment"), id="both"),
    ],
)
def test_two_capabilities_show_the_environments_of_others(
    capabilities: tuple[str, ...], holder: tuple[str | None, str, str]
) -> None:
    """A process of another user that only COSTMETER_RUN_ID names is its user's; with both it is its run's."""
    with home_of(AGENT_USER) as (folder, environ):
        using_gpus = places(environ, 2)
        os.chown(using_gpus.parent, AGENT_USER, AGENT_USER)
        scenario = folder / "quiet.yaml"
        scenario.write_text(QUIET)
        before = as_user(AGENT_USER, *capabilities)
        job = [*as_user(JOB_USER), "sh", "-c", f"{using(using_gpus, 0)}; exec sleep 600"]
        marked = environ | {"COSTMETER_RUN_ID": "r-marked"}
        with subprocess.Popen(job, env=marked) as process:
            try:
                with agent(folder, environ, "--simulate", str(scenario), before=before) as started:
                    until(started, [[holder], []])
                    assert ("Enable:" in started.said) == (len(capabilities) < 2)
            finally:
                process.kill()


@several_users
def test_a_state_that_may_only_be_read_is_told_and_metered_from_memory() -> None:
    """The folder is there and not the agent's to write: the page says that nothing is saved, and TERM ends it well."""
    with home_of(AGENT_USER) as (folder, environ):
        (folder / "state").mkdir(mode=0o555)
        with agent(folder, environ, before=as_user(AGENT_USER)) as started:
            eventually(lambda: unsaved(started), "a journal that is not written")
            assert "Permission denied" in started.said
            assert started.stop() == 0
            assert "Traceback" not in started.said
        assert [] == list((folder / "state").iterdir())


@several_users
def test_a_config_that_becomes_unreadable_changes_nothing() -> None:
    """HUP with a file that may not be read any more: the old prices hold, and the log says why."""
    with home_of(AGENT_USER) as (folder, environ):
        config = folder / "site.yaml"
        config.write_text("gpu: {price: 1}\n")
        with agent(folder, environ, "--config", str(config), before=as_user(AGENT_USER)) as started:
            eventually(lambda: "metering" in started.said or None, "GPUs")
            config.chmod(0o000)
            started.process.send_signal(signal.SIGHUP)
            eventually(lambda: "the old ones hold" in started.said or None, "a refusal")
            assert "site.yaml" in started.said
            assert "8" == eventually(lambda: started.node["now"]["per_hour"], "a price").rstrip("0").rstrip(".")
            assert started.stop() == 0


def test_a_state_that_vanishes_ends_nothing(tmp_path: Path) -> None:
    """Somebody removes the folder under a running agent: it goes on serving, and ends when told to."""
    with own_home() as environ, agent(tmp_path, environ) as started:
        eventually(lambda: "metering" in started.said or None, "GPUs")
        shutil.rmtree(tmp_path / "state")
        before = eventually(lambda: started.node["at"], "an instant")
        eventually(lambda: started.node["at"] > before or None, "a later one")
        assert started.stop() == 0
        assert "Traceback" not in started.said


def test_a_port_that_another_program_has_is_refused_with_its_name(tmp_path: Path) -> None:
    """Not an agent of ours: pid and program are named, and what to type for another port."""
    with own_home() as environ, socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        argv = agent_command(tmp_path, "--web.listen-address", address)
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert 125 == done.returncode
    assert f"{address} is in use by pid {os.getpid()} (" in done.stderr
    assert "Another: --web.listen-address 127.0.0.1:" in done.stderr


def test_pods_hold_what_the_kubelet_gave_them(tmp_path: Path) -> None:
    """A pod without a process holds its GPU from the moment the kubelet tells, and no more once it is gone."""
    with (
        own_home() as environ,
        kubelet(tmp_path / "kubelet.sock") as told,
        agent(tmp_path, environ, "--kubelet-socket", told.socket) as started,
    ):
        eventually(lambda: "metering" in started.said or None, "GPUs")
        fourth = started.node["gpus"][3]["uuid"]
        told.pods.append(pod("ml", "train-0", {"main": {"nvidia.com/gpu": [fourth]}}))
        run = started.run("k8s-ml.train-0")
        assert ([fourth], "ml/train-0", "kubernetes") == (run["gpus"], run["job"], run["source"])
        assert {"namespace": "ml", "pod": "train-0"}.items() <= run["labels"].items()
        told.pods.clear()
        of_the_pod = ("k8s-ml.train-0", "kubernetes")
        eventually(lambda: of_the_pod not in [each[::2] for each in holders(started)[3]] or None, "a GPU let go")
        assert started.stop() == 0
