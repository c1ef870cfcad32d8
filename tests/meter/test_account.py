"""The account of one board: each order of events with its answer by hand. The laws are in test_account_laws.

Unless told otherwise a board with a limit of 700 W draws 300 W and is read each second from 0 s on, its counter at
100,000 J: 1.2 × 700 W × (1 s + a step of 0.15 s) = 966 J is the most that a second can hold.
"""

from dataclasses import replace
from typing import Any

import pytest

from costmeter.meter.account import covered, ended, opened, resumed, standing
from costmeter.meter.standing import Standing
from costmeter.readings import Device, PowerRange, Reading
from tests.meter.accounts import GARBAGE, H100, REFUSED, Silence, book, joules, line, refused, said, still, told
from tests.samples import JOULE, SECOND, device


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        pytest.param([0, 300, 300], [line(0, 1, 2)], id="it-goes-on"),
        pytest.param([0, 18_000, 18_000], [line(0, 60, 120)], id="it-goes-on-read-each-minute"),
        # Late by 98 s: the counter kept counting.
        pytest.param([0, 30_000], [line(0, 100)], id="late"),
        # Fell or jumped, then back: power for a second, then the rest of the counter's 600 J.
        pytest.param([0, 300, 300, 300], [line(0), said(1, 5), line(2, 3)], id="slip-of-one-tick"),
        pytest.param([0, 300, 300, 300], [line(0), said(1, GARBAGE), line(2, 3)], id="jump-of-one-tick"),
        # 500 W at the one doubtful reading: (300 + 500) / 2 = 400 J, and when it returns 600 J less 400 J.
        pytest.param([0, 400, 200], [line(0), said(1, 5, 500), line(2)], id="slip-with-wrong-power"),
        # Ten seconds on another line: the doubtful second by power (400 J), the others by the counter, and at the
        # return what is missing of 12 × 300 J.
        pytest.param(
            [0, 400, *[300] * 9, 200, 300],
            [line(0), said(1, 50_300, 500), line(*range(2, 11), base=50_000), line(11, 12)],
            id="slip-of-ten-ticks",
        ),
        pytest.param(
            [0, 400, *[300] * 9, 200, 300],
            [line(0), said(1, GARBAGE + 300, 500), line(*range(2, 11), base=GARBAGE), line(11, 12)],
            id="jump-of-ten-ticks",
        ),
        pytest.param([0, 400, 300, 300], [line(0), said(1, 9e6, 500), *line(2, 3, base=9e6 - 300)], id="jump-for-good"),
        # Reset at 0.5 s: 150 J are shown at 1 s. Power knows that second better.
        pytest.param([0, 300, 300], [line(0), line(1, 2, base=-150)], id="reset"),
        # Power was never told: the 150 J after the reset are all that is known of that second; they come one later.
        pytest.param(
            [0, 0, 450],
            [line(0, watts=None, utilization=None), line(1, 2, base=-150, watts=None, utilization=None)],
            id="reset-without-power",
        ),
        # Power refused in that second: what it was a second before holds.
        pytest.param([0, 300, 300], [line(0), line(1, 2, base=-150, watts=None)], id="reset-and-power-refused"),
        pytest.param([0, 300, 300, 300], [line(0), said(1, 200), said(2, 100), said(3, 400)], id="two-resets"),
        # Fell at 1 s, refused at 2 s and 3 s: those were booked, and of the 900 J counted from 1 s on 300 J were not.
        pytest.param(
            [0, 300, 300, 300, 300], [line(0), said(1, 9), refused(2, 3), said(4, 909)], id="reset-then-refused"
        ),
        # The counter was reset at 11 s of a silence of 60 s: 15,000 J are shown at 61 s, of which 300 J by power.
        pytest.param(
            [0, 300, 15_000, 300], [line(0), Silence(60), line(61, 62, 63, base=-3_300)], id="reset-during-silence"
        ),
        # Reset to 0, and told 0 once more: nothing was counted between the two.
        pytest.param([0, 300, 0, 300], [line(0), said(1, 0), said(1.05, 0), said(2.05, 300)], id="reset-read-often"),
        # 1 s by the first power, 10 s by the counter when a second reading goes on.
        pytest.param([0, 300, 3_300, 300], [line(0), Silence(10), line(11, 12, 13)], id="silence"),
        pytest.param(
            [0, 300, 300, 3_300],
            [line(0), Silence(10), said(11, GARBAGE), line(12, 13)],
            id="silence-then-garbage",
        ),
        # 103,000 J at 11 s would be possible; 12 s does not go on from there, 13 s goes on from 12 s.
        pytest.param(
            [0, 300, 300, 3_300],
            [line(0), Silence(10), said(11, 108_000), line(12, 13)],
            id="silence-then-what-could-be",
        ),
        pytest.param([0, 300, 300, 300], [line(0), refused(1), line(2, 3)], id="refused"),
        # 600 W said, 300 W counted: 450 + 600 × 3 = 2,250 J booked at 4 s, 1,500 J counted at 5 s. 750 J are owed.
        pytest.param(
            [0, 450, 600, 600, 600, 0, 0, 0, 150, 300],
            [line(0), refused(1, 2, 3, watts=600), line(4, watts=600), line(5, 6, 7, 8, 9)],
            id="debt-and-its-paying-back",
        ),
        # A slip from 6 s to 7 s while the debt of 750 J is paid: 300 J by power at 6 s, 300 J paid at 7 s and at 8 s.
        pytest.param(
            [0, 450, 600, 600, 600, 0, 300, 0, 0, 150, 300],
            [line(0), refused(1, 2, 3, watts=600), line(4, watts=600), line(5), line(6, 7, base=9), line(8, 9, 10)],
            id="slip-while-a-debt-is-paid",
        ),
        # Without power: half-way between 100 W idle and 700 W full at 50 %, 400 J; the counter's 900 J correct it.
        pytest.param(
            [0, 400, 400, 100],
            [line(0, watts=None, utilization=0.5), refused(1, watts=None, utilization=0.5),
             line(2, watts=None, utilization=0.5), line(3)],
            id="refused-without-power",
        ),
        pytest.param(
            [0, 0, 0, 900],
            [line(0, watts=None, utilization=None), refused(1, watts=None, utilization=None),
             line(2, watts=None, utilization=None), line(3)],
            id="refused-with-nothing",
        ),
    ],
)  # fmt: skip
def test_what_each_second_is_booked(expected: list[float], events: list[Any]) -> None:
    """Every reading books what is certain of the time before it; what is doubtful is settled by those that follow."""
    board = replace(H100, power_range=PowerRange(100, 700))
    _, entries = book(*events, board=board)
    assert joules(entries) == expected


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        # 3 s after it last moved it is frozen: those 900 J by power then, and 300 J each second until it moves.
        pytest.param([0, 0, 0, 900, 300, 300, 300], [still(0, 1, 2, 3, 4), said(5, 100_300), said(6, 100_600)],
                     id="goes-on-from-there"),
        # At 5 s it shows all 1,500 J: more than a second can hold, so 6 s must confirm it.
        pytest.param([0, 0, 0, 900, 300, 300, 300], [still(0, 1, 2, 3, 4), line(5, 6)], id="catches-up"),
        # At 4 s it shows 5,000 J that were not drawn, and goes on: neither missed (900 J) nor to be drawn.
        pytest.param([0, 0, 0, 900, 300, 300], [still(0, 1, 2, 3), said(4, 105_000), said(5, 105_300)], id="jumps"),
        pytest.param([0, 0, 0, 900], [still(0, 1, 2), line(3)], id="too-short-to-see-and-catches-up"),
        # It stood still for 2 s, too short to be frozen, and goes on without the 600 J: they come with the next second.
        pytest.param([0, 0, 0, 900], [still(0, 1, 2), said(3, 100_300)], id="too-short-to-be-frozen"),
        pytest.param([0, 0, 0, 900, 300, 300, 300], [still(0, 1, 2, 3, 4), said(5, 9), said(6, 309)], id="then-reset"),
        # It fell while it stood still for 2 s: what was drawn then (600 J) is booked with the doubtful second.
        pytest.param([0, 0, 0, 900, 300], [still(0, 1, 2), said(3, 9), said(4, 309)], id="still-then-reset"),
        # A slip while frozen changes nothing.
        pytest.param([0, 0, 0, 900, 300, 300], [still(0, 1, 2, 3), said(4, 9), still(5)], id="then-slip"),
        pytest.param([0, 1_500, 1_500, 1_500], [still(0, 5, 10), said(15, 101_500)], id="read-every-5-s"),
        pytest.param([0, 0, 0, 0], [still(0, 60, 120, 180, watts=0)], id="no-power-drawn"),
        pytest.param([0, 0, 0, 0], [still(0, 60, 120, watts=None, utilization=0), refused(180, watts=None)],
                     id="nothing-says-that-power-is-drawn"),
        # Utilization says that power is drawn, and nothing how much.
        pytest.param([0, 0, 0, 0, 0], [still(0, 1, 2, 3, 4, watts=None)], id="unmeasured"),
        # Silent from 4 s to 14 s, and then all 4,800 J are there: 900 + 300 J booked by power less.
        pytest.param([0, 0, 0, 900, 300, 300, 3_300], [still(0, 1, 2, 3, 4), Silence(14), line(15, 16)],
                     id="silence-then-catches-up"),
    ],
)  # fmt: skip
def test_a_counter_that_stands_still(expected: list[float], events: list[Any]) -> None:
    """Frozen is a counter that stood still for 3 s while power was drawn; it is believed again once it moves."""
    _, entries = book(*events)
    assert joules(entries) == expected


def test_a_line_left_long_ago_is_no_excuse_for_a_jump() -> None:
    """A day after a reset at 100,000 J, a jump by 90,000 J is a jump: of a day's 26 MJ it would be a small share."""
    day_s = 86_400
    account, _ = book(line(0), line(1, 2, base=0), line(*range(60, day_s, 60), base=0), line(day_s, base=0))
    _, entries = book(line(day_s + 1, day_s + 2, base=90_000), account=account)
    assert joules(entries) == [300, 300]


@pytest.mark.parametrize("period_s", [0.05, 0.2, 1, 5, 60])
def test_a_freeze_costs_nothing_at_any_period(period_s: float) -> None:
    """Frozen from 60 s to 240 s of 300 s: by power, however often it is read, and 300 W × 300 s are 90,000 J."""
    reads = round(300 / period_s)
    at_s = [number * period_s for number in range(reads + 1)]
    _, entries = book(
        [said(s, 100_000 + 300 * (min(s, 60) + max(0, s - 240))) for s in at_s], bridge_s=3 * period_s + 5
    )
    assert sum(joules(entries)) == pytest.approx(90_000)
    assert {entry.method for entry in entries} == {"estimated", "counter", "power"}


def test_a_counter_that_moves_in_steps_is_not_frozen() -> None:
    """Read every 50 ms, a counter that moves every 100 ms stands still each second time, and is all that counts."""
    _, entries = book([said(tick / 20, 100_000 + 30 * (tick // 2)) for tick in range(200)])
    assert sum(joules(entries)) == 30 * 99
    assert {entry.method for entry in entries[1:]} == {"counter"}


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        pytest.param([0, 300, 300], [line(0, 1, 2)], id="sound"),
        pytest.param([0, 300, 3_300], [line(0), Silence(10), line(11, 12)], id="confirmed"),
        pytest.param([0, 3_300], [line(0), Silence(10), line(11)], id="after-silence"),
        pytest.param([0, 300, 300], [line(0), refused(1), line(2)], id="after-refusal"),
        pytest.param([0, 300, 300], [line(0), refused(1, 2)], id="refused"),
        pytest.param([0, 300], [line(0), said(1, 5)], id="fell"),
        # Of a silence of 10 s it shows the 9 s since its reset, 2,700 J, of which power knows the last one.
        pytest.param([0, 2_700], [line(0), Silence(10), said(11, 2_700)], id="fell-after-silence"),
        pytest.param([0, 300], [line(0), said(1, GARBAGE)], id="jumped"),
        pytest.param([0, 0, 600], [still(0, 1, 2)], id="stood-still-for-a-second"),
        pytest.param([0, 300, 0], [line(0, 1), said(1.3, 100_300)], id="stood-still-for-less"),
        pytest.param([0, 0, 0, 900, 600], [still(0, 1, 2, 3), line(5)], id="was-frozen-and-caught-up"),
        pytest.param([0, 0, 0, 900, 300], [still(0, 1, 2, 3), said(4, 100_200)], id="was-frozen-and-goes-on"),
    ],
)
def test_nothing_waits_after_the_last_reading(expected: list[float], events: list[Any]) -> None:
    """The last reading of all is settled at once, as far as it can be."""
    _, entries = book(*events, ends=True)
    assert joules(entries) == expected


@pytest.mark.parametrize(
    ("expected", "method", "reading"),
    [
        pytest.param(600, "estimated", said(2, 5_000), id="first-power-times-time"),
        pytest.param(600, "estimated", said(2, None), id="without-counter"),
        pytest.param(18_000, "estimated", said(60, 5_000), id="as-long-as-a-minute"),
        pytest.param(0, None, said(61, 5_000), id="longer"),
        pytest.param(0, None, said(2, 5_000, None), id="without-power"),
    ],
)
def test_the_head(expected: float, method: str | None, reading: Reading) -> None:
    """From the start to the first reading: first power × time up to a minute, and no part of what the counter shows."""
    account, (entry,) = book(reading)
    assert (round(expected * JOULE), method) == (entry.microjoules, entry.method)
    assert entry.unmeasured_nanoseconds == (0 if method else account.booked_ns)


def test_only_the_first_stretch_is_a_head() -> None:
    """A board without a counter is not read for 20 s: longer than the 8 s that power may be taken to have held."""
    _, entries = book(refused(1), Silence(2), refused(22))
    assert joules(entries) == [300, 0]
    assert entries[1].unmeasured_nanoseconds == 20 * SECOND


@pytest.mark.parametrize(
    ("expected", "board", "watts"),
    [
        pytest.param([0, 966, 966, 966], H100, 966, id="just-what-a-second-can-hold"),
        # Doubtful: 300 J by power; then 4,000 J - 300 J, believed from there on.
        pytest.param([0, 300, 3_700, 2_000], H100, 2_000, id="steadily-more-than-the-limit"),
        pytest.param([0, 300, 300, 300], H100, 4_000, id="steadily-more-than-anything-draws"),
        pytest.param([0, 2_900, 2_900, 2_900], device(scope="module"), 2_900, id="a-module"),
        pytest.param([0, 3_000, 3_000, 3_000], device(power_limit_watts=REFUSED), 3_000, id="limit-unknown"),
    ],
)
def test_what_a_board_can_draw(expected: list[float], board: Device, watts: float) -> None:
    """1.2 × limit, or what the counter steadily says, or, where the limit says nothing, 3,600 W."""
    _, entries = book([said(at_s, watts * at_s) for at_s in range(4)], board=board)
    assert joules(entries) == expected


def test_a_limit_may_change() -> None:
    """From 700 W to 200 W: the 300 J of the first second that are above 1.2 × 200 W × 1.15 s go by power, no more."""
    account, _ = book(line(0, 1))
    lowered = device(power_limit_watts=200.0)
    _, entries = book(line(2), [said(s, 100_600 + 150 * (s - 2), 150) for s in (3, 4)], board=lowered, account=account)
    assert joules(entries) == [300, 150, 150]


def standing_at(joules: int) -> Standing:
    """What a meter leaves that had booked up to 10 s, all by its counter."""
    return Standing(joules * JOULE, 10 * SECOND)


def test_a_meter_goes_on_from_where_another_stood() -> None:
    """Killed in the middle of whatever went on, the two meters together book what one would have booked."""
    events = [line(0), refused(1, 2, 3, watts=600), line(4, watts=600), line(5), line(6, 7, 8, 9)]
    whole, _ = book(*events)
    for cut in range(1, len(events) + 1):
        first, entries = book(*events[:cut])
        after, rest = book(*events[cut:], account=resumed(first.booked_ns, standing(first)))
        assert covered(after) == covered(whole)
        assert sum(joules([*entries, *rest])) + after.debt_microjoules / -JOULE == pytest.approx(2_700)


def test_a_gap_between_meters_is_the_counters() -> None:
    """The meter before had booked up to 10 s; the counter says what was drawn in the 90 s in which there was none."""
    account, entries = book(line(100, 101), account=resumed(10 * SECOND, standing_at(103_000)))
    assert joules(entries) == [27_000, 300]
    assert covered(account) == 130_300 * JOULE


def test_a_counter_that_was_reset_between_meters() -> None:
    """The gap of 90 s is unmeasured but for the 12,000 J that are shown since the reset."""
    _, entries = book(said(100, 12_000), said(101, 12_300), account=resumed(10 * SECOND, standing_at(10**6)))
    assert joules(entries) == [0, 12_300]
    assert entries[0].unmeasured_nanoseconds == 90 * SECOND
    assert entries[1].was_reset


def test_unmeasured_time_is_recovered_when_its_energy_is_booked() -> None:
    """10 s of silence are recovered at 12 s, once; of a silence without counter nothing is."""
    _, entries = book(line(0), Silence(10), line(11, 12, 13))
    assert [0, 0, 10 * SECOND, 0] == [entry.recovered_nanoseconds for entry in entries]
    _, entries = book(refused(0), Silence(10), refused(11, 12))
    assert [0, 0, 0] == [entry.recovered_nanoseconds for entry in entries]


def test_what_is_covered_goes_along_with_what_is_booked() -> None:
    """The counter up to which all is booked: 100,000 J, and what each reading added, whoever said so."""
    account, booked = opened(0), 0
    for reading in [*line(0), *refused(1, 2, watts=600), *line(3, 4, 5), *still(6, 7, 8, 9, joules=101_500)]:
        account, (entry,) = book(reading, account=account)
        booked += entry.microjoules
        assert covered(account) == 100_000 * JOULE + booked


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        pytest.param("", [line(0, 1), Silence(4), line(5, 6)], id="nothing"),
        pytest.param("the energy counter was reset", [line(0), line(1, 2, 3, base=0)], id="reset"),
        pytest.param(
            "the energy counter jumped by 200,000 J that no energy stands behind; not counted",
            [line(0), line(1, 2, 3, base=299_700)],
            id="jump",
        ),
        pytest.param(
            "the energy counter cannot be read (refused); energy by power", [line(0), refused(1, 2, 3)], id="refused"
        ),
        pytest.param(
            "the energy counter cannot be read (refused); energy unmeasured",
            [line(0), Silence(4), refused(5, 6, watts=None)],
            id="refused-after-silence",
        ),
        pytest.param(
            "the energy counter stands still while power is drawn; energy by power; the energy counter moves again, "
            "with what it had missed",
            [still(0, 1, 2, 3), line(4, 5)],
            id="frozen",
        ),
        pytest.param(
            "the energy counter cannot be read (refused); energy by power; power had booked more than the energy "
            "counter counted; later counts pay it back",
            [line(0, watts=600), refused(1, watts=600), line(2, watts=600), line(3)],
            id="debt",
        ),
    ],
)
def test_faults_are_told_once_and_in_words(expected: str, events: list[Any]) -> None:
    """What was wrong, and what is booked instead, at the reading at which it is known."""
    assert told(book(*events)[1]) == expected


def test_a_debt_that_is_left_is_told_at_the_end() -> None:
    """1,200 J by power up to 2 s, 900 J counted at 3 s; a debt below a joule is not worth a word."""
    events = line(0, watts=600), refused(1, watts=600), line(2, watts=600)
    account, _ = book(*events, line(3))
    assert ended(account) == ("300 J were booked by power that the energy counter never counted",)
    account, _ = book(*events, said(3, 101_199.5))
    assert (account.debt_microjoules, ended(account)) == (JOULE // 2, ())


@pytest.mark.parametrize(
    ("expected", "events"),
    [
        pytest.param([True, True, True], [line(0, 1, 2)], id="sound"),
        pytest.param([True, True, False], [line(0), said(1, 5), line(2)], id="more-or-less-than-this-second"),
        pytest.param([True, True, True], [line(0), line(1, 2, base=0)], id="from-the-reset-on"),
        pytest.param([True, False, False, False], [still(0, 1, 2, 3)], id="stands-still"),
        pytest.param([True, True, True, False, False], [line(0, watts=900), refused(1, watts=900),
                     line(2, watts=900), line(3, 4)], id="paying-a-debt"),
        pytest.param([True, False], [line(0, watts=None), refused(1, watts=None)], id="unmeasured"),
    ],
)  # fmt: skip
def test_an_energy_of_its_own_time_gives_a_mean_power(expected: list[bool], events: list[Any]) -> None:
    """Only an energy that is that of the time of its entry may decide whether the board was computing."""
    assert [entry.is_own for entry in book(*events)[1]] == expected
