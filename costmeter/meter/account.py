"""The account of one board: what its energy counter said, what has been booked since, and what is still owed.

A counter that answers and grows as a board can draw is believed at once: its difference is booked. Whatever else it
does is doubtful, and is settled by what it says next:

- it fell: a reset where it goes on from there (its driver was reloaded; it never wraps), else a slip where it returns;
- it grew by more than the board can draw: believed where it keeps growing so (a counter of more than the board), a slip
  where it returns, else a jump that no energy stands behind;
- it stood still, though a board that is there draws power: frozen, until it moves;
- it answers again after failed reads: believed when the next reading goes on, with all it counted meanwhile.

Meanwhile energy is booked by power, or by utilization, or not at all, and never twice: the account knows what was
booked since the counter was last believed. When the counter returns with more, the rest is booked then. When it returns
with less, the difference is a debt, and what the counter counts next pays it before anything is booked again. So while
a counter stays on one line, what was booked less the debt is what it counted.
"""

from dataclasses import dataclass, replace

from costmeter.meter.counter import MOST_WATTS, PLAUSIBLE_LIMITS, Line, beside, from_reset, is_closer, is_steady, later
from costmeter.meter.power import NO_TRAIL, NOTHING, Known, Trail, follow, known
from costmeter.meter.standing import Standing
from costmeter.readings import Device, Method, Missing, Reading, how_found
from costmeter.units import MICROJOULES_PER_JOULE, NANOSECONDS_PER_SECOND

#: A counter that has stood still for so long is frozen; a sound one moves every 0.02 to 0.1 s.
FROZEN_AFTER_NS = 3 * NANOSECONDS_PER_SECOND
#: So long is enough at the last reading of all, which nothing follows that could tell.
FROZEN_AT_THE_END_NS = NANOSECONDS_PER_SECOND
#: One that moves again after so long without what was drawn meanwhile stood still, if not for long.
STOOD_STILL_NS = NANOSECONDS_PER_SECOND // 2
#: The head, from the spawn to the first reading, is estimated from the first power up to this length.
LONGEST_HEAD_NS = 60 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Account:
    """One board's energy up to `booked_ns`. `base` is where its counter was last believed; None: it has not answered.

    `left` is the line the counter left when it was re-based, `doubtful` a value that waits for the next. `drawn` is
    what other means say was drawn while the counter stands still and that is not booked yet. `has_failed`: the board or
    its counter did not answer since `base`; `is_refused`: that the counter alone does not has been told.
    """

    booked_ns: int
    base: Line | None = None
    left: Line | None = None
    doubtful: Line | None = None
    trail: Trail = NO_TRAIL
    drawn: Known = NOTHING
    is_frozen: bool = False
    has_failed: bool = False
    is_refused: bool = False
    ceiling_watts: float = 0.0
    debt_microjoules: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What one reading added: the energy of the time since the reading before, and how it was found.

    `recovered_nanoseconds` is time that was booked as unmeasured before, and whose energy is in here. `told` are faults
    in words; `was_reset` says that the counter began anew. `is_own`: the energy is that of this time, no more and no
    less, so that its mean power is known.
    """

    microjoules: int
    method: Method | None
    unmeasured_nanoseconds: int = 0
    recovered_nanoseconds: int = 0
    told: tuple[str, ...] = ()
    was_reset: bool = False
    is_own: bool = False


def opened(start_ns: int) -> Account:
    """An account of a board that has said nothing yet."""
    return Account(start_ns)


def standing(account: Account) -> Standing | None:
    """Where the account stands, for a later meter to go on from; None without a counter."""
    base = account.base
    if base is None:
        return None
    debt_uj, unmeasured_ns, has_failed = account.debt_microjoules, base.unmeasured_nanoseconds, account.has_failed
    booked_uj, is_frozen = base.booked_microjoules, account.is_frozen
    return Standing(base.microjoules, base.at_ns, booked_uj, debt_uj, is_frozen, has_failed, unmeasured_ns)


def resumed(booked_ns: int, left: Standing | None) -> Account:
    """An account that goes on from where an earlier meter stood, and had booked time up to `booked_ns`."""
    if left is None:
        return Account(booked_ns, has_failed=True)
    base = Line(left.counter_microjoules, left.at_ns, left.booked_microjoules, left.unmeasured_nanoseconds)
    has_failed, debt_uj = left.has_failed, left.debt_microjoules
    return Account(booked_ns, base, is_frozen=left.is_frozen, has_failed=has_failed, debt_microjoules=debt_uj)


def covered(account: Account) -> int | None:
    """The counter value up to which everything is booked: what a later meter goes on from. None without a counter."""
    return None if account.base is None else account.base.covered_microjoules + account.debt_microjoules


def silent(account: Account, until_ns: int) -> Account:
    """The account after time in which the board said nothing: its energy waits for the counter, if it ever returns."""
    length_ns = until_ns - account.booked_ns
    return replace(
        account,
        booked_ns=until_ns,
        base=later(account.base, 0, length_ns),
        left=later(account.left, 0, length_ns),
        doubtful=later(account.doubtful, 0, length_ns),
        trail=NO_TRAIL,
        has_failed=True,
    )


def enter(
    account: Account, reading: Reading, device: Device, bridge_ns: int, is_last: bool = False
) -> tuple[Account, Entry]:
    """Book the time from `account.booked_ns` to the reading, which is no earlier.

    `bridge_ns` is the longest time between two readings that power may be taken to have held over. Nothing is left
    waiting after the last reading of all.
    """
    value, base = reading.energy_microjoules, account.base
    if base is None or isinstance(value, Missing):
        return _without_difference(account, reading, value, device, bridge_ns)
    ceiling_watts = _ceiling_watts(account, device)
    is_plain = account.doubtful is None and not (account.has_failed or account.is_frozen)
    if is_plain and value != base.microjoules and base.fits(value, reading.at_ns, ceiling_watts):
        if account.drawn.microjoules and account.booked_ns - base.at_ns >= STOOD_STILL_NS:
            return _after_a_stop(account, base, value, reading, device, bridge_ns)
        return _settle(account, base, value, reading)
    otherwise = known(account.trail, reading, device, account.booked_ns, bridge_ns)
    if value == base.microjoules and (account.is_frozen or account.doubtful is None):
        return _stands_still(account, base, reading, otherwise, is_last)
    return _judge(account, base, value, reading, otherwise, ceiling_watts, is_last)


def ended(account: Account) -> tuple[str, ...]:
    """What is to be told of the account when nothing will be read any more."""
    joules = account.debt_microjoules / MICROJOULES_PER_JOULE
    return (f"{joules:,.0f} J were booked by power that the energy counter never counted",) if joules >= 1 else ()


# The counter does not answer, or does not move


def _without_difference(
    account: Account, reading: Reading, value: int | Missing, device: Device, bridge_ns: int
) -> tuple[Account, Entry]:
    """The counter cannot be read, which is told once where it could be before, or it answers for the first time."""
    is_head = account.base is None and not account.has_failed
    longest_ns = max(bridge_ns, LONGEST_HEAD_NS) if is_head else bridge_ns
    otherwise = known(account.trail, reading, device, account.booked_ns, longest_ns)
    if not isinstance(value, Missing):
        account, entry = _book(account, reading, otherwise)
        return _believed(account, Line(value, reading.at_ns)), entry
    is_news = not account.is_refused and (account.base is not None or device.method == "counter")
    told = f"the energy counter cannot be read ({value.reason}); {how_found(otherwise.method)}" if is_news else ""
    if not (account.has_failed and account.is_refused):  # once, where there is no counter at all: readings are many
        account = replace(account, has_failed=True, is_refused=True)
    return _book(account, reading, otherwise, told)


def _stands_still(
    account: Account, base: Line, reading: Reading, otherwise: Known, is_last: bool
) -> tuple[Account, Entry]:
    """Nothing new from the counter: short of a step, or frozen, which is known when power was drawn for long enough."""
    if account.is_frozen:
        return _book(replace(account, doubtful=None), reading, otherwise)
    draws = _draws(reading)
    if draws and reading.at_ns - base.at_ns >= (FROZEN_AT_THE_END_NS if is_last else FROZEN_AFTER_NS):
        power = " while power is drawn" if otherwise.method == "power" else ""
        told = f"the energy counter stands still{power}; {how_found(otherwise.method)}"
        return _book(replace(account, is_frozen=True), reading, otherwise, told)
    if draws and otherwise.method is not None:
        drawn = Known(account.drawn.microjoules + otherwise.microjoules, otherwise.method, 0)
        account = replace(account, drawn=drawn)
    return replace(account, booked_ns=reading.at_ns, trail=_trail(account, reading)), Entry(0, "counter")


def _after_a_stop(
    account: Account, base: Line, value: int, reading: Reading, device: Device, bridge_ns: int
) -> tuple[Account, Entry]:
    """The counter moves after it stood still for longer than a step: with what was drawn meanwhile, or without."""
    otherwise = known(account.trail, reading, device, account.booked_ns, bridge_ns)
    has_missed = 2 * (value - base.microjoules - otherwise.microjoules) <= account.drawn.microjoules
    if otherwise.method is None or not has_missed:
        return _settle(account, base, value, reading)
    told = f"the energy counter stood still for a moment; {how_found(otherwise.method)}"
    account, entry = _book(account, reading, otherwise, told)
    return _believed(account, Line(value, reading.at_ns)), entry


def _draws(reading: Reading) -> bool:
    """Whether the board may draw power: no board that is there draws none, unless it says so."""
    return isinstance(reading.power_watts, Missing) or reading.power_watts > 0


# The counter says something doubtful


def _judge(
    account: Account,
    base: Line,
    value: int,
    reading: Reading,
    otherwise: Known,
    ceiling_watts: float,
    is_last: bool,
) -> tuple[Account, Entry]:
    """A value that is not plainly the next one: settle it by one of the lines it may lie on, or wait for the next."""
    at_ns, since, left = reading.at_ns, account.doubtful, account.left
    goes_on = since is not None and since.fits(value, at_ns, ceiling_watts)
    is_sure = goes_on or is_last or not account.has_failed
    is_left = left is not None and is_closer(left, base, value) and left.fits(value, at_ns, ceiling_watts)
    if base.fits(value, at_ns, ceiling_watts) and not is_left:
        if account.is_frozen:
            is_now = Line(base.microjoules, account.booked_ns).fits(value, at_ns, ceiling_watts)
            if is_now or goes_on or is_last:
                return _thaw(account, base, since if goes_on else None, value, reading, otherwise)
        elif is_sure:
            return _settle(account, base, value, reading)
    elif left is not None and left.fits(value, at_ns, ceiling_watts):
        if is_sure:
            return _settle(account, left, value, reading, "the energy counter returned to where it had been")
    elif since is not None and goes_on:
        return _rebase(account, base, since, value, reading, ceiling_watts)
    elif since is not None and is_steady(base, since, value, at_ns):
        watts = since.watts(value, at_ns)
        account = replace(account, ceiling_watts=min(PLAUSIBLE_LIMITS * watts, MOST_WATTS))
        told = f"the energy counter counts {watts:,.0f} W, more than the board's limit; it is believed"
        return _settle(account, base, value, reading, told)
    account, entry = _book(account, reading, otherwise)
    since, base = Line(value, at_ns), account.base or base
    if is_last and value < base.microjoules:
        return _reset_at_the_end(account, base, since, reading, entry, ceiling_watts)
    return replace(account, doubtful=since), entry


def _thaw(
    account: Account, base: Line, since: Line | None, value: int, reading: Reading, otherwise: Known
) -> tuple[Account, Entry]:
    """A frozen counter moves: with what it missed when it shows more than half of that, else from here on.

    `since` is where it was first seen to move; None when that is now.
    """
    if since is None:
        shown_uj, booked_uj = value - base.microjoules - otherwise.microjoules, base.booked_microjoules
    else:
        shown_uj = since.microjoules - base.microjoules
        booked_uj = base.booked_microjoules - since.booked_microjoules
    if 2 * shown_uj > booked_uj:
        return _settle(account, base, value, reading, "the energy counter moves again, with what it had missed")
    told = "the energy counter moves again"
    if since is not None or otherwise.method is None:
        return _settle(account, since or Line(base.microjoules, account.booked_ns), value, reading, told)
    account, entry = _book(account, reading, otherwise, told)
    return _believed(account, Line(value, reading.at_ns)), entry


def _rebase(
    account: Account, base: Line, since: Line, value: int, reading: Reading, ceiling_watts: float
) -> tuple[Account, Entry]:
    """The counter goes on from the doubtful value: what it said before is another line, which it may return to."""
    account = replace(account, left=base)
    if since.microjoules < base.microjoules:
        line = from_reset(base, since, ceiling_watts)
        account, entry = _settle(account, line, value, reading, "the energy counter was reset")
        return account, replace(entry, was_reset=True)
    joules = (since.microjoules - base.microjoules) / MICROJOULES_PER_JOULE
    told = f"the energy counter jumped by {joules:,.0f} J that no energy stands behind; not counted"
    return _settle(account, since, value, reading, told)


def _reset_at_the_end(
    account: Account, base: Line, since: Line, reading: Reading, entry: Entry, ceiling_watts: float
) -> tuple[Account, Entry]:
    """The counter fell at the last reading of all: no other will tell whether it goes on from there."""
    account, rest = _rebase(account, base, since, since.microjoules, reading, ceiling_watts)
    return account, replace(
        entry,
        microjoules=entry.microjoules + rest.microjoules,
        method=entry.method or (rest.method if rest.microjoules else None),
        told=rest.told,
        was_reset=True,
        is_own=entry.is_own and not rest.microjoules,
    )


# Bookkeeping


def _believed(account: Account, base: Line) -> Account:
    """The account when its counter is believed from here on, and this time is booked by other means."""
    return replace(account, base=base, doubtful=None, is_frozen=False, has_failed=False, is_refused=False)


def _settle(account: Account, line: Line, value: int, reading: Reading, told: str = "") -> tuple[Account, Entry]:
    """Book what the counter has counted on this line and nobody has booked yet, less the debt."""
    at_ns, owed_uj = reading.at_ns, value - line.covered_microjoules
    debt_uj = account.debt_microjoules - owed_uj
    said = (told,) if told else ()
    if -owed_uj >= MICROJOULES_PER_JOULE:
        said = (*said, "power had booked more than the energy counter counted; later counts pay it back")
    is_own = line.at_ns == account.booked_ns and not account.debt_microjoules
    entry = Entry(max(0, -debt_uj), "counter", 0, line.unmeasured_nanoseconds, said, False, is_own)
    base, left = Line(value, at_ns), account.left
    if left is not None:
        left = None if line is left else beside(left, line, value, at_ns)
    trail, debt_uj = _trail(account, reading), max(0, debt_uj)
    return Account(at_ns, base, left, trail=trail, ceiling_watts=account.ceiling_watts, debt_microjoules=debt_uj), entry


def _book(account: Account, reading: Reading, otherwise: Known, told: str = "") -> tuple[Account, Entry]:
    """Book this time by other means, and what was drawn before it while the counter stood still."""
    microjoules, unmeasured_ns = otherwise.microjoules + account.drawn.microjoules, otherwise.unmeasured_nanoseconds
    is_own = not (account.drawn.microjoules or unmeasured_ns)
    said = (told,) if told else ()
    entry = Entry(microjoules, otherwise.method or account.drawn.method, unmeasured_ns, 0, said, False, is_own)
    account = replace(
        account,
        booked_ns=reading.at_ns,
        base=later(account.base, microjoules, unmeasured_ns),
        left=later(account.left, microjoules, unmeasured_ns),
        doubtful=later(account.doubtful, microjoules, unmeasured_ns),
        trail=_trail(account, reading),
        drawn=NOTHING,
    )
    return account, entry


def _trail(account: Account, reading: Reading) -> Trail:
    return follow(account.trail, reading, account.booked_ns)


def _ceiling_watts(account: Account, device: Device) -> float:
    limit = device.power_limit_watts
    if isinstance(limit, Missing) or device.scope == "module":
        return MOST_WATTS
    return max(account.ceiling_watts, PLAUSIBLE_LIMITS * limit)
