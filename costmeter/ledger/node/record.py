"""What only the journal of a node keeps: which runs there were, who held which GPU, and where its counters stood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.ledger.record import Outcome, Record
from costmeter.meter.holder import Holder, HolderSource, RunKey
from costmeter.meter.idlememory import IdleMemory
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.progress import Progress
from costmeter.meter.totals import DeviceTotals, Totals

#: How a run ended of which it is only known that it is gone.
UNKNOWN_OUTCOME: Outcome = "unknown"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as the node knows it. `started_utc_ns` is its start as it says itself, else when it was first seen.

    `pid` and `pid_start_ticks` are its first process in this node's own numbering, 0 where none is known; `job` is the
    scheduler's name for it: a Slurm job id, `namespace/pod`, a container's id.
    """

    uid: int
    run: str
    user: str
    source: HolderSource
    seen_utc_ns: int
    started_utc_ns: int
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    pid: int = 0
    pid_start_ticks: int = 0

    @classmethod
    def of(cls, holder: Holder, seen_utc_ns: int) -> "RunFacts":
        """A run of which no more is known than that it held a device then."""
        return cls(holder.uid, holder.run, holder.user, holder.source, seen_utc_ns, seen_utc_ns)

    @property
    def key(self) -> RunKey:
        """Which run this is."""
        return self.uid, self.run


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run that was not there before, or of which more is known now; `called` is its name where its id is not.

    `at_zero`: if it was not there before, nobody has been shown more of it than 0 yet.
    """

    at_utc_ns: int
    facts: RunFacts
    called: str = ""
    at_zero: bool = False


@dataclass(frozen=True, slots=True)
class RunRisen:
    """From now on a run's counters are shown as they are: they have stood at 0 for long enough."""

    at_utc_ns: int
    key: RunKey


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run's end, as far as the node was told of it."""

    at_utc_ns: int
    key: RunKey
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds which device in all slots that follow. `number` counts them in a file, as with rates."""

    at_utc_ns: int
    by_device: Mapping[str, tuple[Holder, ...]]
    number: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RunAccount:
    """What a run did and cost on this node, all its devices; its phases, and what it did again.

    `ended` is None while it lives. `called` is what its series are called where that is not its id: the id with the
    user's number behind it, when another user's run had the id before. `idle` is its idle time by reason. `sunk` is how
    much of it was counted as sunk at its ends so far. `at_zero`: nobody was shown more of it than 0 yet.
    """

    facts: RunFacts
    totals: Totals = field(default_factory=Totals)
    phases: Mapping[str, DeviceTotals] = field(default_factory=dict)
    redone: DeviceTotals = field(default_factory=DeviceTotals)
    ended: RunEnded | None = None
    called: str = ""
    idle: Mapping[Reason, IdleUse] = field(default_factory=dict)
    sunk: Decimal = Decimal(0)
    at_zero: bool = False

    @property
    def name(self) -> str:
        """What its series are called, for as long as it is known."""
        return self.called or self.facts.run


@dataclass(frozen=True, slots=True)
class Opening:
    """Where the node's counters stood when a part began: what the part before came to, or nothing.

    `held` and `unheld` are by device; `accounts` are of runs that live or ended a short while ago. `ended` counts the
    runs that ended, by outcome, and `sunk` is what those had cost that did not end well. `today` is since when the
    UTC day is metered, and what all devices had cost by then. `idle` is by device what its idle time came to by reason,
    while somebody held it; of a reason that is not in `risen` nobody was shown more than 0 yet.
    """

    at_utc_ns: int
    held: Totals = field(default_factory=Totals)
    unheld: Totals = field(default_factory=Totals)
    accounts: tuple[RunAccount, ...] = ()
    ended: Mapping[str, int] = field(default_factory=dict)
    sunk: Mapping[str, Decimal] = field(default_factory=dict)
    today: tuple[int, Decimal] | None = None
    idle: Mapping[str, Mapping[Reason, IdleUse]] = field(default_factory=dict)
    risen: Mapping[str, frozenset[Reason]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IdleNoted:
    """What is known of a held device that is idle, or no longer is: an agent that goes on after this one needs it."""

    at_utc_ns: int
    uuid: str
    memory: IdleMemory


@dataclass(frozen=True, slots=True)
class ReasonRisen:
    """From now on what a device's idle time of one reason came to is shown as it is: it stood at 0 for long enough."""

    at_utc_ns: int
    uuid: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Stint:
    """What a run did and cost in one file of its node, all its devices: what the opening brought is not in it.

    A user of whom no run is known is a run without an id; `facts` are None for what nobody held. From `began_utc_ns` to
    `until_utc_ns` are its slots; of a run that only ended in the file there are none. `gpus` counts those it held by
    name, `ended` is None where no end was told. It is derived from the slots before it, for who reads no slots.
    """

    facts: RunFacts | None
    currency: str
    began_utc_ns: int
    until_utc_ns: int
    whole: DeviceTotals = field(default_factory=DeviceTotals)
    redone: Decimal = Decimal(0)
    gpus: tuple[tuple[str, int], ...] = ()
    ended: RunEnded | None = None


NodeRecord = RunSeen | RunRisen | RunEnded | Holders | Opening | IdleNoted | ReasonRisen | Stint
#: What a line of any journal says; the accounts of an opening have lines of their own.
Line = Record | NodeRecord | RunAccount
