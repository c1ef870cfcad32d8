"""`costmeter when`: the cheapest and the cleanest start of a job of given length and power."""

import argparse
import os
import sys
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from costmeter.cli import folder
from costmeter.cli.lines import write_lines
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

if TYPE_CHECKING:
    from costmeter.planning.opening import Job, Opening
    from costmeter.planning.when import Window

#: Sums of prices with many digits stay exact, and amounts of nonsense are no traceback.
_DIGITS = 200

_EXAMPLES = """\
examples:
  costmeter when --hours 6 --kw 6.8 --before "Mon 09:00" --tariff agile.csv --carbon gb.csv
  costmeter when --hours 12 --gpu h100 --gpus 8 --tariff tariff.yaml --plan night --pue 1.2

A series reaches as far as it was published: fetch it first, with costmeter prices.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter when`."""
    parser.description = "The cheapest and the cleanest start of a job of given length and power."
    parser.epilog = _EXAMPLES
    parser.add_argument("--hours", metavar="H", required=True, help="length of the job: 6, or 1.5d")
    parser.add_argument("--kw", metavar="KW", help="power of the job in kilowatts, host included")
    parser.add_argument("--gpu", metavar="NAME", help="in place of --kw: h100, at 85%% of its power limit")
    parser.add_argument("--gpus", metavar="N", help="how many GPUs (default 1)")
    parser.add_argument("--pue", metavar="PUE", help="facility energy over IT energy (default: the power as given)")
    parser.add_argument("--before", metavar="TIME", help='end by then: "Mon 09:00", 09:00 or 2026-11-23T09:00')
    parser.add_argument("--from", dest="start", metavar="TIME", help="look from then on (default: now)")
    tariff_help = "a tariff (.yaml) or dated series (.csv) in place of the settings' price; repeatable for price sheets"
    parser.add_argument("--tariff", metavar="FILE", action="append", help=tariff_help)
    parser.add_argument("--plan", metavar="ID", help="which tariff of a file with several")
    parser.add_argument("--carbon", metavar="G", help="a dated series (.csv), g/kWh, or a zone such as DE")
    parser.add_argument("-c", "--config", metavar="FILE", help="read settings from this file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the windows to stdout; 0."""
    from costmeter.clock import RealClock
    from costmeter.config.layers import load_settings
    from costmeter.planning.opening import opening

    cwd = folder.current()
    loaded = load_settings(args.config, {}, os.environ, cwd, strict=False)
    for fault in loaded.faults:
        print(f"costmeter: warning: {fault}", file=sys.stderr)
    with localcontext(Context(prec=_DIGITS)):
        found = opening(asked(args, cwd), loaded.settings, RealClock().utc_ns())
        if args.json:
            from costmeter.cli.printing import to_json

            sys.stdout.write(to_json(as_json(found)))
        else:
            write_lines(as_text(found))
    return 0


def asked(args: argparse.Namespace, cwd: str) -> "Job":
    """The flags as they were typed."""
    from costmeter.planning.opening import Job

    return Job(
        hours=args.hours,
        kw=args.kw,
        gpu=args.gpu,
        gpus=args.gpus,
        pue=args.pue,
        before=args.before,
        start=args.start,
        tariffs=tuple(args.tariff or ()),
        plan=args.plan,
        carbon=args.carbon,
        folder=cwd,
    )


def as_json(found: "Opening") -> dict[str, Any]:
    """The windows as scripts read them: instants in UTC, money as text, emissions in grams; null where not known."""
    return {
        "schema": "costmeter.when/1",
        "currency": found.currency,
        "hours": float(found.minutes / 60),
        "kw": float(found.kw),
        "energy_kwh": float(found.kw * found.minutes / 60),
        "from": iso_minute(found.from_ns),
        "before": None if found.before_ns is None else iso_minute(found.before_ns),
        "now": _window(found, found.now),
        "cheapest": _window(found, found.cheapest),
        "cleanest": _window(found, found.cleanest),
        "notes": list(found.notes),
    }


def _window(found: "Opening", window: "Window | None") -> dict[str, Any] | None:
    from costmeter.planning.inputs import local

    if window is None:
        return None
    end_ns = window.start_ns + int(found.minutes * NANOSECONDS_PER_MINUTE)
    electricity, rent, grams = (found.amount(window, name) for name in ("electricity", "rent", "carbon"))
    return {
        "start": iso_minute(window.start_ns),
        "end": iso_minute(end_ns),
        "start_local": local(window.start_ns, found.zone).isoformat(),
        "electricity": None if electricity is None else f"{electricity:f}",
        "rent": None if rent is None else f"{rent:f}",
        "emissions_grams": None if grams is None else float(grams),
    }


def as_text(found: "Opening") -> list[str]:
    """The windows as people read them."""
    starts = [("now", found.now), ("cheapest", found.cheapest), ("cleanest", found.cleanest)]
    shown = [(name, window) for name, window in starts if window is not None]
    places = [_local(found, window) for _, window in shown]
    width = max(map(len, places))
    lines = [f"{'':<10}{'start':<{width}}  {'electricity':>12}  {'CO2e':>15}  {'GPU rent':>12}"]
    for (name, window), place in zip(shown, places, strict=True):
        lines.append(f"{name:<10}{place:<{width}}  {_amounts(found, window)}{_change(found, name, window)}".rstrip())
    chosen = found.cheapest or found.cleanest
    if chosen is not None:
        lines.append(f"Use it:   {_begin(found, chosen)}")
    return [*lines, *(f"          {note}" for note in found.notes)]


def _local(found: "Opening", window: "Window") -> str:
    from costmeter.planning.inputs import local

    return f"{local(window.start_ns, found.zone):%a %d %b %H:%M %Z}"


def _amounts(found: "Opening", window: "Window") -> str:
    from costmeter.outputs.figures import carbon, money

    electricity, rent, grams = (found.amount(window, name) for name in ("electricity", "rent", "carbon"))
    paid = "–" if electricity is None else money(electricity, found.currency)
    emitted = "–" if grams is None else carbon(float(grams))
    rented = "same" if rent is None else money(rent, found.currency)
    return f"{paid:>12}  {emitted:>15}  {rented:>12}"


def _change(found: "Opening", name: str, window: "Window") -> str:
    """What a later start saves of what now costs; no share where now costs nothing, or pays."""
    if found.now is None or window.start_ns == found.now.start_ns:
        return ""
    of, what = (found.money, "") if name == "cheapest" else (_grams(found), " CO2e")
    now, then = of(found.now), of(window)
    if now is None or then is None or now <= 0:
        return ""
    percent = round((then - now) * 100 / now)
    return f"   {'−' if percent < 0 else '+' if percent else '±'}{abs(percent)} %{what}"


def _grams(found: "Opening") -> Callable[["Window"], Decimal | None]:
    return lambda window: found.amount(window, "carbon")


def _begin(found: "Opening", window: "Window") -> str:
    """The line for Slurm, which takes the time of the machine's own zone and knows no other."""
    from costmeter.planning.inputs import is_ambiguous, local

    if window.start_ns == found.from_ns:
        return "start now"
    shown = local(window.start_ns, None)
    line = f"sbatch --begin={shown:%Y-%m-%dT%H:%M} job.sh"
    remarks = []
    if is_ambiguous(window.start_ns, None):
        remarks.append(f"that time comes twice; this is {shown:%Z}, say now+{_minutes_until(found, window)}minutes")
    if shown.utcoffset() != local(window.start_ns, found.zone).utcoffset():
        remarks.append(f"by this machine's clock, {shown:%Z}")
    return line + (f"      ({'; '.join(remarks)})" if remarks else "")


def _minutes_until(found: "Opening", window: "Window") -> int:
    return (window.start_ns - found.from_ns) // NANOSECONDS_PER_MINUTE
