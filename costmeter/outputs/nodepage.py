"""A node's snapshot as a Prometheus page: every GPU, held or not, and every run that is shown.

A run's counters stand at 0 for a minute before they show what it came to, so that Prometheus counts the whole of a run
that is over before it was first scraped; after its end they stay as they are, for several scrapes. Credits of all GPUs
and runs stand at 0 likewise, once prices can be negative.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from costmeter.ledger.node.query import NodePart
from costmeter.ledger.node.record import UNKNOWN_OUTCOME, RunAccount
from costmeter.meter.holder import RunKey, of_user
from costmeter.meter.outlook import Outlook
from costmeter.meter.progress import Progress
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs import prometheusruns
from costmeter.outputs.looked import NOT_LOOKED, Looked
from costmeter.outputs.nodesnapshot import NodeSnapshot
from costmeter.outputs.prometheusgpus import (
    RUN_LABELS,
    add_facts,
    add_gauges,
    add_health,
    add_origins,
    add_rates,
    gpu_labels,
)
from costmeter.outputs.prometheusidle import add_idle_costs, add_idle_reasons
from costmeter.outputs.prometheuslanes import Lane, add_lanes
from costmeter.outputs.prometheusprocess import Process, add_process
from costmeter.outputs.prometheusruns import RunShown, phase_charges, run_labels
from costmeter.outputs.prometheustext import Sheet, labels
from costmeter.units import NANOSECONDS_PER_SECOND

#: How a run can end, each at 0 before the first that does. What somebody else calls an end is `unknown`.
OUTCOMES = ("ok", "failed", "cancelled", "preempted", "stopped by budget", "interrupted", UNKNOWN_OUTCOME)
#: So many holders of one GPU are named.
_HOLDERS = 16


class RunNames:
    """The `run_id` label of every run: what its account says it is called, else its id, made one of a kind.

    Two runs must not share a series, and a series must not pass from one run to another when the first is forgotten:
    so what a run was once called it is called for as long as it is known. May be used by several threads.
    """

    def __init__(self) -> None:
        self._names: dict[RunKey, str] = {}
        self._lock = threading.Lock()

    def of(self, accounts: Mapping[RunKey, RunAccount]) -> dict[RunKey, str]:
        """The names of all these runs; of runs that are not among them, they are forgotten."""
        with self._lock:
            told = {key: account.called for key, account in accounts.items() if account.called}
            names = {key: name for key, name in self._names.items() if key in accounts} | told
            taken = set(names.values())
            for uid, run in accounts:
                if (uid, run) not in names:
                    name = of_user((uid, run)) if run in taken else run
                    names[uid, run] = name
                    taken.add(name)
            self._names = names
            return dict(names)


def page(
    snapshot: NodeSnapshot,
    accept: str = "",
    names: RunNames | None = None,
    process: Process | None = None,
    looked: Looked = NOT_LOOKED,
) -> tuple[bytes, str]:
    """The metrics page and its content type, in the format the `Accept` header prefers.

    An agent hands in the same `names` each time, what is to be told of itself, and its last look for holders.
    """
    node = snapshot.node
    sheet = Sheet(node.header.currency, accept)
    _write(sheet, snapshot, node, names or RunNames(), looked, has_zeros=True)
    if process is not None:
        add_process(sheet, process)
    return sheet.page()


def file_page(snapshot: NodeSnapshot, names: RunNames, is_last: bool, looked: Looked = NOT_LOOKED) -> bytes:
    """The page as a file that others serve with theirs: nothing of the process, which would be theirs, and no zeros.

    The last one stays when the agent has ended: what is true then is on it, and nothing that would go on to be told of
    GPUs which nobody looks at.
    """
    node = snapshot.node
    if is_last:
        snapshot = replace(snapshot, credits_at_zero=False)
    sheet = Sheet(node.header.currency, "", (lambda family: family.lasts) if is_last else (lambda _: True))
    _write(sheet, snapshot, node, names, looked, has_zeros=False)
    return sheet.page()[0]


def _write(
    sheet: Sheet, snapshot: NodeSnapshot, node: NodePart, names: RunNames, looked: Looked, has_zeros: bool
) -> None:
    of = gpu_labels(node.devices)
    held, unheld, nothing = node.held.devices, node.unheld.devices, DeviceTotals()
    if snapshot.credits_at_zero:
        held, unheld = _uncredited(held), _uncredited(unheld)
    lanes = {uuid: Lane(held.get(uuid, nothing), unheld.get(uuid, nothing)) for uuid in node.devices}
    called = names.of(node.accounts)
    known = [key for key in snapshot.shown if key in node.accounts]
    runs = [_shown(snapshot, node, key, called[key], has_zeros) for key in known]
    add_lanes(sheet, lanes, snapshot.seen.resets, snapshot.seen.can_be_negative)
    add_idle_costs(sheet, snapshot, has_zeros)
    add_idle_reasons(sheet, node.devices, snapshot.idle)
    add_gauges(sheet, snapshot, of)
    prometheusruns.add_counters(sheet, runs, node.rates, snapshot.seen.can_be_negative)
    prometheusruns.add_progress(sheet, runs)
    told = zip(runs, (snapshot.outlooks.get(key) for key in known), strict=True)
    prometheusruns.add_outlooks(sheet, list(_outlooks(told, node.header.currency)))
    prometheusruns.add_ends(sheet, runs)
    _add_ended(sheet, node)
    dropped = {"hidden": snapshot.hidden, "refused": snapshot.refused}
    sheet.add("runs_dropped", [(labels(reason=reason), float(count)) for reason, count in dropped.items()])
    add_rates(sheet, node.rates, of)
    add_health(sheet, snapshot, snapshot.collectors, looked.took_ns)
    _add_reload(sheet, snapshot)
    add_facts(sheet, snapshot)
    prometheusruns.add_run_facts(sheet, runs)
    holders = list(_holders(node, {key: called[key] for key in known}))
    sheet.add_info("gpu_holder", [labels(**each, source=source) for each, source, _ in holders])
    sheet.add_merged("gpu_holder_share_ratio", [(labels(**each), share) for each, _, share in holders])
    add_origins(sheet, node.rates)


def _shown(snapshot: NodeSnapshot, node: NodePart, key: RunKey, name: str, has_zeros: bool) -> RunShown:
    account, furthest = node.accounts[key], snapshot.furthest.get(key)
    facts, ended, whole = account.facts, account.ended, account.totals.whole
    phases = phase_charges(account.phases, whole)
    if furthest is None:
        furthest = (ended.progress if ended is not None else None) or Progress()
    if has_zeros and account.at_zero:
        whole, phases = DeviceTotals(), dict.fromkeys(phases, Decimal(0))
        furthest = _at_zero(furthest)
    elif snapshot.credits_at_zero:
        whole = replace(whole, credits={})
    identity = {"run_id": name, "host": node.header.host, "meter": node.header.meter}
    known = {label: value for label, value in facts.labels.items() if label in RUN_LABELS}
    return RunShown(
        run_labels(**identity),
        {**known, "name": facts.name, "user": facts.user, "job_id": facts.job, **identity},
        whole,
        facts.started_utc_ns,
        phases,
        furthest,
        None if ended is None else ended.at_utc_ns,
        None if ended is None else ended.exit_code,
        None if ended is None else ended.signal,
    )


def _outlooks(told: Iterable[tuple[RunShown, Outlook | None]], currency: str) -> Iterator[tuple[RunShown, Outlook]]:
    """What is told in the node's own currency; nothing is to come of a run that has ended."""
    for run, outlook in told:
        if outlook is not None and outlook.currency == currency:
            yield run, outlook if run.ended_utc_ns is None else replace(outlook, projected_cost=None)


def _uncredited(devices: Mapping[str, DeviceTotals]) -> dict[str, DeviceTotals]:
    return {uuid: replace(totals, credits={}) for uuid, totals in devices.items()}


def _at_zero(told: Progress) -> Progress:
    return replace(
        told, steps=None if told.steps is None else 0, tokens=None if told.tokens is None else 0, of_steps=None
    )


def _add_ended(sheet: Sheet, node: NodePart) -> None:
    ended, sunk = dict.fromkeys(OUTCOMES, 0), dict.fromkeys(OUTCOMES[1:], Decimal(0))
    for outcome, count in node.ended.items():
        ended[outcome if outcome in ended else UNKNOWN_OUTCOME] += count
    for outcome, cost in node.sunk.items():
        sunk[outcome if outcome in sunk else UNKNOWN_OUTCOME] += cost
    sheet.add("runs_ended", [(labels(outcome=outcome), float(count)) for outcome, count in ended.items()])
    sheet.add("runs_sunk_cost_{currency}", [(labels(outcome=outcome), float(cost)) for outcome, cost in sunk.items()])


def _add_reload(sheet: Sheet, snapshot: NodeSnapshot) -> None:
    if (reload := snapshot.reload) is not None:
        sheet.add("config_last_reload_successful", [("", float(reload.is_good))])
        at_seconds = reload.good_utc_ns / NANOSECONDS_PER_SECOND
        sheet.add("config_last_reload_success_timestamp_seconds", [("", at_seconds)])


def _holders(node: NodePart, called: Mapping[RunKey, str]) -> Iterator[tuple[dict[str, str], str, float]]:
    """Who holds which GPU, found how, and what part: runs that are shown, and users of whom no run is known."""
    for uuid, holders in node.holders.items():
        if uuid not in node.devices:
            continue
        shown = [each for each in holders if not each.run or each.key in called]
        for holder in shown[:_HOLDERS]:
            run_id = called[holder.key] if holder.run else ""
            yield {"gpu_uuid": uuid, "run_id": run_id, "user": holder.user}, holder.source, 1 / len(holders)
