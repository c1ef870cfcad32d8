"""What invoices of runs are made of: each run cut by host, GPU model and day, with the folded parts behind it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from costmeter.ledger.brief import Brief
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.cutting import Piece
from costmeter.ledger.days import Days
from costmeter.ledger.grouping import pieces
from costmeter.ledger.listing import Listed
from costmeter.ledger.node.run import node_part
from costmeter.ledger.query import Part


@dataclass(frozen=True, slots=True)
class Charged:
    """What one part of a run came to, by GPU model and day."""

    part: Part
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """A run as it is charged for, in one currency, on GPUs that were all simulated, or all real.

    What stands beside the metered cost counts on `last_day`, which is empty where it is not among the days asked for.
    """

    run: Listed
    charged: tuple[Charged, ...]
    last_day: str


def accounts(run: Listed, day_of: Callable[[int], str], days: Days) -> Iterator[Account]:
    """A run on those days, taken apart by what never adds up. Raises JournalError where a journal has gone."""
    for alike in run.apart:
        charged = tuple(_charged(alike, brief, day_of, days) for brief in alike.parts)
        last_day = day_of(max(alike.ending.started_utc_ns, alike.ending.ended_utc_ns - 1))
        yield Account(alike, charged, last_day if last_day in days else "")


def _charged(run: Listed, brief: Brief, day_of: Callable[[int], str], days: Days) -> Charged:
    path = run.path_of(brief)
    cut = pieces(path.parent, replace(run, parts=(brief,)), day_of)
    part = fold_path(path, None, brief.elsewhere) if brief.of is None else node_part(path, brief.of, brief.currency)
    return Charged(part, tuple(piece for piece in cut if piece[1] in days))
