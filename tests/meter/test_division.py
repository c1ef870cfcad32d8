"""A board's energy divided among its MIG instances: shares by hand, and nothing lost or counted twice."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.activity import IdleRule
from costmeter.meter.division import divide, with_rest
from costmeter.meter.interval import Interval
from costmeter.readings import Activity, Device, Mig, Missing, PowerRange, Reading

SECOND = 1_000_000_000
RULE = IdleRule()
WHY = Missing("not in this test")
BOARD = Interval("GPU-a", 0, SECOND, "unknown", 280_000_000, "counter", None)


def instances(*widths: int, slices: int = 7, idle_watts: float | None = 70.0) -> list[Device]:
    """Instances side by side on one board."""
    devices, first = [], 0
    for place, width in enumerate(widths):
        mig = Mig("GPU-a", place, place + 1, 0, first, first + width, slices, "activity")
        span = WHY if idle_watts is None else PowerRange(idle_watts, 400.0)
        devices.append(Device(f"MIG-{place}", 0, "A100 MIG", "", 400.0, "counter", mig, power_range=span))
        first += width
    return devices


def said(*activity: Activity) -> Reading:
    return Reading("GPU-a", SECOND, 0, 280.0, WHY, activity=activity)


def joules(parts: list[Interval]) -> list[float]:
    return [part.microjoules / 1_000_000 for part in parts]


def test_a_whole_board_is_one_part() -> None:
    """Without MIG there is nothing to divide."""
    whole = Device("GPU-a", 0, "A100", "", 400.0, "counter")
    assert divide(BOARD, [whole], RULE, said()) == [BOARD]


def test_by_slices_where_nothing_else_is_known() -> None:
    """280 J over 7 slices are 40 J a slice: 3 slices 120 J, 2 slices 80 J, and 80 J of the last 2 are nobody's."""
    parts = divide(BOARD, instances(3, 2), RULE, said())
    assert joules(parts) == [120.0, 80.0]
    assert [part.state for part in parts] == ["unknown", "unknown"]


def test_by_what_each_instance_did() -> None:
    """Idle 70 W of 280 W: 10 J a slice, 30 J and 20 J. Above it 210 J by 3 × 0.8 to 2 × 0.3, 4 to 1: 168 and 42 J."""
    activity = (Activity("MIG-0", 3, 0.8), Activity("MIG-1", 2, 0.3))
    parts = divide(BOARD, instances(3, 2), RULE, said(*activity))
    assert joules(parts) == [198.0, 62.0]
    assert [part.utilization_ratio for part in parts] == [0.8, 0.3]


def test_an_instance_that_waits_pays_its_idle_slices_only() -> None:
    """210 J above idle are all of the instance that computed; the other has 2 of 7 slices of 70 J, and is idle."""
    activity = (Activity("MIG-0", 3, 1.0), Activity("MIG-1", 2, 0.0))
    busy, idle = divide(BOARD, instances(3, 2), RULE, said(*activity))
    assert joules([busy, idle]) == [240.0, 20.0]
    assert (busy.state, idle.state) == ("busy", "idle")


def test_a_run_pays_its_own_instance_only() -> None:
    """A run that holds one instance gets its part, whatever the other, which it does not hold, did."""
    activity = (Activity("MIG-0", 3, 0.8), Activity("MIG-1", 2, 0.3))
    [part] = divide(BOARD, instances(3, 2)[1:], RULE, said(*activity))
    assert joules([part]) == [62.0]


def test_no_idle_power_known() -> None:
    """All 280 J go by slices × utilization: 1 × 0.5 to 1 × 0.25 is 2 to 1."""
    activity = (Activity("MIG-0", 1, 0.5), Activity("MIG-1", 1, 0.25))
    board = Interval("GPU-a", 0, SECOND, "unknown", 3_000_000, "counter", None)
    assert joules(divide(board, instances(1, 1, idle_watts=None), RULE, said(*activity))) == [2.0, 1.0]


@given(
    microjoules=st.integers(0, 10**13),
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=7).filter(lambda widths: sum(widths) <= 7),
    ratios=st.lists(st.floats(0, 1), min_size=7, max_size=7),
    idle_watts=st.floats(0, 1000) | st.none(),
    tells=st.booleans(),
)
def test_parts_sum_to_the_board(
    microjoules: int, widths: list[int], ratios: list[float], idle_watts: float | None, tells: bool
) -> None:
    """All slices taken, the parts are the board exactly; with slices left over never more. None is negative."""
    devices = instances(*widths, idle_watts=idle_watts)
    activity = [Activity(d.uuid, w, r) for d, w, r in zip(devices, widths, ratios, strict=False)]
    board = Interval("GPU-a", 0, SECOND, "unknown", microjoules, "counter", None)
    parts = divide(board, devices, RULE, said(*activity) if tells else None)
    total = sum(part.microjoules for part in parts)
    assert all(part.microjoules >= 0 for part in parts)
    assert total == microjoules if sum(widths) == 7 else total <= microjoules


@given(
    microjoules=st.integers(0, 10**13),
    spans=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=7),
    slices=st.integers(1, 8),
    ratio=st.floats(0, 1),
    tells=st.booleans(),
)
def test_with_what_no_instance_has_the_parts_are_the_board(
    microjoules: int, spans: list[tuple[int, int]], slices: int, ratio: float, tells: bool
) -> None:
    """Whatever lies between instances and beside them: no slice is in two parts, and all are the board exactly."""
    devices, at = [], 0
    for place, (gap, width) in enumerate(spans):
        begin, at = at + gap, at + gap + width
        if at > slices:
            break
        mig = Mig("GPU-a", place, place + 1, 0, begin, at, slices, "activity")
        devices.append(Device(f"MIG-{place}", 0, "A100 MIG 1g", "", 400.0, "counter", mig))
    activity = [Activity(d.uuid, d.mig.width, ratio) for d in devices if d.mig]
    parts = with_rest(devices)
    board = replace(BOARD, microjoules=microjoules)
    divided = divide(board, parts, RULE, said(*activity) if tells else None) if parts else [board]
    assert microjoules == sum(part.microjoules for part in divided)
    taken = [at for d in parts if d.mig for at in range(d.mig.first_slice, d.mig.end_slice)]
    assert sorted(taken) == (list(range(slices)) if devices else [])
    assert len({d.uuid for d in parts}) == len(parts)
