"""Disks that are full, read-only, gone, limited or slow under a run: the job never notices, and the receipt says what.

File systems are real: small ones in memory, in a mount namespace that ends with the command. The job itself fills and
frees them, because only it sees them; it is told when by files of this test.
"""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from costmeter.runtime.events import Batch
from costmeter.runtime.recording import Recording
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, receipt, uncovered
from tests.native import compiled

NAMESPACE = ["unshare", "-rm"]
NO_MOUNTS = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], check=False).returncode != 0
needs_mounts = pytest.mark.skipif(NO_MOUNTS, reason="unshare -rm and mounting is not permitted here")
needs_compiler = pytest.mark.skipif(not compiled.has_compiler(), reason="needs gcc")

#: Every six seconds something happens to 32 GPUs that is written at once: more than a page of the file system holds.
NODE = """
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 32
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
    faults:
"""
CODES = ("GPU_IS_LOST", "UNKNOWN", "NO_PERMISSION")
FAULTS = [f"      - {{kind: error, code: {CODES[n % len(CODES)]}, at: {6 * n + 5} s, for: 1 s}}\n" for n in range(9)]


class Running:
    """A metered job that does what it is told, on a state directory in memory of `size`, and what is left of both."""

    def __init__(self, folder: Path, environ: dict[str, str], options: str) -> None:
        self.folder = folder
        self.disk, self.errors = folder / "disk", folder / "stderr"
        self.disk.mkdir()
        (folder / "node.yaml").write_text(NODE + "".join(FAULTS))
        steps = "; ".join(map(self._told, ("first", "second", "end")))
        job = f"echo begins; {steps}; echo ends; exit 3"
        words = ["run", "--listen", "127.0.0.1:0", "--simulate", str(folder / "node.yaml")]
        words += ["--json", str(folder / "receipt.json"), "--", "sh", "-c", job]
        script = f"""
            mount -t tmpfs -o {options} none {self.disk}
            {shlex.join([COSTMETER, *words])}
            status=$?
            cp -r {self.disk} {folder}/kept
            exit $status
        """
        with self.errors.open("w") as stderr:
            self.process = subprocess.Popen(
                [*NAMESPACE, "sh", "-c", script],
                env=uncovered(environ) | {"XDG_STATE_HOME": str(self.disk), "COSTMETER_RUN_ID": "r-disk"},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        found = eventually(lambda: re.search(r"http://\S+", self.errors.read_text()), "the address")
        self.address = found[0]

    def _told(self, step: str) -> str:
        """Wait for a line to run, run it, and say so."""
        there = shlex.quote(str(self.folder / step))
        return f"until [ -e {there} ]; do sleep 0.05; done; . {there}; touch {there}.done"

    def tell(self, step: str, command: str) -> None:
        """Have the job run a command."""
        (self.folder / "new").write_text(command)
        os.replace(self.folder / "new", self.folder / step)
        eventually(lambda: (self.folder / f"{step}.done").exists() or None, f"the job's {step} step")

    def wait_until_writable(self, is_writable: bool) -> None:
        """Scrape until the page says whether the journal can be written."""
        line = f"costmeter_journal_writable {int(is_writable)}"
        eventually(lambda: (line in self._page()) or None, line)

    def _page(self) -> list[str]:
        with urlopen(self.address, timeout=PATIENCE_SECONDS) as page:
            return [text.removesuffix(".0") for text in page.read().decode().splitlines()]

    def end(self) -> tuple[int, str, str, dict[str, Any]]:
        """Let the job end: exit status, output, what was printed, and the receipt."""
        self.tell("end", "true")
        output, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        told = self.errors.read_text()
        assert "Traceback" not in told
        return self.process.returncode, output, told, receipt(self.folder / "receipt.json")

    def reported(self, environ: dict[str, str]) -> dict[str, Any]:
        """What `costmeter report` says of the journal that was left."""
        command = [COSTMETER, "report", str(self.folder / "kept" / "costmeter" / "runs" / "r-disk"), "--json"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        assert (0, "") == (done.returncode, done.stderr)
        (of,) = json.loads(done.stdout, parse_float=Decimal, parse_int=Decimal)
        found: dict[str, Any] = of
        return found


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with own_home() as own:
        yield own


@needs_mounts
def test_a_disk_that_fills_up_and_is_freed_costs_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    """Full in mid-run, and room again: the job has its output and status, the page said so meanwhile, and the journal
    is whole: the report is the receipt."""
    run = Running(tmp_path, environ, "size=1m")
    run.wait_until_writable(True)
    run.tell("first", f"head -c 2m /dev/zero > {run.disk}/other 2>/dev/null")
    run.wait_until_writable(False)
    run.tell("second", f"rm {run.disk}/other")
    run.wait_until_writable(True)
    status, output, told, of = run.end()
    assert (3, "begins\nends\n") == (status, output)
    assert "Unsaved" not in told
    again = run.reported(environ)
    assert (of["cost"], of["energy"]["methods"]) == (again["cost"], again["energy"]["methods"])
    assert [] == again["meter"]["journal_problems"]


@needs_mounts
def test_a_disk_that_stays_full_is_told_with_what_is_not_saved(tmp_path: Path, environ: dict[str, str]) -> None:
    """Full to the end: the receipt is whole and says how much of the run is in no journal; the report has the rest."""
    run = Running(tmp_path, environ, "size=1m")
    run.wait_until_writable(True)
    run.tell("first", f"head -c 2m /dev/zero > {run.disk}/other 2>/dev/null")
    run.wait_until_writable(False)
    run.tell("second", "sleep 6")  # until more has happened than fits what room its last page has left
    status, output, told, of = run.end()
    assert (3, "begins\nends\n") == (status, output)
    said = " ".join(told.split())
    assert "Unsaved" in said
    assert "No space left on device" in said
    assert re.search(r"not in the journal: \d+ s of the run", said)
    assert float(of["cost"]["total"]) > float(run.reported(environ)["cost"]["total"])
    assert "interrupted" == run.reported(environ)["run"]["outcome"]


@needs_mounts
def test_a_read_only_disk_that_becomes_writable_has_the_whole_run(tmp_path: Path, environ: dict[str, str]) -> None:
    """Read-only from the start, writable in mid-run: the journal begins then, with its header, and lacks nothing."""
    run = Running(tmp_path, environ, "ro,size=1m")
    run.wait_until_writable(False)
    run.tell("first", f"mount -o remount,rw {run.disk}")
    run.wait_until_writable(True)
    run.tell("second", "true")
    status, output, told, of = run.end()
    assert (3, "begins\nends\n") == (status, output)
    assert "Unsaved" not in told
    again = run.reported(environ)
    assert (of["cost"], []) == (again["cost"], again["meter"]["journal_problems"])


def metered(environ: dict[str, str], job: str, limit: str = "") -> tuple[int, str, str]:
    """A job of some seconds on simulated GPUs: exit status, output, and what was printed, without line ends."""
    words = shlex.join([COSTMETER, "run", "--simulate", "healthy", "--", "sh", "-c", job])
    script = ["bash", "-c", f"{limit}exec {words}"]
    done = subprocess.run(script, env=uncovered(environ), capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def test_a_state_directory_that_is_deleted_in_mid_run_is_told(environ: dict[str, str]) -> None:
    """Nothing can be saved where nothing is: the job ends as it does, and the receipt is printed and says so."""
    state = Path(environ["XDG_STATE_HOME"], "costmeter")
    begun = f'[ -n "$(ls {state}/runs/*/*.open 2>/dev/null)" ]'
    job = f"until {begun}; do sleep 0.05; done; rm -r {state}; echo works; exit 3"
    status, output, told = metered(environ, job)
    assert (3, "works\n") == (status, output)
    assert "the journal was deleted while it was written" in told
    assert "exit 3 (failed)" in told


def test_a_limit_on_file_sizes_is_told_and_kept_from_nobody(tmp_path: Path, environ: dict[str, str]) -> None:
    """Under `ulimit -f` the journal stops where the limit is, and the job meets the same limit as without a meter."""
    job = "head -c 99999 /dev/zero > big; echo $?; stat -c %s big; sleep 1; exit 3"
    plain = subprocess.run(["bash", "-c", f"ulimit -f 2; sh -c '{job}'"], cwd=tmp_path, capture_output=True, text=True)
    os.unlink(tmp_path / "big")
    status, output, told = metered(environ, f"cd {tmp_path}; {job}", "ulimit -f 2; ")
    assert (plain.returncode, plain.stdout) == (status, output)
    assert "2048" in output
    assert "File too large" in told
    assert "exit 3 (failed)" in told


@needs_compiler
def test_an_fsync_of_thirty_seconds_delays_no_reading(tmp_path: Path, environ: dict[str, str]) -> None:
    """The first minute closes after some seconds, and its fsync takes 30 s: readings go on every second meanwhile, and
    the command ends with the job, saying that the disk does not answer."""
    environ |= {"LD_PRELOAD": f"{compiled.library('shifted_clock')}:{compiled.library('stuck_disk')}"}
    environ |= {"SHIFT_SECONDS": str(60 - 6 - int(time.time()) % 60), "SLOW_FSYNC_SECONDS": "30"}
    record = tmp_path / "recording.jsonl"
    words = ["run", "--simulate", "healthy", "--record", str(record), "--", "sh", "-c", "sleep 16; echo works; exit 3"]
    done = subprocess.run([COSTMETER, *words], env=uncovered(environ), capture_output=True, text=True, timeout=60)
    assert (3, "works\n") == (done.returncode, done.stdout)
    assert "does not answer" in " ".join(done.stderr.split())
    ticks = ticks_of(record)
    assert len(ticks) >= 14
    assert sorted(set(ticks)) == list(range(ticks[0], ticks[-1] + 1))


def ticks_of(record: Path) -> list[int]:
    """The UTC second of every tick of a recording."""
    return [taken.utc_ns // 10**9 for taken in Recording(record).events() if isinstance(taken.event, Batch)]
