"""Many integers of nothing or more side by side in one large integer: a sum or a product is then one for all of them.

Python's integers have any size, and adding two of a million bits costs what adding a hundred small ones does. In lanes
of four decimal digits, 7, 12 and 5 are `0005_0012_0007`. Times 3 is one product for all: `0015_0036_0021`. A sum of
columns is one sum: the upper rows laid upon the lower ones. And × 0.25, rounded, is × 25 and then two digits that are
dropped, with 50 added before: `0125_0300_0175` + `0050_0050_0050` = `0175_0350_0225`; without the last two digits of
each lane 1, 3, 2. Where 7 had been 6, its 1.50 is halfway, and rounds to the even 2; 10 is 2.50 and so is 2, not 3.
Halfways show where a little more and a little less give another digit, and are put right.

Here each lane is 128 bits wide and takes what fits; who asks for more is told None, and counts one by one.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat

WIDTH = 128
_BYTES = WIDTH // 8
_IS_BIG_ENDIAN = array("H", [1]).tobytes() == b"\x00\x01"
#: All bits of one lane.
_ONE = (1 << WIDTH) - 1
#: Integers are taken up to here, and given back.
_LARGEST = 2**64
#: How far off `charge` may be where its 28 digits cannot hold a quotient, of the quotient: 2^-80 is 8e-25.
_DOUBT_BITS = 80
#: What is the same for many blocks is made for a multiple of so many lanes.
_STEP = 256


@dataclass(frozen=True, slots=True)
class Lanes:
    """Integers in `rows` of `across`, the first in the lowest bits. None is above `bound`.

    With `across` 1 one integer may stand for a whole row. `common` is what all are, where that is known.
    """

    value: int
    rows: int
    across: int
    bound: int
    common: int | None = None

    def sums(self) -> list[int]:
        """The sum of each column."""
        width, rows, value = WIDTH * self.across, self.rows, self.value
        while rows > 1:  # the upper half onto the lower one
            upper = rows // 2
            cut = width * (rows - upper)
            value = (value >> cut) + (value & ((1 << cut) - 1))
            rows -= upper
        return [value >> WIDTH * place & _ONE for place in range(self.across)]

    def listed(self) -> list[int]:
        """The integers, row by row. Raises OverflowError where one may be 2^64 or more."""
        if self.bound >= _LARGEST:
            raise OverflowError("wider than 64 bits")
        words = array("Q", self.value.to_bytes(_BYTES * self.rows * self.across, "little"))
        if _IS_BIG_ENDIAN:
            words.byteswap()
        return words[::2].tolist()

    def widened(self, across: int) -> "Lanes":
        """The same with so many in a row."""
        if across == self.across:
            return self
        if self.common is not None:
            return Lanes(_ones(self.rows * across) * self.common, self.rows, across, self.bound, self.common)
        return lanes(list(chain.from_iterable(zip(*repeat(self.listed(), across), strict=True))), across)


def lanes(values: Sequence[int], across: int) -> Lanes:
    """Integers in rows. Raises OverflowError for one below nothing or of 2^64 and more, TypeError for what is none."""
    words = array("Q", values)
    if _IS_BIG_ENDIAN:
        words.byteswap()
    wide = memoryview(bytearray(_BYTES * len(words))).cast("Q")
    wide[::2] = memoryview(words)
    is_common = across == 1 and words.count(words[0]) == len(words)
    bound = words[0] if is_common else max(values)
    common = bound if is_common else None
    return Lanes(int.from_bytes(wide, "little"), len(words) // across, across, bound, common)


def added(left: Lanes, right: Lanes) -> Lanes | None:
    """Sums, place by place; None where one may not fit."""
    across, bound = max(left.across, right.across), left.bound + right.bound
    if bound >= 1 << WIDTH:
        return None
    value = left.widened(across).value + right.widened(across).value
    common = None if left.common is None or right.common is None else bound
    return Lanes(value, left.rows, across, bound, common)


def rounded(of: Lanes, above: int, below: int) -> Lanes | None:
    """Every integer × above / below, rounded half to even; None where one may not fit.

    The factor is cut off after `bits` binary digits, by which a product falls short by less than a margin of
    `of.bound` of their last; no quotient but a tie is within two margins of one. So rounding with a margin on top, and
    with one off, differ at ties alone, and there the even one is taken.
    """
    margin_bits = of.bound.bit_length()
    bits = (below << margin_bits + 3).bit_length() + 7 & ~7  # a few more than it takes, so that few kinds are asked for
    factor = (above << bits) // below
    if of.bound * factor + (2 << bits) >= 1 << WIDTH:
        return None
    up, down = _either_side(of, factor, bits, margin_bits)
    if up != down:
        up -= up - down & up  # a lane of the difference is 1 at a tie; `up` is odd there or not
    return Lanes(up >> bits, of.rows, of.across, of.bound * above // below + 1)


def nearly_rounded(of: Lanes, above: int, below: int, alone: Callable[[int], int]) -> Lanes | None:
    """The same where nobody can tell a tie from what is next to it: what comes near to one is asked for `alone`.

    A purchase over the hours of its life is such a price: the quotient of a whole number by 1,168, say, is one time in
    so many as near to a tie as 28 digits can say. None where one may not fit.
    """
    most = of.bound * above // below + 1
    bits = WIDTH - 2 - most.bit_length()
    margin_bits = (of.bound + (most << bits >> _DOUBT_BITS)).bit_length() if bits > 0 else 0
    if margin_bits + 1 >= bits:
        return None
    up, down = _either_side(of, (above << bits) // below, bits, margin_bits)
    value, doubtful = down >> bits, up - down
    while doubtful:
        at = (doubtful.bit_length() - 1) // WIDTH * WIDTH
        doubtful &= (1 << at) - 1
        value += alone(of.value >> at & _ONE) - (value >> at & _ONE) << at
    return Lanes(value, of.rows, of.across, most)


def _either_side(of: Lanes, factor: int, bits: int, margin_bits: int) -> tuple[int, int]:
    """The products, rounded to whole ones of `bits` binary digits: with a margin on top, and with one off."""
    more, less, mask = _sides(-(of.rows * of.across // -_STEP) * _STEP, bits, margin_bits)
    product = of.value * factor
    return product + more & mask, product + less & mask


@lru_cache(maxsize=64)
def _sides(count: int, bits: int, margin_bits: int) -> tuple[int, int, int]:
    """In every lane a half and a margin, a half less a margin, and ones above `bits`: 100 kB of each at most.

    Made for so many lanes that the same ones do for all blocks of about one size: a lane of nothing stays nothing.
    """
    ones = _ones(count)
    half, margin = ones << bits - 1, ones << margin_bits
    return half + margin, half - margin, (ones << WIDTH) - (ones << bits)


@lru_cache(maxsize=16)
def _ones(count: int) -> int:
    """A one in every lane."""
    return int.from_bytes((1).to_bytes(_BYTES, "little") * count, "little")
