"""Line items through the installed command: a watched folder, traffic, a disk that hangs, a meter that is killed."""

import json
import os
import shutil
import signal
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.installed import COSTMETER, eventually, exact_sum, own_home, receipt
from tests.native.compiled import has_compiler, library

ITEMS = """
gpu: {price: 2.49}
items:
  - {name: checkpoints, path: ckpt, per_gb_month: 0.023}
  - {name: traffic, network: both, per_gb: 0.09}
  - {name: licences, per_gpu_hour: 0.12}
  - {name: people, per_hour: 85}
  - {name: labels, fixed: 1200}
"""
#: Until the meter has written its first tick.
METERED = 'until ls "$XDG_STATE_HOME"/costmeter/runs/*/*.open 2>/dev/null; do sleep 0.05; done'
#: Ten megabytes under two names, a link elsewhere and a pipe; the folder is there a moment before.
JOB = (
    f"mkdir ckpt; {METERED}; head -c 10000000 /dev/zero > ckpt/a; ln ckpt/a ckpt/b; ln -s /usr ckpt/usr; "
    "mkfifo ckpt/p; sleep 0.3"
)


def metered(folder: Path, environ: dict[str, str], *options: str, job: str = JOB) -> subprocess.CompletedProcess[str]:
    """A job in a folder that has a `costmeter.yaml` with items."""
    (folder / "costmeter.yaml").write_text(ITEMS)
    command = [COSTMETER, "run", "--simulate", "healthy", "--json", "receipt.json", *options, "--", "sh", "-c", job]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


def rows(of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in of["items"]}


def test_a_run_has_items_beside_its_cost(tmp_path: Path) -> None:
    """A job that writes checkpoints pays for them, for its licences and its people; none of it is in the total."""
    with own_home() as environ:
        done = metered(tmp_path, environ, "--full-cost")
        again = subprocess.run(
            [COSTMETER, "report", "--json", "--full-cost"], env=environ, capture_output=True, text=True, timeout=60
        )
    assert 0 == done.returncode, done.stderr
    of = receipt(tmp_path / "receipt.json")
    found = rows(of)
    hours = of["run"]["seconds"] / 3_600
    # From nothing to 10 MB, and never more; the mean over the run is in GB-months of 730 h.
    assert 0 < found["checkpoints"]["quantity"] * 730 / hours <= Decimal("0.010")
    assert "measured" == found["checkpoints"]["provenance"]
    assert Decimal(85) * hours == pytest.approx(Decimal(found["people"]["cost"]))
    gpu_hours = exact_sum(of["gpu_seconds"]) / 3_600
    assert Decimal("0.12") * gpu_hours == pytest.approx(Decimal(found["licences"]["cost"]))
    assert Decimal(1200) == Decimal(found["labels"]["cost"])
    assert exact_sum(of["cost"]["components"]) == Decimal(of["cost"]["total"]) < 1
    known = sum(Decimal(row["cost"]) for row in of["items"] if row["cost"] is not None)
    assert Decimal(of["cost"]["total"]) + known == Decimal(of["full_cost"])
    assert " Beside   checkpoints: " in done.stderr
    assert " Full     $1,200." in done.stderr
    # The receipt is the fold of the journal.
    assert [json.loads((tmp_path / "receipt.json").read_text())] == json.loads(again.stdout)


def test_a_faulty_item_refuses_the_start(tmp_path: Path) -> None:
    """In a file that was named, a fault in an item is told with its place before the job starts."""
    (tmp_path / "items.yaml").write_text("items: [{name: x, fixd: 1}]\n")
    with own_home() as environ:
        command = [COSTMETER, "run", "--config", "items.yaml", "--", "touch", "started"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert 125 == done.returncode
    assert 'items.yaml:1:19: items: unknown key "fixd". Did you mean "fixed"?' in done.stderr
    assert not (tmp_path / "started").exists()


def test_a_killed_meter_keeps_its_items(tmp_path: Path) -> None:
    """What is counted by time is folded from the journal of a meter that was killed; the folder is not known."""
    (tmp_path / "costmeter.yaml").write_text(ITEMS)
    with own_home() as environ:
        runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs")
        command = [COSTMETER, "run", "--simulate", "healthy", "--", "sleep", "60"]
        with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL) as meter:
            eventually(lambda: next(iter(runs.glob("*/*.open")), None), "the slot that is open")
            meter.kill()
        done = subprocess.run([COSTMETER, "report", "--json"], env=environ, capture_output=True, text=True, timeout=60)
    (of,) = json.loads(done.stdout)
    found = rows(of)
    assert "interrupted" == of["run"]["outcome"]
    assert ("1200.000000000000", None) == (found["labels"]["cost"], found["checkpoints"]["cost"])
    assert Decimal(found["licences"]["cost"]) > 0


@pytest.mark.skipif(not has_compiler(), reason="gcc not installed")
def test_a_disk_that_hangs_delays_neither_job_nor_exit(tmp_path: Path) -> None:
    """A watched folder on a file system that never answers: the job ends as it ends, and the receipt says so."""
    (tmp_path / "ckpt").mkdir()
    with own_home() as environ:
        hung = environ | {"LD_PRELOAD": str(library("stuck_disk")), "STUCK_SCAN": str(tmp_path / "ckpt")}
        done = metered(tmp_path, hung, job=f"{METERED}; exit 7")
    assert 7 == done.returncode
    found = rows(receipt(tmp_path / "receipt.json"))["checkpoints"]
    assert (None, None) == (found["quantity"], found["cost"])
    assert "it could not be looked at in time" in done.stderr


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare not installed")
def test_a_machine_without_a_network_says_so(tmp_path: Path) -> None:
    """In a namespace whose interfaces carry nothing no traffic is charged; where there is none, a note says so."""
    (tmp_path / "costmeter.yaml").write_text(ITEMS)
    command = ["unshare", "-rn", COSTMETER, "run", "--simulate", "healthy", "--json", "receipt.json", "--", "sh", "-c"]
    with own_home() as environ:
        done = subprocess.run(
            [*command, METERED], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
    if "Operation not permitted" in done.stderr:
        pytest.skip("no user namespaces here")
    found = rows(receipt(tmp_path / "receipt.json"))["traffic"]
    assert Decimal(found["cost"] or 0) == 0
    assert (found["quantity"] is None) == (found["note"] != "")


def test_a_meter_that_is_told_to_end_keeps_its_items(tmp_path: Path) -> None:
    """TERM ends job and meter: the items stand in the receipt as they were then."""
    (tmp_path / "costmeter.yaml").write_text(ITEMS)
    with own_home() as environ:
        command = [COSTMETER, "run", "--simulate", "healthy", "--json", "receipt.json", "--", "sh", "-c"]
        job = "mkdir ckpt; echo x > ckpt/a; touch started; exec sleep 60"
        with subprocess.Popen([*command, job], cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL) as meter:
            eventually(lambda: (tmp_path / "started").exists() or None, "the job")
            eventually(
                lambda: next(iter(Path(environ["XDG_STATE_HOME"]).glob("costmeter/runs/*/*.open")), None), "the meter"
            )
            os.kill(meter.pid, signal.SIGTERM)
    found = rows(receipt(tmp_path / "receipt.json"))
    assert "measured" == found["checkpoints"]["provenance"]
    assert Decimal(1200) == Decimal(found["labels"]["cost"])
