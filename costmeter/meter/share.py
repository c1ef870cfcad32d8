"""A share of what a device did: for time of which only a part counts."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import accumulate

from costmeter.meter.slot import ZERO, Quantities
from costmeter.units import portion

_FIELDS = tuple(each.name for each in fields(Quantities))


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
    """So many equal shares of what a device did, which together are all of it, field by field."""
    upto = [share(held, place, count) for place in range(1, count)] + [held]
    return [_less(after, before) for before, after in zip([ZERO, *upto], upto, strict=False)]


def _less(left: Quantities, right: Quantities) -> Quantities:
    return Quantities(*(getattr(left, name) - getattr(right, name) for name in _FIELDS))


def _divided(values: Sequence[int], numerator: int, denominator: int) -> Iterator[int]:
    before = 0
    for upto in accumulate(values):
        kept = portion(upto, numerator, denominator)
        yield kept - before
        before = kept
