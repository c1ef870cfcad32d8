"""What the node's recorder hands to its writer after each event."""

from dataclasses import dataclass

from costmeter.ledger.node.record import NodeRecord
from costmeter.ledger.record import Record
from costmeter.outputs.nodesnapshot import NodeSnapshot


@dataclass(frozen=True, slots=True)
class NodePost:
    """Records in order, the order of the arrays in them, and the snapshot that holds once they are on disk.

    Every `Header` among the records begins a file of its own, of the UTC day in which its metering began; a footer
    precedes it, except the very first. `last`: nothing follows.
    """

    records: tuple[Record | NodeRecord, ...]
    order: tuple[str, ...]
    snapshot: NodeSnapshot
    last: bool = False
