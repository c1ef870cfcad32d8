"""What commitments cost in a billing period, and how much of the metered rental they stand in place of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from costmeter.meter.bill import money
from costmeter.meter.period import Period, midnight
from costmeter.rates.commitment import Commitment
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Rented:
    """The GPUs that were rented in one minute: their time in all, and what receipts charged for it."""

    nanoseconds: int
    rental: Decimal


@dataclass(frozen=True, slots=True)
class Committed:
    """What commitments cost in a period, the metered rental they stand in place of, and GPU time paid and used."""

    cost: Decimal
    covered_rental: Decimal
    nanoseconds: int
    covered_nanoseconds: int

    @property
    def adjustment(self) -> Decimal:
        """What a bill adds to the metered rental."""
        return self.cost - self.covered_rental


def committed(commitments: Sequence[Commitment], period: Period, rented: Mapping[int, Rented]) -> Committed:
    """The hours of the period inside each term, and the rented minutes (by UTC start) they cover.

    In a minute in which more GPUs were rented than are committed, the rest is paid as metered: each of these GPUs is
    covered to the same part, because nothing says which of them the commitment was for.
    """
    cost, covered, committed_ns, covered_ns = Fraction(0), Fraction(0), 0, 0
    terms = [(midnight(each.start, period.zone), midnight(each.end, period.zone), each) for each in commitments]
    for start_ns, end_ns, each in terms:
        inside_ns = max(0, min(end_ns, period.end_utc_ns) - max(start_ns, period.start_utc_ns))
        committed_ns += each.gpus * inside_ns
        cost += each.gpus * Fraction(each.price_per_gpu_hour) * inside_ns / NANOSECONDS_PER_HOUR
        cost += Fraction(each.upfront) * inside_ns / (end_ns - start_ns)
    for minute_ns, use in rented.items():
        gpus = sum(each.gpus for start_ns, end_ns, each in terms if start_ns <= minute_ns < end_ns)
        within_ns = min(use.nanoseconds, gpus * NANOSECONDS_PER_MINUTE)
        if within_ns:
            covered_ns += within_ns
            covered += Fraction(use.rental) * within_ns / use.nanoseconds
    return Committed(money(cost), money(covered), committed_ns, covered_ns)
