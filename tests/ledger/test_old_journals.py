"""Journals that earlier versions wrote, beside the receipts that these versions made of them: today's are the same.

Each was written by the command as it was then, on a simulated node: one run of a minute and a quarter to its end, on
four rented GPUs of different kinds, and one on four bought GPUs whose meter was killed. The receipt is what that very
version printed of it. Machine and user have other names; nothing else was changed.
"""

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.errors import JournalError
from costmeter.ledger.bulk import load_run
from costmeter.ledger.line import seal, unseal
from costmeter.outputs.receipt import receipt
from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger.slowly import fold_journal, read_journal

JOURNALS = Path(__file__).parent / "journals"
#: What was new in each age.
AGES = {
    "metered": "slots have numbers",
    "accounted": "counters have standings, energy has three methods",
    "priced": "rates have numbers, and slots name them",
    "recorded": "the footer has a summary, slots have phases and progress",
}
#: Figures that a receipt may have anew, or that are of the moment it is made.
COMPARED = ("cost", "energy", "emissions", "gpu_seconds", "unmeasured_gpu_seconds", "idle_reasons", "run")
RUNS = [pytest.param(age, run, id=f"{age}-{run}") for age in AGES for run in ("whole", "killed")]


def figures(text: str) -> Any:
    """JSON with every number exact."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def differing(before: Any, now: Any, path: str = "") -> list[str]:
    """What a receipt of before says that today's does not."""
    if not isinstance(before, dict):
        return [] if before == now else [f"{path}: {before} is now {now}"]
    return [line for key in before for line in differing(before[key], now.get(key, "absent"), f"{path}.{key}")]


def said_then(age: str, run: str) -> Any:
    """The receipt of then."""
    return figures((JOURNALS / age / run / "receipt.json").read_text())


@pytest.mark.parametrize(("age", "run"), RUNS)
def test_an_old_journal_has_the_receipt_it_had(age: str, run: str) -> None:
    """To the last digit: cost and its parts, energy and its methods, emissions, time by state, and how it ended."""
    recorded = load_run(JOURNALS, str(JOURNALS / age / run))
    now = figures(json.dumps(receipt(recorded)))
    then = said_then(age, run)
    assert [] == differing(then, {key: now[key] for key in COMPARED})
    assert Decimal(then["cost"]["total"]) > Decimal("0.09")
    assert {"whole": "failed", "killed": "interrupted"}[run] == now["run"]["outcome"]
    assert [] == now["meter"]["journal_problems"]


@pytest.mark.parametrize("age", AGES)
def test_the_installed_command_prints_it(age: str, tmp_path: Path) -> None:
    """A copy of an old journal is reported on a machine that has neither its driver nor its settings."""
    copied = tmp_path / "copied"
    shutil.copytree(JOURNALS / age / "whole", copied)
    with own_home() as environ:
        command = [COSTMETER, "report", str(copied), "--json"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    assert said_then(age, "whole")["cost"]["total"] == figures(done.stdout)[0]["cost"]["total"]


def aged(folder: Path, schema: str) -> Path:
    """A journal whose header names a schema."""
    first, *rest = (JOURNALS / "recorded" / "whole" / "gpu01.1.jsonl").read_bytes().splitlines(keepends=True)
    folder.mkdir(exist_ok=True)
    path = folder / "gpu01.1.jsonl"
    path.write_bytes(b"".join([seal(unseal(first) | {"schema": schema}), *rest]))
    return path


@pytest.mark.parametrize("schema", ["costmeter.journal/2", "costmeter.journal/10", "something else"])
def test_a_later_schema_is_refused_with_what_to_type(schema: str, tmp_path: Path) -> None:
    """What it says is not guessed at: the refusal names the file, both schemas, and the command that updates."""
    path = aged(tmp_path, schema)
    with pytest.raises(JournalError) as refusal:
        read_journal(path)
    assert all(words in refusal.value.message for words in (str(path), schema, "costmeter.journal/1"))
    assert "pip install -U costmeter" == refusal.value.hint


def test_the_installed_command_says_how_to_read_a_later_schema(tmp_path: Path) -> None:
    """Exit 1, no traceback, and the command to type on stderr."""
    path = aged(tmp_path, "costmeter.journal/2")
    with own_home() as environ:
        done = subprocess.run([COSTMETER, "report", str(path)], env=environ, capture_output=True, text=True, timeout=60)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert "pip install -U costmeter" in done.stderr


def test_one_part_of_a_later_schema_leaves_the_others(tmp_path: Path) -> None:
    """A run that a later version went on with is reported as far as it can be read, and what is not counted is said."""
    aged(tmp_path, "costmeter.journal/2").rename(tmp_path / "gpu01.2.jsonl")
    shutil.copy(JOURNALS / "recorded" / "whole" / "gpu01.1.jsonl", tmp_path)
    run = load_run(tmp_path, str(tmp_path))
    alone = fold_journal(read_journal(tmp_path / "gpu01.1.jsonl"))
    assert alone.totals == run.totals
    assert any("this part is not counted" in problem for problem in run.parts[0].problems)
