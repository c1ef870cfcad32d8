"""`costmeter idle`, the installed command: of an agent whose GPU a notebook holds, and where there is nobody to ask."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home
from tests.feeds.servers import Said, serving

NOTEBOOK = ("--simulate", "notebook")


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    with own_home() as found:
        yield {**found, "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def started(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedAgent]:
    """An agent whose GPU somebody holds who has only begun."""
    with agent(tmp_path_factory.mktemp("agent"), environ, *NOTEBOOK) as found:
        eventually(lambda: _reason(found) == "start-up" or None, "a holder who has only begun")
        yield found


@pytest.fixture(scope="module")
def later(started: StartedAgent) -> Iterator[str]:
    """What the agent answers an hour later: no test waits so long, so the hour is put into its own answer."""
    node = started.node
    node["gpus"][0] |= {"reason": "memory-held", "idle_cost": "1.01"}
    hour_ago = datetime.fromisoformat(node["at"].removesuffix("Z")) - timedelta(hours=1)
    node["gpus"][0]["reason_since"] = f"{hour_ago.isoformat(timespec='milliseconds')}Z"
    with serving(lambda request: Said(json.dumps(node))) as server:
        yield server.base


def test_who_has_only_begun_is_no_news(environ: dict[str, str], started: StartedAgent) -> None:
    """What is idle for a moment is counted, not listed; --all lists it, and makes no news of it."""
    told = idle(environ, "--from", started.url)
    assert (0, "") == (told.returncode, told.stderr)
    assert "nothing worth telling on " in told.stdout
    assert "Not listed: 1 GPU" in told.stdout
    every = idle(environ, "--exit-code", "--all", "--from", started.url)
    assert (0, "") == (every.returncode, every.stderr)
    assert "nothing worth telling on " in every.stdout
    assert re.search(r"^GPU 0  A100  lee .*\n    has only begun; pid 4245001$", every.stdout, re.MULTILINE)
    assert "0" == json.loads(idle(environ, "--all", "--json", "--from", started.url).stdout)["per_hour"]


def test_an_hour_costs_what_it_costs_now(environ: dict[str, str], started: StartedAgent) -> None:
    """A GPU that is idle all along costs its price, also once that has risen: not what its hour came to before."""
    node = started.node
    (gpu,) = node["gpus"]
    assert gpu["idle_seconds"] >= 0 == gpu["busy_seconds"]
    hour_ago = datetime.fromisoformat(node["at"].removesuffix("Z")) - timedelta(hours=1)
    since = f"{hour_ago.isoformat(timespec='milliseconds')}Z"
    gpu |= {"reason": "hang", "reason_since": since, "per_hour": "50", "idle_cost": "6.13", "idle_seconds": 3599.0}
    with serving(lambda request: Said(json.dumps(node))) as server:
        told = idle(environ, "--from", server.base)
    assert "$50.00/h is going to nobody's training right now ($6.13 so far)" in told.stdout.replace("\n", " ")


def _reason(found: StartedAgent) -> Any:
    gpus = found.node["gpus"]
    return gpus[0]["reason"] if gpus else None


def idle(environ: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    argv = [COSTMETER, "idle", *options]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_who_holds_a_gpu_for_nothing_is_named(environ: dict[str, str], later: str) -> None:
    """The user, why, the process, whom to ask and what to type, in no more columns than a terminal has."""
    told = idle(environ, "--from", later.removeprefix("http://"))
    assert (0, "") == (told.returncode, told.stderr)
    assert re.match(
        r"simulated GPUs: \$\S+/h is going to nobody's training right now \(\$\S+\s+so far\)\n", told.stdout
    )
    assert re.search(r"^GPU 0  A100  lee ", told.stdout, re.MULTILINE)
    assert "a process holds its memory and computes nothing; pid 4245001; 18 GB held" in told.stdout
    assert "ask lee; if it is yours: kill 4245001" in told.stdout
    assert max(len(line) for line in told.stdout.splitlines() if "amtool" not in line) <= 80
    assert 1 == idle(environ, "--exit-code", "--from", later).returncode


@pytest.mark.parametrize("options", [(), ("--all",)], ids=["news", "all"])
def test_json_keeps_the_contract(environ: dict[str, str], later: str, options: tuple[str, ...]) -> None:
    """--json is what the shipped schema says, and has the same GPU for the same reason."""
    found = json.loads(idle(environ, "--json", *options, "--from", later).stdout)
    schema = json.loads(files("costmeter.outputs").joinpath("idle.schema.json").read_text())
    assert [] == [error.message for error in Draft202012Validator(schema).iter_errors(found)]
    (held,) = found["idle"]
    assert " owner=lee " in held["quiet"]
    assert "NotebookHoldingGpu" in held["quiet"]
    assert ("memory-held", "lee", 4245001) == (held["reason"], held["holders"][0]["user"], held["processes"][0]["pid"])


def test_the_agents_own_pages_say_why(environ: dict[str, str], started: StartedAgent) -> None:
    """`top` and the metrics name the reason that `idle` does."""
    argv = [COSTMETER, "top", "--once", "--from", started.url]
    shown = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout
    assert re.search(r"IDLE .*, start-up, 18 GB", shown)
    node = started.node["gpus"][0]
    assert (True, True) == (node["reason_since"] is not None, float(node["idle_cost"]) > 0)


def test_without_an_agent_it_says_what_to_type(environ: dict[str, str]) -> None:
    """Exit 1, that nobody answers, and how an agent is started or another one asked."""
    with serving(lambda request: Said("{}")) as server:
        told = idle(environ, "--from", server.base)
    assert (1, "") == (told.returncode, told.stdout)
    assert "no agent of costmeter" in told.stderr
    for host in ("127.0.0.9", "[::1]"):  # nobody serves there; a host alone is its agent's
        assert f"no agent answers at http://{host}:26786" in idle(environ, "--from", host).stderr
    told = idle(environ, "--from", "127.0.0.1:9")
    assert 1 == told.returncode
    assert "no agent answers at http://127.0.0.1:9" in told.stderr
    assert "hint: is it running there? costmeter agent." in told.stderr


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param('{"schema": "costmeter.node/1"}', id="empty"),
        pytest.param('{"schema": "costmeter.node/1", "host": "n", "gpus": [{"holders": 7}]}', id="wrong-kind"),
        pytest.param('{"schema": "costmeter.node/1", "host": [], "gpus": 7, "runs": 7}', id="no-lists"),
    ],
)
def test_a_broken_answer_is_told(environ: dict[str, str], answer: str) -> None:
    """Exit 1, what is wrong, and no traceback."""
    with serving(lambda request: Said(answer)) as server:
        told = idle(environ, "--from", server.base)
    assert (1, "") == (told.returncode, told.stdout)
    assert "cannot be shown" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--from", "ftp://gpu02"), "no http or https address", id="scheme"),
        pytest.param(("--ca", "a.pem"), "--ca is for", id="ca-without-https"),
        pytest.param(("--snooze",), "unrecognized", id="unknown"),
    ],
)
def test_a_wrong_command_line_is_refused(environ: dict[str, str], options: tuple[str, ...], words: str) -> None:
    """Exit 2, with what was expected."""
    told = idle(environ, *options)
    assert (2, True) == (told.returncode, words in told.stderr), told.stderr


def test_a_run_tells_the_agent_what_it_will_cost(environ: dict[str, str], tmp_path: Path) -> None:
    """Its budget and its projection are on the agent's page, as its own meter has them."""
    steps = "import costmeter, time\nfor step in range(1, 600):\n    costmeter.step(step, of=1000); time.sleep(0.2)"
    beside = environ | {"COSTMETER_AGENT": str(tmp_path / "agent.sock"), "COSTMETER_RUN_ID": "r-told"}
    run = [COSTMETER, "run", "--simulate", "healthy", "--budget", "80", "--", sys.executable]
    with agent(tmp_path, environ) as found, subprocess.Popen([*run, "-c", steps], env=beside, stderr=-1) as wrapped:
        try:
            found.run("r-told")
            page = eventually(lambda: _with(found, "costmeter_run_projected_cost_usd{"), "a projection")
        finally:
            wrapped.terminate()
            wrapped.communicate(timeout=PATIENCE_SECONDS)
    (projected,) = re.findall(r'^costmeter_run_projected_cost_usd\{[^}]*run_id="r-told"\} (\S+)$', page, re.MULTILINE)
    assert float(projected) > 0
    assert re.search(r'^costmeter_run_budget_usd\{.*run_id="r-told",per="run",project=""\} 80\.0$', page, re.MULTILINE)


def _with(found: StartedAgent, words: str) -> str | None:
    with urllib.request.urlopen(f"{found.url}/metrics", timeout=10) as answer:
        page: str = answer.read().decode()
    return page if words in page else None
