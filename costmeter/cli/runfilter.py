"""The options that choose runs: since when, of what name, label, experiment or outcome."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from costmeter.clock import RealClock
from costmeter.errors import UsageError
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE

if TYPE_CHECKING:
    from datetime import tzinfo

    from costmeter.ledger.days import Days
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
    "unknown": "unknown",
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
    parser.add_argument(
        "--until", metavar="WHEN", help="runs that began before; both choose days with --by day, month, and FOCUS"
    )
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


def days(args: argparse.Namespace, in_zone: "tzinfo | None") -> "Days":
    """The days asked for, by the clock of a zone: that of `--since`, and the last before `--until`, both whole.

    Raises UsageError.
    """
    from costmeter.ledger.days import Days, days_of

    day_of = days_of(in_zone)
    since_ns, until_ns = _instant(args, "since", in_zone), _instant(args, "until", in_zone)
    return Days(
        "" if since_ns is None else day_of(max(0, since_ns)), "" if until_ns is None else day_of(max(0, until_ns - 1))
    )


def between(args: argparse.Namespace, in_zone: "tzinfo | None") -> tuple[int | None, int | None]:
    """`--since` and `--until`, in nanoseconds since 1970; None where they were not given. Raises UsageError."""
    return _instant(args, "since", in_zone), _instant(args, "until", in_zone)


def wanted(args: argparse.Namespace) -> "Callable[[Listed], bool]":
    """Whether a run is one of those asked for, and began in time. Raises UsageError."""
    in_zone = zone(args)
    since_ns, until_ns = _instant(args, "since", in_zone), _instant(args, "until", in_zone)
    fits = fitting(args)

    def is_wanted(run: "Listed") -> bool:
        began_ns = run.ending.started_utc_ns
        return (
            (since_ns is None or began_ns >= since_ns) and (until_ns is None or began_ns < until_ns) and fits(run)
        )  # fmt: skip

    return is_wanted


def fitting(args: argparse.Namespace) -> "Callable[[Listed], bool]":
    """Whether a run is one of those asked for, whenever it was. Raises UsageError."""
    labels = [_label(text) for text in args.label]
    if args.experiment is not None:
        labels.append(("experiment", args.experiment))

    def fits(run: "Listed") -> bool:
        return (
            (args.outcome is None or run.ending.outcome == OUTCOMES[args.outcome])
            and (args.name is None or run.header.name == args.name)
            and all(run.header.labels.get(key) == value for key, value in labels)
        )

    return fits


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f'--label "{text}": expected KEY=VALUE', "--label project=llm")
    return key, value


def _instant(args: argparse.Namespace, name: str, in_zone: "tzinfo | None") -> int | None:
    """An age, a day of a zone or an instant, in nanoseconds since 1970."""
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
        return midnight(first, in_zone)
    utc_ns = read_instant(text)[1]
    if utc_ns is None:
        raise UsageError(f'--{name} "{text}": expected an age, a day or an instant', f"--{name} {_EXAMPLES}")
    return utc_ns
