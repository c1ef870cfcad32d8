"""The runs that were announced to an agent: which announcement counts, what it says now, and when its run is over.

Pure: it is told the time, and asks only whether a process lives. A run lives as long as one of those who announced it
says so, or its first process lives; of several the newest speaks, and when it has ended, the one before it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from costmeter.attribution.announcement import Announcement
from costmeter.ledger.noderecord import UNKNOWN_OUTCOME
from costmeter.ledger.record import Outcome
from costmeter.meter.holder import RunKey
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.runtime.announceline import Farewell, Saying
from costmeter.runtime.nodeevents import RunGone, RunTold
from costmeter.units import NANOSECONDS_PER_SECOND

#: So many announcements of one user at a time, and in all.
MOST_OF_A_USER, MOST = 64, 1_000
#: A run whose first process nobody knows is over when nobody has announced it anew for so long.
GONE_AFTER_NS = 30 * NANOSECONDS_PER_SECOND
#: Progress is told on this often.
PERIOD_NS = NANOSECONDS_PER_SECOND
#: So many changes of phase or devices are taken at once, and one more every second: each cuts a slot, a line on disk.
CHANGES_AT_ONCE, CHANGE_AGAIN_NS = 20, NANOSECONDS_PER_SECOND
_INTERRUPTED: Outcome = "interrupted"

Posted = RunGone | RunTold


@dataclass(slots=True, eq=False)
class Session:
    """One who announced a run. `closed_ns` is when its connection ended; None while it speaks.

    `saying` is the last that it said, of which `announcement` and `told` have what was taken so far.
    """

    announcement: Announcement
    saying: Saying
    closed_ns: int | None = None
    told: Progress = UNTOLD
    told_ns: int | None = None
    #: When all changes would be paid for, at one a second.
    paid_ns: int = 0

    @property
    def key(self) -> RunKey:
        """Which run it announced."""
        return self.announcement.key


@dataclass(slots=True)
class AnnouncedRuns:
    """All announced runs of a node. Not for several threads at once.

    `lives` says whether a process, by pid and start, does. `dropped` counts announcements for which there was no room.
    """

    lives: Callable[[int, int], bool]
    dropped: int = 0
    _runs: dict[RunKey, list[Session]] = field(default_factory=dict)

    def announcements(self) -> tuple[Announcement, ...]:
        """What is announced now, one of each run, by user and run."""
        return tuple(self._runs[key][-1].announcement for key in sorted(self._runs))

    def announce(self, announcement: Announcement) -> Session | None:
        """Take an announcement; None where there are too many.

        One that comes again, as after the agent or a connection was lost, takes the place of the one that it was.
        """
        sessions = self._runs.get(announcement.key, [])
        left = [each for each in sessions if not _is_the_same(each.announcement, announcement)]
        if len(left) == len(sessions) and self._is_full(announcement.uid):
            self.dropped += 1
            return None
        if sessions:
            announcement = replace(announcement, seen_utc_ns=sessions[0].announcement.seen_utc_ns)
        session = Session(announcement, Saying(announcement.phase, announcement.redone))
        self._runs[announcement.key] = [*left, session]
        return session

    def hear(self, session: Session, saying: Saying, now_ns: int) -> list[Posted]:
        """Take what a run says. Of what comes too fast the last is told on when its time has come."""
        before = session.saying
        session.saying = replace(saying, uuids=before.uuids if saying.uuids is None else saying.uuids)
        return self._take(session, now_ns)

    def end(self, session: Session, farewell: Farewell, now_ns: int) -> list[Posted]:
        """The run has ended, as the one who announced it says."""
        told = self._take(session, now_ns, is_last=True)
        gone = RunGone(now_ns, session.key, farewell.outcome, farewell.exit_code, farewell.signal)
        return told + self._remove(session, gone)

    def close(self, session: Session, now_ns: int) -> list[Posted]:
        """Who announced the run is not heard any more; the run may go on without."""
        session.closed_ns = now_ns
        return self._take(session, now_ns, is_last=True)

    def sweep(self, now_ns: int) -> list[Posted]:
        """Once a second: what had to wait, and runs that are over with nobody to say so."""
        posted: list[Posted] = []
        for session in [each for sessions in self._runs.values() for each in sessions]:
            posted += self._take(session, now_ns)
            if session.closed_ns is None:
                continue
            root = session.announcement.root_pid
            if root and not self.lives(root, session.announcement.root_start_ticks):
                posted += self._remove(session, RunGone(now_ns, session.key, _INTERRUPTED))
            elif not root and now_ns - session.closed_ns >= GONE_AFTER_NS:
                posted += self._remove(session, RunGone(now_ns, session.key, UNKNOWN_OUTCOME))
        return posted

    def _is_full(self, uid: int) -> bool:
        of_user = sum(len(sessions) for key, sessions in self._runs.items() if key[0] == uid)
        return of_user >= MOST_OF_A_USER or sum(map(len, self._runs.values())) >= MOST

    def _is_speaking(self, session: Session) -> bool:
        sessions = self._runs.get(session.key)
        return sessions is not None and sessions[-1] is session

    def _take(self, session: Session, now_ns: int, is_last: bool = False) -> list[Posted]:
        """Bring what is announced up to what is said, as fast as that may be."""
        said, known = session.saying, session.announcement
        uuids = known.uuids if said.uuids is None else said.uuids
        is_change = (said.phase, said.redone, uuids) != (known.phase, known.redone, known.uuids)
        ahead_ns = session.paid_ns - now_ns
        if is_change and (is_last or ahead_ns <= (CHANGES_AT_ONCE - 1) * CHANGE_AGAIN_NS):
            session.paid_ns = max(session.paid_ns, now_ns) + CHANGE_AGAIN_NS
            session.announcement = replace(known, phase=said.phase, redone=said.redone, uuids=uuids)
        is_due = session.told_ns is None or now_ns - session.told_ns >= PERIOD_NS or is_last
        if said.progress == session.told or not (is_due and self._is_speaking(session)):
            return []
        session.told, session.told_ns = said.progress, now_ns
        return [RunTold(now_ns, session.key, said.progress)]

    def _remove(self, session: Session, gone: RunGone) -> list[Posted]:
        """Forget one who announced a run; the run is gone when it was the last."""
        sessions = self._runs.get(session.key, [])
        if session not in sessions:
            return []
        sessions.remove(session)
        if sessions:
            return []
        del self._runs[session.key]
        return [gone]


def _is_the_same(known: Announcement, new: Announcement) -> bool:
    """Whether both are of one process, or of one run's first process: the same run, announced again."""
    root = (new.root_pid, new.root_start_ticks)
    if new.root_pid or known.root_pid:
        return root == (known.root_pid, known.root_start_ticks)
    return bool(new.pid) and new.pid == known.pid
