"""`costmeter prices`: what is listed, shown and checked of bundled tables and of files."""

import json
import os
import re
import subprocess
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.cli.prices_effect import age, number
from costmeter.feeds.directory import FEEDS
from costmeter.outputs.columns import columns
from tests.cli.typed import typed
from tests.feeds.servers import NOON_NS

TARIFFS = Path(__file__).parents[2] / "examples" / "tariffs"
SERIES = """# source: Somebody
# fetched: 2024-01-02
start_utc,end_utc,value,unit
2024-01-01T00:00Z,2024-01-01T01:00Z,0.20,EUR/kWh
2024-01-01T01:00Z,2024-01-01T02:00Z,-0.10,EUR/kWh
2024-01-01T03:00Z,2024-01-01T05:00Z,0.40,EUR/kWh
"""


def prices(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the command says, with nothing of this machine's settings."""
    return typed(folder, "prices", *arguments, **environ)


def test_the_cheapest_comes_first(tmp_path: Path) -> None:
    """Rows that have all the words, by price per GPU-hour; Azure's spot H100 is 18.169536 / 8 = 2.271192."""
    done = prices(tmp_path, "list", "h100", "azure", "spot", "--json", "--limit", "0")
    rows = json.loads(done.stdout)
    amounts = [Decimal(row["USD/GPU-h"]) for row in rows]
    assert amounts == sorted(amounts)
    assert all("H100" in row["model"] and row["key"].endswith("/spot") for row in rows)
    found = {row["key"]: row["USD/GPU-h"] for row in rows}
    assert "2.2712" == found["azure/Standard_ND96isr_H100_v5/eastus/spot"]


def test_a_list_is_cut_and_says_so(tmp_path: Path) -> None:
    """At most so many rows, and how many more there are."""
    lines = prices(tmp_path, "list", "a100", "--limit", "2").stdout.splitlines()
    assert lines[0].split()[:2] == ["USD/GPU-h", "key"]
    assert lines[3].startswith("and ")


@pytest.mark.parametrize("kind", ["gpu", "carbon", "tariffs"])
def test_nothing_found_is_an_exit_code(kind: str, tmp_path: Path) -> None:
    """No row: exit code 1, and words on stderr."""
    done = prices(tmp_path, "list", "--kind", kind, "no-such-thing")
    assert (1, "", True) == (done.returncode, done.stdout, bool(done.stderr))


def test_zones_show_year_scope_and_method(tmp_path: Path) -> None:
    """A zone's row names what its factor counts: Germany 2024, lifecycle, by Ember; the zone as it is typed."""
    rows = json.loads(prices(tmp_path, "list", "--kind", "carbon", "germany", "--json").stdout)
    (ember,) = [row for row in rows if row["zone"] == "DE" and row["method"] == "location average"]
    assert ("342.06", "2024", "lifecycle") == (ember["g/kWh"], ember["year"], ember["scope"])


def test_a_zone_that_was_named_comes_first(tmp_path: Path) -> None:
    """DE is Germany: Rio de Janeiro, whose name has the letters and whose grid is cleaner, comes after."""
    rows = json.loads(prices(tmp_path, "list", "--kind", "carbon", "DE", "--limit", "0", "--json").stdout)
    codes = [row["zone"] for row in rows]
    assert "DE" == codes[0]
    first_other = next(at for at, code in enumerate(codes) if code != "DE")
    assert first_other > 1
    assert "DE" not in codes[first_other:]


def test_blanks_part_words(tmp_path: Path) -> None:
    """`"H100 SXM"` finds what `h100 sxm` finds."""
    one = prices(tmp_path, "list", "H100 SXM", "--json").stdout
    assert one == prices(tmp_path, "list", "h100", "sxm", "--json").stdout


def test_listed_prices_name_their_source_and_doubts(tmp_path: Path) -> None:
    """The spot price of p4d is coroot's of August 2024, the on-demand price another's: each row says which, and why."""
    rows = {row["key"]: row for row in json.loads(prices(tmp_path, "list", "p4d", "us-east-1", "--json").stdout)}
    spot, on_demand = (rows[f"aws/p4d.24xlarge/us-east-1/{kind}"] for kind in ("spot", "on_demand"))
    assert ("2024-08-09", "GitHub coroot/cloud-pricing") == (spot["date"], spot["source"])
    assert ("2026-07-20", "GitHub aws/karpenter-provider-aws") == (on_demand["date"], on_demand["source"])
    assert "it changes by the hour" in spot["doubts"]
    assert "it changes by the hour" in prices(tmp_path, "list", "p4d", "us-east-1").stdout
    shown = prices(tmp_path, "show", "aws/p4d.24xlarge/us-east-1/spot").stdout
    assert "2024-08-09, GitHub coroot/cloud-pricing" in shown
    assert 1 == shown.count("changes by the hour")


def test_a_price_is_as_old_as_its_day(tmp_path: Path) -> None:
    """A spot price of 9 August 2024 is as many days old as there are since that day, not since the month began."""
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: {catalog: aws/p4d.24xlarge/us-east-1/spot}}\n")
    days = {(datetime.now(timezone.utc).date() - date(2024, 8, 9)).days}
    found = re.search(r"(\d+) days old", prices(tmp_path, "check").stdout)
    days.add((datetime.now(timezone.utc).date() - date(2024, 8, 9)).days)
    assert found is not None
    assert int(found[1]) in days


def test_tariff_files_of_a_folder_are_listed(tmp_path: Path) -> None:
    """Every plan of the files in a folder, one a row."""
    done = prices(tmp_path, "list", "--kind", "tariffs", str(TARIFFS), "--json", "--limit", "0")
    assert {"GBP", "USD", "EUR", "CAD"} == {row["currency"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("azure/Standard_ND96isr_H100_v5/eastus", ["12.29 USD/GPU-h", "98.32", "2026-06-18"], id="gpu"),
        pytest.param("DE", ["342.06 gCO2e/kWh", "2024", "lifecycle", "Ember"], id="zone"),
        pytest.param("aws/us-east-1", ["244.8 gCO2e/kWh", "direct", "zone: aws/us-east-1"], id="region"),
    ],
)
def test_one_thing_is_shown_in_full(key: str, words: list[str], tmp_path: Path) -> None:
    """Figure, date, source, and the line to configure it."""
    done = prices(tmp_path, "show", key)
    assert 0 == done.returncode
    assert all(word in done.stdout for word in words), done.stdout
    assert "use it" in done.stdout


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("azure/Standard_ND96isr_H100_v6/eastus", "Did you mean", id="instance"),
        pytest.param("Germny", "Did you mean", id="zone"),
        pytest.param("none.csv", "No such file", id="file"),
        pytest.param("aws/p5.48xlarge", "has a price per region: add one", id="no-region"),
        pytest.param("aws/p5.48xlarge/mars", "no price of aws/p5.48xlarge in", id="no-such-region"),
        pytest.param("gcp/us-eest1", '"gcp/us-east1"', id="region-as-zone"),
        pytest.param("h100", "hint: costmeter prices list h100", id="model"),
        pytest.param("H100 SXM", "hint: costmeter prices list 'H100 SXM'", id="two-words"),
        pytest.param("nobody/p5/x", 'no provider "nobody"', id="provider"),
    ],
)
def test_what_there_is_not_is_told_with_what_is_near(key: str, words: str, tmp_path: Path) -> None:
    """Exit code 1 and the nearest names."""
    done = prices(tmp_path, "show", key)
    assert (1, True) == (done.returncode, words in done.stderr)


def test_a_series_is_shown_by_its_figures(tmp_path: Path) -> None:
    """Mean over time: (0.2 x 1 h - 0.1 x 1 h + 0.4 x 2 h) / 4 h = 0.225; the hour from 02:00 is a hole."""
    (tmp_path / "s.csv").write_text(SERIES)
    text = prices(tmp_path, "show", "s.csv").stdout
    found = dict(line.split(None, 1) for line in text.splitlines())
    assert ("-0.1 EUR/kWh", "0.225 EUR/kWh", "0.4 EUR/kWh") == (found["least"], found["mean"], found["most"])
    assert "1: 2024-01-01T02:00Z to 2024-01-01T03:00Z" == found["holes"]
    assert "ends 2024-01-01T05:00Z" in found["now"]


def test_a_tariff_is_shown_by_its_days(tmp_path: Path) -> None:
    """Economy 7: two prices by the clock, the daily charge beside them."""
    text = prices(tmp_path, "show", str(TARIFFS / "uk_octopus_economy7.yaml")).stdout
    assert "GBP/kWh" in text
    assert "fixed" in text
    assert any(line.startswith("Mon") or " Mon" in line[:30] for line in text.splitlines())


def test_a_series_is_doubted_where_it_ends_and_has_holes(tmp_path: Path) -> None:
    """A past end, a hole and an old fetch are warnings, and warnings are no failure."""
    (tmp_path / "s.csv").write_text(SERIES)
    done = prices(tmp_path, "check", "s.csv")
    lines = done.stdout.splitlines()
    assert (0, "ok    s.csv: 3 values in EUR/kWh") == (done.returncode, lines[0])
    for words in ("ends 2024-01-01T05:00Z", "1 hole, the first 2024-01-01T02:00Z", "fetched "):
        assert any(line.startswith("warn") and words in line for line in lines), words


def test_a_file_that_grows_too_long_is_doubted(tmp_path: Path) -> None:
    """Above 6 MB, before the 8 MB that are read at most are reached."""
    (tmp_path / "s.csv").write_text(f"# note: {'x' * 990}\n" * 6_100 + SERIES)
    lines = prices(tmp_path, "check", "s.csv").stdout.splitlines()
    assert any(line.startswith("warn") and "more than 8,000,000 are not read" in line for line in lines)


def test_an_implausible_value_is_doubted(tmp_path: Path) -> None:
    """200 EUR per kWh is probably a price per MWh."""
    (tmp_path / "s.csv").write_text(SERIES.replace("0.40", "200"))
    assert "200 EUR/kWh is unusual; is the unit right?" in prices(tmp_path, "check", "s.csv").stdout


def test_a_faulty_file_fails_with_its_line(tmp_path: Path) -> None:
    """Exit code 1, file and line."""
    (tmp_path / "s.csv").write_text(SERIES.replace("-0.10", "x"))
    done = prices(tmp_path, "check", "s.csv")
    assert 1 == done.returncode
    assert done.stdout.startswith("fail  s.csv:5:")


@pytest.mark.parametrize("file", sorted(path.name for path in TARIFFS.glob("*.yaml")))
def test_the_tariffs_that_come_along_have_no_faults(file: str, tmp_path: Path) -> None:
    """Each example is read; a quote of the seller that can be computed comes out."""
    done = prices(tmp_path, "check", str(TARIFFS / file))
    assert 0 == done.returncode, done.stdout
    assert not any("quotes" in line for line in done.stdout.splitlines() if line.startswith("warn"))


def test_without_a_word_the_prices_in_effect_are_shown(tmp_path: Path) -> None:
    """A catalogue price in a settings file: its value, where it is from, how old it is, and why to doubt it."""
    (tmp_path / "costmeter.yaml").write_text("gpu: {price: {catalog: azure/Standard_ND96isr_H100_v5/eastus/spot}}\n")
    shown = prices(tmp_path, "show").stdout
    assert "2.271192 USD/GPU-h" in shown
    assert "days old" in shown
    assert shown == prices(tmp_path, "show", "-c", "costmeter.yaml").stdout
    checked = prices(tmp_path, "check").stdout
    assert any(line.startswith("warn  gpu.price") and "it changes by the hour" in line for line in checked.splitlines())


def test_faults_of_the_settings_fail_the_check(tmp_path: Path) -> None:
    """A misspelt key is a fault with its place."""
    (tmp_path / "costmeter.yaml").write_text("gpu: {pric: 2}\n")
    done = prices(tmp_path, "check")
    assert 1 == done.returncode
    assert done.stdout.startswith("fail  costmeter.yaml:1:7: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["fetch", "octopuss", "-o", "a.csv"], 'Did you mean "octopus"', id="feed"),
        pytest.param(["fetch", "octopus", "-o", "a.csv"], "octopus takes PRODUCT TARIFF-CODE", id="words"),
        pytest.param(["fetch", "awattar", "fr", "-o", "a.csv"], 'de|at cannot be "fr"', id="word"),
        pytest.param(["fetch", "octopus", "..", "x", "-o", "a.csv"], "no PRODUCT is written so", id="dots"),
        pytest.param(["fetch", "awattar", "de", "-o", "a", "--from", "today"], '--from "today"', id="time"),
        pytest.param(
            ["fetch", "awattar", "de", "-o", "a", "--from", "2026-01-02", "--to", "2026-01-01"],
            "before --to",
            id="order",
        ),
        pytest.param(
            ["fetch", "azure", "a", "b", "-o", "a", "--from", "2026-01-02"], "neither --from nor --to", id="now-only"
        ),
        pytest.param(["fetch", "azure", "a", "b", "-o", "a", "--gpus", "eight"], '--gpus "eight"', id="gpus"),
        pytest.param(["fetch", "azure", "a", "b", "-o", "a"], "how many GPUs", id="unknown-instance"),
        pytest.param(["fetch", "awattar", "de", "-o", ""], "-o names no file", id="no-output"),
        pytest.param(["list", "--limit", "-1"], "--limit", id="limit"),
        pytest.param(["list", "--kind", "tariffs", "examples/tariffs"], 'no folder "examples/tariffs"', id="folder"),
        pytest.param(["list", "--kinds", "gpu"], 'Did you mean "--kind"?', id="option"),
        pytest.param(["list", "--kinds", "gpu"], "hint: costmeter prices list --help", id="option-hint"),
        pytest.param(["show", "--limit", "3"], "costmeter prices show: unrecognized", id="option-of-another"),
        pytest.param(["shwo"], 'Did you mean "show"?', id="subcommand"),
        pytest.param(["import", "x.json", "--timezone", "Berlin"], 'Did you mean "Europe/Berlin"', id="zone"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], words: str, tmp_path: Path) -> None:
    """What is wrong and what to type, before anything is asked or written."""
    done = prices(tmp_path, *arguments, https_proxy="http://127.0.0.1:1")
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert [] == os.listdir(tmp_path)


def test_the_help_of_fetch_names_every_feed(tmp_path: Path) -> None:
    """Each feed with its words and what it brings."""
    text = prices(tmp_path, "fetch", "--help").stdout
    assert all(feed.brings in text for feed in FEEDS.values())


def test_columns_start_together() -> None:
    """Cells are as wide as their column; those to the right end together."""
    assert ["a    1", "bb  10"] == columns([("a", "1"), ("bb", "10")], frozenset({1}))
    assert [] == columns([])


def test_numbers_and_ages() -> None:
    """Six places without zeros; a month counts from its first day: 1 May to 22 November 2026 are 205 days."""
    assert ["100", "0.123457"] == [number(Decimal("100.000")), number(Decimal("0.1234567"))]
    assert 205 == age("2026-05", NOON_NS)
    assert 21 == age("2026-11-01T10:00Z", NOON_NS)
    assert 0 == age("2026-12-01", NOON_NS)
    assert age("2026-13-01", NOON_NS) is None
    assert age("", NOON_NS) is None
    assert age("2026 or so", NOON_NS) is None
