"""The metrics page: whole, as Prometheus and OpenMetrics read it, and true to the totals behind it."""

import math
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_families

from costmeter import __version__
from costmeter.ledger.query import Part, fold, fold_all
from costmeter.ledger.record import Budgets, SlotEntry
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.idling import IdleSpell
from costmeter.meter.interval import Interval, silence
from costmeter.meter.progress import Progress
from costmeter.meter.projection import Point
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import by_component, by_state
from costmeter.outputs.families import FAMILIES
from costmeter.outputs.prometheus import page, run_page
from costmeter.outputs.snapshot import Seen, Snapshot
from costmeter.readings import Method, Missing, Reading
from tests.golden.compare import golden
from tests.outputs import runs
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    JOULE,
    KWH,
    MINUTE,
    SECOND,
    device,
    footer,
    header,
    held,
    measured,
    owned,
    quantities,
    rates,
    rates_from_start,
    rental,
    silent,
    slot,
)

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SILENT = device(1, "NVIDIA A100-SXM4-80GB", power_limit_watts=Missing("not supported"), method=Missing("no counter"))
PAIR = (device(0), SILENT)
FIRST, SECOND_UUID = PAIR[0].uuid, PAIR[1].uuid
RENTED_AND_OWNED = rates(
    {FIRST: owned("0.77", embodied="4.68"), SECOND_UUID: rental("1.29")},
    electricity_per_kwh=Decimal("0.12"),
    pue=Decimal("1.2"),
    carbon_grams_per_kwh=Decimal(380),
    origins={"gpu.price": Origin("configured", "costmeter.yaml:3"), "carbon.intensity": Origin("estimated", "world")},
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def part_of(under: Rates = RENTED_AND_OWNED, **of_header: object) -> Part:
    """A run of two GPUs that has booked nothing yet."""
    return runs.part(header(**of_header), held(PAIR, 8), rates_from_start(under))


def in_the_middle(part: Part | None = None) -> Snapshot:
    """A run half a minute into its second minute: one GPU busy, one that stopped answering."""
    closed = slot({FIRST: runs.with_host(measured(MINUTE, 39_000 * JOULE), 6_000 * JOULE), SECOND_UUID: silent(MINUTE)})
    still_open = slot(
        {FIRST: measured(20 * SECOND, 13_000 * JOULE, 10 * SECOND, JOULE), SECOND_UUID: silent(30 * SECOND)},
        1,
        MINUTE // 2,
    )
    now_ns = BEGAN_NS + 90 * SECOND
    return Snapshot(
        BEGAN_UTC_NS + 90 * SECOND,
        fold(part or part_of(), SlotEntry(closed)),
        still_open,
        Seen(
            {
                FIRST: Interval(FIRST, now_ns - SECOND, now_ns, "busy", 650 * JOULE, "counter", 0.98),
                SECOND_UUID: silence(SECOND_UUID, now_ns - SECOND, now_ns),
            },
            {FIRST: Reading(FIRST, now_ns, 5, 650.0, 0.98, 68_719_476_736)},
            readings=91,
            failures=90,
            last_answer_utc_ns=BEGAN_UTC_NS + 90 * SECOND,
            resets={FIRST: 1},
            silent=frozenset({SECOND_UUID}),
        ),
    )


def text_of(snapshot: Snapshot, accept: str = "") -> str:
    return page(snapshot, accept)[0].decode()


def openmetrics_families(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # the library's lack


def samples(families: Iterable[Metric]) -> Samples:
    """Every series of a page with its value."""
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def page_of(snapshot: Snapshot) -> Samples:
    return samples(text_families(text_of(snapshot)))


def value(of: Samples, name: str, **labels: str) -> float:
    """The sum over the series of a name that have these labels."""
    return math.fsum(v for (series, have), v in of.items() if series == name and set(labels.items()) <= have)


def all_families() -> Snapshot:
    """A run with credits, electricity, line items, budgets, progress and every fact: the page with all its families."""
    paid_back = replace(RENTED_AND_OWNED, electricity_per_kwh=Decimal("-0.05"), market_grams_per_kwh=Decimal(12))
    listed = {"gpu.price": Origin("list price 2026-11", "H100 80GB")}
    paid_back = replace(paid_back, origins={**RENTED_AND_OWNED.origins, **listed})
    uses = (BudgetUse(Budget(Decimal(80))), BudgetUse(Budget(Decimal(500), per="project/month", project="llm")))
    part = fold_all(part_of(paid_back), [runs.ITEMS, runs.USED, Budgets(BEGAN_UTC_NS, uses), footer(2 * MINUTE)])
    idle = {FIRST: IdleSpell("waiting-for-data", BEGAN_UTC_NS, Decimal(0))}
    middle = in_the_middle(part)
    return telling(replace(middle, length_ns=90 * SECOND, idle=idle, seen=replace(middle.seen, took_ns=SECOND // 500)))


def telling(snapshot: Snapshot) -> Snapshot:
    """The run has told of its progress since its last closed slot: 60 of 100 steps at a cent a step."""
    assert snapshot.open_slot is not None
    points = tuple(Point(step * SECOND, step, Decimal(step) / 100) for step in range(61))
    return replace(
        snapshot,
        open_slot=replace(snapshot.open_slot, phase="eval", progress=Progress(60)),
        furthest=Progress(60, 30_720, 2.5, 100),
        points=points,
    )


# The whole page


@pytest.mark.parametrize(
    ("name", "accept"),
    [
        pytest.param("metrics.txt", "", id="text"),
        pytest.param("metrics-openmetrics.txt", OPENMETRICS, id="openmetrics"),
    ],
)
def test_the_page_reads_as_approved(name: str, accept: str) -> None:
    """The whole page is the text of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    text = text_of(in_the_middle(), accept).replace(__version__, "VERSION")
    assert golden(name, text) == text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(in_the_middle(), id="in-the-middle"),
        pytest.param(all_families(), id="with-credits"),
        pytest.param(Snapshot(BEGAN_UTC_NS, runs.no_driver().parts[0]), id="no-driver"),
    ],
)
def test_promtool_has_nothing_to_say(snapshot: Snapshot) -> None:
    """`promtool check metrics` neither fails nor advises."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=page(snapshot)[0], capture_output=True)
    assert (0, b"", b"") == (checked.returncode, checked.stdout, checked.stderr)


@pytest.mark.parametrize(
    "snapshot", [pytest.param(in_the_middle(), id="usual"), pytest.param(all_families(), id="all")]
)
def test_both_forms_say_the_same(snapshot: Snapshot) -> None:
    """Prometheus's parser and OpenMetrics's find the same series with the same values, and OpenMetrics no fault."""
    text, other = text_of(snapshot), text_of(snapshot, OPENMETRICS)
    assert samples(text_families(text)) == samples(openmetrics_families(other))
    assert other.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("expected", "accept"),
    [
        pytest.param("text/plain", "", id="nobody-asked"),
        pytest.param("text/plain", "text/html,*/*;q=0.8", id="a-browser"),
        pytest.param("application/openmetrics-text", OPENMETRICS, id="openmetrics-alone"),
        pytest.param(
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
            id="prometheus-3",
        ),
        pytest.param("text/plain", f"text/plain;version=0.0.4;q=0.6,{OPENMETRICS};q=0.5", id="text-first"),
        pytest.param("text/plain", f"{OPENMETRICS};q=0", id="anything-but-openmetrics"),
        pytest.param("text/plain", f"{OPENMETRICS};q=much", id="no-quality"),
        pytest.param("application/openmetrics-text", f",;,; q=1,{OPENMETRICS},", id="crooked"),
    ],
)
def test_the_form_is_the_one_asked_for(expected: str, accept: str) -> None:
    """The Accept header chooses, and the content type says what was chosen."""
    assert page(in_the_middle(), accept)[1].startswith(expected)


# Families


#: Families that only the page of a node has.
OF_A_NODE = {
    "gpu_idle_cost_{currency}",
    "runs_ended",
    "runs_sunk_cost_{currency}",
    "runs_dropped",
    "config_last_reload_successful",
    "config_last_reload_success_timestamp_seconds",
    "gpu_holder_share_ratio",
    "http_requests",
    "page_seconds",
    "process_start_time_seconds",
    "process_cpu_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
}
OF_A_RUN = [family for name, family in FAMILIES.items() if name not in OF_A_NODE]


def described() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of every family of a run's page, by its full name."""
    return {
        "costmeter_" + family.name.format(currency="usd"): (family.kind, frozenset(family.labels))
        for family in OF_A_RUN
    }


def test_the_page_has_the_families_of_the_table_and_no_others() -> None:
    """Every family of the table is on a page that has a reason for it, with its type, and every one there is in it."""
    found = {family.name: family.type for family in openmetrics_families(text_of(all_families(), OPENMETRICS))}
    assert {name: kind for name, (kind, _) in described().items()} == found


def test_series_have_the_labels_of_the_table() -> None:
    """Counters and gauges carry just the labels that the table says, for rules and dashboards to join on."""
    table = described()
    for family in openmetrics_families(text_of(all_families(), OPENMETRICS)):
        kind, labels = table[family.name]
        if kind != "info":
            assert family.samples
            assert {labels} == {frozenset(sample.labels) for sample in family.samples}


def test_names_are_the_exporters() -> None:
    """Every name begins with the prefix, every counter ends in `_total`, and no series says when it was created."""
    names = {name for name, _ in page_of(all_families())}
    assert all(name.startswith("costmeter_") for name in names)
    assert not any(name.endswith("_created") for name in names)
    counters = {f"costmeter_{f.name.format(currency='usd')}_total" for f in OF_A_RUN if f.kind == "counter"}
    assert counters == {name for name in names if name.endswith("_total")}


def test_the_currency_stands_in_the_names() -> None:
    """Euros are counted in series of their own, which no rule can add to dollars."""
    part = part_of(replace(RENTED_AND_OWNED, currency="EUR"), currency="EUR")
    names = {name for name, _ in page_of(in_the_middle(part))}
    assert {"costmeter_run_cost_eur_total", "costmeter_gpu_cost_eur_total"} <= names
    assert not any("usd" in name for name in names)


# Values


def test_the_page_is_the_totals() -> None:
    """Energy, money, time and emissions on the page are those of the closed slots and the open one."""
    snapshot = in_the_middle()
    of, whole = page_of(snapshot), snapshot.totals.whole
    assert whole.quantities.microjoules / KWH == value(of, "costmeter_run_energy_kwh_total", part="gpu")
    assert 6_000 * JOULE / KWH == value(of, "costmeter_run_energy_kwh_total", part="host")
    assert whole.overhead_microjoules / KWH == value(of, "costmeter_run_energy_kwh_total", part="overhead")
    for component, amount in by_component(whole.charges).items():
        assert float(amount) == pytest.approx(value(of, "costmeter_run_cost_usd_total", component=component))
    for state, amount in by_state(whole.charges).items():
        assert float(amount) == pytest.approx(value(of, "costmeter_run_cost_usd_total", state=state))
        assert float(amount) == pytest.approx(value(of, "costmeter_gpu_cost_usd_total", state=state))
    assert 180.0 == value(of, "costmeter_run_gpu_time_seconds_total") == value(of, "costmeter_gpu_time_seconds_total")
    assert 90.0 == value(of, "costmeter_unmeasured_seconds_total", gpu_uuid=SECOND_UUID)
    grams = (whole.operational_micrograms + whole.embodied_micrograms) / 1e6
    assert grams == pytest.approx(value(of, "costmeter_run_emissions_grams_total"))
    assert grams == pytest.approx(value(of, "costmeter_gpu_emissions_grams_total"))


def test_progress_is_what_was_told() -> None:
    """60 of 100 steps and a cent a step so far: 60 %, one dollar in the end; what was never told has no series."""
    of, silent = page_of(all_families()), page_of(in_the_middle())
    told = {
        "costmeter_run_steps_total": 60,
        "costmeter_run_tokens_total": 30_720,
        "costmeter_run_loss": 2.5,
        "costmeter_run_progress_ratio": 0.6,
        "costmeter_run_projected_cost_usd": 1.0,
    }
    assert {name: value(of, name) for name in told} == pytest.approx(told)
    assert 80.0 == value(of, "costmeter_run_budget_usd", per="run", project="")
    assert 500.0 == value(of, "costmeter_run_budget_usd", per="project/month", project="llm")
    assert not {name for name, _ in silent} & {*told, "costmeter_run_phase_cost_usd_total", "costmeter_run_budget_usd"}


def test_phases_are_the_cost() -> None:
    """Start-up is what lies before the first word; the phases' charges sum to the run's."""
    snapshot = telling(in_the_middle())
    of, charges = page_of(snapshot), snapshot.totals.whole.charges
    phases = {dict(labels)["phase"] for name, labels in of if name == "costmeter_run_phase_cost_usd_total"}
    assert {"start-up", "eval"} == phases
    assert float(sum(charges.values())) == pytest.approx(value(of, "costmeter_run_phase_cost_usd_total"))


def test_what_is_missing_is_absent_and_counted() -> None:
    """A GPU that does not answer has no power, utilization or memory, is not idle, and fails its collector."""
    of = page_of(in_the_middle())
    gauges = {name for name, labels in of if ("gpu_uuid", SECOND_UUID) in labels and not name.endswith("_total")}
    assert {"costmeter_gpu_info", "costmeter_gpu_holder_info", "costmeter_gpu_price_usd_per_hour"} == gauges
    assert 0.0 == value(of, "costmeter_gpu_time_seconds_total", gpu_uuid=SECOND_UUID, state="idle")
    assert (0.0, 90.0) == (
        value(of, "costmeter_collector_success", collector="nvml"),
        value(of, "costmeter_readings_total", result="failed"),
    )


def test_a_gpu_that_fell_silent_has_no_memory() -> None:
    """What it last said, before it fell silent, is not shown for now; the other GPU's is."""
    snapshot = in_the_middle()
    slow = snapshot.seen.slow
    said = dict(slow) | {SECOND_UUID: replace(slow[FIRST], uuid=SECOND_UUID)}
    of = page_of(replace(snapshot, seen=replace(snapshot.seen, slow=said)))
    assert [FIRST] == [dict(labels)["gpu_uuid"] for name, labels in of if name == "costmeter_gpu_memory_used_bytes"]


@pytest.mark.parametrize(("expected", "method"), [("power", "power"), ("counter", None)])
def test_the_energy_source_is_the_last_that_was_used(expected: str, method: Method | None) -> None:
    """How the last interval's energy was found; what was probed where it was not."""
    snapshot = in_the_middle()
    last = replace(snapshot.seen.intervals[FIRST], method=method)
    seen = replace(snapshot.seen, intervals=dict(snapshot.seen.intervals) | {FIRST: last})
    of = page_of(replace(snapshot, seen=seen))
    assert 1 == value(of, "costmeter_gpu_info", gpu_uuid=FIRST, energy_source=expected)


def test_every_series_exists_at_zero_before_its_first_increment() -> None:
    """The first page of a run has every counter of its later pages, at 0, so that an increase is never missed."""
    first = {
        series: v for series, v in page_of(Snapshot(BEGAN_UTC_NS, part_of())).items() if series[0].endswith("_total")
    }
    later = {series for series in page_of(in_the_middle()) if series[0].endswith("_total")}
    assert later == set(first)
    assert {0.0} == set(first.values())


def test_a_price_nobody_knows_is_no_price_of_zero() -> None:
    """A GPU without a price has no price gauge, and a run that pays for no electricity has no electricity price."""
    unpriced = replace(rental(), hourly=())
    names = {name for name, _ in page_of(in_the_middle(part_of(rates({FIRST: unpriced, SECOND_UUID: unpriced}))))}
    assert not {"costmeter_gpu_price_usd_per_hour", "costmeter_electricity_price_usd_per_kwh"} & names


def test_a_finished_run_is_not_active() -> None:
    """Once the command has ended the run's series stay, and `run_active` says that it does not live."""
    live, ended = in_the_middle(), in_the_middle()
    ended = replace(ended, part=fold(ended.part, footer(2 * MINUTE)))
    assert (1.0, 0.0) == (value(page_of(live), "costmeter_run_active"), value(page_of(ended), "costmeter_run_active"))


def test_how_a_run_ended_is_told() -> None:
    """The instant and the exit code once it ended; a signal is 128 and its number, as a shell tells it."""
    part = in_the_middle().part
    ended = page_of(replace(in_the_middle(), part=fold(part, footer(2 * MINUTE, "failed", 3))))
    killed = page_of(replace(in_the_middle(), part=fold(part, footer(2 * MINUTE, "cancelled", None, 2))))
    at_seconds = (BEGAN_UTC_NS + 2 * MINUTE) / SECOND
    assert at_seconds == value(ended, "costmeter_run_end_timestamp_seconds")
    assert (3.0, 130.0) == (value(ended, "costmeter_run_exit_code"), value(killed, "costmeter_run_exit_code"))
    assert not {"costmeter_run_exit_code", "costmeter_run_end_timestamp_seconds"} & {
        n for n, _ in page_of(in_the_middle())
    }


def test_pages_of_several_runs_make_one() -> None:
    """What is written of a run alone has no series in common with another run's, and is of the page as served."""
    one, other = (samples(text_families(run_page(in_the_middle(part_of(run=r))).decode())) for r in ("r-1", "r-2"))
    assert not set(one) & set(other)
    served = page_of(in_the_middle(part_of(run="r-1")))
    assert one == {series: served[series] for series in one}
    assert {name for name, labels in served if "run_id" in dict(labels)} == {name for name, _ in one}


def test_a_simulated_run_says_so() -> None:
    """Readings of the simulated driver come from a source of that name."""
    of = page_of(in_the_middle(part_of(simulated=True)))
    assert 91.0 == value(of, "costmeter_readings_total", source="simulated", result="ok")


def test_a_journal_that_cannot_be_written_shows() -> None:
    """The figures go on from memory, and one gauge tells whoever is on call."""
    of = page_of(replace(in_the_middle(), journal_writable=False))
    assert 0.0 == value(of, "costmeter_journal_writable")


@given(quantities(), quantities())
@settings(max_examples=30)
def test_counters_never_fall(held_before: Quantities, booked: Quantities) -> None:
    """Whatever a tick books into the open slot, no counter on the page becomes less."""
    before = in_the_middle()
    assert before.open_slot is not None
    of = {FIRST: held_before, SECOND_UUID: booked}
    grown = {uuid: each + booked for uuid, each in of.items()}
    now = page_of(replace(before, open_slot=replace(before.open_slot, devices=of)))
    then = page_of(replace(before, open_slot=replace(before.open_slot, devices=grown)))
    assert [] == [series for series, v in now.items() if series[0].endswith("_total") and then[series] < v]


def test_reading_changes_nothing() -> None:
    """The hundredth page of a snapshot is the first."""
    snapshot = in_the_middle()
    assert 1 == len({page(snapshot) for _ in range(100)})


# Labels

#: What is said of every run, known or not.
RUN_FACTS = {"run_id", "host", "meter", "name", "experiment", "project", "team", "user", "job_id"}
AWKWARD = [
    pytest.param('say "hi"', id="quotes"),
    pytest.param("C:\\new\\table", id="backslashes"),
    pytest.param("two\nlines", id="line-end"),
    pytest.param("Größe 速度 🚀", id="unicode"),
    pytest.param("", id="empty"),
    pytest.param('"} 1\ncostmeter_run_cost_usd_total 9', id="a-forged-series"),
]


@pytest.mark.parametrize("name", AWKWARD)
def test_label_values_are_escaped(name: str) -> None:
    """A run may have any name: both parsers read it back, and no name adds a series."""
    snapshot = in_the_middle(part_of(name=name))
    for families in (text_families(text_of(snapshot)), openmetrics_families(text_of(snapshot, OPENMETRICS))):
        found = samples(families)
        assert [name] == [dict(labels)["name"] for series, labels in found if series == "costmeter_run_info"]
        assert len(page_of(in_the_middle())) == len(found)


def test_a_name_that_is_not_utf_8_does_not_cost_the_page() -> None:
    """Bytes that are no text are replaced, and everything else is served."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    text = text_of(in_the_middle(part_of(name=name, host=name)))
    assert 'name="caf?"' in text
    assert 'host="caf?"' in text


def test_a_name_of_any_length_is_cut() -> None:
    """A label value is at most 256 characters: an endless name does not fill a server's memory."""
    text = text_of(in_the_middle(part_of(name="x" * 100_000)))
    assert 'name="' + "x" * 256 + '"' in text


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4))
@settings(max_examples=50)
def test_labels_of_any_name_are_served(labels: dict[str, str]) -> None:
    """Whatever a label is called, it becomes a name that Prometheus takes."""
    found = page_of(in_the_middle(part_of(labels=labels)))
    names = next(dict(have) for series, have in found if series == "costmeter_run_info")
    assert RUN_FACTS <= set(names)
    assert len(names) <= len(RUN_FACTS) + len(labels)


def test_command_lines_never_become_labels() -> None:
    """What a command line holds is its owner's."""
    assert "hunter2" not in text_of(in_the_middle(part_of(command=("python", "x.py", "--note", "hunter2"))))
