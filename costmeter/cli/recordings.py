"""`costmeter run --record FILE` and `--replay FILE`: what the driver said, kept, and metered again without it."""

import argparse
import os
import shlex
import sys

from costmeter.cli.lines import say, warn
from costmeter.config import flags
from costmeter.errors import JournalError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from costmeter.ledger.record import Header
    from costmeter.runtime.assembly import Result

#: What a replay takes beside its file. Everything else was decided when the recording was made.
_TAKEN = ("replay", "price", "json", "config", "strict", "quiet", "command")


def check(path: str) -> None:
    """Refuse a recording that has no place, before the start: it never takes that of another file."""
    if not os.path.basename(path):
        raise UsageError(f'--record "{path}": no such folder or no file name', "--record run.jsonl.gz")
    if not os.path.isdir(where := os.path.dirname(path) or "."):
        raise UsageError(f'--record "{path}": no such folder', f"mkdir -p {shlex.quote(where)}")
    if os.path.lexists(path):
        raise UsageError(f'--record "{path}": exists, and is never overwritten; move it away or name another file')


def check_alone(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse with --replay what means nothing to it: a command, and the options that say how one is metered."""
    if args.command:
        raise UsageError("--replay meters a recording and starts no command: leave out the command")
    for name, given in vars(args).items():
        if name not in _TAKEN and given != parser.get_default(name):
            taken = ", ".join(f"--{name}" for name in _TAKEN[1:-1])
            raise UsageError(f"--{name.replace('_', '-')} cannot be given with --replay, which takes {taken}")
    if args.json is not None and not os.path.isdir(os.path.dirname(args.json) or "."):
        raise UsageError(f'--json "{args.json}": no such folder')


def replay(args: argparse.Namespace, environ: dict[str, str]) -> int:
    """Meter a recording again under the prices configured now, and print its receipt. Exit code 0 when that worked."""
    price = {} if args.price is None else {"gpu.price": flags.parse_price(args.price)}
    from pathlib import Path

    from costmeter.cli import folder
    from costmeter.config.layers import load_settings
    from costmeter.runtime.recording import Recording
    from costmeter.runtime.replay import replay as metered_again

    loaded = load_settings(args.config, price, environ, folder.current(), args.strict)
    for fault in loaded.faults:
        warn(fault)
    try:
        recording = Recording(Path(args.replay))
        if not args.quiet:
            say(_what(args.replay, recording.beginning.header))
        result = metered_again(recording, loaded.settings)
    except JournalError as refusal:
        raise UsageError(f"--replay {refusal.message}", refusal.hint) from refusal
    for problem in recording.problems:
        warn(problem)
    _print(args, environ, result, loaded.faults)
    return 0


def _what(path: str, header: "Header") -> str:
    from costmeter.outputs.receipt import timestamp

    began = timestamp(header.anchor.utc(header.start_ns))
    simulated = ", with simulated GPUs" if header.simulated else ""
    return f"replay of {path}, recorded on {header.host} at {began}{simulated}; prices as configured here and now"


def _print(args: argparse.Namespace, environ: dict[str, str], result: "Result", faults: tuple[str, ...]) -> None:
    from costmeter.cli.printing import style, write_json
    from costmeter.outputs.terminal import render
    from costmeter.runtime import child

    if not args.quiet:
        shown = style(sys.stderr, environ)
        sys.stderr.write("\n" + render(result.receipt, shown, result.unsaved, (*faults, *result.warnings)))
    if args.json is not None:
        write_json(args.json, result.receipt, warn, child.descriptor_named(args.json))
