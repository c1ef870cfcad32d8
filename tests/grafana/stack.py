"""A node as production has it, small: an agent, runs, and a real Prometheus that reads them and evaluates our rules.

One run trains on two GPUs and tells of steps, tokens, loss and phases; it has a budget, and its wrapper serves it, too.
One holds a GPU and does nothing. One failed. Prometheus reads and evaluates every second instead of every quarter of a
minute, its rules' groups and `for` as well, and looks at the past in steps of seconds: that is all that is scaled.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.end_to_end.prometheuses import StartedPrometheus, configured

FILES = Path(__file__).parents[2] / "costmeter" / "outputs" / "export" / "files"
RULES = FILES / "prometheus" / "rules"
NODE = Path(__file__).with_name("node.yaml")
TRAINS, WAITS, FAILED = "r-trains", "r-waits", "r-failed"
SETTINGS = """
electricity: {price: 0.21, pue: 1.2}
carbon: {intensity: 380}
"""
#: What the training run does: it tells of steps and phases until its input ends.
TRAINING = """
import costmeter, itertools, os, select, sys, time
while not os.path.exists(os.environ["COSTMETER_NOTIFY"]):
    time.sleep(0.01)
phases = itertools.cycle(["train"] * 8 + ["eval"] * 3 + ["checkpoint"] * 2)
for step, phase in zip(range(1, 5000), phases):
    costmeter.step(step, tokens=4096 * step, loss=2 + 1 / step, of=5000)
    with costmeter.phase(phase):
        if select.select([sys.stdin], [], [], 1.0)[0]:
            break
"""
#: The pages are read for so long: a new run's series stand at 0 for a minute, and reasons wait for the end of one.
READ_FOR_SECONDS = 75
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yml"]
scrape_configs:
  - job_name: costmeter
    static_configs: [{{targets: [{targets}], labels: {{cluster: paris}}}}]
"""


def scaled(rules: str) -> str:
    """Rules as they are, but evaluated each second, firing at once and at cents, and with a budget; prices are old."""
    rules = re.sub(r"(?m)^(\s+(?:for|keep_firing_for|interval)): \S+$", r"\1: 1s", rules)
    rules = re.sub(
        r"(record: costmeter:threshold_\w+_per_hour.*\n\s+expr): vector\([0-9.]+\)", r"\1: vector(0.01)", rules
    )
    # A month begins with five minutes in which nothing is known of it yet.
    rules = re.sub(r"300( \* sum_over_time)", r"5\1", rules).replace(":5m]", ":5s]")
    # So that an alert of finops fires: the rates of the settings are of some day before today.
    rules = re.sub(
        r"(record: costmeter:threshold_price_age_days.*\n\s+expr): vector\([0-9.]+\)", r"\1: vector(0)", rules
    )
    return re.sub(r"(record: costmeter:month_budget_usd.*\n\s+expr): vector\([0-9.]+\)", r"\1: vector(1000)", rules)


@contextmanager
def stack(folder: Path) -> Iterator[tuple[StartedPrometheus, StartedAgent]]:
    """All of it, once it has been read for long enough; nothing outlives the test."""
    with ExitStack() as open_:
        environ = open_.enter_context(own_home())
        settings = folder / "costmeter.yaml"
        settings.write_text(SETTINGS)
        started = open_.enter_context(agent(folder, environ, "--simulate", str(NODE), "--config", str(settings)))
        assert started.node, "the agent has read its GPUs"
        environ |= {"COSTMETER_AGENT": str(folder / "agent.sock")}
        wrapper = _train(open_, environ, settings, folder)
        server = _prometheus(open_, folder, [started.url.removeprefix("http://"), wrapper])
        _begin(open_, environ, settings, WAITS, "2", ["sleep", "600"])
        failing = _begin(open_, environ, settings, FAILED, "4", ["sh", "-c", "sleep 12; exit 3"])
        time.sleep(READ_FOR_SECONDS - 10)
        assert failing.wait(60) == 3
        time.sleep(10)
        yield server, started


def _run(settings: Path, gpus: str, *options: str) -> list[str]:
    return [
        COSTMETER, "run", "--simulate", str(NODE), "--config", str(settings), "--gpus", gpus,
        "--name", "sft", "--label", "project=llm", "--label", "team=nlp", *options, "--",
    ]  # fmt: skip


def _begin(
    open_: ExitStack, environ: dict[str, str], settings: Path, run: str, gpus: str, command: list[str]
) -> "subprocess.Popen[bytes]":
    argv = [*_run(settings, gpus), *command]
    null = subprocess.DEVNULL
    env = environ | {"COSTMETER_RUN_ID": run}
    process = open_.enter_context(subprocess.Popen(argv, env=env, stdin=null, stdout=null, stderr=null))
    open_.callback(process.kill)
    return process


def _train(open_: ExitStack, environ: dict[str, str], settings: Path, folder: Path) -> str:
    """Start the run that trains; where its wrapper serves it."""
    log = folder / "train.log"
    serving = ["--listen", "127.0.0.1:0", "--budget", "5"]
    argv = [*_run(settings, "0,1", *serving), sys.executable, "-c", TRAINING]
    env = environ | {"COSTMETER_RUN_ID": TRAINS, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("wb") as stderr:
        process = open_.enter_context(subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stderr=stderr))
    open_.callback(process.kill)
    return eventually(lambda: re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text()), "the wrapper's page")[1]


def _prometheus(open_: ExitStack, folder: Path, targets: list[str]) -> StartedPrometheus:
    rules = folder / "rules"
    rules.mkdir()
    for file in ("costmeter.yml", "costmeter-alerts.yml"):
        rules.joinpath(file).write_text(scaled(RULES.joinpath(file).read_text()))
    config = CONFIG.format(rules=rules, targets=", ".join(f'"{target}"' for target in targets))
    return open_.enter_context(configured(folder, config))
