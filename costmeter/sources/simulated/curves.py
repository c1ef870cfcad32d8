"""Curves: something that accumulates at a known rate, with its running total in closed form.

A curve answers "how much from 0 to t" as an integer, without stepping, so that the total of any window is the
difference of two answers: cutting a window anywhere changes nothing. Time is in nanoseconds from the curve's own
start and is never negative; the unit of the rate is the caller's (milliwatts make picojoules).
"""

from bisect import bisect_right
from collections.abc import Callable
from collections.abc import Sequence as ListLike
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from costmeter.units import portion


class Curve(Protocol):
    """A running total in closed form. The last piece of a finite curve goes on for ever."""

    def total(self, at_ns: int) -> int:
        """What accumulated from 0 to the instant, rounded down."""
        ...

    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest rate there ever is."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """One rate for ever."""

    rate: int

    def total(self, at_ns: int) -> int:
        return self.rate * at_ns

    def bounds(self) -> tuple[int, int]:
        return self.rate, self.rate


@dataclass(frozen=True, slots=True)
class Ramp:
    """A rate that changes linearly over `length_ns` and then stays."""

    first: int
    last: int
    length_ns: int

    def total(self, at_ns: int) -> int:
        inside_ns = min(at_ns, self.length_ns)
        # first·t + (last - first)·t²/(2·length): the area of a rectangle and a triangle.
        slope_part = portion((self.last - self.first) * inside_ns, inside_ns, 2 * self.length_ns)
        return self.first * inside_ns + slope_part + self.last * (at_ns - inside_ns)

    def bounds(self) -> tuple[int, int]:
        return min(self.first, self.last), max(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Steps:
    """Constant rates, one after another; the last goes on for ever. Build it with `steps`."""

    starts_ns: tuple[int, ...]
    rates: tuple[int, ...]
    sums: tuple[int, ...]

    def total(self, at_ns: int) -> int:
        index = bisect_right(self.starts_ns, at_ns) - 1
        return self.sums[index] + self.rates[index] * (at_ns - self.starts_ns[index])

    def bounds(self) -> tuple[int, int]:
        return min(self.rates), max(self.rates)


@dataclass(frozen=True, slots=True)
class Chain:
    """Curves, one after another, each from its own zero; the last goes on for ever. Build it with `chain`."""

    starts_ns: tuple[int, ...]
    curves: tuple[Curve, ...]
    sums: tuple[int, ...]

    def total(self, at_ns: int) -> int:
        index = bisect_right(self.starts_ns, at_ns) - 1
        return self.sums[index] + self.curves[index].total(at_ns - self.starts_ns[index])

    def bounds(self) -> tuple[int, int]:
        bounds = [curve.bounds() for curve in self.curves]
        return min(low for low, _ in bounds), max(high for _, high in bounds)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The first `period_ns` of a curve, over and over. Build it with `repeat`."""

    curve: Curve
    period_ns: int
    period_total: int

    def total(self, at_ns: int) -> int:
        periods, rest_ns = divmod(at_ns, self.period_ns)
        return periods * self.period_total + self.curve.total(rest_ns)

    def bounds(self) -> tuple[int, int]:
        return self.curve.bounds()


@dataclass(frozen=True, slots=True)
class Weighted:
    """Curves at the same time, each as many times as its weight says, shared by a divisor."""

    parts: tuple[tuple[int, Curve], ...]
    divisor: int = 1

    def total(self, at_ns: int) -> int:
        return sum(weight * curve.total(at_ns) for weight, curve in self.parts) // self.divisor

    def bounds(self) -> tuple[int, int]:
        """The parts' own bounds added up: no rate is outside, though none may come near."""
        bounds = [(weight, *curve.bounds()) for weight, curve in self.parts]
        lows, highs = (weight * low for weight, low, _ in bounds), (weight * high for weight, _, high in bounds)
        return sum(lows) // self.divisor, -(-sum(highs) // self.divisor)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A curve that remembers its last few answers, for GPUs that are asked at the same instants."""

    curve: Curve
    total: Callable[[int], int]

    def bounds(self) -> tuple[int, int]:
        return self.curve.bounds()


def remembered(curve: Curve) -> Curve:
    """The same curve, quicker when asked again."""
    return curve if isinstance(curve, Constant) else Remembered(curve, lru_cache(maxsize=16)(curve.total))


def steps(pieces: ListLike[tuple[int, int]]) -> Curve:
    """Constant pieces given as (length in nanoseconds, rate); the length of the last one does not matter."""
    if len(pieces) == 1:
        return Constant(pieces[0][1])
    starts, sums = [0], [0]
    for length_ns, rate in pieces[:-1]:
        starts.append(starts[-1] + length_ns)
        sums.append(sums[-1] + rate * length_ns)
    return Steps(tuple(starts), tuple(rate for _, rate in pieces), tuple(sums))


def chain(pieces: ListLike[tuple[int, Curve]]) -> Curve:
    """Curves given as (length in nanoseconds, curve); the length of the last one does not matter."""
    if len(pieces) == 1:
        return pieces[0][1]
    starts, sums = [0], [0]
    for length_ns, curve in pieces[:-1]:
        starts.append(starts[-1] + length_ns)
        sums.append(sums[-1] + curve.total(length_ns))
    return Chain(tuple(starts), tuple(curve for _, curve in pieces), tuple(sums))


def repeat(curve: Curve, period_ns: int) -> Curve:
    """The first `period_ns` of a curve, over and over."""
    return curve if isinstance(curve, Constant) else Repeat(curve, period_ns, curve.total(period_ns))
