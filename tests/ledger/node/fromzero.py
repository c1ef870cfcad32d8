"""A node's journal folded alone, without what its counters stood at before: what its stints are held against."""

from dataclasses import replace
from pathlib import Path

from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.query import NodePart, begin_node, fold_node
from costmeter.ledger.node.record import Line, Opening, RunAccount
from costmeter.ledger.record import Header


class FromZero:
    """A journal while it is folded. Of a run that goes on it is known who it is."""

    def __init__(self) -> None:
        self.part: NodePart | None = None

    def take(self, told: Line | Stretch) -> None:
        """What comes next in it."""
        if self.part is None:
            assert isinstance(told, Header)  # a scan promises it
            self.part = begin_node(told)
        elif isinstance(told, Opening):
            self.part = fold_node(self.part, Opening(told.at_utc_ns))
        elif not isinstance(told, RunAccount):
            self.part = fold_node(self.part, told)
        elif told.ended is None:
            self.part = fold_node(self.part, RunAccount(told.facts, called=told.called))


def fold_from_zero(path: Path) -> NodePart:
    """The part, the open slot included, with what could not be read."""
    problems: list[str] = []
    part = read_node(path, problems, FromZero).part
    assert part is not None  # a header is first, or it was no journal
    return replace(part, problems=(*problems, *part.problems))
