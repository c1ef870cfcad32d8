"""The laws of the account, on boards whose true power is known: a random draw, random polls, and random faults."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.account import Account, Entry, covered, enter, opened, silent
from costmeter.meter.counter import COUNTER_STEP_NS, MOST_WATTS, PLAUSIBLE_LIMITS
from costmeter.readings import Missing, Reading
from costmeter.units import microjoules_from_power
from tests.depth import examples
from tests.meter.accounts import H100, REFUSED
from tests.samples import SECOND

BRIDGE_NS = 30 * SECOND
LIMIT_WATTS = 700.0
CEILING_WATTS = PLAUSIBLE_LIMITS * LIMIT_WATTS
#: Where a counter stands that has run for weeks: far above all that a test can draw.
STARTED_UJ = 10**15

Fate = Literal["answers", "refused", "silent"]
FATES: st.SearchStrategy[Fate] = st.sampled_from(("answers", "answers", "refused", "silent"))
#: From polling twenty times a second to a machine that slept.
LENGTHS = st.sampled_from([SECOND // 20, SECOND, 5 * SECOND, 60 * SECOND]) | st.integers(SECOND // 50, 600 * SECOND)
DRAWN = st.integers(1, 700)
SAID = st.none() | st.floats(0.001, CEILING_WATTS)
UTILIZATION = st.none() | st.floats(0, 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A time, what was truly drawn in it, and what became of the reading at its end."""

    length_ns: int
    watts: int
    fate: Fate
    said_watts: float | None
    utilization: float | None


def ticks(
    fates: st.SearchStrategy[Fate] = FATES, said: st.SearchStrategy[float | None] = SAID
) -> st.SearchStrategy[list[Tick]]:
    """Some ticks, of which the last one answers."""
    last = st.builds(Tick, LENGTHS, DRAWN, st.just("answers"), said, UTILIZATION)
    return st.tuples(st.lists(st.builds(Tick, LENGTHS, DRAWN, fates, said, UTILIZATION), max_size=20), last).map(
        lambda drawn: [*drawn[0], drawn[1]]
    )


@dataclass(slots=True)
class Booked:
    """A board being metered, and what was booked of it; after each step what must always hold is looked at."""

    account: Account
    microjoules: int = 0
    unmeasured_ns: int = 0
    recovered_ns: int = 0
    readings: int = 0

    def tick(self, tick: Tick, counter_uj: int, is_last: bool = False) -> Entry | None:
        """One tick, at whose end the counter says this if it is asked and answers."""
        start_ns, at_ns = self.account.booked_ns, self.account.booked_ns + tick.length_ns
        if tick.fate == "silent":
            self.account = silent(self.account, at_ns)
            self.unmeasured_ns += tick.length_ns
            return None
        energy = counter_uj if tick.fate == "answers" else REFUSED
        reading = Reading(H100.uuid, at_ns, energy, _or_refused(tick.said_watts), _or_refused(tick.utilization))
        self.account, entry = enter(self.account, reading, H100, BRIDGE_NS, is_last)
        self.microjoules += entry.microjoules
        self.unmeasured_ns += entry.unmeasured_nanoseconds
        self.recovered_ns += entry.recovered_nanoseconds
        self.readings += 1
        assert self.account.booked_ns == at_ns
        assert entry.microjoules >= 0
        assert entry.method is not None or entry.microjoules == 0
        assert 0 <= entry.unmeasured_nanoseconds <= at_ns - start_ns
        assert 0 <= self.recovered_ns <= self.unmeasured_ns
        assert self.account.debt_microjoules >= 0
        return entry


def _or_refused(value: float | None) -> float | Missing:
    return REFUSED if value is None else value


def begun(start_uj: int = STARTED_UJ) -> Booked:
    """A board that has answered once, at 0 s."""
    booked = Booked(opened(0))
    booked.tick(Tick(0, 0, "answers", 300.0, 0.9), start_uj)
    return booked


def drawn_uj(tick: Tick) -> int:
    """The true energy of a tick, as a counter of millijoules tells it."""
    return microjoules_from_power(tick.watts, tick.length_ns) // 1_000 * 1_000 + 1_000


@given(ticks())
def test_what_is_booked_is_what_the_counter_counted(story: list[Tick]) -> None:
    """Silent, refused or late, and whatever power says: booked less the debt is the counter's difference, exactly."""
    booked, counter_uj = begun(), STARTED_UJ
    for number, tick in enumerate(story, 1):
        counter_uj += drawn_uj(tick)
        booked.tick(tick, counter_uj, is_last=number == len(story))
        assert covered(booked.account) == STARTED_UJ + booked.microjoules
    assert booked.microjoules - booked.account.debt_microjoules == counter_uj - STARTED_UJ
    assert booked.unmeasured_ns == booked.recovered_ns


@given(ticks(), st.sampled_from([-1, 1]), st.integers(0, 20), st.integers(1, 20))
def test_a_counter_that_returns_has_lost_nothing(story: list[Tick], sign: int, first: int, count: int) -> None:
    """On another line for any number of ticks, and back: booked less the debt is the true line's difference."""
    booked, counter_uj = begun(), STARTED_UJ
    for number, tick in enumerate(story):
        counter_uj += drawn_uj(tick)
        is_last = number == len(story) - 1
        is_off = first <= number < first + count and not is_last
        booked.tick(tick, counter_uj + sign * STARTED_UJ // 2 * is_off, is_last)
    assert booked.microjoules - booked.account.debt_microjoules == counter_uj - STARTED_UJ


@examples(50)
@given(ticks(), st.integers(0, 20), st.floats(0, 1), st.booleans())
def test_a_jump_or_a_reset_costs_its_time_at_most(story: list[Tick], at: int, within: float, is_reset: bool) -> None:
    """A line left for good costs no more than can be drawn between its last value and the first of the next line."""
    booked, counter_uj, true_uj, doubtful_ns, left_ns = begun(), STARTED_UJ, 0, 0, -1
    for number, tick in enumerate(story):
        counter_uj += drawn_uj(tick)
        true_uj += drawn_uj(tick)
        if number == at:
            counter_uj = round(within * drawn_uj(tick)) if is_reset else counter_uj + STARTED_UJ // 2
        if number >= at and left_ns < 0 and booked.account.base is not None:
            left_ns = booked.account.base.at_ns
        booked.tick(tick, counter_uj, is_last=number == len(story) - 1)
        if number >= at and not doubtful_ns and tick.fate == "answers":
            doubtful_ns = booked.account.booked_ns - left_ns
    off_uj = booked.microjoules - booked.account.debt_microjoules - true_uj
    most_uj = microjoules_from_power(CEILING_WATTS, doubtful_ns + COUNTER_STEP_NS) if doubtful_ns else 0
    assert abs(off_uj) <= most_uj


VALUES = st.sampled_from(["goes on", "goes on", "stands still", "reset", "jumps", "falls", "returns", "garbage"])


@examples(50)
@given(st.lists(st.tuples(st.builds(Tick, LENGTHS, DRAWN, FATES, SAID, UTILIZATION), VALUES), max_size=25))
def test_nothing_makes_energy(story: Sequence[tuple[Tick, str]]) -> None:
    """Whatever a counter says in whatever order, never more is booked than anything could have drawn."""
    booked, counter_uj, before_uj = begun(), STARTED_UJ, STARTED_UJ
    for tick, what in story:
        went_on_uj = counter_uj + drawn_uj(tick)
        said_uj = {
            "goes on": went_on_uj,
            "stands still": counter_uj,
            "reset": drawn_uj(tick) // 2,
            "jumps": went_on_uj + 10**10,
            "falls": max(0, went_on_uj - 10**10),
            "returns": before_uj + drawn_uj(tick),
            "garbage": 2**63,
        }[what]
        before_uj, counter_uj = (counter_uj if what in ("jumps", "falls", "reset") else before_uj), said_uj
        booked.tick(tick, said_uj)
        elapsed_ns = booked.account.booked_ns + booked.readings * COUNTER_STEP_NS
        assert booked.microjoules <= microjoules_from_power(MOST_WATTS, elapsed_ns)


@examples(50)
@given(ticks(st.just("answers"), st.floats(0.001, 700)), st.integers(0, 20), st.integers(1, 20), st.booleans())
def test_a_freeze_makes_no_energy(story: list[Tick], first: int, count: int, catches_up: bool) -> None:
    """However long a counter stands still and whatever power says, no more is booked than the board can draw."""
    booked, shown_uj, missed_uj = begun(), STARTED_UJ, 0
    for number, tick in enumerate(story):
        is_frozen = first <= number < first + count
        missed_uj += drawn_uj(tick) if is_frozen else 0
        shown_uj += 0 if is_frozen else drawn_uj(tick)
        if catches_up and not is_frozen:
            shown_uj, missed_uj = shown_uj + missed_uj, 0
        booked.tick(tick, shown_uj)
        elapsed_ns = booked.account.booked_ns + booked.readings * COUNTER_STEP_NS
        assert booked.microjoules <= microjoules_from_power(CEILING_WATTS, elapsed_ns)


@given(st.lists(LENGTHS, min_size=2), st.integers(0, 20), st.integers(1, 20))
def test_a_counter_that_catches_up_has_lost_nothing(lengths_ns: list[int], first: int, count: int) -> None:
    """Frozen for any number of ticks while power is read, and then showing all it missed: the counter's difference."""
    booked, counter_uj, shown_uj = begun(), STARTED_UJ, STARTED_UJ
    for number, length_ns in enumerate(lengths_ns):
        tick = Tick(length_ns, 300, "answers", 300.0, 0.9)
        counter_uj += drawn_uj(tick)
        is_last = number == len(lengths_ns) - 1
        shown_uj = shown_uj if first <= number < first + count and not is_last else counter_uj
        booked.tick(tick, shown_uj, is_last)
    assert booked.microjoules - booked.account.debt_microjoules == counter_uj - STARTED_UJ
