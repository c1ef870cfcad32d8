"""A run in two parts through the installed command: each part's receipt is of what it did itself, the report of all."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.identity import boot_id, start_ticks
from tests.end_to_end.installed import COSTMETER, own_home, receipt
from tests.outputs import journeys

RUN = "r-two-parts"
#: Tells of steps from `first` to `last`, a hundred at a time, each of a hundred tokens.
TRAIN = """
import sys, time
import costmeter
first, last = map(int, sys.argv[1:])
for step in range(first, last + 1, 100):
    costmeter.step(step, tokens=100 * step, of=100_000)
    time.sleep(0.25)
"""


@pytest.fixture(name="home")
def _home() -> Iterator[dict[str, str]]:
    with own_home() as environment:
        yield {**environment, "COSTMETER_RUN_ID": RUN}


def command(*options: str, steps: tuple[int, int]) -> list[str]:
    train = [sys.executable, "-c", TRAIN, *map(str, steps)]
    return [COSTMETER, "run", "--simulate", "healthy", "--price", "3600", "--budget", "1000000", *options, "--", *train]


def told(argv: list[str], home: dict[str, str]) -> str:
    """What a command printed, on stdout and stderr."""
    ended = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=100, check=True)
    return ended.stdout + ended.stderr


def test_a_later_part_is_priced_by_its_own_steps(home: dict[str, str], tmp_path: Path) -> None:
    """Steps 0 to 1,000, then 1,000 to 2,000 in another part: each part by the 1,000 that it added, the run by 2,000."""
    files = tmp_path / "first.json", tmp_path / "second.json"
    screens = [
        told(command("--json", str(file), steps=steps), home)
        for file, steps in zip(files, ((100, 1_000), (1_100, 2_000)), strict=True)
    ]
    first, second = map(receipt, files)
    assert (None, 2) == (first["run"]["part"], second["run"]["part"])
    assert (None, 1_000) == (first["progress"]["from_steps"], second["progress"]["from_steps"])
    for part in (first, second):
        cost = Decimal(part["cost"]["total"])
        assert cost / 1_000 == pytest.approx(Decimal(part["progress"]["cost_per_step"]))
        assert cost * 10 == pytest.approx(Decimal(part["progress"]["cost_per_million_tokens"]))
    assert f"Part     2 of this run; all of it: costmeter report {RUN}\n" in screens[1]
    assert "Part " not in screens[0]
    assert "(from step 1,000 on)" in screens[1]
    said = re.sub(r"\s+", " ", screens[1])
    assert re.search(r"Budget [\d.]+ % of \$1,000,000.00 used by all parts of this run", said)
    whole = json.loads(told([COSTMETER, "report", RUN, "--json"], home), parse_float=Decimal)[0]
    both = sum((Decimal(part["cost"]["total"]) for part in (first, second)), Decimal(0))
    assert both / 2_000 == pytest.approx(Decimal(whole["progress"]["cost_per_step"]))
    assert whole["run"]["part"] is None
    assert "of this run" not in told([COSTMETER, "report", RUN], home)


def test_the_receipt_of_a_run_that_goes_on_says_what_is_to_come(home: dict[str, str]) -> None:
    """85 minutes of a run whose meter, this very process, still lives: 107.9 min more at $0.332 a minute, about $36."""
    mine: dict[str, Any] = {"boot_id": boot_id(), "pid": os.getpid(), "pid_start_ticks": start_ticks(os.getpid())}
    journeys.training(Path(home["XDG_STATE_HOME"], "costmeter", "runs", RUN), 85, outcome=None, **mine)
    text = told([COSTMETER, "report", RUN], home)
    assert re.search(r"^ To go    about \$36 more, 1 h 4\d m \(between \$[\d,.]+ and \$[\d,.]+\)$", text, re.MULTILINE)
    assert "· running ──" in text
