"""`costmeter report [RUN…]`: the list of recorded runs, receipts, and totals of groups, from journals alone."""

import argparse
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmeter.cli import bill, metricreport, nodereport, runfilter, runfolder
from costmeter.cli.copies import warn_of_copies
from costmeter.cli.lines import say, warn
from costmeter.errors import JournalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from costmeter.ledger.charged import Account
    from costmeter.ledger.listing import Checked, Listed, Listing
    from costmeter.ledger.query import Run
    from costmeter.meter.projection import Projection
    from costmeter.outputs.again import Asked
    from costmeter.outputs.runlist import Shown

FORMATS = ("text", "json", "csv", "md", "html", "focus")
_BY = ("day", "month", "project", "user", "model", "experiment", "name", "outcome", "host")
_DATES = ("day", "month")
_NO_MATCH = "no run matches.  All runs: costmeter report"


class _Once(argparse.Action):
    """An option of which a second one would be lost without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: Any = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "given twice, and totals are by one thing at a time")
        setattr(namespace, self.dest, values)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter report`."""
    parser.description = (
        "List recorded runs; print the receipts of some; or what groups of them came to.\nWith --bill, a month's bill."
    )
    parser.epilog = (
        "costmeter report                       the runs, newest last, and what they came to\n"
        "costmeter report last                  the receipt of the newest\n"
        "costmeter report --since 7d --by user  who spent what in a week\n"
        "costmeter report --from prometheus=http://prometheus:9090   what all nodes' metrics say\n\n"
        "Receipts and lists read no settings, and have the prices of then. --bill is made under the\n"
        "tariffs and commitments of the settings as they are now. A killed run is priced to its last\n"
        "tick and marked interrupted."
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run id, `last`, a job's number, or the path of a journal, its folder, or a folder of runs",
    )
    runfilter.add_arguments(parser)
    by = f"totals by {', '.join(_BY[:-1])} or {_BY[-1]}"
    parser.add_argument("--by", choices=(*_BY, "run"), metavar="WHAT", action=_Once, help=by)
    parser.add_argument("--all", action="store_true", help="every line of the list, not the newest 30")
    parser.add_argument("--timezone", metavar="ZONE", help="whose days and clock; default this machine's")
    parser.add_argument("--format", choices=FORMATS, default=None, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--simulated", action="store_true", help="with --format focus: simulated runs as well")
    parser.add_argument("--json", action="store_true", help="a JSON list of receipts, newest first; with --bill bills")
    parser.add_argument("--html", action="store_true", help="one receipt as a page that needs no other file")
    parser.add_argument("-o", "--output", metavar="FILE", help="write into this file, whole or not at all")
    parser.add_argument("--full-cost", action="store_true", help="add up the cost and the line items beside it")
    nodereport.add_arguments(parser)
    metricreport.add_arguments(parser)
    bill.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print to stdout, or into a file."""
    is_metrics = metricreport.is_meant(args)
    if not is_metrics:
        bill.check(args)
    kind = _format(args)
    if is_metrics:
        metricreport.check(args, kind)
        return _put(args, kind, metricreport.text(args, kind))
    if args.node:
        nodereport.check(args, kind)
    elif args.bill:
        return bill.run(args)
    state = nodereport.state_of(args)
    gc.disable()  # thousands of small objects, which all live until we end: looking for garbage costs a fifth
    if args.node:
        text = nodereport.text(args, kind, state)
    else:
        runs, is_list = runfolder.expanded(args.runs, state)
        _check(args, kind, is_list)
        text = _text(args, kind, state, [] if is_list else runs, runs if is_list else [])
    gc.freeze()  # nor is it looked for at the very end
    return _put(args, kind, text)


def _put(args: argparse.Namespace, kind: str, text: str) -> int:
    """Text to stdout, or into the file that was named; 0."""
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


def _check(args: argparse.Namespace, kind: str, is_list: bool) -> None:
    """Refuse what has no meaning together."""
    if args.full_cost and (args.by or kind not in ("text", "json")):
        raise UsageError("--full-cost is for receipts", "costmeter report RUN --full-cost")
    if args.by == "run":
        raise UsageError("--by run is for --node: the list has a line for every run", "costmeter report")
    if args.by and kind in ("html", "focus"):
        raise UsageError(f"--by has no {kind} form", "--format text, json, csv or md")
    if args.simulated and kind != "focus":
        raise UsageError("--simulated is for --format focus: lists have simulated runs always", "leave it out")
    if args.timezone and kind == "focus":
        raise UsageError("--timezone is for people's days, and those of FOCUS are UTC's", "leave it out")
    if args.runs and not (args.by or is_list):
        given = runfilter.given(args)
        if given:
            raise UsageError(f"{given} is for the list, and RUN names what is wanted", "leave one of them out")
    if kind == "html" and len(args.runs) != 1:
        raise UsageError("--html is the page of one run", "costmeter report last --html -o receipt.html")
    if kind == "html" and args.output is None and sys.stdout.isatty():
        raise UsageError("a page is for a browser, not a terminal", "costmeter report last --html -o receipt.html")


def _text(args: argparse.Namespace, kind: str, state: Path, runs: list[str], listed: list[str]) -> str:
    """What was asked for: `runs` one by one, or a list of them all, or of `listed`."""
    if runs and not args.by and kind in ("text", "json", "md", "html"):
        return _receipts_text(args, kind, state, [each for run in runs for each in nodereport.meant(state, run)])
    from dataclasses import replace

    wanted = _wanted(args, kind)
    named = listed or [each for run in runs for each in nodereport.meant(state, run)]
    checked: Checked | None = None if kind in ("text", "md", "json") and not args.by else {}
    found = nodereport.listed(state, named, checked)
    if not (found.runs or found.unread):
        raise JournalError(f"no runs recorded under {state}", nodereport.instead(state))
    matching = replace(found, runs=tuple(filter(wanted, found.runs)))
    if found.runs and not matching.runs and kind not in ("text", "md"):
        say(_NO_MATCH)
    if kind == "json" and not args.by:
        _warn(matching)
        return _receipts_text(args, kind, state, [run.found for run in matching.runs])
    return _list_text(args, kind, state, matching)


def _wanted(args: argparse.Namespace, kind: str) -> "Callable[[Listed], bool]":
    """Whether a run is one of those asked for; where days are, one that has any of them, whenever it began."""
    if kind != "focus" and args.by not in _DATES:
        return runfilter.wanted(args)
    from costmeter.ledger.days import days_of, have_days

    in_zone = _zone(args, kind)
    days, day_of, fits = runfilter.days(args, in_zone), days_of(in_zone), runfilter.fitting(args)
    return lambda run: fits(run) and have_days(run, days, day_of)


def _zone(args: argparse.Namespace, kind: str) -> "tzinfo | None":
    """Whose days count; None is this machine's."""
    if kind != "focus":
        return runfilter.zone(args)
    from datetime import timezone

    return timezone.utc


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
        return focus_csv(_accounts(args, found.runs))
    from costmeter.cli.printing import style
    from costmeter.outputs.runlist import markdown, render

    if not found.runs and not found.unread:
        return f"{_NO_MATCH}\n"
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
    from costmeter.ledger.days import by_date
    from costmeter.ledger.grouping import groups
    from costmeter.outputs import grouplist

    _warn(found)
    in_zone = runfilter.zone(args)
    if args.by in _DATES:
        made = by_date(state, found.runs, args.by, in_zone, runfilter.days(args, in_zone))
    else:
        made = groups(state, found.runs, args.by, in_zone)
    if kind == "json":
        return to_json(grouplist.document(made, args.by))
    if kind == "csv":
        return grouplist.csv(made, args.by)
    if not made:
        return f"{_NO_MATCH}\n"
    if kind == "md":
        return grouplist.markdown(made, args.by)
    return grouplist.render(made, args.by, style(sys.stdout, dict(os.environ)))


def _accounts(args: argparse.Namespace, runs: "Sequence[Listed]") -> "Iterator[Account]":
    """Each run by host, GPU model and UTC day; simulated ones, which nobody pays for, where they are asked for."""
    from costmeter.ledger.charged import accounts
    from costmeter.ledger.days import days_of

    in_zone, left_out = _zone(args, "focus"), 0
    days = runfilter.days(args, in_zone)
    for run in runs:
        ours = run.apart if args.simulated else tuple(each for each in run.apart if not each.simulated)
        left_out += len(ours) < len(run.apart)
        for each in ours:
            yield from accounts(each, days_of(in_zone), days)
    if left_out:
        what = "1 simulated run is" if left_out == 1 else f"{left_out:,} simulated runs are"
        say(f"{what} left out, since nobody pays for them; with them: --simulated")


def _warn(found: "Listing") -> None:
    """Say on stderr what the data on stdout cannot."""
    if found.unread:
        count = len(found.unread)
        what = "1 journal cannot be read and is" if count == 1 else f"{count:,} journals cannot be read and are"
        warn(f"{what} not counted: {found.unread[0]}")
    warn_of_copies(found.copies)


def _receipts_text(args: argparse.Namespace, kind: str, state: Path, wanted: list[str]) -> str:
    """Receipts, newest first."""
    from costmeter.cli.printing import style, to_json
    from costmeter.outputs.terminal import render

    unsorted = [(receipt, run_id) for run_id in wanted for receipt in _receipts(state, run_id, args.full_cost)]
    newest_first = sorted(unsorted, key=lambda pair: str(pair[0]["run"]["started_at"]), reverse=True)
    receipts = [receipt for receipt, _ in newest_first]
    if kind == "json":
        return to_json(receipts)
    if kind == "md":
        from costmeter.outputs.markdown import markdown

        return "\n".join(map(markdown, receipts))
    if kind == "html":
        return _page(state, wanted[0], receipts, nodereport.asked(args, wanted[0]))
    shown = style(sys.stdout, dict(os.environ))
    return "".join(render(receipt, shown, asked=nodereport.asked(args, run_id)) for receipt, run_id in newest_first)


def _page(state: Path, run_id: str, receipts: list[dict[str, Any]], asked: "Asked") -> str:
    """The receipt of one run as a page; of one that was paid for in several currencies there are several."""
    from costmeter.ledger.finding import paths_of
    from costmeter.ledger.node.timeline import node_timeline
    from costmeter.ledger.timeline import timeline
    from costmeter.outputs.html import page

    if len(receipts) > 1:
        currencies = ", ".join(receipt["currency"] for receipt in receipts)
        raise UsageError(f"{run_id} was paid for in {currencies}, and a page shows one currency", "name one journal")
    is_agents = receipts[0]["meter"]["kind"] == "agent"
    drawn = node_timeline(state, run_id) if is_agents else timeline(paths_of(state, run_id))
    return page(receipts[0], drawn, asked)


def _receipts(state: Path, run_id: str, with_full_cost: bool) -> Iterator[dict[str, Any]]:
    """The receipt of a run; one for each currency where its parts have several."""
    from costmeter.ledger.ending import part_goes_on, run_ending
    from costmeter.outputs.receipt import receipt

    whole, is_agents = nodereport.load(state, run_id)
    is_running = run_ending(whole).outcome == "running"
    to_go = _projection(state, run_id, whole) if is_running and not is_agents else None
    for recorded in whole.by_currency():
        yield receipt(recorded, part_goes_on, with_full_cost, to_go)


def _projection(state: Path, run_id: str, run: "Run") -> "Projection | None":
    """Where a run that goes on ends; nobody can say of one in two currencies, or that two meters see at once."""
    from costmeter.ledger.finding import paths_of
    from costmeter.ledger.overlap import metered_elsewhere
    from costmeter.ledger.timeline import timeline
    from costmeter.outputs.progress import projected

    told = [part.progress.of_steps for part in run.parts if part.progress and part.progress.of_steps]
    if not told or len(run.by_currency()) > 1 or any(metered_elsewhere(run.parts)):
        return None
    return projected(timeline(paths_of(state, run_id)), max(told))
