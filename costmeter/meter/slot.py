"""Slots: the intervals of one UTC minute, or less, summed per device. The unit of record and of pricing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter

from costmeter.meter.holder import Holder
from costmeter.meter.idling import Reason
from costmeter.meter.interval import Interval
from costmeter.meter.progress import Progress
from costmeter.meter.standing import Standing
from costmeter.units import NANOSECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Quantities:
    """What one device did over some length of time: nanoseconds and microjoules by state, and how they were found.

    The three states' nanoseconds sum to the length; the three states' microjoules and the three methods' microjoules
    sum to the same energy. The device's share of the host's energy stands apart from it, by the same states.
    `unmeasured_nanoseconds` is the part of the length whose energy was not known when it was booked;
    `recovered_nanoseconds` is how much such time, here or before, has its energy in here, because the counter told it
    later. Utilization is kept as ratio × nanoseconds (`utilized_nanoseconds`) over the nanoseconds it is known for
    (`observed_nanoseconds`).
    """

    busy_nanoseconds: int = 0
    idle_nanoseconds: int = 0
    unknown_nanoseconds: int = 0
    busy_microjoules: int = 0
    idle_microjoules: int = 0
    unknown_microjoules: int = 0
    unmeasured_nanoseconds: int = 0
    counter_microjoules: int = 0
    power_microjoules: int = 0
    estimated_microjoules: int = 0
    utilized_nanoseconds: int = 0
    observed_nanoseconds: int = 0
    busy_host_microjoules: int = 0
    idle_host_microjoules: int = 0
    unknown_host_microjoules: int = 0
    recovered_nanoseconds: int = 0

    @property
    def nanoseconds(self) -> int:
        """The whole length."""
        return self.busy_nanoseconds + self.idle_nanoseconds + self.unknown_nanoseconds

    @property
    def microjoules(self) -> int:
        """The whole measured or estimated energy."""
        return self.busy_microjoules + self.idle_microjoules + self.unknown_microjoules

    @property
    def host_microjoules(self) -> int:
        """This device's share of the host's energy."""
        return self.busy_host_microjoules + self.idle_host_microjoules + self.unknown_host_microjoules

    @property
    def unknown_energy_nanoseconds(self) -> int:
        """How much of the time has an energy that nobody knows, after all; never less than none of it."""
        return max(0, self.unmeasured_nanoseconds - self.recovered_nanoseconds)

    @property
    def mean_utilization(self) -> float | None:
        """Mean utilization over the time it is known for; None when it never was."""
        return self.utilized_nanoseconds / self.observed_nanoseconds if self.observed_nanoseconds else None

    def __add__(self, other: "Quantities") -> "Quantities":
        return Quantities(
            self.busy_nanoseconds + other.busy_nanoseconds,
            self.idle_nanoseconds + other.idle_nanoseconds,
            self.unknown_nanoseconds + other.unknown_nanoseconds,
            self.busy_microjoules + other.busy_microjoules,
            self.idle_microjoules + other.idle_microjoules,
            self.unknown_microjoules + other.unknown_microjoules,
            self.unmeasured_nanoseconds + other.unmeasured_nanoseconds,
            self.counter_microjoules + other.counter_microjoules,
            self.power_microjoules + other.power_microjoules,
            self.estimated_microjoules + other.estimated_microjoules,
            self.utilized_nanoseconds + other.utilized_nanoseconds,
            self.observed_nanoseconds + other.observed_nanoseconds,
            self.busy_host_microjoules + other.busy_host_microjoules,
            self.idle_host_microjoules + other.idle_host_microjoules,
            self.unknown_host_microjoules + other.unknown_host_microjoules,
            self.recovered_nanoseconds + other.recovered_nanoseconds,
        )


ZERO = Quantities()
_ALL_FIELDS = attrgetter(*(each.name for each in fields(Quantities)))


def summed(quantities: Iterable[Quantities]) -> Quantities:
    """The sum of many, field by field."""
    rows = [_ALL_FIELDS(each) for each in quantities]  # lists: of iterators Python would keep 2,000 spent tuples
    return Quantities(*[sum(column) for column in zip(*rows, strict=True)])


@dataclass(frozen=True, slots=True)
class Slot:
    """Quantities of every held device from `start_utc_ns` to `end_utc_ns`.

    `counters_microjoules` are the values of the devices' own energy counters up to which everything is booked: what a
    later meter needs to fill a gap; `standings` say more where the account is not that simple. `number` counts the
    slots of one journal from 0: how a reader tells an open slot from a closed one.

    `phase` is what the run said it was doing, empty where it had said nothing yet; `progress` is how far it had come at
    the slot's end. `redone`: it was doing again what it had done before, after it went on from a checkpoint.

    `reasons` is by device why it was idle in this slot, of those that were and of which that is known: all idle time of
    a device in a slot has one reason, that of most of it, so that money by reason needs no division.
    """

    start_utc_ns: int
    end_utc_ns: int
    devices: Mapping[str, Quantities]
    counters_microjoules: Mapping[str, int] = field(default_factory=dict)
    number: int = 0
    standings: Mapping[str, Standing] = field(default_factory=dict)
    phase: str = ""
    redone: bool = False
    progress: Progress | None = None
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)


def plus(sum_so_far: Quantities, interval: Interval) -> Quantities:
    """Quantities with one interval more."""
    length_ns = interval.end_ns - interval.start_ns
    energy_uj, host_uj = interval.microjoules, interval.host_microjoules
    state, method, utilization = interval.state, interval.method, interval.utilization_ratio
    busy, idle, unknown = state == "busy", state == "idle", state == "unknown"
    return Quantities(
        sum_so_far.busy_nanoseconds + (length_ns if busy else 0),
        sum_so_far.idle_nanoseconds + (length_ns if idle else 0),
        sum_so_far.unknown_nanoseconds + (length_ns if unknown else 0),
        sum_so_far.busy_microjoules + (energy_uj if busy else 0),
        sum_so_far.idle_microjoules + (energy_uj if idle else 0),
        sum_so_far.unknown_microjoules + (energy_uj if unknown else 0),
        sum_so_far.unmeasured_nanoseconds + interval.unmeasured_nanoseconds,
        sum_so_far.counter_microjoules + (energy_uj if method == "counter" else 0),
        sum_so_far.power_microjoules + (energy_uj if method == "power" else 0),
        sum_so_far.estimated_microjoules + (energy_uj if method == "estimated" else 0),
        sum_so_far.utilized_nanoseconds + (0 if utilization is None else round(utilization * length_ns)),
        sum_so_far.observed_nanoseconds + (0 if utilization is None else length_ns),
        sum_so_far.busy_host_microjoules + (host_uj if busy else 0),
        sum_so_far.idle_host_microjoules + (host_uj if idle else 0),
        sum_so_far.unknown_host_microjoules + (host_uj if unknown else 0),
        sum_so_far.recovered_nanoseconds + interval.recovered_nanoseconds,
    )


def next_edge(utc_ns: int) -> int:
    """The first UTC minute after an instant."""
    return (utc_ns // NANOSECONDS_PER_MINUTE + 1) * NANOSECONDS_PER_MINUTE
