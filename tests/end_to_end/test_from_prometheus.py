"""`report` and `top --from prometheus=URL`, asked of a real Prometheus.

First of pages that are written by hand, where every sum can be done in the head: one run on two hosts; one of them
metered by its agent and by a wrapper, and scraped under two addresses; the other's agent begins again from zero. Then
of a real agent and real runs beside it, held against the receipts.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, receipt
from tests.end_to_end.killable import free_port
from tests.end_to_end.prometheuses import StartedPrometheus, prometheus
from tests.feeds.servers import Request, Said, serving

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus not installed")

#: A run as every page tells it; what a page says of its own is filled in.
PAGE = """
costmeter_run_cost_usd_total{{{of},component="rental",state="busy"}} {busy}
costmeter_run_cost_usd_total{{{of},component="rental",state="idle"}} {idle}
costmeter_run_energy_kwh_total{{{of},part="gpu"}} {busy}
costmeter_run_emissions_grams_total{{{of},scope="operational"}} {busy}
costmeter_run_gpu_time_seconds_total{{{of},state="busy"}} {busy}
costmeter_run_gpu_time_seconds_total{{{of},state="idle"}} {idle}
costmeter_run_start_timestamp_seconds{{{of}}} 1000000000
costmeter_run_info{{{of},name="sft",user="maya",project="llm",team="",experiment="",job_id="42"}} 1
costmeter_run_active{{{of}}} 1
costmeter_gpu_cost_usd_total{{gpu_uuid="GPU-{host}",state="busy"}} {busy}
costmeter_gpu_idle_cost_usd_total{{gpu_uuid="GPU-{host}",reason="memory-held"}} {idle}
costmeter_gpu_holder_share_ratio{{gpu_uuid="GPU-{host}",run_id="r-two",user="maya"}} 1
costmeter_gpu_time_seconds_total{{gpu_uuid="GPU-{host}",state="busy"}} {busy}
costmeter_gpu_time_seconds_total{{gpu_uuid="GPU-{host}",state="unheld"}} 0
"""


def written(host: str, meter: str, busy: int, idle: int) -> str:
    """The page of one meter on one host."""
    of = f'run_id="r-two",host="{host}",meter="{meter}"'
    return PAGE.format(of=of, host=host, busy=busy, idle=idle)


def costmeter(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    with own_home() as home:
        argv = [COSTMETER, *words]
        return subprocess.run(
            argv, env={**home, **environ}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )


def report(server: StartedPrometheus, *words: str) -> Any:
    """`costmeter report … --json` of a Prometheus. The hand-written run began a while ago."""
    done = costmeter("report", *words, "--json", "--from", f"prometheus={server.url}")
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture(scope="module", name="remembered")
def _remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedPrometheus]:
    """A Prometheus that has seen the hand-written pages grow, and one agent begin again."""
    pages = {"/a": written("a", "agent", 0, 0), "/w": written("a", "wrapper", 0, 0), "/b": written("b", "agent", 0, 0)}

    def script(request: Request) -> Said:
        return Said(pages[request.path.split("?")[0]], headers={"Content-Type": "text/plain"})

    with serving(script) as pages_server:
        host = pages_server.base.removeprefix("http://")
        targets = [
            {"targets": [host], "labels": {"__metrics_path__": path, "instance": instance}}
            for path, instance in (("/a", "a:1"), ("/a", "a:2"), ("/w", "a:3"), ("/b", "b:1"))
        ]
        with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as server:
            server.wait_for("count(costmeter_run_active) == 4")
            for stage in ((5, 1, 5, 0), (5, 1, 0, 0), (7, 2, 3, 1)):
                pages["/a"] = written("a", "agent", stage[0], stage[1])
                pages["/w"] = written("a", "wrapper", 90, 9)
                pages["/b"] = written("b", "agent", stage[2], stage[3])
                server.wait_for_scrapes()
            yield server


def test_a_run_on_two_hosts_is_summed_once(remembered: StartedPrometheus) -> None:
    """Host a: 7 + 2 by its agent, not twice, not the wrapper's 99. Host b: 5, then from zero 3 + 1. Together 18."""
    (run,) = report(remembered)["runs"]
    assert ("r-two", "18", {"a": "9", "b": "9"}) == (run["run"], run["cost"], run["by_host"])
    assert {"busy": "15", "idle": "3"} == run["states"]
    assert ({"gpu": 15.0}, {"operational": 15.0}) == (run["energy_kwh"], run["emissions_grams"])
    assert {"busy": 15.0, "idle": 3.0} == run["gpu_seconds"]
    assert {"a": "agent", "b": "agent"} == run["meters"]
    assert ("sft", "maya", "llm", "running", False) == (
        run["name"], run["user"], run["project"], run["outcome"], run["simulated"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "totals"),
    [
        ("user", {"maya": "18"}),
        ("project", {"llm": "18"}),
        ("host", {"a": "9", "b": "9"}),
        ("outcome", {"running": "18"}),
        ("experiment", {None: "18"}),
    ],
)
def test_groups_add_up_to_the_runs(remembered: StartedPrometheus, key: str, totals: dict[str | None, str]) -> None:
    """By whatever they are grouped."""
    assert totals == {each[key]: each["cost"] for each in report(remembered, "--by", key)["groups"]}


def test_days_add_up_to_the_runs(remembered: StartedPrometheus) -> None:
    """What fell at the edge of a day counts on one side of it; months likewise."""
    for key in ("day", "month"):
        groups = report(remembered, "--by", key, "--since", "1d", "--timezone", "UTC")["groups"]
        assert Decimal(18) == sum(Decimal(each["cost"]) for each in groups)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--label", "project=llm"), 1),
        (("--label", "project=other"), 0),
        (("--name", "sft", "--outcome", "running"), 1),
        (("--outcome", "failed"), 0),
        (("r-two",), 1),
        (("42",), 1),
        (("last",), 1),
    ],
)
def test_runs_are_chosen_as_ever(remembered: StartedPrometheus, words: tuple[str, ...], found: int) -> None:
    """By label, name, outcome, id, job number, or as the last."""
    assert found == len(report(remembered, *words)["runs"])


def test_texts_say_where_their_figures_are_from(remembered: StartedPrometheus) -> None:
    """List, groups and detail name the Prometheus; the detail says what metrics cannot tell and where it is."""
    for words in ([], ["--by", "user"], ["r-two"]):
        done = costmeter("report", *words, "--from", f"prometheus={remembered.url}")
        assert f"from Prometheus {remembered.url}" in done.stdout
        assert "18.00" in done.stdout
    assert "Hosts      a $9.00 · b $9.00" in done.stdout
    assert "costmeter report r-two, where" in done.stdout


def test_the_fleet_is_shown(remembered: StartedPrometheus) -> None:
    """Nodes once each, although one is scraped under two addresses and by a wrapper; no terminal is needed."""
    done = costmeter("top", "--json", "--from", f"prometheus={remembered.url}")
    (fleet,) = json.loads(done.stdout)["fleets"]
    assert "USD" == fleet["currency"]
    assert {"a:1", "b:1"} <= {node["instance"] for node in fleet["nodes"]}
    assert "r-two" in [run["run"] for run in fleet["runs"]]
    holders = [(each["user"], each["run"], each["instance"], each["reason"], each["gpus"]) for each in fleet["idle"]]
    assert ("maya", "r-two", "b:1", "memory-held", 1) in holders
    assert all(Decimal(each["per_hour"]) > 0 for each in fleet["idle"])
    text = costmeter("top", "--from", f"prometheus={remembered.url}").stdout
    assert "now $" in text
    assert "memory-held" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("--from", "http://prom:9090"), "--from prometheus=http://prometheus:9090", id="no-word"),
        pytest.param(("--from", "prometheus="), "is no http or https address", id="no-address"),
        pytest.param(("--from", "prometheus=x", "--bill"), "--bill is of journals", id="bill"),
        pytest.param(("--from", "prometheus=x", "--node"), "--node is of journals", id="node"),
        pytest.param(("--from", "prometheus=x", "--by", "model"), "metrics have no --by model", id="by-model"),
        pytest.param(("--from", "prometheus=x", "--format", "md"), "--format text or json", id="format"),
        pytest.param(("--from", "prometheus=x", "--outcome", "preempted"), "metrics tell an exit code", id="outcome"),
        pytest.param(("--from", "prometheus=x", "--label", "a=b"), "metrics have project, team", id="label"),
        pytest.param(("--from", "prometheus=x", "--ca", "f"), "--ca is for a Prometheus at https://", id="ca"),
        pytest.param(("--from", "prometheus=x", "r", "--by", "user"), "--by is for all runs", id="by-and-run"),
        pytest.param(("--ca", "f"), "--from prometheus=https://", id="ca-alone"),
    ],
)
def test_what_metrics_cannot_tell_is_refused(words: tuple[str, ...], says: str) -> None:
    """Wrong usage, with what to type; nobody is asked."""
    done = costmeter("report", *words)
    assert 2 == done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prometheus_without_runs_is_told_apart_from_none(remembered: StartedPrometheus) -> None:
    """No runs there, no such run, no server: three messages, each with what to type."""
    nobody = costmeter("report", "r-tow", "--from", f"prometheus={remembered.url}")
    assert (1, True) == (nobody.returncode, "Closest: r-two" in nobody.stderr)
    before = costmeter("report", "--from", f"prometheus={remembered.url}", "--since", "1d", "--until", "23h")
    assert "no run of which this Prometheus knows" in before.stdout
    port = free_port()
    for command in ("report", "top"):
        done = costmeter(command, "--from", f"prometheus=http://127.0.0.1:{port}")
        assert (1, True) == (done.returncode, "cannot be reached: Connection refused" in done.stderr)


# A real agent


NODES = ("node-a", "node-b")
IS_ALLOWED = os.geteuid() == 0 and all(map(shutil.which, ("unshare", "hostname")))


@pytest.fixture(name="agents")
def _agents(tmp_path: Path) -> Iterator[list[tuple[StartedAgent, dict[str, str], list[str]]]]:
    """Two agents on two hosts of this machine: each in a UTS namespace, whose name is all that tells them apart."""
    started = []
    with own_home() as one, own_home() as other:
        for name, home in zip(NODES, (one, other), strict=True):
            (tmp_path / name).mkdir()
            before = ["unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh"]
            environ = {**home, "COSTMETER_AGENT": str(tmp_path / name / "agent.sock"), "COSTMETER_RUN_ID": "r-both"}
            started.append((agent(tmp_path / name, home, before=before), environ, before))
        with started[0][0] as first, started[1][0] as second:
            yield [(first, *started[0][1:]), (second, *started[1][1:])]


@pytest.mark.timeout(240)  # a run's series stand at 0 for a minute
@pytest.mark.skipif(not IS_ALLOWED, reason="unshare as root is not possible here")
def test_what_prometheus_remembers_is_what_the_receipts_say(
    agents: list[tuple[StartedAgent, dict[str, str], list[str]]], tmp_path: Path
) -> None:
    """One run on two hosts, each metered by a wrapper and an agent: by float, the agents' sums of both hosts.

    A run's series stand at 0 for a minute: so long it goes on, and no scrape is missed after its end.
    """
    for each, _, _ in agents:
        assert each.node
    targets = [{"targets": [each.url.removeprefix("http://") for each, _, _ in agents]}]
    with prometheus(tmp_path, targets) as server:
        runs = []
        for place, (_, environ, before) in enumerate(agents):
            options = ["--simulate", "healthy", "--name", "both", "--json", str(tmp_path / f"{place}.json")]
            argv = [*before, COSTMETER, "run", "-q", *options, "--", "cat"]
            runs.append(subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
        server.wait_for('count(costmeter_run_active{meter="agent"} == 1) == 2')
        server.wait_for_scrapes()  # what lasts no tick is nothing to an agent
        for run in runs:
            run.communicate(b"", PATIENCE_SECONDS)
        server.wait_for("count(costmeter_run_exit_code == 0) == 2")
        eventually(lambda: _is_told(server) or None, "the runs' series to leave 0, a minute on", 2 * PATIENCE_SECONDS)
        server.wait_for_scrapes()
        (seen,) = report(server)["runs"]
        nodes = [each.run("r-both") for each, _, _ in agents]
    assert sum(Decimal(node["cost"]) for node in nodes) == pytest.approx(Decimal(seen["cost"]), rel=Decimal("1e-12"))
    assert {*NODES} == {*seen["by_host"]}
    assert ("ok", 0, "both", True) == (seen["outcome"], seen["exit_code"], seen["name"], seen["simulated"])
    receipts = [receipt(tmp_path / f"{place}.json") for place in range(2)]
    assert receipts[0]["run"]["id"] == receipts[1]["run"]["id"] == "r-both"


def _is_told(server: StartedPrometheus) -> bool:
    return (server.value('count(count by (host) (costmeter_run_gpu_time_seconds_total{meter="agent"} > 0))') or 0) == 2


def test_the_real_victoria_metrics_agrees(tmp_path: Path) -> None:
    """What it scrapes of the same page is the same run: its answers have the same form, and are not late.

    An agent that was away begins again at zero: 7 + 2, then 3 + 1. The end of its series is no sample of it.
    """
    if shutil.which("victoria-metrics") is None:
        pytest.skip("victoria-metrics not installed")
    page = {"text": written("a", "agent", 0, 0)}

    def script(request: Request) -> Said:
        return Said(page["text"], 200 if page["text"] else 503, headers={"Content-Type": "text/plain"})

    with serving(script) as pages:
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "x", "static_configs": [{"targets": [pages.base.removeprefix("http://")]}]}
            ],
        }
        (tmp_path / "scrape.yml").write_text(json.dumps(config))
        port = free_port()
        argv = ["victoria-metrics", f"-promscrape.config={tmp_path / 'scrape.yml'}"]
        argv += [f"-storageDataPath={tmp_path / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
            try:
                server = StartedPrometheus(f"http://127.0.0.1:{port}")
                eventually(lambda: pages.requests or None, "the first scrape")
                page["text"] = written("a", "agent", 7, 2)
                eventually(lambda: _costs(server) == ["9"] or None, "what was scraped")
                (fleet,) = json.loads(costmeter("top", "--json", "--from", f"prometheus={server.url}").stdout)["fleets"]
                page["text"], asked = "", len(pages.requests)
                eventually(lambda: len(pages.requests) > asked + 1 or None, "a scrape that fails")
                page["text"] = written("a", "agent", 3, 1)
                eventually(lambda: _costs(server) == ["13"] or None, "what it counted on both sides of its fall")
            finally:
                process.kill()
    assert ["r-two"] == [run["run"] for run in fleet["runs"]]


def _costs(server: StartedPrometheus) -> list[str] | None:
    done = costmeter("report", "--json", "--from", f"prometheus={server.url}")
    return [run["cost"] for run in json.loads(done.stdout)["runs"]] if done.returncode == 0 else None
