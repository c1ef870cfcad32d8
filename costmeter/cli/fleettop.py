"""`costmeter top --from prometheus=URL`: the fleet that a Prometheus scrapes, once or again and again."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from costmeter.feeds.promfleet import Fleet
    from costmeter.outputs.style import Style
    from costmeter.outputs.top import View

#: A Prometheus learns something new every scrape, which is 15 s or more: it is asked no more often than this.
_LEAST_SECONDS = 5.0
_LESS = "try again, or ask a Prometheus of fewer nodes"


def run(args: argparse.Namespace, seconds: float) -> int:
    """Print or keep showing; 0. Raises CostmeterError where nobody answers."""
    from costmeter.cli.metricreport import PREFIX
    from costmeter.cli.printing import to_json
    from costmeter.cli.top import shown
    from costmeter.feeds.promapi import Prometheus
    from costmeter.feeds.promfleet import fleets
    from costmeter.outputs.fleettop import document

    address = args.url.removeprefix(PREFIX)

    def look() -> "list[Fleet]":
        # One deadline holds for all questions of one look, so each look has a server of its own.
        return fleets(Prometheus(address, dict(os.environ), args.ca, less=_LESS))

    found = look()
    if args.json:
        sys.stdout.write(to_json(document(found, Prometheus(address, {}, args.ca).where)))
        return 0
    return shown(look, found, None if args.once else max(seconds, _LEAST_SECONDS), screen)


def screen(found: "list[Fleet]", style: "Style", view: "View") -> list[str]:
    """The lines of one look: one fleet below the other where there are several currencies."""
    from costmeter.outputs.fleettop import fleet

    lines: list[str] = []
    for each in found:
        lines += [*([""] if lines else []), *fleet(each, style, view)]
    return lines
