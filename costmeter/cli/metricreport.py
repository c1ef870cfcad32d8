"""`costmeter report --from prometheus=URL`: the runs that a Prometheus remembers, over all nodes that it scrapes."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from costmeter.cli import runfilter
from costmeter.errors import CostmeterError, UsageError
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo
    from decimal import Decimal

    from costmeter.feeds.promapi import Prometheus
    from costmeter.feeds.promcounters import Window
    from costmeter.feeds.promruns import Readback, SeenRun
    from costmeter.outputs.metricruns import Read, SeenGroup

PREFIX = "prometheus="
_FACTS = ("user", "project", "name", "experiment")
KEYS = (*_FACTS, "outcome", "host", "day", "month")
_OUTCOMES = ("ok", "failed", "running", "unknown")
_LABELS = ("project", "team", "experiment")
_DEFAULT_SINCE_NS = 7 * 24 * NANOSECONDS_PER_HOUR
#: Every day is a handful of questions.
_MOST_WINDOWS = 100
_FORMATS = ("text", "json")
_INSTEAD = "leave it out, or read journals: costmeter report, without --from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `--from` takes beside the date of a bill, and what an address of https needs."""
    said = "--from prometheus=URL reads all nodes' runs from the metrics it scraped, of 7 days or --since"
    group = parser.add_argument_group("all nodes, from a Prometheus", said)
    group.add_argument("--ca", metavar="FILE", help="certificates that an https:// Prometheus is believed by")


def is_meant(args: argparse.Namespace) -> bool:
    """Whether `--from` names a Prometheus and no date of a bill. Raises UsageError for an address without its word."""
    named = args.first or ""
    if not named.startswith(PREFIX) and "://" in named:
        raise UsageError("--from takes a date of a bill, or a Prometheus", "--from prometheus=http://prometheus:9090")
    if args.ca is not None and not named.startswith(f"{PREFIX}https://"):
        raise UsageError("--ca is for a Prometheus at https://", "--from prometheus=https://… --ca authority.pem")
    return bool(named.startswith(PREFIX))


def check(args: argparse.Namespace, kind: str) -> None:
    """Refuse what metrics cannot tell. Raises UsageError."""
    if kind not in _FORMATS:
        raise UsageError(f"--from prometheus= has no {kind} form", "--format text or json")
    if args.by is not None and args.by not in KEYS:
        raise UsageError(f"metrics have no --by {args.by}", f"--by {', '.join(KEYS[:-1])} or {KEYS[-1]}")
    others = ("node", "bill", "full_cost", "simulated", "state", "month", "end", "billing_day", "attribution")
    for name in (*others, "base_kw", "config"):
        if getattr(args, name):
            flag = "to" if name == "end" else name.replace("_", "-")
            raise UsageError(f"--{flag} is of journals, and --from prometheus= reads metrics", _INSTEAD)
    if args.by and args.runs:
        raise UsageError("--by is for all runs, and RUN names one", "leave one of them out")
    if args.outcome is not None and args.outcome not in _OUTCOMES:
        raise UsageError(
            f"metrics tell an exit code, and no --outcome {args.outcome}", "--outcome ok, failed, running or unknown"
        )
    for each in args.label:
        if each.partition("=")[0] not in _LABELS:
            raise UsageError(f'--label "{each}": metrics have {", ".join(_LABELS)} alone', "--label project=llm")


def text(args: argparse.Namespace, kind: str) -> str:
    """What was asked for. Raises CostmeterError."""
    import dataclasses

    from costmeter.cli.printing import style, to_json
    from costmeter.clock import RealClock
    from costmeter.feeds.promapi import Prometheus
    from costmeter.feeds.promruns import Readback
    from costmeter.outputs import metricruns, runlist

    now_ns, zone = RealClock().utc_ns(), runfilter.zone(args)
    server = Prometheus(args.first.removeprefix(PREFIX), dict(os.environ), args.ca)
    since_ns, until_ns = runfilter.between(args, zone)
    since_ns = now_ns - _DEFAULT_SINCE_NS if since_ns is None else since_ns
    if since_ns >= now_ns or (until_ns is not None and until_ns <= since_ns):
        raise UsageError("nothing can have been scraped in that time", "--since 7d, and --until after it")
    read = metricruns.Read(server.where, now_ns, zone, None if args.all else runlist.LINES_SHOWN)
    if args.by in ("day", "month"):
        made, read = _by_date(args, server, read, since_ns, min(now_ns, until_ns or now_ns))
    else:
        readback = Readback(server, _window(since_ns, now_ns))
        runs = [run for run in readback.runs() if _is_wanted(args, run, since_ns, until_ns)]
        read = dataclasses.replace(read, least=readback.least)
        if not args.by:
            return _runs_text(args, kind, server, readback, runs, read)
        word: Callable[[SeenRun], str] = (
            (lambda run: run.outcome) if args.by == "outcome" else (lambda run: run.facts.get(args.by, ""))
        )
        made = metricruns.by_host(runs) if args.by == "host" else metricruns.grouped(runs, word)
    if kind == "json":
        return to_json(metricruns.groups_document(made, args.by, read))
    shown = style(sys.stdout, dict(os.environ))
    return metricruns.render_groups(made, args.by, read, shown) if made else _nothing(args, read)


def _nothing(args: argparse.Namespace, read: "Read") -> str:
    since, missing = args.since or "7d", "".join(f" ({each})" for each in read.least)
    return f"no run of which this Prometheus knows since {since} matches{missing}.  More time: --since 30d\n"


def _window(start_ns: int, end_ns: int) -> "Window":
    from costmeter.feeds.promcounters import Window

    return Window(max(0, start_ns) // NANOSECONDS_PER_SECOND, -(-end_ns // NANOSECONDS_PER_SECOND))


def _runs_text(
    args: argparse.Namespace,
    kind: str,
    server: "Prometheus",
    readback: "Readback",
    runs: "Sequence[SeenRun]",
    read: "Read",
) -> str:
    """The list, or those runs that are named, in detail."""
    import dataclasses

    from costmeter.cli.printing import style, to_json
    from costmeter.feeds.promdetail import detail
    from costmeter.outputs import metricrun, metricruns

    shown = style(sys.stdout, dict(os.environ))
    if not args.runs:
        if kind == "json":
            return to_json(metricruns.runs_document(((run, None) for run in runs), read))
        return metricruns.render(runs, read, shown) if runs else _nothing(args, read)
    named = [run for name in args.runs for run in _named(name, runs)]
    detailed = [(run, detail(server, run, readback.window)) for run in named]
    if any(of.is_least for _, of in detailed):
        readback.note_fallen()
    read = dataclasses.replace(read, least=readback.least)
    if kind == "json":
        return to_json(metricruns.runs_document(detailed, read))
    return "\n".join(metricrun.render_run(run, of, read, shown) for run, of in detailed)


def _named(name: str, runs: "Sequence[SeenRun]") -> "list[SeenRun]":
    """The runs of an id, in each currency; `last`; or the runs of a job's number. Raises CostmeterError for none."""
    if name == "last" and runs:
        last = max(runs, key=lambda run: run.started_seconds or 0).key
        return [run for run in runs if run.key == last]
    found = [run for run in runs if name in (run.id, run.word)]
    found = found or [run for run in runs if name and run.facts.get("job_id") == name]
    if not found:
        import difflib

        near = difflib.get_close_matches(name, [run.word for run in runs], 1)
        hint = f"Closest: {near[0]}.  " if near else ""
        raise CostmeterError(f'no run "{name}" there since {"then" if runs else "that time"}', f"{hint}--since 30d")
    return found


def _is_wanted(args: argparse.Namespace, run: "SeenRun", since_ns: int, until_ns: int | None) -> bool:
    began = run.started_seconds
    if began is not None and not args.runs:
        began_ns = began * NANOSECONDS_PER_SECOND
        if (args.since is not None and began_ns < since_ns) or (until_ns is not None and began_ns >= until_ns):
            return False
    wanted = dict(each.split("=", 1) for each in args.label)
    wanted |= {key: value for key in ("experiment", "name") if (value := getattr(args, key)) is not None}
    return (args.outcome is None or run.outcome == args.outcome) and all(
        run.facts.get(key, "") == value for key, value in wanted.items()
    )


def _by_date(
    args: argparse.Namespace, server: "Prometheus", read: "Read", since_ns: int, until_ns: int
) -> "tuple[list[SeenGroup], Read]":
    """What was added on each day or in each month of a zone, whole days, by runs of any age."""
    import dataclasses

    from costmeter.feeds.promruns import Readback
    from costmeter.outputs.metricruns import summed

    words, windows = _windows(args.by, read.zone, since_ns, until_ns)
    whole = _window(windows[0].start_seconds * NANOSECONDS_PER_SECOND, until_ns)
    readback = Readback(server, whole)
    runs = [run for run in readback.runs() if _is_wanted(args, run, 0, None)]
    # Each host by the meter that the list takes, so that days add up to it.
    wanted = {(run.cluster, run.id, host, meter): run for run in runs for host, meter in run.meters.items()}
    found, pieces = readback.by_window(windows), []
    for word, told in zip(words, found.windows, strict=True):
        for (whose, currency), each in told.items():
            run = wanted.get(whose)
            if run is not None and (each.cost or any(each.seconds.values())):
                pieces.append((word, run.key, currency.upper(), run.simulated, each))
    unscraped: dict[str, Decimal] = {}
    for (whose, currency), amount in found.unscraped.items():
        if amount and whose in wanted and not wanted[whose].simulated:
            unscraped[currency.upper()] = unscraped.get(currency.upper(), 0) + amount
    return summed(pieces, in_order=True), dataclasses.replace(read, least=readback.least, unscraped=unscraped)


def _windows(key: str, zone: "tzinfo | None", since_ns: int, until_ns: int) -> "tuple[list[str], list[Window]]":
    """The days or months of a zone from that of `since` to that of the last instant, with what each is called."""
    from datetime import timedelta

    from costmeter.meter.period import local_date, midnight

    words: list[str] = []
    windows: list[Window] = []
    day, last = local_date(since_ns, zone), local_date(until_ns - 1, zone)
    if key == "month":
        day = day.replace(day=1)
    while day <= last:
        if len(windows) == _MOST_WINDOWS:
            raise UsageError(f"more than {_MOST_WINDOWS} days, each asked for by itself", "--by month, or --since 30d")
        after = day + timedelta(days=1)
        if key == "month":
            after = (day + timedelta(days=31)).replace(day=1)
        words.append(day.isoformat()[: 7 if key == "month" else 10])
        windows.append(_window(midnight(day, zone), min(until_ns, midnight(after, zone))))
        day = after
    return words, windows
