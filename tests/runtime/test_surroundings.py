"""What the doctor says of what a run stands in: the port, the disk, and the scheduler's variables."""

import socket
from pathlib import Path

import pytest

from costmeter.runtime.finding import Finding
from costmeter.runtime.surroundings import HOST, PORT, surroundings


def said(tmp_path: Path, **environ: str) -> list[Finding]:
    return list(surroundings({"XDG_STATE_HOME": str(tmp_path / "not" / "there"), **environ}))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, [], id="no-scheduler"),
        pytest.param(
            {"SLURM_JOB_ID": "812"},
            [("warn", "Slurm job 812: CUDA_VISIBLE_DEVICES is not set, so every GPU of the node counts as held")],
            id="slurm-without-gpus",
        ),
        pytest.param(
            {"SLURM_JOB_ID": "812", "SLURM_JOB_GPUS": "2,3"},
            [("ok", "Slurm job 812: holds SLURM_JOB_GPUS=2,3")],
            id="slurm-with-an-allocation",
        ),
        pytest.param(
            {"SLURM_JOB_ID": "812", "CUDA_VISIBLE_DEVICES": "0,1"},
            [("ok", "Slurm job 812: holds CUDA_VISIBLE_DEVICES=0,1")],
            id="slurm-with-gpus",
        ),
        pytest.param(
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
            [("ok", "Kubernetes pod: the GPUs that the pod sees are the ones it holds")],
            id="pod",
        ),
    ],
)
def test_a_scheduler_is_recognised(tmp_path: Path, environ: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """In a job of a scheduler it is said which GPUs count as held; a Slurm job without GPUs of its own is a warning."""
    found = [(f.verdict, f.text) for f in said(tmp_path, **environ) if f.text.startswith(("Slurm", "Kubernetes"))]
    assert expected == found


def test_a_taken_port_is_a_warning(tmp_path: Path) -> None:
    """While somebody listens on the default port it is said that --listen will take another."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, PORT))
        except OSError:
            pass  # somebody else has it already, which is as good
        else:
            taken.listen()
        (port,) = [finding for finding in said(tmp_path) if f"port {PORT}" in finding.text]
    assert ("warn", f"port {PORT} is in use; --listen takes a free one then") == (port.verdict, port.text)
    assert str(PORT) in port.fix


def test_a_state_directory_that_is_not_there_yet_has_the_space_of_its_parent(tmp_path: Path) -> None:
    """A disk with room says nothing, also before the first run has made the directory."""
    assert [] == [finding for finding in said(tmp_path) if "MB are free" in finding.text]
