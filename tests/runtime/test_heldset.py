"""What a run holds that nobody told what it holds: not what another user computes on."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from costmeter.readings import Missing
from costmeter.runtime.heldset import HeldSet
from tests.samples import device

NODE = (device(0, uuid="GPU-a"), device(1, uuid="GPU-b"), device(2, uuid="GPU-c"))
STRANGER = "import os, sys; os.setgid(65534); os.setuid(65534); print(flush=True); sys.stdin.read()"


@pytest.fixture(name="stranger")
def _stranger() -> Iterator[int]:
    """The pid of another user's process."""
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    argv = [sys.executable, "-S", "-c", STRANGER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def held(
    listed: dict[str, tuple[int, ...] | Missing], environ: dict[str, str], gpus: str | None = None
) -> list[object]:
    """The indices that are held, and the warnings."""
    warned: list[str] = []
    found = HeldSet(gpus, environ, os.getuid(), lambda uuid: listed.get(uuid, ()), warned.append).of(NODE)
    return [*(each.index for each in found), *warned]


def test_a_gpu_on_which_another_user_computes_is_not_held(stranger: int) -> None:
    """It is named with its user and what to type; our own process, one that is gone and a refusal take nothing away."""
    listed: dict[str, tuple[int, ...] | Missing] = {
        "GPU-a": (os.getpid(), 2**22),
        "GPU-b": (os.getpid(), stranger),
        "GPU-c": Missing("refused"),
    }
    user = subprocess.run(["id", "-nu", "65534"], capture_output=True, text=True, check=True).stdout.strip()
    advice = "it is not counted. To count all:  --gpus all"
    assert [0, 2, f"GPU 1 is in use by {user} (pid {stranger}); {advice}"] == held(listed, {})


@pytest.mark.parametrize(
    ("gpus", "environ"),
    [
        pytest.param("1", {}, id="by-flag"),
        pytest.param(None, {"CUDA_VISIBLE_DEVICES": "1"}, id="by-variable"),
        pytest.param(None, {"SLURM_JOB_GPUS": "1"}, id="by-allocation"),
    ],
)
def test_what_is_told_to_be_held_is_held(stranger: int, gpus: str | None, environ: dict[str, str]) -> None:
    """Whoever else is there: the GPU is paid for."""
    assert [1] == held({"GPU-b": (stranger,)}, environ, gpus)


def test_who_comes_later_changes_nothing(stranger: int) -> None:
    """When the driver is opened anew the same GPUs are held."""
    listed: dict[str, tuple[int, ...]] = {}
    asked = HeldSet(None, {}, os.getuid(), lambda uuid: listed.get(uuid, ()), pytest.fail)
    assert NODE == asked.of(NODE)
    listed["GPU-b"] = (stranger,)
    assert NODE == asked.of(NODE)


def test_a_driver_that_refuses_takes_nothing_away() -> None:
    """An error of ours or the driver's is no reason to hold less."""

    def failing(uuid: str) -> tuple[int, ...]:
        raise OSError(uuid)

    assert NODE == HeldSet(None, {}, os.getuid(), failing, pytest.fail).of(NODE)
