"""Demand: what the highest mean power of a billing period costs.

The mean is taken over intervals of a quarter of an hour, or whatever the charge says, aligned to the local clock. Only
energy drawn inside the charge's own hours counts, so an interval that an edge of them cuts counts with the part inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from costmeter.meter.tariff import DemandCharge, Tier
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_MINUTE

_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest mean power in a charge's hours, when its interval began, and the charge; no instant, no power."""

    charge: str
    kilowatts: Fraction
    at_utc_ns: int | None
    amount: Fraction


def interval_start(minute_utc_ns: int, local_minute: int, interval_minutes: int) -> int:
    """When the aligned interval of a minute began. `local_minute` is the minute of the local day."""
    return minute_utc_ns - local_minute % interval_minutes * NANOSECONDS_PER_MINUTE


def peak(charge: DemandCharge, drawn: Mapping[int, int], share: Fraction) -> Peak:
    """What a charge comes to. `drawn` is microjoules by start of interval, `share` the part of the period it is for."""
    if not drawn:
        return Peak(charge.name, Fraction(0), None, Fraction(0))
    at_utc_ns = max(sorted(drawn), key=drawn.__getitem__)
    kilowatts = Fraction(drawn[at_utc_ns] * _MINUTES_PER_HOUR, MICROJOULES_PER_KWH * charge.interval_minutes)
    return Peak(charge.name, kilowatts, at_utc_ns, share * tiered(kilowatts, charge.tiers, Fraction(1)))


def tiered(quantity: Fraction, tiers: tuple[Tier, ...], share: Fraction) -> Fraction:
    """The price of a quantity that fills one tier after the other; their limits are for `share` of a period."""
    amount, below = Fraction(0), Fraction(0)
    for tier in tiers:
        upto = quantity if tier.up_to is None else min(quantity, Fraction(tier.up_to) * share)
        amount += max(Fraction(0), upto - below) * Fraction(tier.price)
        below = max(below, upto)
    return amount
