"""The JSON Schema: what it refuses the parser refuses too, and the mistakes an editor should mark are marked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.config.parse import parse
from costmeter.config.schema import json_schema
from costmeter.config.yamlfile import Mapping, Node, Scalar, Sequence, compose
from tests.config.fuzz import mutations
from tests.depth import deeply

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Every block of the configuration page that is a configuration file, which test_docs and others hold to be right.
DOCUMENTED = [
    block
    for block in BLOCK.findall((ROOT / "docs" / "configuration.md").read_text())
    if not parse(compose(block, "")[0]).faults
]
FORMS = """
gpu:
  - {match: {index: 0}, price: {catalog: aws/p5.48xlarge/us-east-1/spot}}
  - {match: {index: 1}, price: {per_instance_hour: 55.04, gpus: 8}}
  - {match: {index: 2-3}, price: spot.csv, commitment: {gpus: 2, price: 1, from: 2026-01-01, to: 2027-01-01}}
  - {billing: owned, owned: {purchase: 30000, server_share: 100}}
electricity: {price: {tariff: [a.yaml, b.yaml], plan: x, tier: last}, pue: 1.2}
carbon: {intensity: {zone: DE, scope: lifecycle}, market: 300, embodied: none}
items:
  - {name: a, path: x, per_gb_month: 0.02}
  - {name: b, gb: 500, per_gb_month: 0.02}
  - {name: c, network: sent, interface: eth*, per_gb: 0.09}
  - {name: d, per_gpu_hour: 0.1}
  - {name: e, per_hour: 85, count: 2}
  - {name: f, fixed: 1200}
budget: {amount: 5, warn_at: [0.5]}
labels: {team: nlp, n: 5}
"""


def instance(node: Node | None, resolved: bool) -> Any:
    """A document as an editor has it: values as texts, or as the numbers and nothings they look like."""
    if node is None or (isinstance(node, Scalar) and not node.text and not node.quoted):
        return None
    if isinstance(node, Sequence):
        return [instance(item, resolved) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text: instance(value, resolved) for key, value in node.entries}
    is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", node.text) and not node.quoted
    if not (resolved and is_number):
        return node.text
    return float(node.text) if "." in node.text else int(node.text)


def marks(text: str, resolved: bool = True) -> list[str]:
    """What the schema says against a document."""
    return [error.message for error in VALIDATOR.iter_errors(instance(compose(text, "c.yaml")[0], resolved))]


def test_the_schema_is_one() -> None:
    """It is a valid schema of its draft, with a word on every setting."""
    Draft202012Validator.check_schema(json_schema())
    assert "facility energy over IT energy" in json.dumps(json_schema()).lower().replace("it energy", "IT energy")


@pytest.mark.parametrize("resolved", [True, False], ids=["numbers", "texts"])
@pytest.mark.parametrize("text", [*DOCUMENTED, FORMS, "", "gpu:\nlabels:\n"])
def test_what_the_parser_takes_is_not_marked(text: str, resolved: bool) -> None:
    """Every documented file, and one with every form there is, passes; numbers may be written as texts."""
    assert [] == marks(text, resolved)


@pytest.mark.parametrize("text", [*DOCUMENTED, FORMS])
def test_nothing_right_is_marked_in_mutated_files(text: str) -> None:
    """Over a hundred mutations of a file, whatever the parser has no fault with the schema has none with either."""
    for mutated in mutations(text, deeply(100), seed=4):
        root, faults = compose(mutated, "c.yaml")
        if not faults and not parse(root).faults:
            assert [] == marks(mutated, resolved=False), mutated


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("tarrif: x", id="unknown-section"),
        pytest.param("gpu: {prize: 2}", id="unknown-key"),
        pytest.param("gpu: {price: -1}", id="negative-price"),
        pytest.param("gpu: {price: cheap}", id="no-number"),
        pytest.param("gpu: {price: {zone: DE}}", id="a-form-of-something-else"),
        pytest.param("gpu: {price: {catalog: a/b, gpus: 2}}", id="a-key-of-another-form"),
        pytest.param("electricity: {pue: 0.5}", id="below-the-minimum"),
        pytest.param("electricity: {price: {windows: [{hours: 9-5, price_per_kwh: 1}]}}", id="hours"),
        pytest.param("currency: usd", id="currency"),
        pytest.param("items: [{name: x}]", id="an-item-of-no-kind"),
        pytest.param("items: [{name: x, fixed: 1, per_gb: 1}]", id="an-item-of-two-kinds"),
        pytest.param("budget: {on_exceed: explode}", id="choice"),
        pytest.param("labels: {9: x}", id="label"),
    ],
)
def test_mistakes_are_marked(text: str) -> None:
    """A mistake that an editor can see is marked, and the parser refuses it as well."""
    assert marks(text)
    assert parse(compose(text, "c.yaml")[0]).faults


def test_the_command_prints_it() -> None:
    """`costmeter config schema` prints the same schema as JSON."""
    argv = [sys.executable, "-m", "costmeter", "config", "schema"]
    printed = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    assert json_schema() == json.loads(printed)
