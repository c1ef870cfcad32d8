"""The host's account: counters that go around, restart and fall silent, summed into energy that only grows."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.host import HostAccount, advance, longest_followed_ns, microjoules_at
from costmeter.readings import HostReading, Zone
from tests.samples import JOULE, SECOND

#: What the kernel says of an Intel package (2^32 - 1 steps of 61.035 µJ) and of an AMD one (15.258 µJ).
INTEL_UJ = 262_143_328_850
AMD_UJ = 65_532_610_987
RANGES = {"package-0": INTEL_UJ, "package-1": INTEL_UJ, "package-0 dram": AMD_UJ}


def said(at_ns: int, **joules: float) -> HostReading:
    """A reading of Intel packages: `a` and `b` are their names, values in joules."""
    return HostReading(at_ns, tuple(Zone(name, round(value * JOULE), INTEL_UJ) for name, value in joules.items()))


def account(*readings: HostReading) -> HostAccount:
    total = HostAccount()
    for reading in readings:
        total = advance(total, reading)
    return total


def test_nothing_was_used_before_the_first_reading() -> None:
    """A counter's value at the first reading is energy of before, and not the meter's."""
    assert [0, 0, 0] == [microjoules_at(account(said(9 * SECOND, a=1e5)), at_ns) for at_ns in (0, 9 * SECOND, 10**12)]
    assert microjoules_at(HostAccount(), 5) == 0


def test_the_zones_of_a_reading_are_added() -> None:
    """200 J and 150 J in a second are 350 J."""
    found = account(said(0, a=1_000, b=50), said(SECOND, a=1_200, b=200))
    assert (350 * JOULE, 0, 0) == (found.microjoules, found.dropped, found.understated)


def test_a_counter_goes_around() -> None:
    """From 262,000 J over the end at 262,143.328850 J to 100 J: 143.328850 J and 100 J are 243.328850 J in a second."""
    found = account(said(0, a=262_000), said(SECOND, a=100))
    assert (243_328_850, 0, 0) == (found.microjoules, found.dropped, found.understated)


def test_each_zone_goes_around_its_own_range() -> None:
    """Memory that counts to 65,532.610987 J goes from 65,500 J to 10 J with 42.610987 J, beside a package's 200 J."""
    first = HostReading(0, (Zone("package-0", 0, INTEL_UJ), Zone("package-0 dram", 65_500 * JOULE, AMD_UJ)))
    then = HostReading(SECOND, (Zone("package-0", 200 * JOULE, INTEL_UJ), Zone("package-0 dram", 10 * JOULE, AMD_UJ)))
    assert account(first, then).microjoules == 242_610_987


@pytest.mark.parametrize(
    ("joules", "dropped", "after"),
    [
        # 3,000 W × (1 s + 0.1 s of slack) = 3,300 J.
        pytest.param(3_300, 0, said(SECOND, a=100_000 + 3_300), id="as-much-as-can-be"),
        pytest.param(0, 1, said(SECOND, a=100_000 + 3_301), id="more-than-can-be"),
        # A wrap would be worth 262,143 J - 100,000 J + 5 J = 162,148 J: 162 kW.
        pytest.param(0, 1, said(SECOND, a=5), id="restarted-at-0"),
        # The same in 60 s would be 2.7 kW: taken for a wrap. A minute's sleep can cost that much, and no more.
        pytest.param(162_148.328850, 0, said(60 * SECOND, a=5), id="a-wrap-that-can-be"),
        pytest.param(0, 1, said(50 * SECOND, a=5), id="a-wrap-that-cannot-be"),
        pytest.param(0, 0, said(SECOND, a=100_000), id="stands-still"),
        pytest.param(0, 0, said(SECOND), id="silent"),
    ],
)
def test_a_difference_counts_when_it_can_be_energy(joules: float, dropped: int, after: HostReading) -> None:
    """At most 3,000 W × time is energy; more is dropped, and the zone counts on from there: 200 J a second later."""
    found = account(said(0, a=100_000), after)
    assert (round(joules * JOULE), dropped) == (found.microjoules, found.dropped)
    if after.zones:
        (zone,) = after.zones
        later = HostReading(after.at_ns + SECOND, (replace(zone, microjoules=zone.microjoules + 200 * JOULE),))
        assert advance(found, later).microjoules == found.microjoules + 200 * JOULE


@pytest.mark.parametrize(
    ("joules", "understated", "seconds", "value"),
    [
        # A range of 262,143 J is followed for 262.143 s (1,000 W).
        pytest.param(172_143.328850, 0, 262, 10_000, id="a-fall-while-followed-is-a-wrap"),
        pytest.param(10_000, 1, 263, 10_000, id="a-fall-after-that-is-what-was-counted-since-0"),
        pytest.param(20_000, 0, 262, 120_000, id="a-rise-while-followed"),
        pytest.param(20_000, 1, 263, 120_000, id="a-rise-after-that-is-the-least-it-can-be"),
        pytest.param(700, 1, 8 * 3_600, 700, id="a-night-asleep"),
    ],
)
def test_a_counter_unread_for_long_counts_what_is_certain(
    joules: float, understated: int, seconds: int, value: float
) -> None:
    """Unread for longer than it is followed, a counter may have gone around twice or restarted: the least counts."""
    found = account(said(0, a=100_000), said(seconds * SECOND, a=value))
    assert (round(joules * JOULE), understated, 0) == (found.microjoules, found.understated, found.dropped)


@pytest.mark.parametrize(("seconds", "range_uj"), [(262, INTEL_UJ), (65, AMD_UJ)])
def test_how_long_a_counter_is_followed(seconds: int, range_uj: int) -> None:
    """At 1,000 W 262,143 J last 262 s and 65,533 J last 65 s: longer than a minute, the slowest anyone reads."""
    assert longest_followed_ns(Zone("package-0", 0, range_uj)) // SECOND == seconds


def test_a_silent_zone_counts_its_whole_difference_when_it_answers() -> None:
    """`b` is silent at 1 s and 2 s: its 450 J come with the reading of 3 s, with the 200 J a second of `a`."""
    readings = said(0, a=0, b=0), said(SECOND, a=200), said(2 * SECOND, a=400), said(3 * SECOND, a=600, b=450)
    totals = [account(*readings[:count]).microjoules // JOULE for count in (1, 2, 3, 4)]
    assert [0, 200, 400, 1_050] == totals


def test_a_silence_is_judged_by_its_whole_length() -> None:
    """30,000 J in the 10 s that `b` was silent are 3,000 W; in the second since the last reading they could not be."""
    found = account(said(0, a=0, b=0), said(9 * SECOND, a=0), said(10 * SECOND, a=0, b=30_000))
    assert (30_000 * JOULE, 0) == (found.microjoules, found.dropped)


def test_a_zone_counts_from_its_first_reading() -> None:
    """`b` appears with 5,000 J on its counter: what it adds later counts, what it came with does not."""
    found = account(said(0, a=0), said(SECOND, a=200, b=5_000), said(2 * SECOND, a=400, b=5_100))
    assert found.microjoules == 500 * JOULE


def test_a_late_reading_is_passed_over() -> None:
    """A reading from before the last one changes nothing; the next one has all the energy."""
    in_order = account(said(0, a=0), said(2 * SECOND, a=400))
    assert advance(in_order, said(SECOND, a=200)) == in_order
    assert advance(in_order, said(3 * SECOND, a=600)).microjoules == 600 * JOULE


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        pytest.param(Zone("a", 5, 1_000), (0, 1, 0), id="another-range"),
        pytest.param(Zone("a", 5, 0), (5, 0, 1), id="no-range"),
    ],
)
def test_a_counter_that_makes_no_sense_takes_nothing_away(zone: Zone, expected: tuple[int, int, int]) -> None:
    """Whatever a counter says, the account does not fall: 5 µJ where no range was told, 0 where the range shrank."""
    found = account(said(0, a=1), HostReading(1_000, (zone,)))
    assert expected == (found.microjoules, found.dropped, found.understated)


def test_energy_between_two_readings_is_linear() -> None:
    """10 µJ over 3 ns, rounded down: 3 after 1 ns, 6 after 2 ns, 10 from then on; 7 µJ at and before their begin."""
    grown = HostAccount(before_ns=100, before_microjoules=7, at_ns=103, microjoules=17)
    assert [7, 7, 10, 13, 17, 17] == [microjoules_at(grown, at_ns) for at_ns in (99, 100, 101, 102, 103, 104)]


def test_two_readings_at_one_instant() -> None:
    """Energy without time belongs to the instant itself, not to the time before it."""
    found = account(said(0, a=0), said(5, a=0), said(5, a=1))
    assert [0, JOULE, JOULE] == [microjoules_at(found, at_ns) for at_ns in (4, 5, 6)]


# Properties. A history is what each zone really used, step by step; its counters show the sum modulo their ranges.

History = list[tuple[int, dict[str, int]]]

starts = st.fixed_dictionaries({name: st.integers(0, range_uj - 1) for name, range_uj in RANGES.items()})
#: Watts of each zone in a step, as far as its range goes.
loads = st.fixed_dictionaries(dict.fromkeys(RANGES, st.integers(0, 3_000)))


def histories(longest_ns: int) -> st.SearchStrategy[History]:
    lengths = st.integers(1, longest_ns) | st.just(longest_ns)
    return st.lists(st.tuples(lengths, loads), min_size=1, max_size=12)


def readings_of(history: History, starts: dict[str, int]) -> tuple[list[HostReading], int]:
    """What the zones say before and after each step, and the microjoules they really used from first to last."""
    at_ns, counted = 3_600 * SECOND, dict(starts)
    readings = [_reading(at_ns, counted)]
    for length_ns, load in history:
        at_ns += length_ns
        for name, watts in load.items():
            counted[name] += min(RANGES[name] - 1, watts * length_ns // 1_000)
        readings.append(_reading(at_ns, counted))
    return readings, sum(counted.values()) - sum(starts.values())


def _reading(at_ns: int, counted: dict[str, int]) -> HostReading:
    return HostReading(at_ns, tuple(Zone(name, uj % RANGES[name], RANGES[name]) for name, uj in counted.items()))


@given(histories(longest_ns=65 * SECOND), starts)
def test_wraps_lose_nothing(history: History, starts: dict[str, int]) -> None:
    """Read more often than a counter can go around, the account is what was used, to the microjoule."""
    readings, used_uj = readings_of(history, starts)
    found = account(*readings)
    assert (used_uj, 0, 0) == (found.microjoules, found.dropped, found.understated)


@given(histories(longest_ns=SECOND), starts, st.data())
def test_silence_loses_nothing(history: History, starts: dict[str, int], data: st.DataObject) -> None:
    """Readings left out, and zones left out of readings, change no total: here they all answer first and last."""
    readings, used_uj = readings_of(history, starts)
    answering = st.sets(st.sampled_from(sorted(RANGES)))
    some = [
        replace(reading, zones=tuple(zone for zone in reading.zones if zone.name in names))
        for reading, names in zip(readings[1:-1], data.draw(st.lists(answering, max_size=12)), strict=False)
    ]
    assert account(readings[0], *some, readings[-1]).microjoules == used_uj


@given(histories(longest_ns=65 * SECOND), starts, st.lists(st.floats(0, 1), max_size=20))
def test_cutting_changes_no_sum(history: History, starts: dict[str, int], places: list[float]) -> None:
    """Cut anywhere between two readings, the pieces are none of them negative and add up to the whole."""
    readings, _ = readings_of(history, starts)
    before, found = account(*readings[:-1]), account(*readings)
    edges = sorted(found.before_ns + int(place * (found.at_ns - found.before_ns)) for place in places)
    answers = [microjoules_at(found, at_ns) for at_ns in (before.at_ns, *edges, found.at_ns)]
    pieces = [after - earlier for earlier, after in pairwise(answers)]
    assert all(piece >= 0 for piece in pieces)
    assert sum(pieces) == found.microjoules - before.microjoules


@given(histories(longest_ns=SECOND), starts, st.data())
def test_answers_never_fall(history: History, starts: dict[str, int], data: st.DataObject) -> None:
    """Whoever asks for instants that do not fall, in any mixture with readings, is never told less than before."""
    readings, used_uj = readings_of(history, starts)
    found, asked_ns, answers = HostAccount(), readings[0].at_ns - SECOND, [0]
    for reading in readings:
        found = advance(found, reading)
        for step_ns in data.draw(st.lists(st.integers(0, SECOND), max_size=3)):
            asked_ns += step_ns
            answers += [microjoules_at(found, asked_ns), microjoules_at(found, asked_ns)]
    answers.append(microjoules_at(found, max(asked_ns, found.at_ns)))
    assert answers == sorted(answers)
    assert answers[-1] == used_uj
