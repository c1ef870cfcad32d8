"""`costmeter config`: what is set, where, what is wrong with it, and what can be set at all (as a JSON Schema)."""

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from costmeter.cli import folder
from costmeter.cli.lines import warn

if TYPE_CHECKING:
    from costmeter.config.settings import Effective

#: Exit codes, as scripts rely on them.
FINE, FAULTY = 0, 125


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands."""
    parser.description = "What is set and where it came from; the faults of files; the JSON Schema of them."
    commands = parser.add_subparsers(dest="what", metavar="show|check|schema", required=True)
    show = commands.add_parser("show", help="every setting, its value, and where it came from")
    show.add_argument("-c", "--config", metavar="FILE", help="use FILE in place of the user's and the project's files")
    check = commands.add_parser("check", help="every fault in FILE, or in all files found; exit code 125 if any")
    commands.add_parser("schema", help="a JSON Schema of the configuration, for editors")
    check.add_argument("file", metavar="FILE", nargs="?", help="check this file by itself")


def run(args: argparse.Namespace) -> int:
    """Print to stdout; 0, or 125 when settings are faulty."""
    if args.what == "schema":
        return _schema()
    return _show(args.config) if args.what == "show" else _check(args.file)


def _schema() -> int:
    import json

    from costmeter.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return FINE


def _show(explicit: str | None) -> int:
    from costmeter.config.layers import load_settings

    loaded = load_settings(explicit, {}, os.environ, folder.current(), strict=False)
    print("\n".join(_table(loaded.effective)))
    print(f"# files read: {', '.join(loaded.files) or 'none'}")
    for fault in loaded.faults:
        warn(fault)
    return FINE


def _table(effective: Mapping[str, "Effective"]) -> list[str]:
    """Name, value and origin in columns; a value too long for its column moves its own line only."""
    rows = [(name, one.value, one.origin.detail or one.origin.word) for name, one in effective.items()]
    names, values = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows if len(row[1]) <= 40)
    return [f"{name:<{names}}  {value:<{values}}  {origin}" for name, value, origin in rows]


def _check(file: str | None) -> int:
    from costmeter.config.layers import check_explicit, load_settings
    from costmeter.errors import ConfigError

    if file is None:
        loaded = load_settings(None, {}, os.environ, folder.current(), strict=False)
        read, faults = loaded.files, loaded.faults
    else:
        read, faults = (file,), ()
        try:
            check_explicit(file, os.environ)
        except ConfigError as error:
            faults = error.faults
    print("\n".join(faults) or f"no faults in {', '.join(read) or 'the environment; no file found'}")
    return FAULTY if faults else FINE
