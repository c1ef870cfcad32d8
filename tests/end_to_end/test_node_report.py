"""`costmeter report` on an agent's journals, through the installed command: of the node, and of a run it saw."""

import csv
import html
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from costmeter.ledger.node.record import Holders, RunSeen
from tests.end_to_end.agents import agent
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, own_home
from tests.ledger.node.test_journal import FIRST, MAYA, day
from tests.ledger.node.test_run import state
from tests.ledger.nodedays import facts
from tests.outputs.test_receipt_schema import validator
from tests.runtime.heldnode import LEE_1
from tests.samples import BEGAN_UTC_NS, MINUTE

RUN = "r-seen"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """An agent saw a run of two GPUs to its end, and has stopped."""
    folder = tmp_path_factory.mktemp("agent")
    with own_home() as environ:
        with agent(folder, environ) as started:
            assert started.url
            told = {**environ, "COSTMETER_AGENT": str(folder / "agent.sock"), "COSTMETER_RUN_ID": RUN}
            job = [COSTMETER, "run", "--simulate", "healthy", "--gpus", "0,1", "-q", "--", "sleep", "3"]
            subprocess.run(job, env=told, check=True, timeout=PATIENCE_SECONDS)
            assert started.run(RUN)["run"] == RUN
            assert started.stop() == 0
        yield environ, folder / "state"


def report(environ: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    argv = [COSTMETER, "report", *options]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_a_run_that_the_agent_saw_has_a_receipt(recorded: tuple[dict[str, str], Path]) -> None:
    """Its receipt keeps the contract, has the two GPUs, ended well, and costs what --node has it cost, exactly."""
    environ, state = recorded
    (told,) = json.loads(report(environ, RUN, "--state", str(state), "--json").stdout)
    assert [] == [error.message for error in validator().iter_errors(told)]
    assert ("ok", [0, 1]) == (told["run"]["outcome"], [device["index"] for device in told["devices"]])
    node = json.loads(report(environ, "--node", "--by", "run", "--state", str(state), "--json").stdout)
    costs = {group["run"]: Decimal(group["cost"]) for group in node["groups"]}
    assert Decimal(told["cost"]["total"]) == costs[RUN] > 0
    assert {RUN, "(unheld)"} == costs.keys()


@pytest.mark.parametrize(("options", "words"), [((), RUN), (("last",), "Where it went"), (("--by", "user"), "1")])
def test_a_run_that_the_agent_saw_is_in_the_list(
    recorded: tuple[dict[str, str], Path], options: tuple[str, ...], words: str
) -> None:
    """Of an agent's directory the list has its runs, `last` is the newest of them, and groups count it."""
    environ, state = recorded
    done = report(environ, *options, "--state", str(state))
    assert (0, "", True) == (done.returncode, done.stderr, words in done.stdout)
    (row,) = csv.DictReader(io.StringIO(report(environ, "--state", str(state), "--format", "csv").stdout))
    (told,) = json.loads(report(environ, "--state", str(state), "--json").stdout)
    assert (RUN, "ok", told["cost"]["total"]) == (row["run"], row["outcome"], row["cost"])


def test_what_its_receipt_says_to_type_works(recorded: tuple[dict[str, str], Path]) -> None:
    """Again with the directory that was named, as text and as a page with its chart; what-if would know no such run."""
    environ, state = recorded
    again = f"costmeter report {RUN} --state {state}"
    done = report(environ, RUN, "--state", str(state))
    assert (True, False) == (again in " ".join(done.stdout.split()), "what-if" in done.stdout)
    made = subprocess.run(
        [COSTMETER, *shlex.split(again)[1:], "--html"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (0, "") == (made.returncode, made.stderr)
    footer = made.stdout[made.stdout.index("<footer>") :]
    assert (True, False) == (f"<code>{again} --html</code>" in footer, "what-if" in footer)
    assert "Over time" in made.stdout


@pytest.mark.parametrize("named", ["state", "path"])
def test_of_a_wrappers_run_elsewhere_too(recorded: tuple[dict[str, str], Path], tmp_path: Path, named: str) -> None:
    """Whether its directory was named or its folder, both commands below the receipt do what they say."""
    environ, _ = recorded
    folder = tmp_path / "her runs"
    shutil.copytree(Path(environ["XDG_STATE_HOME"], "costmeter"), folder)
    asked = [RUN, "--state", str(folder)] if named == "state" else [str(folder / "runs" / RUN)]
    with own_home() as elsewhere:
        footer = report(elsewhere, *asked, "--html").stdout.split("<footer>")[1]
        commands = [html.unescape(each) for each in re.findall("<code>(.*?)</code>", footer)]
        ran = [
            subprocess.run(
                [COSTMETER, *shlex.split(each)[1:]], env=elsewhere, capture_output=True, text=True, timeout=60
            )
            for each in commands
        ]
    assert ["report", "what-if"] == [shlex.split(each)[1] for each in commands]
    assert [(0, True), (0, True)] == [(each.returncode, bool(each.stdout)) for each in ran], ran


def test_every_id_that_is_shown_can_be_asked_for(tmp_path: Path) -> None:
    """Maya and lee have a run r-1 each: by what the list calls them a receipt is asked for, and called."""
    lees = replace(LEE_1, run=MAYA.run)
    held = Holders(BEGAN_UTC_NS + 2 * MINUTE, {FIRST: (lees,)})
    state(tmp_path, [*day()[:7], RunSeen(BEGAN_UTC_NS + 2 * MINUTE, facts(lees)), held, day()[8]])
    with own_home() as environ:
        rows = csv.DictReader(io.StringIO(report(environ, "--state", str(tmp_path), "--format", "csv").stdout))
        ids = [row["run"] for row in rows]
        told = [json.loads(report(environ, each, "--state", str(tmp_path), "--json").stdout) for each in ids]
        both = report(environ, MAYA.run, "--state", str(tmp_path), "--by", "user").stdout
    assert ["r-1~1001", "r-1~1002"] == ids == [each["run"]["id"] for (each,) in told]
    assert (True, True) == ("maya" in both, "lee" in both)


@pytest.mark.parametrize("kind", ["text", "csv", "md"])
def test_the_node_has_its_account(recorded: tuple[dict[str, str], Path], kind: str) -> None:
    """By user, in every form, with what nobody held."""
    environ, state = recorded
    done = report(environ, "--node", "--state", str(state), "--format", kind)
    assert (0, "", True) == (done.returncode, done.stderr, "(unheld)" in done.stdout)


def test_both_records_of_a_run_are_told_and_one_counts(recorded: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    """Where the wrapper's journal and the agent's lie together, the wrapper's cost stands and the other is said."""
    environ, state = recorded
    own = Path(environ["XDG_STATE_HOME"], "costmeter")
    (alone,) = json.loads(report(environ, RUN, "--json").stdout)
    (tmp_path / "runs").symlink_to(own / "runs")
    (tmp_path / "node").symlink_to(state / "node")
    (told,) = json.loads(report(environ, RUN, "--state", str(tmp_path), "--json").stdout)
    assert alone["cost"] == told["cost"]
    assert ["not added" in said for said in told["meter"]["journal_problems"]] == [True]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        pytest.param(("--node", "r-1"), 2, "without --node", id="run"),
        pytest.param(("--node", "--by", "month"), 2, "no --by month", id="key"),
        pytest.param(("--node", "--format", "focus"), 2, "no focus form", id="format"),
        pytest.param(("--node", "--bill"), 2, "--bill", id="bill"),
        pytest.param(("--by", "run"), 2, "for --node", id="by-run"),
        pytest.param(("--state", "/nowhere"), 2, "no such directory", id="no-state"),
        pytest.param(("--node",), 1, "no agent has recorded", id="no-agent"),
        pytest.param(("r-unheard-of",), 1, "no run", id="no-run"),
    ],
)
def test_what_has_no_answer_says_what_to_type(options: tuple[str, ...], status: int, words: str) -> None:
    """A wrong command line is 2, nothing to report 1; each says what is wrong, and none is a traceback."""
    with own_home() as environ:
        done = report(environ, *options)
    assert (status, True) == (done.returncode, words in done.stderr)
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
