"""The schema files of `estimate` and `when`, against what the two print in every case, and against what breaks them."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.config.layers import load_settings
from costmeter.config.settings import Settings
from costmeter.outputs import estimate, when
from costmeter.planning.opening import Job, opening
from costmeter.planning.plan import plan
from costmeter.planning.request import Request
from costmeter.units import NANOSECONDS_PER_SECOND

NOWHERE: Mapping[str, str] = {"XDG_CONFIG_DIRS": "/nowhere", "XDG_CONFIG_HOME": "/nowhere", "HOME": "/nowhere"}
TARIFF = Path(__file__).parents[2] / "examples" / "tariffs" / "uk_octopus_agile.yaml"
AGILE = {"currency": "GBP", "electricity.price": f"{{tariff: {TARIFF}}}", "timezone": "UTC"}
#: A rent that is lower by night.
NIGHT = {"gpu": '{price: {windows: [{hours: ["00:00-06:00"], price: 1}, {hours: other, price: 2}]}}'}
OWNED = {"gpu.billing": "owned", "gpu.owned.purchase": "30000", "electricity.price": "0.2"}


def schema(name: str) -> dict[str, Any]:
    """A schema that is shipped."""
    shipped: dict[str, Any] = json.loads(files("costmeter.outputs").joinpath(f"{name}.schema.json").read_text())
    return shipped


def settings(flags: Mapping[str, str]) -> Settings:
    return load_settings(None, flags, NOWHERE, "/", strict=True).settings


def broken(name: str, found: Mapping[str, Any]) -> list[str]:
    """What the schema says against a document, as it is read back from what is printed."""
    return [error.message for error in Draft202012Validator(schema(name)).iter_errors(written(found))]


def written(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is read back from what is printed."""
    loaded: dict[str, Any] = json.loads(json.dumps(found))
    return loaded


@pytest.mark.parametrize("name", ["estimate", "when"])
def test_the_schema_is_a_schema_of_its_contract(name: str) -> None:
    """The file is valid JSON Schema and names the version that is printed."""
    Draft202012Validator.check_schema(schema(name))
    assert {"estimate": estimate.SCHEMA, "when": when.SCHEMA}[name] == schema(name)["$id"]


@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        pytest.param({"gpu": "h100", "count": 8, "hours": Decimal(12), "runs": 3}, {}, id="rented"),
        pytest.param({"gpu": "h100", "hours": Decimal(12)}, OWNED, id="owned"),
        pytest.param({"gpu_hours": Decimal(100)}, {}, id="nothing-known"),
        pytest.param({"gpu": "gtx 1080 ti", "hours": Decimal(1)}, {}, id="no-list-price"),
        pytest.param({"gpu": "a100", "flops": Decimal("1e23"), "mfu": Decimal(1)}, {"currency": "EUR"}, id="flops"),
    ],
)
def test_estimates_keep_the_contract(asked: dict[str, Any], flags: Mapping[str, str]) -> None:
    """Whatever is known or not, the schema accepts it, and the text is no wider than the terminal beside its table."""
    made = plan(Request(**asked), settings(flags), 0)
    assert [] == broken("estimate", estimate.as_json(made))
    assert all(len(line) <= 90 for line in estimate.as_text(made, 90))


@pytest.mark.parametrize(
    ("day", "flags"),
    [
        pytest.param("2023-03-26", {}, id="rented"),
        pytest.param("2023-07-02", OWNED | AGILE, id="owned-and-paid-for"),
        pytest.param("2023-03-26", NIGHT, id="a-rent-that-changes"),
    ],
)
def test_openings_keep_the_contract(day: str, flags: Mapping[str, str]) -> None:
    """Windows of both signs, with rent and without, are accepted."""
    now_ns = int(datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()) * NANOSECONDS_PER_SECOND
    found = opening(Job("1", kw="10", count="8"), settings({**AGILE, **flags}), now_ns)
    assert [] == broken("when", when.as_json(found))
    assert all(len(line) <= 100 for line in when.as_text(found, 100))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("cost", 239.04, id="money-as-a-float"),
        pytest.param("energy_kwh", -1, id="negative-energy"),
        pytest.param("note", "x", id="a-key-of-somebodys"),
        pytest.param("assumptions", [{"name": "PUE"}], id="half-an-assumption"),
    ],
)
def test_what_breaks_the_contract_is_refused(key: str, value: object) -> None:
    """Types and keys are closed."""
    made = written(estimate.as_json(plan(Request(gpu="h100", gpu_hours=Decimal(1)), settings({}), 0)))
    assert not Draft202012Validator(schema("estimate")).is_valid({**made, key: value})
