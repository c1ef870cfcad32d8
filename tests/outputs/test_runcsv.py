"""Runs as CSV, where one line is not enough or a text is no text."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from costmeter.ledger.listing import listing
from costmeter.outputs.csvtext import harmless
from costmeter.outputs.runcsv import runs_csv
from tests.ledger.written import write
from tests.outputs.test_runlist import RENTED, ended, run
from tests.samples import HOUR


def test_each_currency_has_the_hosts_and_times_of_its_own_parts(tmp_path: Path) -> None:
    """An hour on gpu01 in dollars, then half an hour on gpu02 in euros: neither line has what is the other's."""
    for part, host, after_ns, minutes, currency in ((1, "gpu01", 0, 60, "USD"), (2, "gpu02", 2 * HOUR, 30, "EUR")):
        first, records = ended(run("both", after_ns, minutes, replace(RENTED, currency=currency), host=host, part=part))
        write(tmp_path / "runs" / first.run, first, records)
    rows = {row["currency"]: row for row in csv.DictReader(io.StringIO(runs_csv(listing(tmp_path).runs)))}
    assert {"USD": "gpu01", "EUR": "gpu02"} == {currency: row["hosts"] for currency, row in rows.items()}
    assert {"USD": "3600", "EUR": "1800"} == {currency: row["seconds"] for currency, row in rows.items()}
    assert {"USD": "7200", "EUR": "3600"} == {currency: row["gpu_seconds"] for currency, row in rows.items()}
    assert {"1×H100 + 1×A100"} == {row["gpus"] for row in rows.values()}
    assert "2026-11-22T16:03:00.000Z" == rows["EUR"]["started_at"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("@here", "'@here"),
        ("+49", "'+49"),
        ("sft-llama", "sft-llama"),
        ("\t=1", "?=1"),
        ("a\r\nb", "a??b"),
        ("\x1b[2J", "?[2J"),
        ("\x9b31m", "?31m"),
        ("safe\u202etxt.exe", "safe?txt.exe"),
        ("Größe, 東京", "Größe, 東京"),
    ],
)
def test_texts_do_nothing_but_stand_there(text: str, written: str) -> None:
    """Only what begins like a formula has an apostrophe; what is no sign is a question mark."""
    assert written == harmless(text)
