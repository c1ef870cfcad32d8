"""What the command gets: all that a plain exec by the same parent would have given it, and COSTMETER_* beside."""

import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.installed import PATIENCE_SECONDS, PYTHON
from tests.end_to_end.wrapped import RECORD, Wrapper, read_line, read_ready, rest, until

PR_SET_PDEATHSIG = 1
# Everything of a process that exec keeps and that Python does not change at its own start.
PROBE = """
import ctypes, json, os, resource, signal
held = sorted(int(name) for name in os.listdir("/proc/self/fd"))
death = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(death))
def opened(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(fd)
    except OSError:
        return None  # the listing itself
umask = os.umask(0)
print(json.dumps({
    "cwd": os.getcwd(), "umask": umask, "nice": os.nice(0), "group": os.getpgrp(), "session": os.getsid(0),
    "descriptors": [(fd, opened(fd)) for fd in held if opened(fd)], "affinity": sorted(os.sched_getaffinity(0)),
    "limits": [resource.getrlimit(number) for number in range(16)],
    "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 500, "death signal": death.value,
    "oom": open("/proc/self/oom_score_adj").read(), "user": [os.getuid(), os.getgid(), os.getgroups()],
}))
"""


def block(*numbers: signal.Signals) -> Callable[[], None]:
    def block_all() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    return block_all


def ignore(*numbers: signal.Signals) -> Callable[[], None]:
    def set_all() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return set_all


def unusual_limits() -> None:
    """Change everything that the probe looks at, so that equality is not equality of defaults."""
    os.umask(0o037)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 600))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    signal.setitimer(signal.ITIMER_REAL, 1000)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    Path("/proc/self/oom_score_adj").write_text("500")


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(None, id="plain"),
        pytest.param(ignore(signal.SIGINT), id="int-ignored"),
        pytest.param(ignore(signal.SIGHUP), id="hup-ignored"),
        pytest.param(ignore(signal.SIGCHLD), id="chld-ignored"),
        pytest.param(ignore(signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU), id="background"),
        pytest.param(ignore(signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH, signal.SIGCONT), id="forwarded-ignored"),
        pytest.param(block(signal.SIGTERM, signal.SIGCHLD, signal.SIGINT), id="blocked"),
    ],
)
def test_signal_state_is_as_found(wrapper: Wrapper, prepare: Callable[[], None] | None) -> None:
    """Mask, ignored and caught signals of the command are those under a plain exec by the same parent."""
    wrapped, bare = wrapper.both(["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"], preexec_fn=prepare)

    assert bare.decode() == wrapped.decode()
    assert bare.count(b"Sig") == 3


def test_the_process_state_is_as_found(wrapper: Wrapper, tmp_path: Path) -> None:
    """Folder, umask, nice, limits, affinity, timer, death signal and descriptors are those under a plain exec."""
    reading, writing = os.pipe()
    where = {"cwd": tmp_path, "pass_fds": (reading, writing), "preexec_fn": unusual_limits, "stdin": reading}
    wrapped, bare = (json.loads(text) for text in wrapper.both([*PYTHON, "-c", PROBE], **where))
    os.close(reading)
    os.close(writing)
    for state in (wrapped, bare):
        del state["group"], state["session"]  # two sessions; compared below
        state["descriptors"] = [entry for entry in state["descriptors"] if entry[0] != 1]  # two pipes

    assert bare == wrapped
    assert bare["timer"]
    assert bare["death signal"] == signal.SIGTERM
    assert len(bare["descriptors"]) >= 4


def test_group_and_session_are_ours(wrapper: Wrapper) -> None:
    """The command stays in the process group and the session of the wrapper."""
    process = wrapper.start([*PYTHON, "-c", PROBE])
    state = json.loads(process.communicate(timeout=PATIENCE_SECONDS)[0])

    assert state["group"] == process.pid == state["session"]


def test_no_descriptor_of_ours_leaks(wrapper: Wrapper) -> None:
    """The command sees exactly the descriptors that its parent left open."""
    wrapped, bare = wrapper.both(["sh", "-c", "ls /proc/$$/fd"])

    assert bare.split() == wrapped.split()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
def test_closed_streams_stay_closed(wrapper: Wrapper, closed: tuple[int, ...], tmp_path: Path) -> None:
    """With stdin, stdout or stderr closed the command starts, finds them closed and keeps its exit code."""

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    listing = tmp_path / "open"
    script = f"for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && seen=$seen$n; done; echo -$seen >{listing}; exit 3"
    expected = "-" + "".join(str(n) for n in range(3) if n not in closed)

    assert wrapper.start(["sh", "-c", script], preexec_fn=close, stderr=subprocess.PIPE).wait(PATIENCE_SECONDS) == 3
    assert expected == listing.read_text().strip()


@pytest.mark.parametrize(
    "locale",
    [
        pytest.param({}, id="no-locale"),
        pytest.param({"LANG": "C"}, id="lang-c"),
        pytest.param({"LC_CTYPE": "C"}, id="ctype-c"),
        pytest.param({"LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, id="ctype-utf8"),
        pytest.param({"ODD": "a=b\nc", "EMPTY": "", "BYTES": os.fsdecode(b"\xff\xfe")}, id="odd-values"),
    ],
)
def test_the_environment_is_as_found(wrapper: Wrapper, locale: dict[str, str]) -> None:
    """The environment differs by COSTMETER_* only; what Python puts into its own in the C locale is taken out."""
    kept = {name: value for name, value in wrapper.environ.items() if not name.startswith(("LC_", "LANG"))}
    wrapped, bare = wrapper.both(["env", "-0"], env={**kept, **locale})
    entries = wrapped.split(b"\0")
    added = [entry for entry in entries if entry.startswith(b"COSTMETER_")]

    assert bare.split(b"\0") == [entry for entry in entries if entry not in added]
    assert any(entry.startswith(b"COSTMETER_WRAPPER=") for entry in added)


@pytest.mark.parametrize("arguments", [["--", "-x", ""], ["--help"], ["a b", "$HOME", "*", "\udcff"]], ids=str)
def test_arguments_are_untouched(wrapper: Wrapper, arguments: list[str]) -> None:
    """Every argument after the first -- reaches the command byte for byte, further -- and options included."""
    wrapped, bare = wrapper.both(["printf", "[%s]", *arguments])

    assert bare == wrapped


def test_megabytes_pass_through_stdin(wrapper: Wrapper) -> None:
    """Data piped through the command arrive whole and unchanged."""
    data = os.urandom(1 << 20) * 8
    output, _ = wrapper.start(["cat"], stdin=subprocess.PIPE).communicate(data, timeout=PATIENCE_SECONDS)

    assert hashlib.sha256(data).digest() == hashlib.sha256(output).digest()


@pytest.mark.parametrize("stream", ["stdin", "other"])
def test_a_pipe_breaks_when_the_command_closes_it(wrapper: Wrapper, stream: str) -> None:
    """A producer meets a broken pipe when the command closes its end, though command and wrapper run on."""
    reading, writing = os.pipe()
    number = 0 if stream == "stdin" else reading
    program = f"import os, signal; os.close({number}); os.write(1, b'closed\\n'); signal.pause()"
    how = {"stdin": reading} if stream == "stdin" else {"pass_fds": (reading,)}
    process = wrapper.start([*PYTHON, "-c", program], **how)
    os.close(reading)
    assert read_line(process) == "closed"
    until(lambda: is_broken(writing), "the pipe is broken")
    os.close(writing)

    assert process.poll() is None


def is_broken(pipe: int) -> bool:
    try:
        os.write(pipe, b"x")
    except BrokenPipeError:
        return True
    return False


def test_a_reader_sees_the_end_when_the_command_closes_stdout(wrapper: Wrapper) -> None:
    """A reader gets its end of file when the command closes stdout, though command and wrapper run on."""
    process = wrapper.start([*PYTHON, "-c", "import os, signal; os.close(1); signal.pause()"])

    assert read_line(process) == ""
    assert process.poll() is None


def test_process_substitution_works(wrapper: Wrapper) -> None:
    """A configuration given as <(command) can be read by the command."""
    line = " ".join(f"'{word}'" for word in wrapper.around(["cat"]))
    process = wrapper.start_bare(["bash", "-c", f"{line} <(echo generated) <(echo twice)"])

    assert rest(process) == ["generated", "twice"]


def test_ignored_sigchld_keeps_the_exit_code(wrapper: Wrapper) -> None:
    """A parent that ignores SIGCHLD does not cost the wrapper the status of its child."""
    process = wrapper.start(["sh", "-c", "exit 3"], preexec_fn=ignore(signal.SIGCHLD))

    assert process.wait(PATIENCE_SECONDS) == 3


def test_the_parents_death_reaches_the_command(wrapper: Wrapper) -> None:
    """A command whose parent asked for its death (PR_SET_PDEATHSIG) dies with a wrapper killed by it."""

    def ask() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    process = wrapper.start(RECORD, preexec_fn=ask)
    read_ready(process)
    process.kill()

    assert rest(process) == []  # the end of its output is the end of the command, which waits for ever


def test_a_pending_alarm_ends_the_command(wrapper: Wrapper) -> None:
    """`alarm` before the exec, the old way to limit a run's time, ends the command by SIGALRM."""
    process = wrapper.start(["sleep", "600"], preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, 1.0) and None)

    assert process.wait(PATIENCE_SECONDS) == -signal.SIGALRM
