"""A meter that is killed and started again under the same run: nothing that a counter saw is lost, and the gap is told.

The board draws 300 W and its counter steps every 100 ms from 5 J on, so that after n steps it stands at 5 J + n × 30 J.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.bulk import load_run
from costmeter.ledger.query import Part, Run
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.sources.nodes import STEADY

STEP_NS, STEP_MICROJOULES, WATTS = 100_000_000, 30_000_000, 300
#: A reading is stamped just after the driver answered: the counter may have stepped in between.
ANSWERED_WITHIN_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Resumed:
    """One run as three meters recorded it, its receipt, and the epoch of the node (CLOCK_BOOTTIME)."""

    run: Run
    receipt: dict[str, Any]
    epoch_ns: int


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resumed]:
    """Killed twice once something was booked, started again at once, and then left to end with its job."""
    file = tmp_path_factory.mktemp("node") / "steady.yaml"
    file.write_text(STEADY)
    with own_home() as environ:
        environ["COSTMETER_RUN_ID"] = "resumed"
        state = Path(environ["XDG_STATE_HOME"], "costmeter")
        command = [
            COSTMETER,
            "run",
            "-q",
            "--simulate",
            str(file),
            "--interval",
            "0.2",
            "--price",
            "3.60",
            "--",
            "sleep",
        ]
        for part in (1, 2):
            meter = subprocess.Popen([*command, "4"], env=environ)
            eventually(partial(_has_booked, state, part), f"a reading of part {part}")
            meter.kill()
            meter.wait()
        subprocess.run([*command, "1"], env=environ, check=True, timeout=60)
        report = [COSTMETER, "report", "resumed", "--json"]
        told = subprocess.run(report, env=environ, capture_output=True, check=True, timeout=60).stdout
        epoch_ns = int(next(Path(environ["XDG_RUNTIME_DIR"]).rglob("*.epoch")).read_text())
        yield Resumed(load_run(state, "resumed"), json.loads(told)[0], epoch_ns)


def _has_booked(state: Path, part: int) -> bool | None:
    """True once a part has an open slot on disk."""
    folder = state / "runs" / "resumed"
    return len(list(folder.glob("*.open"))) >= part or None


def _ended_ns(part: Part) -> int:
    """The last instant that a part booked (CLOCK_BOOTTIME)."""
    (uuid,) = part.devices
    return part.since_ns.get(uuid, part.header.start_ns) + part.totals.devices[uuid].quantities.nanoseconds


def _steps(at_ns: int) -> set[int]:
    """How often the counter can have stepped when it was read at an instant after the epoch."""
    return {at_ns // STEP_NS, (at_ns - ANSWERED_WITHIN_NS) // STEP_NS}


def test_two_kills_lose_no_joule_that_the_counter_counted(resumed: Resumed) -> None:
    """From the first reading to the second kill, what both meters booked is n × 30 J, n as the clock counts the steps.

    The head is estimated at the first reading's 300 W, which says to a few nanoseconds when that reading was.
    """
    first, second, _ = resumed.run.parts
    quantities = (first.totals + second.totals).whole.quantities
    head_ns = quantities.estimated_microjoules * 1_000 // WATTS
    firsts = _steps(first.header.start_ns + head_ns - resumed.epoch_ns)
    lasts = _steps(_ended_ns(second) - resumed.epoch_ns)
    possible_uj = {(last - first) * STEP_MICROJOULES for first in firsts for last in lasts}
    assert quantities.microjoules - quantities.estimated_microjoules in possible_uj
    assert 0 == quantities.estimated_microjoules - first.totals.whole.quantities.estimated_microjoules


def test_every_part_goes_on_where_the_one_before_had_booked(resumed: Resumed) -> None:
    """From the first spawn to the job's end each nanosecond is in exactly one part, the gaps in the one after them."""
    first, second, third = resumed.run.parts
    (uuid,) = third.devices
    assert [_ended_ns(first), _ended_ns(second)] == [part.since_ns[uuid] for part in (second, third)]
    assert third.footer is not None
    ended_ns = third.header.start_ns + third.footer.length_ns
    assert ended_ns - first.header.start_ns == resumed.run.totals.whole.quantities.nanoseconds


def test_the_receipt_sums_all_parts(resumed: Resumed) -> None:
    """Joules, time and money of the report are the sums over the parts; at $3.60 an hour a second is 0.1 cents."""
    energy, parts = resumed.receipt["energy"], resumed.run.parts
    booked_uj = [part.totals.whole.quantities.microjoules for part in parts]
    held_ns = [part.totals.whole.quantities.nanoseconds for part in parts]
    assert all(uj > 0 for uj in booked_uj)
    assert sum(booked_uj) == round(energy["gpu_joules"] * 1_000_000)
    assert sum(held_ns) == round(sum(resumed.receipt["gpu_seconds"].values()) * 1_000_000_000)
    assert float(resumed.receipt["cost"]["total"]) == pytest.approx(sum(held_ns) / 1e12, abs=1e-11)
    assert ("ok", 0) == (resumed.receipt["run"]["outcome"], resumed.receipt["run"]["exit_code"])


def test_the_receipt_names_both_gaps(resumed: Resumed) -> None:
    """Each restart is told once: that nobody metered meanwhile, and that the energy is the counter's."""
    faults = [fault["what"] for fault in resumed.receipt["meter"]["faults"]]
    told = [fault for fault in faults if fault.startswith("the meter was not running for ")]
    assert 2 == len(told) == len(faults)
    assert all(fault.endswith("energy from its counter") for fault in told)
    assert resumed.receipt["gpu_seconds"]["unknown"] > 0
    assert 0 == resumed.receipt["unmeasured_gpu_seconds"]


def test_a_gap_is_told_as_one_and_not_as_a_fault(resumed: Resumed) -> None:
    """Two kills leave two gaps of the GPU, each with its end and how its energy was found; nothing went wrong."""
    faults = resumed.receipt["meter"]["faults"]
    assert ["gap", "gap"] == [fault["kind"] for fault in faults]
    assert all(fault["what"].endswith("energy from its counter") for fault in faults)
    when = "[0-9]{2}:[0-9]{2}:[0-9]{2}"
    told = re.findall(f"^ Gap      {when} → {when} GPU 0: the meter was not", render(resumed.receipt, Style(200)), re.M)
    assert 2 == len(told)
