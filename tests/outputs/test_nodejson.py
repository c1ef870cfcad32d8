"""The node as JSON: figures worked out by hand, and the schema file of the public contract."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from costmeter.meter.idling import REASONS
from costmeter.meter.progress import Progress
from costmeter.meter.schedule import Constant
from costmeter.outputs.looked import Looked, OnGpu
from costmeter.outputs.nodejson import SCHEMA, node_json
from costmeter.rates.book import Book, Sourced
from costmeter.runtime.agent.events import RunTold
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, HeldNode, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import CONFIGURED, LOST, owned_book
from tests.sources.nodes import STEADY

MINUTE = 60 * SECOND
TWO = STEADY.replace("H100 80GB HBM3\n", "H100 80GB HBM3\n    count: 2\n")
#: What a GPU of these tests costs per hour: $35,040 / (4 years × 8,760 h) and 300 W × PUE 1.2 × $0.10/kWh.
PER_HOUR = Decimal("1.036")


def read(run: HeldNode) -> dict[str, Any]:
    """What a client reads of the node now."""
    loaded: dict[str, Any] = json.loads(json.dumps(node_json(run.snapshot)))
    return loaded


def faults(node: dict[str, Any]) -> list[str]:
    schema = json.loads(files("costmeter.outputs").joinpath("node.schema.json").read_text())
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(node)]


def test_the_schema_is_a_schema_of_this_contract() -> None:
    """The file is valid JSON Schema and names the version that the JSON carries."""
    schema = json.loads(files("costmeter.outputs").joinpath("node.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert SCHEMA == schema["$id"]


def test_an_hour_costs_its_hours_and_its_power() -> None:
    """Owned GPUs of $1.00 an hour that draw 300 W each cost $1.036 an hour; by who holds them, and how."""
    with held_node(TWO, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(SECOND)
        run.tick(SECOND)
        node = read(run)
    assert [] == faults(node)
    now = {name: Decimal(amount) for name, amount in node["now"].items()}
    assert {"per_hour": 2 * PER_HOUR, "idle_per_hour": 0, "unheld_per_hour": PER_HOUR, "unpriced_gpus": 0} == now
    assert ["busy", "unheld"] == [gpu["state"] for gpu in node["gpus"]]
    assert [300.0, 300.0] == pytest.approx([gpu["power_watts"] for gpu in node["gpus"]])
    assert [0.6, 0.6] == [gpu["utilization"] for gpu in node["gpus"]]
    (told,) = node["runs"]
    assert ("r-1", "maya", [node["gpus"][0]["uuid"]], "busy") == tuple(
        told[k] for k in ("run", "user", "gpus", "state")
    )
    assert PER_HOUR == Decimal(told["per_hour"])


def test_an_idle_gpu_says_why_and_since_when() -> None:
    """A GPU that is held and computes nothing has a reason, since when, and what its idle time has cost since then.

    Capital of $1.00 an hour and 62 W × PUE 1.2 × $0.10/kWh for an hour: $1.00744. One that nobody holds has no reason.
    """
    idle = TWO.replace("power: 300 W", "power: 62 W").replace("utilization: 60 %", "utilization: 0 %")
    with held_node(idle, owned_book()) as run:
        run.begin()
        run.hold([LEE])
        for _ in range(60):
            run.tick(MINUTE)
        node = json.loads(json.dumps(node_json(run.snapshot, looked=Looked(processes=_on_first(run)))))
    assert [] == faults(node)
    held, free = node["gpus"]
    assert ("idle", None) == (held["state"], free["reason"])
    assert held["reason"] in REASONS
    assert (held["reason_since"], free["reason_since"], free["idle_cost"]) == (held["since"], None, None)
    assert Decimal(held["idle_cost"]) == pytest.approx(Decimal("1.00744"), rel=Decimal("1e-6"))
    assert ([{"pid": 7, "user": "lee"}], []) == (held["processes"], free["processes"])


def test_what_idle_time_has_cost_is_net_of_what_was_paid_back() -> None:
    """Capital of $1.00 an hour less 62 W × PUE 1.2 × $0.10/kWh: $0.99256, of which maya idled for the second half.

    So it is by the hour and in the counters: charges less credits.
    """
    idle = TWO.replace("power: 300 W", "power: 62 W").replace("utilization: 60 %", "utilization: 0 %")
    paying = Sourced(Constant(Decimal("-0.10")), CONFIGURED)
    with held_node(idle, replace(owned_book(), electricity=paying)) as run:
        run.begin()
        found = []
        for holder in (LEE, MAYA_1):
            run.hold([holder])
            for _ in range(30):
                run.tick(MINUTE)
            found.append(node_json(run.snapshot)["gpus"][0])
    costs = [Decimal(each["idle_cost"]) for each in found]
    assert [Decimal("0.49628")] * 2 == [pytest.approx(cost, rel=Decimal("1e-6")) for cost in costs]
    assert Decimal(found[-1]["per_hour"]) == pytest.approx(sum(costs), rel=Decimal("1e-6"))
    assert Decimal(found[-1]["cost"]["idle"]) == pytest.approx(sum(costs), rel=Decimal("1e-6"))


def _on_first(run: HeldNode) -> dict[str, tuple[OnGpu, ...]]:
    """A process of lee's on the first GPU."""
    return {run.devices[0].uuid: (OnGpu(7, "lee"),)}


def test_a_shared_gpu_costs_its_holders_equal_parts() -> None:
    """Of three holders of one GPU each run pays a third per hour; the user without a run has no run of his own."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1, LEE_1, LEE])
        run.tick(SECOND)
        node = read(run)
    assert [] == faults(node)
    third = (PER_HOUR / 3).quantize(Decimal("1e-6"))
    assert [third, third] == [Decimal(told["per_hour"]) for told in node["runs"]]
    assert [("r-1", "maya"), (None, "lee"), ("r-1", "lee")] == [
        (each["run"], each["user"]) for each in node["gpus"][0]["holders"]
    ]


def test_costs_are_those_of_the_counters() -> None:
    """Runs, users without a run and nobody's time sum to what the node's GPUs have cost."""
    with held_node(TWO, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1], [LEE])
        run.tick(MINUTE)
        run.hold([MAYA_1, MAYA_2])
        run.tick(MINUTE)
        node, whole = read(run), run.snapshot.node.totals.whole
    totals = node["totals"]
    assert whole.cost == Decimal(totals["held"]["cost"]) + Decimal(totals["unheld"]["cost"])
    assert whole.cost == sum(Decimal(cost) for gpu in node["gpus"] for cost in gpu["cost"].values())
    runs = {told["run"]: Decimal(told["cost"]) for told in node["runs"]}
    assert runs == {key[1]: run.run(holder).whole.cost for holder in (MAYA_1, MAYA_2) for key in [holder.key]}
    assert sum(map(Decimal, totals["held"]["costs"].values())) == Decimal(totals["held"]["cost"])


def test_what_ended_says_how_and_what_it_held() -> None:
    """A run that failed has an end, an outcome, its last progress and the GPUs it held; the sunk cost is its cost."""
    with held_node(STEADY, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.recorder.handle(RunTold(run.clock.boottime_ns(), MAYA_1.key, Progress(steps=7, of_steps=9)))
        run.tick(SECOND)
        assert (7, 9) == tuple(read(run)["runs"][0][key] for key in ("step", "of_steps"))
        run.gone(MAYA_1, "failed")
        run.tick(SECOND)
        node = read(run)
    assert [] == faults(node)
    (told,) = node["runs"]
    assert ("failed", [node["gpus"][0]["uuid"]], None, 7) == (
        told["outcome"],
        told["gpus"],
        told["state"],
        told["step"],
    )
    assert {"failed": 1} == node["totals"]["ended"]
    assert {"failed": told["cost"]} == node["totals"]["sunk"]
    assert node["at"] > told["ended"] > told["started"]


def test_a_phase_is_its_runs_alone() -> None:
    """The phase stands at the run that told it, not at the one beside it on the GPU."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([replace(MAYA_1, phase="evaluation"), LEE_1])
        run.tick(SECOND)
        node = read(run)
    assert {"maya": "evaluation", "lee": None} == {told["user"]: told["phase"] for told in node["runs"]}


def test_a_gpu_that_is_lost_is_unknown() -> None:
    """A held GPU that does not answer has no power and no utilization, and is unknown, not idle."""
    with held_node(LOST, owned_book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(29 * SECOND)
        run.tick(5 * SECOND)
        node = read(run)
    assert [] == faults(node)
    (gpu,) = node["gpus"]
    assert ("unknown", None, None, None) == tuple(
        gpu[key] for key in ("state", "power_watts", "utilization", "memory_used_bytes")
    )
    assert [gpu["uuid"]] == node["health"]["silent"]
    assert Decimal(1) == Decimal(node["now"]["per_hour"])


def test_without_a_price_nothing_is_free() -> None:
    """GPUs of which nobody knows the price have no cost per hour, and are counted as such."""
    with held_node(TWO.replace("NVIDIA H100 80GB HBM3", "NVIDIA Wonder 9000"), Book()) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(SECOND)
        node = read(run)
    assert [] == faults(node)
    assert {"per_hour": None, "idle_per_hour": "0", "unheld_per_hour": None, "unpriced_gpus": 2} == node["now"]
    assert node["runs"][0]["per_hour"] is None


@pytest.mark.parametrize("prepare", [lambda run: run.open(), lambda run: run.begin()], ids=["opened", "read-once"])
def test_a_node_that_just_began_keeps_the_contract(prepare: Callable[[HeldNode], None]) -> None:
    """Before the first interval of a GPU its state is nobody's, and nothing is known of its power."""
    with held_node(TWO) as run:
        prepare(run)
        node = read(run)
    assert [] == faults(node)
    assert [("unheld", None), ("unheld", None)] == [(gpu["state"], gpu["power_watts"]) for gpu in node["gpus"]]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(("now", "per_hour"), 1.5, id="money-as-a-float"),
        pytest.param(("health", "runs_refused"), -1, id="less-than-none"),
        pytest.param(("gpus", 0, "state"), "resting", id="unknown-state"),
        pytest.param(("runs", 0, "started"), "yesterday", id="no-instant"),
    ],
)
def test_what_breaks_the_contract_is_refused(place: tuple[str | int, ...], value: object) -> None:
    """A node with a value that the contract does not allow is refused."""
    with held_node(STEADY) as run:
        run.begin()
        run.hold([MAYA_1])
        run.tick(SECOND)
        broken = read(run)
    inside: Any = broken
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    assert faults(broken)
