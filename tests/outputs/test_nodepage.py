"""The metrics page of a node: whole, as its parsers read it, true to the fold behind it, valid whatever runs are."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as text_families

from costmeter import __version__
from costmeter.clock import RealClock
from costmeter.ledger.node.query import NodePart, begin_node, fold_node, fold_node_all
from costmeter.ledger.node.record import Holders, NodeRecord, RunEnded, RunFacts, RunRisen, RunSeen
from costmeter.ledger.record import Record, SlotEntry
from costmeter.meter.charge import Origin
from costmeter.meter.holder import Holder
from costmeter.meter.idling import REASONS, IdleSpell, IdleUse, Reason
from costmeter.meter.interval import Interval, silence
from costmeter.meter.outlook import Allowed, Outlook
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.outputs.families import FAMILIES, Family
from costmeter.outputs.looked import Looked
from costmeter.outputs.nodepage import OUTCOMES, RunNames, file_page, page
from costmeter.outputs.nodesnapshot import NodeSnapshot, Reload
from costmeter.outputs.prometheusprocess import Process
from costmeter.outputs.snapshot import Seen
from costmeter.readings import Missing, Reading
from costmeter.runtime.agent.ownprocess import OwnProcess
from tests.golden.compare import golden
from tests.outputs.test_prometheus import OF_A_NODE, OPENMETRICS, Samples, openmetrics_families, samples, value
from tests.runtime.heldnode import LEE as LEE_HIMSELF
from tests.runtime.heldnode import held_node
from tests.runtime.test_recorder import owned_book
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    KWH,
    MINUTE,
    SECOND,
    device,
    devices,
    header,
    held,
    measured,
    owned,
    quantities,
    rates,
    rates_from_start,
    rental,
    silent,
    words,
)
from tests.sources.nodes import STEADY

FOUR = devices(4)
FIRST, SECOND_GPU, THIRD, LAST = (each.uuid for each in FOUR)
#: A rented GPU, an owned one that pays for electricity, another rented one, and one without a price.
PRICES = rates(
    {FIRST: rental("3.60"), SECOND_GPU: owned("0.72", embodied="3.6"), THIRD: rental("3.60"), LAST: rental("0")},
    electricity_per_kwh=Decimal("0.10"),
    pue=Decimal("1.5"),
    carbon_grams_per_kwh=Decimal(400),
    origins={
        "gpu.price": Origin("configured", "costmeter.yaml:3"),
        "carbon.intensity": Origin(
            "configured", "series grid.csv (lifecycle, fetched 2026-11-22T06:00Z), costmeter.yaml:5"
        ),
    },
)
MAYA, LEE = Holder(1001, "r-maya", "maya", "announced"), Holder(1002, "lee", "lee", "slurm")
USER = Holder(1003, "", "kim", "user")


def facts(holder: Holder, seen_utc_ns: int = BEGAN_UTC_NS, **more: object) -> RunFacts:
    """What is known of a holder's run."""
    known = RunFacts(holder.uid, holder.run, holder.user, holder.source, seen_utc_ns, seen_utc_ns)
    return replace(known, **more)  # type: ignore[arg-type]  # names of fields, by the caller's word


def node_of(records: Sequence[Record | NodeRecord], **of_header: object) -> NodePart:
    """A node of four GPUs that knows these records."""
    first = begin_node(header(**{"meter": "agent", "run": "", "command": None} | of_header))
    return fold_node_all(first, [held(FOUR, 4), rates_from_start(PRICES), *records])


def slot(of: Mapping[str, Quantities], by: Mapping[str, tuple[Holder, ...]], minute: int = 0) -> Slot:
    """One slot of one minute, with who held what in it."""
    start_utc_ns = BEGAN_UTC_NS + minute * MINUTE
    return Slot(start_utc_ns, start_utc_ns + MINUTE, of, number=minute, holders=by)


def at_work() -> NodeSnapshot:
    """Half a minute into the second minute: a GPU of one run, one shared by two, one of a user, one of nobody.

    Lee's run failed after its first minute; the fourth GPU does not answer.
    """
    by = {FIRST: (MAYA,), SECOND_GPU: (MAYA, LEE), THIRD: (USER,)}
    first = {
        FIRST: measured(40 * SECOND, 24_000 * JOULE, 20 * SECOND, 2_000 * JOULE),
        SECOND_GPU: measured(MINUTE, 36_000 * JOULE),
        THIRD: measured(0, 0, MINUTE, 6_000 * JOULE),
        LAST: measured(0, 0, MINUTE, 6_000 * JOULE),
    }
    part = node_of(
        [
            RunSeen(BEGAN_UTC_NS, facts(MAYA, name="sft", labels={"project": "llm", "secret": "x"})),
            RunSeen(BEGAN_UTC_NS, facts(LEE, job="1234")),
            Holders(BEGAN_UTC_NS, by),
            SlotEntry(slot(first, by)),
            RunEnded(BEGAN_UTC_NS + MINUTE, LEE.key, "failed", 1, None, Progress(7)),
            Holders(BEGAN_UTC_NS + MINUTE, {FIRST: (MAYA,), SECOND_GPU: (MAYA,), THIRD: (USER,)}),
        ]
    )
    still_open = slot(
        {
            FIRST: measured(30 * SECOND, 18_000 * JOULE),
            SECOND_GPU: measured(30 * SECOND, 18_000 * JOULE),
            THIRD: measured(0, 0, 30 * SECOND, 3_000 * JOULE),
            LAST: silent(30 * SECOND),
        },
        {FIRST: (replace(MAYA, phase="training"),), SECOND_GPU: (replace(MAYA, phase="training"),), THIRD: (USER,)},
        1,
    )
    now_ns = BEGAN_NS + 90 * SECOND
    idle: dict[str, dict[Reason, IdleUse]] = {
        FIRST: {"waiting-for-data": IdleUse(20 * SECOND, Decimal("0.02"))},
        THIRD: {"memory-held": IdleUse(MINUTE, Decimal("0.06"))},
    }
    return NodeSnapshot(
        BEGAN_UTC_NS + 90 * SECOND,
        BEGAN_UTC_NS,
        replace(part, idle=idle),
        still_open,
        Seen(
            {
                FIRST: Interval(FIRST, now_ns - SECOND, now_ns, "busy", 600 * JOULE, "counter", 0.98),
                LAST: silence(LAST, now_ns - SECOND, now_ns),
            },
            {FIRST: Reading(FIRST, now_ns, 5, 600.0, 0.98, 68_719_476_736)},
            readings=300,
            failures=30,
            last_answer_utc_ns=BEGAN_UTC_NS + 90 * SECOND,
            resets={FIRST: 1},
            silent=frozenset({LAST}),
            took_ns=SECOND // 500,
        ),
        shown=(MAYA.key, LEE.key),
        hidden=2,
        refused=1,
        furthest={MAYA.key: Progress(60, 30_720, 2.5, 100)},
        outlooks={
            MAYA.key: Outlook(
                "USD", Decimal("63.78"), (Allowed(Decimal(80)), Allowed(Decimal(500), "project/month", "llm"))
            ),
            LEE.key: Outlook("USD", Decimal("9"), (Allowed(Decimal(10)),)),
        },
        reload=Reload(False, BEGAN_UTC_NS),
        collectors={"slurm": True, "kubernetes": False},
        idle={THIRD: IdleSpell("memory-held", BEGAN_UTC_NS, Decimal(0))},
        idle_reasons={
            FIRST: {"waiting-for-data": True},
            THIRD: {"memory-held": True},
            SECOND_GPU: {"start-up": False},
        },
    )


#: An agent an hour old that was asked twice, once by nobody it knows.
PROCESS = Process(BEGAN_UTC_NS / SECOND, 12.5, 41_943_040, 17, {"200": 1, "401": 1, "other": 0}, 0.002)


def text_of(snapshot: NodeSnapshot, accept: str = "") -> str:
    return page(snapshot, accept)[0].decode()


def file_of(snapshot: NodeSnapshot, is_last: bool) -> Samples:
    return samples(text_families(file_page(snapshot, RunNames(), is_last).decode()))


def page_of(snapshot: NodeSnapshot) -> Samples:
    return samples(text_families(text_of(snapshot)))


def series_of(snapshot: NodeSnapshot) -> list[str]:
    """Every series as it is written, without its value."""
    return [line.rpartition(" ")[0] for line in text_of(snapshot).splitlines() if not line.startswith("#")]


# The whole page


@pytest.mark.parametrize(
    ("name", "accept"),
    [
        pytest.param("page-node.txt", "", id="text"),
        pytest.param("page-node-openmetrics.txt", OPENMETRICS, id="openmetrics"),
    ],
)
def test_the_page_reads_as_approved(name: str, accept: str) -> None:
    """The whole page is the text of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    text = text_of(at_work(), accept).replace(__version__, "VERSION")
    assert golden(name, text) == text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(at_work(), id="at-work"),
        pytest.param(NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, begin_node(header(meter="agent"))), id="nothing-yet"),
    ],
)
def test_promtool_has_nothing_to_say(snapshot: NodeSnapshot) -> None:
    """`promtool check metrics` neither fails nor advises."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=page(snapshot)[0], capture_output=True)
    assert (0, b"", b"") == (checked.returncode, checked.stdout, checked.stderr)


def test_both_forms_say_the_same() -> None:
    """Prometheus's parser and OpenMetrics's find the same series with the same values, and OpenMetrics no fault."""
    other = text_of(at_work(), OPENMETRICS)
    assert page_of(at_work()) == samples(openmetrics_families(other))
    assert other.endswith("# EOF\n")


def test_families_have_the_types_and_labels_of_the_table() -> None:
    """Every family on the page is described, with its type, and its series have just the labels that are told."""
    table = {full_name(each): each for each in FAMILIES.values()}
    found = openmetrics_families(page(at_work(), OPENMETRICS, None, PROCESS)[0].decode())
    assert {full_name(FAMILIES[name]) for name in OF_A_NODE} <= {family.name for family in found}
    for family in found:
        described = table[family.name]
        assert described.kind == family.type
        if described.kind != "info":
            assert {frozenset(described.labels)} == {frozenset(sample.labels) for sample in family.samples}


def full_name(family: Family) -> str:
    """As it is in OpenMetrics: with the prefix, but for what every exporter names alike."""
    return f"{'costmeter_' if family.ours else ''}{family.name.format(currency='usd')}"


def test_every_family_is_documented() -> None:
    """docs/metrics.md has a row for every family, with its type and labels, and no row for any other."""
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|info) \| ([^|]*) \|", text, re.MULTILINE)
    suffixes = {"counter": "_total", "gauge": "", "info": "_info"}
    known = {(f"{full_name(each)}{suffixes[each.kind]}", each.kind): each for each in FAMILIES.values()}
    assert set(known) == {(name, kind) for name, kind, _ in rows}
    for name, kind, written in rows:
        if kind != "info":
            assert list(known[name, kind].labels) == re.findall(r"`(\w+)`", written), name


# Values


def test_what_is_held_and_what_is_not_are_told_apart() -> None:
    """A GPU's first minute is busy or idle where somebody held it, and unheld where nobody did.

    The first GPU: 40 s busy and 20 s idle, then 30 s busy; the last: 60 s idle and 30 s silent, held by nobody.
    """
    of = page_of(at_work())

    def seconds(uuid: str) -> dict[str, float]:
        return {
            state: value(of, "costmeter_gpu_time_seconds_total", gpu_uuid=uuid, state=state)
            for state in ("busy", "idle", "unknown", "unheld")
        }

    assert {"busy": 70.0, "idle": 20.0, "unknown": 0.0, "unheld": 0.0} == seconds(FIRST)
    assert {"busy": 0.0, "idle": 90.0, "unknown": 0.0, "unheld": 0.0} == seconds(THIRD)
    assert {"busy": 0.0, "idle": 0.0, "unknown": 0.0, "unheld": 90.0} == seconds(LAST)
    assert 30.0 == value(of, "costmeter_unmeasured_seconds_total", gpu_uuid=LAST)


def test_money_is_the_rates_times_what_was_held() -> None:
    """By hand: $3.60/h for 90 s is $0.09, of which 20 s idle are $0.02.

    Maya also has half a minute's worth of the second GPU's first minute, and all of its next half: 60 s at $0.72/h are
    $0.012, and 36 kJ and half as much of overhead, 54 kJ or 0.015 kWh, are $0.0015.
    """
    of = page_of(at_work())
    cost = "costmeter_run_cost_usd_total"
    assert 0.07 == pytest.approx(value(of, "costmeter_gpu_cost_usd_total", gpu_uuid=FIRST, state="busy"))
    assert 0.02 == pytest.approx(value(of, "costmeter_gpu_cost_usd_total", gpu_uuid=FIRST, state="idle"))
    assert 0.09 == pytest.approx(value(of, cost, run_id="r-maya", component="rental"))
    assert 0.012 == pytest.approx(value(of, cost, run_id="r-maya", component="capital"))
    assert 0.0015 == pytest.approx(value(of, cost, run_id="r-maya", component="electricity"))
    assert 62_000 / 3.6e6 + 18_000 / 3.6e6 == pytest.approx(
        value(of, "costmeter_run_energy_kwh_total", run_id="r-maya", part="gpu")
    )


def test_the_page_is_the_fold() -> None:
    """What the GPUs cost and used is what the node's journal folds to, the open slot too; runs are its accounts."""
    snapshot = at_work()
    of, node = page_of(snapshot), snapshot.node
    assert float(node.totals.whole.cost) == pytest.approx(value(of, "costmeter_gpu_cost_usd_total"))
    assert node.totals.whole.quantities.microjoules / KWH == pytest.approx(value(of, "costmeter_gpu_energy_kwh_total"))
    assert node.unheld.whole.quantities.nanoseconds / SECOND == value(
        of, "costmeter_gpu_time_seconds_total", state="unheld"
    )
    for (_, run), account in node.accounts.items():
        whole = account.totals.whole
        assert float(whole.cost) == pytest.approx(value(of, "costmeter_run_cost_usd_total", run_id=run))
        assert whole.quantities.nanoseconds / SECOND == value(of, "costmeter_run_gpu_time_seconds_total", run_id=run)


def test_ends_are_counted_by_outcome_and_every_outcome_is_there_from_the_start() -> None:
    """One run failed, which had cost its half of a GPU; every other way to end stands at 0, also before any run."""
    of = page_of(at_work())
    first = page_of(NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, node_of([])))
    for outcome in OUTCOMES:
        assert 0.0 == first["costmeter_runs_ended_total", frozenset({("outcome", outcome)})]
        assert float(outcome == "failed") == value(of, "costmeter_runs_ended_total", outcome=outcome)
    cost = value(of, "costmeter_run_cost_usd_total", run_id="lee")
    assert 0.0 < cost == pytest.approx(value(of, "costmeter_runs_sunk_cost_usd_total", outcome="failed"))
    assert 0.0 == first["costmeter_runs_sunk_cost_usd_total", frozenset({("outcome", "unknown")})]


def test_an_outcome_that_nobody_knows_is_unknown() -> None:
    """What an announcer calls its end makes no series."""
    words: Any = 'x"} 1\n'
    strange = RunEnded(BEGAN_UTC_NS, LEE.key, words, 0)
    of = page_of(NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, node_of([RunSeen(BEGAN_UTC_NS, facts(LEE)), strange])))
    assert 1.0 == value(of, "costmeter_runs_ended_total", outcome="unknown") == value(of, "costmeter_runs_ended_total")


def test_a_run_that_ended_keeps_its_values() -> None:
    """It is not active, says when and how it ended, and its counters stand; the last it told of itself too."""
    of = page_of(at_work())
    assert (0.0, 1.0) == (value(of, "costmeter_run_active", run_id="lee"), value(of, "costmeter_run_exit_code"))
    assert (BEGAN_UTC_NS + MINUTE) / SECOND == value(of, "costmeter_run_end_timestamp_seconds", run_id="lee")
    assert (30.0, 7.0) == (
        value(of, "costmeter_run_gpu_time_seconds_total", run_id="lee"),
        value(of, "costmeter_run_steps_total", run_id="lee"),
    )


def test_who_holds_what_joins_gpus_and_runs() -> None:
    """Every holder of a GPU now; a user of whom no run is known has no run id; nobody has no series."""
    found = [dict(labels) for name, labels in page_of(at_work()) if name == "costmeter_gpu_holder_info"]
    told = sorted((each["gpu_uuid"], each["run_id"], each["user"], each["source"]) for each in found)
    assert [
        (FIRST, "r-maya", "maya", "announced"),
        (SECOND_GPU, "r-maya", "maya", "announced"),
        (THIRD, "", "kim", "user"),
    ] == told


def test_holders_of_a_gpu_have_their_parts_of_it() -> None:
    """1 of a GPU that is one's own, and of a shared one a half each: a join with them counts no GPU twice."""
    by = {FIRST: (MAYA,), SECOND_GPU: (MAYA, LEE)}
    known: list[NodeRecord] = [RunSeen(BEGAN_UTC_NS, facts(each)) for each in (MAYA, LEE)]
    known.append(Holders(BEGAN_UTC_NS, by))
    shared = NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, node_of(known), shown=(MAYA.key, LEE.key))
    found = {
        (dict(of)["gpu_uuid"], dict(of)["run_id"], dict(of)["user"]): share
        for (name, of), share in page_of(shared).items()
        if name == "costmeter_gpu_holder_share_ratio"
    }
    assert found == {
        (FIRST, "r-maya", "maya"): 1.0,
        (SECOND_GPU, "r-maya", "maya"): 0.5,
        (SECOND_GPU, "lee", "lee"): 0.5,
    }


def test_the_process_is_told_by_the_names_that_every_exporter_has() -> None:
    """Dashboards of processes find it; requests and the time of a page are the agent's own."""
    found = samples(text_families(page(at_work(), "", None, PROCESS)[0].decode()))
    names = ("process_", "costmeter_page")
    told = {name: value for (name, of), value in found.items() if not of and name.startswith(names)}
    assert told == {
        "process_start_time_seconds": BEGAN_UTC_NS / SECOND,
        "process_cpu_seconds_total": 12.5,
        "process_resident_memory_bytes": 41_943_040,
        "process_open_fds": 17,
        "costmeter_page_seconds": 0.002,
    }
    answers = {dict(of)["code"]: count for (name, of), count in found.items() if "http_requests" in name}
    assert answers == {"200": 1, "401": 1, "other": 0}


def test_a_file_says_what_a_new_run_came_to_and_nothing_of_the_process() -> None:
    """No minute at 0, since a file may be the last of its agent; what node_exporter says of itself is left to it."""
    by = {FIRST: (MAYA,)}
    part = node_of([RunSeen(BEGAN_UTC_NS, facts(MAYA), at_zero=True), Holders(BEGAN_UTC_NS, by)])
    half = slot({FIRST: measured(30 * SECOND, 18_000 * JOULE)}, by)
    young = NodeSnapshot(BEGAN_UTC_NS + 30 * SECOND, BEGAN_UTC_NS, part, half, shown=(MAYA.key,))
    held_seconds = "costmeter_run_gpu_time_seconds_total"
    served, written = page_of(young), file_of(young, is_last=False)
    assert 0 == sum(v for (name, _), v in served.items() if name == held_seconds)
    assert 0 < sum(v for (name, _), v in written.items() if name == held_seconds)
    assert not any(name.startswith("process_") for name, _ in written)


def test_the_last_file_has_nothing_that_would_go_on_to_be_told() -> None:
    """Counters, ends and who runs were: no power, price or holder of GPUs that nobody looks at any more."""
    whole, last = file_of(at_work(), False), file_of(at_work(), True)
    assert set(last) < set(whole)
    assert {key: v for key, v in whole.items() if key[0].endswith("_total")} == {
        key: v for key, v in last.items() if key[0].endswith("_total")
    }
    assert {name for name, _ in last if not name.endswith("_total")} == {
        "costmeter_run_info",
        "costmeter_run_start_timestamp_seconds",
        "costmeter_run_end_timestamp_seconds",
        "costmeter_run_exit_code",
    }


def test_the_agent_tells_of_itself() -> None:
    """Collectors, the settings that were refused, runs that were too many, and a journal that is written."""
    of = page_of(at_work())
    worked = {
        name: value(of, "costmeter_collector_success", collector=name) for name in ("nvml", "slurm", "kubernetes")
    }
    assert {"nvml": 0.0, "slurm": 1.0, "kubernetes": 0.0} == worked
    assert 0.0 == value(of, "costmeter_config_last_reload_successful")
    assert BEGAN_UTC_NS / SECOND == value(of, "costmeter_config_last_reload_success_timestamp_seconds")
    dropped = [value(of, "costmeter_runs_dropped_total", reason=reason) for reason in ("hidden", "refused")]
    assert ([2.0, 1.0], 1.0) == (dropped, value(of, "costmeter_journal_writable"))


def test_phases_beyond_the_eighth_are_one() -> None:
    """A run that names a phase for each step has nine series for them, whose sum is its charges."""
    part = node_of([RunSeen(BEGAN_UTC_NS, facts(MAYA))])
    for minute in range(20):
        by = {FIRST: (replace(MAYA, phase=f"step {minute}"),)}
        part = fold_node(part, SlotEntry(slot({FIRST: measured(MINUTE, JOULE)}, by, minute)))
    of = page_of(NodeSnapshot(BEGAN_UTC_NS + 20 * MINUTE, BEGAN_UTC_NS, part, shown=(MAYA.key,)))
    phases = [dict(labels)["phase"] for name, labels in of if name == "costmeter_run_phase_cost_usd_total"]
    assert ["start-up", *(f"step {n}" for n in range(7)), "other"] == phases
    assert 1.2 == pytest.approx(value(of, "costmeter_run_phase_cost_usd_total"))


# Counters that survive


def counters_of(snapshot: NodeSnapshot, run: str = "r-maya") -> list[float]:
    """Every counter of a run."""
    of = page_of(snapshot)
    return [v for (name, labels), v in of.items() if name.endswith("_total") and ("run_id", run) in labels]


@pytest.mark.parametrize(("expected", "risen"), [(True, []), (False, [RunRisen(BEGAN_UTC_NS + MINUTE, MAYA.key)])])
def test_a_new_run_stands_at_zero_until_it_has_risen(expected: bool, risen: list[NodeRecord]) -> None:
    """All its counters are there and 0, however long it is metered; then they show what it came to."""
    part = node_of(
        [
            RunSeen(BEGAN_UTC_NS, facts(MAYA), at_zero=True),
            SlotEntry(slot({FIRST: measured(30 * SECOND, 9_000 * JOULE)}, {FIRST: (replace(MAYA, phase="eval"),)})),
            *risen,
        ]
    )
    told = {MAYA.key: Progress(60, 30_720, 2.5, 100)}
    snapshot = NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, part, shown=(MAYA.key,), furthest=told)
    found = counters_of(snapshot)
    assert expected == (set(found) == {0.0})
    assert len(found) > 15


def test_a_clock_that_is_set_back_makes_no_run_new() -> None:
    """A run that has risen has been shown: its counters do not fall to 0."""
    shown = at_work()
    assert counters_of(shown) == counters_of(replace(shown, at_utc_ns=BEGAN_UTC_NS - 3_600 * SECOND))


def test_the_same_id_of_two_users_is_two_runs() -> None:
    """Each has its series and holds its GPU; the one that came later keeps its user's number in its name."""
    other = replace(MAYA, uid=1009, user="ann")
    by = {FIRST: (MAYA,), SECOND_GPU: (other,)}
    of = {FIRST: measured(MINUTE, JOULE), SECOND_GPU: measured(MINUTE, JOULE)}
    seen = [RunSeen(BEGAN_UTC_NS, facts(MAYA)), RunSeen(BEGAN_UTC_NS, facts(other))]
    part = node_of([*seen, Holders(BEGAN_UTC_NS, by), SlotEntry(slot(of, by))])
    names = RunNames()
    snapshot = NodeSnapshot(BEGAN_UTC_NS + MINUTE, BEGAN_UTC_NS, part, shown=(MAYA.key, other.key))
    both = samples(text_families(page(snapshot, "", names)[0].decode()))
    assert 60.0 == value(both, "costmeter_run_gpu_time_seconds_total", run_id="r-maya")
    assert 60.0 == value(both, "costmeter_run_gpu_time_seconds_total", run_id="r-maya~1009")
    assert 1.0 == value(both, "costmeter_gpu_holder_info", gpu_uuid=SECOND_GPU, run_id="r-maya~1009", user="ann")
    later = replace(snapshot, part=replace(part, accounts={other.key: part.accounts[other.key]}), shown=(other.key,))
    left = samples(text_families(page(later, "", names)[0].decode()))
    assert {"r-maya~1009"} == {dict(labels)["run_id"] for name, labels in left if name == "costmeter_run_active"}


@given(quantities(), quantities(), quantities())
@settings(max_examples=30)
def test_counters_never_fall(one: Quantities, other: Quantities, booked: Quantities) -> None:
    """Whatever a tick books into the open slot, of GPUs held, shared and unheld, no counter becomes less."""
    before = at_work()
    assert before.open_slot is not None
    by = {FIRST: (MAYA,), SECOND_GPU: (LEE, MAYA, USER)}
    of = {FIRST: one, SECOND_GPU: other, LAST: one}
    grown = {uuid: each + booked for uuid, each in of.items()}
    now = page_of(replace(before, open_slot=replace(before.open_slot, devices=of, holders=by)))
    then = page_of(replace(before, open_slot=replace(before.open_slot, devices=grown, holders=by)))
    fallen = [series for series, v in now.items() if series[0].endswith("_total") and then[series] < v]
    assert [] == fallen


def test_reading_changes_nothing() -> None:
    """The hundredth page of a snapshot is the first, by the same names."""
    snapshot, names = at_work(), RunNames()
    assert 1 == len({page(snapshot, "", names) for _ in range(100)})


def _has_any(series: tuple[str, frozenset[tuple[str, str]]], names: Sequence[str]) -> bool:
    return any(name in dict(series[1]) for name in names)


def test_every_counter_exists_at_zero_before_its_first_increment() -> None:
    """The first page of a node has every counter of its GPUs and of itself, at 0."""
    first = page_of(NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, node_of([])))
    counters = {series: v for series, v in first.items() if series[0].endswith("_total")}
    come_later = ("run_id", "reason")  # runs, and reasons for which a GPU has been idle, at 0 when they come
    later = {
        series
        for series in page_of(at_work())
        if series[0].endswith("_total")
        and (series[0].endswith("runs_dropped_total") or not _has_any(series, come_later))
    }
    assert later == set(counters)
    assert {0.0} == set(counters.values())


# Whatever runs are


@given(st.lists(st.tuples(words, words, words, words), min_size=2, max_size=4))
@settings(max_examples=60)
def test_no_run_makes_the_page_invalid(texts: list[tuple[str, str, str, str]]) -> None:
    """Names, users, labels and phases of any characters: both parsers read the page, and no series is there twice."""
    holders = [Holder(uid, f"r-{uid}", user, "announced", phase) for uid, (user, _, _, phase) in enumerate(texts)]
    seen = [
        RunSeen(BEGAN_UTC_NS, facts(holder, name=name, labels={"team": label, name: label}, job=label))
        for holder, (_, name, label, _) in zip(holders, texts, strict=True)
    ]
    by = {FIRST: tuple(holders)}
    part = node_of([*seen, Holders(BEGAN_UTC_NS, by), SlotEntry(slot({FIRST: measured(MINUTE, JOULE)}, by))])
    keys = tuple(holder.key for holder in holders)
    snapshot = NodeSnapshot(BEGAN_UTC_NS + MINUTE, BEGAN_UTC_NS, part, shown=keys)
    assert samples(openmetrics_families(text_of(snapshot, OPENMETRICS))) == page_of(snapshot)
    series = series_of(snapshot)
    assert len(set(series)) == len(series)


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(("a\x00", "a\x01"), id="cleaned-alike"),
        pytest.param(("x" * 300 + "1", "x" * 300 + "2"), id="cut-alike"),
    ],
)
def test_phases_that_read_alike_are_one_series(phases: tuple[str, str]) -> None:
    """Their charges are summed, where two series of one name would cost the whole page."""
    part = node_of([RunSeen(BEGAN_UTC_NS, facts(MAYA))])
    for minute, phase in enumerate(phases):
        by = {FIRST: (replace(MAYA, phase=phase),)}
        part = fold_node(part, SlotEntry(slot({FIRST: measured(MINUTE, JOULE)}, by, minute)))
    snapshot = NodeSnapshot(BEGAN_UTC_NS + MINUTE, BEGAN_UTC_NS, part, shown=(MAYA.key,))
    of = [v for (name, _), v in page_of(snapshot).items() if name == "costmeter_run_phase_cost_usd_total" and v]
    assert [0.12] == pytest.approx(of)


def test_labels_that_nobody_asked_for_are_not_on_the_page() -> None:
    """Of a run's labels only experiment, project and team are; no label of Prometheus's own is taken by others."""
    text = text_of(at_work())
    assert 'project="llm"' in text
    assert not any(word in text for word in ("secret", "instance=", "pod=", "namespace="))


def test_idle_money_is_of_closed_minutes_by_reason() -> None:
    """A reason has a series from when it is in force, at 0 first; what it came to is of closed slots."""
    found = page_of(at_work())
    costs = {
        (dict(labels)["gpu_uuid"], dict(labels)["reason"]): value
        for (name, labels), value in found.items()
        if name == "costmeter_gpu_idle_cost_usd_total"
    }
    assert costs == {
        (FIRST, "waiting-for-data"): 0.02,  # 20 s at $3.60 an hour
        (SECOND_GPU, "start-up"): 0.0,
        (THIRD, "memory-held"): 0.06,  # the closed minute, and not the half of the open one
    }
    assert value(found, "costmeter_gpu_cost_usd_total", gpu_uuid=THIRD, state="idle") == pytest.approx(0.09)
    assert 1 == sum(name == "costmeter_gpu_idle_reason" for name, _ in found)
    assert 1.0 == value(found, "costmeter_gpu_idle_reason", gpu_uuid=THIRD, reason="memory-held")


def test_a_new_reason_stands_at_zero_on_a_page_that_is_scraped() -> None:
    """What it came to is hidden for its first minute, for Prometheus to count it; a file, read seldom, has it."""
    snapshot = replace(at_work(), idle_reasons={THIRD: {"memory-held": False}})
    of_third = {"gpu_uuid": THIRD, "reason": "memory-held"}
    assert 0.0 == value(page_of(snapshot), "costmeter_gpu_idle_cost_usd_total", **of_third)
    for is_last in (False, True):
        assert 0.06 == value(file_of(snapshot, is_last), "costmeter_gpu_idle_cost_usd_total", **of_third)
    assert not any(name == "costmeter_gpu_idle_reason" for name, _ in file_of(snapshot, is_last=True))


@given(st.dictionaries(st.sampled_from(REASONS), st.decimals(0, 1000, places=12, allow_nan=False)), st.booleans())
def test_reasons_have_their_own_money(spent: dict[Reason, Decimal], has_risen: bool) -> None:
    """Whatever reasons there have been: one series each, in sum what they came to, or all at 0 while they are new."""
    idle = {THIRD: {reason: IdleUse(SECOND, amount) for reason, amount in spent.items()}}
    part = replace(at_work().part, idle=idle)
    found = page_of(replace(at_work(), part=part, idle_reasons={THIRD: dict.fromkeys(spent, has_risen)}))
    shown = {dict(of)["reason"]: money for (name, of), money in found.items() if "gpu_idle_cost" in name}
    assert shown == {reason: float(amount) if has_risen else 0.0 for reason, amount in spent.items()}


def test_what_a_run_will_cost_is_what_it_told() -> None:
    """Projection and budgets of a run that told them, its budgets after its end, and nothing in another currency."""
    found = page_of(at_work())
    named = {
        (dict(of)["run_id"], dict(of).get("per"), dict(of).get("project")): money
        for (name, of), money in found.items()
        if name in ("costmeter_run_projected_cost_usd", "costmeter_run_budget_usd")
    }
    assert named == {
        ("r-maya", None, None): 63.78,
        ("r-maya", "run", ""): 80.0,
        ("r-maya", "project/month", "llm"): 500.0,
        ("lee", "run", ""): 10.0,
    }
    other = replace(at_work(), outlooks={MAYA.key: Outlook("EUR", Decimal(9), (Allowed(Decimal(80)),))})
    assert not [name for name, _ in page_of(other) if "projected" in name or "budget" in name]


def test_idle_money_goes_on_over_midnight() -> None:
    """A file of the journal that ends takes nothing from what idle time came to: by reason, the counter only rises.

    An owned GPU of $1.00 an hour that draws 62 W (× PUE 1.2 × $0.10/kWh) is idle from 23:30 to 00:30: $1.00744.
    """
    half_past_eleven = BEGAN_UTC_NS - BEGAN_UTC_NS % (24 * HOUR) + 23 * HOUR + 30 * MINUTE
    scenario = STEADY.replace("power: 300 W", "power: 62 W").replace("utilization: 60 %", "utilization: 0 %")
    with held_node(scenario, owned_book(), half_past_eleven) as run:
        run.begin()
        run.hold([LEE_HIMSELF])
        before: dict[object, float] = {}
        for _ in range(62):
            run.tick(MINUTE)
            found = page_of(run.snapshot)
            shown: dict[object, float] = {of: v for of, v in found.items() if "gpu_idle_cost" in of[0]}
            assert all(shown[of] >= money for of, money in before.items())
            before = shown
        booked = sum(before.values())
    assert 2 == len(run.files)
    assert booked == pytest.approx(1.00744 * 62 / 60, rel=2 / 62)
    assert booked <= value(found, "costmeter_gpu_cost_usd_total", state="idle")


def test_looks_and_rates_have_their_times() -> None:
    """How long the last tick and the last look for holders took, and of what instant a fetched series is."""
    text = page(at_work(), "", None, None, Looked({"slurm": 3 * SECOND // 2}))[0].decode()
    found = samples(text_families(text))
    assert 0.002 == value(found, "costmeter_collector_duration_seconds", collector="nvml")
    assert 1.5 == value(found, "costmeter_collector_duration_seconds", collector="slurm")
    # date -u -d 2026-11-22T06:00Z +%s
    assert 1_795_327_200 == value(found, "costmeter_rates_timestamp_seconds", setting="carbon.intensity")
    assert 1 == sum(name == "costmeter_rates_timestamp_seconds" for name, _ in found)


def test_runs_that_are_not_shown_have_no_series() -> None:
    """A thousand runs of which two are shown are two; what the others hold is held by nobody who is named."""
    many = [Holder(2_000 + number, f"r-{number}", "x" * 1_000, "environment") for number in range(1_000)]
    by = {FIRST: tuple(many)}
    seen = [RunSeen(BEGAN_UTC_NS, facts(holder)) for holder in many]
    part = node_of([*seen, Holders(BEGAN_UTC_NS, by), SlotEntry(slot({FIRST: measured(MINUTE, JOULE)}, by))])
    few = NodeSnapshot(BEGAN_UTC_NS + MINUTE, BEGAN_UTC_NS, part, shown=tuple(h.key for h in many[:2]), hidden=998)
    named = {dict(labels)["run_id"] for _, labels in page_of(few) if "run_id" in dict(labels)}
    assert {"r-0", "r-1"} == named
    all_shown = replace(few, shown=tuple(h.key for h in many))
    assert 16 == sum(name == "costmeter_gpu_holder_info" for name, _ in page_of(all_shown))


def test_a_node_with_one_run_has_few_series() -> None:
    """Eight owned GPUs with a run that tells all it can: at most 300 series, and at most 40 for each run more."""
    eight = devices(8)
    prices = replace(
        PRICES,
        devices={each.uuid: owned("0.72", embodied="3.6") for each in eight},
        market_grams_per_kwh=Decimal(12),
        origins={f"setting.{number}": Origin("configured", "here") for number in range(12)},
    )
    of = {each.uuid: measured(MINUTE, JOULE) for each in eight}

    def count(runs: int) -> int:
        holders = [Holder(1_000, f"r-{number}", "maya", "announced") for number in range(runs)]
        part = begin_node(header(meter="agent", run="", command=None))
        part = fold_node_all(part, [held(eight, 8), rates_from_start(prices)])
        for minute in range(8):
            by = {e.uuid: (replace(holders[n % runs], phase=f"{minute}"),) for n, e in enumerate(eight)}
            part = fold_node_all(part, [Holders(BEGAN_UTC_NS, by), SlotEntry(slot(of, by, minute))])
        keys = tuple(holder.key for holder in holders)
        part = fold_node_all(part, [RunEnded(BEGAN_UTC_NS, key, "ok", 0) for key in keys])
        last = {e.uuid: Interval(e.uuid, 0, SECOND, "busy", 600 * JOULE, "counter", 0.98) for e in eight}
        slow = {e.uuid: Reading(e.uuid, SECOND, 5, 600.0, 0.98, 1) for e in eight}
        snapshot = NodeSnapshot(
            BEGAN_UTC_NS + 9 * MINUTE, BEGAN_UTC_NS, part, None, Seen(last, slow, 1, 1, BEGAN_UTC_NS)
        )
        told = dict.fromkeys(keys, Progress(60, 30_720, 2.5, 100))
        works = dict.fromkeys(("announced", "kubernetes", "slurm", "processes", "environment"), True)
        reload = Reload(True, BEGAN_UTC_NS)
        shown = replace(snapshot, shown=keys, furthest=told, collectors=works, reload=reload)
        idle = {each.uuid: IdleSpell("waiting-for-data", BEGAN_UTC_NS, Decimal(0)) for each in eight}
        reasons: dict[str, dict[Reason, bool]] = {uuid: {"waiting-for-data": True} for uuid in idle}
        looked = Looked(dict.fromkeys(("kubernetes", "slurm", "processes"), 1))
        outlooks = dict.fromkeys(keys, Outlook("USD", Decimal(9), (Allowed(Decimal(9)), Allowed(Decimal(9), "day"))))
        shown = replace(shown, idle=idle, idle_reasons=reasons, outlooks=outlooks)
        text = page(shown, "", None, OwnProcess(RealClock()).now(), looked)[0].decode()
        return sum(not line.startswith("#") for line in text.splitlines())

    one, eight_runs = count(1), count(8)
    assert one <= 300
    assert (eight_runs - one) / 7 <= 40


def test_a_gpu_without_a_limit_has_none() -> None:
    """What is missing is absent on a node too."""
    strange = device(0, power_limit_watts=Missing("not supported"))
    part = fold_node(node_of([]), held([strange], 4))
    names = {
        n for n, labels in page_of(NodeSnapshot(BEGAN_UTC_NS, BEGAN_UTC_NS, part)) if ("gpu_uuid", FIRST) in labels
    }
    assert "costmeter_gpu_power_limit_watts" not in names
