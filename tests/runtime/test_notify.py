"""The socket of a run against real processes: who is heard, how often it is told on, and what is left afterwards."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.meter.progress import Progress
from costmeter.runtime.events import Told
from costmeter.runtime.notify import CUT_AGAIN_NS, CUTS_AT_ONCE, PERIOD_NS, SETTLED_NS, Notify, Pace
from costmeter.runtime.notifypath import LONGEST, announce, notify_path
from costmeter.runtime.progress import State
from tests.end_to_end.installed import eventually

MILLISECOND = 1_000_000


class Run:
    """A socket that listens, and what it has told."""

    def __init__(self, path: Path, reached: Callable[[], int | None] = lambda: None) -> None:
        self.path = path
        self.told: list[Told] = []
        self.warned: list[str] = []
        self.notify = Notify(str(path), RealClock(), self.told.append, self.warned.append, reached)
        self.notify.start()

    def wait(self) -> None:
        """Until it listens, or said why not."""
        eventually(lambda: True if self.path.exists() or self.warned else None, "the socket")

    def say(self, text: str) -> None:
        """From this process."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), str(self.path))

    def close(self) -> None:
        self.notify.close(10)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "costmeter" / "r.1.sock")
    run.wait()
    yield run
    run.close()


def test_what_is_told_last_is_told_on(run: Run) -> None:
    """A job that ends right after its last message has it counted; socket and stop file are gone then."""
    Path(run.notify.stop_path).touch()
    run.say("STEP=5\nSTOPS=1")
    run.say("STEP=7\nPHASE=eval\nCHECKPOINT=7\nSTOPS=1")
    eventually(lambda: run.notify.can_stop or None, "the message")
    run.close()

    assert (run.told[-1].phase, run.told[-1].progress) == ("eval", Progress(7, from_steps=3))
    assert any(told.has_saved for told in run.told)
    assert list(run.path.parent.iterdir()) == []


def test_a_process_tells_from_outside(run: Run) -> None:
    """One that uses the helpers, in an environment that names the socket."""
    script = "import costmeter\nwith costmeter.phase('eval'): costmeter.step(3, of=4)"
    environ = {**os.environ, "COSTMETER_NOTIFY": str(run.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environ, timeout=60)
    run.close()

    assert run.told[-1].progress == Progress(3, of_steps=4, from_steps=3)


def test_the_socket_is_private(run: Run) -> None:
    """Nobody else may send: 0600, in a folder of 0700."""
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700


def test_another_user_is_not_heard(run: Run) -> None:
    """A message of another uid changes nothing, even where it could be sent."""
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    for path in (run.path.parent, *run.path.parent.parents[:-1]):
        path.chmod(0o755) if path.stat().st_uid == 0 and path != Path("/tmp") else None
    run.path.chmod(0o666)
    script = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'STEP=99', sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(run.path)], check=True, timeout=60)
    run.say("STEP=1")
    run.close()

    assert run.told[-1].progress == Progress(1, from_steps=1)


def test_a_flood_is_survived(run: Run) -> None:
    """Four threads send garbage and state as fast as they can: the thread lives, tells little, and hears the last."""
    stop = threading.Event()

    def flood() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            while not stop.is_set():
                for text in (b"PHASE=%d" % id(stop), b"\xff" * 4_000, b"x" * 60_000, b"STEP=1", b""):
                    try:
                        sender.sendto(text, str(run.path))
                    except OSError:
                        continue

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: run.told or None, "anything")
    stop.set()
    for thread in threads:
        thread.join()
    run.say("STEP=12")
    run.close()

    assert run.told[-1].progress == Progress(12)
    assert len(run.told) < 200


def test_descriptors_that_are_sent_are_not_kept(run: Run) -> None:
    """A message that carries open files leaves none of them open here."""
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(run.path))
        for _ in range(20):
            socket.send_fds(sender, [b"STEP=4"], [0, 1, 2])
    eventually(lambda: run.told or None, "the message")

    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_socket_nobody_reads_is_removed(tmp_path: Path) -> None:
    """Of a meter that was killed, with its request to stop; what may be of one that lives stays."""
    folder = tmp_path / "costmeter"
    folder.mkdir(mode=0o700)
    living = Run(folder / "a.1.sock")
    living.wait()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "b.2.sock"))
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name in ("b.2.sock", f"b.{gone.pid}.sock", f"b.{os.getpid()}.sock", "c.3.sock"):
        (folder / f"{name}.stop").touch()

    new = Run(folder / "c.3.sock")
    new.wait()

    assert sorted(path.name for path in folder.iterdir()) == [
        "a.1.sock",
        f"b.{os.getpid()}.sock.stop",
        "c.3.sock",
        "c.3.sock.stop",
    ]
    new.close()
    living.close()


@pytest.mark.parametrize("how", ["link", "open to others", "a file"])
def test_a_folder_that_is_not_ours_alone_is_not_used(tmp_path: Path, how: str) -> None:
    """Progress is not taken there, and it is said why; nothing else happens."""
    folder = tmp_path / "costmeter"
    if how == "link":
        folder.symlink_to(tmp_path)
    elif how == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    run = Run(folder / "r.1.sock")
    run.wait()
    run.close()

    assert len(run.warned) == 1
    assert str(folder) in run.warned[0]
    assert not run.told


def test_no_socket_is_named() -> None:
    """Without a path nothing is started, and ending it is nothing."""
    told: list[Told] = []
    warned: list[str] = []
    idle = Notify("", RealClock(), told.append, warned.append)
    idle.start()
    idle.close(1)

    assert (idle.can_stop, told, warned) == (False, [], [])


def test_an_earlier_part_is_asked_for(tmp_path: Path) -> None:
    """What an earlier part reached is known before the first message is heard."""
    run = Run(tmp_path / "s", reached=lambda: 100)
    run.wait()
    run.say("STEP=40")
    run.close()

    assert (run.told[-1].redone, run.told[-1].resumed) == (True, (40, 100))


def test_a_phase_is_told_as_of_its_beginning() -> None:
    """A change is told once it has settled, as of when it was seen; one that is over by then was none."""
    pace = Pace(0)
    training = State("training", Progress(1))
    assert pace.due(training, 1_000 * MILLISECOND) is None
    told = pace.due(training, 1_000 * MILLISECOND + SETTLED_NS)
    assert told == Told(1_000 * MILLISECOND, "training", Progress(1))

    assert pace.due(State("eval", Progress(1)), 2_000 * MILLISECOND) is None
    assert pace.is_settling
    assert pace.due(training, 2_001 * MILLISECOND) is None
    assert not pace.is_settling


def test_steps_are_told_once_a_second() -> None:
    """A thousand steps in ten seconds make ten."""
    pace = Pace(0)
    told = [pace.due(State("", Progress(step)), step * 10 * MILLISECOND) for step in range(1, 1_001)]

    assert sum(each is not None for each in told) == 10_000 * MILLISECOND // PERIOD_NS


def test_phases_without_end_do_not_fill_the_journal() -> None:
    """A job that changes its phase ten times a second for an hour: some at once, then one every half minute."""
    pace, told = Pace(0), []
    hour_ns = 3_600_000 * MILLISECOND
    for at_ns in range(0, hour_ns, SETTLED_NS):
        state = State(f"phase {at_ns // (100 * MILLISECOND) % 2}", Progress(at_ns // MILLISECOND))
        told.append(pace.due(state, at_ns))
    phases = [each.phase for each in told if each is not None]
    changes = sum(before != after for before, after in pairwise(phases))

    assert changes <= CUTS_AT_ONCE + hour_ns // CUT_AGAIN_NS
    assert len(phases) > 3_000


@pytest.mark.parametrize(
    ("runtime", "run_id", "expected"),
    [
        pytest.param("{tmp}", "r-abc", "{tmp}/costmeter/r-abc.77.sock", id="runtime-directory"),
        pytest.param("", "r-abc", "/tmp/costmeter-{uid}/r-abc.77.sock", id="none"),
        pytest.param("run", "r-abc", "/tmp/costmeter-{uid}/r-abc.77.sock", id="relative"),
        pytest.param("/no/such/folder", "r-abc", "/tmp/costmeter-{uid}/r-abc.77.sock", id="absent"),
        pytest.param("{tmp}", "y" * 64, "{tmp}/costmeter/4492a58b.77.sock", id="long"),
    ],
)
def test_where_the_socket_is(tmp_path: Path, runtime: str, run_id: str, expected: str) -> None:
    """In the user's runtime directory; else in /tmp. A long name is its CRC-32."""
    folder = tmp_path / ("d" * max(0, 40 - len(str(tmp_path))))
    folder.mkdir(exist_ok=True)
    found = notify_path({"XDG_RUNTIME_DIR": runtime.format(tmp=folder)}, run_id, 77)

    assert len(found) <= LONGEST
    assert found == expected.format(tmp=folder, uid=os.getuid())


def test_a_runtime_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    """`sudo` passes it on; one that others may write to is nobody's own."""
    tmp_path.chmod(0o777)

    assert notify_path({"XDG_RUNTIME_DIR": str(tmp_path)}, "r", 1) == f"/tmp/costmeter-{os.getuid()}/r.1.sock"


def test_a_request_of_a_killed_meter_is_not_this_runs(tmp_path: Path) -> None:
    """A container that is started anew has the same pid and run id: what its last meter asked for is gone."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert announce(environ, "r", 1) == ""
    left = Path(f"{environ['COSTMETER_NOTIFY']}.stop")
    left.touch()

    assert announce(environ, "r", 1) == ""
    assert not left.exists()
    assert stat.S_IMODE(left.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["link", "file", "open to others", "somebody else's"])
def test_a_folder_that_others_may_write_to_is_not_named(tmp_path: Path, how: str) -> None:
    """The job hears of no socket, not even of one around it, and it is said why."""
    folder = tmp_path / "costmeter"
    if how == "link":
        folder.symlink_to(tmp_path)
    elif how == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777 if how == "open to others" else 0o755)
    if how == "somebody else's":
        if os.getuid() != 0:
            pytest.skip("needs root to give a folder away")
        os.chown(folder, 65534, 65534)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "COSTMETER_NOTIFY": "/of/another"}

    assert announce(environ, "r", 1) == f"{folder}/r.1.sock: the folder is not this user's own"
    assert "COSTMETER_NOTIFY" not in environ


def test_a_path_too_long_is_not_used(tmp_path: Path) -> None:
    """A runtime directory whose name alone is too long for a socket: /tmp."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    assert notify_path({"XDG_RUNTIME_DIR": str(deep)}, "r", 1) == f"/tmp/costmeter-{os.getuid()}/r.1.sock"


def test_the_path_is_named_before_anything_is_loaded() -> None:
    """Naming the socket before the job loads no module that is not there already."""
    script = """
import sys, json, os; before = set(sys.modules)
from costmeter.runtime.notifypath import announce
announce({}, "r", 1)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)

    assert {name for name in json.loads(answer.stdout) if not name.startswith("costmeter")} <= {"collections.abc"}
