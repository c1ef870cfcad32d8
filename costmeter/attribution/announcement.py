"""What a run says of itself on the agent's socket, as the agent believes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.meter.holder import RunKey


@dataclass(frozen=True, slots=True)
class Announcement:
    """One run that was announced and has not ended.

    `uid` and `pid` are the peer's by the kernel's word (SO_PEERCRED), everything else is the run's own. `root_pid` with
    `root_start_ticks` is its first process in this node's numbering, 0 where that is not known. `uuids` are the devices
    that it holds, None where it does not say. `phase` and `redone` are what it does now.
    """

    uid: int
    pid: int
    run: str
    user: str
    seen_utc_ns: int
    started_utc_ns: int
    uuids: frozenset[str] | None
    root_pid: int = 0
    root_start_ticks: int = 0
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    redone: bool = False

    @property
    def key(self) -> RunKey:
        """Which run this is."""
        return self.uid, self.run
