"""`top --from prometheus=URL` of real servers: each GPU once, and an hour's money from the first seconds on.

The page is written by hand and grows with time: four GPUs at 2 USD an hour, of which one is idle and maya's, who holds
all four; 8 USD an hour and 2 of them idle. Time and money grow together, so figures are exact however old the page is.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home
from tests.end_to_end.killable import free_port
from tests.end_to_end.prometheuses import StartedPrometheus, configured
from tests.feeds.servers import Request, Said, serving

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus not installed")

RULES = Path("costmeter/outputs/export/files/prometheus/rules/costmeter.yml")
GPUS, PRICE = 4, 2.0


def page(seconds: float, currency: str = "usd", since: float = 0.0) -> str:
    """What the agent says so many seconds after its start; `since`: when money in this currency began."""
    money, of = (seconds - since) * PRICE / 3600, 'run_id="r-1",host="gpu01",meter="agent"'
    lines = [f'costmeter_run_cost_{currency}_total{{{of},component="rental",state="busy"}} {4 * money}']
    lines += [f'costmeter_run_info{{{of},name="sft",user="maya",project="llm"}} 1']
    lines += [f"costmeter_run_start_timestamp_seconds{{{of}}} 1000000000"]
    for number in range(GPUS):
        gpu, now = f'gpu_uuid="GPU-{number}"', "idle" if number == 0 else "busy"
        for state in ("busy", "idle", "unknown", "unheld"):
            told = (seconds, money) if state == now else (0, 0)
            lines += [f'costmeter_gpu_time_seconds_total{{{gpu},state="{state}"}} {told[0]}']
            lines += [f'costmeter_gpu_cost_{currency}_total{{{gpu},state="{state}"}} {told[1]}']
        lines += [f'costmeter_gpu_holder_share_ratio{{{gpu},run_id="r-1",user="maya"}} 1']
    lines += [f'costmeter_gpu_idle_cost_{currency}_total{{gpu_uuid="GPU-0",reason="memory-held"}} {money}']
    return "\n".join(lines) + "\n"


@contextmanager
def pages(text: Callable[[float], str]) -> Iterator[str]:
    """Host and port of an agent whose page is a function of its age in seconds."""
    start = time.monotonic()

    def script(_: Request) -> Said:
        return Said(text(time.monotonic() - start + 1_000), headers={"Content-Type": "text/plain"})

    with serving(script) as server:
        yield server.base.removeprefix("http://")


def scraping(host: str, rules: Path | None = None) -> dict[str, Any]:
    """Two jobs and two replicas scrape one agent."""
    targets = [{"targets": [host], "labels": {"replica": replica}} for replica in ("a", "b")]
    often = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    return {
        "global": {**often, "evaluation_interval": "500ms"},
        "scrape_configs": [{"job_name": name, "static_configs": targets} for name in ("costmeter", "gpus")],
        **({"rule_files": [str(rules)]} if rules else {}),
    }


def top(url: str, *words: str) -> str:
    """What the installed command prints."""
    with own_home() as home:
        argv = [COSTMETER, "top", *words, "--from", f"prometheus={url}"]
        done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def fleets(url: str) -> list[dict[str, Any]]:
    """The same as data."""
    found: list[dict[str, Any]] = json.loads(top(url, "--json"))["fleets"]
    return found


def assert_once(fleet: dict[str, Any]) -> None:
    """One node of four GPUs at 2 an hour, one of which is idle and maya's; money as it is now."""
    assert ([4.0], 4) == ([sum(node["gpus"].values()) for node in fleet["nodes"]], fleet["now"]["gpus"])
    assert 8 == pytest.approx(float(fleet["now"]["per_hour"]), rel=1e-3)
    assert 2 == pytest.approx(float(fleet["now"]["idle_per_hour"]), rel=1e-3)
    (idle,) = fleet["idle"]
    assert ("maya", "memory-held", 1) == (idle["user"], idle["reason"], idle["gpus"])
    assert 1.2 < float(idle["per_hour"]) < 3  # where it is recorded, at another moment of these few seconds
    (run,) = fleet["runs"]
    assert ("r-1", "sft", "maya", "llm", True) == (
        run["run"], run["name"], run["user"], run["project"], run["is_new"]
    )  # fmt: skip
    assert 0 < float(run["per_hour"]) < 8.1


@pytest.mark.parametrize("is_recorded", [False, True], ids=["counters", "recorded"])
def test_a_node_counts_once_however_many_scrape_it(is_recorded: bool, tmp_path: Path) -> None:
    """Four targets of one agent, scraped for seconds: one node, four GPUs, 8 an hour, maya's 2 idle, the run once."""
    rules = None
    if is_recorded:
        rules = tmp_path / "rules.yml"
        rules.write_text(RULES.read_text().replace("interval: 1m", "interval: 500ms"))
    with pages(page) as host, configured(tmp_path, json.dumps(scraping(host, rules))) as server:
        server.wait_for("count(up == 1) == 4")
        server.wait_for_scrapes(4)
        if is_recorded:
            server.wait_for("count(holder:costmeter_gpu_idle_cost_usd:rate5m) == 4")
            server.wait_for("count(run:costmeter_cost_usd:rate5m > 0) >= 2 and on () count(run:costmeter_info) >= 2")
        (fleet,) = fleets(server.url)
        assert_once(fleet)
        text = top(server.url, "--once")
        assert "1 node" in text
        assert "their money is too low: sft" in text
        assert "partial" in fleet
        assert [] == fleet["partial"]


def test_a_node_is_in_the_currency_of_its_page(tmp_path: Path) -> None:
    """After a change to euro nothing of it is in dollars, and its euro per hour are whole from the start."""
    changed: list[float] = []

    def text(seconds: float) -> str:
        return page(seconds, "eur", changed[0]) if changed and seconds > changed[0] else page(seconds)

    with pages(text) as host, configured(tmp_path, json.dumps(scraping(host))) as server:
        server.wait_for("count(up == 1) == 4")
        server.wait_for_scrapes(8)
        changed.append(1_000.0)
        before = time.monotonic()
        changed[0] = 1_000.0 + (time.monotonic() - before)
        server.wait_for_scrapes(6)
        server.wait_for("count(deriv(costmeter_gpu_cost_eur_total[5m]) > 0) == 16")
        (fleet,) = fleets(server.url)
    assert "EUR" == fleet["currency"]
    assert 8 == pytest.approx(float(fleet["now"]["per_hour"]), rel=0.2)
    assert 4 == fleet["now"]["gpus"]


#: What a Prometheus above has of two below by federation as docs/fleet.md writes it: recorded series alone.
FEDERATED = """
instance:costmeter_gpu_cost_usd:rate5m{PLACE,instance="gpu01:1",state="busy"} 0.002
instance:costmeter_gpu_cost_usd:rate5m{PLACE,instance="gpu01:1",state="idle"} 0.001
instance:costmeter_gpu_time_seconds:rate5m{PLACE,instance="gpu01:1",state="busy"} 2
instance:costmeter_gpu_time_seconds:rate5m{PLACE,instance="gpu01:1",state="idle"} 1
instance:costmeter_gpus:count{PLACE,instance="gpu01:1"} 6
instance:costmeter_gpus:count{PLACE,instance="gpu02:1"} 8
holder:costmeter_gpu_holder_share_ratio:last3m{HOLDER} 1
holder:costmeter_gpu_idle_cost_usd:rate5m{HOLDER,reason="hang"} 0.001
run:costmeter_cost_usd:rate5m{instance="",PLACE,run_id="r-1",component="rental"} 0.005
run:costmeter_info{instance="",PLACE,run_id="r-1",name="sft",project="llm",team="",user="maya",experiment=""} 1
"""


@pytest.mark.parametrize("jobs", [("a",), ("a", "b")], ids=["one-job", "two-jobs"])
def test_above_runs_have_names_and_nodes_count_once(jobs: tuple[str, ...], tmp_path: Path) -> None:
    """Six GPUs told half of their time: 0.003 a second is 21.6 an hour. A node without rates is named."""
    holder = 'PLACE,instance="gpu01:1",gpu_uuid="GPU-0",run_id="r-1",user="maya"'
    text = "".join(FEDERATED.replace("HOLDER", holder).replace("PLACE", f'cluster="paris",job="{job}"') for job in jobs)
    with pages(lambda _: text) as host:
        config = scraping(host)
        config["scrape_configs"] = [
            {"job_name": "clusters", "honor_labels": True, "static_configs": [{"targets": [host]}]}
        ]
        with configured(tmp_path, json.dumps(config)) as server:
            server.wait_for(f"count(run:costmeter_info) == {len(jobs)}")
            (fleet,) = fleets(server.url)
    assert (6, ["gpu02:1"]) == (fleet["now"]["gpus"], fleet["unknown"])
    assert 21.6 == pytest.approx(float(fleet["now"]["per_hour"]))
    assert [7.2] == [pytest.approx(float(each["per_hour"])) for each in fleet["idle"]]
    (run,) = fleet["runs"]
    assert ("sft", "maya", "llm") == (run["name"], run["user"], run["project"])
    assert 18 == pytest.approx(float(run["per_hour"]))


def test_an_answer_of_some_stores_is_at_least(tmp_path: Path) -> None:
    """A store that is away, as Thanos tells it beside the answer: said in the text and in the data."""
    with pages(page) as host, configured(tmp_path, json.dumps(scraping(host))) as server:
        server.wait_for("count(up == 1) == 4")
        server.wait_for_scrapes(3)

        def script(request: Request) -> Said:
            with urllib.request.urlopen(f"{server.url}{request.path}", timeout=30) as answer:
                told = json.load(answer)
            said = json.dumps({**told, "warnings": ["store gpu-eu is away"]})
            return Said(said, headers={"Content-Type": "application/json"})

        with serving(script) as thanos:
            assert ["store gpu-eu is away"] == fleets(thanos.base)[0]["partial"]
            assert "not all stores answered: figures are at least these" in top(thanos.base, "--once")


def job(name: str, host: str) -> dict[str, Any]:
    """A job of one cluster that scrapes one agent."""
    often = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    return {"job_name": name, "static_configs": [{"targets": [host], "labels": {"cluster": name}}], **often}


@contextmanager
def remembering(folder: Path, jobs: list[dict[str, Any]], *gone: dict[str, Any]) -> Iterator[StartedPrometheus]:
    """A server whose agents of the jobs `gone` told of money until twenty minutes ago, and fail since."""
    now, lines = int(time.time()), ["# TYPE costmeter_gpu_cost_usd counter"]
    for each in gone:
        (of,) = each["static_configs"]
        place = f'job="{each["job_name"]}",cluster="{each["job_name"]}",instance="{of["targets"][0]}"'
        series = f'costmeter_gpu_cost_usd_total{{{place},gpu_uuid="GPU-0",state="busy"}}'
        lines += [f"{series} {minutes} {now - 60 * (80 - minutes)}" for minutes in range(61)]
    (folder / "history.om").write_text("\n".join([*lines, "# EOF\n"]))
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.om"), str(folder / "tsdb")]
    subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    with configured(folder, json.dumps({"scrape_configs": [*jobs, *gone]})) as server:
        server.wait_for(f"count(up == 0) == {len(gone)}")
        yield server


def test_a_job_none_of_whose_agents_answers_is_named(tmp_path: Path) -> None:
    """Long after its figures are gone: beside another job that is scraped, and where nothing else is."""
    gone = job("oslo", f"127.0.0.1:{free_port()}")
    (tmp_path / "both").mkdir()
    with pages(page) as host, remembering(tmp_path / "both", [job("paris", host)], gone) as server:
        server.wait_for('sum_over_time(up{job="paris"}[1h]) >= 4')
        (fleet,) = fleets(server.url)
        assert ([host], ["paris"]) == ([n["instance"] for n in fleet["nodes"]], [n["cluster"] for n in fleet["nodes"]])
        assert gone["static_configs"][0]["targets"] == fleet["silent"]
    with remembering(tmp_path, [], gone) as server:
        text = top(server.url, "--once")
        assert f"not scraped: {gone['static_configs'][0]['targets'][0]}" in text
        assert "$" not in text
        (fleet,) = fleets(server.url)
        assert ("USD", [], gone["static_configs"][0]["targets"]) == (
            fleet["currency"], fleet["nodes"], fleet["silent"]
        )  # fmt: skip
        assert time.time() - 60 < datetime.fromisoformat(fleet["at"].replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("is_recorded", [False, True], ids=["counters", "recorded"])
def test_agents_that_have_just_gone_are_named(is_recorded: bool, tmp_path: Path) -> None:
    """All of them, also while recorded rates of the last five minutes still tell of their money."""
    rules = tmp_path / "rules.yml" if is_recorded else None
    if rules:
        rules.write_text(RULES.read_text().replace("interval: 1m", "interval: 500ms"))
    with ExitStack() as until:
        host = until.enter_context(pages(page))
        with configured(tmp_path, json.dumps(scraping(host, rules))) as server:
            server.wait_for("count(up == 1) == 4")
            server.wait_for("count(instance:costmeter_gpu_cost_usd:rate5m) == 16" if rules else "vector(1)")
            until.close()
            server.wait_for("count(up == 0) == 4")
            (fleet,) = fleets(server.url)
    assert ([host], [host] * is_recorded) == (fleet["silent"], [node["instance"] for node in fleet["nodes"]])


def refused(url: str) -> str:
    """What the installed command says where it gives up."""
    with own_home() as home:
        argv = [COSTMETER, "top", "--once", "--from", f"prometheus={url}"]
        done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert "--since" not in done.stderr
    return done.stderr


def test_targets_that_never_answered_are_counted(tmp_path: Path) -> None:
    """Whose they are nobody knows; that they fail is said, and where it is to be seen."""
    with configured(tmp_path, json.dumps(scraping(f"127.0.0.1:{free_port()}"))) as server:
        server.wait_for("count(up == 0) == 4")
        assert f"4 of its targets cannot be: {server.url}/targets" in refused(server.url)


EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        pytest.param(200, {**EMPTY, "warnings": ["No StoreAPIs matched"]}, "not all stores answered", id="no-store"),
        pytest.param(503, {"status": "error", "errorType": "timeout"}, "or ask a Prometheus of fewer nodes", id="late"),
        pytest.param(422, {"status": "error", "error": "duplicate series"}, "/api/v1/status/buildinfo", id="not-less"),
        pytest.param(500, {"status": "error", "error": "s1 is down"}, "s1 is down", id="own-words"),
        pytest.param(429, {}, "try again later", id="busy"),
    ],
)
def test_a_refusal_says_what_can_be_done(status: int, said: dict[str, Any], words: str) -> None:
    """And never what this command does not have: less time."""
    answer = Said(json.dumps(said), status, headers={"Content-Type": "application/json"})
    with serving(lambda request: answer) as server:
        assert words in refused(server.base)


def test_victoria_metrics_says_the_same(tmp_path: Path) -> None:
    """The same page, scraped and told by a real VictoriaMetrics."""
    if shutil.which("victoria-metrics") is None:
        pytest.skip("victoria-metrics not installed")
    with pages(page) as host:
        config = scraping(host)
        for each in config["scrape_configs"]:  # it scrapes no faster than once a second
            each.update(scrape_interval="1s", scrape_timeout="1s")
        (tmp_path / "scrape.yml").write_text(json.dumps({"scrape_configs": config["scrape_configs"]}))
        port = free_port()
        argv = ["victoria-metrics", f"-promscrape.config={tmp_path / 'scrape.yml'}"]
        argv += [f"-storageDataPath={tmp_path / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
            try:
                url = f"http://127.0.0.1:{port}"
                counted = 'count(rate(costmeter_gpu_time_seconds_total{state="busy"}[5m]) > 0) == 12'
                eventually(lambda: _answers(url, counted), "four targets twice")
                (fleet,) = fleets(url)
            finally:
                process.kill()
    assert_once(fleet)


def _answers(url: str, query: str) -> Any:
    try:
        return StartedPrometheus(url).ask("query", query=query, latency_offset="1ms") or None
    except OSError:
        return None
