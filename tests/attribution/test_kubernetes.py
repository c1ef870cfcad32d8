"""Pods and their GPUs: the names of runs, and the names that device plugins give to devices."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.attribution.kubernetes import Pod, devices_of, is_gpu, run_id, uuids_in
from tests.attribution.nodes import GPU, NODE
from tests.samples import device, instances

BOARD = device(1)
INSTANCES = instances(BOARD, 3, 2, 2)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)
POD_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=253)


@pytest.mark.parametrize(
    ("expected", "namespace", "name"),
    [
        pytest.param("k8s-ml.train-0", "ml", "train-0", id="short"),
        pytest.param("k8s-ml-team.train.0", "ml-team", "train.0", id="points-and-hyphens"),
    ],
)
def test_a_pod_is_a_run(expected: str, namespace: str, name: str) -> None:
    """By namespace and name."""
    assert expected == run_id(Pod(namespace, name))


@given(st.tuples(NAMES, POD_NAMES), st.tuples(NAMES, POD_NAMES))
def test_two_pods_are_two_runs(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Names of any length that Kubernetes allows fit, and no two pods meet in one run."""
    first, second = run_id(Pod(*one)), run_id(Pod(*other))

    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", first)
    assert (one == other) == (first == second)


@pytest.mark.parametrize(
    ("expected", "resource"),
    [
        (True, "nvidia.com/gpu"),
        (True, "nvidia.com/gpu.shared"),
        (True, "nvidia.com/mig-1g.10gb"),
        (True, "nvidia.com/mig-3g.40gb.shared"),
        (False, "amd.com/gpu"),
        (False, "nvidia.com/gpumem"),
        (False, "nvidia.com/hostdev"),
        (False, "cpu"),
    ],
)
def test_resources_that_are_gpus(expected: bool, resource: str) -> None:
    """NVIDIA's GPUs and MIG instances, shared or not; nothing else."""
    assert expected == is_gpu(resource)


@pytest.mark.parametrize(
    ("expected", "named"),
    [
        pytest.param(GPU[1:2], [GPU[1]], id="uuid"),
        pytest.param(GPU[1:2], [f"{GPU[1]}::7"], id="a-replica"),
        pytest.param(GPU[:2], ["0", "1::0"], id="index"),
        pytest.param(GPU[2:3], ["nvidia2"], id="gke"),
        pytest.param(GPU[2:3], ["nvidia2/vgpu3"], id="gke-shared"),
        pytest.param((), ["nvidia9"], id="no-such-board"),
        pytest.param((), ["GPU-ffffffff-0000-4000-8000-000000000000", "", "gpu", "::1"], id="no-such-gpu"),
    ],
)
def test_a_name_leads_to_a_gpu(expected: tuple[str, ...], named: list[str]) -> None:
    """The ways in which device plugins name whole GPUs."""
    assert set(expected) == devices_of(NODE, named)


@pytest.mark.parametrize(
    ("expected", "named"),
    [
        pytest.param([1], [INSTANCES[1].uuid], id="uuid"),
        pytest.param([1], [f"{INSTANCES[1].uuid}::0"], id="a-replica"),
        pytest.param([2], ["nvidia1/gi3"], id="gke"),
        pytest.param([0, 1, 2], [BOARD.uuid], id="the-board"),
        pytest.param([], ["nvidia1/gi9"], id="no-such-instance"),
    ],
)
def test_a_name_leads_to_an_instance(expected: list[int], named: list[str]) -> None:
    """The ways in which device plugins name MIG instances."""
    assert {INSTANCES[place].uuid for place in expected} == devices_of((device(0), *INSTANCES), named)


def test_uuids_in_names() -> None:
    """What a driver of dynamic resource allocation calls a device may hold its UUID, or not."""
    uuid = "GPU-8f2c1d90-3e5a-4b17-9c2e-5da9abb51763"

    assert (uuid,) == uuids_in("gpu-0", f"k8s.gpu.nvidia.com/device={uuid}", uuid)
    assert () == uuids_in("gpu-0", "k8s.gpu.nvidia.com/claim=5b0e7ac2-gpu-0")
