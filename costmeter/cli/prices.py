"""`costmeter prices`: list, show, check, fetch, detect, import. Each has its own file; this one has their options."""

import argparse
import importlib

from costmeter.cli.parser import formatter

#: What: its module, its one-line help.
_WHATS = {
    "list": ("costmeter.cli.prices_list", "what the bundled catalogue, carbon table or a folder of tariffs has"),
    "show": ("costmeter.cli.prices_show", "one price, zone, tariff file or series; without one, those in effect"),
    "check": ("costmeter.cli.prices_check", "faults and doubts of files, or of the prices in effect"),
    "fetch": ("costmeter.cli.prices_fetch", "bring live prices or carbon into a dated CSV file"),
    "detect": ("costmeter.cli.prices_detect", "find cloud, instance, region and spot; write them as settings"),
    "import": ("costmeter.cli.prices_import", "make a tariff file of an OpenEI URDB record"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The six subcommands."""
    parser.description = "Prices of GPUs and electricity, and the carbon of grids: where they are from, and newer ones."
    parser.epilog = "Only fetch and detect ask the network, and only when they are typed."
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    made = {
        name: commands.add_parser(name, help=summary, formatter_class=formatter, allow_abbrev=False)
        for name, (_, summary) in _WHATS.items()
    }
    _list(made["list"])
    _show(made["show"])
    _check(made["check"])
    _fetch(made["fetch"])
    _detect(made["detect"])
    _import(made["import"])


def run(args: argparse.Namespace) -> int:
    """Hand over to the file of the subcommand; its exit code."""
    code: int = importlib.import_module(_WHATS[args.what][0]).run(args)
    return code


def _list(parser: argparse.ArgumentParser) -> None:
    parser.description = "Rows of the bundled tables that have all the words, cheapest or cleanest first."
    parser.epilog = "costmeter prices list h100 us-east-1 spot"
    parser.add_argument("words", nargs="*", metavar="WORD", help="any part of a row; for tariffs also folders")
    parser.add_argument("--kind", choices=("gpu", "carbon", "tariffs"), default="gpu", help="gpu, carbon or tariffs")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N rows; 0 is all (default 20)")
    parser.add_argument("--json", action="store_true", help="a JSON list; amounts are text")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.description = "One thing in full, with its date and source."
    parser.epilog = "costmeter prices show aws/p4d.24xlarge/us-east-1/spot"
    parser.add_argument("key", nargs="?", metavar="KEY|ZONE|FILE", help="a catalogue key, a carbon zone, or a file")
    parser.add_argument("-c", "--config", metavar="FILE", help="without KEY: read settings from this file")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.description = "Every fault and every doubt, one a line: fail, warn or ok."
    parser.epilog = "exit codes: 0 when nothing fails (warnings may remain), 1 when something does."
    parser.add_argument("files", nargs="*", metavar="FILE", help="tariff files (YAML) and series (CSV)")
    parser.add_argument("-c", "--config", metavar="FILE", help="without FILE: read settings from this file")


def _fetch(parser: argparse.ArgumentParser) -> None:
    from costmeter.feeds.directory import FEEDS

    parser.description = "Fetch a feed into FILE. What the file holds already stays; newer values replace older ones."
    lines = [f"  {feed.usage.removeprefix('costmeter prices fetch ')}\n      {feed.brings}" for feed in FEEDS.values()]
    parser.epilog = "feeds:\n" + "\n".join(lines) + "\n\nexit codes: 0 when all came, 1 when some or nothing did."
    parser.add_argument("feed", metavar="FEED", help="one of those below")
    parser.add_argument("words", nargs="*", metavar="WORD", help="what the feed is asked for")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the CSV file; - is stdout, unmerged")
    parser.add_argument("--from", dest="start", metavar="TIME", help="2026-11-22 (UTC), or 2026-11-22T14:00+01:00")
    parser.add_argument("--to", dest="end", metavar="TIME", help="the end, not included")
    parser.add_argument("--gpus", metavar="N", help="azure: GPUs of the instance, where the catalogue does not know")
    parser.add_argument("--url", metavar="BASE", help="another server that speaks the same, such as a mirror")


def _detect(parser: argparse.ArgumentParser) -> None:
    parser.description = "Ask this machine's firmware, then its cloud's metadata service (half a second, no proxy)."
    parser.epilog = "exit codes: 0 when a cloud is known, 1 when none is or nothing was written."
    parser.add_argument(
        "--write", nargs="?", const="costmeter.yaml", metavar="FILE", help="write the settings (default costmeter.yaml)"
    )


def _import(parser: argparse.ArgumentParser) -> None:
    parser.description = "Turn a record of the OpenEI Utility Rate Database (JSON) into a tariff file."
    parser.add_argument("file", metavar="URDB.json", help="a record, or an answer with items")
    parser.add_argument("--timezone", required=True, metavar="ZONE", help="where its hours are: America/Los_Angeles")
    parser.add_argument("--label", metavar="ID", help="which record, where there are several")
    parser.add_argument("-o", "--output", metavar="FILE", help="write here instead of stdout; an old file stays")
