"""Real processes on simulated GPUs: listed by the driver's own calls while they live."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.config import yamlfile
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated.opening import open_library

SCENARIO = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    processes: [{pid: 5001, memory: 1 GiB}]
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    mig: [{profile: 3g.40gb}, {profile: 4g.40gb}]
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    with subprocess.Popen([sys.executable, "-Sc", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NvmlSource]:
    """The simulated driver, opened as the meter opens it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    scenario = tmp_path / "node.yaml"
    scenario.write_text(SCENARIO)
    clock = RealClock()
    opened = NvmlSource(clock, open_library(str(scenario), yamlfile.load, clock))
    opened.open()
    yield opened
    opened.close()


def use(tmp_path: Path, gpu: str, name: object) -> None:
    """Say that a process uses a GPU, as any script may."""
    folder = tmp_path / "costmeter" / "processes" / gpu
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(name)).touch()


def test_a_process_is_listed_while_it_lives(child: subprocess.Popen[bytes], source: NvmlSource, tmp_path: Path) -> None:
    """Beside those of the scenario, from its file to its end, reaped or not."""
    [board, *_] = [device.uuid for device in source.seek()]
    assert (5001,) == source.processes(board)

    use(tmp_path, "0", child.pid)
    use(tmp_path, "0", os.getpid())
    assert {5001, child.pid, os.getpid()} == set(source.processes(board))  # type: ignore[arg-type]

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert {5001, os.getpid()} == set(source.processes(board))  # type: ignore[arg-type]


def test_an_instance_has_processes_of_its_own(source: NvmlSource, tmp_path: Path) -> None:
    """A process of one MIG instance is none of its neighbour's, nor of another board's."""
    use(tmp_path, "1:1", os.getpid())

    assert [(5001,), (), (os.getpid(),)] == [source.processes(device.uuid) for device in source.seek()]


@pytest.mark.parametrize("name", ["x", "-1", "0", "2147483647", "99999999999", "1.json", "²"])
def test_a_name_of_no_process_is_passed_over(name: str, source: NvmlSource, tmp_path: Path) -> None:
    """What is in the folder otherwise changes nothing."""
    use(tmp_path, "0", name)

    assert (5001,) == source.processes(source.seek()[0].uuid)
