"""A share of what a device did: of time of which only a part counts, or which several hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import accumulate

from costmeter.meter.slot import Quantities
from costmeter.units import portion

_FIELDS = tuple(each.name for each in fields(Quantities))
_ENERGIES = ("busy_microjoules", "idle_microjoules", "unknown_microjoules")
_METHODS = ("counter_microjoules", "power_microjoules", "estimated_microjoules")

#: By field of Quantities its values, row by row.
Columns = Mapping[str, Sequence[int]]


def share(held: Quantities, numerator: int, denominator: int) -> Quantities:
    """What lies in `numerator` of `denominator` equal parts of the time, as if it had been the same in all of it.

    States still sum to the time, and states and methods to the same energy: each is the difference of two portions of
    a running sum, and the whole of a sum is the same whatever it is the sum of.
    """

    def divided(*values: int) -> Iterator[int]:
        return _divided(values, numerator, denominator)

    return Quantities(
        *divided(held.busy_nanoseconds, held.idle_nanoseconds, held.unknown_nanoseconds),
        *divided(held.busy_microjoules, held.idle_microjoules, held.unknown_microjoules),
        *divided(held.unmeasured_nanoseconds),
        *divided(held.counter_microjoules, held.power_microjoules, held.estimated_microjoules),
        *divided(held.utilized_nanoseconds),
        *divided(held.observed_nanoseconds),
        *divided(held.busy_host_microjoules, held.idle_host_microjoules, held.unknown_host_microjoules),
        *divided(held.recovered_nanoseconds),
    )


def shares(held: Quantities, count: int) -> list[Quantities]:
    """So many equal shares of what a device did, which together are all of it, field by field.

    As the whole grows no share ever gets less, which differences of portions could, by a unit: a counter is made of
    it. Of `x` units the shares have `(x + 0) // count`, `(x + 1) // count`, …, whose sum is `x` for every `x`. How a
    share's energy was found is divided so that it sums to that energy.
    """
    if count == 1:  # as most GPUs are held, and a node may have a thousand
        return [held]
    found: list[Quantities] = []
    left: tuple[int, ...] = (held.counter_microjoules, held.power_microjoules, held.estimated_microjoules)
    for turn in range(count):
        own = {name: (getattr(held, name) + turn) // count for name in _FIELDS if name not in _METHODS}
        energy_uj = sum(own[name] for name in _ENERGIES)
        ways, left = _ways(left, energy_uj, turn == count - 1)
        found.append(Quantities(**own, **dict(zip(_METHODS, ways, strict=True))))
    return found


def shared_columns(columns: Columns, count: int) -> list[Columns]:
    """The same of many rows at once, those of one device by field. A field that is nothing throughout is not there.

    What was one list for several fields stays one.
    """
    names = [name for name in _METHODS if name in columns]
    rows = len(next(iter(columns.values()), ()))
    left = list(zip(*(columns[name] for name in names), strict=True)) if names else [()] * rows
    found: list[Columns] = []
    for turn in range(count):
        by_list = {id(values): [(value + turn) // count for value in values] for values in columns.values()}
        own = {name: by_list[id(values)] for name, values in columns.items() if name not in _METHODS}
        energies = [own[name] for name in _ENERGIES if name in own]
        energy_uj = [sum(row) for row in zip(*energies, strict=True)] if energies else [0] * len(left)
        divided = [_ways(ways, uj, turn == count - 1) for ways, uj in zip(left, energy_uj, strict=True)]
        left = [rest for _, rest in divided]
        found.append(own | {name: [ways[place] for ways, _ in divided] for place, name in enumerate(names)})
    return found


def _ways(left: tuple[int, ...], energy_uj: int, is_last: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How the energy of a share was found, of what is left of all shares; and what is left then."""
    ways = left if is_last else tuple(_divided(left, energy_uj, sum(left)))
    return ways, tuple(all_uj - uj for all_uj, uj in zip(left, ways, strict=True))


def _divided(values: Sequence[int], numerator: int, denominator: int) -> Iterator[int]:
    before = 0
    for upto in accumulate(values):
        kept = portion(upto, numerator, denominator)
        yield kept - before
        before = kept
