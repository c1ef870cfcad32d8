"""Energy without a counter: the integral of power readings, or, where there are none, an estimate from utilization."""

from collections.abc import Sequence
from dataclasses import dataclass

from costmeter.readings import Device, Method, Missing, Reading, Sample
from costmeter.units import NANOSECONDS_PER_SECOND, microjoules_from_power

#: A tick's own power reading counts where no sample lies within so long before it. Ticks come at one phase of a
#: training step that lasts as long as they are apart, and samples do not.
ALONE_NS = NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one stretch of time without a counter: its energy, how it was found, and what is unknown of it.

    `method` None means nothing is known: 0 microjoules, and `unmeasured_nanoseconds` is the whole length.
    """

    microjoules: int
    method: Method | None
    unmeasured_nanoseconds: int


@dataclass(frozen=True, slots=True)
class Trail:
    """The last power and utilization of a device, from which the next stretch goes on; None where the trail broke."""

    point: Sample | None = None
    utilization_ratio: float | None = None


NO_TRAIL = Trail()
NOTHING = Known(0, None, 0)


def follow(trail: Trail, reading: Reading, start_ns: int) -> Trail:
    """The trail after a reading that ended a stretch from `start_ns`; one without power leaves its last point."""
    utilization = reading.utilization_ratio
    points = _points(reading, start_ns)
    point = points[-1] if points else trail.point
    return Trail(point, None if isinstance(utilization, Missing) else utilization)


def known(trail: Trail, reading: Reading, device: Device, start_ns: int, bridge_ns: int) -> Known:
    """What is known from `start_ns` to the reading by other means than its counter.

    Power first: trapezoids between readings at most `bridge_ns` apart. Before the first of a trail its power is taken
    to have held since `start_ns`, which is called estimated. Where power cannot be read, utilization between the
    board's idle and full power. What lies further apart is unmeasured: nobody looked.
    """
    points, last = _points(reading, start_ns), trail.point
    if points:
        return _integral(last, points, start_ns, reading.at_ns, bridge_ns)
    if last is not None and reading.at_ns - last.at_ns <= bridge_ns:  # refused for a moment: the next point corrects it
        return Known(_held(last, reading.at_ns) - _held(last, start_ns), "power", 0)
    return _estimate(trail.utilization_ratio, reading, device, start_ns, bridge_ns)


def _points(reading: Reading, start_ns: int) -> Sequence[Sample]:
    """The power readings that count from `start_ns` on, oldest first."""
    own = () if isinstance(reading.power_watts, Missing) else (Sample(reading.at_ns, reading.power_watts),)
    if not reading.samples:
        return own
    points = [each for each in reading.samples if each.at_ns >= start_ns and not isinstance(each.power_watts, Missing)]
    return points if points and reading.at_ns - points[-1].at_ns <= ALONE_NS else (*points, *own)


def _integral(before: Sample | None, points: Sequence[Sample], start_ns: int, end_ns: int, bridge_ns: int) -> Known:
    """Trapezoids from the trail's last point on.

    From the last point of a stretch to its end the power is taken to hold. When the next point is known, what that was
    off by is in the next stretch, so that it does not matter where between two points a stretch ends.
    """
    method: Method = "power"
    if before is None or start_ns - before.at_ns > bridge_ns:
        before, method = Sample(start_ns, points[0].power_watts), "estimated"
    energy_uj, unmeasured_ns = -_held(before, start_ns), 0
    if points[0].at_ns - start_ns > bridge_ns:
        energy_uj, before = 0, Sample(start_ns, before.power_watts)
    for point in points:
        apart_ns = point.at_ns - before.at_ns
        if point.at_ns - max(before.at_ns, start_ns) <= bridge_ns:
            energy_uj += microjoules_from_power((_watts(before) + _watts(point)) / 2, apart_ns)
        else:
            unmeasured_ns += apart_ns
        before = point
    if end_ns - before.at_ns <= bridge_ns:
        energy_uj += _held(before, end_ns)
    else:
        unmeasured_ns += end_ns - before.at_ns
    return Known(max(0, energy_uj), None if 0 < end_ns - start_ns == unmeasured_ns else method, unmeasured_ns)


def _held(point: Sample, until_ns: int) -> int:
    return microjoules_from_power(_watts(point), until_ns - point.at_ns)


def _estimate(before: float | None, reading: Reading, device: Device, start_ns: int, bridge_ns: int) -> Known:
    """Idle power and the rest by utilization, the mean of both ends where both are known."""
    length_ns, now, span = reading.at_ns - start_ns, reading.utilization_ratio, device.power_range
    if isinstance(now, Missing) or isinstance(span, Missing) or length_ns > bridge_ns:
        return Known(0, None, length_ns)
    utilization = now if before is None else (before + now) / 2
    watts = span.idle_watts + utilization * (span.full_watts - span.idle_watts)
    return Known(microjoules_from_power(watts, length_ns), "estimated", 0)


def _watts(sample: Sample) -> float:
    """The power of a sample that has one; 0.0 for none, which does not occur."""
    return 0.0 if isinstance(sample.power_watts, Missing) else sample.power_watts
