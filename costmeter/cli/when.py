"""`costmeter when`: the cheapest and the cleanest start of a job of given length and power."""

import argparse
import os
import sys
from decimal import Context, localcontext
from typing import TYPE_CHECKING

from costmeter.cli import folder
from costmeter.cli.lines import warn, write_data
from costmeter.cli.siteflags import add_site_flags, site_settings, unused_settings
from costmeter.errors import UsageError

if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.planning.opening import Job

#: Sums of prices with many digits stay exact, and amounts of nonsense are no traceback.
_DIGITS = 200
#: The flag that says what a kWh costs is named for what changes over time.
_TARIFF = "--tariff"

_EXAMPLES = """\
examples:
  costmeter when --hours 6 --kw 6.8 --before "Mon 09:00" --tariff agile.csv --carbon gb.csv
  costmeter when --hours 12 --gpu h100 --count 8 --tariff tariff.yaml --plan night --pue 1.2

A series reaches as far as it was published: fetch it first, with costmeter prices.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter when`."""
    parser.description = "The cheapest and the cleanest start of a job of given length and power."
    parser.epilog = _EXAMPLES
    parser.add_argument("--hours", metavar="H", required=True, help="length of the job: 6, or 1.5d")
    parser.add_argument("--kw", metavar="KW", help="power of the job in kilowatts, host included, cooling not")
    parser.add_argument(
        "--gpu", metavar="NAME", help="in place of --kw: h100 at 85%% of its power limit, and host.power"
    )
    parser.add_argument("--count", metavar="N", help="how many GPUs (default 1)")
    parser.add_argument("--before", metavar="TIME", help='end by then: "Mon 09:00", 09:00 or 2026-11-23T09:00')
    parser.add_argument("--from", dest="start", metavar="TIME", help="look from then on (default: now)")
    tariff_help = "a tariff (.yaml) or dated series (.csv) in place of the settings' price; repeatable for price sheets"
    parser.add_argument(_TARIFF, metavar="FILE", action="append", help=tariff_help)
    parser.add_argument("--plan", metavar="ID", help="which tariff of a file with several")
    add_site_flags(parser)
    parser.add_argument("-c", "--config", metavar="FILE", help="read settings from this file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the windows to stdout; 0."""
    from costmeter.cli.printing import style, to_json
    from costmeter.clock import RealClock
    from costmeter.outputs.when import as_json, as_text
    from costmeter.planning.opening import opening

    loaded = _loaded(args, folder.current())
    for fault in loaded.faults:
        warn(fault)
    with localcontext(Context(prec=_DIGITS)):
        found = opening(asked(args), loaded.settings, RealClock().utc_ns())
        if args.json:
            write_data(to_json(as_json(found)))
        else:
            for line in as_text(found, style(sys.stdout, os.environ).width):
                print(line)
    return 0


def _loaded(args: argparse.Namespace, cwd: str) -> "Loaded":
    """The settings with the flags over them. A price file brings its currency where nobody set one, nor any price."""
    from costmeter.config.layers import load_settings
    from costmeter.planning.inputs import currency_of

    files, unused = args.tariff or (), unused_settings(args)
    flags, own = site_settings(args, _TARIFF, files, args.plan), {"electricity.price": _TARIFF}
    if files and args.currency is None:
        others = {name: text for name, text in flags.items() if name != "electricity.price"}
        before = load_settings(args.config, others, os.environ, cwd, strict=False, left_out=unused)
        currency = currency_of(files, cwd)
        if currency and before.origins["currency"].word == "built-in" and not before.settings.book.gpus:
            flags["currency"] = currency
    try:
        return load_settings(args.config, flags, os.environ, cwd, strict=False, own_flags=own, left_out=unused)
    except UsageError as error:
        if files and args.plan is None and "say which" in error.message:
            raise UsageError(error.message, f"costmeter when {_TARIFF} {files[0]} --plan ID") from None
        raise


def asked(args: argparse.Namespace) -> "Job":
    """The flags as they were typed."""
    from costmeter.planning.opening import Job

    return Job(args.hours, args.kw, args.gpu, args.count, args.before, args.start)
