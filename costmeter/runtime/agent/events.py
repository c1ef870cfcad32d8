"""What the threads of a node's agent tell its recorder, beside the events of the reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmeter.ledger.node.record import RunFacts
from costmeter.ledger.record import Outcome
from costmeter.meter.activity import IdleRule
from costmeter.meter.holder import HeldBy, RunKey
from costmeter.meter.outlook import UNKNOWN_OUTLOOK, Outlook
from costmeter.meter.progress import Progress
from costmeter.runtime.booking import Pricing
from costmeter.runtime.events import Batch, Ended, Opened, OpenFailed


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds which device from an instant on (CLOCK_BOOTTIME); a device that is not named nobody holds.

    `runs` has the facts of every run among the holders, and of announced ones that hold nothing. `collectors` says of
    each way of finding holders whether it worked. `since_ns` is from when they hold, where that was told afterwards.
    `looked_ns` is when it was asked which runs there are, where that was not at `at_ns`.
    """

    at_ns: int
    by_device: HeldBy
    runs: Mapping[RunKey, RunFacts]
    collectors: Mapping[str, bool] = field(default_factory=dict)
    dropped: int = 0
    since_ns: int | None = None
    looked_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RunGone:
    """A run ended, as it said itself or as was seen. What it holds it holds up to this instant.

    An announced run has its `facts` and the devices that it said it `held`: it may end before anybody has looked.
    `told_ns` is from when nobody finds it any more who looks for runs, where that is not from `at_ns` on.
    """

    at_ns: int
    key: RunKey
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    facts: RunFacts | None = None
    held: frozenset[str] = frozenset()
    told_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RunTold:
    """How far a run has come, as it says, and what it will cost."""

    at_ns: int
    key: RunKey
    progress: Progress
    outlook: Outlook = UNKNOWN_OUTLOOK


@dataclass(frozen=True, slots=True)
class Repriced:
    """Other settings hold from an instant on: what is asked about prices, what idle means, the labels of the node."""

    at_ns: int
    pricing: Pricing
    rule: IdleRule
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Somebody had settings loaded anew; whether all of them are in force now as they are written."""

    at_ns: int
    is_good: bool


@dataclass(frozen=True, slots=True)
class AtWork:
    """How many of the host's cores the processes on each device use, with all that they started; absent: not known."""

    at_ns: int
    cores: Mapping[str, float]


NodeEvent = Opened | OpenFailed | Batch | Ended | Held | RunGone | RunTold | Repriced | Reloaded | AtWork
