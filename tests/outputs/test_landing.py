"""The first page of a server: what stands on it, and that nothing of what runs are called gets out of its place."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.outputs.landing import landing
from costmeter.outputs.runlanding import run_landing
from tests.outputs.test_prometheus import in_the_middle

pytestmark = pytest.mark.usefixtures("in_utc")

GPU: dict[str, Any] = {
    "uuid": "GPU-0",
    "index": 0,
    "model": "NVIDIA H100 80GB HBM3",
    "utilization": 0.82,
    "power_watts": 611.0,
    "power_limit_watts": 700.0,
    "mig": None,
    "state": "busy",
    "since": None,
    "reason": None,
    "per_hour": "2.49",
    "holders": [{"run": "r-7f3c2a", "uid": 1000, "user": "maya", "source": "announced"}],
}
RUN: dict[str, Any] = {
    "run": "r-7f3c2a",
    "uid": 1000,
    "user": "maya",
    "name": "sft-llama",
    "job": "slurm 4711",
    "started": "2026-11-22T14:03:00Z",
    "ended": None,
    "outcome": None,
    "gpus": ["GPU-0", "GPU-1", "GPU-2", "GPU-5"],
    "cost": "41.06",
    "per_hour": "9.96",
    "state": "busy",
    "phase": "training",
    "step": 7980,
    "of_steps": 12400,
}
IDLE = {"state": "idle", "since": "2026-11-22T11:22:53Z", "reason": "no-process", "utilization": 0.0}


WELL = {"journal_writable": True, "collectors": {"slurm": True}, "runs_hidden": 0, "runs_refused": 0}


def node(**others: Any) -> dict[str, Any]:
    """A node of six GPUs and one run; the fifth GPU is a user's who does nothing with it."""
    gpus = [{**GPU, "uuid": f"GPU-{index}", "index": index} for index in range(6)]
    gpus[4] |= IDLE | {"holders": [{"run": "", "uid": 1001, "user": "lee", "source": "user"}]}
    return {
        "simulated": False,
        "currency": "USD",
        "host": "gpu01",
        "version": "1.2.3",
        "at": "2026-11-22T16:06:53Z",
        "now": {"per_hour": "14.94", "idle_per_hour": "2.49", "unheld_per_hour": "0", "unpriced_gpus": 0},
        "today": "62.5",
        "today_since": "2026-11-22T00:00:00Z",
        "runs": [RUN],
        "gpus": gpus,
        "health": WELL,
    } | others


class Words(HTMLParser):
    """The words of a page and the names of its elements; one that is not closed is an error."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"] and data.strip():
            self.words.append(data.strip())


def test_the_node_stands_on_its_page() -> None:
    """What it costs now, what of it is idle, every run and every GPU, in figures that people read."""
    words = Words(landing(node())).words
    for word in (
        "gpu01",
        "$14.94/h",
        "$2.49/h",
        "$62.50",
        "since 00:00 UTC",
        "3.67 kW",
        "sft-llama",
        "maya",
        "0-2, 5",
        "$41.06",
    ):
        assert word in words, word
    assert "training, step 7,980/12,400" in words
    assert "r-7f3c2a · slurm 4711" in words
    assert "idle 4 h 44 m, no process" in words
    assert "lee" in words
    assert "gpu01: $14.94/h · costmeter" in words


@pytest.mark.parametrize(
    ("others", "said"),
    [
        pytest.param({"simulated": True}, "Simulated GPUs", id="simulated"),
        pytest.param({"runs": []}, "No run holds a GPU here", id="no-runs"),
        pytest.param({"gpus": []}, "No GPU is seen yet", id="no-gpus"),
        pytest.param({"today": None}, "gpu01", id="today-not-known"),
        pytest.param(
            {"now": {"per_hour": None, "idle_per_hour": None, "unheld_per_hour": None, "unpriced_gpus": 6}},
            "6 of 6 GPUs have no price",
            id="no-price",
        ),
        pytest.param({"health": {**WELL, "journal_writable": False}}, "cannot be written", id="disk"),
        pytest.param({"health": {**WELL, "collectors": {"slurm": False}}}, "Did not answer: slurm.", id="collector"),
        pytest.param({"health": {**WELL, "runs_hidden": 7}}, "7 more runs", id="hidden"),
        pytest.param({"health": {**WELL, "runs_refused": 7}}, "7 runs were refused", id="refused"),
        pytest.param(
            {"gpus": [{**GPU, "utilization": None, "power_watts": None, "power_limit_watts": None, "holders": []}]},
            "nobody",
            id="silent-gpu",
        ),
        pytest.param({"runs": [{**RUN, "ended": "2026-11-22T16:00:00Z", "outcome": "failed"}]}, "failed", id="ended"),
        pytest.param({"runs": [{**RUN, "step": None, "phase": ""}]}, "busy", id="tells-nothing"),
        pytest.param({"runs": [RUN] * 250}, "and 50 more, in the JSON", id="many-runs"),
    ],
)
def test_what_is_not_as_usual_is_said(others: dict[str, Any], said: str) -> None:
    """Whatever is missing, over or wrong has its words, and the page is still whole."""
    assert any(said in word for word in Words(landing(node(**others))).words)


def test_holders_go_by_the_names_of_their_runs() -> None:
    """In the column of holders, too; without a name by the id."""
    words = Words(landing(node())).words
    assert "sft-llama (maya)" in words
    assert "r-7f3c2a (maya)" in Words(landing(node(runs=[]))).words


def test_a_narrow_screen_is_without_what_matters_less() -> None:
    """Model, power and the like are of a class that is not there below 620 px; money, holder and state stay."""
    page = landing(node()).decode()
    narrow = page.partition("@media (max-width: 620px)")[2].partition("</style>")[0]
    assert ".wide .more { display: none; }" in narrow
    hidden = re.findall(r'<t[hd][^>]*class="[^"]*more[^"]*"[^>]*>([^<]*)<', page)
    assert {"power", "user", "GPUs", "since", "611 W of 700"} <= set(hidden)
    assert not {"per hour", "cost", "holder", "state", "$2.49/h"} & set(hidden)


def test_the_page_loads_and_runs_nothing() -> None:
    """No script, no address but its own paths, and a policy that would stop both."""
    for page in (landing(node()), run_landing(in_the_middle())):
        assert "script" not in Words(page).elements
        assert all(path.startswith(b"/") for path in re.findall(rb'(?:href|src)="([^"]*)"', page))
        assert b"default-src 'none'; style-src 'sha256-" in page


@given(st.text(max_size=60) | st.sampled_from(["<script>alert(1)</script>", '"><img src=x>', "</style><b>", "&lt;"]))
def test_no_name_is_markup(name: str) -> None:
    """Whatever runs, users, hosts and jobs are called, the page has the same elements."""
    holders = [{"run": name, "uid": 1, "user": name, "source": "user"}]
    named = node(
        host=name,
        runs=[{**RUN, "run": name, "user": name, "name": name, "job": name, "phase": name}],
        gpus=[{**GPU, "model": name, "reason": name, "holders": holders}],
        health={**WELL, "collectors": {name: False}},
    )
    allowed = set(Words(landing(node())).elements)
    assert set(Words(landing(named)).elements) <= allowed


def test_a_run_stands_on_its_own_page() -> None:
    """A run that serves itself shows its receipt so far."""
    words = Words(run_landing(in_the_middle())).words
    assert "running" in words
    assert "cost so far" in words
    assert not any("killed" in word for word in words)
