"""The agent's socket against real connections and processes: who is believed, what is told on, when a run is over."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.identity import start_ticks, user_name
from costmeter.meter.progress import Progress
from costmeter.runtime.agent.announceline import LONGEST_LINE
from costmeter.runtime.agent.announceserver import MOST_SILENT_OF_A_USER
from tests.end_to_end.installed import eventually
from tests.runtime.announcer import Agent, Announcer, Sleeper, me

KEY = (os.getuid(), "r-1")


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path / "agent.sock") as agent:
        assert agent.is_listening, agent.warned
        yield agent


def test_a_run_is_announced_as_it_says(agent: Agent) -> None:
    """Name, labels, devices and start are the run's word; user and pid the kernel's; its end is told with its code."""
    with Announcer(agent.path) as run:
        labels = {"project": "llm"}
        said: dict[str, Any] = {"name": "sft", "labels": labels, "gpus": ["GPU-a", "GPU-b"], "started_utc_ns": 5} | me()
        assert {"ok": True} == run.announce(**said)
        known = agent.the_run()
        run.send(phase="eval", steps=7, tokens=9)
        eventually(lambda: agent.told or None, "progress")
        assert "eval" == agent.the_run().phase
        run.send(end={"outcome": "failed", "exit_code": 3})
        assert {"ok": True} == run.answer()

    assert (known.uid, known.pid, known.user) == (os.getuid(), os.getpid(), user_name())
    assert (known.name, known.labels, known.started_utc_ns) == ("sft", labels, 5)
    assert known.uuids == frozenset({"GPU-a", "GPU-b"})
    assert {"pid": known.root_pid, "start_ticks": known.root_start_ticks} == me()
    assert [Progress(7, 9)] == [each.progress for each in agent.told]
    assert [(KEY, "failed", 3, None)] == [(each.key, each.outcome, each.exit_code, each.signal) for each in agent.gone]
    assert [] == agent.runs
    assert agent.changes >= 3


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        pytest.param('"costmeter" has to be "announce/1"', {"costmeter": "announce/2"}, id="another-protocol"),
        pytest.param('"run" has to be 1 to 64', {"run": "../x"}, id="a-path"),
        pytest.param('"run" has to be 1 to 64', {"run": "x" * 65}, id="a-long-id"),
        pytest.param('"run" has to be 1 to 64', {"run": ".."}, id="dots"),
        pytest.param('"run" has to be 1 to 64', {"run": 7}, id="no-text"),
        pytest.param('"name" has to be', {"name": ["a"]}, id="a-list-for-a-name"),
        pytest.param('"labels" have to be', {"labels": {"a": 1}}, id="a-number-for-a-label"),
        pytest.param('"gpus" have to be', {"gpus": "GPU-a"}, id="a-text-for-a-list"),
        pytest.param('"pid" has to be', {"pid": -1}, id="a-negative-pid"),
        pytest.param('"start_ticks" has to be', {"start_ticks": 1.5}, id="half-a-tick"),
        pytest.param("and this agent meters real ones", {"simulated": True}, id="simulated-gpus"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(agent: Agent, expected: str, said: dict[str, Any]) -> None:
    """A greeting of a wrong type or form is answered with what is wrong, and the connection is closed."""
    with Announcer(agent.path) as run:
        assert expected in run.announce(**said)["refused"]
        assert {} == run.answer()
    assert [] == agent.runs


def test_all_faults_are_said_at_once(agent: Agent) -> None:
    """Three mistakes in one greeting are three in the answer."""
    with Announcer(agent.path) as run:
        refused = run.announce(run="", name=1, gpus=2)["refused"]
    assert 3 == len(refused.split("; "))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\n", id="an-empty-line"),
        pytest.param(b"GET / HTTP/1.1\r\n", id="http"),
        pytest.param(b"\xff\xfe\n", id="no-utf-8"),
        pytest.param(b"[" * 60_000 + b"\n", id="deep-nesting"),
        pytest.param(b'{"pid": ' + b"9" * 5_000 + b"}\n", id="a-number-of-5000-digits"),
        pytest.param(b"x" * (LONGEST_LINE + 1), id="a-line-without-end"),
        pytest.param(b"x" * 1_000_000 + b"\n", id="a-line-of-a-megabyte"),
    ],
)
def test_garbage_is_refused_and_others_are_heard(agent: Agent, sent: bytes) -> None:
    """Whatever comes first that is no greeting ends the connection, and the next one is served."""
    with Announcer(agent.path) as peer:
        with contextlib.suppress(BrokenPipeError):  # refused before all of it was sent
            peer.socket.sendall(sent)
        assert "refused" in peer.answer()
    with Announcer(agent.path) as run:
        assert {"ok": True} == run.announce()


def test_what_cannot_be_shown_is_not_kept(agent: Agent) -> None:
    """Control characters have a hole in their place, long texts are cut, of a hundred labels sixteen are kept."""
    with Announcer(agent.path) as run:
        run.announce(name="a\x1b[2J\n\ud800" + "n" * 500, labels={f"k{n:03}": "v" * 500 for n in range(100)})
        known = agent.the_run()
        run.send(phase="e\x00v" + "p" * 500)
        eventually(lambda: agent.the_run().phase or None, "the phase")
        phase = agent.the_run().phase
    assert known.name.startswith("a\N{REPLACEMENT CHARACTER}[2J")
    assert known.name.isprintable()
    assert 128 == len(known.name) == len(known.labels["k000"])
    assert 16 == len(known.labels)
    assert phase.isprintable()
    assert 64 == len(phase)


def test_wrong_types_in_a_state_are_passed_over(agent: Agent) -> None:
    """What is no count, no loss and no name changes nothing, what is beside it counts."""
    with Announcer(agent.path) as run:
        run.announce()
        run.socket.sendall(b'7\n[]\n{"steps": NaN, "loss": 1e999, "phase": 4, "end": "x", "gpus": "y", "tokens": 3}\n')
        eventually(lambda: agent.told or None, "progress")
        known = agent.the_run()
    assert Progress(None, 3) == agent.told[0].progress
    assert ("", None) == (known.phase, known.uuids)


@pytest.mark.parametrize(
    "pid",
    [pytest.param(1, id="another-users"), pytest.param(os.getpid(), id="with-other-ticks"), pytest.param(0, id="none")],
)
def test_a_first_process_that_is_not_the_runs_is_not_believed(agent: Agent, pid: int) -> None:
    """Another user's pid, or one that began at another time, is none; the run is announced without."""
    ticks = 1 if pid == os.getpid() else start_ticks(pid)
    if pid == 1 and os.getuid() == 0:
        ticks = 10**12  # nobody is another one to root but a process that is not there
    with Announcer(agent.path) as run:
        run.announce(pid=pid, start_ticks=ticks)
        known = agent.the_run()
    assert (0, 0) == (known.root_pid, known.root_start_ticks)


def test_a_shell_names_itself_by_its_pid_alone(agent: Agent) -> None:
    """Without a start the pid counts where the peer descends from it, or it from the peer; no other does."""
    with Announcer(agent.path) as run, Sleeper() as child:
        run.announce("parent", pid=os.getppid())
        if os.getuid() == 0 or os.stat(f"/proc/{os.getppid()}").st_uid == os.getuid():
            assert os.getppid() == agent.the_run().root_pid
        with Announcer(agent.path) as other:
            other.announce("child", pid=child["pid"])
            assert child["pid"] == next(each.root_pid for each in agent.server.announcements() if each.run == "child")


ANOTHER_USER = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
said = b'{"costmeter": "announce/1", "run": "r-1", "pid": %d, "start_ticks": %d}\\n'
peer.sendall(said % tuple(map(int, sys.argv[2:4])))
print(peer.recv(100).decode(), end="", flush=True)
sys.stdin.read()
"""


def test_another_user_is_heard_as_himself(tmp_path: Path) -> None:
    """The same run id of two users is two runs, and nobody can name another's process as his first."""
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.stat().st_uid == 0:
            folder.chmod(folder.stat().st_mode | 0o055)
    with Agent(tmp_path / "agent.sock") as agent, Announcer(agent.path) as run:
        run.announce(**me())
        argv = [sys.executable, "-S", "-c", ANOTHER_USER, str(agent.path), *map(str, me().values())]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert '{"ok":true}\n' == other.stdout.readline()
            found = {each.uid: each for each in agent.server.announcements()}
            other.communicate(timeout=60)
    assert {0: os.getpid(), 65534: 0} == {uid: each.root_pid for uid, each in found.items()}


def test_a_run_whose_announcer_is_killed_goes_on_until_its_first_process_ends(agent: Agent) -> None:
    """A wrapper that is gone without a word leaves its run announced; when the command is gone too, interrupted."""
    sleeper = Sleeper()
    with sleeper as root:
        with Announcer(agent.path) as run:
            run.announce(**root)
            run.send(steps=3)
        eventually(lambda: agent.told or None, "progress")
        assert ["r-1"] == agent.runs
        assert [] == agent.gone
        sleeper.end()
        assert "interrupted" == agent.wait_until_gone().outcome
    assert [] == agent.runs


def test_a_wrapper_that_comes_back_is_the_same_run(agent: Agent) -> None:
    """After a lost connection the run is announced anew, and its end is the end."""
    with Sleeper() as root:
        with Announcer(agent.path) as run:
            run.announce(**root)
            first = agent.the_run()
        with Announcer(agent.path) as again:
            again.announce(**root, gpus=["GPU-a"])
            eventually(lambda: agent.the_run().uuids, "the second announcement")
            assert first.seen_utc_ns == agent.the_run().seen_utc_ns
            again.send(end={"outcome": "ok", "exit_code": 0})
            again.answer()
        assert ["ok"] == [each.outcome for each in agent.gone]


def test_of_two_who_announce_a_run_the_newer_speaks_and_it_ends_once_as_the_worst(agent: Agent) -> None:
    """A wrapper inside another one: what it says counts; when it has ended the outer one speaks again."""
    with Sleeper() as root, Announcer(agent.path) as outer, Announcer(agent.path) as inner:
        outer.announce(**me(), name="outer")
        inner.announce(**root, name="inner")
        assert ["inner", "inner"] == [each.name for each in agent.server.announcements()]
        inner.send(end={"exit_code": 1})
        inner.answer()
        eventually(lambda: agent.the_run().name == "outer" or None, "the outer run")
        assert [] == agent.gone
        outer.send(end={"exit_code": 0})
        outer.answer()
    assert [("failed", 1)] == [(each.outcome, each.exit_code) for each in agent.gone]


def test_a_greeting_and_the_state_that_comes_with_it_are_one(agent: Agent) -> None:
    """Who comes again after a restart is never seen without its devices: each change of holders is a slot's end."""
    with Announcer(agent.path) as run:
        greets, states = {"costmeter": "announce/1", "run": "r-1"}, {"phase": "eval", "gpus": ["GPU-a"]}
        seen: list[tuple[str, frozenset[str] | None]] = []
        agent.server._changed = lambda: seen.extend((e.phase, e.uuids) for e in agent.server.announcements())
        run.socket.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in (greets, states)))
        assert {"ok": True} == run.answer()
    assert [("eval", frozenset({"GPU-a"}))] == seen


def test_many_who_say_nothing_keep_nobody_out(agent: Agent) -> None:
    """Of those who connect and say nothing only so many are kept; the others are told so, and a place comes free."""
    silent = [Announcer(agent.path) for _ in range(MOST_SILENT_OF_A_USER + 20)]
    silent[0].socket.sendall(b'{"costmeter": ')
    assert "too many connections" in silent[-1].answer()["refused"]
    assert "nothing was announced within 5 s" in silent[0].answer()["refused"]
    with Announcer(agent.path) as run:
        assert {"ok": True} == run.announce()
    for each in silent:
        each.socket.close()


def test_a_thousand_connections_leave_no_descriptor(agent: Agent) -> None:
    """Who connects and goes, with or without a word, is forgotten."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1_000):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(agent.path))
        if number % 2:
            with contextlib.suppress(OSError):  # hung up on already
                peer.send(b"x\n")
        peer.close()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before or None, "closed connections")
    with Announcer(agent.path) as run:
        assert {"ok": True} == run.announce()


def test_a_flood_is_told_on_slowly_and_the_end_is_heard(agent: Agent) -> None:
    """Who says something new ten thousand times is heard at his pace; others are heard meanwhile, and so is his end."""
    stop = threading.Event()
    flooding = Announcer(agent.path)
    flooding.announce("flood")

    def flood() -> None:
        number = 0
        with contextlib.suppress(OSError):  # hung up
            while not stop.is_set():
                number += 1
                flooding.send(steps=number, phase=f"p{number % 7}", loss=0.5)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    eventually(lambda: agent.told or None, "progress")
    with Announcer(agent.path) as run:
        assert {"ok": True} == run.announce("calm")
        run.send(end={"exit_code": 0})
        run.answer()
    assert ["calm"] == [each.key[1] for each in agent.gone]
    assert len(agent.told) < 10
    stop.set()
    flooding.socket.shutdown(socket.SHUT_RDWR)
    flooding.socket.close()


def test_at_most_64_runs_of_a_user_are_announced(agent: Agent) -> None:
    """The sixty-fifth is refused and counted; when one has ended there is room."""
    runs, answers = [], []
    for number in range(65):
        runs.append(Announcer(agent.path))
        answers.append(runs[-1].announce(f"r-{number}", **me()))
    assert [{"ok": True}] * 64 == answers[:64]
    assert "too many runs are announced" in answers[64]["refused"]
    assert 1 == agent.server.dropped
    runs[0].send(end={})
    runs[0].answer()
    with Announcer(agent.path) as run:
        assert {"ok": True} == run.announce("r-64")
    for run in runs:
        run.socket.close()


def test_descriptors_that_are_sent_are_not_kept(agent: Agent) -> None:
    """A greeting that carries open files leaves none of them open here."""
    with Announcer(agent.path) as run:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(run.socket, [b'{"costmeter": "announce/1", "run": "r-1"}\n'], [0, 1, 2])
        assert {"ok": True} == run.answer()
        assert before + 1 >= len(os.listdir("/proc/self/fd"))


# The file


def test_everybody_may_connect_and_the_file_goes_with_the_server(tmp_path: Path) -> None:
    """0666 while it listens, gone afterwards; its folder is made where there is none."""
    path = tmp_path / "costmeter" / "agent.sock"
    with Agent(path):
        assert 0o666 == stat.S_IMODE(path.stat().st_mode)
    assert not path.exists()


def test_a_socket_of_an_agent_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    """Nobody listens at a file that was left behind: the next agent has it."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Agent(path) as agent, Announcer(path) as run:
        assert agent.is_listening
        assert {"ok": True} == run.announce()


def test_a_second_agent_leaves_the_first_its_socket(tmp_path: Path) -> None:
    """It warns, and when it ends the first one is still heard."""
    path = tmp_path / "agent.sock"
    with Agent(path) as first:
        with Agent(path) as second:
            assert not second.is_listening
            assert "another agent listens there" in second.warned[0]
        with Announcer(path) as run:
            assert {"ok": True} == run.announce()
        assert ["r-1"] == first.runs or first.the_run()


@pytest.mark.parametrize(
    ("expected", "spoil"),
    [
        pytest.param("a file that is no socket", "touch agent.sock", id="a-file"),
        pytest.param("chmod go-w", "chmod 0777 .", id="a-folder-for-all"),
        pytest.param("another user's", "chown 65534 .", id="a-folder-of-somebody"),
    ],
)
def test_where_no_socket_can_be_safe_there_is_none(tmp_path: Path, expected: str, spoil: str) -> None:
    """What is there is left alone, and the warning says what to do."""
    if spoil.startswith("chown") and os.getuid() != 0:
        pytest.skip("needs root to give a folder away")
    folder = tmp_path / "place"
    folder.mkdir()
    subprocess.run(spoil, shell=True, cwd=folder, check=True)
    with Agent(folder / "agent.sock") as agent:
        assert not agent.is_listening
        assert expected in agent.warned[0]


def test_a_folder_that_is_cleaned_gets_its_socket_again(tmp_path: Path) -> None:
    """Runs that were heard go on, runs that begin are heard, and it is told once."""
    folder = tmp_path / "costmeter"
    with Agent(folder / "agent.sock") as agent, Announcer(agent.path) as before:
        assert {"ok": True} == before.announce("r-before")
        shutil.rmtree(folder)
        eventually(lambda: agent.warned or None, "a new socket")
        assert 0o666 == stat.S_IMODE(agent.path.stat().st_mode)
        with Announcer(agent.path) as after:
            assert {"ok": True} == after.announce("r-after")
            assert ["r-after", "r-before"] == agent.runs
        assert agent.server.is_heard()
        assert ["it was made again, and runs that begin are heard"] == [each.split("; ")[1] for each in agent.warned]
    assert not agent.path.exists()


def test_a_socket_that_cannot_be_made_again_is_said_once(tmp_path: Path) -> None:
    """Where something else stands in its place nobody is heard until that is gone."""
    with Agent(tmp_path / "agent.sock") as agent:
        agent.path.unlink()
        agent.path.write_text("in the way")
        eventually(lambda: not agent.server.is_heard() or None, "a socket that is lost")
        assert ["there is a file that is no socket; move it away"] == [each.split(": ")[-1] for each in agent.warned]
        changes = agent.changes
        agent.path.unlink()
        eventually(lambda: agent.server.is_heard() or None, "a socket that is found")
        eventually(lambda: agent.changes > changes or None, "a word of it")
        assert 2 == len(agent.warned)


def test_whoever_announces_and_ends_for_ever_is_refused(agent: Agent) -> None:
    """Sixty-four at once and one a second; who is refused is told so, and is counted."""
    answers = []
    for number in range(80):
        with Announcer(agent.path) as run:
            answers.append(run.announce(f"r-{number}"))
            if "ok" in answers[-1]:
                run.send(end={"outcome": "ok"})
    assert [{"ok": True}] * 64 == answers[:64]
    refused = [each for each in answers if "refused" in each]
    assert "64 of a user at once, and then one a second" in refused[0]["refused"]
    assert len(refused) == agent.server.dropped


def test_a_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    """A Unix socket's name has at most 107 bytes."""
    with Agent(tmp_path / ("x" * 120)) as agent:
        assert not agent.is_listening
        assert "too long" in agent.warned[0]
