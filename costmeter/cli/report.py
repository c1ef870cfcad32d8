"""`costmeter report [RUN…]`: the receipt of recorded runs, from their journals alone."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from costmeter.cli import bill
from costmeter.errors import JournalError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter report`."""
    parser.description = (
        "Print the receipt of recorded runs again, from their journals; or, with --bill, the bill of a month."
    )
    parser.epilog = (
        "Without RUN: the last run; a receipt reads no settings, and has the prices of then. With --bill: all runs,\n"
        "under the tariffs and commitments of the settings as they are now.\n"
        "A killed run is priced to its last tick and marked interrupted."
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run id, or the path of a journal or its folder")
    parser.add_argument("--full-cost", action="store_true", help="add up the cost and the line items beside it")
    parser.add_argument("--json", action="store_true", help="a JSON list of receipts, newest first; with --bill bills")
    bill.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print receipts to stdout, newest first; or bills."""
    bill.check(args)
    if args.bill:
        return bill.run(args)
    from costmeter.cli.printing import style, to_json
    from costmeter.ledger.journal import state_directory
    from costmeter.ledger.query import run_ids
    from costmeter.outputs.terminal import render

    environ = dict(os.environ)
    state = state_directory(environ)
    wanted = args.runs or run_ids(state)[:1]
    if not wanted:
        raise JournalError(f"no runs recorded under {state}", "costmeter run -- python train.py")
    unsorted = [receipt for run_id in wanted for receipt in _receipts(state, run_id, args.full_cost)]
    receipts = sorted(unsorted, key=_started, reverse=True)
    if args.json:
        sys.stdout.write(to_json(receipts))
        return 0
    for receipt in receipts:
        sys.stdout.write(render(receipt, style(sys.stdout, environ)))
    return 0


def _receipts(state: Path, run_id: str, with_full_cost: bool) -> Iterator[dict[str, Any]]:
    """The receipt of a run; one for each currency where its parts have several."""
    from costmeter.ledger.identity import is_alive
    from costmeter.ledger.query import load_run
    from costmeter.outputs.receipt import receipt

    for recorded in load_run(state, run_id).by_currency():
        header = recorded.parts[-1].header
        is_running = is_alive(header.pid, header.pid_start_ticks, header.boot_id)
        yield receipt(recorded, is_running, with_full_cost)


def _started(receipt: dict[str, Any]) -> str:
    return str(receipt["run"]["started_at"])
