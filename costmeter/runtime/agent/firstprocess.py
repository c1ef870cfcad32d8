"""Whether the first process that a run names on the agent's socket is one that its announcer may speak for."""

from costmeter.ledger.identity import start_ticks, user_of
from costmeter.runtime import lineage
from costmeter.runtime.agent.announceline import Greeting


def first_process(told: Greeting, pid: int, uid: int) -> tuple[int, int]:
    """A run's first process in this node's numbering, pid and start, where the peer may speak for it; else 0 and 0.

    `pid` and `uid` are the peer's. The process has to be the peer's user's own. A pid of a container is another process
    here, or none: its start tells, and without one, only kinship does.
    """
    ticks = start_ticks(told.pid) if told.pid else None
    if ticks is None or user_of(told.pid) != uid:
        return 0, 0
    if told.start_ticks is None:
        is_kin = pid and (lineage.is_below(pid, told.pid) or lineage.is_below(told.pid, pid))
        return (told.pid, ticks) if is_kin else (0, 0)
    return (told.pid, ticks) if ticks == told.start_ticks else (0, 0)
