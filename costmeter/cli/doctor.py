"""`costmeter doctor`: one line per check, ok, warn or fail, each with what to type. Exit code 1 when one fails."""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable

from costmeter.cli import folder
from costmeter.cli.run import SCENARIOS, check_scenario

#: What to type to learn more. It mends nothing.
_ONLY_SHOWS = "sudo dmesg"
#: Under the text of a finding, behind its verdict.
_INDENT = " " * 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter doctor`."""
    parser.description = "Check what metered runs and the agent need: driver, permissions, prices, clock, state."
    parser.epilog = "exit codes: 0 when nothing fails (warnings may remain), 1 when something does."
    parser.add_argument("--simulate", metavar="SCENARIO", help="look at simulated GPUs instead of the driver")
    parser.add_argument("--config", metavar="FILE", help="read settings from this file")


def run(args: argparse.Namespace) -> int:
    """Print every finding as it is found; 1 when one of them is a failure."""
    from costmeter.config.layers import load_settings
    from costmeter.runtime.checkup import examine
    from costmeter.runtime.finding import Finding

    environ = dict(os.environ)
    if args.simulate is not None and args.simulate not in SCENARIOS:
        check_scenario(args.simulate)
    show = _page(environ)
    loaded = load_settings(args.config, {}, environ, folder.current(), strict=False)
    failed = False
    for finding in (Finding("warn", fault, "costmeter config check") for fault in loaded.faults):
        show(finding.verdict, finding.text, finding.fix)
    for finding in examine(loaded.settings, environ, args.simulate or environ.get("COSTMETER_SIMULATE") or None):
        show(finding.verdict, finding.text, finding.fix)
        failed = failed or finding.verdict == "fail"
    show("ok", *_terminal(environ))
    return int(failed)


def _page(environ: dict[str, str]) -> Callable[[str, str, str], None]:
    """How findings are printed: wrapped on a terminal, a line each elsewhere."""
    from costmeter.cli.printing import style

    width = style(sys.stdout, environ).width if sys.stdout.isatty() else None

    def show(verdict: str, text: str, fix: str) -> None:
        line = _line(verdict, text, fix)
        if width is not None:
            line = textwrap.fill(line, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        print(line, flush=True)

    return show


def _terminal(environ: dict[str, str]) -> tuple[str, str]:
    """How a receipt will look here."""
    from costmeter.cli.printing import style
    from costmeter.outputs.style import MINIMUM_WIDTH

    shown = style(sys.stdout, environ)
    width = max(shown.width, MINIMUM_WIDTH)
    text = f"receipts are {width} columns wide, {'in UTF-8' if shown.unicode else 'in plain ASCII'}"
    return text, "" if shown.unicode else "export LANG=C.UTF-8"


def _line(verdict: str, text: str, fix: str) -> str:
    word = "Look" if fix.startswith(_ONLY_SHOWS) else "Fix"
    return f"{verdict:<5} {text}." + (f" {word}: {fix}" if fix else "")
