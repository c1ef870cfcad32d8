"""The reference page: every key is there with its default, and every example loads."""

import re
from pathlib import Path

import pytest

from costmeter.config.grammar import keys
from tests.config.writing import read

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| `([a-z_.]+)` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)


def test_the_page_lists_exactly_the_keys_of_the_grammar() -> None:
    """Every key of the grammar has a row, in its order, and no row is of a key that is not there."""
    assert [name for name, _ in keys()] == [name for name, _, _ in ROWS if name != "gpu"]


@pytest.mark.parametrize(("name", "default"), [pytest.param(name, key.default, id=name) for name, key in keys()])
def test_the_page_quotes_the_default(name: str, default: str) -> None:
    """The default on the page is the one in the grammar."""
    quoted = {key: text.strip("`") for key, _, text in ROWS}
    assert default == quoted[name]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_load_without_fault(number: int) -> None:
    """Each YAML example of the page is a valid configuration."""
    assert read(EXAMPLES[number])[1] == []
