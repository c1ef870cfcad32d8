"""The schema file of the public contract against receipts of every kind, and against receipts that break it."""

import json
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.ledger.query import Run
from costmeter.meter.projection import Projection
from costmeter.outputs.receipt import SCHEMA, receipt
from tests.outputs import runs
from tests.runtime.metered import SECOND, Metered, metered
from tests.sources.nodes import STEADY


def schema() -> dict[str, Any]:
    """The schema that is shipped."""
    shipped: dict[str, Any] = json.loads(files("costmeter.outputs").joinpath("receipt.schema.json").read_text())
    return shipped


def validator() -> Draft202012Validator:
    """What accepts and refuses receipts."""
    return Draft202012Validator(schema())


def made(run: Metered) -> dict[str, Any]:
    """What is read from a receipt's file."""
    loaded: dict[str, Any] = json.loads(json.dumps(receipt(Run((run.written(),)))))
    return loaded


def test_the_schema_is_a_schema_of_this_contract() -> None:
    """The file is valid JSON Schema and names the version that receipts carry."""
    Draft202012Validator.check_schema(schema())
    assert SCHEMA == schema()["$id"]


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "interrupted"])
@pytest.mark.parametrize("devices", [True, False], ids=["with-gpus", "without"])
def test_receipts_keep_the_contract(ended: bool, devices: bool) -> None:
    """A run that ended or was killed, with GPUs or without, has a receipt that the schema accepts."""
    with metered(STEADY) as run:
        if devices:
            run.open()
            run.tick(0)
            run.tick(90 * SECOND)
        if ended:
            run.end()
        elif not run.posts:
            run.open()
        assert [] == [error.message for error in validator().iter_errors(made(run))]


@pytest.mark.parametrize("run", [runs.trained, runs.broke_off, runs.resumed, runs.going_on])
def test_what_the_job_told_keeps_the_contract(run: Callable[[], Run]) -> None:
    """Phases, progress, budgets, checkpoints and work done twice stand in the receipt as the schema has them."""
    projection = Projection(7_200 * SECOND, 7_000 * SECOND, 9_000 * SECOND, *map(Decimal, ("43", "41", "47")))
    of = json.loads(json.dumps(receipt(run(), projection=projection)))
    assert [] == [error.message for error in validator().iter_errors(of)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(("cost", "total"), 63.78, id="money-as-a-float"),
        pytest.param(("run", "outcome"), "fine", id="unknown-outcome"),
        pytest.param(("energy", "total_joules"), -1, id="negative-energy"),
        pytest.param(("provenance", "gpu_seconds"), "guessed", id="unknown-provenance"),
        pytest.param(("sunk", "checkpoints"), -1, id="less-than-no-checkpoint"),
        pytest.param(("progress", "steps"), "1200", id="steps-as-text"),
    ],
)
def test_what_breaks_the_contract_is_refused(place: tuple[str, str], value: object) -> None:
    """A receipt with a value that the contract does not allow is refused."""
    with metered(STEADY) as run:
        run.open()
        run.tick(0)
        run.tick()
        run.end()
        broken = made(run)
    broken[place[0]][place[1]] = value
    assert not validator().is_valid(broken)
