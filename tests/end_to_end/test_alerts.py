"""An idle GPU in a simulated agent, read by a real Prometheus with our rules, told by a real Alertmanager to a webhook.

The GPU of a user computes for ten seconds, waits for more than a minute, and computes again. Rules and routes are those
that are exported but for what `hurried` says: nobody waits a quarter of an hour for a test.
"""

import http.server
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.agents import agent
from tests.end_to_end.installed import eventually, own_home
from tests.end_to_end.test_prometheus import get, started

FILES = Path(__file__).parents[2] / "costmeter" / "outputs" / "export" / "files"
ABSENT = [each for each in ("prometheus", "prometheus-alertmanager") if shutil.which(each) is None]
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=f"{' and '.join(ABSENT)} not installed"),
    pytest.mark.timeout(400),
]

#: Seconds that the exported 15 minutes of `for` become, and how often rules are evaluated.
FOR_SECONDS, EVERY_SECONDS = 5, 1
#: The exported rate over 5 minutes becomes one over so many seconds: more than the minute by which idle money comes.
RATE_SECONDS = 75
NODE = """
about: A GPU that computes for ten seconds, idles until the second minute, and computes from then on.
devices:
  - name: NVIDIA H100 80GB HBM3
    architecture: hopper
    power_limit: 700 W
    idle_power: 70 W
    memory: 81559 MiB
    load:
      - {shape: constant, for: 10 s, power: 600 W, utilization: 99 %}
      - {shape: constant, for: 65 s, power: 70 W, utilization: 0 %}
      - {shape: constant, power: 600 W, utilization: 99 %}
    processes:
      - {pid: 5001, memory: 38 GiB, user: lee}
"""
CONFIG = """
global: {{scrape_interval: {every}s, evaluation_interval: {every}s}}
rule_files: ["{rules}/*.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{manager}"]}}]}}]}}
scrape_configs:
  - {{job_name: costmeter, static_configs: [{{targets: ["{node}"], labels: {{cluster: paris}}}}]}}
"""


def hurried(rules: str) -> str:
    """The rules with their waiting shortened and nothing else: `for` and `keep_firing_for`, and rates of 5 minutes."""
    rules = re.sub(r"(?m)^( +for): \S+$", rf"\1: {FOR_SECONDS}s", rules)
    rules = re.sub(r"(?m)^( +keep_firing_for): \S+$", r"\1: 2s", rules)
    rules = re.sub(r"(?m)^( +interval): \S+$", rf"\1: {EVERY_SECONDS}s", rules)
    # Looks back at the last day count five minutes at a time; here they count seconds.
    rules = rules.replace("[1d:5m]", "[1d:1s]").replace("300 * sum_over_time", "sum_over_time")
    return rules.replace("300 * count_over_time", "count_over_time").replace("[5m]", f"[{RATE_SECONDS}s]")


class Webhook:
    """A receiver of Alertmanager's messages, and all that it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/costmeter"

    def alert(self, name: str, status: str) -> dict[str, Any] | None:
        """The first alert of that name that was told with that status."""
        alerts = (alert for message in list(self.told) for alert in message["alerts"])
        return next((each for each in alerts if each["labels"]["alertname"] == name and each["status"] == status), None)


@contextmanager
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@contextmanager
def serving(folder: Path, name: str, argv: list[str]) -> Iterator[str]:
    """A server of Prometheus's family on a port of its own choice; its address."""
    log = folder / f"{name}.log"
    places = ["--web.listen-address=127.0.0.1:0", "--log.level=info"]
    with log.open("w") as writing, started([*argv, *places], stdout=writing, stderr=subprocess.STDOUT):
        yield eventually(lambda: re.search(r'"Listening on" address=(\S+)', log.read_text()), log.read_text())[1]


@contextmanager
def stack(folder: Path, url: str, node: str) -> Iterator[str]:
    """Alertmanager and Prometheus with the exported files; where Prometheus is asked."""
    routes = (FILES / "alertmanager" / "alertmanager.yml").read_text()
    routes = re.sub(r"url: \S+", f"url: {url}", routes)
    routes = routes.replace("group_wait: 30s", "group_wait: 0s").replace("group_interval: 5m", "group_interval: 1s")
    (folder / "alertmanager.yml").write_text(routes)
    rules = folder / "rules"
    rules.mkdir()
    for file in ("costmeter.yml", "costmeter-alerts.yml"):
        text = hurried((FILES / "prometheus" / "rules" / file).read_text())
        # One H100 at list price is below 5 dollars an hour.
        (rules / file).write_text(text.replace("expr: vector(5)", "expr: vector(0.5)"))
    manager = ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}", "--cluster.listen-address="]
    manager.append(f"--storage.path={folder / 'alertmanager'}")
    with serving(folder, "alertmanager", manager) as address:
        config = CONFIG.format(every=EVERY_SECONDS, rules=rules, manager=address, node=node)
        (folder / "prometheus.yml").write_text(config)
        argv = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        with serving(folder, "prometheus", argv) as prometheus:
            yield prometheus


def within(seconds: float, look: Any, what: Any) -> Any:
    """Look again for so long; a failure shows `what()`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(what())


def series(prometheus: str, query: str) -> list[dict[str, Any]]:
    asked = urllib.parse.urlencode({"query": query})
    found: list[dict[str, Any]] = json.loads(get(f"http://{prometheus}/api/v1/query?{asked}"))["data"]["result"]
    return found


def test_an_idle_gpu_reaches_its_owner_and_work_ends_the_alert(tmp_path: Path) -> None:
    """The webhook is told owner, reason, dollars and the command, one evaluation after `for`; then that it is over."""
    (tmp_path / "node.yaml").write_text(NODE)
    options = ["--simulate", str(tmp_path / "node.yaml")]
    with own_home() as home, webhook() as hook, agent(tmp_path, home, *options) as metering:
        address = metering.url.removeprefix("http://")
        with stack(tmp_path, hook.url, address) as prometheus:
            firing = within(150, lambda: hook.alert("IdleGpuSpend", "firing"), lambda: (hook.told, metering.said))
            found = series(prometheus, 'ALERTS_FOR_STATE{alertname="IdleGpuSpend",severity="warning"}')
            resolved = within(250, lambda: hook.alert("IdleGpuSpend", "resolved"), lambda: hook.told)

    labels, said = firing["labels"], firing["annotations"]
    assert (labels["owner"], labels["user"], labels["cluster"]) == ("lee", "lee", "paris")
    assert re.fullmatch(r"lee holds idle GPUs for \d+\.\d\d USD/h \(waiting-for-data\)", said["summary"])
    assert re.search(r"In the last 24 hours this came to \d+\.\d\d USD", said["description"])
    assert said["description"].endswith(f"costmeter idle --from http://{address}")
    assert said["runbook_url"].endswith("/IdleGpuSpend.md")

    pending_since = float(found[0]["value"][1])
    assert FOR_SECONDS <= _seconds(firing["startsAt"]) - pending_since <= FOR_SECONDS + EVERY_SECONDS + 0.001

    assert resolved["labels"]["owner"] == "lee"
    names = {alert["labels"]["alertname"] for message in hook.told for alert in message["alerts"]}
    assert names <= {"IdleGpuSpend", "NotebookHoldingGpu"}


def _seconds(rfc3339: str) -> float:
    """Unix time of what Alertmanager writes, which has up to nine digits of a second."""
    whole, _, fraction = rfc3339.removesuffix("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(f"0.{fraction or 0}")


#: What one cause fires at once, as labels of the exported rules; somebody is told the first, and none of the others.
_LEE = {"owner": "lee", "owner_kind": "user", "user": "lee", "job": "costmeter"}
_PLATFORM = {"owner": "platform", "owner_kind": "team", "job": "costmeter"}
_ADDRESS = {"instance": "gpu01:26786"}
_NODE = {**_PLATFORM, **_ADDRESS}
_RUN = {**_LEE, "run_id": "r-1", "name": "r-1", "project": "llm"}
CAUSES = {
    "hang": [
        {**_LEE, "run_id": "r-1", "alertname": "TrainingStalled", "severity": "critical"},
        {**_LEE, "run_id": "r-1", "alertname": "TrainingStalled", "severity": "warning"},
    ],
    "idle": [
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "critical"},
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "warning"},
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "info"},
        {**_LEE, "alertname": "NotebookHoldingGpu", "severity": "info", "gpu_uuid": "GPU-a", "instance": "gpu01:26786"},
    ],
    "idle-a-little": [
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "warning"},
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "info"},
    ],
    "budget": [
        {**_RUN, "alertname": "RunOverBudget", "severity": "critical"},
        {**_RUN, "alertname": "RunOverBudget", "severity": "warning"},
        {**_RUN, "alertname": "RunOverBudgetSoon", "severity": "warning"},
    ],
    "node": [
        {**_NODE, "alertname": "CostmeterDown", "severity": "critical", "scope": "node"},
        {**_NODE, "alertname": "CollectorFailing", "severity": "warning", "collector": "gpu"},
        {**_NODE, "alertname": "UnheldGpuSpend", "severity": "info", "scope": "node", "state": "unheld"},
    ],
    "job": [
        {**_PLATFORM, "alertname": "CostmeterDown", "severity": "critical", "scope": "job"},
        {**_NODE, "alertname": "CostmeterDown", "severity": "critical", "scope": "node"},
        {**_LEE, "alertname": "IdleGpuSpend", "severity": "warning"},
    ],
}
#: What none of these silences: another user's, a user's who is called as a team, other waste of the hanging user.
APART = [
    {**_LEE, "cluster": "hang", "alertname": "IdleGpuSpend", "severity": "warning"},
    {**_LEE, "cluster": "idle", "owner": "maya", "user": "maya", "alertname": "IdleGpuSpend", "severity": "warning"},
    {**_LEE, "cluster": "job-of-a-user", "owner": "platform", "alertname": "IdleGpuSpend", "severity": "warning"},
    # Of somebody else's rules in the same Alertmanager, none of whose labels is ours.
    {"cluster": "job", "job": "costmeter", "alertname": "NodeFilesystemFull", "severity": "critical", "instance": "a"},
    {"cluster": "node", "job": "costmeter", "alertname": "NodeClockSkew", "severity": "warning", **_ADDRESS},
    {"cluster": "disk-a", "alertname": "NodeDiskSlow", "severity": "critical", "device": "sda"},
    {"cluster": "disk-a", "alertname": "NodeDiskSlow", "severity": "warning", "device": "sdb"},
]


def test_one_cause_is_one_notification(tmp_path: Path) -> None:
    """Of what one cause fires, a real Alertmanager with the exported file tells the worst, once, and nothing else."""
    groups = {name: [{**labels, "cluster": name} for labels in fired] for name, fired in CAUSES.items()}
    with webhook() as hook:
        routes = (FILES / "alertmanager" / "alertmanager.yml").read_text()
        routes = re.sub(r"url: \S+", f"url: {hook.url}", routes).replace("group_wait: 30s", "group_wait: 1s")
        (tmp_path / "alertmanager.yml").write_text(routes.replace("group_interval: 5m", "group_interval: 1s"))
        manager = ["prometheus-alertmanager", f"--config.file={tmp_path / 'alertmanager.yml'}"]
        manager += ["--cluster.listen-address=", f"--storage.path={tmp_path / 'alertmanager'}"]
        with serving(tmp_path, "alertmanager", manager) as address:
            fired = [labels for each in groups.values() for labels in each] + APART
            body = json.dumps([{"labels": labels} for labels in fired]).encode()
            asked = urllib.request.Request(
                f"http://{address}/api/v2/alerts", body, {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(asked, timeout=10).close()
            expected = sorted(map(_key, [each[0] for each in groups.values()] + APART))
            within(30, lambda: True if set(expected) <= set(_told(hook)) else None, lambda: (expected, _told(hook)))
            time.sleep(2.5)  # two intervals of a group: what comes late would have come
    assert sorted(_told(hook)) == expected


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    """What tells one alert from another here."""
    names = ("cluster", "owner_kind", "owner", "alertname", "severity", "scope")
    return tuple(labels.get(name, "") for name in names)


def _told(hook: Webhook) -> list[tuple[str, ...]]:
    """Every alert that the webhook was told."""
    return sorted({_key(alert["labels"]) for message in list(hook.told) for alert in message["alerts"]})
