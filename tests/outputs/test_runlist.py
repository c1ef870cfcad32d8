"""The list of runs as text and Markdown, as CSV and as FOCUS, and groups: what is shown, and that it adds up."""

import csv
import io
import json
from dataclasses import replace
from datetime import timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.clock import Anchor
from costmeter.ledger.bulk import load_run
from costmeter.ledger.grouping import KEYS, groups
from costmeter.ledger.listing import Listing, listing
from costmeter.ledger.record import Header, Mark, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.outputs import grouplist
from costmeter.outputs.gpus import brief_names, gpu_names, short_model, without_maker
from costmeter.outputs.runcsv import COLUMNS, runs_csv
from costmeter.outputs.runlist import Shown, markdown, render
from costmeter.outputs.style import Style
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    device,
    footer,
    header,
    held,
    measured,
    owned,
    rates,
    rental,
    uuids,
)

SHOWN = Shown(BEGAN_UTC_NS + 30 * HOUR, timezone.utc)
H100, A100 = device(0), device(1, "NVIDIA A100-SXM4-80GB")
RENTED = rates({H100.uuid: rental("2.40"), A100.uuid: rental("1.20")}, carbon_grams_per_kwh=Decimal(400))
OWNED = rates(
    {H100.uuid: owned("0.77"), A100.uuid: owned("0.33")}, electricity_per_kwh=Decimal("0.17"), pue=Decimal("1.3")
)


def run(name: str, after_ns: int, minutes: int, of: Rates = RENTED, **changes: Any) -> tuple[Header, list[Record]]:
    """A run of an H100 and an A100, a third of each minute idle, that began `after_ns` after the first."""
    began = BEGAN_UTC_NS + after_ns
    each = measured(40 * SECOND, 24_000 * JOULE, 20 * SECOND, 2_000 * JOULE)
    both = dict.fromkeys(uuids((H100, A100)), each)
    spent = [
        SlotEntry(
            Slot(began + n * MINUTE, began + (n + 1) * MINUTE, both, number=n, progress=Progress(n, loss=3.5 - n / 60))
        )
        for n in range(minutes)
    ]
    facts: dict[str, Any] = {
        "run": f"r-{name}",
        "name": name,
        "anchor": Anchor(BEGAN_NS, began),
        "currency": of.currency,
    }
    first = header(**(facts | changes))
    saved = Mark(began + MINUTE * minutes // 2, "checkpoint", "saved")
    middle = minutes // 2
    return first, [held((H100, A100)), RatesChange(began, of), *spent[:middle], saved, *spent[middle:]]


def ended(
    recorded: tuple[Header, list[Record]], outcome: Any = "ok", code: int | None = 0
) -> tuple[Header, list[Record]]:
    """The run with its end."""
    first, records = recorded
    last = next(record for record in reversed(records) if isinstance(record, SlotEntry))
    length_ns = last.slot.end_utc_ns - first.anchor.utc_ns
    return first, [*records, replace(footer(length_ns, outcome, code), ended_utc_ns=last.slot.end_utc_ns)]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs: one ok, one failed, a sweep of two, one over midnight on owned GPUs, one in euros, one simulated."""
    folder = tmp_path_factory.mktemp("state")
    sweep = {"experiment": "lr-sweep", "project": "llm"}
    of = (
        ended(run("=pretrain", 0, 60, user="maya", labels={"project": "llm"})),
        ended(run("sft", 2 * HOUR, 30, user="lee"), "failed", 1),
        ended(run("trial-1", 3 * HOUR, 10, labels=sweep)),
        ended(run("trial-2", 4 * HOUR, 10, labels=sweep), "preempted", None),
        ended(run("night", 9 * HOUR + 30 * MINUTE, 90, OWNED)),
        ended(run("euros", 5 * HOUR, 20, replace(RENTED, currency="EUR"))),
        ended(run("toy", 6 * HOUR, 5, simulated=True)),
    )
    for first, records in of:
        write(folder / "runs" / first.run.replace("=", "-"), first, records)
    return folder


def test_the_list_shows_runs_sweeps_and_what_bought_nothing(state: Path) -> None:
    """$2.40 + $1.20 an hour: $3.60, then $1.80 failed of which half was lost, and a sweep of twice $0.60."""
    lines = render(listing(state), SHOWN, Style(width=120)).splitlines()
    assert ["EUR", "USD", "USD"] == [line.split()[5] for line in lines if line.startswith("RUN ")]
    assert "r-=pretrain  Sun 14:03  =pretrain    1×H100 + 1×A100  1:00:00  3.60  0.867  33 %  ok" in lines
    assert (
        "r-sft        Sun 16:03  sft          1×H100 + 1×A100  0:30:00  1.80  0.433  33 %  failed (1), 15 min lost"
        in lines
    )
    assert any("lr-sweep ×2" in line and "0:20:00  1.20" in line and "1 ok, 1 preempted" in line for line in lines)
    assert any(line.startswith("4 entries, 5 runs") for line in lines)
    assert any("failed $1.80 · preempted $0.60 · lost since last checkpoint $1.20" in line for line in lines)
    assert "simulated GPUs, which nobody pays for:" in lines


def test_trials_are_shown_one_by_one_where_they_are_asked_for(state: Path) -> None:
    """Each trial has its line, and the mean and the losses stand below."""
    runs = tuple(each for each in listing(state).runs if each.header.labels.get("experiment"))
    text = render(Listing(runs), replace(SHOWN, apart=True), Style(width=120))
    assert "2 entries, 2 runs" in text
    assert "$0.60 a trial · best loss 3.35 (r-trial-1)" in text


def test_older_lines_are_left_out_and_counted(state: Path) -> None:
    """With room for one line, the newest is shown, and the sum is still of all."""
    text = render(listing(state), replace(SHOWN, lines=1), Style(width=120))
    assert "3 older lines not shown, but counted" in text
    assert "r-sft " not in text
    assert "4 entries, 5 runs" in text


def test_a_list_fits_its_terminal_and_plain_text(state: Path) -> None:
    """80 columns in ASCII: names, GPUs and endings are cut, figures never, and no row is longer."""
    text = render(listing(state), SHOWN, Style(width=80, unicode=False))
    assert max(len(line) for line in text.splitlines() if "|" not in line) <= 80
    assert text.isascii()
    assert "3.60" in text


def test_what_cannot_be_read_stands_below(state: Path) -> None:
    """The first journals are named, the others counted."""
    unread = tuple(f"/x/{n}.jsonl: no readable header line" for n in range(5))
    text = render(Listing(listing(state).runs, unread), SHOWN, Style())
    assert "Not counted: 5 journals that cannot be read" in text
    assert "and 2 more" in text


def test_markdown_is_a_table_in_which_nothing_is_markup(state: Path) -> None:
    """Every row has as many cells as the heads; names with bars stay in their cells."""
    runs = listing(state).runs
    odd = replace(runs[0], parts=(replace(runs[0].parts[0], header=replace(runs[0].header, name="a|b*c")),))
    rows = [line for line in markdown(Listing((odd,)), SHOWN).splitlines() if line.startswith("|")]
    assert "a\\|b\\*c" in rows[2]
    assert {9} == {line.replace("\\|", "").count("|") - 1 for line in rows}


def receipts_of(state: Path) -> dict[tuple[str, bool], Decimal]:
    """What the receipts of all runs come to, by currency and reality."""
    sums: dict[tuple[str, bool], Decimal] = {}
    for each in listing(state).runs:
        for recorded in load_run(state, str(each.place)).by_currency():
            key = recorded.parts[0].currency, each.simulated
            sums[key] = sums.get(key, Decimal(0)) + recorded.totals.whole.cost
    return sums


@pytest.mark.parametrize("key", KEYS)
def test_any_grouping_adds_up_to_the_receipts(state: Path, key: str) -> None:
    """Whatever runs are grouped by, to the last digit; in data as in memory."""
    made = groups(state, listing(state).runs, key, timezone.utc)
    sums: dict[tuple[str, bool], Decimal] = {}
    for row in grouplist.document(made, key)["groups"]:
        at = row["currency"], row["simulated"]
        sums[at] = sums.get(at, Decimal(0)) + Decimal(row["cost"])
    assert receipts_of(state) == sums
    heads, *rows = csv.reader(io.StringIO(grouplist.csv(made, key)))
    assert (key, len(made)) == (heads[0], len(rows))
    assert len(made) + 3 * 3 == len(grouplist.render(made, key, Style()).replace("\n\n", "\n").splitlines()) + 2


def test_a_run_over_midnight_is_divided(state: Path) -> None:
    """23:33 to 01:03 UTC: 27 minutes on the first day and 63 on the second."""
    night = [each for each in listing(state).runs if each.header.name == "night"]
    found = groups(state, night, "day", timezone.utc)
    hours = {group.word: group.spending.whole.quantities.nanoseconds / 2 / MINUTE for group in found}
    assert {"2026-11-22": 27.0, "2026-11-23": 63.0} == hours


def test_models_have_their_own_money(state: Path) -> None:
    """An hour of an H100 at $2.40 and of an A100 at $1.20."""
    first = [each for each in listing(state).runs if each.header.name == "=pretrain"]
    found = {group.word: group.spending.cost for group in groups(state, first, "model", None)}
    assert {H100.name: Decimal("2.40"), A100.name: Decimal("1.20")} == found


def test_a_group_without_a_word_is_a_dash(state: Path) -> None:
    """Runs without a user are not left out."""
    assert {"maya", "lee", "-"} == {group.word for group in groups(state, listing(state).runs, "user", None)}


def test_csv_has_a_line_for_each_run_and_no_formula(state: Path) -> None:
    """Costs add up to the receipts; a name that begins like a formula is text."""
    rows = list(csv.DictReader(io.StringIO(runs_csv(listing(state).runs))))
    assert list(COLUMNS) == list(rows[0])
    sums: dict[tuple[str, bool], Decimal] = {}
    for row in rows:
        key = row["currency"], row["simulated"] == "true"
        sums[key] = sums.get(key, Decimal(0)) + Decimal(row["cost"])
    assert receipts_of(state) == sums
    first = rows[0]
    assert ("'=pretrain", "2026-11-22T14:03:00.000Z", "3600") == (first["name"], first["started_at"], first["seconds"])
    assert ("3.600000000000", "0.866666667", "3120000") == (first["cost"], first["energy_kwh"], first["energy_joules"])
    assert {"project": "llm"} == json.loads(first["labels"])


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", "H100 MIG 3g.40gb"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA B200", "B200"),
    ],
)
def test_models_have_short_names(name: str, short: str) -> None:
    """The driver's name without maker, memory and form."""
    assert short == short_model(name)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 80GB HBM3"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla T4", "T4"),
        ("NVIDIA", "NVIDIA"),
        ("", ""),
    ],
)
def test_a_maker_is_no_part_of_a_name(name: str, whole: str) -> None:
    """Where there is room for memory and form the name is the driver's without its makers, as a list's begins."""
    assert without_maker(name) == whole
    assert gpu_names([{"name": name}]) == f"1 × {whole}"
    assert whole.startswith(short_model(name))


def test_gpus_of_one_short_name_are_counted_together() -> None:
    """Two forms of one model in a list are that model twice."""
    assert "2×A100 + 1×T4" == brief_names([("NVIDIA A100-SXM4-80GB", 1), ("NVIDIA A100-PCIE-40GB", 1), ("Tesla T4", 1)])


@pytest.mark.parametrize("key", KEYS)
def test_what_two_meters_saw_is_grouped_once(tmp_path: Path, key: str) -> None:
    """A run that two meters recorded at the same time: every grouping is its receipt, which counts each GPU once."""
    for part in (1, 2):
        first, records = ended(run("both", 9 * HOUR + 30 * MINUTE, 60, part=part, pid=part))
        write(tmp_path / "runs" / first.run, first, records)
    made = groups(tmp_path, listing(tmp_path).runs, key, timezone.utc)
    assert Decimal("3.60") == sum(group.spending.cost for group in made)
    assert {("USD", False): Decimal("3.60")} == receipts_of(tmp_path)
