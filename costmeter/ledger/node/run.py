"""A run that an agent saw, from the journals of its node.

What the agent wrote of it is folded as a wrapper's journal is: the slots of its GPUs, and its share of those that it
had with others, under the prices of then. So its receipt is made as any other, and its cost is the agent's, exactly.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.node.bulk import Stretch, read_node
from costmeter.ledger.node.journal import node_folder, node_paths
from costmeter.ledger.node.record import Line, RunEnded, RunFacts, RunSeen
from costmeter.ledger.query import Part, Run, begin, fold
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.holder import Holder, RunKey, of_user
from costmeter.meter.holding import by_holder
from costmeter.meter.slot import Slot
from costmeter.readings import Device

#: One user's run, where somebody else has one of that id: `r-1~1001`, as `of_user` calls it.
_OF_USER = re.compile(r"(.+)~(-?[0-9]{1,10})")


def node_run(state: Path, run: str) -> Run | None:
    """A run as the agents saw it whose journals are under a state directory; None where none did.

    One part for each node and currency. `r-1~1001` is that user's, and is its id where somebody else has an `r-1`.
    Raises JournalError where nobody may look, or where several users have a run of that id.
    """
    uid, name = whose(run)
    try:
        ours = paths_naming(state, name)
    except OSError as refusal:
        raise JournalError(f"{node_folder(state)}: cannot be read: {refusal.strerror}") from refusal
    folds: dict[tuple[str, RunKey, bool, str], _Fold] = {}
    for path in ours:
        _Reading(path, name, folds).read()
    found = {place: fold for place, fold in folds.items() if uid in (None, place[1][0])}
    users = sorted({fold.part.header.user for fold in found.values()})
    keys = sorted({key for _, key, _, _ in found})
    if len(keys) > 1:
        hint = " or ".join(f"costmeter report {of_user(key)}" for key in keys[:2])
        raise JournalError(f'several users have a run "{run}": {", ".join(users)}', hint)
    if not found:
        return None
    parts = [fold.whole() for fold in found.values()]
    if len({key for _, key, _, _ in folds}) > 1 or (uid is not None and (state / "runs" / name).exists()):
        called = of_user(keys[0])
        parts = [replace(part, header=replace(part.header, run=called)) for part in parts]
    return Run(tuple(parts))


def paths_naming(state: Path, run: str) -> list[Path]:
    """The journals of nodes in which an id stands somewhere. Raises OSError where nobody may look."""
    named = run.encode("utf-8", "replace")
    return [path for path in node_paths(node_folder(state)) if named in path.read_bytes()]


def node_part(path: Path, run: RunKey, currency: str) -> Part:
    """A run's share of one file, in one currency. Raises JournalError where it has none, or cannot be read."""
    folds: dict[tuple[str, RunKey, bool, str], _Fold] = {}
    _Reading(path, run[1], folds).read()
    for (_, key, _, told), found in folds.items():
        if (key, told) == (run, currency):
            return found.whole()
    raise JournalError(f"{path}: nothing of {run[1]} is there any more")


def whose(run: str) -> tuple[int | None, str]:
    """Whose run is asked for, where that is said."""
    told = _OF_USER.fullmatch(run)
    return (None, run) if told is None else (int(told[2]), told[1])


def beside(state: Path, run: Run) -> Run:
    """A run that a wrapper recorded, with a remark on what agents under that directory metered of it: not added.

    On hosts where no wrapper recorded it, the agents' is its record.
    """
    header = run.parts[0].header
    try:
        seen = node_run(state, header.run)
    except JournalError:  # of several users, one of whom this may be
        return run
    if seen is None or header.user not in ("", seen.parts[0].header.user):
        return run
    hosts = {part.header.host for part in run.parts}
    said = tuple(
        f"the agent on {part.header.host} metered {part.totals.whole.cost:f} {part.currency} of it too: not added"
        for part in seen.parts
        if part.header.host in hosts
    )
    others = [part for part in seen.parts if part.header.host not in hosts]
    first = replace(run.parts[0], remarks=(*run.parts[0].remarks, *said))
    return Run((first, *sorted((*run.parts[1:], *others), key=lambda part: part.header.anchor.utc(part.start_ns))))


class _Fold:
    """One run on one node, folded over the files of several days, and of several agents one after the other."""

    def __init__(self, header: Header, slot: Slot) -> None:
        self.part: Part = begin(replace(header, start_ns=header.anchor.boottime(slot.start_utc_ns)))
        self.ended: RunEnded | None = None

    def add(self, slot: Slot, rates: Rates | None, devices: dict[str, Device], facts: Devices | None) -> None:
        """The run's share of one slot."""
        new = [devices[uuid] for uuid in slot.devices if uuid in devices and uuid not in self.part.devices]
        if new:
            driver, node_gpus = (None, 0) if facts is None else (facts.driver, facts.node_gpus)
            self.part = fold(self.part, Devices(tuple(new), driver, node_gpus))
        if rates is not None and rates != self.part.rates:
            self.part = fold(self.part, RatesChange(slot.start_utc_ns, rates))
        self.part = fold(self.part, SlotEntry(slot))

    def is_of(self, header: Header) -> None:
        """From here on it is this agent that meters it: whether it goes on is asked of that one."""
        self.part = replace(
            self.part,
            header=replace(
                self.part.header, boot_id=header.boot_id, pid=header.pid, pid_start_ticks=header.pid_start_ticks
            ),
        )

    def know(self, facts: RunFacts) -> None:
        """What is known of it now. One that was over and is named again goes on."""
        known = replace(self.part.header, name=facts.name, labels=facts.labels, user=facts.user)
        self.part, self.ended = replace(self.part, header=known), None

    def whole(self) -> Part:
        """The part, with its end where one was told, and with no other GPUs' prices."""
        part = self.part
        if (end := self.ended) is not None:
            length_ns = max(0, end.at_utc_ns - part.header.anchor.utc(part.start_ns))
            part = fold(part, Footer(end.at_utc_ns, length_ns, end.outcome, end.exit_code, end.signal, 0, 0))
            part = replace(part, progress=end.progress or part.progress)
        gpus = {uuid: span for uuid, span in part.spread.gpus.items() if uuid in part.devices}
        first, last = (_of(part.devices.keys(), rates) for rates in (part.first_rates, part.rates))
        return replace(part, first_rates=first, rates=last, spread=replace(part.spread, gpus=gpus))


def _of(uuids: Collection[str], rates: Rates | None) -> Rates | None:
    if rates is None:
        return None
    return replace(rates, devices={uuid: of for uuid, of in rates.devices.items() if uuid in uuids})


class Kept:
    """All of a file but the slots in rows of which a run had none: mostly it held GPUs for a part of the day."""

    def __init__(self, run: str) -> None:
        self._run = run
        self.told: list[Line | Stretch] = []

    def take(self, told: Line | Stretch) -> None:
        """What comes next in it."""
        if not isinstance(told, Stretch) or any(holder.run == self._run for holder in told.held_by):
            self.told.append(told)


class _Reading:
    """One file while it is read for one run."""

    def __init__(self, path: Path, run: str, folds: dict[tuple[str, RunKey, bool, str], _Fold]) -> None:
        self._path, self._run, self._folds = path, run, folds
        self._problems: list[str] = []
        self._facts: dict[RunKey, RunFacts] = {}
        self._header: Header | None = None
        self._rates: Rates | None = None
        self._listed: Devices | None = None
        self._devices: dict[str, Device] = {}
        self._touched: set[_Fold] = set()

    def read(self) -> None:
        """Add what it says. Raises JournalError for what is no journal."""
        kept = read_node(self._path, self._problems, lambda: Kept(self._run))
        for said in kept.told:
            self._take(said)
        told = tuple(f"{self._path.name}: {problem}" for problem in self._problems)
        for each in self._touched:
            each.part = replace(each.part, problems=(*each.part.problems, *told))

    def _take(self, told: Line | Stretch) -> None:
        if isinstance(told, Header):
            self._header = self._header or told
        elif isinstance(told, Devices):
            self._listed = told
            self._devices |= {device.uuid: device for device in told.devices}
        elif isinstance(told, RatesChange):
            self._rates = told.rates
        elif isinstance(told, RunSeen) and told.facts.run == self._run:
            self._know(told.facts)
        elif isinstance(told, RunEnded) and told.key[1] == self._run:
            self._end(told)
        elif isinstance(told, SlotEntry):
            self._add(told.slot)
        elif isinstance(told, Stretch):
            for entry in told.entries():
                self._add(entry.slot)

    def _add(self, slot: Slot) -> None:
        """The run's share of a slot."""
        if self._header is None:
            return
        for holder, own in self._held(slot):
            found = self._fold(self._header, holder, own, self._rates)
            if found not in self._touched:
                found.is_of(self._header)
                self._touched.add(found)
            found.add(own, self._rates, self._devices, self._listed)

    def _held(self, slot: Slot) -> Iterator[tuple[Holder, Slot]]:
        for holder, own in by_holder(slot).items():
            if holder is not None and holder.run == self._run:
                yield holder, own

    def _fold(self, header: Header, holder: Holder, slot: Slot, rates: Rates | None) -> _Fold:
        currency = header.currency if rates is None else rates.currency
        place = header.host, holder.key, header.simulated, currency
        found = self._folds.get(place)
        if found is None:
            of = replace(header, run=holder.run, user=holder.user, name="", labels={}, command=None, part=1)
            found = self._folds[place] = _Fold(of, slot)
            if holder.key in self._facts:
                found.know(self._facts[holder.key])
        return found

    def _know(self, facts: RunFacts) -> None:
        self._facts[facts.key] = facts
        for (_, key, _, _), each in self._folds.items():
            if key == facts.key:
                each.know(facts)

    def _end(self, end: RunEnded) -> None:
        for (_, key, _, _), each in self._folds.items():
            if key == end.key:
                each.ended = end
