"""What those who look for a node's holders found at their last look: how long it took, and whose processes there are.

It is news at every look and of no money, so it goes to who shows it past the recorder and the journal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class OnGpu:
    """A process on a GPU and its user; never its command line."""

    pid: int
    user: str


@dataclass(frozen=True, slots=True)
class Looked:
    """The last look. `took_ns` is by way of finding holders; `processes` are by device, those that can be seen."""

    took_ns: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, tuple[OnGpu, ...]] = field(default_factory=dict)


NOT_LOOKED = Looked()
