"""The runs that were announced to an agent: which announcement counts, what it says now, and when its run is over.

Pure: it is told the time, and asks only whether a process lives. A run lives as long as one of those who announced it
says so, or its first process lives. What it holds is what all of them hold; what it does, the newest says, and when it
has ended, the one before it again. It ends once, with the last of them, and came out as the worst of them did.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from costmeter.attribution.announcement import Announcement
from costmeter.ledger.ending import WORST_FIRST
from costmeter.ledger.node.record import UNKNOWN_OUTCOME
from costmeter.ledger.record import Outcome
from costmeter.meter.holder import RunKey
from costmeter.meter.outlook import UNKNOWN_OUTLOOK, Outlook
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.runtime.agent.announceline import Farewell, Saying
from costmeter.runtime.agent.events import RunGone, RunTold
from costmeter.units import NANOSECONDS_PER_SECOND

#: So many announcements of one user at a time, and in all.
MOST_OF_A_USER, MOST = 64, 1_000
#: A run whose first process nobody knows is over when nobody has announced it anew for so long.
GONE_AFTER_NS = 30 * NANOSECONDS_PER_SECOND
#: A run whose first process has ended without a word is over so much later: who has to say how it ended connects first.
WORDLESS_NS = NANOSECONDS_PER_SECOND
#: Progress is told on this often.
PERIOD_NS = NANOSECONDS_PER_SECOND
#: So many changes of phase or devices of one user's runs are taken at once, and one more every second.
CHANGES_AT_ONCE = 2 * MOST_OF_A_USER
_CHANGES = Allowance(CHANGES_AT_ONCE, NANOSECONDS_PER_SECOND)
_INTERRUPTED: Outcome = "interrupted"

Posted = RunGone | RunTold


@dataclass(slots=True, eq=False)
class Session:
    """One who announced a run. `closed_ns` is when its connection ended; None while it speaks.

    `saying` is the last that it said, of which `announcement` and `told` have what was taken so far. `is_restored`: an
    agent before this one heard it. `died_ns` is when its first process was missed.
    """

    announcement: Announcement
    saying: Saying
    closed_ns: int | None = None
    is_restored: bool = False
    died_ns: int | None = None
    told: tuple[Progress, Outlook] = UNTOLD, UNKNOWN_OUTLOOK
    told_ns: int | None = None

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
    _changes: Savings = field(default_factory=lambda: Savings(_CHANGES))
    _ends: dict[RunKey, RunGone] = field(default_factory=dict)

    def announcements(self) -> tuple[Announcement, ...]:
        """What is announced now, by user and run: what each announcer holds, in the words of the newest."""
        return tuple(each for key in sorted(self._runs) for each in _as_the_newest(self._runs[key]))

    def expect(self, announcements: Iterable[Announcement], now_ns: int) -> None:
        """Runs that an agent before this one heard, as it left them: they stand until something else is said."""
        for each in announcements:
            session = Session(each, Saying(each.phase, each.redone), closed_ns=now_ns, is_restored=True)
            self._runs.setdefault(each.key, []).append(session)

    def announce(self, announcement: Announcement) -> Session | None:
        """Take an announcement; None where there are too many.

        One that comes again, as after the agent or a connection was lost, takes the place of the one that it was.
        """
        sessions = self._runs.get(announcement.key, [])
        left = [each for each in sessions if not _goes_on_as(each, announcement)]
        if len(left) == len(sessions) and self._is_full(announcement.uid):
            self.dropped += 1
            return None
        if sessions:
            first = sessions[0].announcement
            announcement = replace(announcement, seen_utc_ns=first.seen_utc_ns, started_utc_ns=first.started_utc_ns)
        session = Session(announcement, Saying(announcement.phase, announcement.redone))
        self._runs[announcement.key] = [*left, session]
        return session

    def hear(self, session: Session, saying: Saying, now_ns: int) -> list[Posted]:
        """Take what a run says. Of what comes too fast the last is told on when its time has come."""
        before = session.saying
        session.saying = replace(saying, uuids=before.uuids if saying.uuids is None else saying.uuids)
        return self._take(session, now_ns)

    def end(self, session: Session, farewell: Farewell, now_ns: int, now_utc_ns: int = 0) -> list[Posted]:
        """The run has ended, as the one who announced it says. No run ended before it began, nor after it said so."""
        told = self._take(session, now_ns, is_last=True)
        ended_utc_ns = now_utc_ns if farewell.ended_utc_ns is None else farewell.ended_utc_ns
        at_ns = now_ns - max(0, now_utc_ns - max(ended_utc_ns, session.announcement.started_utc_ns))
        gone = RunGone(at_ns, session.key, farewell.outcome, farewell.exit_code, farewell.signal)
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
                session.died_ns = now_ns if session.died_ns is None else session.died_ns
                if now_ns - session.died_ns >= WORDLESS_NS:
                    posted += self._remove(session, RunGone(session.died_ns, session.key, _INTERRUPTED))
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
        if is_change and (is_last or self._changes.may(known.uid, now_ns)):
            self._changes.spend((known.uid,), 1, now_ns)
            session.announcement = replace(known, phase=said.phase, redone=said.redone, uuids=uuids)
        is_due = session.told_ns is None or now_ns - session.told_ns >= PERIOD_NS or is_last
        news = said.progress, said.outlook
        if news == session.told or not (is_due and self._is_speaking(session)):
            return []
        session.told, session.told_ns = news, now_ns
        return [RunTold(now_ns, session.key, *news)]

    def _remove(self, session: Session, gone: RunGone) -> list[Posted]:
        """Forget one who announced a run; the run is gone when it was the last, as the worst of them says."""
        sessions = self._runs.get(session.key, [])
        if session not in sessions:
            return []
        sessions.remove(session)
        ends = [*([self._ends.pop(session.key)] if session.key in self._ends else []), gone]
        worst = min(ends, key=lambda each: WORST_FIRST.index(each.outcome))
        if sessions:
            self._ends[session.key] = worst
            return []
        del self._runs[session.key]
        return [replace(worst, at_ns=max(each.at_ns for each in ends))]


def _as_the_newest(sessions: list[Session]) -> list[Announcement]:
    """What those who announced one run hold, each by itself; one of them says what the run is called and does."""
    if len(sessions) == 1:
        return [sessions[0].announcement]
    said = sessions[-1].announcement
    return [
        replace(each.announcement, name=said.name, labels=said.labels, phase=said.phase, redone=said.redone)
        for each in sessions
    ]


def _goes_on_as(session: Session, new: Announcement) -> bool:
    """Whether a run is announced again by a new connection, and not by one more who announces it.

    That of a first process that has ended meanwhile names none any more.
    """
    known = session.announcement
    roots = {(each.root_pid, each.root_start_ticks) for each in (known, new) if each.root_pid}
    if len(roots) == 2:
        return False
    if session.is_restored:
        return True
    is_same_announcer = bool(new.pid) and new.pid == known.pid
    if session.closed_ns is None:  # both speak: of one process, the newer one instead
        return is_same_announcer
    return is_same_announcer or bool(known.root_pid and new.root_pid)
