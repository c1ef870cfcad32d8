"""`costmeter estimate`: what a run will cost, before it starts."""

import argparse
import os
import sys
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, TypeVar

from costmeter.cli import folder
from costmeter.cli.lines import warn, write_data
from costmeter.cli.siteflags import add_owner_flags, add_site_flags, site_settings, unused_settings
from costmeter.errors import UsageError

if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.planning.request import Request

Value = TypeVar("Value")

#: Enough for the largest numbers that a flag takes, to the last cent: a plan of nonsense is still no traceback.
_DIGITS = 200

_EXAMPLES = """\
examples:
  costmeter estimate --gpu h100 --count 8 --hours 12 --runs 20 --buffer 15%
  costmeter estimate --gpu 512xA100-80GB --params 7B --tokens 1T --mfu 45%
  costmeter estimate --gpu h100 --gpu-hours 2.8e6 --price 2 --carbon DE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter estimate`."""
    parser.description = "Cost, energy and CO2e of a run before it starts, rent or buy, and every assumption."
    parser.epilog = _EXAMPLES
    run = parser.add_argument_group("the run")
    run.add_argument("--gpu", metavar="NAME", help="h100, a100-80gb, 8xH100, or the driver's name")
    run.add_argument("--count", metavar="N", help="how many GPUs")
    run.add_argument("--hours", metavar="H", help="hours of wall clock: 12, or 14.8d")
    run.add_argument("--gpu-hours", metavar="H", help="GPUs × hours, in place of --hours")
    run.add_argument("--flops", metavar="F", help="floating-point operations, such as 3.14e23")
    run.add_argument("--params", metavar="P", help="parameters, such as 7B; with --tokens: 6 × P × T FLOPs")
    run.add_argument("--tokens", metavar="T", help="tokens it is trained on, such as 1.4T")
    run.add_argument("--mfu", metavar="M", help="share of the peak that is achieved, 0.4 or 40%% (default 40%%)")
    run.add_argument("--tflops", metavar="T", help="TFLOPS that one GPU achieves, in place of --mfu")
    run.add_argument("--runs", metavar="N", help="how many such runs (default 1)")
    run.add_argument("--buffer", metavar="SHARE", help="reserve on top of all runs, such as 15%%")
    power = parser.add_argument_group("power")
    power.add_argument("--watts", metavar="W", help="what one GPU draws (default: its power limit × load)")
    load_help = "share of the power limit that is drawn (default 85%%, or 100%% of --watts)"
    power.add_argument("--load", metavar="SHARE", help=load_help)
    power.add_argument("--host-watts", metavar="W", help="what a machine of up to 8 GPUs draws beside them")
    money = parser.add_argument_group("money, cooling and carbon (defaults: the settings in effect)")
    money.add_argument("--price", metavar="P", help="rent per GPU-hour")
    money.add_argument("--owned", action="store_true", help="the GPUs are bought: capital and electricity, no rent")
    add_owner_flags(money)
    add_site_flags(money)
    parser.add_argument("-c", "--config", metavar="FILE", help="read settings from this file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the estimate to stdout; 0."""
    from costmeter.cli.printing import style, to_json
    from costmeter.clock import RealClock
    from costmeter.outputs.estimate import as_json, as_text
    from costmeter.planning.plan import plan

    request = parse_request(args)
    loaded = _loaded(args)
    for fault in loaded.faults:
        warn(fault)
    with localcontext(Context(prec=_DIGITS)):
        planned = plan(request, loaded.settings, RealClock().utc_ns())
        if args.json:
            write_data(to_json(as_json(planned)))
        else:
            for line in as_text(planned, style(sys.stdout, os.environ).width):
                print(line)
    return 0


def _loaded(args: argparse.Namespace) -> "Loaded":
    from costmeter.config.layers import load_settings

    flags, unused = setting_flags(args), unused_settings(args)
    try:
        return load_settings(args.config, flags, os.environ, folder.current(), strict=False, left_out=unused)
    except UsageError as error:
        if "gpu.owned.purchase" in error.message and args.purchase is None:
            advice = "costmeter estimate --owned --purchase 30000, or gpu.owned.purchase in costmeter.yaml"
            raise UsageError("--owned: what does one GPU cost to buy?", advice) from None
        raise


def parse_request(args: argparse.Namespace) -> "Request":
    """The flags as numbers. Raises UsageError with every flag that is none."""
    from costmeter.planning.numbers import gpus, hours, number, share, whole
    from costmeter.planning.request import Request

    wrong: list[str] = []

    def read(flag: str, reader: Callable[[str], Value | None], example: str) -> Value | None:
        text = getattr(args, flag.replace("-", "_"))
        value = None if text is None else reader(text)
        if text is not None and value is None:
            wrong.append(f'--{flag} "{text}": expected {example}')
        return value

    many, name = gpus(args.gpu) if args.gpu is not None else (None, None)
    count = read("count", whole, "a whole number of GPUs such as 8")
    if many is not None and count is not None and many != count:
        wrong.append(f"--gpu {args.gpu} and --count {args.count} are two counts; give one")
    request = Request(
        gpu=name,
        count=count if many is None else many,
        hours=read("hours", hours, "hours such as 12, or days such as 14.8d"),
        gpu_hours=read("gpu-hours", number, "a number such as 1000 or 2.8e6, without commas"),
        flops=read("flops", number, "a number such as 3.14e23"),
        params=read("params", number, "a number such as 7B or 7e9"),
        tokens=read("tokens", number, "a number such as 1.4T or 300e9"),
        mfu=read("mfu", share, "a share such as 0.4 or 40%"),
        tflops=read("tflops", number, "TFLOPS of one GPU such as 400"),
        watts=read("watts", number, "watts of one GPU such as 600"),
        host_watts=read("host-watts", number, "watts such as 900"),
        load=read("load", share, "a share such as 0.85 or 85%"),
        purchase=read("purchase", number, "an amount such as 30000, without a currency"),
        runs=_or(read("runs", whole, "a whole number such as 20"), 1),
        buffer=_or(read("buffer", share, "a share such as 0.15 or 15%"), Decimal(0)),
    )
    if wrong:
        raise UsageError("\n".join(wrong), "costmeter estimate --help")
    return request


def _or(value: Value | None, default: Value) -> Value:
    return default if value is None else value


def setting_flags(args: argparse.Namespace) -> dict[str, str]:
    """The flags that are settings, by dotted name, in the grammar of settings. Raises UsageError."""
    from costmeter.planning.numbers import number

    if args.owned and args.price:
        raise UsageError("--owned and --price: bought GPUs have no rent; give one of them")
    flags = site_settings(args, "--electricity", () if args.electricity is None else (args.electricity,))
    if args.price is not None:
        flags["gpu.price"] = args.price
    if args.owned:
        flags["gpu.billing"] = "owned"
    if args.purchase is not None:  # for GPUs that are bought, by --owned or by the settings; others have no use for it
        purchase = number(args.purchase)  # 30k is a number of plans, and 30000 one of settings
        flags["gpu.owned.purchase"] = args.purchase if purchase is None else f"{purchase:f}"
        flags["gpu.owned.server_share"] = "0"  # the flag's price is with it
    return flags
