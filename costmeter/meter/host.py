"""The host's energy: counters that start again at 0, summed into one amount that only grows.

`advance` takes the readings in their order, `microjoules_at` says how much had been used by an instant. The account is
the node's; a GPU takes its share of the differences of what `microjoules_at` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.readings import HostReading, Zone
from costmeter.units import portion

#: No package and no memory of one draws this much: a difference above it × time is not energy.
PLAUSIBLE_WATTS = 3_000

#: The counters move every millisecond or so, and a busy machine may read them late after it looked at its watch.
_SLACK_NS = 100_000_000

#: Up to this power a counter is followed around its range: twice what the largest packages draw. A range of 262,144 J
#: (Intel) then holds for 262 s between two readings, one of 65,533 J (AMD, memory of older Xeons) for 65 s.
FOLLOWED_WATTS = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """The last a zone said, and the instant (CLOCK_BOOTTIME) of the reading it was in."""

    at_ns: int
    zone: Zone


@dataclass(frozen=True, slots=True)
class HostAccount:
    """Microjoules the host used since its first reading, all zones together; `HostAccount()` has read nothing.

    `microjoules` were used by the last reading, at `at_ns`, and `before_microjoules` by the one before. `dropped` is
    how many differences could not be energy. `understated` is how many may be short of what was used, because the
    counter had been unread for longer than it can be followed.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    before_ns: int = 0
    before_microjoules: int = 0
    at_ns: int = 0
    microjoules: int = 0
    dropped: int = 0
    understated: int = 0


def advance(account: HostAccount, reading: HostReading) -> HostAccount:
    """The account after one more reading; one older than the last is passed over, for its energy is counted already.

    A zone counts from the first reading that has it. One that was silent counts its whole difference when it answers
    again. A difference that cannot be energy is dropped, and the zone counts on from what it says now.
    """
    if reading.at_ns < account.at_ns:
        return account
    added_uj, dropped, understated = 0, account.dropped, account.understated
    answers = dict(account.answers)
    for zone in reading.zones:
        then = answers.get(zone.name)
        answers[zone.name] = Answer(reading.at_ns, zone)
        if then is None:
            continue
        length_ns = reading.at_ns - then.at_ns
        is_followed = length_ns <= longest_followed_ns(zone)
        difference_uj = _difference(then.zone, zone, is_followed)
        if 0 <= difference_uj <= PLAUSIBLE_WATTS * (length_ns + _SLACK_NS) // 1_000:
            added_uj += difference_uj
            understated += not is_followed
        else:
            dropped += 1
    total_uj = account.microjoules + added_uj
    return HostAccount(answers, account.at_ns, account.microjoules, reading.at_ns, total_uj, dropped, understated)


def microjoules_at(account: HostAccount, at_ns: int) -> int:
    """Microjoules used by an instant, linear between the last two readings; whoever books keeps what this said.

    Flat after the last reading: what comes next nobody knows yet. Flat before the last but one, so an early instant
    asked late gets more than it got in its time, never less. Hence for instants that do not fall, asked in any mixture
    with `advance`, the answers do not fall, and the differences of neighbouring answers add up to the last less the
    first. Book differences of answers that were given, and do not ask for a booked instant again to subtract it.
    """
    if at_ns >= account.at_ns:
        return account.microjoules
    if at_ns <= account.before_ns:
        return account.before_microjoules
    between_uj = account.microjoules - account.before_microjoules
    passed_ns, length_ns = at_ns - account.before_ns, account.at_ns - account.before_ns
    return account.before_microjoules + portion(between_uj, passed_ns, length_ns)


def longest_followed_ns(zone: Zone) -> int:
    """How long a zone may go unread before it may have passed its whole range: range / FOLLOWED_WATTS."""
    return zone.range_microjoules * 1_000 // FOLLOWED_WATTS


def _difference(then: Zone, now: Zone, is_followed: bool) -> int:
    """Microjoules a zone used between two answers; negative when no history of a counter explains them.

    While it is followed, a counter that fell went around once: `+ range` (one step of the counter, some 61 µJ, less
    than it was). Unread for longer it may have gone around more often, or started again at 0 when the machine woke
    from sleep, and nothing tells which. Then the least that all these histories have in common counts: what it rose
    by, or after a fall what it has counted since 0. So no wrap that never was is booked, and none that cannot be
    proven. Dropping it instead would lose energy that was certainly used.
    """
    risen_uj = now.microjoules - then.microjoules
    if risen_uj >= 0:
        return risen_uj
    return risen_uj + now.range_microjoules if is_followed else now.microjoules
