"""Which reasons of which GPUs have a series: those that have ever been, since eight times nine zeros say nothing.

A new one stands at 0 for a minute, as new runs do, so that Prometheus counts all of what it came to.
"""

from collections.abc import Mapping

from costmeter.ledger.node.record import Opening, ReasonRisen
from costmeter.meter.idling import IdleSpell, IdleUse, Reason
from costmeter.outputs.nodesnapshot import AT_ZERO_NS

_Idle = Mapping[str, Mapping[Reason, IdleUse]]
_Spells = Mapping[str, IdleSpell]


class IdleSeries:
    """The reasons that have a series, by device. Of those of the opening that had risen more than 0 was on the page.

    Not for several threads at once; what it hands out is changed no more.
    """

    def __init__(self, opened: Opening) -> None:
        self._risen: dict[str, Mapping[Reason, bool]] = {
            uuid: dict.fromkeys(reasons, True) for uuid, reasons in opened.risen.items()
        }
        self._from_ns: dict[tuple[str, Reason], int] = {}
        self._booked: _Idle | None = None
        self._given, self._news = dict(self._risen), list[tuple[str, Reason]]()

    @property
    def given(self) -> Mapping[str, Mapping[Reason, bool]]:
        """What was handed out last."""
        return self._given

    def risen(self, at_utc_ns: int) -> list[ReasonRisen]:
        """Those that are shown as they are from what was handed out last on: to be written before that is shown."""
        news, self._news = self._news, []
        return [ReasonRisen(at_utc_ns, uuid, reason) for uuid, reason in news]

    def see(self, booked: _Idle, spells: _Spells, at_ns: int) -> Mapping[str, Mapping[Reason, bool]]:
        """Each reason, and whether it has stood at 0 for long enough; `at_ns` is CLOCK_BOOTTIME.

        A reason begins when it is in force, which is before it is booked.
        """
        for uuid, spell in spells.items():
            if spell.reason not in self._risen.get(uuid, {}):
                self._begin(uuid, spell.reason, at_ns)
        if booked is not self._booked:  # once a minute
            self._booked = booked
            for uuid, uses in booked.items():
                for reason in uses.keys() - self._risen.get(uuid, {}).keys():
                    self._begin(uuid, reason, at_ns)
        for uuid, reason in [key for key, ns in self._from_ns.items() if at_ns - ns >= AT_ZERO_NS]:
            del self._from_ns[uuid, reason]
            self._set(uuid, reason, True)
            self._news.append((uuid, reason))
        return self._given

    def _begin(self, uuid: str, reason: Reason, at_ns: int) -> None:
        self._from_ns[uuid, reason] = at_ns
        self._set(uuid, reason, False)

    def _set(self, uuid: str, reason: Reason, has_risen: bool) -> None:
        """As another mapping: the snapshots before this have the one there was."""
        self._risen[uuid] = {**self._risen.get(uuid, {}), reason: has_risen}
        self._given = dict(self._risen)
