"""The `run_*` families of a metrics page, of one run or of all that a node knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.activity import STATES
from costmeter.meter.charge import Amounts, Rates
from costmeter.meter.outlook import Outlook
from costmeter.meter.progress import START_UP, UNTOLD, Progress
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.prometheusgpus import RUN_LABELS, components
from costmeter.outputs.prometheustext import Rows, Sheet, fit, labels
from costmeter.units import MICROGRAMS_PER_GRAM, MICROJOULES_PER_KWH, NANOSECONDS_PER_SECOND

#: So many phases of a run have a series of their own, in the order in which they came; the rest have one together.
_PHASES = 8
OTHER_PHASES = "other"


@dataclass(frozen=True, slots=True)
class RunShown:
    """One run as a page shows it: who it is, what it came to, how far it is, and how it ended.

    `labels` are those that all its series have, from `run_labels`; `facts` are what `run_info` says. `phases` are
    charges and sum to the `whole` run's. `ended_utc_ns` is None while it lives.
    """

    labels: str
    facts: Mapping[str, str]
    whole: DeviceTotals
    started_utc_ns: int
    phases: Mapping[str, Decimal] = field(default_factory=dict)
    furthest: Progress = UNTOLD
    ended_utc_ns: int | None = None
    exit_code: int | None = None
    signal: int | None = None

    @property
    def status(self) -> int | None:
        """How a shell would tell its end: its exit code, or 128 and the signal; None where nobody knows."""
        return 128 + self.signal if self.exit_code is None and self.signal is not None else self.exit_code

    def series(self, **more: str) -> str:
        """The labels of one of its series, with more of them."""
        return "{" + ",".join([self.labels, *[f'{name}="{fit(value)}"' for name, value in more.items()]]) + "}"


def run_labels(run_id: str, host: str, meter: str) -> str:
    """The labels that say which run on which host, by which meter: made once, for all series of a run."""
    return f'host="{fit(host)}",meter="{fit(meter)}",run_id="{fit(run_id)}"'


def phase_charges(phases: Mapping[str, DeviceTotals], whole: DeviceTotals) -> dict[str, Decimal]:
    """Charges by phase, which sum to the `whole` run's; empty before the run told of any.

    What lies before that is its start-up.
    """
    charged = {phase: charges_of(totals) for phase, totals in phases.items()}
    return with_start_up(charged, charges_of(whole)) if charged else {}


def with_start_up(phases: Mapping[str, Decimal], whole: Decimal) -> dict[str, Decimal]:
    """Phases, and before them as start-up what of the whole lies in none of them."""
    before = whole - sum(phases.values(), Decimal(0))
    return {START_UP: phases.get(START_UP, Decimal(0)) + before} | {p: a for p, a in phases.items() if p != START_UP}


def charges_of(totals: DeviceTotals) -> Decimal:
    """All its charges."""
    return sum(totals.charges.values(), Decimal(0))


def held_seconds(totals: DeviceTotals) -> tuple[float, float, float]:
    """Seconds by state."""
    held = totals.quantities
    return (
        held.busy_nanoseconds / NANOSECONDS_PER_SECOND,
        held.idle_nanoseconds / NANOSECONDS_PER_SECOND,
        held.unknown_nanoseconds / NANOSECONDS_PER_SECOND,
    )


def add_counters(sheet: Sheet, runs: Sequence[RunShown], rates: Rates | None, can_be_negative: bool) -> None:
    """Energy, money, emissions and time of every run; credits where prices can be negative, before there are any."""
    sheet.add("run_energy_kwh", _rows(runs, "part", _energy_kwh))
    known = components(rates).union(*({component for component, _ in run.whole.charges} for run in runs))
    sheet.add("run_cost_{currency}", _amounts(runs, known, lambda totals: totals.charges))
    if can_be_negative or any(run.whole.credits for run in runs):
        known = known.union(*({component for component, _ in run.whole.credits} for run in runs))
        sheet.add("run_credit_{currency}", _amounts(runs, known, lambda totals: totals.credits))
    sheet.add("run_emissions_grams", _rows(runs, "scope", _grams))
    has_market = rates is not None and rates.market_grams_per_kwh is not None
    if has_market or any(run.whole.market_micrograms for run in runs):
        rows = [(run.series(), run.whole.market_micrograms / MICROGRAMS_PER_GRAM) for run in runs]
        sheet.add("run_market_emissions_grams", rows)
    times = _rows(runs, "state", lambda totals: dict(zip(STATES, held_seconds(totals), strict=True)))
    sheet.add("run_gpu_time_seconds", times)


def add_progress(sheet: Sheet, runs: Sequence[RunShown]) -> None:
    """What the runs tell of themselves; what one never told is absent."""
    phases = ((run, phase, amount) for run in runs for phase, amount in _shown_phases(run.phases).items())
    rows = [(run.series(phase=phase), float(amount)) for run, phase, amount in phases]
    sheet.add_merged("run_phase_cost_{currency}", rows)
    told = [(run.series(), run.furthest) for run in runs]
    sheet.add("run_steps", [(of, float(each.steps)) for of, each in told if each.steps is not None])
    sheet.add("run_tokens", [(of, float(each.tokens)) for of, each in told if each.tokens is not None])
    sheet.add("run_loss", [(of, each.loss) for of, each in told if each.loss is not None])
    of_all = ((of, each.steps, each.of_steps) for of, each in told)
    ratios = [(of, min(1.0, steps / of_steps)) for of, steps, of_steps in of_all if of_steps and steps is not None]
    sheet.add("run_progress_ratio", ratios)


def add_outlooks(sheet: Sheet, outlooks: Sequence[tuple[RunShown, Outlook]]) -> None:
    """What runs will cost and what they may, where they tell."""
    known = ((run, told.projected_cost) for run, told in outlooks)
    sheet.add("run_projected_cost_{currency}", [(run.series(), float(cost)) for run, cost in known if cost is not None])
    rows = {
        run.series(per=each.per, project=each.project): float(each.amount)
        for run, told in outlooks
        for each in told.budgets
    }
    sheet.add("run_budget_{currency}", rows.items())


def add_ends(sheet: Sheet, runs: Sequence[RunShown]) -> None:
    """When every run began, whether it lives, and when and how it ended."""
    named = [(run.series(), run) for run in runs]
    starts = [(of, run.started_utc_ns / NANOSECONDS_PER_SECOND) for of, run in named]
    sheet.add("run_start_timestamp_seconds", starts)
    sheet.add("run_active", [(of, float(run.ended_utc_ns is None)) for of, run in named])
    ends = ((of, run.ended_utc_ns) for of, run in named)
    sheet.add("run_end_timestamp_seconds", [(of, ns / NANOSECONDS_PER_SECOND) for of, ns in ends if ns is not None])
    statuses = ((of, run.status) for of, run in named if run.ended_utc_ns is not None)
    sheet.add("run_exit_code", [(of, float(status)) for of, status in statuses if status is not None])


def add_run_facts(sheet: Sheet, runs: Sequence[RunShown]) -> None:
    """What is known of every run; each has every fact, an empty one where it is not known."""
    unknown = dict.fromkeys(("name", *RUN_LABELS, "user", "job_id"), "")
    sheet.add_info("run", [labels(**{**unknown, **run.facts}) for run in runs])


def _rows(runs: Sequence[RunShown], label: str, values: Callable[[DeviceTotals], Mapping[str, float]]) -> Rows:
    """Every run's values, each under its own value of one more label."""
    return [(f'{{{run.labels},{label}="{name}"}}', value) for run in runs for name, value in values(run.whole).items()]


def _amounts(runs: Sequence[RunShown], components: set[str], of: Callable[[DeviceTotals], Amounts]) -> Rows:
    """Money by component and state; every component there can be stands at 0 before it is first charged."""
    cells = [(component, state) for component in sorted(components) for state in STATES]
    texts = [f',component="{fit(component)}",state="{state}"}}' for component, state in cells]
    for run in runs:
        amounts, begins = of(run.whole), "{" + run.labels
        for cell, text in zip(cells, texts, strict=True):
            yield begins + text, float(amounts.get(cell, 0))


def _energy_kwh(totals: DeviceTotals) -> dict[str, float]:
    return {
        "gpu": totals.quantities.microjoules / MICROJOULES_PER_KWH,
        "host": totals.quantities.host_microjoules / MICROJOULES_PER_KWH,
        "overhead": totals.overhead_microjoules / MICROJOULES_PER_KWH,
    }


def _grams(totals: DeviceTotals) -> dict[str, float]:
    return {
        "operational": totals.operational_micrograms / MICROGRAMS_PER_GRAM,
        "embodied": totals.embodied_micrograms / MICROGRAMS_PER_GRAM,
    }


def _shown_phases(phases: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The first phases by name, and what was charged to all that came later as one."""
    first = dict(list(phases.items())[:_PHASES])
    rest = [amount for phase, amount in phases.items() if phase not in first]
    if rest:
        first[OTHER_PHASES] = first.get(OTHER_PHASES, Decimal(0)) + sum(rest, Decimal(0))
    return first
