"""`costmeter top`: who holds which GPU now, and what it costs, from an agent's page; without one, from own journals."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmeter.cli.asking import own_agent, understood
from costmeter.cli.metricreport import PREFIX
from costmeter.errors import CostmeterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from costmeter.cli.toplive import Draw
    from costmeter.feeds.agent import Agent
    from costmeter.outputs.style import Style
    from costmeter.outputs.top import View

    Nodes = Callable[[], list[dict[str, Any]]]

AGENT = "http://127.0.0.1:26786"
_EPILOG = f"""\
examples:
  costmeter top                                 this node's GPUs and runs, renewed every 2 s
  costmeter top --once                          once, for a log or a watch
  costmeter top --from gpu02:26786              another node's
  costmeter top --from https://ops:PASSWORD@gpu02:26786 --ca authority.pem
  costmeter top --json | jq .now                as data: docs/top.md
  costmeter top --from prometheus=http://prometheus:9090      all nodes that it scrapes

keys: q quit, s sort by GPU, cost or idleness, i what is idle alone

It asks the agent of this node, wherever that serves ({AGENT} by default). Where there
is none it shows the runs that this user meters without one, from their journals.
"""
_START = "start one: costmeter agent.  One elsewhere: costmeter top --from http://gpu02:26786"
_LEAST_SECONDS, _MOST_SECONDS = 0.2, 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter top`."""
    parser.description = "Show who holds which GPU now, what that costs, and what is idle."
    parser.epilog = _EPILOG
    parser.add_argument("--once", action="store_true", help="print it once, and end; as into a file or a pipe")
    parser.add_argument("--json", action="store_true", help="print the agent's JSON once, and end")
    parser.add_argument("--from", dest="url", metavar="URL", help="the agent to ask, or prometheus=URL")
    parser.add_argument("--ca", metavar="FILE", help="certificates that an https:// agent is believed by")
    parser.add_argument("--interval", default="2", metavar="SECONDS", help="time between two looks (default 2)")


def run(args: argparse.Namespace) -> int:
    """Print or keep showing; 0. Raises CostmeterError where there is nobody to ask."""
    seconds = _seconds(args.interval)
    if args.ca is not None and not (args.url or "").removeprefix(PREFIX).startswith("https://"):
        raise UsageError("--ca is for an agent at https://", "--from https://gpu02:26786 --ca authority.pem")
    if (args.url or "").startswith(PREFIX):
        from costmeter.cli import fleettop

        return fleettop.run(args, seconds)
    look = _looking(args)
    nodes = look()
    if args.json:
        from costmeter.cli.printing import to_json

        if nodes[0]["health"] is None:
            raise CostmeterError("no agent answers here, and only it has this JSON", _START)
        sys.stdout.write(to_json(nodes[0]))
        return 0
    return shown(look, nodes, None if args.once else seconds, screen)


def shown(look: "Callable[[], list[Any]]", found: list[Any], seconds: float | None, draw: "Draw") -> int:
    """Print what was found; or show it, and what `look` finds so often, on a terminal that can. 0."""
    if seconds is None or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        from costmeter.outputs.top import View

        sys.stdout.write("\n".join(draw(found, _style(), View())) + "\n")
        return 0
    from costmeter.cli.toplive import show

    return show(look, found, seconds, _style, draw)


def screen(nodes: "list[dict[str, Any]]", style: "Style", view: "View") -> list[str]:
    """The lines of one look. Raises CostmeterError where an agent said what no agent of ours says."""
    from costmeter.outputs.top import top

    lines: list[str] = []
    with understood():
        for node in nodes:
            lines += [*([""] if lines else []), *top(node, style, view)]
    return lines


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise UsageError(f'--interval "{text}": expected seconds between {_LEAST_SECONDS} and 3600, such as 2')
    return seconds


def _style() -> "Style":
    """What stdout can show; a wide terminal has room for long names."""
    from costmeter.cli.printing import style

    return style(sys.stdout, dict(os.environ), widest=None)


def _looking(args: argparse.Namespace) -> "Nodes":
    """What to ask again and again: the agent that was named, or the one of this node, or else the journals."""
    from costmeter.feeds.agent import Absent, Agent

    if args.url is not None:
        return partial(_one, Agent(args.url, args.ca))
    try:
        return partial(_one, own_agent()[0])
    except Absent as absence:
        return _own_runs(absence)


def _one(agent: "Agent") -> list[dict[str, Any]]:
    return [agent.node()]


def _own_runs(absence: CostmeterError) -> "Nodes":
    """The runs that this user meters without an agent. Raises CostmeterError where there are none."""
    from costmeter.clock import RealClock
    from costmeter.ledger.journal import state_directory
    from costmeter.ledger.liveruns import LiveRuns
    from costmeter.outputs.topruns import nodes_of

    clock, runs = RealClock(), LiveRuns(Path(state_directory(dict(os.environ))))

    def look() -> list[dict[str, Any]]:
        nodes = nodes_of(runs.now(), clock.utc_ns())
        if not nodes:
            raise CostmeterError(f"{absence.message}, and no run of yours goes on here", _START)
        return nodes

    return look
