"""The receipt as Markdown: as approved, and deaf to whatever a name or a command contains."""

import re
from dataclasses import replace

import pytest

from costmeter.ledger.query import Run
from costmeter.meter.totals import DeviceTotals, Totals
from costmeter.outputs.markdown import markdown
from costmeter.outputs.markdowntext import code, escaped
from costmeter.outputs.receipt import receipt
from tests.golden.compare import golden
from tests.outputs import runs
from tests.samples import SECOND, measured

pytestmark = pytest.mark.usefixtures("in_utc")

HOSTILE = "</details><script>x</script> | a @maya #12 `rm` *b* [x](http://evil.example) \n# h www.evil.example"


@pytest.mark.parametrize(
    ("name", "run"),
    [
        pytest.param("trained", runs.trained(), id="phases-units-and-a-budget"),
        pytest.param("waited", runs.waited(), id="idle-for-reasons"),
        pytest.param("beside", runs.beside(), id="line-items"),
        pytest.param("interrupted", runs.interrupted(), id="interrupted-two-kinds-of-gpu"),
        pytest.param("no-driver", runs.no_driver(), id="nothing-metered"),
    ],
)
def test_a_comment_reads_as_approved(name: str, run: Run) -> None:
    """The whole text is that of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    text = markdown(receipt(run, with_full_cost=bool(run.parts[0].items)))
    assert golden(f"receipt-{name}.md", text) == text


def test_the_sentence_says_what_the_table_says() -> None:
    """A short run is not rounded to nothing, and a rehearsal is called one: 149 s on a GPU are 0.0414 GPU-hours."""
    part = runs.one("gpu01", "ok", 0)
    lasting = {
        uuid: DeviceTotals(measured(place * 149 * SECOND, 10**9)) for place, uuid in enumerate(part.totals.devices)
    }
    short = replace(part, totals=Totals(lasting), header=replace(part.header, simulated=True))
    text = markdown(receipt(Run((short,))))
    assert "| **total** | **0.0414** |" in text
    assert "\nThis run (simulated) took 0.0414 GPU-hours on " in text


def test_names_and_commands_are_words_and_nothing_else() -> None:
    """No markup, no line, no table cell, no call of a person and no link comes from what a record contains."""
    whole = runs.failed().parts[0]
    first = replace(whole.header, name=HOSTILE, host=HOSTILE, run=HOSTILE)
    marks = tuple(replace(mark, what=HOSTILE) for mark in whole.marks)
    devices = {uuid: replace(each, name=HOSTILE) for uuid, each in whole.devices.items()}
    hostile = Run((replace(whole, header=first, marks=marks, devices=devices, problems=(HOSTILE,)),))
    text, harmless = markdown(receipt(hostile)), markdown(receipt(runs.failed()))
    assert [] == re.findall(r"(?<!\\)<script|@maya|(?<!\\)#12|http://|www\.evil|(?<!\\)`rm|(?<!\\)\*b", text)
    assert [line.count(" | ") for line in harmless.splitlines() if line.startswith("| ")] == [
        line.replace("\\|", "").count(" | ") for line in text.splitlines() if line.startswith("| ")
    ]
    assert 1 == text.count("\n</details>")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        pytest.param("`python train.py`", "python train.py", id="plain"),
        pytest.param("`` echo `date` ``", "echo `date`", id="a-backtick"),
        pytest.param("``` a``b ```", "a``b", id="two"),
        pytest.param("`a?b`", "a\nb", id="a-line-end"),
    ],
)
def test_no_backtick_closes_a_command(expected: str, words: str) -> None:
    """A fence is longer than any run of backticks in it."""
    assert expected == code(words)


def test_plain_words_stay_as_they_are() -> None:
    """Figures, brackets, colons and the per cent sign need no escape."""
    words = "25.62 GPU-h × $2.49 rental (configured: costmeter.yaml:3); 3.4 % idle"
    assert words == escaped(words)
