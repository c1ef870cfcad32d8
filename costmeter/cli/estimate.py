"""`costmeter estimate`: what a run will cost, before it starts."""

import argparse
import os
import sys
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any, TypeVar

from costmeter.cli import folder
from costmeter.cli.lines import write_lines
from costmeter.errors import UsageError

if TYPE_CHECKING:
    from costmeter.config.settings import Loaded
    from costmeter.planning.estimate import Estimate
    from costmeter.planning.plan import Plan
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
    power.add_argument("--load", "--utilization", dest="load", metavar="SHARE", help=load_help)
    power.add_argument("--host-watts", metavar="W", help="what a machine of up to 8 GPUs draws beside them")
    power.add_argument("--pue", metavar="PUE", help="facility energy over IT energy")
    money = parser.add_argument_group("money and carbon (defaults: the settings in effect)")
    money.add_argument("--price", metavar="P", help="rent per GPU-hour")
    money.add_argument("--owned", action="store_true", help="the GPUs are bought: capital and electricity, no rent")
    money.add_argument("--purchase", metavar="P", help="what one GPU costs to buy, with its share of the server")
    money.add_argument("--electricity", metavar="P", help="price per kWh, or a tariff (.yaml) or dated series (.csv)")
    money.add_argument("--carbon", metavar="G", help="grams of CO2e per kWh, a zone such as DE, or a series (.csv)")
    money.add_argument("--currency", metavar="CODE", help="of all prices, such as EUR")
    parser.add_argument("-c", "--config", metavar="FILE", help="read settings from this file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the estimate to stdout; 0."""
    from costmeter.clock import RealClock
    from costmeter.planning.plan import plan

    request = parse_request(args)
    loaded = _loaded(args)
    for fault in loaded.faults:
        print(f"costmeter: warning: {fault}", file=sys.stderr)
    with localcontext(Context(prec=_DIGITS)):
        planned = plan(request, loaded.settings, RealClock().utc_ns())
        if args.json:
            from costmeter.cli.printing import to_json

            sys.stdout.write(to_json(as_json(planned)))
        else:
            write_lines(as_text(planned))
    return 0


def _loaded(args: argparse.Namespace) -> "Loaded":
    from costmeter.config.layers import load_settings

    try:
        return load_settings(args.config, setting_flags(args), os.environ, folder.current(), strict=False)
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
    if args.owned and args.price:
        raise UsageError("--owned and --price: bought GPUs have no rent; give one of them")
    flags = {"gpu.price": args.price, "electricity.pue": args.pue, "currency": args.currency}
    if args.electricity is not None:
        flags["electricity.price"] = _electricity(args.electricity)
    if args.carbon is not None:
        flags["carbon.intensity"] = _carbon(args.carbon)
    if args.owned:
        flags["gpu.billing"] = "owned"
        flags["gpu.owned.purchase"] = args.purchase
    return {name: text for name, text in flags.items() if text is not None}


def _electricity(text: str) -> str:
    return f"{{tariff: {_quoted(text)}}}" if text.endswith((".yaml", ".yml")) else text


def _carbon(text: str) -> str:
    """A number or a file as it is, a zone by its name. Raises UsageError for a zone that is none."""
    from costmeter.rates.grid import zone

    if text[:1] in "0123456789.+-" or text.endswith(".csv"):
        return text
    try:
        zone(text)
    except LookupError as error:
        raise UsageError(
            f"--carbon: {error.args[0]}", "costmeter estimate --carbon 380, or a zone such as DE"
        ) from None
    return f"{{zone: {_quoted(text)}}}"


def _quoted(text: str) -> str:
    """A text as YAML takes it inside braces, whatever is in it."""
    import json

    return json.dumps(text)


def as_json(planned: "Plan") -> dict[str, Any]:
    """The plan as scripts read it: the figures of one run, then of all runs, then with the reserve. Money is text."""
    work, power, even = planned.work, planned.power, planned.break_even
    return {
        "schema": "costmeter.estimate/1",
        **_figures(planned.one_run),
        "currency": planned.currency,
        "hours": _float(work.hours),
        "flops": _float(work.flops),
        "gpus": work.gpus,
        "power_kw": _float(power.facility_kw * work.gpus if power and work.gpus else None),
        "runs": planned.runs,
        "buffer": float(planned.buffer),
        "all_runs": _figures(planned.all_runs),
        "with_buffer": _figures(planned.with_buffer),
        "break_even": None
        if even is None
        else {
            "purchase_per_gpu": f"{even.purchase:f}",
            "busy_hours": float(even.busy_hours),
            "months_nonstop": float(even.months_nonstop),
            "years_at_70_percent_use": float(even.years_at(Decimal("0.7"))),
        },
        "assumptions": [{"name": one.name, "value": one.value, "origin": one.origin} for one in planned.assumptions],
    }


def _figures(estimate: "Estimate") -> dict[str, Any]:
    components = estimate.components
    return {
        "cost": None if estimate.cost is None else _amount(estimate.cost),
        "components": None if components is None else {name: _amount(amount) for name, amount in components},
        "energy_kwh": _float(estimate.energy_kwh),
        "emissions_grams": _float(estimate.emissions_grams),
        "embodied_grams": _float(estimate.embodied_grams),
        "gpu_hours": float(estimate.gpu_hours),
    }


def _amount(amount: Decimal) -> str:
    """Money as text, to 1e-12 of its currency as everywhere."""
    text = f"{amount:.12f}".rstrip("0")
    return text.rstrip(".") if "." in text else text


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def as_text(planned: "Plan") -> list[str]:
    """The plan as people read it."""
    one = planned.one_run
    lines = [_row("one run", one, planned.currency, _length(planned))]
    if planned.runs > 1:
        lines.append(_row(f"{planned.runs} runs", planned.all_runs, planned.currency))
    if planned.buffer:
        lines.append(_row(f"+ {float(planned.buffer * 100):g} % buffer", planned.with_buffer, planned.currency))
    if one.embodied_grams:
        lines.append(f"Making the GPUs: {_carbon_text(one.embodied_grams)} more for one run, spread over their life.")
    lines += _rent_or_buy(planned)
    names = max(len(each.name) for each in planned.assumptions)
    values = max(len(each.value) for each in planned.assumptions)
    lines.append("Assumed:")
    lines += [f"  {each.name:<{names}}  {each.value:<{values}}  {each.origin}" for each in planned.assumptions]
    return lines


def _row(name: str, estimate: "Estimate", currency: str, after: str = "") -> str:
    from costmeter.outputs.figures import energy, money

    cost = "not known" if estimate.cost is None else money(estimate.cost, currency)
    kwh = "no energy" if estimate.energy_kwh is None else energy(float(estimate.energy_kwh))
    grams = "" if estimate.emissions_grams is None else _carbon_text(estimate.emissions_grams)
    return f"{name:<15} {cost:>16} {kwh:>16} {grams:>20}   {after}".rstrip()


def _carbon_text(grams: Decimal) -> str:
    from costmeter.outputs.figures import carbon

    return carbon(float(grams))


def _length(planned: "Plan") -> str:
    """How long one run takes, or how many GPU-hours where nobody said on how many GPUs."""
    from costmeter.outputs.figures import significant

    work = planned.work
    if work.hours is None or work.gpus is None:
        return f"{significant(float(work.gpu_hours), 4)} GPU-h"
    hours = float(work.hours)
    shown = f"{significant(hours)} h" if hours < 48 else f"{significant(hours / 24)} days"
    return f"{shown} on {work.gpus:,} GPU{'s' if work.gpus > 1 else ''}"


def _rent_or_buy(planned: "Plan") -> list[str]:
    from costmeter.outputs.figures import money, significant
    from costmeter.planning.plan import BUSY_SHARE

    even = planned.break_even
    if even is None:
        return [f"Buy instead? {planned.no_break_even}."] if planned.no_break_even else []
    price = money(even.purchase, planned.currency, Decimal(1))
    bought = f"{planned.work.gpus} × {price} is" if planned.work.gpus else f"{price} a GPU is"
    months, years = float(even.months_nonstop), float(even.years_at(BUSY_SHARE))
    return [
        f"Buy instead? {bought} even after {even.busy_hours:,.0f} busy hours: {significant(months, 2)} months nonstop, "
        f"{significant(years, 2)} years at 70 % use."
    ]
