"""What `idle` tells: whole texts, compared with golden files, the money that must add up, and what it leaves out."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from costmeter.meter.idling import OWN_WORD, REASONS, Reason
from costmeter.outputs.idle import QUIETED, SCHEMA, Reader, as_json, freeing, idle, quieting
from costmeter.outputs.idletext import idle_lines
from costmeter.outputs.looked import Looked, OnGpu
from costmeter.outputs.nodejson import node_json
from costmeter.outputs.style import Style
from tests.golden.compare import golden
from tests.outputs.test_top import NODE
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import owned_book

pytestmark = pytest.mark.usefixtures("in_utc")

EIGHTY = Style(80)
#: Whoever reads it elsewhere, and lee himself on the node.
ELSEWHERE, IS_LEE = Reader(), Reader(LEE.uid)


@pytest.fixture(scope="module")
def node() -> dict[str, Any]:
    """After an hour: four GPUs compute; lee's two hold memory; one has evaluated for 20 min; one is nobody's."""
    with held_node(NODE, owned_book()) as run:
        run.begin()
        maya = replace(MAYA_1, phase="training")
        for phase, minutes in (("training", 40), ("eval", 20)):
            run.hold([maya], [maya], [maya], [maya, LEE_1], [LEE], [LEE], [replace(MAYA_2, phase=phase)])
            for _ in range(minutes):
                run.tick(60 * SECOND)
        looked = Looked(processes={run.devices[4].uuid: (OnGpu(31337, "lee"),)})
        return node_json(run.snapshot, looked=looked)


def with_reason(node: dict[str, Any], reason: str | None, seconds: int = 3600, **of_gpu: Any) -> dict[str, Any]:
    """The node with nothing but its fifth GPU, idle for this reason since so many seconds, at a dollar an hour."""
    cost = str((Decimal(seconds) / 3600).quantize(Decimal("1e-12")))
    gpu = {**node["gpus"][4], "reason": reason, "per_hour": "1.00", "idle_cost": cost, **of_gpu}
    gpu |= {"idle_seconds": float(seconds), "busy_seconds": 0.0}
    minute, second = divmod(3600 - seconds, 60)
    gpu["reason_since"] = None if reason is None else f"2026-11-22T14:{minute:02}:{second:02}Z"
    return {**node, "at": "2026-11-22T15:00:00Z", "gpus": [gpu], "runs": []}


def text(node: dict[str, Any], style: Style = EIGHTY, reader: Reader = ELSEWHERE, with_all: bool = False) -> str:
    return "\n".join(idle_lines(idle(node, with_all), style, reader, with_all)) + "\n"


@pytest.mark.parametrize(
    ("name", "style", "reader", "with_all"),
    [
        pytest.param("idle.txt", Style(80), ELSEWHERE, False, id="80"),
        pytest.param("idle-own.txt", Style(80), IS_LEE, False, id="own"),
        pytest.param("idle-all.txt", Style(80), ELSEWHERE, True, id="all"),
        pytest.param("idle-ascii.txt", Style(64, unicode=False), ELSEWHERE, True, id="ascii"),
    ],
)
def test_the_text_is_the_approved_one(
    node: dict[str, Any], name: str, style: Style, reader: Reader, with_all: bool
) -> None:
    """The whole text is that of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    shown = text(node, style, reader, with_all)
    assert golden(name, shown) == shown


def test_money_is_the_gpus_own(node: dict[str, Any]) -> None:
    """What is told costs what its GPUs' idle time came to: an hour at $1.00 of capital and 62 W of electricity each.

    Electricity: 0.062 kW × PUE 1.2 × $0.10/kWh = $0.00744 an hour. The first tick was at the start.
    """
    (told,) = as_json(idle(node), ELSEWHERE)["idle"]
    assert [4, 5] == [gpu["index"] for gpu in told["gpus"]]
    assert ("memory-held", [31337]) == (told["reason"], [each["pid"] for each in told["processes"]])
    assert Decimal(told["per_hour"]) == pytest.approx(2 * Decimal("1.00744"), rel=Decimal("1e-6"))
    assert Decimal(told["cost"]) == pytest.approx(2 * Decimal("1.00744"), rel=Decimal("1e-6"))
    assert 3600 == told["seconds"]


@pytest.mark.parametrize(
    ("reason", "seconds", "is_told"),
    [
        pytest.param("memory-held", 301, True, id="memory-held"),
        pytest.param("hang", 121, True, id="hang"),
        pytest.param("waiting-for-data", 299, False, id="short-stall"),
        pytest.param("waiting-for-data", 300, True, id="long-stall"),
        pytest.param("waiting-for-peer", 110, False, id="late-rank"),
        pytest.param("no-process", 60, False, id="between-two-processes"),
        pytest.param("no-process", 600, True, id="left-held"),
        pytest.param("unexplained", 600, True, id="unexplained"),
        pytest.param("start-up", 290, False, id="start-up"),
        pytest.param("evaluation", 3600, False, id="long-evaluation"),
        pytest.param("checkpoint", 3600, False, id="long-checkpoint"),
        pytest.param("a-reason-to-come", 3600, True, id="later-version"),
    ],
)
def test_grace_belongs_to_the_reason(node: dict[str, Any], reason: str, seconds: int, is_told: bool) -> None:
    """Stalls are told of after five minutes, what a run says that it does never; with --all everything is."""
    one = with_reason(node, reason, seconds)
    assert is_told == bool(idle(one).told)
    assert (not is_told) == bool(idle(one).left_out)
    assert 1 == len(idle(one, with_all=True).told)
    assert is_told == ("going to nobody's training" in text(one, with_all=True))
    assert is_told != ("nothing worth telling on gpu01: no GPU is idle for long" in text(one))
    assert is_told == bool(idle(one, with_all=True).news)
    assert as_json(idle(one), ELSEWHERE)["per_hour"] == as_json(idle(one, True), ELSEWHERE)["per_hour"]
    assert is_told != ("1 GPU at $1.00/h in a short stall" in text(one))


@pytest.mark.parametrize(
    ("idle_seconds", "busy_seconds", "price", "expected"),
    [
        pytest.param(900, 2700, "1.00", "0.25", id="a-quarter"),
        pytest.param(3600, 0, "50.00", "50", id="dearer-than-before"),
        pytest.param(3600, 0, "0.10", "0.1", id="cheaper-than-before"),
        pytest.param(1800, 0, "3.39", "3.39", id="not-watched-for-half-of-it"),
        pytest.param(900, 900, "-0.20", "-0.1", id="paid-to-draw-power"),
        pytest.param(20, 39, "1.00", "1", id="too-early-to-say"),
        pytest.param(None, None, "1.00", "1", id="older-agent"),
    ],
)
def test_an_hour_costs_the_price_of_now_for_the_idle_part(
    idle_seconds: float | None, busy_seconds: float | None, price: str, expected: str, node: dict[str, Any]
) -> None:
    """Idle for 15 of 60 minutes at a dollar an hour is 25 cents an hour, whatever its time has cost so far ($1.00)."""
    one = with_reason(node, "waiting-for-data")
    one["gpus"][0] |= {"idle_seconds": idle_seconds, "busy_seconds": busy_seconds, "per_hour": price}
    found = as_json(idle(one), ELSEWHERE)
    assert Decimal(expected) == Decimal(found["per_hour"])
    assert Decimal(1) == Decimal(found["cost"])


def test_what_never_worked_may_need_no_gpu(node: dict[str, Any]) -> None:
    """A GPU that waits for data and has not computed meanwhile is no loader's alone: its user is asked."""
    one = with_reason(node, "waiting-for-data")
    assert "its data comes too slowly, or it needs no GPU" in text(one).replace("\n    ", " ")
    (found,) = idle(one).told
    assert "ask lee; if it is yours: kill 31337" == freeing(found, ELSEWHERE)[1]
    one["gpus"][0]["busy_seconds"] = 3600.0
    assert "works in bursts and waits between them" in text(one)
    assert 1 == len(freeing(idle(one).told[0], ELSEWHERE))


def test_a_start_after_the_first_minutes_is_the_runs_word(node: dict[str, Any]) -> None:
    """Who is in a start-up for longer than anybody who is new says so himself."""
    assert "has only begun" in text(with_reason(node, "start-up", 300), with_all=True)
    assert "starts, as it says itself" in text(with_reason(node, "start-up", 301), with_all=True)


def test_a_gpu_without_a_price_is_counted_beside_the_others(node: dict[str, Any]) -> None:
    """Three GPUs at a dollar each and one of which nobody knows the price do not cost $3.00 together."""
    one = with_reason(node, "hang")
    (gpu,) = one["gpus"]
    one["gpus"] = [{**gpu, "index": index} for index in range(3)] + [{**gpu, "index": 3, "per_hour": None}]
    assert "$3.00/h is going to nobody's training right now ($3.00 so far), and so is 1 GPU without a price" in text(
        one
    ).replace("\n", " ")
    assert "1 of them without a price" in text(one).replace("\n    ", " ")
    found = as_json(idle(one), ELSEWHERE)
    assert ("3.000000", 1, 1) == (found["per_hour"], found["unpriced"], found["idle"][0]["unpriced"])
    for each in one["gpus"]:
        each["reason"] = "evaluation"
    assert "Not listed: 3 GPUs at $3.00/h, and 1 without a price, in" in text(one)
    assert 1 == as_json(idle(one), ELSEWHERE)["left_out"]["unpriced"]


def test_a_silence_names_the_alerts_that_there_are() -> None:
    """Every reason has its alerts, every alert of idleness has a reason, and a rule file knows each of them."""
    rules = files("costmeter.outputs").joinpath("export/files/prometheus/rules/costmeter-alerts.yml").read_text()
    told = {name for names in QUIETED.values() for name in names}
    assert set(REASONS) == set(QUIETED)
    assert told <= set(re.findall(r"- alert: (\w+)", rules))
    assert {reason for reason, names in QUIETED.items() if not names} == OWN_WORD
    blocks = rules.split("- alert: ")[1:]
    by_reason = {
        (block.split()[0], reason) for block in blocks for reason in re.findall(r'rate5m\{reason="([a-z-]+)"', block)
    }
    assert {("NotebookHoldingGpu", "memory-held"), ("GpuHeldAfterExit", "no-process")} <= by_reason
    assert all(alert in QUIETED[reason] for alert, reason in by_reason)


@pytest.mark.parametrize(
    ("source", "job", "run", "words"),
    [
        pytest.param("slurm", "1234", "slurm-1234-0", "scancel 1234", id="slurm"),
        pytest.param("kubernetes", "ml/train-0", "k8s-ml.train-0", "kubectl delete pod -n ml train-0", id="pod"),
        pytest.param("container", "4f2a", "container-4f2a", "docker stop 4f2a", id="container"),
        pytest.param("announced", "", "r-1", "kill 4711", id="announced"),
        pytest.param("slurm", "1; rm -rf /", "slurm-1", "scancel '1; rm -rf '", id="no-job"),
    ],
)
def test_a_run_is_ended_by_who_began_it(node: dict[str, Any], source: str, job: str, run: str, words: str) -> None:
    """A scheduler's own command ends its job, a signal to the first process what has none; nothing of a name is run."""
    holder = {"run": run, "uid": 1002, "user": "lee", "source": source}
    one = with_reason(node, "memory-held", holders=[holder])
    told = {
        "run": run,
        "uid": 1002,
        "user": "lee",
        "name": "",
        "job": job,
        "pid": 4711 if source == "announced" else None,
    }
    (found,) = idle({**one, "runs": [told]}).told
    if "/" in job and source != "kubernetes":
        assert not found.end
    else:
        assert [f"ask lee; if it is yours: {words}"] == freeing(found, ELSEWHERE)
        assert [words] == freeing(found, IS_LEE)


def test_a_hang_is_looked_at_before_it_is_ended(node: dict[str, Any]) -> None:
    """Where a process hangs its stack says; only then is it ended."""
    (found,) = idle(with_reason(node, "hang")).told
    assert ["see where it hangs: py-spy dump --pid 31337", "kill 31337"] == freeing(found, IS_LEE)


def test_who_shares_a_gpu_is_asked(node: dict[str, Any]) -> None:
    """Of a GPU that two hold no process is named to be killed, and both are silenced together."""
    both = [
        {"run": None, "uid": 1002, "user": "lee", "source": "user"},
        {"run": None, "uid": 1001, "user": "a b", "source": "user"},
    ]
    (found,) = idle(with_reason(node, "memory-held", holders=both)).told
    assert ["ask a b and lee"] == freeing(found, IS_LEE)
    assert quieting(found).endswith(r""" 'owner=~"a\\ b|lee"' -d 2h -c known""")


def test_agents_before_reasons_are_read(node: dict[str, Any]) -> None:
    """An agent without the new keys has its idle GPUs listed, without why and without what they came to."""
    new = ("reason_since", "idle_cost", "processes")
    gpus = [{key: value for key, value in {**gpu, "reason": None}.items() if key not in new} for gpu in node["gpus"]]
    runs = [{key: value for key, value in run.items() if key != "pid"} for run in node["runs"]]
    shown = text({**node, "gpus": gpus, "runs": runs}, with_all=True)
    assert "does not say why" in shown
    assert "GPU 4, 5" in shown


def test_nothing_idle_says_so(node: dict[str, Any]) -> None:
    """A node at work, or without GPUs, has one line."""
    none: list[Any] = []
    for gpus in (none, node["gpus"][:3]):
        assert "nothing is idle on gpu01: no GPU is held for nothing" in text({**node, "gpus": gpus}).splitlines()[0]


def test_without_prices_gpus_are_counted(node: dict[str, Any]) -> None:
    """Where no price is set, it is not $0 that burns."""
    one = with_reason(node, "hang", per_hour=None)
    assert "1 GPU held and idle on gpu01; no price is set: costmeter init" in text(one)
    assert (None, None) == (as_json(idle(one), ELSEWHERE)["per_hour"], as_json(idle(one), ELSEWHERE)["idle"][0]["cost"])


def test_a_model_without_a_price_is_named(node: dict[str, Any]) -> None:
    """Where other GPUs of the node have prices it is not said that none is set, but of which model none is known."""
    one = with_reason(node, "hang", per_hour=None, model="Tesla P100-SXM2-16GB")
    one["gpus"].append({**node["gpus"][0]})
    shown = text(one).replace("\n", " ")
    assert "1 GPU held and idle on gpu01; no price is known for P100: gpu: {price: P} in costmeter.yaml" in shown


@pytest.mark.parametrize("user", ["unknown", ""])
def test_nobody_is_not_silenced(user: str, node: dict[str, Any]) -> None:
    """A silence of the holders that no node knows would be one of the whole fleet's; others on the GPU have theirs."""
    nobody = {"run": None, "uid": -1, "user": user, "source": "user"}
    lee = {"run": None, "uid": 1002, "user": "lee", "source": "user"}
    one = with_reason(node, "memory-held", holders=[nobody])
    assert "" == quieting(idle(one).told[0])
    assert "quiet it" not in text(one)
    (shared,) = idle(with_reason(node, "memory-held", holders=[nobody, lee])).told
    assert quieting(shared).endswith(" owner=lee -d 2h -c known")


@given(st.text(max_size=60), st.text(min_size=1, max_size=60), st.sampled_from(REASONS), st.booleans())
def test_names_do_nothing_but_stand_there(name: str, user: str, reason: Reason, is_unicode: bool) -> None:
    """Whatever runs and users are called: no control character, ASCII where that is all there is, and one row."""
    holder = {"run": "r-1", "uid": 1, "user": user, "source": "announced"}
    gpu = {
        "uuid": "GPU-a", "index": 0, "model": "H100", "state": "idle", "since": None, "reason": reason,
        "reason_since": "2026-11-22T14:03:00Z", "idle_cost": "1", "per_hour": "1", "memory_used_bytes": None,
        "holders": [holder], "processes": [],
    }  # fmt: skip
    run = {"run": "r-1", "uid": 1, "name": name, "job": "", "pid": None}
    node = {
        "host": "n", "at": "2026-11-22T15:03:00Z", "simulated": False, "currency": "USD", "gpus": [gpu], "runs": [run]
    }  # fmt: skip
    lines = text(node, Style(80, is_unicode), with_all=True).splitlines()
    assert all(character.isprintable() for line in lines for character in line)
    assert is_unicode or all(line.isascii() for line in lines)
    assert 1 == sum(line.startswith("GPU ") for line in lines)


def test_the_json_keeps_its_contract(node: dict[str, Any]) -> None:
    """The shipped schema is one, names the version, and takes every node: idle, all of it, at work, without a price."""
    schema = json.loads(files("costmeter.outputs").joinpath("idle.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert SCHEMA == schema["$id"]
    nodes = [
        (node, False),
        (node, True),
        ({**node, "gpus": []}, False),
        (with_reason(node, "hang", per_hour=None), True),
    ]
    for each, with_all in nodes:
        found = json.loads(json.dumps(as_json(idle(each, with_all), ELSEWHERE)))
        assert [] == [error.message for error in Draft202012Validator(schema).iter_errors(found)]
