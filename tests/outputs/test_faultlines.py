"""Faults for people: few lines that say the same as many."""

from typing import Any

import pytest

from costmeter.outputs.faultlines import fault_lines
from costmeter.outputs.gpus import gpu_names, numbers

GPUS: list[dict[str, Any]] = [{"uuid": f"GPU-{index}", "index": index, "mig": None} for index in range(8)]
INSTANCES: list[dict[str, Any]] = [
    {"uuid": f"MIG-{place}", "index": 3, "mig": {"board": "GPU-3", "slices": 1, "of": 7}} for place in range(2)
]


def fault(what: str, device: str | None = "GPU-0", second: float = 0) -> dict[str, Any]:
    """One fault of a receipt."""
    return {"at": f"2026-11-22T14:03:{second:06.3f}Z", "device": device, "what": what}


@pytest.mark.parametrize(
    ("expected", "faults"),
    [
        pytest.param(
            ["GPU 0-7: gone"], [fault("gone", f"GPU-{n}", n / 50) for n in range(8)], id="eight-gpus-at-one-tick"
        ),
        pytest.param(
            ["GPU 0, 2: gone", "GPU 1: lost"],
            [fault("gone", "GPU-0"), fault("lost", "GPU-1"), fault("gone", "GPU-2", 1)],
            id="the-next-tick-is-the-same-event",
        ),
        pytest.param(
            ["GPU 0: gone", "GPU 1: gone"], [fault("gone"), fault("gone", "GPU-1", 30)], id="half-a-minute-later"
        ),
        pytest.param(
            ["GPU 0: x (37 times)"],
            [*(fault("x", second=n) for n in range(3)), fault("x (37 times in all)", second=59)],
            id="counted-at-the-end",
        ),
        pytest.param(["GPU 0: x (2 times)"], [fault("x"), fault("x", second=40)], id="written-each-time"),
        pytest.param(["clock", "clock"], [fault("clock", None), fault("clock ", None)], id="of-no-gpu"),
        pytest.param(["GPU 3: lost"], [fault("lost", "GPU-3")], id="a-divided-board"),
        pytest.param(["lost"], [fault("lost", "GPU-99")], id="a-gpu-that-no-row-has"),
        pytest.param(
            ["GPU 0: lost", "GPU 0: answers again; reset"],
            [fault("lost"), fault("answers again (was: lost); reset", second=9)],
            id="what-it-had-is-said-once",
        ),
    ],
)
def test_faults_in_few_lines(expected: list[str], faults: list[dict[str, Any]]) -> None:
    """The same words of several GPUs within two seconds are a line, and so is what came to one GPU many times."""
    devices = [gpu for gpu in GPUS if gpu["index"] != 3] + INSTANCES if "GPU-3" == faults[0]["device"] else GPUS
    assert expected == [line.text.strip() for line in fault_lines(faults, devices)]


def test_gaps_of_one_gpu_stand_one_by_one() -> None:
    """Two gaps of the same length are no fault that came twice: each has its own time, and its GPUs are together."""
    gaps = [
        fault("nothing was read for 4 s; energy unmeasured", f"GPU-{gpu}", second + gpu / 50) | {"kind": "gap"}
        for second in (9, 10)
        for gpu in range(2)
    ]
    told = [(line.label, line.at[17:19], line.gap_seconds, line.text) for line in fault_lines(gaps, GPUS)]
    said = "GPU 0, 1: nothing was read for 4 s; energy unmeasured"
    assert [("Gap", "09", 4, said), ("Gap", "10", 4, said)] == told


def test_lines_are_in_order_of_their_first_instant() -> None:
    """A fault stands where it first came, however late its count was written."""
    faults = [fault("a", second=1), fault("b", second=5), fault("a (9 times in all)", second=50)]
    assert ["GPU 0: a (9 times)", "GPU 0: b"] == [line.text for line in fault_lines(faults, GPUS)]


@pytest.mark.parametrize(
    ("expected", "indexes"),
    [("", []), ("5", [5]), ("0, 1", [1, 0]), ("0-2, 5", [5, 0, 1, 2, 2]), ("0, 2, 4-7", [0, 2, 4, 5, 6, 7])],
)
def test_numbers(expected: str, indexes: list[int]) -> None:
    """Three and more in a row are a range."""
    assert expected == numbers(indexes)


def test_mig_instances_are_named_by_profile() -> None:
    """Instances of one model are told together, beside whole GPUs."""
    name = "NVIDIA H100 80GB HBM3"
    parts = [{"name": f"{name} MIG {profile}", "mig": {}, "uuid": ""} for profile in ("3g.40gb", "1g.10gb", "1g.10gb")]
    for part in parts:
        part["mig"] = {"board": "GPU-0", "slices": 1, "of": 7}
    assert "1 × H100 80GB HBM3 + MIG 3g.40gb + 2 × 1g.10gb of H100 80GB HBM3" == gpu_names([{"name": name}, *parts])
