"""The helpers of a training script, against a real socket: what they send, and what they never do."""

import ast
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import costmeter
from costmeter import notify
from tests.end_to_end.installed import uncovered

ROOT = Path(__file__).parent.parent


class Meter:
    """The other end: a socket, and the last state that came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))

    def heard(self) -> list[dict[str, str]]:
        """All that came since the last look, each datagram by key."""
        states: list[dict[str, str]] = []
        while True:
            try:
                text = self.socket.recv(65_536).decode()
            except BlockingIOError:
                return states
            states.append(dict(line.split("=", 1) for line in text.split("\n")))


@pytest.fixture(name="meter")
def _meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    meter = Meter(tmp_path / "s")
    monkeypatch.setenv(notify.VARIABLE, str(meter.path))
    yield meter
    meter.socket.close()


@pytest.fixture(name="always")
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is long enough after the one before."""
    monkeypatch.setattr(notify, "_PERIOD_NS", 0)


class Tensor:
    """A value that computes, as a tensor does when it is asked."""

    def __init__(self, value: float) -> None:
        self.value, self.asked = value, 0

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        self.asked += 1
        return self.value


class Refusing:
    """A value that raises when it is asked, as a tensor on a lost GPU does."""

    def __int__(self) -> int:
        raise RuntimeError("CUDA error")

    def __float__(self) -> float:
        raise RuntimeError("CUDA error")

    def __str__(self) -> str:
        raise RuntimeError("CUDA error")


@pytest.mark.usefixtures("always")
def test_a_step_says_everything(meter: Meter) -> None:
    """Steps given or counted, tokens, loss and target; a later call keeps what it does not name."""
    costmeter.step(1200, tokens=98_304_000, loss=2.5, of=12_400)
    costmeter.step()
    costmeter.step(Tensor(1300), loss=Tensor(2.25))

    assert meter.heard() == [
        {"STEP": "1200", "TOKENS": "98304000", "LOSS": "2.5", "OF": "12400"},
        {"STEP": "1201", "TOKENS": "98304000", "LOSS": "2.5", "OF": "12400", "FROM": "1199"},
        {"STEP": "1300", "TOKENS": "98304000", "LOSS": "2.25", "OF": "12400", "FROM": "1199"},
    ]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("loss", [float("nan"), float("inf"), Refusing(), "no number"])
def test_a_loss_that_is_none_is_not_told(meter: Meter, loss: float) -> None:
    """Neither is the step held up, nor the caller."""
    costmeter.step(1, loss=2.0)
    costmeter.step(2, loss=loss)

    assert meter.heard()[-1] == {"STEP": "2", "LOSS": "2.0", "FROM": "0"}


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("value", [-1, 10**15 + 1, 10**30, Refusing(), "x", float("nan")])
def test_a_count_that_is_none_is_not_told(meter: Meter, value: int) -> None:
    """Counts below zero, beyond any meaning, or none at all."""
    costmeter.step(7)
    costmeter.step(value, tokens=value, of=value)

    assert meter.heard() == [{"STEP": "7"}]


def test_where_a_count_began_is_told(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the second count, whatever of the counts is told; a loop that lets us count began at nothing."""
    for n in range(1_100, 2_000, 100):
        costmeter.step(n, tokens=n * 8)
    monkeypatch.setattr(notify, "_PERIOD_NS", 0)
    costmeter.step(2_000, tokens=16_000)
    last = meter.heard()[-1]
    other = Meter(meter.path.with_name("t"))
    monkeypatch.setenv(notify.VARIABLE, str(other.path))
    costmeter.step()
    (counted,) = other.heard()
    other.socket.close()

    assert (last["FROM"], last["FROM_TOKENS"]) == ("1000", "8000")
    assert counted == {"FROM": "0", "STEP": "1"}


def test_steps_are_told_together(meter: Meter) -> None:
    """Of steps that follow each other within 50 ms the first is told; a loss is asked for only then."""
    loss = Tensor(1.0)
    for _ in range(100):
        costmeter.step(loss=loss)
    told = meter.heard()

    assert len(told) < 100
    assert told[0]["STEP"] == "1"
    assert loss.asked == len(told)


@pytest.mark.usefixtures("always")
def test_phases_are_gone_back_to(meter: Meter) -> None:
    """Within each other, and by an exception, which passes."""
    with costmeter.phase("eval"), pytest.raises(KeyError), costmeter.phase("decode\n\x1b" + 100 * "x"):
        raise KeyError
    phases = [state["PHASE"] for state in meter.heard()]

    assert phases == ["eval", ("decode" + 100 * "x")[:64], "eval", ""]


@pytest.mark.usefixtures("always")
def test_a_phase_decorates(meter: Meter) -> None:
    """A function is a phase each time it runs; its value is its own."""

    @costmeter.phase("eval")
    def evaluate(depth: int) -> int:
        return evaluate(depth - 1) + 1 if depth else 0

    assert evaluate(1) == 1
    assert [state["PHASE"] for state in meter.heard()] == ["eval", ""]


@pytest.mark.usefixtures("always")
def test_the_end_of_a_checkpoint_is_told(meter: Meter) -> None:
    """With its step; one that fails is none, and is not taken for one."""
    costmeter.step(40)
    with pytest.raises(TimeoutError), costmeter.phase("checkpoint"):
        raise TimeoutError
    failed = meter.heard()[-1]
    with costmeter.phase("checkpoint"):
        pass
    costmeter.checkpoint(60)

    assert (failed["CHECKPOINT"], failed["PHASE"]) == ("none", "")
    assert [state["CHECKPOINT"] for state in meter.heard()] == ["none", "40", "60"]


@pytest.mark.usefixtures("always")
def test_a_stop_is_seen(meter: Meter) -> None:
    """A file beside the socket asks for it; that the run looks is told once."""
    assert not costmeter.stop_requested()
    Path(f"{meter.path}.stop").touch()

    assert costmeter.stop_requested()
    assert meter.heard() == [{"STOPS": "1"}]


@pytest.mark.parametrize("whose", ["file", "folder"])
def test_a_request_of_somebody_else_is_none(whose: str) -> None:
    """Only this user and root may end the run: a file of another one, or in another one's folder, asks for nothing."""
    if os.getuid() != 0:
        pytest.skip("needs root to give files away")
    # All is loaded before: the folder of a checkout may be closed to others.
    script = "import costmeter.notify, os, socket; os.setuid(1000); print(costmeter.notify.stop_requested())"

    def is_asked(path: str) -> bool:
        run = [sys.executable, "-c", script]
        environ = {**uncovered(os.environ), notify.VARIABLE: path}
        done = subprocess.run(run, env=environ, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout == "True\n"

    with tempfile.TemporaryDirectory(prefix="costmeter-") as folder:
        request = Path(folder, "s.stop")
        request.touch()
        for path in (folder, str(request)):
            os.chown(path, 1000, -1)
        Path(folder).chmod(0o755)
        assert is_asked(f"{folder}/s")

        os.chown(request if whose == "file" else folder, 65534, -1)
        assert not is_asked(f"{folder}/s")


def test_it_loads_on_an_older_python() -> None:
    """The file has nothing that Python 3.8 cannot read, and no annotation is evaluated: it raises nothing there."""
    source = Path(notify.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))

    assert any(isinstance(each, ast.ImportFrom) and each.module == "__future__" for each in tree.body)
    ast.parse(Path(costmeter.__file__).read_text(), feature_version=(3, 8))


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket named, without one there, or with a name that can be none, nothing happens."""
    for path in (None, "", str(tmp_path / "none"), "x" * 5_000, str(tmp_path)):
        monkeypatch.delenv(notify.VARIABLE, raising=False)
        if path is not None:
            monkeypatch.setenv(notify.VARIABLE, path)
        costmeter.step(1, loss=1.0)
        with costmeter.phase("eval"):
            costmeter.checkpoint()
        assert not costmeter.stop_requested()


@pytest.mark.usefixtures("always")
def test_what_was_not_taken_is_said_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is made only after the first call hears the whole state with the next one."""
    monkeypatch.setenv(notify.VARIABLE, str(tmp_path / "later"))
    costmeter.step(5, of=10)
    with costmeter.phase("eval"):
        meter = Meter(tmp_path / "later")
        costmeter.stop_requested()
        assert meter.heard() == [{"STEP": "5", "OF": "10", "PHASE": "eval", "STOPS": "1"}]
    meter.socket.close()


@pytest.mark.usefixtures("always")
def test_a_meter_that_does_not_read_holds_up_nobody(meter: Meter) -> None:
    """Thousands of calls into a socket whose queue is full return; the last state comes when there is room again."""
    for n in range(5_000):
        costmeter.step(n)
    meter.heard()
    costmeter.step(5_000)

    assert meter.heard()[-1]["STEP"] == "5000"


@pytest.mark.usefixtures("always")
def test_threads_may_call(meter: Meter) -> None:
    """Eight threads count 100 steps each: none is lost."""

    def count() -> None:
        for _ in range(100):
            costmeter.step()

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.heard()
    costmeter.step()

    assert meter.heard()[-1]["STEP"] == "801"


def test_the_last_state_gets_out(meter: Meter) -> None:
    """Of a process that steps faster than it may tell, the last step is told at its end; a fork of it tells nothing."""
    script = """
import os, costmeter
for _ in range(1000): costmeter.step()
if os.fork() == 0: raise SystemExit
os.wait()
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=dict(os.environ), timeout=60)

    assert [state["STEP"] for state in meter.heard()].count("1000") == 1


def test_a_fork_in_the_middle_of_a_call_goes_on(meter: Meter) -> None:
    """A child forked while another thread holds the lock is not held up by it."""
    script = """
import os, threading, costmeter
from costmeter import notify
from tests.end_to_end.installed import uncovered
costmeter.step(1)
held, done = threading.Event(), threading.Event()
def hold():
    with notify._sender().lock:
        held.set(); done.wait()
thread = threading.Thread(target=hold); thread.start(); held.wait()
pid = os.fork()
if pid == 0:
    with costmeter.phase("child"): pass
    os._exit(0)
os.waitpid(pid, 0); done.set()
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=dict(os.environ), timeout=60)

    assert "child" in [state.get("PHASE") for state in meter.heard()]


def test_importing_costs_nothing() -> None:
    """`import costmeter` loads no other module, and `costmeter.step` none but what it needs."""
    script = """
import sys; before = set(sys.modules)
import costmeter
print(*sorted(set(sys.modules) - before))
costmeter.step()
print(*sorted(set(sys.modules) - before))
print(hasattr(costmeter, "nothing"))
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COSTMETER_", "COVERAGE_"))}
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environ, timeout=60, capture_output=True, text=True)
    at_import, at_first_use, has_anything = done.stdout.splitlines()

    assert at_import == "costmeter"
    assert "costmeter.notify" in at_first_use.split()
    assert not {"dataclasses", "socket", "json", "costmeter.clock"} & set(at_first_use.split())
    assert has_anything == "False"
