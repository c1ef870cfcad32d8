"""The options that choose runs: since when, of what name, label, experiment or outcome."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from costmeter.clock import RealClock
from costmeter.errors import UsageError
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

if TYPE_CHECKING:
    from datetime import tzinfo

    from costmeter.ledger.listing import Listed

#: What outcomes are called on the command line.
OUTCOMES = {
    "ok": "ok",
    "failed": "failed",
    "cancelled": "cancelled",
    "preempted": "preempted",
    "budget": "stopped by budget",
    "interrupted": "interrupted",
    "running": "running",
}
_AGES = {"m": NANOSECONDS_PER_MINUTE, "h": NANOSECONDS_PER_HOUR, "d": 24 * NANOSECONDS_PER_HOUR}
_AGES["w"] = 7 * _AGES["d"]
_EXAMPLES = "7d, 24h, 2026-11-01 or 2026-11-22T16:00Z"
#: No run is older.
_MOST_DIGITS = 6
_OPTIONS = ("since", "until", "experiment", "label", "outcome", "name", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose runs."""
    parser.add_argument("--since", metavar="WHEN", help=f"runs that began then or later: {_EXAMPLES}")
    parser.add_argument("--until", metavar="WHEN", help="runs that began before")
    parser.add_argument(
        "--experiment", metavar="NAME", help="runs labelled experiment=NAME, each trial in its own line"
    )
    parser.add_argument("--label", action="append", default=[], metavar="K=V", help="runs with this label; repeatable")
    parser.add_argument("--outcome", choices=tuple(OUTCOMES), metavar="HOW", help=", ".join(OUTCOMES))
    parser.add_argument("--name", metavar="NAME", help="runs of this name")


def given(args: argparse.Namespace) -> str:
    """The first of these options that was given; empty where none was."""
    return next((f"--{name}" for name in _OPTIONS if getattr(args, name)), "")


def zone(args: argparse.Namespace) -> "tzinfo | None":
    """Whose clock and days; None is this machine's. Raises UsageError."""
    if args.timezone is None:
        return None
    from costmeter.config.zones import nearest
    from costmeter.config.zones import zone as named

    found = named(args.timezone)
    if found is None:
        raise UsageError(f'--timezone: no zone "{args.timezone}"{nearest(args.timezone)}', "--timezone Europe/Berlin")
    return found


def wanted(args: argparse.Namespace) -> "Callable[[Listed], bool]":
    """Whether a run is one of those asked for. Raises UsageError."""
    since_ns, until_ns = _instant(args, "since"), _instant(args, "until")
    labels = [_label(text) for text in args.label]
    if args.experiment is not None:
        labels.append(("experiment", args.experiment))

    def is_wanted(run: "Listed") -> bool:
        ended = run.ending
        return (
            (since_ns is None or ended.started_utc_ns >= since_ns)
            and (until_ns is None or ended.started_utc_ns < until_ns)
            and (args.outcome is None or ended.outcome == OUTCOMES[args.outcome])
            and (args.name is None or run.header.name == args.name)
            and all(run.header.labels.get(key) == value for key, value in labels)
        )

    return is_wanted


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f'--label "{text}": expected KEY=VALUE', "--label project=llm")
    return key, value


def _instant(args: argparse.Namespace, name: str) -> int | None:
    """An age, a local day or an instant, in nanoseconds since 1970."""
    text = getattr(args, name)
    if text is None:
        return None
    count, unit = text[:-1], text[-1:]
    if unit in _AGES and count.isascii() and count.isdigit() and len(count) <= _MOST_DIGITS:
        return RealClock().utc_ns() - int(count) * _AGES[unit]
    from costmeter.config.day import day
    from costmeter.config.instant import read_instant
    from costmeter.meter.period import midnight

    first = day(text)
    if first is not None:
        return midnight(first, zone(args))
    utc_ns = read_instant(text)[1]
    if utc_ns is None:
        raise UsageError(f'--{name} "{text}": expected an age, a day or an instant', f"--{name} {_EXAMPLES}")
    return utc_ns
