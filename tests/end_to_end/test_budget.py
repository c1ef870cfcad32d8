"""Budgets through the installed command: announced, asked, told by TERM, killed after the grace; and nobody else is.

8 simulated GPUs at 3,600 USD an hour cost 8 USD a second: a budget of a few dollars is used up in a tick or two.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.bulk import load_run
from costmeter.ledger.query import Part
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, PYTHON, eventually, own_home, receipt
from tests.sources.nodes import STEADY

PER_SECOND = 8
PRICED = ["--simulate", "healthy", "--price", "3600"]
RUN_ID = "watched"

#: Says what it hears, and ends only when told how: `stay` never does by itself.
LISTENER = """
import signal, sys, time
def heard(number, frame):
    print("TERM", flush=True)
    if sys.argv[1] != "stay":
        sys.exit(int(sys.argv[1]))
signal.signal(signal.SIGTERM, heard)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""

#: Looks whether it shall stop, as a training loop does, and saves then.
ASKED = """
import signal, sys, time
import costmeter
signal.signal(signal.SIGTERM, lambda *_: (print("TERM", flush=True), sys.exit(9)))
step = 0
while not costmeter.stop_requested():
    step += 1
    costmeter.step(step)
    time.sleep(0.05)
print("saved", flush=True)
"""

#: A launcher that dies of TERM at once, and a rank that went its own way and saves for longer than it lives.
LAUNCHER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-S", "-c", sys.argv[1], "stay"], start_new_session=True)
time.sleep(60)
"""


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """Somebody without configuration; every run of theirs has the same id."""
    with own_home() as environ:
        environ["COSTMETER_RUN_ID"] = RUN_ID
        yield environ


def run(home: dict[str, str], options: list[str], command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """One metered command, with its receipt in `out.json` of its home."""
    argv = [COSTMETER, "run", *PRICED, "--json", str(out(home)), *options, "--", *command]
    done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS, **how)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def out(home: dict[str, str]) -> Path:
    return Path(home["HOME"], "out.json")


def budget_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("costmeter: budget: ")]


def parts(home: dict[str, str]) -> tuple[Part, ...]:
    return load_run(Path(home["XDG_STATE_HOME"], "costmeter"), RUN_ID).parts


def milestones(home: dict[str, str]) -> list[str]:
    return [mark.what for part in parts(home) for mark in part.milestones]


def test_a_budget_is_announced_and_the_command_runs_on(home: dict[str, str]) -> None:
    """Shares are said on stderr even when quiet, each in the journal too; nothing becomes of the command."""
    done = run(home, ["-q", "--budget", "20"], ["sleep", "4.5"])
    assert 0 == done.returncode
    lines = budget_lines(done)
    assert lines[-1].startswith("costmeter: budget: 100 % of $20.00 used ($")
    assert lines[-1].endswith("; the command runs on")
    assert [
        f"20 per run: {line.removeprefix('costmeter: budget: ').partition(';')[0]}" for line in lines
    ] == milestones(home)
    told = receipt(out(home))
    assert ("ok", "20", True, False) == (
        told["run"]["outcome"],
        told["budget"]["amount"],
        told["budget"]["exceeded"],
        told["budget"]["stopped"],
    )
    assert Decimal(told["budget"]["spent"]) == Decimal(told["cost"]["total"])


def test_a_stop_is_term_then_its_grace_then_kill(home: dict[str, str]) -> None:
    """A command that does not go is killed once its grace is over and not before; the wrapper dies as it did."""
    done = run(home, ["--budget", "4", "--on-budget", "stop", "--grace", "2s"], [*PYTHON, "-c", LISTENER, "stay"])
    assert -signal.SIGKILL == done.returncode
    assert ["up", "TERM"] == done.stdout.split()
    assert "stopping the command, which has 2 s to save and end" in budget_lines(done)[-1]
    told = milestones(home)
    assert ["4 per run: stopping the command", "TERM to 1 process"] == told[-3:-1]
    assert told[-1].startswith("KILL to 1 process, 2 s after")
    assert "stopped by budget" == receipt(out(home))["run"]["outcome"]
    assert receipt(out(home))["budget"]["stopped"]
    marks = {mark.what.split()[0]: mark.at_utc_ns for mark in parts(home)[0].milestones}
    assert marks["KILL"] - marks["TERM"] > 1_900_000_000


@pytest.mark.parametrize("code", [0, 5])
def test_the_outcome_is_the_stop_however_the_command_ends(home: dict[str, str], code: int) -> None:
    """A command that saves and ends on TERM keeps its exit code, and its run was stopped by budget."""
    command = [*PYTHON, "-c", LISTENER, str(code)]
    done = run(home, ["--budget", "4", "--on-budget", "stop", "--grace", "30s"], command)
    assert (code, ["up", "TERM"]) == (done.returncode, done.stdout.split())
    assert ("stopped by budget", code) == tuple(receipt(out(home))["run"][key] for key in ("outcome", "exit_code"))
    assert not any(what.startswith("KILL") for what in milestones(home))


def test_who_looks_is_asked_before_term(home: dict[str, str]) -> None:
    """A loop that calls `costmeter.stop_requested` saves and ends by itself: no signal is sent, the file is gone."""
    done = run(home, ["--budget", "12", "--on-budget", "stop", "--grace", "30s"], [sys.executable, "-c", ASKED])
    assert (0, "saved\n") == (done.returncode, done.stdout)
    assert "asked to stop" == milestones(home)[-1]
    assert "stopped by budget" == receipt(out(home))["run"]["outcome"]
    assert [] == list(Path(home["XDG_RUNTIME_DIR"], "costmeter").glob("*.stop"))


def test_what_the_launcher_leaves_behind_has_its_grace_and_is_killed_too(home: dict[str, str]) -> None:
    """A rank in a session of its own gets TERM with its launcher; it is metered and waited for, then killed."""
    command = [*PYTHON, "-c", LAUNCHER, LISTENER]
    done = run(home, ["--budget", "12", "--on-budget", "stop", "--grace", "2s"], command)
    assert -signal.SIGTERM == done.returncode
    assert ["up", "TERM"] == done.stdout.split()
    assert ["TERM to 2 processes", "KILL to 1 process, 2 s after the stop"] == milestones(home)[-2:]
    spent = Decimal(receipt(out(home))["cost"]["total"])
    assert spent > 12 + Decimal("1.9") * PER_SECOND  # the grace was metered to its end


def test_a_daemon_without_our_mark_is_stopped_too(home: dict[str, str]) -> None:
    """Started in a session of its own with an empty environment by a shell that has gone: it is still the command's."""
    script = "(setsid env -i sleep 301 & echo $!); sleep 300"
    done = run(home, ["--budget", "4", "--on-budget", "stop", "--grace", "30s"], ["bash", "-c", script])
    daemon = Path("/proc", done.stdout.strip(), "cmdline")
    assert not daemon.exists() or b"301" not in daemon.read_bytes()
    assert milestones(home)[-1] == "TERM to 2 processes"


def test_the_wait_for_what_is_left_is_told_and_ends_by_ctrl_c(home: dict[str, str]) -> None:
    """The command ended by TERM, its rank did not: for how long and for whom is said, and Ctrl-C leaves it running."""
    options = ["--budget", "12", "--on-budget", "stop", "--grace", "10m"]
    argv = [COSTMETER, "run", *PRICED, *options, "--", *PYTHON, "-c", LAUNCHER, LISTENER]
    meter = subprocess.Popen(argv, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert meter.stdout is not None
    assert meter.stderr is not None
    said = next(line for line in meter.stderr if "the command ended" in line)
    (rank,) = map(int, re.findall(r"pid (\d+) \(python", said))
    try:
        assert "waiting up to 10 m for pid" in said
        assert said.endswith("; Ctrl-C leaves it\n")
        meter.send_signal(signal.SIGINT)
        left = next(line for line in meter.stderr if "left running" in line)
        assert f"pid {rank} (python" in left
        assert -signal.SIGTERM == meter.wait(PATIENCE_SECONDS)
        assert Path(f"/proc/{rank}").exists()
    finally:
        os.kill(rank, signal.SIGKILL)
        meter.stdout.close()
        meter.stderr.close()


def test_a_grace_that_was_slept_through_is_not_over(home: dict[str, str], tmp_path: Path) -> None:
    """Meter and command are frozen for longer than the grace while the command saves: it goes on and ends by itself."""
    saves = "import sys, time; print('TERM', flush=True); time.sleep(1); print('saved', flush=True); sys.exit(0)"
    script = LISTENER.replace('    print("TERM", flush=True)\n', f"    {saves}\n")
    options = ["--budget", "4", "--on-budget", "stop", "--grace", "3s"]
    argv = [COSTMETER, "run", *PRICED, *options, "--", *PYTHON, "-c", script, "0"]
    meter = subprocess.Popen(argv, env=home, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert meter.stdout is not None
    assert ["up\n", "TERM\n"] == [meter.stdout.readline(), meter.stdout.readline()]
    os.killpg(meter.pid, signal.SIGSTOP)
    time.sleep(5)  # longer than the grace
    os.killpg(meter.pid, signal.SIGCONT)
    assert (0, "saved\n") == (meter.wait(PATIENCE_SECONDS), meter.stdout.read())
    meter.stdout.close()
    assert not any(what.startswith("KILL") for what in milestones(home))


@pytest.mark.parametrize("options", [["--price", "3600"], []])
def test_a_stop_by_a_list_price_is_said_before_and_then(home: dict[str, str], options: list[str]) -> None:
    """8 GPUs at their model's list price: nobody's rent perhaps. At a price of one's own nothing is said of it."""
    simulated = ["--simulate", "healthy", "--json", str(out(home))]
    argv = [COSTMETER, "run", *simulated, *options, "--budget", "0.01", "--on-budget", "stop", "--", "sleep", "60"]
    done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    warned = "warning: budget: the command is stopped by the list price $3.39 per GPU-hour, which may not be yours"
    assert (warned in done.stderr) == (not options)
    assert ("counted at the list price $3.39 per GPU-hour, not yours: --price P" in done.stderr) == (not options)
    assert "stopped by budget" == receipt(out(home))["run"]["outcome"]


def test_nobody_else_is_signalled(home: dict[str, str]) -> None:
    """A process that our shell started before it became the wrapper is a child of ours, and none of the command's."""
    script = 'sleep 300 & echo $!; exec "$@"'
    options = ["--budget", "4", "--on-budget", "stop", "--grace", "1s"]
    argv = ["sh", "-c", script, "sh", COSTMETER, "run", *PRICED, *options, "--", *PYTHON, "-c", LISTENER, "stay"]
    shell = subprocess.Popen(argv, env=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert shell.stdout is not None
    bystander = int(shell.stdout.readline())
    try:
        assert b"up\n" == shell.stdout.readline()
        assert -signal.SIGKILL == shell.wait(PATIENCE_SECONDS)
        assert b"sleep" in Path(f"/proc/{bystander}/cmdline").read_bytes()
    finally:
        os.kill(bystander, signal.SIGKILL)
        shell.stdout.close()


def test_a_stopped_command_is_continued_so_that_it_can_save(home: dict[str, str]) -> None:
    """A command that job control holds takes its TERM, because it goes on after it."""
    script = LISTENER.replace("while True:", "import os\nos.kill(os.getpid(), signal.SIGSTOP)\nwhile True:")
    done = run(home, ["--budget", "4", "--on-budget", "stop", "--grace", "30s"], [*PYTHON, "-c", script, "3"])
    assert (3, ["up", "TERM"]) == (done.returncode, done.stdout.split())


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        pytest.param({"SLURM_NNODES": "2"}, ["sleep", "2.2"], id="slurm"),
        pytest.param({}, ["sh", "-c", "sleep 2.2", "torchrun", "--nnodes=2"], id="torchrun"),
    ],
)
def test_several_nodes_without_a_shared_folder_are_not_stopped(
    home: dict[str, str], environ: dict[str, str], command: list[str]
) -> None:
    """Each of several meters sees its own cost alone: the stop is refused in words, and the budget warns."""
    done = run(home | environ, ["--budget", "4", "--on-budget", "stop"], command)
    assert 0 == done.returncode
    assert "not stopped when it is used up, only warned: the run is on 2 nodes" in done.stderr
    assert budget_lines(done)[-1].endswith("; the command runs on")
    assert "ok" == receipt(out(home))["run"]["outcome"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(
            ["--budget", "80 dollars"],
            2,
            'costmeter run: --budget "80 dollars": expected an amount such as 80, 80USD or 80/day',
            id="no-amount",
        ),
        pytest.param(["--budget", "0"], 2, '--budget "0": expected an amount', id="nothing"),
        pytest.param(
            ["--budget", "9", "--grace", "0"], 2, '--grace "0": expected a time from 1s to 24h', id="no-grace"
        ),
        pytest.param(["--budget", "9", "--on-budget", "pause"], 2, "invalid choice", id="no-such-consequence"),
        pytest.param(
            ["--budget", "9EUR"],
            0,
            "budget: 9 EUR is not in USD, the currency that is set; nothing is converted; this budget is not watched",
            id="another-currency",
        ),
        pytest.param(["--on-budget", "stop"], 0, "budget: an amount is missing", id="of-what"),
        pytest.param(["--budget", "9EUR", "--strict"], 2, "9 EUR is not in USD", id="another-currency-strictly"),
    ],
)
def test_a_budget_that_cannot_be_meant(home: dict[str, str], options: list[str], code: int, said: str) -> None:
    """A mistake on the command line refuses the start; one that only the settings show warns."""
    done = run(home, options, ["true"])
    assert code == done.returncode
    assert said in done.stderr
    assert (code == 0) == out(home).exists()


def test_without_any_price_a_budget_is_said_not_to_be_watched(home: dict[str, str], tmp_path: Path) -> None:
    """Where no GPU has a price nothing is spent that could be seen; that is told, and no budget is in the receipt."""
    scenario = tmp_path / "odd.yaml"
    scenario.write_text(STEADY.replace("NVIDIA H100 80GB HBM3", "NVIDIA Oddity 9"))
    argv = [
        COSTMETER,
        "run",
        "--simulate",
        str(scenario),
        "--json",
        str(out(home)),
        "--budget",
        "5",
        "--",
        "sleep",
        "1.5",
    ]
    done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert 0 == done.returncode, done.stderr
    assert "budget of $5.00: no GPU has a price, so it cannot be watched" in done.stderr
    assert receipt(out(home))["budget"] is None


def test_a_month_counts_what_other_runs_spent(home: dict[str, str]) -> None:
    """A second run of the month begins with what the first one spent, and is stopped for it."""
    home = {name: text for name, text in home.items() if name != "COSTMETER_RUN_ID"}
    run(home, [], ["sleep", "2"])
    first = Decimal(receipt(out(home))["cost"]["total"])
    options = ["--budget", "10/month", "--on-budget", "stop", "--grace", "20s"]
    done = run(home, options, [*PYTHON, "-c", LISTENER, "0"])
    assert 0 == done.returncode
    budget = receipt(out(home))["budget"]
    assert (first, "month") == (Decimal(budget["elsewhere"]), budget["per"])
    assert "of it not by this meter" in done.stderr
    assert "stopped by budget" == receipt(out(home))["run"]["outcome"]


def test_a_run_that_goes_on_does_not_say_again_what_was_said(home: dict[str, str]) -> None:
    """The second part of a run counts the first one's cost, and leaves out the share that was announced then."""
    meter = subprocess.Popen(
        [COSTMETER, "run", *PRICED, "--budget", "100", "--", "sleep", "60"], env=home, stderr=subprocess.PIPE, text=True
    )
    assert meter.stderr is not None
    assert any(line.startswith("costmeter: budget: 50 %") for line in meter.stderr)
    eventually(partial(_has_said, home, "50 % of"), "the mark in the journal")
    meter.kill()
    meter.wait()
    meter.stderr.close()
    done = run(home, ["--budget", "100"], ["sleep", "2.5"])
    assert 0 == done.returncode
    assert not any("50 % of" in line for line in budget_lines(done))
    assert Decimal(receipt(out(home))["budget"]["elsewhere"]) > 45


def test_a_state_directory_that_cannot_be_read_costs_no_budget(home: dict[str, str]) -> None:
    """Where journals can be neither read nor written the run's own spending still counts."""
    Path(home["XDG_STATE_HOME"], "costmeter").write_text("a file where a folder belongs")
    done = run(home, ["--budget", "10/month", "--on-budget", "stop", "--grace", "20s"], [*PYTHON, "-c", LISTENER, "0"])
    assert (0, ["up", "TERM"]) == (done.returncode, done.stdout.split())
    assert "stopped by budget" == receipt(out(home))["run"]["outcome"]


def costmeter(home: dict[str, str], *arguments: str, code: int = 0) -> str:
    done = subprocess.run([COSTMETER, *arguments], env=home, cwd=home["HOME"], capture_output=True, text=True)
    assert (code, False) == (done.returncode, "Traceback" in done.stderr), done.stderr
    return done.stdout if code == 0 else done.stderr


def test_budgets_are_set_shown_and_cleared(home: dict[str, str]) -> None:
    """`set` replaces a budget of the same spending, every run obeys, `clear` takes away what it names."""
    costmeter(home, "budget", "set", "700/month")
    costmeter(home, "budget", "set", "500USD/month", "--buffer", "10%", "--on-exceed", "stop")
    costmeter(home, "budget", "set", "40/day", "--project", "a b", "--warn-at", "25%, 0.75")
    month, day = json.loads(costmeter(home, "budget", "--json"))
    assert ("500", "450.0", "stop", "month") == (month["amount"], month["usable"], month["on_exceed"], month["per"])
    assert ("a b", "project/day", ["0.25", "0.75"]) == (day["project"], day["per"], day["warn_at"])
    assert month["set_in"].endswith("budgets.yaml:3")
    costmeter(home, "budget", "clear", "month")
    assert ["40"] == [each["amount"] for each in json.loads(costmeter(home, "budget", "--json"))]
    costmeter(home, "budget", "clear")
    assert "no budget is set" in costmeter(home, "budget")


def test_what_was_spent_is_shown_beside_what_is_left(home: dict[str, str]) -> None:
    """Real runs count and simulated ones do not: what a demonstration cost is nobody's money."""
    run(home, [], ["sleep", "1"])
    costmeter(home, "budget", "set", "500/month")
    (month,) = json.loads(costmeter(home, "budget", "--json"))
    assert ("0", 0, "500") == (month["spent"], month["runs"], month["left"])
    assert "$500.00 per month" in costmeter(home, "budget")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["set", "much"], '"much": expected an amount such as 500/month', id="no-amount"),
        pytest.param(["set", "5EUR"], "the currency is USD, and nothing is converted", id="another-currency"),
        pytest.param(["set", "5", "--buffer", "1"], "a share of the budget is less than 1, not 1", id="all-kept-back"),
        pytest.param(["clear", "year"], "invalid choice", id="no-such-spending"),
    ],
)
def test_what_cannot_be_set_is_refused(home: dict[str, str], arguments: list[str], said: str) -> None:
    """A budget that is none leaves the file as it was."""
    assert said in costmeter(home, "budget", *arguments, code=2)
    assert not Path(home["XDG_CONFIG_HOME"], "costmeter", "budgets.yaml").exists()


def test_a_file_with_more_than_budgets_is_left_to_its_owner(home: dict[str, str]) -> None:
    """What `set` would lose it does not rewrite."""
    path = Path(home["XDG_CONFIG_HOME"], "costmeter", "budgets.yaml")
    path.parent.mkdir()
    path.write_text("gpu: {price: 1}\nbudget: 5\n")
    assert "holds more than budgets; so it was left as it is" in costmeter(home, "budget", "set", "9", code=1)
    assert "gpu: {price: 1}\nbudget: 5\n" == path.read_text()


def test_the_receipt_is_there_at_once_when_nothing_was_stopped(home: dict[str, str]) -> None:
    """A budget that was never reached leaves no thread, no file and no word behind."""
    done = run(home, ["--budget", "1000000", "--on-budget", "stop"], ["true"])
    assert (0, []) == (done.returncode, budget_lines(done))
    assert ["budgets"] == [kind for kind in _kinds(home) if kind == "budgets"]


def _kinds(home: dict[str, str]) -> list[str]:
    folder = Path(home["XDG_STATE_HOME"], "costmeter", "runs", RUN_ID)
    (path,) = eventually(partial(_journals, folder), "a journal")
    return [json.loads(line)["type"] for line in path.read_text().splitlines()]


def _has_said(home: dict[str, str], what: str) -> bool | None:
    """Whether a mark is on the disk, which a kill then leaves there."""
    return any(what in told for told in milestones(home)) or None


def _journals(folder: Path) -> list[Path] | None:
    return list(folder.glob("*.jsonl")) or None
