"""`report --from prometheus=URL` of days that went wrong: written as blocks, and read by a real Prometheus.

Every run is small enough to be done in the head. Days are of UTC, and all of it lies on the two days before today.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, own_home
from tests.end_to_end.prometheuses import StartedPrometheus, configured
from tests.feeds.servers import Request, Said, serving

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("prometheus", "promtool"))), reason="prometheus or promtool not installed"
)
HOUR, DAY = 3_600, 86_400
STEP = 300
Points = list[tuple[int, float]]


def ramp(start: int, end: int, first: float, last: float) -> Points:
    """Samples every five minutes, on a straight line."""
    steps = (end - start) // STEP
    return [(start + at * STEP, first + (last - first) * at / steps) for at in range(steps + 1)]


class History:
    """Series as they would have been scraped, in the text form of OpenMetrics."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, str], list[str]] = {}

    def _add(self, family: str, kind: str, labels: dict[str, str], points: Sequence[tuple[int, float]]) -> None:
        of = ",".join(f'{name}="{value}"' for name, value in labels.items())
        name = f"{family}_total" if kind == "counter" else family
        self._families.setdefault((family, kind), []).extend(f"{name}{{{of}}} {value} {at}" for at, value in points)

    def run(self, run: str, host: str, points: Points, **more: Any) -> None:
        """A run that cost this, on a host: an hour of a GPU for each unit of money, unless `hours` is False."""
        labels = {"run_id": run, "host": host, "meter": "agent", "instance": more.get("instance", host)}
        cost = f"costmeter_run_cost_{more.get('currency', 'usd')}"
        self._add(cost, "counter", {**labels, "component": "rental", "state": "busy"}, points)
        phases = f"costmeter_run_phase_cost_{more.get('currency', 'usd')}"
        self._add(phases, "counter", {**labels, "phase": "train"}, points)
        self._add("costmeter_run_steps", "counter", labels, [(at, 100 * value) for at, value in points])
        seconds = [(at, HOUR * value if more.get("hours", True) else 0) for at, value in points]
        self._add("costmeter_run_gpu_time_seconds", "counter", {**labels, "state": "busy"}, seconds)
        facts = {"user": more.get("user", "lee"), "name": "", "project": more.get("project", "llm")}
        self._add("costmeter_run_info", "gauge", {**labels, **facts}, [(at, 1) for at, _ in points])
        began = more.get("began", lambda at: points[0][0])
        starts = [(at, began(at)) for at, _ in points]
        self._add("costmeter_run_start_timestamp_seconds", "gauge", labels, starts)
        if "code" in more:
            end = points[-1][0]
            self._add("costmeter_run_end_timestamp_seconds", "gauge", labels, [(end, end)])
            self._add("costmeter_run_exit_code", "gauge", labels, [(end, more["code"])])

    def text(self) -> str:
        """All of it."""
        blocks = [f"# TYPE {name} {kind}\n" + "\n".join(rows) for (name, kind), rows in self._families.items()]
        return "\n".join([*blocks, "# EOF\n"])


def _history(today: int) -> str:
    told, yesterday, before = History(), today - DAY, today - 2 * DAY
    told.run("r-moved", "gpu01", ramp(before, before + HOUR, 0, 10), code=1)
    told.run("r-moved", "gpu02", ramp(before + 2 * HOUR, before + 3 * HOUR, 0, 20), code=0)
    told.run("train", "gpu03", ramp(yesterday, yesterday + HOUR, 0, 7), user="lee", project="a", code=0)
    told.run("train", "gpu04", ramp(yesterday, yesterday + HOUR, 0, 100), user="maya", project="b", code=0)
    resumed = ramp(before + 10 * HOUR, before + 11 * HOUR, 0, 5)
    resumed += ramp(yesterday + 9 * HOUR, yesterday + 10 * HOUR, 0, 100)
    told.run("r-resumed", "gpu05", resumed, code=0, began=lambda at: at // DAY * DAY)
    told.run("r-cents", "gpu06", ramp(yesterday, yesterday + HOUR, 0, 10))
    told.run("r-cents", "gpu06", ramp(yesterday + HOUR + 60, yesterday + 2 * HOUR, 0, 9), currency="eur")
    old = ramp(yesterday + 12 * HOUR, yesterday + 13 * HOUR, 5000, 5001)
    told.run("r-old", "gpu09", old, began=lambda at: today - 30 * DAY)
    told.run("r-cpu", "gpu10", ramp(yesterday + 12 * HOUR, yesterday + 13 * HOUR, 0, 3), hours=False)
    first = ramp(yesterday + HOUR, yesterday + 3 * HOUR, 0, 100)
    first += ramp(yesterday + 3 * HOUR + 60, yesterday + 5 * HOUR, 0, 50)
    told.run("r-twice", "gpu08", first, instance="one")
    told.run("r-twice", "gpu08", ramp(yesterday + 4 * HOUR, yesterday + 7 * HOUR, 25, 150), instance="other")
    return told.text()


@pytest.fixture(scope="module", name="remembered")
def _remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedPrometheus]:
    """A Prometheus that holds that history."""
    folder = tmp_path_factory.mktemp("history")
    today = int(time.time()) // DAY * DAY
    (folder / "history.om").write_text(_history(today))
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.om"), str(folder / "tsdb")]
    subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    with configured(folder, "global: {}\n", "--storage.tsdb.retention.time=60d") as server:
        yield server


def report(url: str, *words: str) -> str:
    """What `costmeter report … --from prometheus=URL` says, of three days."""
    with own_home() as home:
        argv = [COSTMETER, "report", *words, "--from", f"prometheus={url}", "--timezone", "UTC"]
        done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.fixture(scope="module", name="runs")
def _runs(remembered: StartedPrometheus) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(report(remembered.url, "--json"))["runs"]
    return found


@pytest.mark.parametrize(
    ("run", "costs"),
    [
        pytest.param("r-moved", {"USD": 30}, id="on-one-host-and-then-another"),
        pytest.param("r-resumed", {"USD": 105}, id="from-zero-a-day-later"),
        pytest.param("r-cents", {"USD": 10, "EUR": 9}, id="in-two-currencies"),
        pytest.param("r-old", {"USD": 5001}, id="seen-late"),
        pytest.param("r-twice", {"USD": 250}, id="under-two-addresses-that-overlap-in-part"),
        pytest.param("train~lee", {"USD": 7}, id="one-users"),
        pytest.param("train~maya", {"USD": 100}, id="another-users-of-that-id"),
    ],
)
def test_every_run_came_to_what_it_cost(runs: list[dict[str, Any]], run: str, costs: dict[str, int]) -> None:
    """No money is lost, none counted twice, and none added to that of another currency or user."""
    found = {each["currency"]: Decimal(each["cost"]) for each in runs if each["run"] == run}
    assert {currency: pytest.approx(Decimal(cost)) for currency, cost in costs.items()} == found


@pytest.mark.parametrize(
    ("run", "phases", "steps"),
    [
        pytest.param("r-resumed", {"USD": 105}, 10_000, id="from-zero-a-day-later"),
        pytest.param("r-twice", {"USD": 250}, 15_000, id="under-two-addresses"),
        pytest.param("r-cents", {"EUR": 9, "USD": 10}, 1_000, id="in-two-currencies"),
        pytest.param("r-moved", {"USD": 30}, 2_000, id="on-two-hosts"),
    ],
)
def test_phases_add_up_to_what_was_paid(
    remembered: StartedPrometheus, run: str, phases: dict[str, int], steps: int
) -> None:
    """On both sides of every fall; steps are the most that the run reached, which counts them itself."""
    found = json.loads(report(remembered.url, run, "--json"))["runs"]
    assert [pytest.approx(cost) for cost in phases.values()] == [float(each["phases"]["train"]) for each in found]
    assert all(Decimal(each["phases"]["train"]) == Decimal(each["cost"]) for each in found)
    assert [steps] * len(found) == [each["steps"] for each in found]


def test_a_run_that_moved_is_what_became_of_it(remembered: StartedPrometheus) -> None:
    """Failed on one host, finished on another: ok."""
    runs = json.loads(report(remembered.url, "--json", "--outcome", "ok"))["runs"]
    (moved,) = [each for each in runs if each["run"] == "r-moved"]
    assert ("ok", 0) == (moved["outcome"], moved["exit_code"])


def test_a_run_began_when_it_first_did(runs: list[dict[str, Any]]) -> None:
    """An agent that tells a later start of it, since it began again, does not move it."""
    (resumed,) = [each for each in runs if each["run"] == "r-resumed"]
    began = datetime.fromtimestamp(int(time.time()) // DAY * DAY - 2 * DAY, timezone.utc)
    assert resumed["started_at"].startswith(f"{began:%Y-%m-%dT00:00:00}")


def test_time_is_with_one_currency(runs: list[dict[str, Any]]) -> None:
    """Ten hours while it was dollars and nine while it was euros are nineteen, and not twice that."""
    hours = sum(sum(each["gpu_seconds"].values()) for each in runs if each["run"] == "r-cents")
    assert 19 * HOUR == pytest.approx(hours)


def test_both_users_runs_are_found_by_their_id(remembered: StartedPrometheus) -> None:
    """The id names both, what one is called names that one; users and projects have their own money."""
    assert {"train~lee", "train~maya"} == {
        each["run"] for each in json.loads(report(remembered.url, "train", "--json"))["runs"]
    }
    assert "train~maya" in report(remembered.url, "train~maya")
    groups = json.loads(report(remembered.url, "--by", "project", "--json"))["groups"]
    assert {"a": "7", "b": "100"}.items() <= {each["project"]: each["cost"] for each in groups}.items()


@pytest.mark.parametrize("key", ["day", "month"])
def test_days_add_up_to_the_list(remembered: StartedPrometheus, runs: list[dict[str, Any]], key: str) -> None:
    """With what had been spent before anybody scraped it, which is in no day; runs without GPU time count too."""
    told = json.loads(report(remembered.url, "--by", key, "--json", "--since", "5d"))
    for currency in ("USD", "EUR"):
        days = [Decimal(each["cost"]) for each in told["groups"] if each["currency"] == currency]
        whole = [Decimal(each["cost"]) for each in runs if each["currency"] == currency]
        unscraped = Decimal(told["unscraped"].get(currency, 0))
        assert sum(whole) == pytest.approx(sum(days) + unscraped)
    if key == "day":
        assert {"USD": "5000"} == told["unscraped"]
        # 30 + 5 on the first; 107 + 100 + 10 + 1 + 3 + 250 on the second
        assert [35, 471] == [
            pytest.approx(Decimal(each["cost"])) for each in told["groups"] if each["currency"] == "USD"
        ]
        text = report(remembered.url, "--by", key, "--since", "5d")
        assert "in no line: $5,000.00 that runs had cost before they were first scraped" in text


def test_a_partial_answer_does_not_pass_as_whole(remembered: StartedPrometheus) -> None:
    """A store that did not answer, as Thanos says it: lists, groups and details say "at least"."""

    def script(request: Request) -> Said:
        with urllib.request.urlopen(remembered.url + request.path, timeout=PATIENCE_SECONDS) as asked:
            answer = json.load(asked)
        return Said(json.dumps({**answer, "warnings": ["store gpu-eu unreachable"]}))

    with serving(script) as thanos:
        for words in ((), ("--by", "user"), ("--by", "day"), ("r-old",)):
            assert "not all stores answered" in report(thanos.base, *words).lower()
        assert all(each["is_least"] for each in json.loads(report(thanos.base, "--json"))["runs"])
