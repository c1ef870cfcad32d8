"""The screen of a fleet: every row or a sum of those that are left out, and nothing that a name does to a terminal."""

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.feeds.promfleet import Fleet, FleetRun, IdleHolder, Node
from costmeter.outputs.fleettop import document, fleet
from costmeter.outputs.style import Style
from costmeter.outputs.top import View

AT = Decimal("1795348800.5")


def of(nodes: int, idle: int = 0, runs: int = 0, user: str = "maya") -> Fleet:
    """Every node has seven busy GPUs and an idle one, at 2 USD an hour each."""
    money = {"busy": Decimal(14), "idle": Decimal(2), "unheld": Decimal(0)}
    gpus = {"busy": Decimal(7), "idle": Decimal(1)}
    return Fleet(
        "USD",
        AT,
        tuple(Node(f"node-{at:04}:26786", "c1", money, gpus) for at in range(nodes)),
        tuple(IdleHolder(user, f"r-{at}", f"node-{at:04}:26786", "c1", "hang", 1, Decimal(2)) for at in range(idle)),
        tuple(FleetRun(f"r-{at}", "c1", "sft", user, "llm", Decimal(14)) for at in range(runs)),
        (),
    )


def test_the_first_line_is_all_of_it() -> None:
    """1,000 nodes of 8 GPUs at 2 USD: 16,000 an hour, of which 2,000 idle."""
    first = " ".join(fleet(of(1_000), Style(120), View())[0].split())
    assert first.startswith("1,000 nodes 8,000 GPUs now $16,000.00/h idle $2,000.00/h unheld $0.00/h")


@pytest.mark.parametrize("room", [None, 24, 12])
def test_rows_that_are_left_out_are_summed(room: int | None) -> None:
    """Whatever fits on the screen, each column of money adds up to what stands above."""
    lines = fleet(of(100, idle=100, runs=100), Style(100), View(lines=room))
    assert room is None or len(lines) <= room
    tables = "\n".join(lines).split("\n\n")[1:]
    sums = [sum(Decimal(row.split()[-1].replace(",", "")) for row in table.splitlines()[1:]) for table in tables]
    assert [Decimal(200), Decimal(1400), Decimal(1600)] == sums
    assert all(re.search(r"^and \d+ more", table, re.MULTILINE) for table in tables)


def test_idle_alone_is_shown_where_it_is_asked_for() -> None:
    """The key `i`."""
    lines = fleet(of(3, idle=1, runs=2), Style(100), View(idle_only=True))
    assert ["IDLE:"] == [line.split()[0] for line in lines if re.match(r"IDLE:|RUN |NODE ", line)]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        pytest.param(
            replace(of(1), nodes=(Node("gpu01", "", {"busy": Decimal(14)}, {"busy": Decimal(7)}),)),
            "no GPU that somebody holds is idle",
            id="none",
        ),
        pytest.param(of(3), "who holds what is idle is known within three minutes", id="nobody-named-yet"),
        pytest.param(of(3, idle=1), "who holds most of what is idle is known within three minutes", id="one-of-three"),
        pytest.param(
            replace(of(3), has_holders=False),
            "who holds what is idle is told by agents, and none is scraped here",
            id="wrappers-alone",
        ),
        pytest.param(of(3, idle=3), None, id="all-named"),
    ],
)
def test_that_nothing_idles_is_said_only_where_nothing_does(found: Fleet, says: str | None) -> None:
    """Each of three nodes has one idle GPU at 2 USD an hour; reasons come later than money."""
    last = fleet(found, Style(100), View())[-1]
    assert last == says if says else "hold" not in last
    assert (found.per_hour("idle") > 0 and "known within" in last) == found.idle_without_holder or not found.has_holders


def test_what_figures_lack_is_said() -> None:
    """Stores that did not answer, nodes that were not scraped or not twice, runs that began just now; text and data."""
    found = replace(of(1, runs=1), partial=("store a is away",), silent=("gpu02",), unknown=("gpu03",))
    found = replace(found, runs=(replace(found.runs[0], is_new=True),))
    lines = fleet(found, Style(100), View())
    assert {
        "not all stores answered: figures are at least these",
        "not scraped: gpu02",
        "no figures yet: gpu03",
        "scraped for less than 5 minutes, their money is too low: sft",
    } <= {*lines}
    (data,) = document([found], "http://prom")["fleets"]
    assert (["store a is away"], ["gpu02"], ["gpu03"]) == (data["partial"], data["silent"], data["unknown"])
    assert (True, True) == (data["runs"][0]["is_new"], data["now"]["idle_without_holder"])


def test_no_name_does_anything_to_a_terminal() -> None:
    """Controls in a user's name are question marks."""
    lines = fleet(of(1, idle=1, runs=1, user="\x1b[31mmaya"), Style(100), View())
    assert not any("\x1b" in line for line in lines)


def test_as_data_money_is_text() -> None:
    """And the whole can be written as JSON."""
    found = json.loads(json.dumps(document([of(2, idle=1, runs=1)], "http://prom")))["fleets"][0]
    assert ("32", "4") == (found["now"]["per_hour"], found["now"]["idle_per_hour"])
    assert ("hang", "2") == (found["idle"][0]["reason"], found["idle"][0]["per_hour"])
    assert "2026-11-22T12:00:00.500Z" == found["at"]
