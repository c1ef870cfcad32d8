"""Which GPUs a wrapped run holds: `--gpus` first, then CUDA's variable, whose forms `test_cuda` has."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from costmeter.attribution import visible
from costmeter.readings import Device
from tests.samples import device, instances, words

NODE = tuple(
    device(index, uuid=uuid)
    for index, uuid in enumerate(("GPU-8932f937-d72c", "GPU-8932aaaa-0001", "GPU-1c2d3e4f-0002", "GPU-77770000-0003"))
)
#: Board 0 is whole, 1 has three instances and 2 has two.
MIG_NODE = (
    device(0, "NVIDIA A100-SXM4-80GB"),
    *instances(device(1, "NVIDIA A100-SXM4-80GB"), 3, 2, 1),
    *instances(device(2, "NVIDIA A100-SXM4-80GB"), 3, 4),
)


def shown(held: tuple[Device, ...]) -> list[str]:
    """`1` for a board, `1:0` for an instance of it."""
    return [f"{each.index}:{each.mig.place}" if each.mig else str(each.index) for each in held]


def environ(variable: str | None) -> dict[str, str]:
    return {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}


@pytest.mark.parametrize(
    ("expected", "gpus"),
    [
        pytest.param("0 1 2 3", "all", id="all"),
        pytest.param("0 1 2 3", " ALL ", id="all-in-capitals"),
        pytest.param("", "none", id="none"),
        pytest.param("1 3", "1,3", id="indices"),
        pytest.param("3 1", "3,1", id="in-its-order"),
        pytest.param("1 2", " 1 , 2 ", id="blanks"),
        pytest.param("1 0", "1,0,1", id="without-repeats"),
        pytest.param("0", "GPU-8932f937", id="uuid-prefix"),
        pytest.param("2", "gpu-1C2D3E4F-0002", id="uuid-in-other-case"),
        pytest.param("2 1", "GPU-1,1", id="uuid-and-index"),
        pytest.param("0 1", "0,9,1", id="what-is-not-there-is-passed-over"),
        pytest.param("0 1", "0,,1", id="an-empty-entry-is-passed-over"),
        pytest.param("0 1", "0,-1,1", id="a-negative-is-passed-over"),
        pytest.param("", "GPU-8932", id="an-ambiguous-prefix-is-none"),
        pytest.param("", "GPU-", id="a-prefix-of-all-is-none"),
        pytest.param("", "0-3", id="a-range-is-none"),
        pytest.param("", "0:0", id="a-whole-board-has-no-place"),
        pytest.param("", "²", id="a-superscript-is-no-index"),
        pytest.param("", "", id="empty-is-none"),
    ],
)
def test_the_flag_wins_over_the_variable(expected: str, gpus: str) -> None:
    """`--gpus` says what is held, in NVML's order, whatever the job is told to use."""
    assert expected.split() == shown(visible.held(NODE, gpus, environ("2")))


@pytest.mark.parametrize(
    ("expected", "gpus"),
    [
        pytest.param("0 1:0 1:1 1:2 2:0 2:1", "all", id="all"),
        pytest.param("1:0 1:1 1:2", "1", id="an-index-is-the-whole-board"),
        pytest.param("1:1", "1:1", id="a-place"),
        pytest.param("1:2 1:0 1:1", "1:2,1", id="a-place-first-then-the-rest"),
        pytest.param("2:1 0", "2:1,0", id="an-instance-and-a-board"),
        pytest.param("", "1:3", id="a-place-that-is-not-there"),
        pytest.param("", "1:", id="no-place"),
        pytest.param("", "1:0:0", id="too-many-places"),
        pytest.param("1:0 1:1 1:2", "GPU-00000001", id="a-uuid-is-the-whole-board"),
        pytest.param("2:0", "MIG-00020000-0000-5000", id="mig-uuid"),
        pytest.param("2:1", "mig-00020001", id="mig-uuid-prefix-in-other-case"),
        pytest.param("", "MIG-0002", id="an-ambiguous-mig-prefix-is-none"),
        pytest.param("1:2", "MIG-GPU-00000001-0000-4000-8000-000000000000/3/0", id="instance-ids"),
        pytest.param("2:0", "mig-gpu-00000002/01/00", id="instance-ids-of-a-uuid-prefix"),
        pytest.param("", "MIG-GPU-0000000/1/0", id="instance-ids-of-an-ambiguous-prefix"),
        pytest.param("", "MIG-GPU-00000001/1/1", id="instance-ids-that-are-not-there"),
        pytest.param("", "MIG-GPU-00000000/1/0", id="instance-ids-of-a-whole-board"),
        pytest.param("", "MIG-GPU-00000001", id="instance-without-ids"),
    ],
)
def test_the_flag_on_a_mig_node(expected: str, gpus: str) -> None:
    """A board in MIG mode is all its instances; one of them has a place, a UUID of its own, and the driver's ids."""
    assert expected.split() == shown(visible.held(MIG_NODE, gpus, {}))


@pytest.mark.parametrize(
    ("expected", "variable"),
    [
        pytest.param("0 1 2 3", None, id="unset-is-all"),
        pytest.param("", "", id="empty-is-none"),
        pytest.param("3 0", "3,0", id="in-its-order"),
        pytest.param("0", "0,9,1", id="ends-at-a-gpu-that-is-not-there"),
    ],
)
def test_without_the_flag_the_variable_says(expected: str, variable: str | None) -> None:
    """CUDA's variable says what is held where the flag does not; the container runtime's is not read."""
    names = environ(variable) | {"NVIDIA_VISIBLE_DEVICES": "1"}
    assert expected.split() == shown(visible.held(NODE, None, names))


def test_an_old_drivers_instance_is_found_by_its_uuid() -> None:
    """Before R470 the instance's UUID was the form with the ids itself."""
    (made,) = instances(device(0, uuid="GPU-1c2d"), 7)
    old = device(0, uuid="MIG-GPU-1c2d/1/0", mig=made.mig)
    assert visible.held((old,), "MIG-GPU-1c2d/1/0", {}) == (old,)
    assert visible.held((old,), "GPU-1c2d", {}) == (old,)


def test_a_uuid_in_full_is_that_gpu() -> None:
    """A UUID that is also the beginning of another names the one it is."""
    node = (device(0, uuid="GPU-1"), device(1, uuid="GPU-10"))
    assert visible.held(node, "GPU-1", {}) == node[:1]


@pytest.mark.parametrize(
    ("expected", "gpus"),
    [
        pytest.param((0, 1, 2), "all", id="boards-once-each"),
        pytest.param((2, 1), "2:1,1:0,2:0", id="in-the-order-held"),
        pytest.param((), "none", id="none"),
    ],
)
def test_boards_are_read_once(expected: tuple[int, ...], gpus: str) -> None:
    """However many instances of a board are held, the board is read once, and is one of the node's GPUs."""
    held = visible.held(MIG_NODE, gpus, {})
    assert visible.boards(held) == tuple(device(index).uuid for index in expected)
    assert visible.node_gpus(held) == len(expected)


@pytest.mark.parametrize(
    ("expected", "gpus", "variable"),
    [
        pytest.param(1, None, None, id="nothing-said"),
        pytest.param(1, "all", None, id="all-of-unknown-many"),
        pytest.param(0, "none", "0,1", id="none"),
        pytest.param(0, None, "", id="empty-variable"),
        pytest.param(0, None, "NoDevFiles", id="no-device-files"),
        pytest.param(0, None, "all", id="all-is-no-word-of-cudas"),
        pytest.param(2, None, "0,1", id="two"),
        pytest.param(3, "0,1,GPU-7", "0", id="flag-first"),
        pytest.param(1, None, "0,-1,1", id="ends-at-a-negative"),
        pytest.param(2, None, "0,1,0", id="without-repeats"),
        pytest.param(2, None, "0,1x,+1,GPU-7", id="numbers-as-cuda-reads-them"),
        pytest.param(2, "0:1,0:2,1", None, id="places-of-one-board"),
        pytest.param(1, "0:1,0", None, id="a-place-and-its-board"),
        pytest.param(1, None, "MIG-GPU-1c2d/1/0,MIG-GPU-1C2D/2/0", id="instance-ids-of-one-board"),
        pytest.param(1, "GPU-1c2d,MIG-GPU-1c2d/2/0", None, id="a-board-and-its-instance"),
        pytest.param(2, None, "MIG-1c2d,MIG-3e4f", id="mig-uuids"),
        pytest.param(1, "0,0-3,gpu", None, id="what-names-nothing-is-not-counted"),
    ],
)
def test_how_many_are_held_without_a_driver(expected: int, gpus: str | None, variable: str | None) -> None:
    """With no driver to ask, settings still say how many GPUs time is worth money on."""
    assert expected == visible.count(gpus, environ(variable))


def test_all_is_as_many_as_the_kernel_knows() -> None:
    """Nothing said, or `all`, is every GPU of the node where their number is known."""
    assert visible.count(None, {}, 8) == visible.count("all", environ("0"), 8) == 8
    assert visible.count(None, environ("0"), 8) == 1


def test_the_kernels_gpus_are_counted(tmp_path: Path) -> None:
    """One entry of the kernel module's folder is one GPU; where the module is not loaded, there is no folder."""
    for bus_id in ("0000:18:00.0", "0000:19:00.0"):
        (tmp_path / bus_id).mkdir()
    assert visible.present(str(tmp_path)) == 2
    assert visible.present(str(tmp_path / "none")) == 0


@pytest.mark.parametrize(
    ("expected", "gpus", "variable"),
    [
        pytest.param([], None, None, id="nothing-said"),
        pytest.param([], "all", "9", id="all"),
        pytest.param([], "none", "9", id="none"),
        pytest.param([], "1,GPU-1c2d", "9", id="all-there"),
        pytest.param(["9"], "1,9", None, id="an-index-too-many"),
        pytest.param(["9", "-1", "0-3"], "9,-1,0-3,9,1", None, id="several-each-once"),
        pytest.param(["GPU-8932"], None, "GPU-8932,GPU-7", id="an-ambiguous-prefix"),
        pytest.param(["9"], None, "0,9,10", id="where-cudas-list-ends"),
        pytest.param(["all"], None, "all", id="all-is-no-word-of-cudas"),
        pytest.param([], None, "0,-1,9", id="ended-on-purpose"),
        pytest.param([], None, "NoDevFiles", id="none-on-purpose"),
        pytest.param([], None, "", id="empty-on-purpose"),
        pytest.param(["GPU-" + 56 * "f" + "…"], "GPU-" + 1_000 * "f", None, id="a-long-one-is-cut"),
    ],
)
def test_entries_that_name_no_gpu(expected: list[str], gpus: str | None, variable: str | None) -> None:
    """What names no GPU of this node is found, so that a person can be told; what says "none" is not told."""
    assert expected == visible.unknown_entries(NODE, gpus, environ(variable))


# Properties

entries = (
    st.integers(-2, 6).map(str)
    | st.sampled_from(
        ("GPU-00000001", "MIG-0001", "MIG-00010001", "MIG-GPU-00000002/1/0", "1:1", "GPU-", "all", "9" * 99)
    )
    | words
    | st.text("0123456789-+:,/ ٣²\x00\n\x1bGPUMIG", max_size=12)
)
lists = st.lists(entries, max_size=6).map(",".join)


@given(st.lists(st.sampled_from(MIG_NODE), unique=True), st.none() | lists, st.none() | lists, st.none() | words)
@example(list(MIG_NODE), None, "9" * 5_000, None)
@example(list(MIG_NODE), "9" * 5_000, None, None)
@example(list(MIG_NODE), "MIG-GPU-00000001/" + "9" * 5_000 + "/0", None, None)
def test_held_is_a_part_of_the_node(
    node: list[Device], gpus: str | None, variable: str | None, order: str | None
) -> None:
    """Whatever is asked for, on a node in whatever state, is some of its devices, none twice, and raises nothing."""
    names = environ(variable) | ({} if order is None else {"CUDA_DEVICE_ORDER": order})
    held = visible.held(node, gpus, names)
    assert len({each.uuid for each in held}) == len(held)
    assert set(held) <= set(node)
    assert visible.node_gpus(held) <= visible.node_gpus(node)
    assert visible.count(gpus, names) >= 0
    told = [*visible.unknown_entries(node, gpus, names), *visible.doubts(node, gpus, names)]
    assert all(told)
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("9" * 1_000_000, id="one-number"),
        pytest.param("x" * 1_000_000, id="one-word"),
        # As long as the kernel lets a variable be.
        pytest.param("0," * 65_500, id="one-gpu-again-and-again"),
        pytest.param("GPU-00000001,MIG-GPU-00000001/1/0," * 3_800, id="uuids"),
        pytest.param(",".join(f"{number % 3}\x00\udc80{number}" for number in range(14_000)), id="odd-numbers"),
    ],
)
def test_a_long_list_is_read(text: str) -> None:
    """A list of any length is read, and what is told of it stays short."""
    assert len(visible.held(MIG_NODE, text, {})) <= len(MIG_NODE)
    assert len(visible.held(MIG_NODE, None, environ(text))) <= len(MIG_NODE)
    told = [*visible.unknown_entries(MIG_NODE, None, environ(text)), *visible.doubts(MIG_NODE, None, environ(text))]
    assert sum(map(len, told)) < 2_000
