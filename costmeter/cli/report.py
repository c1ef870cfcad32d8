"""`costmeter report [RUN…]`: the list of recorded runs, receipts, and totals of groups, from journals alone."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmeter.cli import bill, runfilter
from costmeter.errors import JournalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from costmeter.ledger.listing import Listed, Listing
    from costmeter.outputs.runlist import Shown

FORMATS = ("text", "json", "csv", "md", "html", "focus")
_BY = ("day", "project", "user", "model", "experiment", "name", "outcome", "host")
#: What RUN stands for the newest run, unless one has that very id.
_LAST = "last"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter report`."""
    parser.description = (
        "List recorded runs; print the receipts of some; or what groups of them came to. With --bill, a month's bill."
    )
    parser.epilog = (
        "costmeter report                       the runs, newest last, and what they came to\n"
        "costmeter report last                  the receipt of the newest\n"
        "costmeter report --since 7d --by user  who spent what in a week\n\n"
        "Receipts and lists read no settings, and have the prices of then. --bill is made under the tariffs and\n"
        "commitments of the settings as they are now. A killed run is priced to its last tick and marked interrupted."
    )
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="a run id, `last`, or the path of a journal or its folder"
    )
    runfilter.add_arguments(parser)
    parser.add_argument("--by", choices=_BY, metavar="WHAT", help=f"totals by {', '.join(_BY[:-1])} or {_BY[-1]}")
    parser.add_argument("--all", action="store_true", help="every line of the list, not the newest 30")
    parser.add_argument("--timezone", metavar="ZONE", help="whose days and clock; default this machine's")
    parser.add_argument("--format", choices=FORMATS, default=None, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--json", action="store_true", help="a JSON list of receipts, newest first; with --bill bills")
    parser.add_argument("--html", action="store_true", help="one receipt as a page that needs no other file")
    parser.add_argument("-o", "--output", metavar="FILE", help="write into this file, whole or not at all")
    parser.add_argument("--full-cost", action="store_true", help="add up the cost and the line items beside it")
    bill.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print to stdout, or into a file."""
    bill.check(args)
    kind = _format(args)
    if args.bill:
        return bill.run(args)
    _check(args, kind)
    from costmeter.ledger.journal import state_directory

    state = state_directory(dict(os.environ))
    text = _text(args, kind, state)
    if args.output is not None:
        from costmeter.cli import wholefile

        wholefile.write(args.output, text, args.output)
    elif kind in ("text", "json"):
        sys.stdout.write(text)
    else:
        from costmeter.cli.lines import write_data

        write_data(text)
    return 0


def _format(args: argparse.Namespace) -> str:
    """The one format that was asked for. Raises UsageError where there are two."""
    shorthands = [name for name in ("json", "html") if getattr(args, name)]
    asked = list(dict.fromkeys([*filter(None, [args.format]), *shorthands]))
    if len(asked) > 1:
        raise UsageError(f"--format {asked[0]} and --{asked[1]}: one format at a time", "leave one of them out")
    return asked[0] if asked else "text"


def _check(args: argparse.Namespace, kind: str) -> None:
    """Refuse what has no meaning together."""
    if args.full_cost and (args.by or kind not in ("text", "json")):
        raise UsageError("--full-cost is for receipts", "costmeter report RUN --full-cost")
    if args.by and kind in ("html", "focus"):
        raise UsageError(f"--by has no {kind} form", "--format text, json, csv or md")
    if args.runs and not args.by:
        given = runfilter.given(args)
        if given:
            raise UsageError(f"{given} is for the list, and RUN names what is wanted", "leave one of them out")
    if kind == "html" and len(args.runs) != 1:
        raise UsageError("--html is the page of one run", "costmeter report last --html -o receipt.html")


def _text(args: argparse.Namespace, kind: str, state: Path) -> str:
    """What was asked for."""
    if args.runs and not args.by and kind in ("text", "json", "md", "html"):
        return _receipts_text(args, kind, state, [_meant(state, each) for each in args.runs])
    import gc

    from costmeter.ledger.listing import Listing, listing, listing_of

    gc.disable()  # thousands of small objects, which all live until we end: looking for garbage costs a fifth
    wanted = runfilter.wanted(args)
    found = listing_of(state, [_meant(state, run) for run in args.runs]) if args.runs else listing(state)
    if not (found.runs or found.unread):
        raise JournalError(f"no runs recorded under {state}", "costmeter run -- python train.py")
    matching = Listing(tuple(filter(wanted, found.runs)), found.unread)
    if kind == "json" and not args.by:
        return _receipts_text(args, kind, state, [run.found for run in matching.runs])
    return _list_text(args, kind, state, matching)


def _list_text(args: argparse.Namespace, kind: str, state: Path, found: "Listing") -> str:
    """The list in one of its forms, or groups."""
    if args.by:
        return _groups_text(args, kind, state, found)
    if kind == "csv":
        from costmeter.outputs.runcsv import runs_csv

        _warn(found)
        return runs_csv(found.runs)
    if kind == "focus":
        from costmeter.outputs.focus import focus_csv

        _warn(found)
        return focus_csv(_cut(state, found.runs))
    from costmeter.cli.printing import style
    from costmeter.outputs.runlist import markdown, render

    if not found.runs and not found.unread:
        return "no run matches\n"
    if kind == "md":
        return markdown(found, _shown(args))
    return render(found, _shown(args), style(sys.stdout, dict(os.environ)))


def _shown(args: argparse.Namespace) -> "Shown":
    from costmeter.clock import RealClock
    from costmeter.outputs.runlist import LINES_SHOWN, Shown

    lines = None if args.all else LINES_SHOWN
    return Shown(RealClock().utc_ns(), runfilter.zone(args), lines, apart=args.experiment is not None)


def _groups_text(args: argparse.Namespace, kind: str, state: Path, found: "Listing") -> str:
    from costmeter.cli.printing import style, to_json
    from costmeter.ledger.grouping import groups
    from costmeter.outputs import grouplist

    _warn(found)
    made = groups(state, found.runs, args.by, runfilter.zone(args))
    if kind == "json":
        return to_json(grouplist.document(made, args.by))
    if kind == "csv":
        return grouplist.csv(made, args.by)
    if not made:
        return "no run matches\n"
    if kind == "md":
        return grouplist.markdown(made, args.by)
    return grouplist.render(made, args.by, style(sys.stdout, dict(os.environ)))


def _cut(state: Path, runs: "Sequence[Listed]") -> "Iterator[tuple[Listed, Any]]":
    """Each run by GPU model and UTC day."""
    from datetime import timezone

    from costmeter.ledger.grouping import pieces
    from costmeter.meter.period import local_date

    for each in runs:
        yield each, pieces(state, each, lambda utc_ns: local_date(utc_ns, timezone.utc).isoformat())


def _warn(found: "Listing") -> None:
    """Say on stderr what the data on stdout cannot."""
    if found.unread:
        print(
            f"costmeter: warning: {len(found.unread):,} journals cannot be read and are not counted: {found.unread[0]}",
            file=sys.stderr,
        )


def _meant(state: Path, run: str) -> str:
    """The run of that id; `last` is the newest where none is called so."""
    if run != _LAST or (state / "runs" / run).is_dir():
        return run
    from costmeter.ledger.query import run_ids

    newest = run_ids(state)[:1]
    if not newest:
        raise JournalError(f"no runs recorded under {state}", "costmeter run -- python train.py")
    return newest[0]


def _receipts_text(args: argparse.Namespace, kind: str, state: Path, wanted: list[str]) -> str:
    """Receipts, newest first."""
    from costmeter.cli.printing import style, to_json
    from costmeter.outputs.terminal import render

    unsorted = [receipt for run_id in wanted for receipt in _receipts(state, run_id, args.full_cost)]
    receipts = sorted(unsorted, key=lambda receipt: str(receipt["run"]["started_at"]), reverse=True)
    if kind == "json":
        return to_json(receipts)
    if kind == "md":
        from costmeter.outputs.markdown import markdown

        return "\n".join(map(markdown, receipts))
    if kind == "html":
        return _page(state, wanted[0], receipts)
    return "".join(render(receipt, style(sys.stdout, dict(os.environ))) for receipt in receipts)


def _page(state: Path, run_id: str, receipts: list[dict[str, Any]]) -> str:
    """The receipt of one run as a page; of one that was paid for in several currencies there are several."""
    from costmeter.ledger.query import paths_of
    from costmeter.ledger.timeline import timeline
    from costmeter.outputs.html import page

    if len(receipts) > 1:
        currencies = ", ".join(receipt["currency"] for receipt in receipts)
        raise UsageError(f"{run_id} was paid for in {currencies}, and a page shows one currency", "name one journal")
    return page(receipts[0], timeline(paths_of(state, run_id)))


def _receipts(state: Path, run_id: str, with_full_cost: bool) -> Iterator[dict[str, Any]]:
    """The receipt of a run; one for each currency where its parts have several."""
    from costmeter.ledger.bulk import load_run
    from costmeter.ledger.identity import is_alive
    from costmeter.outputs.receipt import receipt

    for recorded in load_run(state, run_id).by_currency():
        header = recorded.parts[-1].header
        is_running = is_alive(header.pid, header.pid_start_ticks, header.boot_id)
        yield receipt(recorded, is_running, with_full_cost)
