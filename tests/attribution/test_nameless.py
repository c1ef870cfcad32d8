"""GPUs that do not say who they are, and the UUIDs in lists that may be theirs."""

import pytest

from costmeter.attribution import visible
from costmeter.readings import Missing, unidentified
from tests.samples import device

WHY = Missing("the driver timed out")
KNOWN = device(1, uuid="GPU-bbbb")
#: GPU 0 and GPU 2 do not say who they are.
NODE = (unidentified(0, WHY), KNOWN, unidentified(2, WHY))


@pytest.mark.parametrize(
    ("expected", "listed"),
    [
        pytest.param([0], "GPU-aaaa", id="the-first"),
        pytest.param([0, 1], "GPU-aaaa,GPU-bbbb", id="the-list-goes-on"),
        pytest.param([1, 0, 2], "GPU-bbbb,GPU-aaaa,GPU-cccc", id="each-its-own"),
        pytest.param([0, 1], "GPU-aaaa,gpu-AAAA,GPU-bbbb", id="the-same-again"),
        pytest.param([0], "MIG-aaaa", id="an-instance"),
        pytest.param([], "MIG-GPU-bbbb/1/0", id="not-of-a-board-that-is-known"),
    ],
)
@pytest.mark.parametrize("is_flag", [True, False])
def test_a_uuid_of_no_gpu_is_one_that_does_not_say_who_it_is(expected: list[int], listed: str, is_flag: bool) -> None:
    """Each such entry stands for the next nameless GPU, in `--gpus` and in CUDA's variable."""
    gpus, environ = (listed, {}) if is_flag else (None, {"CUDA_VISIBLE_DEVICES": listed})
    assert [each.index for each in visible.held(NODE, gpus, environ)] == expected
    assert bool(visible.unknown_entries(NODE, gpus, environ)) == (not expected)


@pytest.mark.parametrize(
    ("gpus", "prefix"), [pytest.param("GPU-aaaa,GPU-cccc", "--gpus", id="flag"), pytest.param(None, None, id="cuda")]
)
def test_it_is_told_once(gpus: str | None, prefix: str | None) -> None:
    """However many entries are taken so, one sentence says it, of the first."""
    environ = {"CUDA_VISIBLE_DEVICES": "GPU-aaaa,GPU-cccc"}
    words = 'GPU 0 does not say who it is; "GPU-aaaa" may be it, and is counted as it'
    assert visible.doubts(NODE, gpus, environ) == [f"{prefix or 'CUDA_VISIBLE_DEVICES'}: {words}"]


def test_more_entries_than_nameless_gpus_are_unknown() -> None:
    """The third UUID of no GPU has none to stand for: `--gpus` passes over it, and CUDA's list ends there."""
    listed = "GPU-aaaa,GPU-cccc,GPU-dddd,GPU-bbbb"
    environ = {"CUDA_VISIBLE_DEVICES": listed}
    assert [each.index for each in visible.held(NODE, listed, {})] == [0, 2, 1]
    assert [each.index for each in visible.held(NODE, None, environ)] == [0, 2]
    assert visible.unknown_entries(NODE, listed, {}) == visible.unknown_entries(NODE, None, environ) == ["GPU-dddd"]


def test_a_nameless_gpu_that_is_listed_by_index_is_taken() -> None:
    """Of `GPU-aaaa,0`, the entry 0 is GPU 0, so that the UUID is that of GPU 2."""
    assert [each.index for each in visible.held(NODE, "GPU-aaaa,0", {})] == [2, 0]


def test_once_it_says_who_it_is_its_uuid_is_its_own() -> None:
    """With every GPU identified, each entry is the one it names, and nothing is in doubt."""
    node = (device(0, uuid="GPU-cccc"), KNOWN, device(2, uuid="GPU-aaaa"))
    assert visible.held(node, "GPU-aaaa,GPU-bbbb", {}) == (node[2], node[1])
    assert visible.doubts(node, "GPU-aaaa,GPU-bbbb", {}) == []
