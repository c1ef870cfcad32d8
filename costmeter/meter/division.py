"""A board's interval divided among its MIG instances: all parts together are the board, to the last microjoule."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from costmeter.meter.activity import IdleRule, state
from costmeter.meter.interval import Interval, instance
from costmeter.readings import Activity, Device, Missing, Reading
from costmeter.units import microjoules_from_power, portion

#: Utilizations are weighed in this many steps, so that the division is one of integers.
_STEPS = 10_000
_NOT_SAID = Missing("not said of a MIG instance")


def divide(
    interval: Interval, devices: Sequence[Device], rule: IdleRule, said: Reading | None = None
) -> list[Interval]:
    """The interval of a board, for each of these devices of it: the board itself, or MIG instances.

    By slices: an instance of 2 slices of 7 gets 2/7. Where the reading says what every instance did, the board's idle
    power is divided by slices and what it drew above that by slices × utilization; an instance then has a state of its
    own. Slices that no instance has belong to nobody, and their part of the idle power is in none of the parts.
    """
    if devices[0].mig is None:  # the board itself, and then alone
        return [interval]
    activity = () if said is None else said.activity
    if not activity:
        return [_by_slices(interval, device) for device in devices]
    above_uj = interval.microjoules - _idle_microjoules(interval, devices[0])
    weights = [each.slices * round(each.utilization_ratio * _STEPS) for each in activity]
    if not sum(weights):
        weights = [each.slices for each in activity]
    edges = [0, *accumulate(weights)]
    shares_uj = {
        each.uuid: portion(above_uj, end, edges[-1]) - portion(above_uj, begin, edges[-1])
        for each, begin, end in zip(activity, edges, edges[1:], strict=False)
    }
    idle = replace(interval, microjoules=interval.microjoules - above_uj)
    return [_active(_by_slices(idle, device), shares_uj, activity, rule) for device in devices]


def _active(part: Interval, shares_uj: dict[str, int], activity: Sequence[Activity], rule: IdleRule) -> Interval:
    utilization = next((each.utilization_ratio for each in activity if each.uuid == part.uuid), None)
    if utilization is None:
        return part
    return replace(
        part,
        microjoules=part.microjoules + shares_uj[part.uuid],
        utilization_ratio=utilization,
        state=state(rule, utilization, _NOT_SAID, _NOT_SAID),
    )


def _idle_microjoules(interval: Interval, device: Device) -> int:
    """What the board would have drawn idle, at most what it drew; 0 where its idle power is not known."""
    if isinstance(device.power_range, Missing):
        return 0
    idle_uj = microjoules_from_power(device.power_range.idle_watts, interval.end_ns - interval.start_ns)
    return min(idle_uj, interval.microjoules)


def _by_slices(interval: Interval, device: Device) -> Interval:
    return interval if device.mig is None else instance(interval, device.uuid, device.mig)
