"""`costmeter prices detect`: where this machine is, and the settings that say so."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from costmeter.cli.lines import warn
from costmeter.errors import CostmeterError

if TYPE_CHECKING:
    from costmeter.feeds.detect import Detected

_WHAT = ("provider", "instance", "region", "kind")


def run(args: argparse.Namespace) -> int:
    """Print what was found and its settings, and write them where asked; 1 when there are none."""
    from costmeter.feeds.detect import detect

    found = detect(os.environ)
    for step in found.how:
        print(f"# {step}")
    for name in _WHAT:
        if getattr(found, name):
            print(f"# {name}: {getattr(found, name)}")
    lines, remarks = _settings(found)
    for remark in remarks:
        warn(remark)
    if not lines:
        print("nothing to configure is known here. By hand: gpu: {price: 2.49}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    if args.write is not None:
        _write(args.write, lines)
        print(f"# written to {args.write}")
    return 0


def _settings(found: "Detected") -> tuple[list[str], list[str]]:
    """Lines of a settings file that the bundled tables know how to price, and what they do not know."""
    from costmeter.rates.catalog import find
    from costmeter.rates.grid import zone

    lines, remarks = [], []
    if found.catalog_key:
        try:
            find(found.catalog_key)
            lines.append(f"gpu: {{price: {{catalog: {found.catalog_key}}}}}")
            if not found.kind:
                remarks.append("whether it is on demand, spot or reserved is not known; the on-demand price is taken")
        except LookupError as problem:
            remarks.append(f"{problem.args[0]}. Set the price you pay: gpu: {{price: 2.49}}")
    elif found.provider:
        remarks.append("instance and region are not known. Set the price you pay: gpu: {price: 2.49}")
    if found.zone:
        try:
            zone(found.zone)
            lines.append(f"carbon: {{intensity: {{zone: {found.zone}}}}}")
        except LookupError as problem:
            remarks.append(f"{problem.args[0]}. Set the grid: carbon: {{intensity: {{zone: US-CA}}}}")
    return lines, remarks


def _write(path: str, lines: list[str]) -> None:
    """A new file, or lines after those of a file that says nothing of GPUs and carbon yet. Raises CostmeterError."""
    from costmeter.cli.wholefile import write
    from costmeter.config.textfile import text
    from costmeter.config.yamlfile import Mapping, compose

    before = ""
    if os.path.lexists(path):
        before, faults = text(path, path)
        root, more = compose(before, path)
        keys = {key.text for key, _ in root.entries} if isinstance(root, Mapping) else set()
        if faults or more or keys & {"gpu", "carbon"} or (root is not None and not keys):
            why = str((*faults, *more)[0]) if faults or more else f"{path} says something of GPUs or carbon already"
            raise CostmeterError(f"{why}; it was left as it is", "paste the lines above into it")
    separator = "" if not before or before.endswith("\n") else "\n"
    after = before + separator + "".join(f"{line}\n" for line in lines)
    if compose(after, path)[1]:
        raise CostmeterError(f"{path} is written in braces and cannot be added to", "paste the lines above into it")
    write(path, after, path, "paste the lines above into a file of yours")
