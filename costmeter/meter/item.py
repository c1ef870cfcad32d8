"""Line items: what a run costs beside its GPUs, and how a quantity of each becomes money.

Storage, network, licences, people and fixed amounts stand beside the metered cost and are never part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from costmeter.meter.charge import QUANTUM, Origin
from costmeter.units import NANOSECONDS_PER_HOUR

#: What an item is counted in, named as the key of the configuration that makes it: a watched `path` and constant `gb`
#: in byte-nanoseconds, `network` in bytes, `per_gpu_hour` in GPU-nanoseconds, `per_hour` in nanoseconds, `fixed` in 1.
ItemKind = Literal["path", "gb", "network", "per_gpu_hour", "per_hour", "fixed"]
Direction = Literal["sent", "received", "both"]

#: The kinds that somebody has to look at; the others follow from how long a run was, and on how many GPUs.
WATCHED: tuple[ItemKind, ...] = ("path", "network")
#: What is said of a path where nothing is: its size is 0, and known.
NOTHING_THERE = "there is nothing at this path"
#: A gigabyte is 1e9 bytes, as storage and traffic are sold; a month of storage is 730 hours, a twelfth of a year.
BYTES_PER_GB = 10**9
HOURS_PER_MONTH = 730
BYTE_NANOSECONDS_PER_GB_MONTH = BYTES_PER_GB * HOURS_PER_MONTH * NANOSECONDS_PER_HOUR

_PER_UNIT: Mapping[ItemKind, int] = {
    "path": BYTE_NANOSECONDS_PER_GB_MONTH,
    "gb": BYTE_NANOSECONDS_PER_GB_MONTH,
    "network": BYTES_PER_GB,
    "per_gpu_hour": NANOSECONDS_PER_HOUR,
    "per_hour": NANOSECONDS_PER_HOUR,
    "fixed": 1,
}


@dataclass(frozen=True, slots=True)
class LineItem:
    """One item as it was configured. `price` is per GB-month, per GB, per GPU-hour, per hour, or the fixed amount.

    `amount` is the gigabytes of `gb` and the count of `per_hour`; `path` is what is watched; `direction` and
    `interface`, a shell pattern, say which traffic counts.
    """

    name: str
    kind: ItemKind
    price: Decimal
    origin: Origin
    amount: Decimal = Decimal(1)
    path: str = ""
    direction: Direction = "both"
    interface: str = ""

    def cost(self, quantity: int) -> Decimal:
        """The money for a quantity in this item's own unit, to 1e-12 of the currency."""
        times = self.amount if self.kind == "per_hour" else 1
        return (self.price * times * quantity / _PER_UNIT[self.kind]).quantize(QUANTUM)


@dataclass(frozen=True, slots=True)
class PartUse:
    """What one part of a run (one meter process) used. Instants and lengths are nanoseconds, instants UTC.

    `used` holds what was seen of watched items by name; an item that is not in it was never seen, and `notes` says why.
    """

    host: str
    start_utc_ns: int
    length_ns: int
    gpu_nanoseconds: int
    items: tuple[LineItem, ...]
    used: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def quantity(self, item: LineItem) -> int | None:
        """What this part used of an item, in its unit; None where it had to be watched and was never seen."""
        if item.kind in WATCHED:
            return self.used.get(item.name)
        if item.kind == "gb":
            return round(item.amount * BYTES_PER_GB) * self.length_ns
        if item.kind == "per_gpu_hour":
            return self.gpu_nanoseconds
        return self.length_ns if item.kind == "per_hour" else 1
