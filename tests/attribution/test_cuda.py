"""CUDA_VISIBLE_DEVICES as CUDA reads it: forms, where a list ends, CUDA's own count of GPUs, and what is told of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.attribution import visible
from costmeter.readings import Device
from tests.samples import device, instances

ALIKE = tuple(
    device(index, uuid=uuid)
    for index, uuid in enumerate(("GPU-8932f937-d72c", "GPU-8932aaaa-0001", "GPU-1c2d3e4f-0002", "GPU-77770000-0003"))
)
#: By speed: GPU 1, then 0 and 3 alike, then 2.
MIXED = (
    device(0, "NVIDIA A100-SXM4-80GB", speed=6_912 * 1_410),
    device(1, "NVIDIA H100 80GB HBM3", speed=16_896 * 1_980),
    device(2, "Tesla P100-PCIE-16GB", speed=3_584 * 1_328),
    device(3, "NVIDIA A100-SXM4-80GB", speed=6_912 * 1_410),
)
#: Board 1 is in MIG mode; its instances are listed last first.
MIG_NODE = (
    device(0, "NVIDIA A100-SXM4-80GB"),
    *reversed(instances(device(1, "NVIDIA A100-SXM4-80GB"), 3, 2, 1)),
    *instances(device(2, "NVIDIA A100-SXM4-80GB"), 7),
)


def held(node: tuple[Device, ...], variable: str, order: str | None = None) -> list[str]:
    """The held devices: `1` for a board, `1:0` for an instance of it."""
    found = visible.held(node, None, environ(variable, order))
    return [f"{each.index}:{each.mig.place}" if each.mig else str(each.index) for each in found]


def told(node: tuple[Device, ...], variable: str, order: str | None = None) -> list[str]:
    return visible.doubts(node, None, environ(variable, order))


def environ(variable: str, order: str | None) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": variable} | ({} if order is None else {"CUDA_DEVICE_ORDER": order})


@pytest.mark.parametrize(
    ("expected", "variable"),
    [
        pytest.param("", "", id="empty-is-none"),
        pytest.param("", "-1", id="minus-one-is-none"),
        pytest.param("", "NoDevFiles", id="no-device-files"),
        pytest.param("", "all", id="all-is-no-word-of-cudas"),
        pytest.param("2", "2", id="one"),
        pytest.param("3 0", "3,0", id="in-its-order"),
        pytest.param("1 2", " 1 , 2 ", id="blanks"),
        pytest.param("1 0", "1,0,1", id="without-repeats"),
        pytest.param("0 2", "0,2,-1,1", id="ends-at-a-negative"),
        pytest.param("0", "0,9,1", id="ends-at-a-gpu-that-is-not-there"),
        pytest.param("0", "0,,1", id="ends-at-an-empty-entry"),
        pytest.param("3 2", "3,2,two,1", id="ends-at-a-word"),
        pytest.param("", "one,two,3", id="begins-with-a-word"),
        pytest.param("1 2", "1gpu2,2ampere", id="what-follows-a-number-is-ignored"),
        pytest.param("2 3 0 1", "2, +3, -0, 1", id="signs"),
        pytest.param("1", "0000000000001", id="leading-zeros"),
        pytest.param("0", "0-3", id="a-range-is-its-first-number"),
        pytest.param("", "+-1", id="two-signs"),
        pytest.param("", "4294967296", id="a-number-beyond-32-bits"),
        pytest.param("", "²", id="a-superscript-is-no-number"),
        pytest.param("", "٣", id="an-arabic-digit-is-no-number"),
        pytest.param("2", "GPU-1c2d3e4f-0002", id="uuid"),
        pytest.param("2", "gpu-1C2D", id="uuid-in-other-case"),
        pytest.param("3 1", "GPU-7,GPU-8932a", id="uuid-prefixes"),
        pytest.param("", "GPU-8932", id="an-ambiguous-prefix-is-none"),
        pytest.param("3", "GPU-7,GPU-8932,GPU-1", id="ends-at-an-ambiguous-prefix"),
        pytest.param("3", "GPU-7,GPU-123,GPU-1", id="ends-at-a-uuid-that-is-not-there"),
        pytest.param("", "GPU-", id="a-prefix-of-all-is-none"),
        pytest.param("3", "GPU-7,0", id="a-number-ends-uuids"),
        pytest.param("0", "0,GPU-7", id="a-uuid-ends-numbers"),
        pytest.param("3", "GPU-7,GPU-77770000,GPU-7", id="one-gpu-by-several-prefixes"),
    ],
)
def test_held_on_a_node_of_like_gpus(expected: str, variable: str) -> None:
    """The list is read in order, up to the first entry that names no GPU."""
    assert expected.split() == held(ALIKE, variable)


@pytest.mark.parametrize(
    ("expected", "variable", "order"),
    [
        pytest.param("1", "0", None, id="zero-is-the-fastest"),
        pytest.param("1 0 3 2", "0,1,2,3", None, id="equals-in-nvmls-order"),
        pytest.param("1 0 3 2", "0,1,2,3", "FASTEST_FIRST", id="said-to-be-fastest-first"),
        pytest.param("0 1 2 3", "0,1,2,3", "PCI_BUS_ID", id="pci-order"),
        pytest.param("2", "2", "PCI_BUS_ID", id="one-in-pci-order"),
        pytest.param("2", "GPU-00000002", None, id="a-uuid-has-no-order"),
    ],
)
def test_held_on_a_mixed_node(expected: str, variable: str, order: str | None) -> None:
    """A number is CUDA's: the fastest GPU is 0 unless CUDA_DEVICE_ORDER asks for the order of the bus."""
    assert expected.split() == held(MIXED, variable, order)


def test_one_unknown_speed_leaves_nvmls_order() -> None:
    """Where one GPU's speed is unknown, none can be put before another."""
    node = (*MIXED[:2], replace(MIXED[2], speed=0), MIXED[3])
    assert held(node, "0,1,2,3") == ["0", "1", "2", "3"]


def test_a_gpu_nvml_leaves_out_has_no_number() -> None:
    """Beside a GPU that could not be identified, the others keep NVML's numbers."""
    assert held((ALIKE[0], *ALIKE[2:]), "0,2,3") == ["0", "2", "3"]
    assert held((ALIKE[0], *ALIKE[2:]), "0,1,3") == ["0"]


@pytest.mark.parametrize(
    ("expected", "variable"),
    [
        pytest.param("0", "0", id="a-whole-board"),
        pytest.param("1:0", "1", id="a-number-is-the-first-instance"),
        pytest.param("1:0", "GPU-00000001", id="so-is-the-boards-uuid"),
        pytest.param("2:0 1:0 0", "2,1,0", id="each-board-is-one-number"),
        pytest.param("1:0", "1,3", id="no-instance-has-a-number-of-its-own"),
        pytest.param("1:0", "1:2", id="a-place-is-ignored-behind-the-number"),
        pytest.param("1:1", "MIG-00010001-0000-5000", id="mig-uuid"),
        pytest.param("1:2 1:0", "MIG-00010002,MIG-00010000", id="several-instances"),
        pytest.param("", "MIG-0001", id="an-ambiguous-mig-prefix-is-none"),
        pytest.param("1:1", "MIG-GPU-00000001-0000-4000-8000-000000000000/2/0", id="instance-ids"),
        pytest.param("1:1", "MIG-GPU-00000001/2/0,MIG-GPU-00000001/2/1", id="ends-at-ids-that-are-not-there"),
        pytest.param("0 1:1", "GPU-00000000,MIG-00010001", id="a-board-and-an-instance"),
        pytest.param("1:1", "MIG-00010001,0", id="a-number-ends-mig-uuids"),
    ],
)
def test_held_on_a_mig_node(expected: str, variable: str) -> None:
    """A board in MIG mode is one CUDA device, its first instance; others are named by UUID or by the driver's ids."""
    assert expected.split() == held(MIG_NODE, variable)


def test_unset_is_every_instance() -> None:
    """Without the variable a run holds all that is there."""
    assert visible.held(MIG_NODE, None, {}) == MIG_NODE


@pytest.mark.parametrize(
    ("node", "variable", "order"),
    [
        pytest.param(ALIKE, "0,2", None, id="like-gpus"),
        pytest.param(MIXED, "0", "PCI_BUS_ID", id="the-order-is-set"),
        pytest.param(MIXED, "GPU-00000002", None, id="by-uuid"),
        pytest.param(MIXED, "3,1,2,0", None, id="all-of-them-in-any-order"),
        pytest.param(MIXED, "", None, id="none"),
        pytest.param(MIXED, "-1", None, id="none-by-number"),
        pytest.param(MIXED, "9", None, id="none-that-is-there"),
        pytest.param(MIG_NODE, "0", None, id="a-whole-board-among-others"),
        pytest.param(MIG_NODE, "2", None, id="a-board-with-one-instance"),
        pytest.param(MIG_NODE, "MIG-00010001", None, id="an-instance"),
    ],
)
def test_nothing_is_told_where_nothing_is_doubtful(node: tuple[Device, ...], variable: str, order: str | None) -> None:
    """A list that can be read in one way only is not talked about; a MIG instance is of its board's model."""
    assert told(node, variable, order) == []


@pytest.mark.parametrize(
    ("node", "variable", "named"),
    [
        pytest.param(MIXED, "0", "fastest first (GPU 1, 0, 3, 2). Set CUDA_DEVICE_ORDER=PCI_BUS_ID", id="order"),
        pytest.param(MIXED, "0,0", "CUDA is assumed to count", id="order-though-listed-twice"),
        pytest.param(
            (*MIXED[:3], replace(MIXED[3], speed=0)), "0", "as nvidia-smi does (GPU 0, 1, 2, 3)", id="speeds-unknown"
        ),
        pytest.param((ALIKE[0], replace(ALIKE[1], name="NVIDIA L4")), "0", "as nvidia-smi does", id="no-speed-at-all"),
        pytest.param(MIG_NODE, "1", '"1" is a board in MIG mode, for which CUDA takes one instance', id="mig"),
        pytest.param(ALIKE, "0-3", '"0-3" is 0 to CUDA', id="a-range"),
        pytest.param(ALIKE, "1,0,1", '"1" names a GPU again', id="twice"),
        pytest.param(ALIKE, "GPU-7,0", 'it ends before "0"', id="a-number-after-uuids"),
        pytest.param(ALIKE, "0,GPU-7", 'it ends before "GPU-7"', id="a-uuid-after-numbers"),
    ],
)
def test_what_is_doubtful_is_told(node: tuple[Device, ...], variable: str, named: str) -> None:
    """Where CUDA may see other devices than were counted, a person is told of the setting, the reading and the cure."""
    doubts = told(node, variable)
    assert [doubt for doubt in doubts if named in doubt]
    assert all(doubt.startswith("CUDA_VISIBLE_DEVICES: ") for doubt in doubts)


def test_the_flag_leaves_no_doubt() -> None:
    """`--gpus` is read in NVML's order, whatever the variable says."""
    assert visible.doubts(MIXED, "0", environ("0-3,0,GPU-7", None)) == []
    assert visible.doubts(MIXED, None, {}) == []


def test_each_kind_of_doubt_is_told_once() -> None:
    """A long list of the same oddity is one sentence."""
    assert len(told(ALIKE, "0a,1b,2c,0d,1e,2f")) == 2


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), unique=True))
def test_numbers_stand_for_gpus_one_to_one(speeds: list[int], numbers: list[int]) -> None:
    """On any node, so many different numbers are so many different GPUs, faster ones having the lower number."""
    node = tuple(device(index, speed=1 + speed) for index, speed in enumerate(speeds))
    found = visible.held(node, None, environ(",".join(map(str, numbers)), None))
    assert [3 - (each.speed - 1) for each in found] == numbers
