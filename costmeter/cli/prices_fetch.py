"""`costmeter prices fetch`: a feed into a dated CSV file."""

import argparse
import os
import signal
import sys
from decimal import Decimal, InvalidOperation

from costmeter.cli import folder, wholefile
from costmeter.cli.lines import warn, write_data
from costmeter.clock import RealClock
from costmeter.config.seriesfile import MAX_SERIES_BYTES
from costmeter.errors import CostmeterError, UsageError
from costmeter.feeds import series_csv
from costmeter.feeds.directory import FEEDS, Feed
from costmeter.feeds.http import Door, shown_url
from costmeter.feeds.payload import instant_ns
from costmeter.feeds.series import Answer, Asked
from costmeter.units import NANOSECONDS_PER_HOUR, NANOSECONDS_PER_MINUTE, iso_minute

_DAY_NS = 24 * NANOSECONDS_PER_HOUR
_TO_STDOUT = "-"
_LONGEST_NS = 3 * 366 * _DAY_NS
#: A price from so far ahead was not published yesterday: it may have been withdrawn since.
_FAR_AHEAD_NS = 3 * _DAY_NS


def run(args: argparse.Namespace) -> int:
    """Fetch, merge, write; 1 when something is missing. Raises CostmeterError when nothing came or can be written."""
    _end_in_order()
    feed = _feed(args.feed)
    if not args.output:
        raise UsageError("-o names no file", "-o prices.csv, or -o - for stdout")
    words = feed.complete(tuple(args.words))
    asked = _asked(args, feed, words)
    identity = " ".join([feed.name, *words])
    shown = os.path.relpath(args.output, folder.current()) if args.output != _TO_STDOUT else "stdout"
    answer = feed.fetch(Door(), asked)
    _write(args.output, shown, identity, answer, asked.now_utc_ns)
    for remark in answer.remarks:
        print(remark, file=sys.stderr)
    for missing in answer.missing:
        warn(missing)
    return int(bool(answer.missing))


def _end_in_order() -> None:
    """SIGTERM and SIGHUP end us as an error does: an unfinished file is taken away. What nohup set stays so."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _feed(name: str) -> Feed:
    if name not in FEEDS:
        from costmeter.config.faults import suggestion

        raise UsageError(f'no feed "{name}"{suggestion(name, FEEDS)}', "costmeter prices fetch --help")
    return FEEDS[name]


def _asked(args: argparse.Namespace, feed: Feed, words: tuple[str, ...]) -> Asked:
    now_ns = RealClock().utc_ns()
    dated = args.start is not None or args.end is not None
    if dated and not feed.is_dated:
        raise UsageError(f"{feed.name} gives what is known now; it takes neither --from nor --to", feed.usage)
    today_ns = now_ns // _DAY_NS * _DAY_NS
    # Yesterday, for what came late; today; and tomorrow, whose prices are published this afternoon.
    start_ns = today_ns - _DAY_NS if args.start is None else _instant("--from", args.start)
    end_ns = max(today_ns, start_ns) + 2 * _DAY_NS if args.end is None else _instant("--to", args.end)
    if not start_ns < end_ns <= start_ns + _LONGEST_NS:
        raise UsageError("--from must lie before --to, by three years at most", "--from 2026-11-22 --to 2026-11-23")
    base = (args.url or feed.base.format(*words, *[""])).rstrip("/")
    token = os.environ.get(feed.token_variable, "") if feed.token_variable else ""
    if token and not base.startswith("https://") and not _is_loopback(base):
        raise UsageError(f"the key of {feed.name} is not sent to {shown_url(base)} in the clear", "--url https://…")
    return Asked(words, base, start_ns, end_ns, now_ns, dated, token, _gpus(args.gpus, feed, words))


def _instant(flag: str, text: str) -> int:
    """A day, which begins at midnight UTC, or an instant with its offset; whole minutes."""
    try:
        found = instant_ns(f"{text}T00:00Z" if len(text) == len("2026-11-22") else text)
    except (ValueError, OverflowError):
        found = 1
    if found % NANOSECONDS_PER_MINUTE or found < 0:
        raise UsageError(f'{flag} "{text}": expected a day or an instant with offset', f"{flag} 2026-11-22T14:00Z")
    return found


def _is_loopback(base: str) -> bool:
    return base.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:"))


def _gpus(given: str | None, feed: Feed, words: tuple[str, ...]) -> Decimal | None:
    """How many GPUs share an instance's price: the flag, else the catalogue's row of the instance."""
    if given is not None:
        try:
            count = Decimal(given)
        except InvalidOperation:
            count = Decimal(0)
        if not count.is_finite() or not 0 < count <= 1024:
            raise UsageError(f'--gpus "{given}": expected a number of GPUs', "--gpus 8")
        return count
    if feed.name != "azure":
        return None
    from costmeter.rates.catalog import offers

    rows = [offer for offer in offers() if (offer.provider, offer.instance) == ("azure", words[0])]
    return rows[0].gpus if rows else None


def _write(path: str, shown: str, identity: str, answer: Answer, now_ns: int) -> None:
    """Merge into the file and say what changed; to stdout the CSV goes alone. Raises CostmeterError."""
    if path == _TO_STDOUT:
        write_data(series_csv.text(answer.rows, answer, identity, now_ns))
        return
    with wholefile.alone(path, shown):
        merged = series_csv.merge(series_csv.read(path, identity, answer.unit, shown), answer.rows)
        text = series_csv.text(merged.rows, answer, identity, now_ns)
        _check_size(text, shown)
        wholefile.write(path, text, shown)
    last_ns = merged.rows[-1].end_utc_ns
    until = iso_minute(last_ns) if last_ns is not None else "further notice"
    counts = f"{merged.added} new, {merged.replaced} replaced, {merged.kept} kept"
    print(f"{shown}: {len(merged.rows)} values ({counts}), {iso_minute(merged.rows[0].start_utc_ns)} to {until}")
    came = {row.start_utc_ns for row in answer.rows}
    ahead = [row for row in merged.rows if row.start_utc_ns > now_ns + _FAR_AHEAD_NS and row.start_utc_ns not in came]
    if ahead:
        told = f"{len(ahead)} of the kept values lie ahead, from {iso_minute(ahead[0].start_utc_ns)} on"
        warn(f"{shown}: {told}; fetch them again with --to, lest they changed")


def _check_size(text: str, shown: str) -> None:
    """Raises CostmeterError for a file that nothing could read again."""
    size = len(text.encode("utf-8"))
    if size > MAX_SERIES_BYTES:
        message = f"{shown} would be {size:,} bytes, and more than {MAX_SERIES_BYTES:,} are not read"
        raise CostmeterError(f"{message}; it was left as it is", "start another file with -o")
