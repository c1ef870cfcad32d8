"""Runs of which no journal can be read: every command says which file, why and what to do, and never that none ran."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.ledger.line import seal
from tests.end_to_end.installed import COSTMETER, own_home

NEWER = seal({"type": "header", "schema": "costmeter.journal/9"})
NO_HEADER = ("no readable header line", "copy it again")


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A home whose only runs are zeros, another program's lines, and a journal of a later costmeter."""
    with own_home() as variables:
        runs = Path(variables["XDG_STATE_HOME"], "costmeter", "runs")
        for run, content in (("zeros", bytes(4_096)), ("foreign", b'{"hello": 1}\n'), ("newer", NEWER)):
            (runs / run).mkdir(parents=True)
            (runs / run / "gpu01.1.jsonl").write_bytes(content)
        yield variables


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        pytest.param("report zeros", 1, NO_HEADER, id="receipt-zeros"),
        pytest.param("report foreign --json", 1, NO_HEADER, id="receipt-foreign"),
        pytest.param("report newer --html", 1, ("costmeter.journal/9", "pip install -U costmeter"), id="page-newer"),
        pytest.param("what-if zeros --price 2", 1, NO_HEADER, id="what-if-zeros"),
        pytest.param("what-if newer --price 2", 1, ("gpu01.1.jsonl: journal of schema",), id="what-if-newer"),
        pytest.param("report last", 1, ("no run under", "can be read", "costmeter report says why"), id="last"),
        pytest.param("what-if last --price 2", 1, ("can be read",), id="what-if-last"),
        pytest.param("report", 0, ("Not counted: 3 journals that cannot be read",), id="list"),
        pytest.param("report --format csv", 0, ("3 journals cannot be read and are not counted",), id="csv"),
        pytest.param("report zeros --json --by name", 0, ("1 journal cannot be read and is not counted",), id="group"),
        pytest.param("report --bill", 0, ("3 of 3 journals not counted", "nothing that can be read ran"), id="bill"),
        pytest.param("budget", 0, ("zeros/gpu01.1.jsonl: no readable header line", "no budget is set"), id="budget"),
    ],
)
def test_what_cannot_be_read_is_said_and_not_taken_for_nothing(
    environ: dict[str, str], command: str, code: int, said: tuple[str, ...]
) -> None:
    """The file, the reason and the next step; not that nothing was recorded, nor that nothing matched."""
    done = subprocess.run([COSTMETER, *command.split()], env=environ, capture_output=True, text=True, timeout=60)
    told = done.stdout + done.stderr
    assert code == done.returncode, told
    for words in said:
        assert words in told
    for untrue in ("Traceback", "no runs recorded", "no run matches"):
        assert untrue not in told
