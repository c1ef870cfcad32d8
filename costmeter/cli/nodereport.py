"""`costmeter report --node`: what the GPUs of nodes did and cost, held by whom or by nobody, from agents' journals."""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from costmeter.cli import runfilter
from costmeter.cli.lines import warn
from costmeter.errors import JournalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from costmeter.ledger.listing import Checked, Listed, Listing
    from costmeter.ledger.query import Run
    from costmeter.outputs.again import Asked

KEYS = ("user", "run", "project", "name", "host", "day")
#: A job of Slurm, or a task of an array, by its number.
_JOB = re.compile(r"(?:slurm-)?([0-9]{1,10}(?:_[0-9]{1,10})?)")
_FORMATS = ("text", "json", "csv", "md")
_HELP = f"what all GPUs of a node cost, by its agent's journals; --by {', '.join(KEYS[:-1])} or {KEYS[-1]}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option, and where agents keep their journals."""
    parser.add_argument("--node", action="store_true", help=_HELP)
    parser.add_argument("--state", metavar="DIR", help="the state directory to read; an agent's: /var/lib/costmeter")


def state_of(args: argparse.Namespace) -> Path:
    """The state directory that was named, else the user's. Raises UsageError for one that is not there."""
    from costmeter.ledger.journal import state_directory

    if args.state is None:
        return state_directory(dict(os.environ))
    if not os.path.isdir(args.state):
        raise UsageError(f"--state {args.state}: no such directory", "costmeter report --state /var/lib/costmeter")
    return Path(args.state)


def check(args: argparse.Namespace, kind: str) -> None:
    """Refuse what has no meaning together. Raises UsageError."""
    if args.by == "month" or (args.by is not None and args.by not in KEYS):
        raise UsageError(f"--node has no --by {args.by}", f"--by {', '.join(KEYS[:-1])} or {KEYS[-1]}")
    if kind not in _FORMATS:
        raise UsageError(f"--node has no {kind} form", f"--format {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}")
    others = [f"--{name.replace('_', '-')}" for name in ("bill", "full_cost", "simulated") if getattr(args, name)]
    others += [f"--{name}" for name in ("name", "outcome", "experiment", "label") if getattr(args, name)]
    if args.runs or others:
        what = others[0] if others else f"RUN {args.runs[0]}"
        raise UsageError(f"{what} is of runs, and --node is all that nodes did", "costmeter report RUN, without --node")
    if args.timezone:
        raise UsageError("--timezone is for people's days, and a node's are UTC's", "leave it out")


def text(args: argparse.Namespace, kind: str, state: Path) -> str:
    """The account of the nodes under a state directory. Raises JournalError where no agent recorded anything."""
    from costmeter.cli.printing import style, to_json
    from costmeter.ledger.node.runs import node_account, node_groups
    from costmeter.outputs import grouplist

    account = node_account(state, _wanted(args))
    for said in (*account.unread, *account.problems):
        warn(said)
    key = args.by or "user"
    groups = node_groups(account, key)
    if kind == "json":
        return to_json(grouplist.document(groups, key))
    if kind == "csv":
        return grouplist.csv(groups, key)
    if not groups:
        return "nothing was recorded on those days.  All days: costmeter report --node\n"
    if kind == "md":
        return grouplist.markdown(groups, key)
    return grouplist.render(groups, key, style(sys.stdout, dict(os.environ)))


def _wanted(args: argparse.Namespace) -> "Callable[[str], bool]":
    from datetime import timezone

    days = runfilter.days(args, timezone.utc)
    return lambda day: day in days


# Runs


def listed(state: Path, named: "Sequence[str]", checked: "Checked | None") -> "Listing":
    """The list of runs, or of those that are named, with what only agents saw. Raises JournalError as `load`."""
    from dataclasses import replace

    from costmeter.ledger.finding import paths_of
    from costmeter.ledger.listing import Listing, listing, listing_of
    from costmeter.ledger.node.listing import with_node_runs

    if not named:
        return with_node_runs(listing(state, checked), state, checked is not None)
    refusals: dict[str, JournalError] = {}
    for name in named:
        try:
            paths_of(state, name)
        except JournalError as refusal:
            refusals[name] = refusal
    own = [name for name in named if name not in refusals]
    found = listing_of(state, own, checked) if own else Listing(())
    whole = with_node_runs(found, state, checked is not None)
    kept = {run.found for run in found.runs}
    runs = tuple(run for run in whole.runs if run.found in kept or refusals.keys() & _names(run))
    for name, why in refusals.items():
        if not any(name in _names(run) for run in runs):
            raise why
    return replace(whole, runs=runs)


def _names(run: "Listed") -> set[str]:
    """By what it may be asked for: an id that several users have means all of theirs."""
    return {run.id, run.found, run.header.run}


def meant(state: Path, run: str) -> list[str]:
    """The runs that are meant: by `last` the newest of all, by a number those of a scheduler's job, else that one."""
    from costmeter.ledger import finding
    from costmeter.ledger.node.journal import node_folder

    is_there = os.path.exists(state / "runs" / run) or os.path.exists(run)
    if not is_there and run == finding.LAST and os.path.isdir(node_folder(state)):
        newest = max(listed(state, (), None).runs, key=lambda each: each.ending.started_utc_ns, default=None)
        if newest is not None:
            return [newest.found if newest.parts[0].of is not None else newest.id]
    if not is_there and (job := _JOB.fullmatch(run)):
        from costmeter.ledger.listing import listing
        from costmeter.ledger.node.listing import of_job

        return of_job(state, job[1], listing(state)) or [run]
    return [finding.meant(state, run)]


def load(state: Path, run: str) -> "tuple[Run, bool]":
    """A run by its own journals, or else by those of the agents that saw it; and whether it is the agents'.

    Where a wrapper recorded it, the wrapper's counts; what agents metered of it is said and not added. Raises
    JournalError where nobody recorded it.
    """
    from costmeter.ledger.bulk import load_run
    from costmeter.ledger.node.run import beside, node_run

    try:
        whole = load_run(state, run)
    except JournalError:
        found = None if "/" in run or run.endswith(".jsonl") else node_run(state, run)
        if found is None:
            raise
        return found, True
    return beside(state, whole), False


def asked(args: argparse.Namespace, run: str) -> "Asked":
    """How a receipt was asked for, so that it says how to ask for it again."""
    from costmeter.outputs.again import Asked

    return Asked(args.state or "", run if "/" in run or run.endswith(".jsonl") else "")


def instead(state: Path) -> str:
    """What to type where there are no runs."""
    from costmeter.ledger.node.journal import node_folder

    if os.path.isdir(node_folder(state)):
        return f"what its agent recorded: costmeter report --node --state {shlex.quote(str(state))}"
    return "costmeter run -- python train.py"
