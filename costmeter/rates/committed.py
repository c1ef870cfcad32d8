"""What commitments cost in a billing period, and how much of the metered rental they stand in place of."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from costmeter.meter.bill import money
from costmeter.meter.period import Period, midnight
from costmeter.rates.commitment import Commitment
from costmeter.units import NANOSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which GPUs were rented that the same commitments are for. `fitting` holds these by their places."""

    start_utc_ns: int
    end_utc_ns: int
    fitting: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Rented:
    """The GPUs that were rented in one stretch: their time in all, and what receipts charged for it."""

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


#: Whole, unless something cuts it.
_Exact = int | Fraction
#: GPU time in nanoseconds, and its rental, by the commitments that are for it.
_Pooled = dict[tuple[int, ...], tuple[_Exact, Fraction]]


@dataclass(frozen=True, slots=True)
class _Term:
    """The instants between which a commitment holds, and for how many GPUs."""

    start_utc_ns: int
    end_utc_ns: int
    gpus: int


def committed(commitments: Sequence[Commitment], period: Period, rented: Mapping[Stretch, Rented]) -> Committed:
    """The hours of the period inside each term, and the rented time they cover.

    While more GPUs were rented than are committed, the rest is paid as metered: each of these GPUs is covered to the
    same part, because nothing says which of them the commitment was for.
    """
    cost, committed_ns = Fraction(0), 0
    terms = [
        _Term(midnight(each.start, period.zone), midnight(each.end, period.zone), each.gpus) for each in commitments
    ]
    for term, each in zip(terms, commitments, strict=True):
        inside_ns = max(0, min(term.end_utc_ns, period.end_utc_ns) - max(term.start_utc_ns, period.start_utc_ns))
        committed_ns += each.gpus * inside_ns
        cost += each.gpus * Fraction(each.price_per_gpu_hour) * inside_ns / NANOSECONDS_PER_HOUR
        cost += Fraction(each.upfront) * inside_ns / (term.end_utc_ns - term.start_utc_ns)
    covered: Fraction = Fraction(0)
    covered_ns: _Exact = 0
    for start_ns, end_ns, by_fitting in _pieces(terms, rented):
        left: dict[int, _Exact] = {
            place: term.gpus * (end_ns - start_ns)
            for place, term in enumerate(terms)
            if term.start_utc_ns <= start_ns < term.end_utc_ns
        }
        if left:
            of_rental, of_time_ns = _covered(left, by_fitting)
            covered, covered_ns = covered + of_rental, covered_ns + of_time_ns
    return Committed(money(cost), money(covered), committed_ns, round(covered_ns))


def _pieces(terms: Sequence[_Term], rented: Mapping[Stretch, Rented]) -> Iterator[tuple[int, int, _Pooled]]:
    """Times in which nobody began or ended and no term did, with what was rented; what they cut is divided linearly."""
    cuts = {edge for each in rented for edge in (each.start_utc_ns, each.end_utc_ns)}
    edges = sorted(cuts | {edge for term in terms for edge in (term.start_utc_ns, term.end_utc_ns)})
    pooled: defaultdict[tuple[int, int], _Pooled] = defaultdict(dict)
    for stretch, use in rented.items():
        length_ns = stretch.end_utc_ns - stretch.start_utc_ns
        place = bisect_left(edges, stretch.start_utc_ns)
        while edges[place] < stretch.end_utc_ns:
            start_ns, end_ns = edges[place], edges[place + 1]
            part = 1 if end_ns - start_ns == length_ns else Fraction(end_ns - start_ns, length_ns)
            pool = pooled[start_ns, end_ns]
            used_ns, rental = pool.get(stretch.fitting, (0, Fraction(0)))
            pool[stretch.fitting] = used_ns + use.nanoseconds * part, rental + Fraction(use.rental) * part
            place += 1
    for (start_ns, end_ns), pool in pooled.items():
        yield start_ns, end_ns, pool


def _covered(left: dict[int, _Exact], by_fitting: _Pooled) -> tuple[Fraction, _Exact]:
    """Rental and GPU time that what is `left` of the commitments covers, those with the least choice first."""
    covered: Fraction = Fraction(0)
    covered_ns: _Exact = 0
    shared = Counter(place for fitting in by_fitting for place in fitting)
    for fitting in sorted(by_fitting, key=len):
        used_ns, rental = by_fitting[fitting]
        within_ns = _taken(left, sorted(fitting, key=shared.__getitem__), used_ns)
        if within_ns:
            covered_ns += within_ns
            covered += rental if within_ns == used_ns else rental * (Fraction(within_ns) / used_ns)
    return covered, covered_ns


def _taken(left: dict[int, _Exact], places: Sequence[int], wanted_ns: _Exact) -> _Exact:
    """Take GPU time from these commitments, one after the other, as far as they have some left; how much that was."""
    taken_ns: _Exact = 0
    for place in places:
        part_ns = min(wanted_ns - taken_ns, left.get(place, 0))
        if part_ns:
            left[place] -= part_ns
            taken_ns += part_ns
    return taken_ns
