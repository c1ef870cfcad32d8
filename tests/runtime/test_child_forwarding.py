"""The rule that decides whether a signal is passed on, case by case."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from costmeter.runtime import lineage
from costmeter.runtime.signals import is_forwarded

SI_USER, SI_QUEUE, SI_KERNEL, SI_TKILL = 0, -1, 0x80, -6
NOBODY = 0  # the pid of a sender outside our namespace


def heard(number: int, code: int = SI_USER, sender: int = NOBODY) -> signal.struct_siginfo:
    """A signal as sigwaitinfo(2) describes it."""
    return signal.struct_siginfo((number, code, 0, sender, 0, 0, 0))


@pytest.fixture
def child() -> Iterator[int]:
    """A process below this one."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("policy", ["auto", "always", "never"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGCHLD])
def test_some_are_never_forwarded(policy: str, number: int, child: int) -> None:
    """SIGINT and SIGCHLD are not forwarded under any policy."""
    assert not is_forwarded(policy, heard(number), child, in_slurm_step=False)


@pytest.mark.parametrize("code", [SI_USER, SI_QUEUE, SI_TKILL])
@pytest.mark.parametrize("name", ["TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH", "ALRM", "RTMIN"])
def test_what_a_process_sends_is_forwarded(name: str, code: int, child: int) -> None:
    """Under auto a signal of a process outside the job is forwarded, however it was sent."""
    assert is_forwarded("auto", heard(signal.Signals[f"SIG{name}"], code), child, in_slurm_step=False)


@pytest.mark.parametrize("name", ["HUP", "QUIT", "WINCH", "CONT", "ALRM", "XCPU"])
def test_what_the_kernel_sends_is_not(name: str, child: int) -> None:
    """Under auto a signal of the terminal, a timer or a limit is not forwarded by a wrapper that leads no session."""
    assert os.getsid(0) != os.getpid()
    assert not is_forwarded("auto", heard(signal.Signals[f"SIG{name}"], SI_KERNEL), child, in_slurm_step=False)


@pytest.mark.parametrize(("policy", "expected"), [("always", True), ("never", False)])
@pytest.mark.parametrize("code", [SI_USER, SI_KERNEL])
def test_a_fixed_policy_asks_no_sender(policy: str, expected: bool, code: int, child: int) -> None:
    """`always` and `never` hold for every sender."""
    assert is_forwarded(policy, heard(signal.SIGTERM, code, child), child, in_slurm_step=True) is expected


def test_what_the_job_sends_is_not_returned_to_it(child: int) -> None:
    """A signal that the child or a process below it sent to its group is not sent back to it."""
    assert not is_forwarded("auto", heard(signal.SIGTERM, sender=child), child, in_slurm_step=False)
    assert is_forwarded("auto", heard(signal.SIGTERM, sender=os.getpid()), child, in_slurm_step=False)


def test_only_a_stopped_child_is_continued(child: int) -> None:
    """SIGCONT is forwarded to a stopped child, and not to one that `fg` has continued already."""
    assert not is_forwarded("auto", heard(signal.SIGCONT), child, in_slurm_step=False)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)

    assert is_forwarded("auto", heard(signal.SIGCONT), child, in_slurm_step=False)


@pytest.mark.parametrize(
    ("name", "in_step", "expected"),
    [
        pytest.param("TERM", False, False, id="term-reaches-all"),
        pytest.param("TERM", True, False, id="term-in-step"),
        pytest.param("USR1", False, True, id="usr1-to-batch-script"),
        pytest.param("USR1", True, False, id="usr1-in-step"),
    ],
)
def test_slurm_reaches_the_child_itself(
    name: str, in_step: bool, expected: bool, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What slurmstepd sends to every process of a job or a step is not forwarded; the rest is."""
    monkeypatch.setattr(lineage, "command_name", lambda _pid: "slurmstepd")
    number = signal.Signals[f"SIG{name}"]

    assert is_forwarded("auto", heard(number, sender=os.getpid()), child, in_step) is expected
