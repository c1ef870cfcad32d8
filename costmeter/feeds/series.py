"""What every feed brings: values for stretches of time, with their source, and what is missing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from costmeter.feeds.http import Door, FeedError
from costmeter.units import NANOSECONDS_PER_HOUR, iso_minute

#: At most so many missing stretches are named; the others are counted.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A value from an instant on up to another (None: until the next row). `estimated` is None where nobody says."""

    start_utc_ns: int
    end_utc_ns: int | None
    value: Decimal
    estimated: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of a feed. `words` are the feed's own arguments, `base` the address of its server.

    `from_utc_ns` and `to_utc_ns` are whole minutes; `is_dated` tells a span that was asked for from the usual one.
    """

    words: tuple[str, ...]
    base: str
    from_utc_ns: int
    to_utc_ns: int
    now_utc_ns: int
    is_dated: bool = False
    token: str = ""
    gpus: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, oldest first and without overlaps; its unit and facts; and what is missing, one line each."""

    rows: tuple[Row, ...]
    unit: str
    facts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


Piece = Callable[[], Iterable[Row]]
Fetch = Callable[[Door, Asked], Answer]


def gather(pieces: Iterable[Piece]) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of all pieces, and why some did not come. When none came, the first reason is raised.

    A server that does not answer, or has had enough, is not asked again.
    """
    rows: list[Row] = []
    refusals: list[FeedError] = []
    for piece in pieces:
        try:
            rows.extend(piece())
        except FeedError as refusal:
            refusals.append(refusal)
            if refusal.status is None or refusal.status in (401, 403, 429):
                break
    if refusals and not rows:
        raise refusals[0]
    return rows, tuple(dict.fromkeys(refusal.message for refusal in refusals))


def in_order(feed: str, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Oldest first, each start once. Raises FeedError for two values of one instant, overlaps, and no rows at all."""
    by_start: dict[int, Row] = {}
    for row in rows:
        known = by_start.setdefault(row.start_utc_ns, row)
        if known != row:
            raise FeedError(
                f"{feed}: two values for {iso_minute(row.start_utc_ns)}: {known.value} and {row.value}",
                "the server contradicts itself; ask for less time, or try again",
            )
    ordered = tuple(by_start[start] for start in sorted(by_start))
    if not ordered:
        raise FeedError(f"{feed}: the answer holds no values", "ask for other dates with --from and --to")
    for row, after in zip(ordered, (*ordered[1:], None), strict=True):
        end_ns = row.end_utc_ns
        if end_ns is not None and (end_ns <= row.start_utc_ns or (after and end_ns > after.start_utc_ns)):
            what = "is empty or overlaps the next"
            raise FeedError(f"{feed}: the stretch from {iso_minute(row.start_utc_ns)} {what}", "try again")
    return ordered


def holes(rows: tuple[Row, ...], asked: Asked) -> tuple[str, ...]:
    """The stretches without a value: between rows, and at the ends of a span that was asked for and is past."""
    known_to = [asked.from_utc_ns if asked.is_dated else rows[0].start_utc_ns]
    known_to += [row.end_utc_ns if row.end_utc_ns is not None else 2**63 for row in rows]
    # An open end holds until the next row, and is no hole.
    begins = [row.start_utc_ns for row in rows]
    begins.append(min(asked.to_utc_ns, asked.now_utc_ns) if asked.is_dated else begins[0])
    found = [
        f"no values from {iso_minute(end)} to {iso_minute(start)}"
        for end, start in zip(known_to, begins, strict=True)
        if end < start
    ]
    more = len(found) - _NAMED
    return tuple(found[:_NAMED]) + ((f"and {more} more such stretches",) if more > 0 else ())


def lasting(starts_ns: list[int], longest_ns: int = NANOSECONDS_PER_HOUR) -> list[int]:
    """The end of each stretch of which only the start is known, ascending: as long as its nearer neighbour is away.

    A missing start does so leave a hole, and where quarter hours follow hours both keep their length.
    """
    gaps = [after - start for start, after in pairwise(starts_ns)]
    around = zip([longest_ns, *gaps], [*gaps, longest_ns], strict=True)
    # Without any start there is one pair around nothing.
    return [start + min(before, after, longest_ns) for start, (before, after) in zip(starts_ns, around, strict=False)]
