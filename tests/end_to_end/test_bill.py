"""`costmeter report --bill` through the installed command: journals of real meters, settings and tariffs from files."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, EXAMPLES, exact_sum, own_home

OWNED = """\
gpu: {billing: owned, owned: {purchase: 30000}}
electricity: {price: {tariff: tiered.yaml}, pue: 1.25}
host: {power: 900}
"""
RESERVED = """\
timezone: America/Denver
gpu: {price: 2.49, commitment: {gpus: 4, price: 1.50, from: 2020-01-01, to: 2090-01-01}}
"""
BY_MODEL = """\
timezone: America/Denver
gpu:
  - match: {name: "MODEL"}
    price: 3
    commitment: {gpus: 8, price: 10, from: 2020-01-01, to: 2090-01-01}
  - price: 3
"""
TIERED = EXAMPLES / "tariffs" / "us_tiered_energy_and_demand.yaml"


@dataclass(frozen=True, slots=True)
class Site:
    """A home in which a run on owned GPUs was recorded under a tiered tariff, and its receipt."""

    environ: dict[str, str]
    settings: str
    receipt: dict[str, Any]

    def report(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The report command in this home."""
        command = [COSTMETER, "report", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)

    def document(self, *arguments: str) -> dict[str, Any]:
        """The JSON of bills."""
        done = self.report("--bill", "--config", self.settings, "--json", *arguments)
        assert 0 == done.returncode, done.stderr
        loaded: dict[str, Any] = json.loads(done.stdout)
        return loaded


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(TIERED, folder / "tiered.yaml")
    (folder / "costmeter.yaml").write_text(OWNED)
    receipt, settings = folder / "receipt.json", str(folder / "costmeter.yaml")
    with own_home() as environ:
        options = ["-q", "--config", settings, "--simulate", "healthy", "--json", str(receipt)]
        subprocess.run([COSTMETER, "run", *options, "--", "sleep", "2"], env=environ, check=True, timeout=60)
        yield Site(environ, settings, json.loads(receipt.read_text()))


def parts(bill: dict[str, Any]) -> Decimal:
    return exact_sum(bill["metered"]) + sum(Decimal(each["amount"]) for each in bill["adjustments"])


def adjustment(bill: dict[str, Any], name: str) -> Decimal:
    amounts = (Decimal(each["amount"]) for each in bill["adjustments"] if each["name"] == f"adjustment:{name}")
    return sum(amounts, Decimal(0))


def test_the_bill_of_a_run_is_its_receipt_and_what_the_month_adds(site: Site) -> None:
    """Electricity as the receipt has it; the first tier instead of the last; days; the mean of the highest quarters.

    Of E kWh: 0.06 × E metered, (0.078891 - 0.06) × E of tiers. A run of seconds lies in one quarter of an hour, or over
    the edge of two: its demand, at 24.368 per kW, is between half of E / 0.25 h and all of it.
    """
    (bill,) = site.document()["bills"]
    energy_kwh = Decimal(str(site.receipt["energy"]["total_joules"])) / 3_600_000
    assert site.receipt["cost"]["components"]["electricity"] == bill["metered"]["electricity"]
    assert bill["metered"].keys() == {"electricity"}
    assert abs(Decimal("0.018891") * energy_kwh - adjustment(bill, "tiers")) < Decimal("1e-9")
    assert bill["period"]["days"] * Decimal("3.298") == adjustment(bill, "fixed")
    highest = Decimal("24.368") * 4 * energy_kwh
    assert highest / 2 - Decimal("1e-9") <= adjustment(bill, "demand") <= highest + Decimal("1e-9")
    assert adjustment(bill, "prices") == 0
    assert parts(bill) == Decimal(bill["total"])
    assert [site.receipt["run"]["id"]] == bill["runs"]
    assert {"capital": site.receipt["cost"]["components"]["capital"]} == bill["not_billed"]


def test_the_marginal_bill_of_a_run_over_a_large_site(site: Site) -> None:
    """A site of 400 kW is beyond both first tiers: a run costs 0.06 per kWh, 17.031 per kW, and nothing per day."""
    document = site.document("--base-kw", "400")
    (bill,) = document["bills"]
    assert ("marginal", "400") == (document["attribution"], document["base_kilowatts"])
    assert adjustment(bill, "tiers") == adjustment(bill, "fixed") == 0
    small = adjustment(site.document()["bills"][0], "demand") / Decimal("24.368")
    assert abs(Decimal("17.031") * small - adjustment(bill, "demand")) < Decimal("1e-9")
    assert parts(bill) == Decimal(bill["total"])


def test_the_average_bill_is_a_share_by_kilowatt_hours(site: Site) -> None:
    """Of a bill of E kWh at 400 kW all month, the run bears its kWh: the site's 78,891/10⁶ and 0.06, demand, days."""
    (bill,) = site.document("--base-kw", "400", "--attribution", "average")["bills"]
    assert 0 < adjustment(bill, "fixed") < Decimal("0.01")
    assert parts(bill) == Decimal(bill["total"])


def test_a_change_of_tariff_is_a_line_of_its_own(site: Site, tmp_path: Path) -> None:
    """Billed at another price than was metered, electricity stands as metered, and the difference beside it."""
    (tmp_path / "flat.yaml").write_text(
        "id: flat\ntimezone: America/Denver\ncurrency: USD\nenergy:\n  - {name: all, price_per_kwh: 0.18}\n"
    )
    (tmp_path / "costmeter.yaml").write_text("electricity: {price: {tariff: flat.yaml}}\n")
    done = site.report("--bill", "--json", "--config", str(tmp_path / "costmeter.yaml"))
    (bill,) = json.loads(done.stdout)["bills"]
    metered = Decimal(bill["metered"]["electricity"])
    assert abs(adjustment(bill, "prices") - 2 * metered) < Decimal("1e-9")
    assert abs(3 * metered - Decimal(bill["total"])) < Decimal("1e-9")


def test_reserved_gpus_cost_their_month(site: Site, tmp_path: Path) -> None:
    """Four GPUs at 1.50 for every hour of a month nobody used them in: April 2026 has 720."""
    (tmp_path / "reserved.yaml").write_text(RESERVED)
    done = site.report("--bill", "--json", "--config", str(tmp_path / "reserved.yaml"), "--month", "2026-04")
    (bill,) = json.loads(done.stdout)["bills"]
    assert Decimal(4_320) == Decimal(bill["total"])
    assert (2_880, 0) == (bill["commitment"]["gpu_hours"], bill["commitment"]["covered_gpu_hours"])


@pytest.mark.parametrize(
    ("arguments", "first", "end"),
    [
        pytest.param(["--month", "2026-02"], "2026-02-01", "2026-03-01", id="a-month"),
        pytest.param(["--month", "2026-02", "--billing-day", "15"], "2026-02-15", "2026-03-15", id="from-the-15th"),
        pytest.param(["--from", "2026-02-03", "--to", "2026-03-05"], "2026-02-03", "2026-03-05", id="by-days"),
    ],
)
def test_a_period_that_is_asked_for_is_billed(site: Site, arguments: list[str], first: str, end: str) -> None:
    """One bill, of that period, with its fixed charges and no run."""
    (bill,) = site.document(*arguments)["bills"]
    assert (first, end, "America/Denver") == tuple(bill["period"][name] for name in ("from", "to", "zone"))
    assert bill["period"]["days"] * Decimal("3.298") == Decimal(bill["total"])
    assert [] == bill["runs"]


def test_the_text_says_what_it_is(site: Site) -> None:
    """The bill as text: simulated, its tariff, a choice named, its total, and what is no bill's."""
    done = site.report("--bill", "--config", site.settings, "--base-kw", "40")
    assert (0, "") == (done.returncode, done.stderr)
    text = " ".join(done.stdout.split())
    for said in ("simulated GPUs", "us-urdb-tiered-example", "marginal, a choice", "base load of 40 kW", "on no bill"):
        assert said in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--month", "2026-11"], "--month is for bills", id="no-bill-asked-for"),
        pytest.param(["--base-kw", "3"], "--base-kw is for bills", id="base-without-bill"),
        pytest.param(["--bill", "--full-cost"], "is for receipts", id="items-on-a-bill"),
        pytest.param(["--bill", "--month", "2026-13"], '"2026-13" is no date', id="no-month"),
        pytest.param(["--bill", "--month", "26-1"], '"26-1" is no date', id="short-month"),
        pytest.param(["--bill", "--from", "2026-W01-1", "--to", "2026-02-01"], "is no date", id="a-week"),
        pytest.param(["--bill", "--from", "2026-02-01"], "a first day and an end", id="no-end"),
        pytest.param(["--bill", "--from", "2026-02-01", "--to", "2026-02-01"], "is not after", id="no-days"),
        pytest.param(["--bill", "--from", "2020-02-01", "--to", "2026-02-01"], "more than one bill", id="years"),
        pytest.param(
            ["--bill", "--from", "2026-02-01", "--to", "2026-03-01", "--billing-day", "3"],
            "and --to name the days",
            id="both",
        ),
        pytest.param(["--bill", "--month", "2026-02", "--to", "2026-03-01"], "each name a period", id="two-periods"),
        pytest.param(["--bill", "--billing-day", "29"], "no day that every month has", id="the-29th"),
        pytest.param(["--bill", "--billing-day", "x"], "no day that every month has", id="no-day"),
        pytest.param(["--bill", "--base-kw", "-1"], "is no power", id="negative-power"),
        pytest.param(["--bill", "--base-kw", "NaN"], "is no power", id="no-power"),
        pytest.param(["--bill", "--attribution", "avg"], "average", id="no-attribution"),
    ],
)
def test_what_is_no_bill_is_refused(site: Site, arguments: list[str], said: str) -> None:
    """A wrong option exits with 2, and says which and what to type instead."""
    done = site.report(*arguments)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_journal_is_told_and_the_rest_billed(site: Site, tmp_path: Path) -> None:
    """Of two journals the one that cannot be read is a problem in the document, and of the exit code none."""
    folder = Path(site.environ["XDG_STATE_HOME"], "costmeter", "runs", site.receipt["run"]["id"])
    (journal,) = folder.glob("*.jsonl")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    shutil.copy(journal, good)
    bad.write_bytes(b"\x00 not a journal\n" + journal.read_bytes()[10:])
    document = site.document(str(good), str(bad))
    assert site.document()["bills"] == document["bills"]
    assert any("bad.jsonl: no readable header line; not counted" in problem for problem in document["problems"])
    text = site.report("--bill", "--config", site.settings, str(good), str(bad))
    assert 0 == text.returncode
    assert "Warning: 1 of 2 journals not counted" in text.stdout
    assert "warning: 1 of 2 journals not counted: " in text.stderr
    assert "bad.jsonl" in text.stderr


def test_a_pipe_among_the_journals_holds_nobody_up(site: Site, tmp_path: Path) -> None:
    """A FIFO and a link to a device in the place of journals are not counted, by the bill nor by the receipt."""
    folder = Path(site.environ["XDG_STATE_HOME"], "costmeter", "runs", site.receipt["run"]["id"])
    (journal,) = folder.glob("*.jsonl")
    shutil.copy(journal, tmp_path / "good.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    document = site.document(str(tmp_path))
    assert site.document()["bills"] == document["bills"]
    assert {"found": 3, "not_counted": 2} == document["journals"]
    receipt = site.report(str(tmp_path))
    assert (0, 2) == (receipt.returncode, receipt.stdout.count("this part is not counted"))


def test_a_journal_of_another_year_is_not_read(site: Site, tmp_path: Path) -> None:
    """What says of itself that it ended before the month is passed over, damage and all."""
    folder = Path(site.environ["XDG_STATE_HOME"], "costmeter", "runs", site.receipt["run"]["id"])
    (journal,) = folder.glob("*.jsonl")
    header, *rest = journal.read_bytes().splitlines(keepends=True)
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(b"".join([header, b"damage\n", *rest]))
    assert any("unreadable" in problem for problem in site.document(str(path))["problems"])
    assert [] == site.document("--month", "2090-01", str(path))["problems"]


def test_a_commitment_covers_the_gpus_of_its_block(site: Site, tmp_path: Path) -> None:
    """Reserved A100s do not pay for the H100s that ran: what was metered stays, beside the term's whole price.

    8 H100s ran rented at 3 an hour; 8 A100s are reserved at 10. With the block of the H100s reserved, all is covered.
    """
    (tmp_path / "rented.yaml").write_text("gpu: {price: 3}\n")
    with own_home() as environ:
        own = replace(site, environ=environ)
        options = ["-q", "--config", str(tmp_path / "rented.yaml"), "--simulate", "healthy"]
        subprocess.run([COSTMETER, "run", *options, "--", "sleep", "1"], env=environ, check=True, timeout=60)
        for model, is_covered in (("*A100*", False), ("*H100*", True)):
            (tmp_path / "reserved.yaml").write_text(BY_MODEL.replace("MODEL", model))
            done = own.report("--bill", "--json", "--config", str(tmp_path / "reserved.yaml"))
            (bill,) = json.loads(done.stdout)["bills"]
            covered, metered = (
                Decimal(text) for text in (bill["commitment"]["covered_rental"], bill["metered"]["rental"])
            )
            assert metered > 0
            assert (metered if is_covered else 0) == covered


def test_a_tariff_that_cannot_be_read_is_named_on_the_bill(site: Site, tmp_path: Path) -> None:
    """The settings do name a tariff file: the note says what is wrong with it, and asks for no other."""
    (tmp_path / "costmeter.yaml").write_text("electricity: {price: {tariff: gone.yaml}}\n")
    command = [COSTMETER, "report", "--bill", "--json"]
    done = subprocess.run(command, env=site.environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    (bill,) = json.loads(done.stdout)["bills"]
    assert any(note.startswith("missing from the total: costmeter.yaml:1:") for note in bill["notes"])
    assert not any("no tariff file" in note for note in bill["notes"])


def test_without_runs_there_is_no_bill() -> None:
    """In a home where nothing was recorded the command says so, and what to type; 1."""
    with own_home() as environ:
        done = subprocess.run([COSTMETER, "report", "--bill"], env=environ, capture_output=True, text=True, timeout=60)
    assert 1 == done.returncode
    assert "no runs recorded" in done.stderr
    assert "costmeter run" in done.stderr
