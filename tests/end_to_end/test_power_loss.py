"""Meters that are killed and machines that lose power: what is lost is what the design says, and no total is wrong.

A killed meter has lost nothing that a page had shown. For a loss of power a library notes what was synced, and when;
afterwards everything else is taken away from the files, as a disk that loses its cache does.
"""

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, uncovered
from tests.ledger import damage
from tests.native import compiled

KILLS = 30
TICK_SECONDS = 0.2
OPTIONS = ["-q", "--simulate", "data-bound", "--price", "2.49", "--interval", str(TICK_SECONDS)]


def report(environ: dict[str, str], *runs: str) -> list[dict[str, Any]]:
    """The receipts that `costmeter report` prints, every number as it stands there."""
    command = [COSTMETER, "report", *runs, "--json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    receipts: list[dict[str, Any]] = json.loads(done.stdout, parse_float=Fraction, parse_int=Fraction)
    return receipts


def cost_on(address: str) -> Fraction:
    """What the page says that the run has cost."""
    with urlopen(address, timeout=PATIENCE_SECONDS) as page:
        lines = page.read().decode().splitlines()
    return sum((Fraction(line.split()[-1]) for line in lines if line.startswith("costmeter_run_cost_usd")), Fraction(0))


def killed(seed: int, environ: dict[str, str], folder: Path) -> tuple[Fraction, bytes, bytes]:
    """A meter that dies at some moment: the cost on its page just before, its journal and its open slot."""
    errors = folder / f"{seed}.err"
    with errors.open("w") as stderr:
        meter = subprocess.Popen(
            [COSTMETER, "run", *OPTIONS[1:], "--listen", "127.0.0.1:0", "--", "sh", "-c", "sleep 20 & wait"],
            env=environ | {"COSTMETER_RUN_ID": f"killed-{seed}"},
            stderr=stderr,
        )
    address = eventually(lambda: re.search(r"http://\S+", errors.read_text()), "the address")[0]
    eventually(lambda: cost_on(address) or None, "something that was booked")
    time.sleep(random.Random(seed).uniform(0, 4 * TICK_SECONDS))  # any moment between two ticks
    shown = cost_on(address)
    meter.kill()
    meter.wait()
    runs = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", f"killed-{seed}")
    (journal,) = runs.glob("*.jsonl")
    return shown, journal.read_bytes(), journal.with_suffix(".open").read_bytes()


def test_a_killed_meter_loses_nothing_that_was_shown(tmp_path: Path) -> None:
    """Thirty meters killed at random moments: each report is what its files are worth by arithmetic of their own, and
    no less than the page had said; the run is told as interrupted, and nothing as damaged."""
    with own_home() as environ:
        environ = uncovered(environ)
        with ThreadPoolExecutor(4) as pool:
            left = list(pool.map(lambda seed: killed(seed, environ, tmp_path), range(KILLS)))
        receipts = {of["run"]["id"]: of for of in report(environ, *(f"killed-{seed}" for seed in range(KILLS)))}
    assert KILLS == len(receipts)
    for seed, (shown, journal, still_open) in enumerate(left):
        of, worth = receipts[f"killed-{seed}"], damage.worth(journal, still_open)
        assert worth is not None
        assert worth.cost == Fraction(of["cost"]["total"]) > 0
        assert Fraction(of["cost"]["total"]) >= shown * Fraction(999_999_999, 1_000_000_000)  # pages have floats
        assert ("interrupted", []) == (of["run"]["outcome"], of["meter"]["journal_problems"])


# A loss of power


class Lost:
    """The files of a run after a loss of power in its second minute, from what a library noted as synced."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.environ, self.log = environ, folder / "synced"
        preload = f"{compiled.library('shifted_clock')}:{compiled.library('volatile_disk')}"
        shift = str(60 - 5 - int(time.time()) % 60)  # the first minute ends in five seconds
        traced = {"LD_PRELOAD": preload, "SYNCED_LOG": str(self.log), "SHIFT_SECONDS": shift}
        run = environ | traced | {"COSTMETER_RUN_ID": "r-lost"}
        meter = subprocess.Popen([COSTMETER, "run", *OPTIONS, "--", "sh", "-c", "sleep 60 & wait"], env=run)
        eventually(lambda: self._synced().get(self.journal_name), "a minute that was synced")
        time.sleep(1.5)
        meter.kill()
        meter.wait()
        self.folder = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", "r-lost")
        (self.journal,) = self.folder.glob("*.jsonl")
        self.written, self.open = self.journal.read_bytes(), self.journal.with_suffix(".open").read_bytes()
        self.synced = self._synced()

    journal_name = ".jsonl"

    def _synced(self) -> dict[str, int]:
        """How many bytes are safe of each path, and of the journal under the end of its name."""
        found: dict[str, int] = {}
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            path, _, size = line.partition("\t")
            found[path] = int(size)
            if path.endswith(self.journal_name):
                found[self.journal_name] = int(size)
        return found

    def left(self, tail: bytes, still_open: bytes | None) -> dict[str, Any]:
        """What is reported of the synced part of the journal, with something behind it, and of an open slot."""
        self.journal.write_bytes(self.kept + tail)
        self.journal.with_suffix(".open").unlink(missing_ok=True)
        if still_open is not None:
            self.journal.with_suffix(".open").write_bytes(still_open)
        (of,) = report(self.environ, "r-lost")
        return of

    @property
    def kept(self) -> bytes:
        """The first bytes of the journal, which were synced."""
        return self.written[: self.synced[self.journal_name]]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    """One run that is cut off in its second minute."""
    if not compiled.has_compiler():
        pytest.skip("needs gcc")
    with own_home() as environ:
        yield Lost(tmp_path_factory.mktemp("lost"), uncovered(environ))


def test_names_are_synced_with_the_first_minute(lost: Lost) -> None:
    """What is in a file is worth nothing if its folder has forgotten it: journal, run and all runs are synced."""
    for path in (lost.journal, lost.folder, lost.folder.parent):
        assert str(path) in lost.synced


def test_what_is_synced_ends_with_a_closed_minute(lost: Lost) -> None:
    """At every loss of power from then on, the minutes that were closed before are there: the last line is a slot."""
    last = damage.intact(lost.kept.splitlines()[-1])
    assert last is not None
    assert "slot" == last["type"]
    assert 0 == (last["utc_ns"] + last["ns"]) % 60_000_000_000


@pytest.mark.parametrize(
    ("tail", "still_open"),
    [
        pytest.param(lambda lost: b"", lambda lost: None, id="nothing-more"),
        pytest.param(lambda lost: bytes(4_096), lambda lost: None, id="zeros-behind"),
        pytest.param(lambda lost: b"", lambda lost: b"", id="open-slot-empty"),
        pytest.param(lambda lost: b"", lambda lost: bytes(len(lost.open)), id="open-slot-zeros"),
        pytest.param(lambda lost: b"", lambda lost: lost.open, id="open-slot-saved"),
        pytest.param(lambda lost: b'{"type":"slot","n":1,"utc_', lambda lost: None, id="half-a-line"),
    ],
)
def test_lost_power_costs_the_open_minute_at_most(
    tail: Callable[[Lost], bytes], still_open: Callable[[Lost], bytes | None], lost: Lost
) -> None:
    """Whatever the disk made of what was not synced: closed minutes are reported exactly, the run as interrupted."""
    of = lost.left(tail(lost), still_open(lost))
    worth = damage.worth(lost.kept + tail(lost), still_open(lost) or b"")
    closed = damage.worth(lost.kept)
    assert worth is not None
    assert closed is not None
    assert worth.cost == Fraction(of["cost"]["total"]) >= closed.cost > 0
    assert "interrupted" == of["run"]["outcome"]
    said = of["meter"]["journal_problems"]
    assert (["last line torn, dropped"] if tail(lost) else []) == said


def test_a_clean_end_is_synced_to_its_last_byte(tmp_path: Path) -> None:
    """Once the command has ended, a loss of power costs nothing: the journal was synced after its last line."""
    if not compiled.has_compiler():
        pytest.skip("needs gcc")
    log = tmp_path / "synced"
    with own_home() as environ:
        traced = {"LD_PRELOAD": str(compiled.library("volatile_disk")), "SYNCED_LOG": str(log)}
        run = uncovered(environ) | traced | {"COSTMETER_RUN_ID": "r-clean"}
        subprocess.run([COSTMETER, "run", *OPTIONS, "--", "sleep", "1"], env=run, check=True, timeout=60)
        (journal,) = Path(environ["XDG_STATE_HOME"], "costmeter", "runs", "r-clean").iterdir()
        assert f"{journal}\t{os.path.getsize(journal)}" in log.read_text().splitlines()
        last = damage.intact(journal.read_bytes().splitlines()[-1])
    assert last is not None
    assert "footer" == last["type"]
