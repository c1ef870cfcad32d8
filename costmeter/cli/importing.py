"""`costmeter import FILE`: a log of nvidia-smi made into a recorded run, priced as if it had been metered."""

import argparse
import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from costmeter.cli.lines import say, warn
from costmeter.config import flags
from costmeter.errors import JournalError, UsageError
from costmeter.ledger.identity import is_fit_id

if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.ledger.query import Part
    from costmeter.runtime.imported import Asked, Heard
    from costmeter.sources.smicsv import Reader

_FIELDS = "timestamp,index,uuid,name,pci.bus_id,power.draw,utilization.gpu,power.limit,memory.used"
_LOG = f"nvidia-smi --query-gpu={_FIELDS} --format=csv -l 1 > gpus.csv"
_EPILOG = f"""\
Such a log is written by
  fields={_FIELDS}
  nvidia-smi --query-gpu=$fields --format=csv -l 1 > gpus.csv
Its times are local and carry no zone: name the zone of the machine, --timezone Europe/Berlin.

examples:
  costmeter import gpus.csv --timezone UTC --price 2.49 --name pretrain
  costmeter import gpus.csv --from "2026-11-22T14:00" --to "2026-11-22T18:00" --dry-run
"""
_CHUNK_BYTES = 2**20
#: What stands before the first letter of some files, and again where such files were joined: the byte order mark.
_MARK = "\ufeff"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter import`."""
    parser.description = "Make a recorded run from a CSV log of nvidia-smi, and price it."
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the log; .gz is read too")
    parser.add_argument("--timezone", metavar="ZONE", help="where its times are local; default the settings' zone")
    parser.add_argument("--columns", metavar="LIST", help="for a log without a header: what --query-gpu was given")
    parser.add_argument("--name", metavar="N", help="name of the run; default the file's")
    parser.add_argument("--label", metavar="K=V", action="append", default=[], help="a label for reports; repeatable")
    parser.add_argument("--host", metavar="HOST", help="the machine the log is of, which it does not say")
    parser.add_argument("--price", metavar="P", help="price per GPU-hour, such as 2.49")
    parser.add_argument("-c", "--config", metavar="FILE", help="read settings from this file")
    parser.add_argument("--run-id", metavar="ID", help="id of the run; default one made of the file's content")
    parser.add_argument("--from", dest="start", metavar="TIME", help="leave out what was before")
    parser.add_argument("--to", dest="end", metavar="TIME", help="leave out what was after")
    parser.add_argument("--dry-run", action="store_true", help="print the receipt, record nothing")
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")


def run(args: argparse.Namespace) -> int:
    """Record the run and print its receipt; 1 where the log says nothing usable."""
    price = {} if args.price is None else {"gpu.price": flags.parse_price(args.price)}
    labels = dict(flags.parse_label(text) for text in args.label)
    if args.run_id is not None and not is_fit_id(args.run_id):
        raise UsageError(f'--run-id "{args.run_id}": expected up to 64 letters, digits, dots, dashes, underscores')
    path = Path(args.file)
    _look(path)
    from costmeter.cli import folder
    from costmeter.clock import RealClock
    from costmeter.config.layers import load_settings
    from costmeter.ledger.journal import state_directory
    from costmeter.runtime.imported import NO_HOST, Asked
    from costmeter.sources.smicsv import Reader

    environ = dict(os.environ)
    loaded = load_settings(args.config, price, environ, folder.current(), strict=False)
    zone = _zone(args.timezone, loaded)
    start, end = (_instant(text, flag, zone) for text, flag in ((args.start, "--from"), (args.end, "--to")))
    columns = _columns(args.columns)
    for fault in loaded.faults:
        warn(fault)
    run_id = args.run_id or _content_id(path, (args.start, args.end))
    state = state_directory(environ)
    if not args.dry_run and (state / "runs" / run_id).exists():
        known = "is recorded already" if args.run_id else "is imported already"
        raise JournalError(f"{args.file}: run {run_id} {known}", f"costmeter report {run_id}; or name it: --run-id ID")
    name, now_utc_ns = args.name or path.name.partition(".")[0], RealClock().utc_ns()
    asked = Asked(run_id, name, labels, args.host or NO_HOST, start, end, now_utc_ns)
    part = _import(path, asked, loaded, Reader(columns or _header(path), zone), None if args.dry_run else state)
    _print(args, environ, part, run_id)
    _tell_of_others(state, part)
    return 0


def _import(path: Path, asked: "Asked", loaded: "Loaded", reader: "Reader", state: Path | None) -> "Part":
    """The metered run; saved under a state directory where there is one, whole or not at all."""
    from costmeter.runtime.imported import Heard, NoLength
    from costmeter.sources.smicsv import NotThisFormat

    heard = Heard()
    try:
        part = _metered(path, asked, loaded, (reader, heard), state)
    except NotThisFormat as other:
        raise JournalError(f"{path}: {other}", _LOG) from None
    except NoLength as refusal:
        _tell(path, heard, reader)
        why = refusal.message if reader.has_columns else "no header with a timestamp; see --columns"
        raise JournalError(f"{path}: {why}", _LOG) from None
    except JournalError as refusal:
        raise JournalError(f"{path}: {refusal.message}", refusal.hint) from None
    _tell(path, heard, reader)
    return part


def _metered(
    path: Path, asked: "Asked", loaded: "Loaded", reading: "tuple[Reader, Heard]", state: Path | None
) -> "Part":
    from costmeter.ledger.journal import JournalFile
    from costmeter.runtime.imported import folder_for, meter, ticks

    reader, heard = reading
    passes = ticks(_lines(path), reader, asked, heard)
    if state is None:
        return meter(passes, asked, loaded.settings, None)
    making = folder_for(state, f"{asked.run_id}.{os.getpid()}")
    try:
        journal = JournalFile(making, asked.host)
        part = meter(passes, asked, loaded.settings, journal)
        journal.close(finished=True)
        (state / "runs").mkdir(parents=True, exist_ok=True, mode=0o700)
        os.rename(making, state / "runs" / asked.run_id)
    except OSError as refusal:
        why = f"not recorded: {refusal.filename or making}: {refusal.strerror}"
        raise JournalError(why, "costmeter import --dry-run prints the receipt all the same") from refusal
    finally:  # after Ctrl-C too: no half of a run is left, nor an empty folder
        _clear(making)
    return part


def _clear(making: Path) -> None:
    with contextlib.suppress(OSError):
        for left in making.glob("*"):
            left.unlink()
        if making.exists():
            making.rmdir()
        making.parent.rmdir()


def _tell(path: Path, heard: "Heard", reader: "Reader") -> None:
    """Lines that were not used, the first of them by number, and those that cannot be true."""
    for told in heard.first_bad:
        warn(f"{path}: {told}")
    if heard.bad > len(heard.first_bad):
        warn(f"{path}: {heard.bad:,} such lines in all; {heard.used:,} were used")
    if heard.went_back > heard.used // 10:
        warn(f"the log goes back in time: is it several logs in one? Sort it:  {_sorting(path, reader)}")
    if heard.yet_to_come:
        more = f"; {heard.yet_to_come:,} such lines in all" if heard.yet_to_come > 1 else ""
        warn(f"{path}: {heard.first_to_come}{more}. Was that clock right?")


def _sorting(path: Path, reader: "Reader") -> str:
    """The command that puts a log in order: a header, where there is one, becomes the first line."""
    import shlex

    file, key = shlex.quote(str(path)), f"sort -s -t, -k{reader.time_place},{reader.time_place}"
    is_packed = path.suffix.casefold() == ".gz"
    if _encoding(path) == "utf-16":  # for grep a file without lines
        plain = f"zcat {file} | iconv -f UTF-16 -t UTF-8" if is_packed else f"iconv -f UTF-16 -t UTF-8 {file}"
        return f"{plain} > plain.csv; (grep -m1 timestamp plain.csv; grep -v timestamp plain.csv | {key}) > sorted.csv"
    grep = "zgrep" if is_packed else "grep"
    return f"({grep} -m1 timestamp {file}; {grep} -v timestamp {file} | {key}) > sorted.csv"


def _tell_of_others(state: Path, part: "Part") -> None:
    """Runs whose spans overlap with this one's: their sum is too much."""
    import shlex

    from costmeter.runtime.countedtwice import counted_twice

    for place in counted_twice(state, part):
        warn(
            f"run {place.name}, imported before, has the same GPUs at the same time: reports count both. "
            f"Leave one out:  rm -r {shlex.quote(str(place))}"
        )


def _header(path: Path) -> Mapping[str, int] | None:
    """What stands where by the first header of a log, which a log that was sorted has at its end."""
    from costmeter.sources.smicsv import columns

    try:
        named = (columns(line) for line in _lines(path) if line is not None and "timestamp" in line)
        return next((found for found in named if found), None)
    except JournalError as refusal:
        raise JournalError(f"{path}: {refusal.message}", refusal.hint) from None


def _lines(path: Path) -> Iterator[str | None]:
    """The lines of a log, None for one that is too long to be any. Raises JournalError for a file nobody can read."""
    from costmeter.runtime.imported import LONGEST_LINE_CHARACTERS

    try:
        with _opened(path) as file, io.TextIOWrapper(file, _encoding(path), "replace", newline="\n") as text:
            while line := text.readline(LONGEST_LINE_CHARACTERS):
                if len(line) < LONGEST_LINE_CHARACTERS or line.endswith("\n"):
                    yield line.removeprefix(_MARK)
                    continue
                while (more := text.readline(_CHUNK_BYTES)) and not more.endswith("\n"):
                    pass
                yield None
    except (OSError, EOFError) as refusal:
        raise JournalError(f"cannot be read: {getattr(refusal, 'strerror', None) or refusal}") from refusal


def _encoding(path: Path) -> str:
    """UTF-16 where the file says so, as one that the `>` of Windows PowerShell wrote does; else UTF-8."""
    with _opened(path) as file:
        is_wide = file.read(len(codecs.BOM_UTF16)) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if is_wide else "utf-8"


def _look(path: Path) -> None:
    """Refuse a file that is not there before anything is said of what is in it."""
    try:
        _opened(path).close()
    except OSError as refusal:
        raise JournalError(f"{path}: cannot be read: {refusal.strerror}") from refusal
    except JournalError as refusal:
        raise JournalError(f"{path}: {refusal.message}", _LOG) from None


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise JournalError("no such file" if not path.exists() else "not a file")
    if path.suffix.casefold() == ".gz":
        import gzip

        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _content_id(path: Path, span: tuple[str | None, str | None]) -> str:
    """An id made of what is in the file and which of it is taken: the same again for the same log."""
    import hashlib

    digest = hashlib.sha256(repr(span).encode())
    try:
        with _opened(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, EOFError) as refusal:
        raise JournalError(f"{path}: cannot be read: {getattr(refusal, 'strerror', None) or refusal}") from refusal
    return f"import-{digest.hexdigest()[:12]}"


def _zone(text: str | None, loaded: "Loaded") -> tzinfo | None:
    from costmeter.config.zones import nearest, zone

    if text is None:
        named = loaded.settings.timezone
        say(f"times of the log are taken as {named or 'this machine'}'s local time; another: --timezone ZONE")
        return named
    found = zone(text)
    if found is None:
        raise UsageError(f'--timezone "{text}": no such zone{nearest(text) or ". Write one such as Europe/Berlin"}')
    return found


def _instant(text: str | None, flag: str, zone: tzinfo | None) -> int | None:
    """A day and a time, as people write them or as the log does: a time alone would be of no day."""
    if text is None:
        return None
    from costmeter.planning.inputs import instant

    day = text.strip().replace("/", "-")
    if not day[:4].isdecimal():
        raise UsageError(f'{flag} "{text}": expected a day and a time such as 2026-11-22T14:00')
    return instant(day, 0, zone, flag)


def _columns(text: str | None) -> Mapping[str, int] | None:
    if text is None:
        return None
    from costmeter.sources.smicsv import QUERY, columns, unmet

    found = columns(text)
    lack = "it has no timestamp" if found is None else unmet(found)
    if lack:
        raise UsageError(f'--columns "{text}": {lack}', f"--columns {QUERY}")
    return found


def _print(args: argparse.Namespace, environ: Mapping[str, str], part: "Part", run_id: str) -> None:
    from costmeter.cli.printing import style, to_json
    from costmeter.ledger.query import Run
    from costmeter.outputs.receipt import receipt
    from costmeter.outputs.terminal import render

    made = receipt(Run((part,)))
    if args.json:
        sys.stdout.write(to_json(made))
    else:
        sys.stdout.write(render(made, style(sys.stdout, environ)))
    say(f"a dry run: {run_id} is not recorded" if args.dry_run else f"recorded as {run_id}: costmeter what-if {run_id}")
