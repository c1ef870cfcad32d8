"""Watched quantities: byte-nanoseconds of a size, and bytes of counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.item_use import StorageUse, Traffic, TrafficUse
from tests.samples import MINUTE

sizes = st.integers(0, 10**15)


def test_nothing_is_known_before_the_first_look() -> None:
    """A size that nobody has seen is not 0; holding it books nothing."""
    assert StorageUse(0).byte_nanoseconds is None
    assert StorageUse(0).held(MINUTE).byte_nanoseconds is None


def test_a_size_grows_in_a_straight_line() -> None:
    """From 10 bytes at the first look to 30 a minute later: 10 × 6 s before it, then (10 + 30) / 2 × 60 s."""
    use = StorageUse(0).looked(6, 10).looked(66, 30)
    assert 10 * 6 + 20 * 60 == use.byte_nanoseconds


def test_a_size_holds_while_no_look_comes_back() -> None:
    """The last known size is booked meanwhile; a look that comes late starts the line where the holding ended."""
    use = StorageUse(0).looked(0, 10).held(100)
    assert 1_000 == use.byte_nanoseconds
    assert 1_000 + 15 * 10 == use.looked(110, 20).byte_nanoseconds


def test_a_look_of_the_past_only_corrects_the_size() -> None:
    """A look that is stamped before what is booked moves no time back."""
    use = StorageUse(0).looked(100, 10).looked(50, 30)
    assert (1_000, 100, 30) == (use.byte_nanoseconds, use.at_ns, use.size_bytes)


@given(sizes, sizes, st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_look_on_the_line_changes_no_sum(size: int, slope: int, first_ns: int, cut_ns: int, rest_ns: int) -> None:
    """Looking more often at a size that grows evenly finds the same byte-nanoseconds, to the last unit."""
    begun = StorageUse(0).looked(first_ns, size)
    at_cut, at_end = size + slope * cut_ns, size + slope * (cut_ns + rest_ns)
    end_ns = first_ns + cut_ns + rest_ns
    assert begun.looked(end_ns, at_end) == begun.looked(first_ns + cut_ns, at_cut).looked(end_ns, at_end)


@given(st.lists(st.tuples(st.integers(0, 10**12), sizes | st.none()), max_size=8))
def test_booked_storage_never_falls(looks: list[tuple[int, int | None]]) -> None:
    """Whatever looks find, and in whatever order, and however long one is held, what is booked only grows."""
    use, before = StorageUse(0), 0
    for at_ns, size in looks:
        use = use.held(at_ns) if size is None else use.looked(at_ns, size)
        now = use.byte_nanoseconds
        assert now is None or now >= before
        before = now or 0


@pytest.mark.parametrize(
    ("expected", "looks"),
    [
        pytest.param((0, 0), [{"eth0": (500, 900)}], id="what-was-before-is-not-ours"),
        pytest.param((10, 20), [{"eth0": (500, 900)}, {"eth0": (510, 920)}], id="differences"),
        pytest.param((7, 8), [{"eth0": (500, 900)}, {"eth0": (7, 8)}], id="a-reset-counts-from-zero"),
        pytest.param((5, 5), [{"a": (1, 1)}, {"a": (2, 2), "b": (9, 9)}, {"a": (2, 2), "b": (13, 13)}], id="a-new-one"),
        pytest.param((3, 0), [{"a": (1, 1)}, {"a": (3, 1)}, {}, {"a": (4, 1)}], id="one-that-was-away"),
    ],
)
def test_traffic_is_what_counters_gain(expected: Traffic, looks: list[dict[str, Traffic]]) -> None:
    """Each interface counts from its first look; a counter that fell was reset; nothing is negative."""
    use = TrafficUse()
    for look in looks:
        use = use.looked(look)
    assert expected == (use.sent_bytes, use.received_bytes)


counts = st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 2**64), st.integers(0, 2**64)))


@given(st.lists(counts, max_size=6))
def test_traffic_never_falls(looks: list[dict[str, Traffic]]) -> None:
    """Whatever the counters do."""
    use = TrafficUse()
    for look in looks:
        grown = use.looked(look)
        assert (grown.sent_bytes, grown.received_bytes) >= (use.sent_bytes, use.received_bytes)
        assert grown.received_bytes >= use.received_bytes
        use = grown
