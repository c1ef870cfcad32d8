"""Intervals: the time between two readings of one device, with its energy, how that was found, and its state."""

from dataclasses import dataclass, replace

from costmeter.meter.activity import IdleRule, State, state
from costmeter.readings import Device, Method, Missing, Reading
from costmeter.units import microjoules_from_power, portion, watts_from_energy

#: A counter difference above this multiple of limit × time cannot be energy the board drew.
PLAUSIBLE_LIMITS = 1.2


@dataclass(frozen=True, slots=True)
class Interval:
    """One device from `start_ns` to `end_ns` (CLOCK_BOOTTIME).

    `method` None means the energy of this time is unmeasured, and `microjoules` is then 0 because nothing is invented.
    `utilization_ratio` None means the device did not say. `host_microjoules` is this GPU's share of what the host used
    meanwhile: booked with the interval, to its state, so that no later interval can change it.
    """

    uuid: str
    start_ns: int
    end_ns: int
    state: State
    microjoules: int
    method: Method | None
    utilization_ratio: float | None
    host_microjoules: int = 0


def silence(uuid: str, start_ns: int, end_ns: int) -> Interval:
    """Time in which the device said nothing: held, `unknown`, energy unmeasured."""
    return Interval(uuid, start_ns, end_ns, "unknown", 0, None, None)


def head(first: Reading, device: Device, rule: IdleRule, start_ns: int) -> Interval:
    """From the start of the run to the first reading: first power × time, `estimated`."""
    if isinstance(first.power_watts, Missing):
        return _interval(first, device, rule, start_ns, 0, None)
    energy_uj = microjoules_from_power(first.power_watts, max(0, first.at_ns - start_ns))
    return _interval(first, device, rule, start_ns, energy_uj, "estimated")


def between(before: Reading, after: Reading, device: Device, rule: IdleRule, start_ns: int) -> Interval:
    """From `start_ns` to the reading `after`, measured against the last good reading `before`.

    Usually `start_ns` is the instant of `before`. It is later when the device was silent in between: that time has been
    booked as it passed, and the counter's whole difference is booked now, because the counter went on counting.

    The counter's difference counts where both readings have it and it is plausible; else the mean of the two powers
    over the time from `start_ns`; else nothing (unmeasured). A counter that falls was reset by a driver reload, not
    wrapped: its difference is not energy.
    """
    then, now = before.energy_microjoules, after.energy_microjoules
    if not isinstance(then, Missing) and not isinstance(now, Missing):
        difference_uj = now - then
        if difference_uj >= 0 and _plausible(difference_uj, after.at_ns - before.at_ns, device):
            return _interval(after, device, rule, start_ns, difference_uj, "counter")
    powers = [r.power_watts for r in (before, after) if not isinstance(r.power_watts, Missing)]
    if not powers:
        return _interval(after, device, rule, start_ns, 0, None)
    method: Method = "power" if len(powers) == 2 else "estimated"
    energy_uj = microjoules_from_power(sum(powers) / len(powers), after.at_ns - start_ns)
    return _interval(after, device, rule, start_ns, energy_uj, method)


def cut(interval: Interval, at_ns: int) -> tuple[Interval, Interval]:
    """Divide an interval at an instant inside it; energy goes linearly with time and telescopes."""
    passed_ns, length_ns = at_ns - interval.start_ns, interval.end_ns - interval.start_ns
    gpu_uj = portion(interval.microjoules, passed_ns, length_ns)
    host_uj = portion(interval.host_microjoules, passed_ns, length_ns)
    before = replace(interval, end_ns=at_ns, microjoules=gpu_uj, host_microjoules=host_uj)
    after = replace(
        interval,
        start_ns=at_ns,
        microjoules=interval.microjoules - gpu_uj,
        host_microjoules=interval.host_microjoules - host_uj,
    )
    return before, after


def _plausible(difference_uj: int, length_ns: int, device: Device) -> bool:
    """Whether a counter difference could have been drawn: at most 1.2 × limit × time, and one counter step more."""
    limit_watts = device.power_limit_watts
    if isinstance(limit_watts, Missing):
        return True
    return difference_uj <= microjoules_from_power(PLAUSIBLE_LIMITS * limit_watts, length_ns + _COUNTER_STEP_NS)


#: The counter of recent boards moves about every 100 ms: a short interval can hold one step more than its own time.
_COUNTER_STEP_NS = 150_000_000


def _interval(
    after: Reading, device: Device, rule: IdleRule, start_ns: int, energy_uj: int, method: Method | None
) -> Interval:
    length_ns = after.at_ns - start_ns
    mean_watts = after.power_watts
    if method is not None and length_ns >= _COUNTER_STEP_NS:
        mean_watts = watts_from_energy(energy_uj, length_ns)
    utilization = after.utilization_ratio
    return Interval(
        after.uuid,
        start_ns,
        after.at_ns,
        state(rule, utilization, mean_watts, device.power_limit_watts),
        energy_uj,
        method,
        None if isinstance(utilization, Missing) else utilization,
    )
