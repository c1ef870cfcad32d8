"""Which meters of a run may have seen the same, by the clock of the boot that they share."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.overlap import meeting, ours
from tests.samples import BEGAN_UTC_NS, MINUTE, SECOND, header, measured, slot

SPANS = st.lists(st.tuples(st.sampled_from(("gpu01", "gpu02")), st.integers(0, 20), st.integers(1, 12)), max_size=9)


@given(SPANS)
def test_meters_meet_whose_times_overlap_on_one_host(spans: list[tuple[str, int, int]]) -> None:
    """As every pair of them compared says: one that begins when another ends meets nobody."""
    meters = [(header(host=host, start_ns=start), start + length) for host, start, length in spans]
    overlapping = {
        place
        for place, (here, end_ns) in enumerate(meters)
        for other, (there, other_end_ns) in enumerate(meters)
        if place != other and here.host == there.host and here.start_ns < other_end_ns and there.start_ns < end_ns
    }
    assert sorted(overlapping) == meeting(meters)


def test_what_lies_beyond_a_window_counts() -> None:
    """Of a minute of which another meter had the first 20 s and again the last 10 s, 30 s count, with their energy."""
    whole = slot({"GPU-0": measured(MINUTE, 6_000), "GPU-1": measured(MINUTE, 6_000)})
    began_ns = BEGAN_UTC_NS
    windows = ((began_ns - MINUTE, began_ns + 20 * SECOND), (began_ns + 50 * SECOND, began_ns + 2 * MINUTE))
    counted = ours(whole, {"GPU-0": windows})
    assert (30 * SECOND, 3_000) == (counted.devices["GPU-0"].nanoseconds, counted.devices["GPU-0"].microjoules)
    assert whole.devices["GPU-1"] == counted.devices["GPU-1"]


def test_windows_that_overlap_are_taken_off_once() -> None:
    """Three meters: two of them had the same first 40 s, so 20 s are left; a whole minute of theirs leaves nothing."""
    whole, began_ns = slot({"GPU-0": measured(MINUTE, 6_000)}), BEGAN_UTC_NS
    twice = ((began_ns, began_ns + 40 * SECOND), (began_ns + 10 * SECOND, began_ns + 30 * SECOND))
    assert 20 * SECOND == ours(whole, {"GPU-0": twice}).devices["GPU-0"].nanoseconds
    assert not ours(whole, {"GPU-0": ((began_ns, began_ns + MINUTE),)}).devices
