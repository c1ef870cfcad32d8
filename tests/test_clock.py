"""Clocks: lengths never step, instants translate both ways, and a manual clock moves only when told."""

import threading
import time

from hypothesis import given

from costmeter.clock import Anchor, ManualClock, RealClock, anchor, cpu_nanoseconds
from tests.samples import HOUR, SECOND, instants


@given(instants, instants, instants)
def test_an_anchor_translates_both_ways(boottime_ns: int, utc_ns: int, instant_ns: int) -> None:
    """Boot time to UTC and back is the same instant."""
    pair = Anchor(boottime_ns, utc_ns)
    assert instant_ns == pair.boottime(pair.utc(instant_ns))


def test_an_anchor_keeps_lengths() -> None:
    """An hour after the anchor on one clock is an hour after it on the other."""
    pair = Anchor(boottime_ns=5 * SECOND, utc_ns=1_000 * SECOND)
    assert 1_000 * SECOND + HOUR == pair.utc(5 * SECOND + HOUR)


def test_stepping_the_wall_clock_moves_no_length() -> None:
    """An administrator's step changes what time it is, not how long anything took."""
    clock = ManualClock(utc_ns=1_000 * SECOND, boottime_ns=SECOND)
    clock.step_wall(-HOUR)
    assert (1_000 * SECOND - HOUR, SECOND) == (clock.utc_ns(), clock.boottime_ns())


def test_waiting_on_a_manual_clock_is_a_jump() -> None:
    """A wait moves both clocks to its end, and neither back."""
    clock = ManualClock(utc_ns=1_000 * SECOND, boottime_ns=10 * SECOND)
    event = threading.Event()
    assert clock.wait(event, 70 * SECOND) is False
    assert clock.wait(event, 5 * SECOND) is False
    assert (70 * SECOND, 1_060 * SECOND) == (clock.boottime_ns(), clock.utc_ns())


def test_a_set_event_ends_a_wait_at_once() -> None:
    """No time passes in a wait whose event has happened already."""
    clock = ManualClock(utc_ns=0, boottime_ns=0)
    event = threading.Event()
    event.set()
    assert clock.wait(event, HOUR) is True
    assert clock.boottime_ns() == 0


def test_the_real_clock_waits_for_an_instant_gone_by_not_at_all() -> None:
    """A deadline in the past is an answer, not an error."""
    clock = RealClock()
    assert clock.wait(threading.Event(), clock.boottime_ns() - SECOND) is False


def test_an_anchor_of_the_real_clock_lies_between_the_readings_around_it() -> None:
    """An anchor is two instants of now."""
    boot_before, utc_before = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
    pair = anchor(RealClock())
    assert boot_before <= pair.boottime_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert utc_before <= pair.utc_ns <= time.time_ns()


def test_own_cpu_time_never_falls() -> None:
    """The meter's own overhead is a counter."""
    before = cpu_nanoseconds()
    assert 0 <= before <= cpu_nanoseconds()
