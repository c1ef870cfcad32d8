"""`costmeter report --bill`: what a billing month charges beyond what its runs were metered at."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from costmeter.cli import folder, nodereport
from costmeter.cli.copies import warn_of_copies
from costmeter.cli.lines import say, warn
from costmeter.errors import JournalError, UsageError

if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.ledger.use import Key
    from costmeter.meter.period import Period
    from costmeter.outputs.bill import Terms

#: The options that say something about a bill, and what they are without one.
_DEFAULTS = {
    "month": None,
    "first": None,
    "end": None,
    "billing_day": None,
    "attribution": None,
    "base_kw": None,
    "config": None,
}
#: Nobody is billed less often than once a year.
_LONGEST_DAYS = 366
#: A second or two of reading.
_SOON_READ_BYTES = 5_000_000
#: Settings whose faults leave something off a bill.
_MISSING_WITH = ("electricity.price", "gpu.commitment")
_FLAGS = {"first": "--from", "end": "--to", "billing_day": "--billing-day", "base_kw": "--base-kw"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter report` that are for bills."""
    group = parser.add_argument_group("the bill of a month")
    group.add_argument(
        "--bill", action="store_true", help="tiers, fixed and demand charges and commitments, by billing month"
    )
    group.add_argument("--month", metavar="YYYY-MM", help="the billing month that begins in this one; default all")
    group.add_argument("--from", dest="first", metavar="DATE", help="first day of one billing period")
    group.add_argument("--to", dest="end", metavar="DATE", help="the day after its last")
    group.add_argument("--billing-day", metavar="N", help="day on which billing months begin, 1 to 28; default 1")
    group.add_argument(
        "--attribution",
        choices=("marginal", "average"),
        help="marginal: what the runs add to the site's bill (default); average: their share of it by kWh",
    )
    group.add_argument("--base-kw", metavar="KW", help="what the site uses without the runs, all the time; default 0")
    group.add_argument("-c", "--config", metavar="FILE", help="read tariff and commitments from this file")


def check(args: argparse.Namespace) -> None:
    """Refuse an option of bills where no bill is asked for, and one of receipts where one is. Raises UsageError."""
    if args.bill and args.full_cost:
        raise UsageError("--full-cost is for receipts: items are on no bill", "costmeter report --full-cost")
    for name, default in _DEFAULTS.items():
        if getattr(args, name) != default and not args.bill:
            raise UsageError(f"{_FLAGS.get(name, f'--{name}')} is for bills", "costmeter report --bill …")


def run(args: argparse.Namespace) -> int:
    """Print bills to stdout, oldest first."""
    from costmeter.cli.printing import style, to_json
    from costmeter.config.layers import load_settings
    from costmeter.ledger.finding import paths_of, run_ids
    from costmeter.ledger.listing import listing_of
    from costmeter.ledger.use import Sought, use_by_period
    from costmeter.outputs.bill import bills
    from costmeter.outputs.billtext import not_counted, render

    environ = dict(os.environ)
    billing_day, given = _whole(args.billing_day), _given(args)
    base_kw, wanted = _kilowatts(args.base_kw), args.runs
    loaded = load_settings(args.config, {}, environ, folder.current(), strict=False)
    for fault in loaded.faults:
        warn(fault)
    terms = _terms(loaded, args.attribution or "marginal", base_kw)
    asked, period_of = _periods(given, billing_day, terms)
    state = nodereport.state_of(args)
    named = list(dict.fromkeys(wanted or run_ids(state)))
    paths = list(dict.fromkeys(path for each in named for path in paths_of(state, each)))
    if not paths and asked is None:
        raise JournalError(f"no runs recorded under {state}", "costmeter run -- python train.py")
    _say_how_much(paths)
    listed = listing_of(state, named)
    warn_of_copies(listed.copies)
    copied = set(map(os.path.realpath, listed.copied))
    by_place = {place: path for path in reversed(paths) if (place := os.path.realpath(path)) not in copied}
    paths = [path for path in paths if path in by_place.values()]
    elsewhere = {os.path.realpath(run.path_of(part)): part.elsewhere for run in listed.runs for part in run.parts}
    shared = {path: elsewhere.get(place, {}) for place, path in by_place.items()}
    found = use_by_period(paths, Sought(period_of, terms.currency, terms.schedule, terms.commitments, asked), shared)
    document = bills(found, terms, [asked] if asked else _between(found.uses, period_of))
    if said := not_counted(document):
        warn(f"{said}: {found.refusals[0]}")
    sys.stdout.write(to_json(document) if args.json else render(document, style(sys.stdout, environ)))
    return 0


def _say_how_much(paths: Sequence[Path]) -> None:
    """That there is a lot to read, to a person who waits for it."""
    sizes = (path.stat().st_size for path in paths if path.is_file())
    if sys.stderr.isatty() and sum(sizes) > _SOON_READ_BYTES:
        say(f"reading {len(paths):,} journal{'' if len(paths) == 1 else 's'}")


def _terms(loaded: "Loaded", attribution: str, base_kw: Decimal) -> "Terms":
    from costmeter.clock import RealClock
    from costmeter.meter.bill import ATTRIBUTIONS
    from costmeter.outputs.bill import Terms

    settings = loaded.settings
    tariffs, electricity = settings.tariffs, settings.book.electricity
    return Terms(
        settings.currency,
        tariffs[0].zone if tariffs else settings.timezone,
        tariffs,
        electricity.schedule if tariffs and electricity is not None else None,
        settings.commitments,
        next(each for each in ATTRIBUTIONS if each == attribution),
        base_kw,
        RealClock().utc_ns(),
        tuple(fault for fault in loaded.faults if any(name in fault for name in _MISSING_WITH)),
    )


#: Where a bill begins and ends: both dates, or the first of a month and None.
Given = tuple[date, date | None]


def _given(args: argparse.Namespace) -> Given | None:
    """What was asked for on the command line. Raises UsageError."""
    if args.month is not None:
        if args.first is not None or args.end is not None:
            raise UsageError("--month and --from/--to each name a period", "leave one of them out")
        return _date("--month", f"{args.month}-01", "2026-11"), None
    if (args.first is None) != (args.end is None):
        raise UsageError("a period has a first day and an end", "--from 2026-10-14 --to 2026-11-13")
    if args.first is None:
        return None
    if args.billing_day is not None:
        raise UsageError("--billing-day is for months, and --from and --to name the days", "leave one of them out")
    first, end = _date("--from", args.first, "2026-10-14"), _date("--to", args.end, "2026-11-13")
    if end <= first:
        raise UsageError(f"--to {end} is not after --from {first}", "--to is the day after the last")
    if (end - first).days > _LONGEST_DAYS:
        raise UsageError(f"{first} to {end} is more than one bill", f"at most {_LONGEST_DAYS} days, or --month")
    return first, end


def _date(flag: str, text: str, example: str) -> date:
    from costmeter.config.day import day

    found = day(text)
    if found is None:
        shown = text.removesuffix("-01") if flag == "--month" else text
        raise UsageError(f'{flag}: "{shown}" is no date like {example}', f"{flag} {example}")
    return found


def _whole(text: str | None) -> int:
    if text is None:
        return 1
    if text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= 28:
        return int(text)
    raise UsageError(f'--billing-day: "{text}" is no day that every month has', "a whole number from 1 to 28")


def _kilowatts(text: str | None) -> Decimal:
    from costmeter.config.number import decimal

    value = decimal(text or "0")
    if value is None or value < 0:
        raise UsageError(f'--base-kw: "{text}" is no power', "--base-kw 40 for a site that always uses 40 kW")
    return value


def _periods(
    given: Given | None, billing_day: int, terms: "Terms"
) -> tuple["Period | None", "Callable[[int], Period | None]"]:
    """The one period asked for, if any, and the period of an instant."""
    from costmeter.meter.period import Period, billing_month, local_date

    asked: Period | None = None
    if given is not None:
        first, end = given
        asked = billing_month(first.replace(day=billing_day), billing_day, terms.zone)
        if end is not None:
            asked = Period(first, end, terms.zone)
        start_ns, end_ns = asked.start_utc_ns, asked.end_utc_ns
        return asked, lambda utc_ns: asked if start_ns <= utc_ns < end_ns else None
    latest: list[tuple[int, int, Period]] = []

    def month_of(utc_ns: int) -> Period:
        if not latest or not latest[0][0] <= utc_ns < latest[0][1]:
            month = billing_month(local_date(utc_ns, terms.zone), billing_day, terms.zone)
            latest[:] = [(month.start_utc_ns, month.end_utc_ns, month)]
        return latest[0][2]

    return None, month_of


def _between(uses: "Mapping[Key, object]", period_of: "Callable[[int], Period | None]") -> "Sequence[Period]":
    """Every month from the first in which something ran to the last."""
    ordered = sorted((key[0] for key in uses), key=lambda period: period.first)
    months = ordered[:1]
    while months and months[-1] != ordered[-1]:
        following = period_of(months[-1].end_utc_ns)
        assert following is not None  # every instant has its month
        months.append(following)
    return months
