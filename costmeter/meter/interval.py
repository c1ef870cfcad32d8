"""Intervals: the time between two readings of one device, with its energy, how that was found, and its state."""

from dataclasses import dataclass, replace

from costmeter.meter.account import Entry
from costmeter.meter.activity import IdleRule, State, state
from costmeter.meter.counter import COUNTER_STEP_NS
from costmeter.meter.idling import Reason
from costmeter.readings import Device, Method, Mig, Missing, Reading
from costmeter.units import portion, watts_from_energy


@dataclass(frozen=True, slots=True)
class Interval:
    """One device from `start_ns` to `end_ns` (CLOCK_BOOTTIME).

    `method` None means the energy of this time is unmeasured, and `microjoules` is then 0 because nothing is invented.
    `unmeasured_nanoseconds` is how much of the time that holds for, `recovered_nanoseconds` how much earlier unmeasured
    time has its energy in here. `utilization_ratio` None means the device did not say. `host_microjoules` is this
    GPU's share of what the host used meanwhile: booked with the interval, so that no later interval can change it.
    `reason` is why it was idle, None where it was not or nobody has asked yet.
    """

    uuid: str
    start_ns: int
    end_ns: int
    state: State
    microjoules: int
    method: Method | None
    utilization_ratio: float | None
    host_microjoules: int = 0
    unmeasured_nanoseconds: int = 0
    recovered_nanoseconds: int = 0
    reason: Reason | None = None


def silence(uuid: str, start_ns: int, end_ns: int) -> Interval:
    """Time in which the device said nothing: held, `unknown`, energy unmeasured."""
    return Interval(uuid, start_ns, end_ns, "unknown", 0, None, None, 0, end_ns - start_ns)


def measured(start_ns: int, reading: Reading, entry: Entry, device: Device, rule: IdleRule) -> Interval:
    """From `start_ns` to a reading, with the energy its account entered for that time."""
    utilization = reading.utilization_ratio
    return Interval(
        reading.uuid,
        start_ns,
        reading.at_ns,
        state(rule, utilization, _mean_watts(start_ns, reading, entry), device.power_limit_watts),
        entry.microjoules,
        entry.method,
        None if isinstance(utilization, Missing) else utilization,
        0,
        entry.unmeasured_nanoseconds,
        entry.recovered_nanoseconds,
    )


def explained(interval: Interval, why: Reason) -> Interval:
    """The interval with why it was idle. Made outright: `replace` takes twice as long, for every idle GPU and tick."""
    return Interval(
        interval.uuid,
        interval.start_ns,
        interval.end_ns,
        interval.state,
        interval.microjoules,
        interval.method,
        interval.utilization_ratio,
        interval.host_microjoules,
        interval.unmeasured_nanoseconds,
        interval.recovered_nanoseconds,
        why,
    )


def instance(interval: Interval, uuid: str, mig: Mig) -> Interval:
    """The part of a board's interval that is one MIG instance's: time whole, energy by its slices of the board's.

    Instances that lie side by side telescope: all slices together have the board's energy, to the last microjoule.
    """
    upto_uj = portion(interval.microjoules, mig.end_slice, mig.slices)
    return replace(
        interval, uuid=uuid, microjoules=upto_uj - portion(interval.microjoules, mig.first_slice, mig.slices)
    )


def cut(interval: Interval, at_ns: int) -> tuple[Interval, Interval]:
    """Divide an interval at an instant inside it; everything goes linearly with time and telescopes."""
    passed_ns, length_ns = at_ns - interval.start_ns, interval.end_ns - interval.start_ns
    gpu_uj = portion(interval.microjoules, passed_ns, length_ns)
    host_uj = portion(interval.host_microjoules, passed_ns, length_ns)
    unmeasured_ns = portion(interval.unmeasured_nanoseconds, passed_ns, length_ns)
    recovered_ns = portion(interval.recovered_nanoseconds, passed_ns, length_ns)
    before = replace(
        interval,
        end_ns=at_ns,
        microjoules=gpu_uj,
        host_microjoules=host_uj,
        unmeasured_nanoseconds=unmeasured_ns,
        recovered_nanoseconds=recovered_ns,
    )
    after = replace(
        interval,
        start_ns=at_ns,
        microjoules=interval.microjoules - gpu_uj,
        host_microjoules=interval.host_microjoules - host_uj,
        unmeasured_nanoseconds=interval.unmeasured_nanoseconds - unmeasured_ns,
        recovered_nanoseconds=interval.recovered_nanoseconds - recovered_ns,
    )
    return before, after


def _mean_watts(start_ns: int, reading: Reading, entry: Entry) -> float | Missing:
    """Mean power over the interval where its energy is its own and it is longer than a counter's step."""
    length_ns = reading.at_ns - start_ns
    if entry.is_own and length_ns >= COUNTER_STEP_NS:
        return watts_from_energy(entry.microjoules, length_ns)
    return reading.power_watts
