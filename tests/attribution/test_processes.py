"""What /proc says of processes: real ones, ones that vanish, and files that no kernel of ours has written."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from costmeter.attribution.processes import UNREADABLE, Processes
from costmeter.attribution.slurm import Step
from costmeter.readings import Missing
from tests.end_to_end.installed import eventually, uncovered

Start = Callable[..., subprocess.Popen[str]]
#: Says that it is there, and waits until its input is closed.
WAIT = "print('up', flush=True); import sys; sys.stdin.read()"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python with some code and waits until it says something; all are ended and reaped after the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(code: str = WAIT, user: int | None = None, **environ: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-Sc", code],
            env=uncovered(os.environ) | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=user,
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline()
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def test_a_process_is_seen_as_it_is(start: Start) -> None:
    """Pid, start, user, name, and parents up to the first process."""
    pid = start().pid
    [found] = Processes().look([pid]).values()

    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert (pid, int(stat[19]), os.getuid()) == (found.pid, found.start_ticks, found.uid)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == found.name
    assert os.getpid() == found.ancestors[0][0]
    assert 1 == found.ancestors[-1][0]
    assert all(f":{path}\n" in Path(f"/proc/{pid}/cgroup").read_text() for path in found.cgroups)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        pytest.param("r-one", "r-one", id="a-run"),
        pytest.param("x" * 64, "x" * 64, id="the-longest"),
        pytest.param("", "x" * 65, id="too-long"),
        pytest.param("", "r one", id="a-blank"),
        pytest.param("", "r\nrun_id", id="a-line"),
        pytest.param("", "..", id="points"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_environment_names_the_run(expected: str, value: str, start: Start) -> None:
    """Only what has the form of a run's name is taken for one."""
    pid = start(COSTMETER_RUN_ID=value, NOT_COSTMETER_RUN_ID="other").pid

    assert expected == Processes().look([pid])[pid].run


def test_a_large_environment_is_read(start: Start) -> None:
    """The name is found behind a hundred kilobytes of something else."""
    pid = start(A_LOT="x" * 100_000, COSTMETER_RUN_ID="r-one", B_LOT="y" * 100_000).pid

    assert "r-one" == Processes().look([pid])[pid].run


def test_who_is_gone_is_left_out(start: Start) -> None:
    """A process that ended, one that is dead and not reaped, and one that never was."""
    ended, dead = start(), start("print('bye')")
    ended.communicate()
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)

    assert {} == Processes().look([ended.pid, dead.pid, 2**31 - 1, 0])


def test_a_process_is_its_start_too(start: Start) -> None:
    """The very process lives until it ends; another with its pid is another."""
    child, processes = start(), Processes()
    [found] = processes.look([child.pid]).values()

    assert processes.is_alive(found.identity)
    assert not processes.is_alive((found.pid, found.start_ticks + 1))
    child.communicate()
    assert not processes.is_alive(found.identity)


def test_another_program_is_looked_at_anew(start: Start) -> None:
    """A process that becomes another program has its environment."""
    code = (
        "import os, sys; print('up', flush=True); sys.stdin.readline();"
        "os.execve('/bin/sleep', ['sleep', '60'], {'COSTMETER_RUN_ID': 'r-two'})"
    )
    child, processes = start(code, COSTMETER_RUN_ID="r-one"), Processes()
    assert "r-one" == processes.look([child.pid])[child.pid].run

    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    environment = Path(f"/proc/{child.pid}/environ")
    eventually(lambda: b"r-two" in environment.read_bytes() or None, "the other program")
    assert "r-two" == processes.look([child.pid])[child.pid].run


# Files as a kernel may write them


def written(folder: Path, pid: int, parent: int, name: str = "python", uid: int = 1000, **files: bytes) -> None:
    """The files of one process, with a start of ten times its pid."""
    place = folder / str(pid)
    place.mkdir()
    fields = ["S", str(parent), *["0"] * 17, str(pid * 10), *["0"] * 30]
    (place / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (place / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
    for file, text in ({"environ": b"", "cmdline": b"", "cgroup": b"0::/\n"} | files).items():
        (place / file).write_bytes(text)


TITLE = b"slurmstepd: [123.0]\0\0\0"


@pytest.mark.parametrize(
    ("expected", "uid", "title", "cgroup"),
    [
        pytest.param(Step(123, "0"), 0, TITLE, b"0::/\n", id="by-title"),
        pytest.param(None, 1000, TITLE, b"0::/\n", id="a-user's-own-title"),
        pytest.param(None, 0, b"/usr/sbin/slurmstepd\0", b"0::/\n", id="without-a-job"),
        pytest.param(Step(7, "1"), 0, TITLE, b"5:cpu:/slurm/uid_1/job_7/step_1\n0::/\n", id="the-group-first"),
    ],
)
def test_slurm_is_found_above(expected: Step | None, uid: int, title: bytes, cgroup: bytes, tmp_path: Path) -> None:
    """Where no control group says it, root's slurmstepd above a process names its step."""
    written(tmp_path, 1, 0, "init", 0)
    written(tmp_path, 5, 1, "slurmstepd", uid, cmdline=title)
    written(tmp_path, 6, 5, "sh")
    written(tmp_path, 9, 6, cgroup=cgroup)
    processes = Processes(folder=str(tmp_path))

    for _ in range(2):  # the second time from memory
        assert expected == processes.look([9])[9].step


@pytest.mark.parametrize("name", ["a) S 1 (b", "( )", "tmux: server", ""])
def test_a_name_may_hold_anything(name: str, tmp_path: Path) -> None:
    """Parentheses and blanks in a name shift no field."""
    written(tmp_path, 9, 0, name)

    [found] = Processes(folder=str(tmp_path)).look([9]).values()
    assert (name, 90, ()) == (found.name, found.start_ticks, found.ancestors)


def test_a_knot_of_parents_ends(tmp_path: Path) -> None:
    """Two processes that seem to be each other's parents, as when a pid is used again meanwhile, hang nobody."""
    written(tmp_path, 8, 9)
    written(tmp_path, 9, 8)

    assert 9 == Processes(folder=str(tmp_path)).look([9])[9].pid


@pytest.mark.parametrize("missing", ["stat", "status"])
def test_a_process_that_goes_while_it_is_read_is_left_out(missing: str, tmp_path: Path) -> None:
    """Half a process is none."""
    written(tmp_path, 9, 0)
    (tmp_path / "9" / missing).unlink()

    assert {} == Processes(folder=str(tmp_path)).look([9])


def test_a_process_whose_memory_is_locked_is_not_waited_for(tmp_path: Path) -> None:
    """What does not answer in time is a reason, and everything else of the process is known."""
    written(tmp_path, 9, 0, environ=b"COSTMETER_RUN_ID=r-one\0")
    [found] = Processes(patiently=lambda ask: None, folder=str(tmp_path)).look([9]).values()

    assert isinstance(found.run, Missing)
    assert (9, 1000) == (found.pid, found.uid)


def test_few_that_are_locked_are_waited_for(tmp_path: Path) -> None:
    """A hundred processes that do not answer cost four waits; when they are gone, others are asked again."""
    asked: list[int] = []
    processes = Processes(patiently=lambda ask: asked.append(1), folder=str(tmp_path))
    for pid in range(2, 103):
        written(tmp_path, pid, 0)
    for _ in range(3):
        assert 100 == len(processes.look(range(2, 102)))
    assert 4 == len(asked)

    processes.look([])
    processes.look([102])
    assert 5 == len(asked)


def test_another_users_environment_is_missing_with_its_reason(start: Start) -> None:
    """Without privileges parents, user and control groups are seen, and the environment is not."""
    if os.getuid() != 0:
        pytest.skip("only root can be two users")
    code = (
        "import os, sys; sys.path.insert(0, os.environ['ROOT']);"
        "from costmeter.attribution.processes import Processes;"
        "os.setuid(65534); found = Processes().look([int(os.environ['PID'])]).popitem()[1];"
        "print(found.uid, len(found.ancestors) > 0, found.run)"
    )
    root = str(Path(__file__).parents[2])
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=uncovered(os.environ) | {"PID": str(start(COSTMETER_RUN_ID="r-one").pid), "ROOT": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert f"0 True {UNREADABLE}\n" == answer.stdout


def test_nothing_is_kept_of_who_is_gone(tmp_path: Path) -> None:
    """A thousand processes, one after another, leave one in memory."""
    processes = Processes(folder=str(tmp_path))
    for pid in range(2, 1_002):
        written(tmp_path, pid, 0)
        assert [pid] == list(processes.look([pid]))

    assert 1 == len(processes._known)
