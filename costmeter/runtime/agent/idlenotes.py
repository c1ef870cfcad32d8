"""When what is known of idle devices is written, so that an agent that goes on says the same: at news, in measure.

A GPU that begins and ends an idle spell every minute must not fill the journal. That a spell is over is always written:
it must not come back.
"""

from collections.abc import Iterator

from costmeter.ledger.node.record import IdleNoted
from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.runtime.idling import Idling, Standing
from costmeter.units import NANOSECONDS_PER_MINUTE

#: So many beginnings and changes of a device are written at once, and then one more every so often.
AT_ONCE, AGAIN_NS = 4, 30 * NANOSECONDS_PER_MINUTE
#: Less one, which who has anything left takes on credit.
_SAVED = Allowance(AT_ONCE - 1, AGAIN_NS)


class IdleNotes:
    """What is written of the idleness of a node's devices. Instants are CLOCK_BOOTTIME, but for `at_utc_ns`."""

    def __init__(self, idling: Idling) -> None:
        self._idling = idling
        self._written: dict[str, Standing] = {}
        self._savings = Savings(_SAVED)

    def due(self, at_ns: int, at_utc_ns: int) -> Iterator[IdleNoted]:
        """What has to be written now."""
        standing = self._idling.standing(at_ns)
        if standing == self._written:
            return
        self._written = {uuid: known for uuid, known in self._written.items() if uuid in standing}
        for uuid, now in standing.items():
            before = self._written.get(uuid)
            if before is None or before[0] != now[0]:  # other holders: what was written of it is for nobody
                before = _nothing(now)
            if now != before and (_is_over(before, now) or self._may(uuid, at_ns)):
                self._written[uuid] = now
                yield IdleNoted(at_utc_ns, uuid, self._idling.memory(uuid, at_ns))

    def again(self, at_ns: int, at_utc_ns: int) -> Iterator[IdleNoted]:
        """All there is to remember, for a file that begins."""
        self._written = self._idling.standing(at_ns)
        for uuid, known in self._written.items():
            if known != _nothing(known):
                yield IdleNoted(at_utc_ns, uuid, self._idling.memory(uuid, at_ns))

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
