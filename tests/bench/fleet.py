"""A fleet against one Prometheus, and one VictoriaMetrics: series, memory, CPU, scrapes, rules, the boards' queries.

The pages are real agents' (`tests.bench.fleetpages`): three nodes of four train, one waits for data. Both servers are
Debian's, one after the other, with the scrape and evaluation intervals that `costmeter export prometheus` writes. A
query costs what it reads, so Prometheus is given a past first (`tests.bench.fleethistory`). Set by variables:
FLEET_NODES (1000), FLEET_SECONDS of scraping before anything is measured (300), FLEET_SERVERS
(prometheus,victoria-metrics), FLEET_HISTORY (1; 0 for none).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from costmeter.outputs.export.canonical import canonical
from costmeter.outputs.export.rules import rule_files
from tests.bench import fleethistory
from tests.bench.fleetpages import EVERY, HOST, RUN, WIDE
from tests.bench.table import Row
from tests.end_to_end.agents import agent
from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.end_to_end.killable import free_port

NODES = int(os.environ.get("FLEET_NODES", "1000"))
SECONDS = int(os.environ.get("FLEET_SECONDS", "300"))
SERVERS = os.environ.get("FLEET_SERVERS", "prometheus,victoria-metrics").split(",")
FILES = Path(__file__).parents[2] / "costmeter" / "outputs" / "export" / "files"
_BUNDLED = FILES.parents[2] / "sources" / "simulated" / "scenarios"
_GPUS = 8
SCENARIOS = ("healthy", "healthy", "healthy", "data-bound")
INTERVAL_SECONDS = 15
#: A run's counters stand at 0 for a minute; after this they have grown.
_TEMPLATE_SECONDS = 100
QUERY_BAR_SECONDS = 1.0
#: A query that takes longer is given up, and told as infinite.
_PATIENCE_SECONDS = 15
HISTORY = os.environ.get("FLEET_HISTORY", "1") == "1"
#: So long both servers run before the series are known that get a past.
_LEARNING_SECONDS = 45
#: What Grafana puts in place of its variables on a wide panel, by the range that a board opens with.
_RANGES = {
    "now-6h": {
        "__rate_interval": "1m",
        "__interval": "20s",
        "__range": "6h",
        "__range_s": "21600",
        "__interval_ms": "20000",
    },
    "now/M": {
        "__rate_interval": "45m",
        "__interval": "30m",
        "__range": "30d",
        "__range_s": "2592000",
        "__interval_ms": "1800000",
    },
}
#: Of panels that ask for no finer steps.
_EACH_MINUTE = {"__interval": "1m", "__interval_ms": "60000"}
_STEPS = {"now-6h": 20, "now/M": 1_800}
_VARIABLES = {
    "purchase": "30000",
    "node": "node-00003:26786",
    "job": ".+",
    "instance": ".+",
    "cluster": ".*",
    "project": ".*",
    "run": "r-wide-0",
    "held_on": "|".join(f"node-{node:05}:26786" for node in range(0, EVERY * WIDE, EVERY)),
}


def measure() -> Iterator[Row]:
    """Every figure, server by server."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        pages = templates(folder)
        for server in SERVERS:
            if shutil.which(server) is None:
                yield Row(f"{server}: not installed", 0, "")
                continue
            with ExitStack() as stack:
                port = stack.enter_context(_pages(pages))
                _write_config(folder, port, with_rules=server == "prometheus")
                past = _series_with_a_past(server, folder) if server == "prometheus" and HISTORY else []
                yield from _figures(server, *stack.enter_context(_server(server, folder, past)))


def templates(folder: Path) -> list[Path]:
    """The page of one agent for each scenario, each with a run beside it; made once each, all at a time."""
    made: dict[str, Path] = {}
    with ExitStack() as stack:
        urls = {}
        for scenario in dict.fromkeys(SCENARIOS):
            place = folder / scenario
            place.mkdir()
            home = stack.enter_context(own_home())
            node = place / f"{scenario}.yaml"
            node.write_text(re.sub(r"count: \d+", f"count: {_GPUS}", (_BUNDLED / node.name).read_text()))
            started = stack.enter_context(agent(place, home, "--simulate", str(node)))
            urls[scenario] = started.url
            environ = {**home, "COSTMETER_AGENT": str(place / "agent.sock"), "COSTMETER_RUN_ID": RUN}
            options = ["--simulate", str(node), "--name", "sft", "--label", "project=llm", "--label", "team=nlp"]
            argv = [COSTMETER, "run", "-q", *options, "--", sys.executable, "-c", _TELLS]
            run = stack.enter_context(subprocess.Popen(argv, env=environ, stderr=subprocess.DEVNULL))
            stack.callback(run.terminate)
        time.sleep(_TEMPLATE_SECONDS)
        for scenario, url in urls.items():
            made[scenario] = folder / f"{scenario}.txt"
            text = _get(f"{url}/metrics").replace(f'host="{os.uname().nodename}"', f'host="{HOST}"')
            made[scenario].write_text(text)
    return [made[scenario] for scenario in SCENARIOS]


_TELLS = """
import costmeter, time
for step in range(10_000):
    with costmeter.phase("eval" if step % 10 == 9 else "train"):
        costmeter.step(step, tokens=1000 * step, loss=2.0, of=10_000)
        time.sleep(1)
"""


@contextmanager
def _pages(templates: list[Path]) -> Iterator[int]:
    argv = [sys.executable, "-m", "tests.bench.fleetpages", str(_TEMPLATE_SECONDS), *map(str, templates)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _write_config(folder: Path, port: int, with_rules: bool) -> None:
    """Every node is a target of its own, at a path of one server."""
    targets = [
        {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {"__metrics_path__": f"/n/{node}/metrics", "instance": f"node-{node:05}:26786", "cluster": "c1"},
        }
        for node in range(NODES)
    ]
    (folder / "targets.json").write_text(json.dumps(targets))
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{INTERVAL_SECONDS}s"},
        "scrape_configs": [{"job_name": "costmeter", "file_sd_configs": [{"files": [str(folder / "targets.json")]}]}],
    }
    if with_rules:
        config["global"]["evaluation_interval"] = f"{INTERVAL_SECONDS}s"
        config["rule_files"] = [str(FILES / "prometheus" / "rules" / name) for name in rule_files(canonical())]
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML


def _series_with_a_past(server: str, folder: Path) -> list[dict[str, str]]:
    """What boards read over time, as a first server finds it: recorded series, and all of the nodes in detail."""
    nodes = f'{{__name__=~"costmeter_.+", instance=~"{_VARIABLES["node"]}|{_VARIABLES["held_on"]}"}}'
    with _server(server, folder, []) as (url, _):
        eventually(lambda: _value(url, "count(up == 1)") >= NODES or None, "all nodes scraped once")
        time.sleep(_LEARNING_SECONDS)
        found = [*_query(url, '{__name__=~"(cluster|instance|holder|user|project|run):.+"}'), *_query(url, nodes)]
    shutil.rmtree(folder / f"{server}-data")
    series: list[dict[str, str]] = [each["metric"] for each in found]
    # The hourly rules are first evaluated within five minutes: their series are those of the rates. Those of single
    # nodes have no past, because nothing reads a month of them.
    names = {"cluster:costmeter_gpu_cost_usd", "user:costmeter_cost_usd", "project:costmeter_cost_usd"}
    rates = [each for each in series if each["__name__"].removesuffix(":rate5m") in names]
    hourly = [{**each, "__name__": each["__name__"].replace(":rate5m", ":increase1h")} for each in rates]
    return [*(each for each in series if not each["__name__"].endswith(":increase1h")), *hourly]


@contextmanager
def _server(name: str, folder: Path, past: list[dict[str, str]]) -> Iterator[tuple[str, psutil.Process]]:
    """A server that scrapes, on a free port; one with a past gets that first."""
    config, data = folder / "prometheus.yml", folder / f"{name}-data"
    port = free_port()
    whole = config.read_text()
    if past:
        config.write_text("{}")
    storage = ["--storage.tsdb.retention.time=40d", "--web.enable-remote-write-receiver", "--web.enable-lifecycle"]
    storage += [f"--query.timeout={_PATIENCE_SECONDS}s"]
    argv = [name, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    argv += storage
    if name != "prometheus":
        argv = [name, f"-promscrape.config={config}", f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}"]
    with (folder / f"{name}.log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(url), f"{name} to answer")
            if past:
                began = time.monotonic()
                count = fleethistory.write(url, past, int(time.time()) - 1)
                took = time.monotonic() - began
                print(f"  {count:,} samples of {len(past):,} series written in {took:.0f} s", flush=True)
                config.write_text(whole)
                urllib.request.urlopen(f"{url}/-/reload", b"", timeout=60).close()
            yield url, psutil.Process(process.pid)
        finally:
            process.kill()


def _answers(url: str) -> bool | None:
    try:
        return bool(_query(url, "vector(1)"))
    except OSError:
        return None


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=120) as answer:
        text: str = answer.read().decode()
        return text


def _query(url: str, query: str, path: str = "query", **more: str) -> list[Mapping[str, Any]]:
    asked = urllib.parse.urlencode({"query": query, "latency_offset": "1ms", **more})
    found: list[Mapping[str, Any]] = json.loads(_get(f"{url}/api/v1/{path}?{asked}"))["data"]["result"]
    return found


def _value(url: str, query: str) -> float:
    """One value; none where the server gave up."""
    try:
        found = _query(url, query)
    except urllib.error.HTTPError:
        found = []
    return float(found[0]["value"][1]) if found else float("nan")


def _figures(name: str, url: str, process: psutil.Process) -> Iterator[Row]:
    eventually(lambda: _value(url, "count(up == 1)") >= NODES or None, "all nodes scraped once")
    cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(SECONDS)
    used = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
    of = f"{NODES:,} nodes, {SECONDS} s of data"
    yield Row(f"{name}: series of a node", _value(url, "max(scrape_samples_scraped)"), "series", None, of)
    yield Row(f"{name}: series", _value(url, "sum(scrape_samples_scraped)"), "series")
    yield Row(f"{name}: memory (RSS)", process.memory_info().rss / 1e6, "MB")
    yield Row(f"{name}: CPU, scraping and rules", 100 * used, "%", None, "of one core")
    yield Row(f"{name}: a scrape, 99th percentile", 1e3 * _value(url, "quantile(0.99, scrape_duration_seconds)"), "ms")
    if name == "prometheus":
        yield from _rules(url)
        yield from _boards(url)
        yield from _readback(url)


def _rules(url: str) -> Iterator[Row]:
    """What each group took when it was evaluated last; its interval is the bar that it must not come near."""
    groups = json.loads(_get(f"{url}/api/v1/rules"))["data"]["groups"]
    for group in sorted(groups, key=lambda each: -each["evaluationTime"])[:6]:
        slow = max(group["rules"], key=lambda rule: rule["evaluationTime"])
        note = f"slowest {slow['name']} {1e3 * slow['evaluationTime']:.0f} ms"
        yield Row(f"rules: {group['name']}", group["evaluationTime"], "s", group["interval"] / 4, note)
        for rule in group["rules"]:
            if rule["health"] == "err":
                yield Row(f"rules: {rule['name']}: {rule['lastError'][:60]}", 1, "failed", 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of one panel."""

    board: str
    panel: str
    query: str
    is_instant: bool
    opens_with: str


def board_queries() -> Iterator[Asked]:
    """Every query of every panel, with Grafana's variables filled in."""
    for path in sorted((FILES / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        panels, opens_with = board["panels"], board["time"]["from"]
        for panel in [*panels, *(inner for each in panels for inner in each.get("panels", []))]:
            for target in panel.get("targets", []):
                if target.get("expr"):
                    is_instant = bool(target.get("instant")) and not target.get("range")
                    coarse = _EACH_MINUTE if panel.get("interval") == "1m" and opens_with == "now-6h" else {}
                    of_range = {**_RANGES[opens_with], **coarse, **_edges(opens_with)}
                    query = _filled(target["expr"], {**_VARIABLES, **of_range})
                    yield Asked(path.stem, panel.get("title", ""), query, is_instant, opens_with)


def _edges(opens_with: str) -> dict[str, str]:
    """When the range begins and ends: now, and some minutes past an hour, so that parts of hours are read, too."""
    now, seconds = int(time.time()), int(_RANGES[opens_with]["__range_s"])
    return {"__from": str(now - seconds - 1_700), "__to": str(now)}


def _filled(query: str, variables: Mapping[str, str]) -> str:
    for variable, value in sorted(variables.items(), key=lambda pair: -len(pair[0])):
        query = re.sub(rf"\$\{{{variable}(:[a-z]+)*\}}|\${variable}\b", value, query)
    return query


def _boards(url: str) -> Iterator[Row]:
    """The slowest of each board, and every one over the bar; each asked twice, the second counts."""
    slowest: dict[str, Row] = {}
    for asked in board_queries():
        taken, count = _timed(url, asked)
        row = Row(f"{asked.board}: {asked.panel}"[:58], taken, "s", QUERY_BAR_SECONDS, f"{count} series")
        if not row.is_kept:
            yield row
        elif asked.board not in slowest or slowest[asked.board].measured < taken:
            slowest[asked.board] = row
    yield from slowest.values()


def _timed(url: str, asked: Asked) -> tuple[float, str]:
    now, seconds = time.time(), int(_RANGES[asked.opens_with]["__range_s"])
    step = str(_STEPS[asked.opens_with])
    more = {} if asked.is_instant else {"start": f"{now - seconds:.0f}", "end": f"{now:.0f}", "step": step}
    path, best, count = "query" if asked.is_instant else "query_range", float("inf"), ""
    for _ in range(2):
        began = time.monotonic()
        try:
            count = str(len(_query(url, asked.query, path, **more)))
        except urllib.error.HTTPError as refusal:
            return float("inf"), refusal.read().decode()[:200]
        best = min(best, time.monotonic() - began)
        if best > 2 * QUERY_BAR_SECONDS:
            break
    return best, count


def _readback(url: str) -> Iterator[Row]:
    """The two commands that read it back, whole, from their start to their end."""
    for words in (["report", "--since", "1d"], ["report", "--since", "1d", "--by", "user"], ["top", "--once"]):
        began = time.monotonic()
        done = subprocess.run([COSTMETER, *words, "--from", f"prometheus={url}"], capture_output=True, text=True)
        note = f"{len(done.stdout.splitlines())} lines" if done.returncode == 0 else done.stderr[:100]
        yield Row(f"costmeter {' '.join(words)}", time.monotonic() - began, "s", None, note)
