"""Events as a reader can post them: strategies for whatever a driver may say."""

from hypothesis import strategies as st

from costmeter.ledger.resume import NOTHING_EARLIER, Earlier, Resume
from costmeter.meter.charge import Origin
from costmeter.meter.standing import Standing
from costmeter.readings import (
    NOT_ASKED,
    Activity,
    Device,
    HostReading,
    Mig,
    PowerRange,
    Reading,
    Sample,
    Zone,
)
from costmeter.runtime.eventline import Beginning, Taken
from costmeter.runtime.events import Batch, Ended, Event, Opened
from tests.samples import facts, headers, instants, methods, missing, ratios, words

watts = st.floats(0, 2_000)
counts = st.integers(0, 2**53)
not_said = missing | st.just(NOT_ASKED)
migs = st.builds(Mig, words, *[st.integers(0, 16)] * 6, st.sampled_from(("activity", "slices")))
any_device = st.builds(
    Device,
    words,
    st.integers(0, 1_023),
    words,
    words,
    watts | missing,
    methods | missing,
    st.none() | migs,
    st.sampled_from(("gpu", "module")),
    st.builds(PowerRange, watts, watts) | missing,
    st.booleans(),
    st.integers(0, 2**40),
)
opened = st.builds(Opened, st.lists(any_device, max_size=3).map(tuple), st.integers(0, 16), facts)
samples = st.builds(Sample, instants, watts | missing)
activity = st.builds(Activity, words, st.integers(1, 7), ratios)
hosts = st.builds(HostReading, instants, st.lists(st.builds(Zone, words, counts, counts), max_size=3).map(tuple))
pids = st.integers(1, 2**22)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """One tick of up to three boards, each of which answered or did not."""
    readings = {board: draw(readings_of(board) | missing) for board in draw(st.lists(words, max_size=3, unique=True))}
    some_pids = st.lists(pids, max_size=3).map(tuple)
    held = st.dictionaries(words, some_pids, max_size=2)
    listed = st.dictionaries(words, some_pids | missing, max_size=2)
    return Batch(
        draw(instants),
        readings,
        draw(st.booleans()),
        draw(st.none() | instants),
        draw(held),
        draw(st.none() | missing | hosts),
        draw(st.none() | listed),
        cores=draw(st.none() | st.floats(0, 1_024)),
    )


def readings_of(board: str) -> st.SearchStrategy[Reading]:
    """Whatever one board may say, each value there or not."""
    return st.builds(
        Reading,
        st.just(board),
        instants,
        counts | not_said,
        watts | not_said,
        ratios | not_said,
        counts | not_said,
        st.lists(samples, max_size=3).map(tuple),
        st.lists(activity, max_size=3).map(tuple),
    )


ends = st.builds(
    Ended,
    instants,
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    st.frozensets(st.integers(1, 64), max_size=3),
    st.frozensets(pids, max_size=3),
)
standings = st.builds(Standing, counts, instants, counts, counts, st.booleans(), st.booleans(), instants)
earlier = st.builds(
    Earlier, words, st.dictionaries(words, st.builds(Resume, instants, st.none() | standings), max_size=3)
)
beginnings = st.builds(
    Beginning,
    headers,
    st.integers(0, 16),
    st.none() | st.builds(Origin, words, words),
    st.just(NOTHING_EARLIER) | earlier,
)
events: st.SearchStrategy[Event] = opened | batches() | ends


def takens(of: st.SearchStrategy[Event]) -> st.SearchStrategy[Taken]:
    """Events as they are handed to a recorder."""
    return st.builds(Taken, of, instants, instants, st.integers(0, 2**40), st.integers(0, 99))
