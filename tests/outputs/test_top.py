"""The screen of `top`, compared whole with golden files, and what must hold of it for every node."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import Holder
from costmeter.meter.progress import Progress
from costmeter.outputs.nodejson import node_json
from costmeter.outputs.style import Style
from costmeter.outputs.top import SORTS, View, top
from costmeter.runtime.agent.events import Held, RunTold
from tests.golden.compare import golden
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import owned_book

pytestmark = pytest.mark.usefixtures("in_utc")

#: Four GPUs that compute, and four that hold memory and do nothing.
NODE = """
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 4
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    energy_counter: {start: 5 J}
    load: {shape: constant, power: 611 W, utilization: 82 %}
  - name: NVIDIA A100-SXM4-80GB
    count: 4
    power_limit: 400 W
    idle_power: 62 W
    memory: 80 GiB
    energy_counter: {start: 5 J}
    load: {shape: constant, power: 62 W, utilization: 0 %}
    processes:
      - {pid: 31337, memory: 36 GiB}
"""


@pytest.fixture(scope="module")
def busy() -> dict[str, Any]:
    """Maya trains on three GPUs and shares a fourth with a run of lee, who holds idle ones; two are nobody's."""
    with held_node(NODE, owned_book()) as run:
        run.begin()
        maya = replace(MAYA_1, phase="training")
        run.hold([maya], [maya], [maya], [maya, LEE_1], [LEE], [LEE], runs=[MAYA_2])
        run.recorder.handle(RunTold(run.clock.boottime_ns(), MAYA_1.key, Progress(steps=7980, of_steps=12400)))
        for _ in range(60):
            run.tick(60 * SECOND)
        run.gone(MAYA_2, "failed")
        run.tick(5 * SECOND)
        return node_json(run.snapshot)


@pytest.mark.parametrize(
    ("name", "style"),
    [
        pytest.param("top", Style(80), id="80"),
        pytest.param("top-wide", Style(120), id="120"),
        pytest.param("top-ascii", Style(80, unicode=False), id="ascii"),
        pytest.param("top-color", Style(120, color=True), id="color"),
    ],
)
def test_the_screen_is_the_approved_one(busy: dict[str, Any], name: str, style: Style) -> None:
    """The whole screen is the text of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    text = "\n".join(top(busy, style)) + "\n"
    assert golden(f"{name}.txt", text) == text


def test_money_per_hour_adds_up_to_what_stands_above(busy: dict[str, Any]) -> None:
    """The rows' costs per hour sum to the first line's, a shared GPU's in equal parts, to the last digit."""
    lines = top(busy, Style(120))
    heads = lines[[line.startswith("GPU ") for line in lines].index(True)]
    start = heads.index("USD/h")
    amounts = [line[start : start + len("USD/h")].strip() for line in lines[lines.index(heads) + 1 :]]
    total = sum(Decimal(amount) for amount in amounts if amount != "–")
    assert f"now ${total}/h" in lines[0]


def test_idle_only_leaves_the_rest_out(busy: dict[str, Any]) -> None:
    """What is idle and what nobody holds stays, in words that say so; a node without any says that."""
    lines = [line for line in top(busy, Style(120), View(idle_only=True)) if "A100" in line or "H100" in line]
    assert [("IDLE" in line, "unheld" in line) for line in lines] == [(True, False), (False, True)]
    working = {**busy, "gpus": busy["gpus"][:4]}
    assert top(working, Style(), View(idle_only=True))[-1] == "nothing idle, and no GPU held by nobody"


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_has_every_row(busy: dict[str, Any], sort: str) -> None:
    """Sorting loses no row; by cost the dearest is first, by idleness what is idle."""
    lines, plain = top(busy, Style(120), View(sort=sort)), top(busy, Style(120))
    assert sorted(lines) == sorted(plain)
    first = lines[next(at for at, line in enumerate(lines) if line.startswith("GPU ")) + 1]
    assert {"gpu": "r-1", "cost": "r-1", "idle": "IDLE"}[sort] in first


def test_runs_go_by_their_names(busy: dict[str, Any]) -> None:
    """A name says more than an id; where several runs have one name, both stand there."""
    one = {**busy, "runs": [{**run, "name": "sft"} if run["run"] == "r-2" else run for run in busy["runs"]]}
    assert [line for line in top(one, Style(160)) if " sft " in line and "ended" in line]
    assert not any("r-2" in line for line in top(one, Style(160)))
    two = {**busy, "runs": [{**run, "name": "sft"} for run in busy["runs"]]}
    assert any("sft r-1" in line for line in top(two, Style(160)))


def test_what_does_not_fit_is_counted(busy: dict[str, Any]) -> None:
    """A screen of few lines ends with how many rows there are more, and never has more lines than it may."""
    whole = top(busy, Style(80))
    for lines in range(3, len(whole)):
        shown = top(busy, Style(80), View(lines=lines))
        assert len(shown) == lines
        assert shown[-1].startswith("and ")
    assert whole == top(busy, Style(80), View(lines=len(whole)))


@given(st.text(min_size=1, max_size=90), st.text(max_size=90), st.integers(80, 160), st.booleans())
def test_names_do_nothing_but_stand_there(name: str, user: str, width: int, is_unicode: bool) -> None:
    """Whatever runs and users are called: one line a row, no control character, and no line beyond the width."""
    holder = Holder(1001, name, user, "announced")
    with held_node(NODE, owned_book()) as run:
        run.begin()
        at_ns, utc_ns = run.clock.boottime_ns(), run.snapshot.at_utc_ns
        facts = RunFacts(1001, name, user, "announced", utc_ns, utc_ns)
        run.recorder.handle(Held(at_ns, {run.devices[0].uuid: (holder,)}, {holder.key: facts}))
        run.tick(SECOND)
        lines = top(node_json(run.snapshot), Style(width, is_unicode))
    assert all(character.isprintable() for line in lines for character in line)
    assert is_unicode or all(line.isascii() for line in lines)
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if "H100" in line]) == 2


def test_what_is_wrong_with_the_meter_is_said(busy: dict[str, Any]) -> None:
    """A journal that cannot be written, ways of finding holders that fail, silence and old readings stand above."""
    health = {"journal_writable": False, "collectors": {"slurm": False, "user": True}, "silent": ["GPU-1"]}
    health |= {"runs_hidden": 7, "runs_refused": 3, "last_reading": "2026-11-22T13:00:00.000Z"}
    said = "\n".join(top({**busy, "health": health}, Style(120)))
    for words in (
        "cannot be written",
        "did not answer: slurm",
        "1 GPU did not answer",
        "7 more runs",
        "3 runs refused",
        "ago",
    ):
        assert words in said


def test_nothing_there_is_said() -> None:
    """A node whose GPUs are not seen yet has a first line and says so."""
    with held_node(NODE) as run:
        run.recorder.handle(Held(run.clock.boottime_ns(), {}, {}))
        assert top(node_json(run.snapshot), Style())[-1] == "no GPU is seen yet"
