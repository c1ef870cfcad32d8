"""What devices are booked of the host: nothing negative, nothing twice, and every gap in the counters named."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.interval import Interval
from costmeter.readings import Device, HostReading, Missing, Zone
from costmeter.runtime.hostshare import HostShare
from tests.samples import device, instances

SECOND = 1_000_000_000
JOULE = 1_000_000
RANGE = 262_143 * JOULE


def host(at_s: float, *joules: float) -> HostReading:
    """The counters of so many packages."""
    zones = (Zone(f"package-{n}", round(each * JOULE), RANGE) for n, each in enumerate(joules))
    return HostReading(round(at_s * SECOND), tuple(zones))


def booked(share: HostShare, start_s: float, end_s: float, of: Device) -> float:
    """Joules of the host that an interval is booked."""
    interval = Interval(of.uuid, round(start_s * SECOND), round(end_s * SECOND), "busy", 0, None, None)
    return share.shared(interval, of).host_microjoules / JOULE


def counted(node_gpus: int) -> HostShare:
    share = HostShare(0, 0.0)
    share.node_gpus = node_gpus
    return share


def test_a_gpu_has_its_share_of_what_the_counters_count() -> None:
    """200 W over four GPUs: 50 J each second. The head of 0.5 s is estimated, 25 J, with the second reading."""
    share, gpu = counted(4), device(0)
    share.read(host(0.5, 1_000))
    assert booked(share, 0, 0.5, gpu) == 0
    share.read(host(1.5, 1_200))
    assert booked(share, 0.5, 1.5, gpu) == 75
    share.read(host(2.5, 1_400))
    assert booked(share, 1.5, 2.5, gpu) == 50


def test_a_node_that_turns_out_to_have_more_gpus_takes_nothing_back() -> None:
    """200 W: all of it while one GPU is known, a quarter once there are four."""
    share, gpu = counted(1), device(0)
    share.read(host(0, 0))
    share.read(host(1, 200))
    assert booked(share, 0, 1, gpu) == 200
    share.node_gpus = 4
    share.read(host(2, 400))
    assert booked(share, 1, 2, gpu) == 50


def test_an_instance_has_its_slices_of_its_boards_share() -> None:
    """700 W over one board of 7 slices: 300 W for an instance of three."""
    share = counted(1)
    (piece,) = instances(device(0), 3)
    share.read(host(0, 0))
    share.read(host(1, 700))
    assert booked(share, 0, 1, piece) == 300


def test_what_is_wrong_with_the_counters_is_told_when_it_begins() -> None:
    """A package that falls silent, then all of them, each once; and again after it had answered."""
    share = counted(1)
    assert share.read(host(0, 0, 0)) == ()
    lacks = ("host energy lacks package-1, which does not answer",)
    assert share.read(host(1, 100)) == lacks
    assert share.read(host(2, 200)) == ()
    assert share.read(Missing("gone")) == ("host energy is not counted: gone",)
    assert share.read(host(4, 400, 400)) == ()
    assert share.read(host(5, 500)) == lacks


def test_a_jump_is_dropped_and_told() -> None:
    """100 kJ in a second is no host."""
    share = counted(1)
    share.read(host(0, 0))
    assert share.read(host(1, 100_000)) == ("a host counter moved by more than a host can draw; not counted",)
    assert booked(share, 0, 1, device(0)) == 0


@given(
    joules=st.lists(st.integers(0, 2_000), min_size=2, max_size=20),
    gpus=st.lists(st.integers(1, 16), min_size=2, max_size=20),
)
def test_shares_are_never_negative_and_sum_to_the_whole(joules: list[int], gpus: list[int]) -> None:
    """However the host draws and the node grows: no interval takes anything back; with one GPU it has all of it."""
    share, only, of = counted(1), counted(1), device(0)
    total = 0
    found = [booked(only, 0, 0, of)]
    for second, (each, count) in enumerate(zip([0, *joules], [1, *gpus], strict=False)):
        total += each
        for one in (share, only):
            one.read(host(second, total))
        share.node_gpus = max(share.node_gpus, count)
        if second:
            assert booked(share, second - 1, second, of) >= 0
            found.append(booked(only, second - 1, second, of))
    assert sum(found) == total
