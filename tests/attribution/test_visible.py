"""Which GPUs a wrapped run holds, as CUDA reads its variable and as `--gpus` says."""

import pytest

from costmeter.attribution import visible
from tests.samples import device

NODE = tuple(
    device(index, uuid=uuid)
    for index, uuid in enumerate(("GPU-8932f937-d72c", "GPU-8932aaaa-0001", "GPU-1c2d3e4f-0002", "GPU-77770000-0003"))
)


def held(gpus: str | None, variable: str | None) -> list[int]:
    environ = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    return [each.index for each in visible.held(NODE, gpus, environ)]


@pytest.mark.parametrize(
    ("expected", "variable"),
    [
        pytest.param([0, 1, 2, 3], None, id="unset-is-all"),
        pytest.param([], "", id="empty-is-none"),
        pytest.param([2], "2", id="one"),
        pytest.param([3, 0], "3,0", id="in-its-order"),
        pytest.param([1, 2], " 1 , 2 ", id="blanks"),
        pytest.param([1, 0], "1,0,1", id="without-repeats"),
        pytest.param([0, 1], "0,1,-1,2", id="ends-at-a-negative"),
        pytest.param([0], "0,9,1", id="ends-at-a-gpu-that-is-not-there"),
        pytest.param([0], "0,,1", id="ends-at-an-empty-entry"),
        pytest.param([], "NoDevFiles", id="a-word"),
        pytest.param([2], "GPU-1c2d3e4f-0002", id="uuid"),
        pytest.param([3, 1], "GPU-7,GPU-8932a", id="uuid-prefixes"),
        pytest.param([], "GPU-8932", id="an-ambiguous-prefix-is-none"),
        pytest.param([], "²", id="a-superscript-is-no-index"),
    ],
)
def test_held_by_variable(expected: list[int], variable: str | None) -> None:
    """CUDA_VISIBLE_DEVICES is read as CUDA reads it: in order, up to the first entry that names no GPU."""
    assert expected == held(None, variable)


@pytest.mark.parametrize(
    ("expected", "gpus"),
    [
        pytest.param([0, 1, 2, 3], "all", id="all"),
        pytest.param([], "none", id="none"),
        pytest.param([1, 3], "1,3", id="indices"),
        pytest.param([0], "GPU-8932f937", id="uuid-prefix"),
    ],
)
def test_the_flag_wins_over_the_variable(expected: list[int], gpus: str) -> None:
    """`--gpus` says what is held, whatever the job is told to use."""
    assert expected == held(gpus, "2")


@pytest.mark.parametrize(
    ("expected", "gpus", "variable"),
    [
        pytest.param(1, None, None, id="nothing-said"),
        pytest.param(1, "all", None, id="all-of-unknown-many"),
        pytest.param(0, "none", "0,1", id="none"),
        pytest.param(0, None, "", id="empty-variable"),
        pytest.param(2, None, "0,1", id="two"),
        pytest.param(3, "0,1,GPU-7", "0", id="flag-first"),
        pytest.param(1, None, "0,-1,1", id="ends-at-a-negative"),
        pytest.param(2, None, "0,1,0", id="without-repeats"),
    ],
)
def test_how_many_are_held_without_a_driver(expected: int, gpus: str | None, variable: str | None) -> None:
    """With no driver to ask, settings still say how many GPUs time is worth money on."""
    environ = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert expected == visible.count(gpus, environ)


@pytest.mark.parametrize(
    ("expected", "gpus", "variable"),
    [
        pytest.param([], None, None, id="nothing-said"),
        pytest.param([], "all", None, id="all"),
        pytest.param([], "1,GPU-1c2d", "9", id="all-there"),
        pytest.param(["9"], "1,9", None, id="an-index-too-many"),
        pytest.param(["GPU-8932"], None, "GPU-8932,0", id="an-ambiguous-prefix"),
    ],
)
def test_entries_that_name_no_gpu(expected: list[str], gpus: str | None, variable: str | None) -> None:
    """What names no GPU of this node is found, so that a person can be told."""
    environ = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert expected == visible.unknown_entries(NODE, gpus, environ)
