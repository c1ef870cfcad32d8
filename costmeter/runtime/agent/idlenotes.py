"""When what is known of idle devices is written, so that an agent that goes on says the same: at news, in measure.

A GPU that begins and ends an idle spell every minute must not fill the journal. That a spell is over is always written:
it must not come back.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from costmeter.ledger.node.record import IdleNoted
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.interval import Interval
from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.runtime.agent.spelltimes import SpellTimes
from costmeter.runtime.idling import Idling, Standing
from costmeter.units import NANOSECONDS_PER_MINUTE

#: So many beginnings and changes of a device are written at once, and then one more every so often.
AT_ONCE, AGAIN_NS = 4, 30 * NANOSECONDS_PER_MINUTE
#: Less one, which who has anything left takes on credit.
_SAVED = Allowance(AT_ONCE - 1, AGAIN_NS)


class IdleNotes:
    """What is written of the idleness of a node's devices. Instants are CLOCK_BOOTTIME, but for `at_utc_ns`.

    `counted` is asked for how long a device was idle and busy in all, while it was held; `known` is what was written
    before. How much of its spell a device was idle for is what was counted in it: that is written nowhere else.
    """

    def __init__(
        self, idling: Idling, counted: Callable[[str], IdleTimes], known: Mapping[str, IdleMemory] | None = None
    ) -> None:
        self._idling, self._counted = idling, counted
        self._spells = SpellTimes(
            {
                uuid: (memory.spell.since_utc_ns, counted(uuid) - memory.before)
                for uuid, memory in (known or {}).items()
                if memory.spell is not None and memory.before is not None
            }
        )
        self._written: dict[str, Standing] = {}
        self._savings = Savings(_SAVED)

    def times(self, intervals: Mapping[str, Interval]) -> dict[str, IdleTimes]:
        """For how long each device that is in a spell was idle in it and busy, up to its last interval."""
        return self._spells.see(intervals, self._idling.spells)

    def due(self, at_ns: int, at_utc_ns: int, intervals: Mapping[str, Interval]) -> Iterator[IdleNoted]:
        """What has to be written now; `intervals` are the last ones of all devices."""
        standing = self._idling.standing(at_ns)
        if standing == self._written:
            return
        self._written = {uuid: known for uuid, known in self._written.items() if uuid in standing}
        times = self.times(intervals)
        for uuid, now in standing.items():
            before = self._written.get(uuid)
            if before is None or before[0] != now[0]:  # other holders: what was written of it is for nobody
                before = _nothing(now)
            if now != before and (_is_over(before, now) or self._may(uuid, at_ns)):
                self._written[uuid] = now
                yield self._noted(uuid, at_ns, at_utc_ns, times)

    def again(self, at_ns: int, at_utc_ns: int, intervals: Mapping[str, Interval]) -> Iterator[IdleNoted]:
        """All there is to remember, for a file that begins."""
        self._written, times = self._idling.standing(at_ns), self.times(intervals)
        for uuid, known in self._written.items():
            if known != _nothing(known):
                yield self._noted(uuid, at_ns, at_utc_ns, times)

    def _noted(self, uuid: str, at_ns: int, at_utc_ns: int, times: Mapping[str, IdleTimes]) -> IdleNoted:
        memory = self._idling.memory(uuid, at_ns)
        if memory.spell is not None:
            memory = replace(memory, before=self._counted(uuid) - times[uuid])
        return IdleNoted(at_utc_ns, uuid, memory)

    def _may(self, uuid: str, at_ns: int) -> bool:
        if not self._savings.may(uuid, at_ns):
            return False
        self._savings.spend((uuid,), 1, at_ns)
        return True


def _nothing(standing: Standing) -> Standing:
    """The same device where there is nothing to remember: at work, or not seen yet."""
    return standing[0], None, False, False


def _is_over(before: Standing, now: Standing) -> bool:
    """Whether the spell that was written last is none any more, or another."""
    spell, known = now[1], before[1]
    return known is not None and (spell is None or spell.since_utc_ns != known.since_utc_ns)
