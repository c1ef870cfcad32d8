"""Folding a node's journal: what its GPUs did and cost, held by somebody or by nobody, and every run's share of it.

The agent and every reader of its journal use this same fold, so that they cannot disagree.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from costmeter.ledger.ending import NOTHING_LOST
from costmeter.ledger.node.bulk import Share, Stretch
from costmeter.ledger.node.record import (
    Holders,
    IdleNoted,
    Line,
    Opening,
    ReasonRisen,
    RunAccount,
    RunEnded,
    RunFacts,
    RunRisen,
    RunSeen,
)
from costmeter.ledger.query import MARKS_KEPT, priced_only
from costmeter.ledger.record import Devices, Footer, Header, Mark, RatesChange, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.holding import by_holder
from costmeter.meter.idlememory import handed_on
from costmeter.meter.idleuse import added, idle_use, idle_uses
from costmeter.meter.idling import IdleUse, Reason
from costmeter.meter.slot import Slot
from costmeter.meter.standing import Standing
from costmeter.meter.totals import DeviceTotals, Totals, totals
from costmeter.readings import Device, DriverFacts


@dataclass(frozen=True, slots=True)
class NodePart:
    """One journal of a node, folded. `held` and `unheld` are counters by device: with what the opening brought.

    `accounts` are the runs it knows of; what users held of whom no run is known is in `held` and in no account.
    `today` is as in the opening. `slots` counts what was folded; `idle` is by device what it cost while somebody held
    it and it was idle, by reason, of which those that are in `risen` were shown. `noted` is what is known of devices'
    idleness, as long as they have these holders. The rest is as in `Part`.
    """

    header: Header
    devices: Mapping[str, Device] = field(default_factory=dict)
    driver: DriverFacts | None = None
    node_gpus: int = 0
    since_ns: Mapping[str, int] = field(default_factory=dict)
    counters_microjoules: Mapping[str, int] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    rates: Rates | None = None
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)
    held: Totals = field(default_factory=Totals)
    unheld: Totals = field(default_factory=Totals)
    accounts: Mapping[RunKey, RunAccount] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    sunk: Mapping[str, Decimal] = field(default_factory=dict)
    today: tuple[int, Decimal] | None = None
    marks: tuple[Mark, ...] = ()
    marks_dropped: int = 0
    ended_utc_ns: int = 0
    footer: Footer | None = None
    problems: tuple[str, ...] = ()
    slots: int = 0
    idle: Mapping[str, Mapping[Reason, IdleUse]] = field(default_factory=dict)
    risen: Mapping[str, frozenset[Reason]] = field(default_factory=dict)
    noted: Mapping[str, IdleNoted] = field(default_factory=dict)

    @property
    def totals(self) -> Totals:
        """What the node's devices did and cost, held or not."""
        return self.held + self.unheld


def begin_node(header: Header) -> NodePart:
    """A part with nothing in it yet."""
    return NodePart(header, ended_utc_ns=header.anchor.utc(header.start_ns))


def fold_node(part: NodePart, record: Line | Stretch) -> NodePart:
    """A part with one record more. Slots are priced under the rates that precede them, and carry their holders."""
    if isinstance(record, SlotEntry):
        return _with_slot(part, record.slot)
    if isinstance(record, Stretch):
        return _with_stretch(part, record)
    if isinstance(record, RatesChange):
        return replace(part, rates=record.rates)
    if isinstance(record, Holders):
        return replace(part, holders=record.by_device, noted=_still_noted(part, record))
    if isinstance(record, RunSeen):
        account = part.accounts.get(record.facts.key)
        seen = replace(account or RunAccount(record.facts, at_zero=record.at_zero), facts=record.facts, ended=None)
        seen = replace(seen, called=record.called or seen.called)
        return replace(part, accounts={**part.accounts, record.facts.key: seen})
    if isinstance(record, RunRisen):
        return _with_risen(part, record.key)
    if isinstance(record, IdleNoted | ReasonRisen):
        return _with_idle(part, record)
    if isinstance(record, RunEnded):
        return _with_end(part, record)
    if isinstance(record, RunAccount):  # on disk the accounts of an opening come before it
        return replace(part, accounts={**part.accounts, record.facts.key: record})
    if isinstance(record, Opening):
        accounts = {**part.accounts, **{account.facts.key: account for account in record.accounts}}
        part = replace(part, held=record.held, unheld=record.unheld, accounts=accounts, today=record.today)
        return replace(part, ended=record.ended, sunk=record.sunk, idle=record.idle, risen=record.risen)
    if isinstance(record, Devices):
        devices = dict(part.devices) | {device.uuid: device for device in record.devices}
        since_ns = dict(part.since_ns) | dict(record.since_ns)  # an instance may go and come again
        return replace(part, devices=devices, driver=record.driver, node_gpus=record.node_gpus, since_ns=since_ns)
    if isinstance(record, Mark):
        kept = len(part.marks) < MARKS_KEPT
        if not kept:
            return replace(part, marks_dropped=part.marks_dropped + 1)
        return replace(part, marks=(*part.marks, record))
    if isinstance(record, Footer):
        return replace(part, footer=record, ended_utc_ns=record.ended_utc_ns)
    return part


def fold_node_all(part: NodePart, records: Iterable[Line]) -> NodePart:
    """A part with several records more."""
    for record in records:
        part = fold_node(part, record)
    return part


def retired(part: NodePart, before_utc_ns: int, back: Collection[RunKey] = ()) -> NodePart:
    """A part without the runs that had ended before an instant: their last values were seen, and memory is finite.

    Those that are `back` stay, though what says so has not been folded yet.
    """
    ended = (key for key, a in part.accounts.items() if a.ended is not None and a.ended.at_utc_ns < before_utc_ns)
    return without(part, frozenset(ended).difference(back))


def without(part: NodePart, runs: Collection[RunKey]) -> NodePart:
    """A part that has forgotten these runs, which have ended: others need their places."""
    if not runs:
        return part
    return replace(part, accounts={key: account for key, account in part.accounts.items() if key not in runs})


def opening(part: NodePart, at_utc_ns: int) -> Opening:
    """Where the counters stand: what the next part begins with."""
    accounts = tuple(part.accounts.values())
    idle = part.idle, part.risen
    return Opening(at_utc_ns, part.held, part.unheld, accounts, part.ended, part.sunk, part.today, *idle)


def _with_idle(part: NodePart, record: IdleNoted | ReasonRisen) -> NodePart:
    if isinstance(record, IdleNoted):
        return replace(part, noted={**part.noted, record.uuid: record})
    known = part.risen.get(record.uuid, frozenset())
    return replace(part, risen={**part.risen, record.uuid: known | {record.reason}})


def _still_noted(part: NodePart, now: Holders) -> Mapping[str, IdleNoted]:
    """What is known of devices that some of their holders keep."""
    kept: dict[str, IdleNoted] = {}
    for uuid, noted in part.noted.items():
        before, after = part.holders.get(uuid, ()), now.by_device.get(uuid, ())
        was, now_is = ({each.key for each in holders} for holders in (before, after))
        if not was & now_is:
            continue
        if before != after:
            whole = part.held.devices.get(uuid) if now_is - was else None
            cost = Decimal(0) if whole is None else idle_use(whole).cost
            at_ns = noted.memory.seen_ns + now.at_utc_ns - noted.at_utc_ns
            noted = replace(noted, memory=handed_on(noted.memory, before, after, at_ns, cost))
        kept[uuid] = noted
    return kept


def _with_risen(part: NodePart, run: RunKey) -> NodePart:
    account = part.accounts.get(run)
    return part if account is None else replace(part, accounts={**part.accounts, run: replace(account, at_zero=False)})


def _with_end(part: NodePart, end: RunEnded) -> NodePart:
    account = part.accounts.get(end.key)
    if account is None or account.ended is not None:
        return part
    counted = {**part.ended, end.outcome: part.ended.get(end.outcome, 0) + 1}
    sunk, cost = dict(part.sunk), account.totals.whole.cost
    if end.outcome not in NOTHING_LOST:  # a run that came back is sunk only by what it cost since
        sunk[end.outcome] = sunk.get(end.outcome, Decimal(0)) + max(Decimal(0), cost - account.sunk)
        account = replace(account, sunk=max(account.sunk, cost))
    accounts = {**part.accounts, end.key: replace(account, ended=end)}
    return replace(part, accounts=accounts, ended=counted, sunk=sunk)


def _with_slot(part: NodePart, whole: Slot) -> NodePart:
    slot, problem = priced_only(whole, part.rates)
    if problem and problem not in part.problems:
        part = replace(part, problems=(*part.problems, problem))
    part = replace(part, slots=part.slots + 1, ended_utc_ns=slot.end_utc_ns)
    if part.rates is None:
        return part
    shares = {holder: _share(own, part.rates) for holder, own in by_holder(slot).items()}
    part = _with_shares(part, shares, slot.start_utc_ns)
    return replace(part, counters_microjoules=slot.counters_microjoules, standings=slot.standings)


def _share(own: Slot, rates: Rates) -> Share:
    priced = totals(own, rates)
    return Share(priced, idle_uses(own, priced))


def _with_stretch(part: NodePart, stretch: Stretch) -> NodePart:
    shares = None if part.rates is None else stretch.shares(part.rates)
    if shares is None:
        for entry in stretch.entries():
            part = _with_slot(part, entry.slot)
        return part
    columns, last = stretch.columns, len(stretch.columns) - 1
    return replace(
        _with_shares(part, shares, columns.starts_utc_ns[0]),
        slots=part.slots + len(columns),
        ended_utc_ns=columns.end_utc_ns(last),
        counters_microjoules=columns.counters(last),
        standings=columns.standings(last),
    )


def _with_shares(part: NodePart, shares: Mapping[Holder | None, Share], began_utc_ns: int) -> NodePart:
    """A part with what each holder's share came to, of slots of which the first began then."""
    held, unheld, accounts, idle = part.held, part.unheld, dict(part.accounts), dict(part.idle)
    for holder, share in shares.items():
        if holder is None:
            unheld = unheld + share.totals
            continue
        held = held + share.totals
        for uuid, uses in share.idle.items():
            idle[uuid] = added(idle.get(uuid, {}), (uses,))
        if holder.run:
            accounts[holder.key] = _charged(accounts.get(holder.key) or _unseen(holder, began_utc_ns), holder, share)
    return replace(part, held=held, unheld=unheld, accounts=accounts, idle=idle)


def _charged(account: RunAccount, holder: Holder, share: Share) -> RunAccount:
    priced, idle = share.totals, added(account.idle, share.idle.values())
    account = replace(account, totals=account.totals + priced, idle=idle)
    if holder.phase:
        phases = {**account.phases, holder.phase: account.phases.get(holder.phase, DeviceTotals()) + priced.whole}
        account = replace(account, phases=phases)
    if holder.redone:
        account = replace(account, redone=account.redone + priced.whole)
    return account


def _unseen(holder: Holder, began_utc_ns: int) -> RunAccount:
    """A run whose line was lost: what its slots say of it."""
    return RunAccount(RunFacts.of(holder, began_utc_ns))
