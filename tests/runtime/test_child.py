"""What a caller of the child's modules relies on; the fates and signals of real commands are in tests/end_to_end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from costmeter.runtime.child import descriptor_named

ROOT = Path(__file__).parents[2]


def run(program: str, *arguments: str) -> dict[str, object]:
    """What a program that uses the modules in a process of its own prints as JSON on stderr."""
    words = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    answer: dict[str, object] = json.loads(done.stderr)
    return answer


START = """
import errno, json, os, resource, signal, sys, threading, time
from costmeter.runtime import child
from costmeter.runtime.child import SpawnFailed, spawn

def state():
    lines = open("/proc/self/status").read().splitlines()
    return {k: v for k, v in (line.split(":", 1) for line in lines) if k in ("SigBlk", "SigIgn")}

def tell(**values):
    print(json.dumps(values), file=sys.stderr)
"""


def test_spawn_and_reap_are_instants_around_the_run() -> None:
    """The two instants are on the boot clock, in order, and within the life of the caller."""
    answer = run(
        START
        + """
before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
started = spawn(["true"], dict(os.environ))
status, reaped = started.wait()
tell(ordered=before <= started.spawned_ns < reaped <= time.clock_gettime_ns(time.CLOCK_BOOTTIME), status=status)
"""
    )

    assert answer == {"ordered": True, "status": 0}


@pytest.mark.parametrize(("command", "code"), [("nothing-of-that-name", 127), ("/etc", 126)])
def test_a_failed_start_leaves_no_trace(command: str, code: int) -> None:
    """After SpawnFailed the caller has no child, no open pipe, and its signals as before."""
    answer = run(
        START
        + """
before, descriptors = state(), os.listdir("/proc/self/fd")
try:
    spawn([sys.argv[1]], dict(os.environ))
except SpawnFailed as failed:
    code = failed.exit_code
try:
    os.waitpid(-1, 0)
    children = True
except ChildProcessError:
    children = False
tell(code=code, same=before == state() and descriptors == os.listdir("/proc/self/fd"), children=children)
""",
        command,
    )

    assert answer == {"code": code, "same": True, "children": False}


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param("resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))", id="no-pipe"),
        pytest.param("def refuse(): raise OSError(errno.EAGAIN, 'refused')\nos.fork = refuse", id="no-process"),
    ],
)
def test_limits_leave_a_plain_exec(refusal: str) -> None:
    """Where no pipe or process can be made, spawn says so with an OSError, and the command can still be exec'd."""
    program = (
        START
        + refusal
        + """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
before = state()
try:
    spawn(["true"], dict(os.environ))
except OSError as fault:
    tell(errno=errno.errorcode[fault.errno], same=before == state())
child.exec_through(["sh", "-c", "exit 0"], dict(os.environ))
"""
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0
    assert json.loads(done.stderr)["same"] is True
    assert json.loads(done.stderr)["errno"] in ("EMFILE", "EAGAIN")


def test_every_signal_is_told() -> None:
    """`heard` is told each signal that came, forwarded or not, and an error in it ends nothing."""
    answer = run(
        START
        + """
heard = []
def note(number):
    heard.append(number)
    raise ValueError("not your problem")
started = spawn(["sleep", "600"], dict(os.environ))
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGTERM)
status, _ = started.wait(heard=note)
tell(heard=heard, died_by=os.WTERMSIG(status))
"""
    )

    assert answer == {"heard": [2, 15], "died_by": 15}


def test_another_thread_may_signal_the_child() -> None:
    """`send` from a thread ends the child, and says no once it is reaped."""
    answer = run(
        START
        + """
started = spawn(["sleep", "600"], dict(os.environ))
threading.Thread(target=started.send, args=(signal.SIGUSR1,)).start()
status, _ = started.wait()
tell(died_by=os.WTERMSIG(status), again=started.send(signal.SIGTERM))
"""
    )

    assert answer == {"died_by": 10, "again": False}


def test_a_child_reaped_by_others_ends_the_wait() -> None:
    """When something else in the process has taken the child's status, the wait ends with our own failure's code."""
    answer = run(
        START
        + """
started = spawn(["true"], dict(os.environ))
os.waitpid(started.pid, 0)
status, _ = started.wait()
tell(code=os.WEXITSTATUS(status))
"""
    )

    assert answer == {"code": 125}


def test_what_lives_on_is_listed() -> None:
    """After the child's end its orphans that still run are listed, their children too, and zombies are not."""
    answer = run(
        START
        + """
reading, writing = os.pipe()
gate, opened = os.pipe()
for fd in (writing, gate):
    os.set_inheritable(fd, True)
script = f"sh -c 'sleep 600 & echo $$ $! >&{writing}; wait' & read line <&{gate}"
started = spawn(["sh", "-c", script], dict(os.environ))
listed = sorted(int(word) for word in os.read(reading, 100).split())
os.write(opened, b"go\\n")
started.wait()
found = sorted(started.orphans())
for pid in found:
    os.kill(pid, signal.SIGKILL)
tell(same=found == listed, count=len(found))
"""
    )

    assert answer == {"same": True, "count": 2}


def test_our_descriptors_are_our_own() -> None:
    """Once the command runs, this process holds no inherited descriptor but stderr, and /dev/null for the others."""
    answer = run(
        START
        + """
inherited = os.open("/etc/hostname", os.O_RDONLY)
os.set_inheritable(inherited, True)
ours = os.open("/etc/hostname", os.O_RDONLY)
spawn(["sleep", "0"], dict(os.environ)).wait()
held = {name: os.readlink(f"/proc/self/fd/{name}") for name in ("0", "1")}
try:
    os.fstat(inherited)
    gone = False
except OSError:
    gone = True
tell(held=held, gone=gone, kept=os.read(ours, 1) != b"", inheritable=os.get_inheritable(0))
"""
    )

    assert answer == {"held": {"0": "/dev/null", "1": "/dev/null"}, "gone": True, "kept": True, "inheritable": False}


def test_what_we_are_to_write_to_is_kept() -> None:
    """A descriptor named in `keep`, where the caller will write a result, stays open in this process."""
    answer = run(
        START
        + """
reading, writing = os.pipe()
os.set_inheritable(writing, True)
spawn(["sleep", "0"], dict(os.environ), keep=[1, writing]).wait()
tell(kept=os.write(writing, b"x") == 1, stdout=os.readlink("/proc/self/fd/1") != "/dev/null")
"""
    )

    assert answer == {"kept": True, "stdout": True}


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/63", 63),
        ("/proc/self/fd/3", 3),
        ("/dev/fd/x", None),
        ("/dev/null", None),
        ("out.json", None),
        ("63", None),
    ],
)
def test_a_path_may_name_a_descriptor(path: str, number: int | None) -> None:
    """The shell's names for open descriptors are known, and no other path is taken for one."""
    assert number == descriptor_named(path)


SLOW_IMPORTS = {
    "dataclasses",
    "typing",
    "subprocess",
    "logging",
    "inspect",
    "threading",
    "argparse",
    "contextlib",
}


def test_the_launch_imports_nothing_slow() -> None:
    """Starting a child loads none of the modules that would spend the launch budget."""
    program = "import sys, os\nfrom costmeter.runtime import child\nchild.spawn(['true'], dict(os.environ)).wait()\n"
    program += "loaded = set(sys.modules)\nimport json\nprint(json.dumps(sorted(loaded)), file=sys.stderr)"
    words = [sys.executable, "-S", "-c", program]  # -S: an editable install loads modules of its own
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert SLOW_IMPORTS & set(json.loads(done.stderr)) == set()
