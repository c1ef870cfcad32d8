"""Progress through the installed command: what a job says is in the journal and the receipt, resumed or not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.bulk import load_run
from costmeter.ledger.query import Part, Run
from tests.end_to_end.installed import COSTMETER, EXAMPLES, PATIENCE_SECONDS, eventually, own_home, receipt
from tests.end_to_end.test_examples import need

TRAIN = str(EXAMPLES / "pytorch" / "train.py")
RUN = "r-progress"


@pytest.fixture(name="home")
def _home() -> Iterator[dict[str, str]]:
    with own_home() as environment:
        yield {**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COSTMETER_RUN_ID": RUN}


def metered(folder: Path, command: list[str], *options: str) -> list[str]:
    return [COSTMETER, "run", "--simulate", "healthy", "--json", str(folder / "receipt.json"), *options, "--", *command]


def finish(argv: list[str], home: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=home, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def recorded(home: dict[str, str]) -> Run:
    return load_run(Path(home["XDG_STATE_HOME"], "costmeter"), RUN)


def training(folder: Path, epochs: int, *options: str) -> list[str]:
    return [sys.executable, TRAIN, "--epochs", str(epochs), "--checkpoint", str(folder / "c.pt"), *options]


def reached(home: dict[str, str]) -> int:
    """The steps told so far, in the journal of a run that goes on."""
    try:
        part = recorded(home).parts[-1]
    except Exception:  # not there yet
        return 0
    return part.progress.steps or 0 if part.progress else 0


def of(part: Part) -> dict[str, Any]:
    assert part.progress is not None
    return {"steps": part.progress.steps, "of": part.progress.of_steps, "phases": set(part.phases)}


def test_a_training_tells_its_phases(home: dict[str, str], tmp_path: Path) -> None:
    """Three epochs of the PyTorch example, 1,438 digits in batches of 64: 69 steps, phases, checkpoints, unit costs."""
    need("sklearn", "torch")
    ended = finish(metered(tmp_path, training(tmp_path, 3)), home, tmp_path)
    assert ended.returncode == 0, ended.stderr
    (part,) = recorded(home).parts
    found = receipt(tmp_path / "receipt.json")

    assert of(part)["steps"] == of(part)["of"] == 69  # 23 batches an epoch
    assert "training" in of(part)["phases"] <= {"training", "eval", "checkpoint"}  # the others last milliseconds here
    assert 1 <= part.checkpoints <= 3
    assert part.saved is not None
    assert not part.redone.quantities.nanoseconds
    assert found["progress"]["steps"] == 69
    assert Decimal(found["progress"]["cost_per_step"]) * 69 == pytest.approx(Decimal(found["cost"]["total"]))
    assert sum(map(Decimal, found["cost"]["phases"].values())) == Decimal(found["cost"]["total"])
    assert not list(Path(home["XDG_RUNTIME_DIR"], "costmeter").glob("*.sock"))


def test_a_killed_training_does_work_again(home: dict[str, str], tmp_path: Path) -> None:
    """Meter and training are killed with SIGKILL; --resume from the first checkpoint begins behind where they were.

    The steps since the checkpoint are redone, and the journal says from where to where the run went back.
    """
    need("sklearn", "torch")
    argv = metered(tmp_path, training(tmp_path, 100_000, "--batch-size", "1"))  # 1,440 steps an epoch
    with subprocess.Popen(argv, env=home, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True) as run:
        first = eventually(lambda: (tmp_path / "c.pt").read_bytes() if (tmp_path / "c.pt").exists() else None, "one")
        saved_at = reached(home)
        eventually(lambda: reached(home) > saved_at + 3_000 or None, "steps beyond it")
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(PATIENCE_SECONDS)
    (tmp_path / "c.pt").write_bytes(first)  # whatever was saved in the moment before the kill
    before = recorded(home).parts[0]
    assert before.progress is not None
    assert before.progress.steps is not None

    argv = metered(tmp_path, training(tmp_path, before.progress.steps // 1_440 + 2, "--batch-size", "1", "--resume"))
    ended = finish(argv, home, tmp_path)
    assert ended.returncode == 0, ended.stderr
    _, after = recorded(home).parts

    assert "resumed after epoch" in ended.stdout
    (mark,) = [mark for mark in after.milestones if mark.kind == "resume"]
    assert mark.what.endswith(f", after {before.progress.steps:,}")
    assert after.redone.cost > 0
    assert after.redone.cost < sum((totals.cost for totals in after.phases.values()), Decimal(0))


SHELL = """
import os, socket, sys
said = "\\n".join(sys.argv[1:]).encode()
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(said, os.environ["COSTMETER_NOTIFY"])
"""


def test_a_shell_tells_without_the_package(home: dict[str, str], tmp_path: Path) -> None:
    """A process of a moment for each message: the meter knows the phase and the steps."""
    script = f"""
    while [ ! -S "$COSTMETER_NOTIFY" ]; do sleep 0.05; done
    tell() {{ {sys.executable} -c "$SENDER" "$@"; }}
    tell STEP=1 OF=4 PHASE=eval; sleep 0.3; tell STEP=4 OF=4 TOKENS=2000000
    """
    ended = finish(metered(tmp_path, ["bash", "-c", script]), {**home, "SENDER": SHELL}, tmp_path)
    assert ended.returncode == 0, ended.stderr
    (part,) = recorded(home).parts

    assert part.progress is not None
    assert (part.progress.steps, part.progress.tokens) == (4, 2_000_000)
    assert "eval" in part.phases


@pytest.mark.parametrize("how", ["a file", "somebody else's"])
def test_a_folder_that_cannot_be_used_costs_only_progress(home: dict[str, str], tmp_path: Path, how: str) -> None:
    """A warning, and the job runs and is metered as ever; it hears of no place where others could ask it to stop."""
    folder = Path(home["XDG_RUNTIME_DIR"], "costmeter")
    if how == "a file":
        folder.touch()
    else:
        if os.getuid() != 0:
            pytest.skip("needs root to give a folder away")
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    script = "import costmeter, os; costmeter.step(5); print(os.environ.get('COSTMETER_NOTIFY'))"
    ended = finish(metered(tmp_path, [sys.executable, "-c", script]), home, tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "None\n")
    assert 1 == ended.stderr.count("progress cannot be told to this meter")
    assert receipt(tmp_path / "receipt.json")["progress"]["steps"] is None


def test_a_wrapper_within_a_wrapper_hands_the_socket_on(home: dict[str, str], tmp_path: Path) -> None:
    """The inner one passes through: what its job says is heard by the outer one."""
    job = [sys.executable, "-c", "import costmeter, time; time.sleep(1); costmeter.step(5)"]
    ended = finish(metered(tmp_path, [COSTMETER, "run", "--", *job]), home, tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert receipt(tmp_path / "receipt.json")["progress"]["steps"] == 5
