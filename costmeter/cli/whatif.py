"""`costmeter what-if RUN…`: recorded runs priced again under other prices, tariffs, grids and times."""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from costmeter.cli.lines import warn, write_data
from costmeter.errors import UsageError

if TYPE_CHECKING:
    from costmeter.cli.scenarios import Around, Typed
    from costmeter.ledger.scenario import Recorded, Scenario

#: Options that make no row of the table, or no row that is typed.
_NO_ROWS = frozenset({"runs", "json", "csv", "as_configured"})
_EARLIER = re.compile(r"-\s?[0-9]")
_EPILOG = """\
Without a scenario: spot, owned and a cleaner grid from the bundled tables, and the run without
its idle time.
Each flag below is one row, and may be given again; several changes in one row are a --scenario.

examples:
  costmeter what-if r-7f3c2a
  costmeter what-if r-7f3c2a --price 1.99 --price catalog:aws/p5.48xlarge/us-east-1 --zone SE
  costmeter what-if r-7f3c2a --owned purchase=30000,life_years=4 --electricity 0.12
  costmeter what-if r-7f3c2a --scenario "night: tariff=b20.yaml, purchase=30000, shift=22:00"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter what-if`."""
    parser.description = "Price recorded runs again: other prices, tariffs, grids, bought GPUs, another start."
    parser.epilog = _EPILOG
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="a run id, or the path of a journal or its folder; default the last run"
    )
    rows = parser.add_argument_group("scenarios")
    rows.add_argument(
        "--price", metavar="P", action="append", help="rent per GPU-hour: 1.99, catalog:KEY, per_instance_hour:55.04"
    )
    rows.add_argument("--spot", metavar="P", action="append", help="the same, of machines that may be taken away")
    rows.add_argument("--interruptions-per-day", metavar="N", help="with --spot: how often that happens (an estimate)")
    rows.add_argument("--lost-minutes", metavar="M", help="with --spot: work lost and time to restart, each time")
    rows.add_argument(
        "--owned", metavar="K=V,…", action="append", help="bought GPUs: purchase=30000,life_years=4,expected_use=0.7"
    )
    rows.add_argument("--tariff", metavar="FILE", action="append", help="electricity by a tariff (.yaml) or series")
    rows.add_argument("--plan", metavar="ID", help="which tariff of a file with several")
    rows.add_argument("--electricity", metavar="P", action="append", help="price of a kWh, for GPUs that pay for it")
    rows.add_argument("--pue", metavar="PUE", action="append", help="facility energy over IT energy")
    rows.add_argument("--zone", metavar="Z", action="append", help="another grid: SE, US-CA or gcp/us-east1")
    rows.add_argument("--carbon", metavar="G", action="append", help="grams of CO2e per kWh, a zone or a series (.csv)")
    rows.add_argument("--shift", metavar="WHEN", action="append", help='another start: +6h, -1d or "Mon 02:00"')
    rows.add_argument("--no-idle", action="store_true", help="without the time in which GPUs were held and idle")
    rows.add_argument("-c", "--config", metavar="FILE", action="append", help="all prices as this file has them")
    rows.add_argument("--as-configured", action="store_true", help="all prices as the settings have them now")
    rows.add_argument("--scenario", metavar="TEXT", action="append", help='"NAME: key=value, …": several changes')
    rows.add_argument("--scenarios", metavar="FILE", action="append", help="scenarios by name, in YAML")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print JSON, exact")
    shown.add_argument("--csv", action="store_true", help="print CSV")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The command line, in which `--shift -1d` is a length: argparse would take it for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--shift" and _EARLIER.match(word):
            words[-1] = f"--shift={word}"
        else:
            words.append(word)
    return parser.parse_args(words)


def run(args: argparse.Namespace) -> int:
    """Print the table to stdout; 0, also where a scenario has no answer."""
    from costmeter.cli.printing import style, to_json
    from costmeter.ledger.finding import LAST, meant
    from costmeter.ledger.journal import state_directory
    from costmeter.ledger.scenario import Scenario, price_each, recorded
    from costmeter.outputs import whatif

    environ = dict(os.environ)
    rows = _typed(args, environ)
    state = state_directory(environ)
    names = list(dict.fromkeys(meant(state, name) for name in args.runs or [LAST]))
    runs = _once([recorded(state, name) for name in names])
    _check_alike(runs)
    as_run = Scenario(whatif.AS_RUN, "")
    own, *answers = price_each(state, runs, (as_run, *_scenarios(args, rows, runs, environ)))
    others = [answer for each in answers for answer in each]
    if args.json:
        write_data(to_json(whatif.as_json([each.name for each in runs], own, others)))
    elif args.csv:
        write_data(whatif.as_csv(own, others))
    else:
        for line in whatif.as_text(own, others, style(sys.stdout, environ).width):
            print(line)
    return 0


def _once(runs: "list[Recorded]") -> "list[Recorded]":
    """The runs without those that are another one's copy, which are named."""
    kept: list[Recorded] = []
    for run in runs:
        same = next((other.name for other in kept if run.parts.keys() <= other.parts.keys()), None)
        if same is None:
            kept.append(run)
        else:
            warn(f"{run.name} is a copy of {same}: not counted")
    return kept


def _check_alike(runs: "list[Recorded]") -> None:
    """Refuse to add up what somebody pays for and what nobody does."""
    of = {any(part.header.simulated for part in run.parts.values()): run.name for run in runs}
    if len(of) > 1:
        what = f"{of[True]} is of simulated GPUs and {of[False]} is not; their money is not added"
        raise UsageError(what, f"costmeter what-if {of[False]}")


def _typed(args: argparse.Namespace, environ: Mapping[str, str]) -> "list[Typed] | None":
    """The scenarios of the command line, None where there is none; refused before a journal is read."""
    if not any(given for name, given in vars(args).items() if name not in _NO_ROWS):
        return None
    from costmeter.cli import folder
    from costmeter.cli.scenarios import Around
    from costmeter.cli.typedscenarios import typed
    from costmeter.config.layers import load_settings

    rows, faults = typed(args)
    if faults:  # what else is wrong is told with it
        settings = load_settings(None, {}, environ, folder.current(), strict=False).settings
        _made(rows, Around(settings.currency, settings, folder.current(), environ), faults)
    return rows


def _scenarios(
    args: argparse.Namespace, rows: "list[Typed] | None", runs: "list[Recorded]", environ: Mapping[str, str]
) -> "list[Scenario]":
    if rows is None and not args.as_configured:
        from costmeter.ledger.alternatives import alternatives

        return list(alternatives(runs))
    from costmeter.cli import folder
    from costmeter.cli.scenarios import Around, as_configured
    from costmeter.config.layers import load_settings

    loaded = load_settings(None, {}, environ, folder.current(), strict=False)
    if args.as_configured or args.shift:
        for fault in loaded.faults:
            warn(fault)
    node_gpus = {count for run in runs for part in run.parts.values() for count in part.node_gpus}
    around = Around(runs[0].currency, loaded.settings, folder.current(), environ, node_gpus)
    configured = [as_configured(loaded.settings)] if args.as_configured else []
    return configured + _made(rows or (), around, [])


def _made(rows: "Sequence[Typed]", around: "Around", faults: list[str]) -> "list[Scenario]":
    """The scenarios that were typed. Raises UsageError with these faults and all others."""
    from functools import partial

    from costmeter.cli.attempts import told
    from costmeter.cli.scenarios import scenario

    made = [told(faults, partial(scenario, row, around)) for row in rows]
    if faults:
        raise UsageError("\n".join(dict.fromkeys(faults)))
    return [each for each in made if each is not None]
