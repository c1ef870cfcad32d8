"""Runs as their meter records them, minute by minute, in real journals: what pages are drawn from."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.query import Run
from costmeter.ledger.record import Budgets, Mark, Outcome, Record, SlotEntry
from costmeter.meter.budget import Budget, BudgetUse
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.units import microjoules_from_power
from tests.ledger.slowly import fold_journal, read_journal
from tests.outputs.runs import COMMAND, RENTED, with_host
from tests.samples import BEGAN_UTC_NS, MINUTE, devices, footer, header, held, measured, rates_from_start, rental, uuids

#: Steps and tokens of a minute of training, and minutes from one evaluation to the next.
STEPS, TOKENS, ROUND = 66, 66 * 131_072, 40


def training(directory: Path, minutes: int, gpus: int = 8, outcome: Outcome | None = "ok", **named: Any) -> Path:
    """A run of so many minutes: 6 of start-up, then training with an evaluation and a checkpoint every 40 minutes.

    From the 90th to the 97th minute it waits for data. It is under a budget of $80. Without an outcome it has no end.
    """
    file, order = JournalFile(directory, "gpu01"), uuids(devices(gpus))
    prices = replace(RENTED, devices=dict.fromkeys(order, rental("2.49", "4.68")))
    named = {"command": COMMAND, "name": "sft-llama", "labels": {"project": "llm", "team": "nlp"}} | named
    lines: list[Record] = [header(**named), held(devices(gpus)), rates_from_start(prices)]
    lines.append(Budgets(BEGAN_UTC_NS, (BudgetUse(Budget(Decimal(80))),)))
    for line in lines:
        file.write(line, order)
    for minute in range(minutes):
        file.write(SlotEntry(_slot(minute, order)), order)
        if minute % ROUND == ROUND - 1:
            file.write(Mark(BEGAN_UTC_NS + (minute + 1) * MINUTE, "checkpoint", f"step {minute * STEPS}"), order)
    if outcome is not None:
        file.write(footer(minutes * MINUTE, outcome, 0 if outcome == "ok" else 1), order)
    file.close(finished=outcome is not None)
    return file.path


def _slot(minute: int, order: tuple[str, ...]) -> Slot:
    """One minute, as its place in the run has it."""
    start_utc_ns = BEGAN_UTC_NS + minute * MINUTE
    phase = {ROUND - 2: "eval", ROUND - 1: "checkpoint"}.get(minute % ROUND, "training") if minute >= 6 else ""
    watts = {"training": 640 + 25 * (minute % 3), "eval": 480, "checkpoint": 210, "": 130}[phase]
    is_waiting = not phase or 90 <= minute < 97
    each = measured(0, 0, MINUTE, microjoules_from_power(130, MINUTE))
    if not is_waiting:
        each = measured(MINUTE, microjoules_from_power(watts, MINUTE), utilization=0.93 if phase == "training" else 0.6)
    each = with_host(each, microjoules_from_power(112, MINUTE))
    trained = max(0, minute - 5)
    told = Progress(trained * STEPS, trained * TOKENS, 1.8 + 2 / (1 + trained / 30), 12_400) if phase else None
    slot = Slot(start_utc_ns, start_utc_ns + MINUTE, dict.fromkeys(order, each), number=minute)
    return replace(slot, phase=phase, progress=told)


def run_of(*paths: Path) -> Run:
    """The run of these journals."""
    return Run(tuple(fold_journal(read_journal(path)) for path in paths))
