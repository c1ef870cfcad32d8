"""Totals of groups as data, CSV and Markdown."""

import csv
import io
import json
from datetime import timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.ledger.days import Days, by_date
from costmeter.ledger.grouping import KEYS, Group, groups
from costmeter.ledger.listing import listing
from costmeter.outputs import grouplist
from costmeter.outputs.runcsv import runs_csv
from costmeter.outputs.style import Style
from tests.ledger.written import write
from tests.outputs.test_runlist import ended, run
from tests.samples import HOUR


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of somebody with a project whose name begins like a formula, one of nobody, one simulated."""
    folder = tmp_path_factory.mktemp("groups")
    for name, after_ns, facts in (
        ("first", 0, {"user": "maya", "labels": {"project": "-llm"}}),
        ("second", HOUR, {}),
        ("toy", 2 * HOUR, {"simulated": True}),
    ):
        first, records = ended(run(name, after_ns, 10, **facts))
        write(folder / "runs" / first.run, first, records)
    return folder


def made(state: Path, key: str) -> tuple[Group, ...]:
    """All runs by what they have in common."""
    runs = listing(state).runs
    if key == "month":
        return by_date(state, runs, key, timezone.utc, Days())
    return groups(state, runs, key, timezone.utc)


@pytest.mark.parametrize("key", [*dict.fromkeys((*KEYS, "month"))])
def test_the_document_is_as_its_schema_says(state: Path, key: str) -> None:
    """Numbers are numbers and truths are truths; money is text; what nobody told is null."""
    schema: dict[str, Any] = json.loads(files("costmeter.outputs").joinpath("groups.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    document = json.loads(json.dumps(grouplist.document(made(state, key), key)))
    Draft202012Validator(schema).validate(document)
    assert {False, True} == {group["simulated"] for group in document["groups"]}
    broken = json.loads(json.dumps(document).replace("false", '"false"'))
    assert not Draft202012Validator(schema).is_valid(broken)


def test_csv_files_join_by_their_keys(state: Path) -> None:
    """A project is written alike in the groups and in the list; of none the field is empty, and only in text a dash."""
    found = {row["project"] for row in csv.DictReader(io.StringIO(grouplist.csv(made(state, "project"), "project")))}
    listed = {row["project"] for row in csv.DictReader(io.StringIO(runs_csv(listing(state).runs)))}
    assert {"", "'-llm"} == found == listed
    assert any(
        line.startswith("- ") for line in grouplist.render(made(state, "project"), "project", Style()).split("\n")
    )


def test_markdown_says_what_nobody_pays_for(state: Path) -> None:
    """The table of simulated runs stands under its heading, the other under none."""
    text = grouplist.markdown(made(state, "user"), "user")
    assert 1 == text.count("**simulated GPUs, which nobody pays for**")
    assert text.index("maya") < text.index("**simulated")
    assert "IDLE USD" in text
