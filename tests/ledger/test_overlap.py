"""Which meters of a run may have seen the same, by the clock of the boot that they share."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.overlap import meeting
from tests.samples import header

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
