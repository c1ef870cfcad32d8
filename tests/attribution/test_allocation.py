"""What Slurm's variables say of the GPUs of a job: the node's own numbers, whatever the driver shows."""

import pytest

from costmeter.attribution import visible
from tests.attribution.test_visible import MIG_NODE, NODE, shown

STEP = {"SLURM_STEP_ID": "0", "SLURM_NODEID": "1"}


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        pytest.param("1 2", {"SLURM_JOB_GPUS": "1,2"}, id="a-job"),
        pytest.param("1 2 3", {"SLURM_JOB_GPUS": "1-3"}, id="a-range"),
        pytest.param("3", {"SLURM_JOB_GPUS": "2,3", "SLURM_STEP_GPUS": "3"}, id="a-step-has-less-than-its-job"),
        pytest.param("0", {"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": "0"}, id="cudas-variable-says-more"),
        pytest.param("", {"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": ""}, id="and-none-is-none"),
        pytest.param("0 1 2 3", {"SLURM_JOB_GPUS": ""}, id="an-empty-list-says-nothing"),
        pytest.param("0 1 2 3", {"SLURM_JOB_GPUS": "gpu:a100"}, id="nor-does-what-nobody-understands"),
        pytest.param("0 1 2 3", {"SLURM_JOB_GPUS": "4,5,6,7"}, id="the-driver-shows-the-jobs-own-alone"),
        pytest.param("0 1 2 3", {"SLURM_JOB_GPUS": "8"}, id="none-of-that-number-is-there"),
        pytest.param(
            "0 1",
            STEP | {"SLURM_STEP_GPUS": "0,1", "CUDA_VISIBLE_DEVICES": "0", "SLURM_STEP_TASKS_PER_NODE": "1,2(x3)"},
            id="one-task-meters-for-two",
        ),
        pytest.param(
            "0",
            STEP | {"SLURM_STEP_GPUS": "0,1", "CUDA_VISIBLE_DEVICES": "0", "SLURM_STEP_TASKS_PER_NODE": "2,1"},
            id="one-task-meters-for-itself",
        ),
    ],
)
def test_an_allocation_is_what_is_held(expected: str, environ: dict[str, str]) -> None:
    """Where CUDA's variable says nothing; or where it says what one task of several sees."""
    assert expected.split() == shown(visible.held(NODE, None, environ))


def test_of_a_board_in_mig_mode_all_instances_are_held() -> None:
    """Slurm numbers boards here."""
    assert ["1:0", "1:1", "1:2"] == shown(visible.held(MIG_NODE, None, {"SLURM_JOB_GPUS": "1"}))


@pytest.mark.parametrize(
    ("expected", "gpus"),
    [
        pytest.param([], "1,2", id="as-it-should-be"),
        pytest.param([], "4,5,6,7", id="the-drivers-own-numbers"),
        pytest.param(["SLURM_JOB_GPUS=8, and the driver has no such GPU; all 4 are counted"], "8", id="another-number"),
        pytest.param(["SLURM_JOB_GPUS: no GPU 9 on this node; see: nvidia-smi -L"], "1,9", id="one-is-missing"),
        pytest.param(
            ["SLURM_JOB_GPUS=0,1,2,3,4, but the driver shows 4 here; only those are counted"], "0-4", id="too-few"
        ),
    ],
)
def test_what_may_be_otherwise_is_said(expected: list[str], gpus: str) -> None:
    """An allocation that the driver's list does not bear out is told with what is done about it."""
    assert expected == visible.doubts(NODE, None, {"SLURM_JOB_GPUS": gpus})


def test_an_allocation_is_counted_without_a_driver() -> None:
    """What is paid for is known from the list alone."""
    assert 3 == visible.count(None, {"SLURM_JOB_GPUS": "0,4-5"}, 8)


def test_what_others_occupy_is_left_out_where_nobody_says_what_is_held() -> None:
    """And only there."""
    occupied = {NODE[1].uuid}
    assert ["0", "2", "3"] == shown(visible.held(NODE, None, {}, occupied))
    assert ["0", "1", "2", "3"] == shown(visible.held(NODE, "all", {}, occupied))
