"""Why GPUs were idle, through the installed command: from a job's own word to journal, receipt and what-if."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from costmeter.ledger.line import unseal
from tests.end_to_end.installed import COSTMETER, own_home

#: A job that says that it waits for data, and does for a few ticks.
JOB = """
import time, costmeter
for _ in range(6):  # what is said before the meter listens is lost, and said again
    with costmeter.phase("data loading"):
        time.sleep(1)
"""
PRICED = ("--simulate", "notebook", "--price", "3600")


def test_from_the_jobs_word_to_what_if(tmp_path: Path) -> None:
    """What the job says of its phase is why its GPUs are idle; receipt, report and what-if have one sum of it."""
    file = tmp_path / "receipt.json"
    with own_home() as environ:
        command = [COSTMETER, "run", *PRICED, "--json", str(file), "--", sys.executable, "-c", JOB]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
        receipt = json.loads(file.read_text())
        again = json.loads(_said(environ, "report", "last", "--json"))[0]
        table = json.loads(_said(environ, "what-if", "last", "--json"))
        text = _said(environ, "what-if", "last")
        (journal,) = Path(environ["XDG_STATE_HOME"]).rglob("*.jsonl")
        slots = [unseal(line) for line in journal.read_bytes().splitlines() if line.startswith(b'{"type":"slot"')]

    assert "waiting-for-data" in {slot.get("why") for slot in slots}
    assert receipt["idle_reasons"]["waiting-for-data"] > 0
    assert round(receipt["gpu_seconds"]["idle"], 9) == round(sum(receipt["idle_reasons"].values()), 9)
    assert Decimal(receipt["cost"]["states"]["idle"]) == sum(map(Decimal, receipt["idle_costs"].values()))
    assert " Idle  " in done.stderr
    assert "waiting for data" in done.stderr
    assert (receipt["idle_reasons"], receipt["idle_costs"]) == (again["idle_reasons"], again["idle_costs"])
    (row,) = [row for row in table["scenarios"] if row["name"] == "no waiting"]
    waited = Decimal(receipt["idle_costs"]["waiting-for-data"])
    assert Decimal(row["cost"]) == Decimal(receipt["cost"]["total"]) - waited
    assert (row["emissions_grams"], row["energy_kwh"], row["estimate"]) == (None, None, True)
    assert "\nno waiting  " in text


def _said(environ: dict[str, str], *arguments: str) -> str:
    """What a command prints."""
    command = [COSTMETER, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout
