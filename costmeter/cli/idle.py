"""`costmeter idle`: who holds idle GPUs, why, what it costs, and what to type, from an agent's page."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from costmeter.cli.asking import own_agent, understood
from costmeter.errors import CostmeterError, UsageError

if TYPE_CHECKING:
    from costmeter.outputs.idle import Idle, Reader

_EPILOG = """\
examples:
  costmeter idle                      what is idle on this node, why, and what frees it
  costmeter idle --all                with short stalls, start-up, evaluation, checkpoints, and what nobody holds
  costmeter idle --from gpu02:26786   another node's
  costmeter idle --json | jq .per_hour
  costmeter idle --exit-code || echo "money burns"

It asks the agent of this node, wherever that serves. docs/idle.md says what each reason means.

exit codes: 0, 1 nobody to ask; with --exit-code also 1 where money burns, with or without --all.
"""
_START = "start one: costmeter agent.  One elsewhere: costmeter idle --from http://gpu02:26786"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter idle`."""
    parser.description = "Show who holds idle GPUs, why, what that costs, and what to type."
    parser.epilog = _EPILOG
    parser.add_argument("--all", action="store_true", help="short stalls as well, and GPUs that nobody holds")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--exit-code", action="store_true", help="end with 1 where the first line tells of money")
    parser.add_argument("--from", dest="url", metavar="URL", help="the agent to ask (default this node's)")
    parser.add_argument("--ca", metavar="FILE", help="certificates that an https:// agent is believed by")


def run(args: argparse.Namespace) -> int:
    """Print what is idle; 0, or 1 where that is asked for. Raises CostmeterError where there is nobody to ask."""
    if args.ca is not None and not (args.url or "").startswith("https://"):
        raise UsageError("--ca is for an agent at https://", "--from https://gpu02:26786 --ca authority.pem")
    node = _node(args.url, args.ca)
    with understood():
        has_any, text = _shown(node, args)
    sys.stdout.write(text)
    return 1 if args.exit_code and has_any else 0


def _shown(node: dict[str, Any], args: argparse.Namespace) -> tuple[bool, str]:
    """Whether anything burns money in earnest, and all of it as text."""
    from costmeter.cli.printing import style, to_json
    from costmeter.outputs.idle import as_json, idle
    from costmeter.outputs.idletext import idle_lines

    found: Idle = idle(node, args.all)
    reader = _reader(node)
    if args.json:
        return bool(found.news), to_json(as_json(found, reader))
    lines = idle_lines(found, style(sys.stdout, dict(os.environ)), reader, args.all)
    return bool(found.news), "\n".join(lines) + "\n"


def _reader(node: dict[str, Any]) -> "Reader":
    """Who asks: a user of the node itself may end what is his."""
    from costmeter.ledger.identity import host_name
    from costmeter.outputs.idle import Reader

    is_here = node["host"] == host_name() and not node["simulated"]
    return Reader(os.getuid() if is_here else None)


def _node(url: str | None, trusted: str | None) -> dict[str, Any]:
    """What the agent says: the one that was named, or the one of this node."""
    from costmeter.feeds.agent import Absent, Agent

    if url is not None:
        return Agent(url, trusted).node()
    try:
        return own_agent()[1]
    except Absent as absence:
        raise CostmeterError(absence.message, _START) from None
