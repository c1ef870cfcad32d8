"""How much of its idle spell a device was idle for, and how much it computed: what the spell costs by the hour."""

from collections.abc import Mapping

from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import IdleSpell
from costmeter.meter.interval import Interval


class SpellTimes:
    """Adds up the intervals of each spell, from when it is first seen here: of one that is older, from then on.

    `earlier` is by device since when it had its spell before, in UTC, and what that came to: if it goes on, so does
    this. Time that nobody watched, or of which the driver does not say what the device did, counts as neither.
    """

    def __init__(self, earlier: Mapping[str, tuple[int, IdleTimes]] | None = None) -> None:
        self._earlier = earlier or {}
        self._known: dict[str, tuple[int, int, IdleTimes]] = {}

    def see(self, intervals: Mapping[str, Interval], spells: Mapping[str, IdleSpell]) -> dict[str, IdleTimes]:
        """Take the last interval of every device, each once, and return the times of those that are in a spell."""
        known: dict[str, tuple[int, int, IdleTimes]] = {}
        for uuid, spell in spells.items():
            since_utc_ns, seen_ns, times = self._known.get(uuid, (None, 0, IdleTimes()))
            if since_utc_ns != spell.since_utc_ns:
                since_utc_ns, times = self._earlier.get(uuid, (None, IdleTimes()))
                times = times if since_utc_ns == spell.since_utc_ns else IdleTimes()
            interval = intervals.get(uuid)
            if interval is not None and interval.end_ns > seen_ns:
                seen_ns, times = interval.end_ns, times.after(interval)
            known[uuid] = spell.since_utc_ns, seen_ns, times
        self._known = known
        return {uuid: times for uuid, (_, _, times) in known.items()}
