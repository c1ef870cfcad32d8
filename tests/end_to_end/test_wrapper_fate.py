"""How the wrapper ends: as the command ended, to whoever looks."""

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.installed import PATIENCE_SECONDS, PYTHON
from tests.end_to_end.wrapped import RECORD, Wrapper, children_of, read_ready, rest

NO_NAMESPACES = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode != 0
needs_namespaces = pytest.mark.skipif(NO_NAMESPACES, reason="unshare --pid --mount-proc is not permitted here")
AS_PID_1 = ["unshare", "--pid", "--fork", "--mount-proc"]


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127, 128, 143, 255])
def test_the_exit_code_is_the_commands(wrapper: Wrapper, code: int) -> None:
    """A command's exit code is the wrapper's, those that look like a signal's or our own included."""
    assert code == wrapper.start(["sh", "-c", f"exit {code}"]).wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("name", ["KILL", "TERM", "HUP", "INT", "QUIT", "ABRT", "SEGV", "USR1", "PIPE", "ALRM"])
def test_death_by_signal_is_passed_on(wrapper: Wrapper, name: str) -> None:
    """A command killed by a signal leaves a wrapper killed by the same signal."""
    number = signal.Signals[f"SIG{name}"]

    assert -number == wrapper.start(["sh", "-c", f"kill -{name} $$"]).wait(PATIENCE_SECONDS)


def test_death_by_real_time_signal_is_passed_on(wrapper: Wrapper) -> None:
    """A signal without a name kills the wrapper as it killed the command."""
    number = signal.SIGRTMIN + 3
    command = [*PYTHON, "-c", f"import os; os.kill(os.getpid(), {number})"]

    assert -number == wrapper.start(command).wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("name", ["ABRT", "SEGV", "QUIT"])
def test_only_the_command_dumps_core(wrapper: Wrapper, name: str, tmp_path: Path) -> None:
    """The wrapper that dies by a core signal writes no core file, whatever the limit is."""

    def allow_cores() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    process = wrapper.start(["sh", "-c", f"kill -{name} $$"], cwd=tmp_path, preexec_fn=allow_cores)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 0  # reaped here, to see the whole status

    assert signal.Signals[f"SIG{name}"] == os.WTERMSIG(status)
    assert not os.WCOREDUMP(status)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("pyhton", ["pyhton: command not found"], id="not-found"),
        pytest.param("./nothing", ["./nothing: No such file or directory"], id="no-such-path"),
        pytest.param("", ["command not found"], id="empty-name"),
        pytest.param("./folder", ["./folder: Is a directory"], id="folder"),
        pytest.param("./plain", ["./plain: not executable", "chmod +x ./plain"], id="not-executable"),
        pytest.param("./plain.py", ["not executable", "costmeter run -- python ./plain.py"], id="python-script"),
        pytest.param("plain.py", ["command not found", "costmeter run -- python ./plain.py"], id="in-this-folder"),
        pytest.param("./no-interpreter", ["./no-interpreter: the interpreter named"], id="no-interpreter"),
        pytest.param("./dangling", ["./dangling: No such file or directory"], id="dangling-link"),
    ],
)
def test_what_cannot_start_is_told_as_by_a_shell(
    wrapper: Wrapper, command: str, words: list[str], tmp_path: Path
) -> None:
    """A command that cannot start gives a shell's 127 or 126, one line on stderr and nothing on stdout."""
    tmp_path.joinpath("folder").mkdir()
    tmp_path.joinpath("plain").write_text("true\n")
    tmp_path.joinpath("plain.py").write_text("pass\n")
    tmp_path.joinpath("dangling").symlink_to("nowhere")
    script = tmp_path / "no-interpreter"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    shell = subprocess.run(["bash", "-c", f"'{command}'"], cwd=tmp_path, capture_output=True, check=False)
    process = wrapper.start([command], cwd=tmp_path, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert shell.returncode == process.returncode
    assert output == b""
    assert errors.startswith(b"costmeter run: ")
    assert len(errors.splitlines()) == 1
    assert all(word in errors.decode() for word in words), errors


def test_a_path_folder_that_holds_no_program_is_passed_over(wrapper: Wrapper, tmp_path: Path) -> None:
    """The search goes on past a folder of that name, a file without x and a folder that is a file."""
    first, second, third = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    (first / "job").mkdir(parents=True)
    second.mkdir()
    (second / "job").write_text("exit 1\n")
    third.mkdir()
    (third / "job").write_text("#!/bin/sh\nexit 33\n")
    (third / "job").chmod(0o755)
    path = f"{first}:{second}:{second / 'job'}:{third}:{wrapper.environ['PATH']}"

    assert wrapper.start(["job"], env={**wrapper.environ, "PATH": path}).wait(PATIENCE_SECONDS) == 33


def test_a_script_without_interpreter_line_runs_by_sh(wrapper: Wrapper, tmp_path: Path) -> None:
    """An executable text without #! runs by /bin/sh with its arguments, as execvp(3) and shells do."""
    script = tmp_path / "job"
    script.write_text('echo "$0" "$@"\nexit 9\n')
    script.chmod(0o755)
    process = wrapper.start([str(script), "a b", "--", "-q"])

    assert rest(process) == [f"{script} a b -- -q"]
    assert process.returncode == 9


def test_a_bare_path_is_not_searched_without_path(wrapper: Wrapper) -> None:
    """Without PATH in the environment a command is looked for in the system's default folders."""
    environ = {name: value for name, value in wrapper.environ.items() if name != "PATH"}

    assert wrapper.start(["sh", "-c", "exit 4"], env=environ).wait(PATIENCE_SECONDS) == 4


def test_the_wrapper_does_not_wait_for_orphans(wrapper: Wrapper) -> None:
    """The wrapper ends with its command while a process the command left behind runs on."""
    program = "import os,time\nif os.fork() == 0:\n    time.sleep(600)\nos._exit(6)"
    reading, writing = os.pipe()
    process = wrapper.start([*PYTHON, "-c", program], stdout=writing)
    os.close(writing)

    assert process.wait(PATIENCE_SECONDS) == 6
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)  # no end of file: the orphan still holds the pipe
    os.close(reading)


@needs_namespaces
@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param("exit 3", 3, id="code"),
        pytest.param("kill -KILL $$", 137, id="kill"),
        pytest.param("kill -TERM $$", 143, id="term"),
        pytest.param("kill -ABRT $$", 134, id="abort"),
    ],
)
def test_as_pid_1_a_death_is_a_code(wrapper: Wrapper, script: str, code: int) -> None:
    """As the first process of a container the wrapper exits with the code, or with 128 + the signal."""
    assert code == wrapper.start_bare([*AS_PID_1, *wrapper.around(["sh", "-c", script])]).wait(PATIENCE_SECONDS)


@needs_namespaces
def test_as_pid_1_signals_reach_the_command(wrapper: Wrapper) -> None:
    """As pid 1 the wrapper passes on SIGTERM from outside, which would be lost on a command that is pid 1 itself."""
    process = wrapper.start_bare([*AS_PID_1, *wrapper.around(RECORD)])
    assert read_ready(process)[1] == 1
    (wrapper_pid,) = children_of(process.pid)
    os.kill(wrapper_pid, signal.SIGTERM)
    os.kill(wrapper_pid, signal.SIGWINCH)

    assert rest(process) == ["SIGTERM", "SIGWINCH"]
    assert process.returncode == 7


@needs_namespaces
def test_as_pid_1_kill_1_means_the_command(wrapper: Wrapper) -> None:
    """A process of the job that signals pid 1, as containers do to stop themselves, reaches the command."""
    program = f"import os,sys\nif os.fork():\n    os.execv(sys.executable, {RECORD!r})\n"
    program += "sys.stdin.readline()\nos.kill(1, 15)\nos.kill(1, 28)\n"
    command = [*AS_PID_1, *wrapper.around([*PYTHON, "-c", program])]
    process = wrapper.start_bare(command, stdin=subprocess.PIPE)
    read_ready(process)
    assert process.stdin is not None
    process.stdin.write(b"now\n")
    process.stdin.close()
    process.stdin = None

    assert rest(process) == ["SIGTERM", "SIGWINCH"]
    assert process.returncode == 7
