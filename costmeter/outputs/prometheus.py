"""A run's snapshot as a Prometheus page. Reading changes nothing: every value is computed from the frozen snapshot."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from costmeter.meter.item_totals import item_totals
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs import prometheusruns
from costmeter.outputs.prometheusgpus import (
    RUN_LABELS,
    add_facts,
    add_gauges,
    add_health,
    add_origins,
    add_rates,
    gpu_labels,
)
from costmeter.outputs.prometheusidle import add_idle_reasons
from costmeter.outputs.prometheuslanes import Lane, add_lanes
from costmeter.outputs.prometheusruns import RunShown, charges_of, run_labels, with_start_up
from costmeter.outputs.prometheustext import Sheet, labels
from costmeter.outputs.snapshot import Snapshot

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")


def page(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The metrics page and its content type, in the format the `Accept` header prefers."""
    totals, part = snapshot.totals, snapshot.part
    run, of = _shown(snapshot, totals.whole), gpu_labels(part.devices)
    sheet = Sheet(part.header.currency, accept)
    booked = {uuid: Lane(totals.devices.get(uuid, DeviceTotals())) for uuid in part.devices}  # 0 before the first
    add_lanes(sheet, booked, snapshot.seen.resets, snapshot.seen.can_be_negative)
    add_idle_reasons(sheet, part.devices, snapshot.idle)
    add_gauges(sheet, snapshot, of)
    _add_run(sheet, snapshot, run)
    add_rates(sheet, part.rates, of)
    add_health(sheet, snapshot, {})
    add_facts(sheet, snapshot)
    _add_facts(sheet, snapshot, run)
    add_origins(sheet, part.rates)
    return sheet.page()


def run_page(snapshot: Snapshot) -> bytes:
    """What of the page is the run's alone, so that the pages of several runs together are one page of their node."""
    run = _shown(snapshot, snapshot.totals.whole)
    sheet = Sheet(snapshot.part.header.currency, "")
    _add_run(sheet, snapshot, run)
    _add_facts(sheet, snapshot, run)
    return sheet.page()[0]


def phase_charges(snapshot: Snapshot, whole: DeviceTotals) -> dict[str, Decimal]:
    """Charges by phase, which sum to the `whole` run's; empty before the run told of any.

    What lies before that is its start-up.
    """
    phases = {phase: charges_of(totals) for phase, totals in snapshot.part.phases.items()}
    if snapshot.open_slot is not None and (phase := snapshot.open_slot.phase):
        is_open = charges_of(whole) - charges_of(snapshot.part.totals.whole)
        phases[phase] = phases.get(phase, Decimal(0)) + is_open
    return with_start_up(phases, charges_of(whole)) if phases else {}


def _shown(snapshot: Snapshot, whole: DeviceTotals) -> RunShown:
    header, footer = snapshot.part.header, snapshot.part.footer
    named = {name: value for name, value in header.labels.items() if name in RUN_LABELS}
    others = {
        f"label_{_NOT_IN_A_NAME.sub('_', name)}": value for name, value in header.labels.items() if name not in named
    }
    identity = {"run_id": header.run, "host": header.host, "meter": header.meter}
    return RunShown(
        run_labels(**identity),
        {"name": header.name, "user": header.user} | named | others | identity,
        whole,
        header.anchor.utc(header.start_ns),
        phase_charges(snapshot, whole),
        snapshot.furthest,
        None if footer is None else footer.ended_utc_ns,
        None if footer is None else footer.exit_code,
        None if footer is None else footer.signal,
    )


def _add_run(sheet: Sheet, snapshot: Snapshot, run: RunShown) -> None:
    """The run's own families, and its items, projection and budgets, which no node knows of."""
    part = snapshot.part
    prometheusruns.add_counters(sheet, [run], part.rates, snapshot.seen.can_be_negative)
    if part.items:
        sheet.add_merged("run_item_cost_{currency}", _items(snapshot, run))
    prometheusruns.add_progress(sheet, [run])
    prometheusruns.add_outlooks(sheet, [(run, snapshot.outlook)])
    prometheusruns.add_ends(sheet, [run])


def _items(snapshot: Snapshot, run: RunShown) -> Iterator[tuple[str, float]]:
    """What each item has cost on this host so far; one that nobody could look at is absent."""
    use = replace(snapshot.part.use(snapshot.length_ns), gpu_nanoseconds=run.whole.quantities.nanoseconds)
    for total in item_totals([use]):
        if total.cost is not None:
            yield run.series(item=total.item.name), float(total.cost)


def _add_facts(sheet: Sheet, snapshot: Snapshot, run: RunShown) -> None:
    prometheusruns.add_run_facts(sheet, [run])
    header = snapshot.part.header
    holder = {"run_id": header.run, "source": header.meter}
    sheet.add_info("gpu_holder", [labels(gpu_uuid=uuid, **holder) for uuid in snapshot.part.devices])
