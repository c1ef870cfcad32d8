"""A board's interval divided among its MIG instances: all parts together are the board, to the last microjoule."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from costmeter.meter.activity import IdleRule, state
from costmeter.meter.interval import Interval, instance
from costmeter.readings import Activity, Device, Mig, Missing, Reading
from costmeter.units import microjoules_from_power, portion

#: What stands in place of a profile for slices that no instance has.
UNALLOCATED = "unallocated"
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


def with_rest(devices: Sequence[Device]) -> tuple[Device, ...]:
    """These devices, and what no MIG instance has of the boards that are divided: a device for each stretch of slices.

    So all devices of a board are the board. Such a one has no process and no utilization of its own.
    """
    divided: dict[str, list[tuple[Device, Mig]]] = {}
    for device in devices:
        if device.mig is not None:
            divided.setdefault(device.board, []).append((device, device.mig))
    return *devices, *(rest for pieces in divided.values() for rest in _rest(pieces))


def _rest(pieces: Sequence[tuple[Device, Mig]]) -> Iterator[Device]:
    first, mig = pieces[0]
    taken = {at for _, each in pieces for at in range(each.first_slice, each.end_slice)}
    free = [at for at in range(mig.slices) if at not in taken]
    begins = [at for at in free if at - 1 not in free]
    ends = [at + 1 for at in free if at + 1 not in free]
    place = max(each.place for _, each in pieces)
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True), place + 1):
        part = replace(mig, place=number, gpu_instance=0, compute_instance=0, first_slice=begin, end_slice=end)
        name = f"{first.name.partition(' MIG ')[0]} MIG {UNALLOCATED}"
        yield replace(first, uuid=f"{first.board}/rest-{begin}-{end}", name=name, mig=part)


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
