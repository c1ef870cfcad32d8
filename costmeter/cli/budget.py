"""`costmeter budget`: the budgets in force and what is spent of them; setting and clearing the user's own."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from costmeter.cli import folder
from costmeter.cli.copies import warn_of_copies
from costmeter.cli.lines import warn
from costmeter.errors import CostmeterError, UsageError

if TYPE_CHECKING:
    from costmeter.config.parse import Values
    from costmeter.config.settings import Settings
    from costmeter.ledger.listing import Listed
    from costmeter.outputs.budgetlist import InForce

PERS = ("run", "day", "month", "project", "project/day", "project/month")
_EPILOG = """\
examples:
  costmeter budget                                  what is spent and what is left
  costmeter budget set 500/month                    warn at 250, 400, 500 of the month's runs
  costmeter budget set 80 --on-exceed stop          stop each run at 80
  costmeter budget set 2000/month --project llm --buffer 10%
  costmeter budget clear month

Budgets are set for this user, in budgets.yaml beside the user's settings. Those in
costmeter.yaml hold as well; of the same spending, the nearer file's. One run alone:
costmeter run --budget 80 --on-budget stop -- CMD…
"""
_HEAD = "# Written by: costmeter budget set. Keys: docs/budgets.md\n"
_KEYS = ("amount", "per", "project", "warn_at", "on_exceed", "buffer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands; without one, as with `show`, the budgets in force."""
    parser.description = "Show, set and clear budgets: what runs may spend, alone, in a day or month, or in a project."
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="use FILE in place of the user's and the project's files"
    )
    commands = parser.add_subparsers(dest="what", metavar="show|set|clear")
    showing = commands.add_parser("show", help="the budgets in force, as without a word")
    showing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    showing.add_argument("-c", "--config", metavar="FILE", default=argparse.SUPPRESS, help="as without a word")
    setting = commands.add_parser("set", help="set one of the user's budgets, in place of that of the same spending")
    setting.add_argument("amount", metavar="AMOUNT", help=f"500/month, or 500USD/month; per {', '.join(PERS)}")
    setting.add_argument("--project", metavar="NAME", default="", help="count runs with this label `project` alone")
    setting.add_argument("--on-exceed", choices=("warn", "stop"), help="when it is used up (default: warn)")
    setting.add_argument("--buffer", metavar="SHARE", help="share that is kept back, such as 10%%")
    setting.add_argument("--warn-at", metavar="LIST", help="shares that are announced (default: 50%%,80%%)")
    clearing = commands.add_parser("clear", help="clear the user's budgets: all of them, or those of one spending")
    clearing.add_argument("per", nargs="?", choices=PERS, metavar="PER", help=", ".join(PERS))
    clearing.add_argument("--project", metavar="NAME", help="those of this project alone")


def run(args: argparse.Namespace) -> int:
    """Print to stdout; 0. Raises UsageError for a budget that is none."""
    if args.what == "set":
        return _set(args)
    return _clear(args) if args.what == "clear" else _show(args)


def _show(args: argparse.Namespace) -> int:
    from costmeter.cli.printing import style, to_json
    from costmeter.config.layers import load_settings
    from costmeter.ledger.journal import state_directory
    from costmeter.ledger.listing import listing
    from costmeter.outputs.budgetlist import as_json, as_text

    loaded = load_settings(args.config, {}, os.environ, folder.current(), strict=False)
    found = listing(Path(state_directory(dict(os.environ))), {})
    for fault in (*loaded.faults, *found.unread):
        warn(fault)
    warn_of_copies(found.copies)
    budgets = list(_in_force(loaded.settings, found.runs))
    if args.json:
        print(to_json(as_json(budgets)), end="")
    else:
        print("\n".join(as_text(budgets, style(sys.stdout, dict(os.environ)))))
    return 0


def _in_force(settings: "Settings", runs: "Sequence[Listed]") -> "Iterator[InForce]":
    """Every budget with what is spent of it; one of every project for each project there is."""
    from dataclasses import replace

    from costmeter.clock import RealClock
    from costmeter.ledger.spent import SpentSums, Whose
    from costmeter.meter.budget import PROJECT
    from costmeter.outputs.budgetlist import InForce

    utc_ns, currency, spending = RealClock().utc_ns(), settings.currency, SpentSums()
    real = [run for run in runs if not run.simulated]
    names = sorted({run.header.labels[PROJECT] for run in real if run.header.labels.get(PROJECT)})
    for budget, set_in in zip(settings.budgets, settings.budgets_set_in, strict=True):
        period = budget.window(utc_ns, settings.timezone)
        latest = real[-1].id if real and budget.per == "run" else ""
        projects = names if budget.is_of_project and not budget.project else [budget.project]
        for project in projects or [""]:
            each = replace(budget, project=project)
            spent = spending.of(Whose(each, period, currency, run=latest), real)
            yield InForce(each, currency, period, spent, set_in, latest)


def _set(args: argparse.Namespace) -> int:
    from costmeter.config.flags import split_budget
    from costmeter.config.quoting import quoted

    said = split_budget(args.amount)
    if said is None:
        raise UsageError(f'"{args.amount}": expected an amount such as 500/month, 80 or 80USD/day')
    amount, currency, per = said
    _check_currency(currency)
    share_list = None if args.warn_at is None else f"[{args.warn_at.strip('[]')}]"
    keys = {"amount": f"{amount} {currency}".strip(), "per": per or "run", "project": args.project}
    keys |= {"warn_at": share_list, "on_exceed": args.on_exceed, "buffer": args.buffer}
    written = {name: quoted(text) if name == "project" else text for name, text in keys.items() if text}
    (budget,) = _parsed(f"budget: [{_flow(written)}]\n", "budget set")
    from costmeter.config.budgets import spending

    return _rewrite(lambda others: [*(each for each in others if spending(each) != spending(budget)), budget])


def _clear(args: argparse.Namespace) -> int:
    from costmeter.config.budgets import spending

    def is_meant(budget: "Values") -> bool:
        per, project = spending(budget)
        is_per = args.per is None or per == args.per or (bool(project) and per == f"project/{args.per}")
        return is_per and (args.project is None or project == args.project)

    return _rewrite(lambda budgets: [each for each in budgets if not is_meant(each)])


def _rewrite(change: "Callable[[list[Values]], list[Values]]") -> int:
    """The user's file with other budgets in it, whole or not at all."""
    from costmeter.cli import wholefile
    from costmeter.config.files import budgets_file

    path = budgets_file(os.environ)
    if not path:
        raise CostmeterError("this user has no home, so there is no place for budgets", "set HOME or XDG_CONFIG_HOME")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    except OSError as problem:
        raise CostmeterError(f"{path} was not written: {problem.strerror}", "set XDG_CONFIG_HOME") from None
    with wholefile.alone(path, path):
        before = _kept(path)
        after = change(before)
        lines = "".join(f"  - {_flow(_written(budget))}\n" for budget in after)
        wholefile.write(path, f"{_HEAD}budget:\n{lines}" if lines else _HEAD, path, "set XDG_CONFIG_HOME")
    print(f"{len(after)} budget{'' if len(after) == 1 else 's'} in {path}, {len(before)} before. See: costmeter budget")
    return 0


def _kept(path: str) -> "list[Values]":
    """The budgets of the user's file. Raises CostmeterError where it holds what this command would lose."""
    from costmeter.config.files import read

    layer = read(path, path)
    if layer is None:
        return []
    if layer.faults or layer.values or layer.blocks is not None:
        what = str(layer.faults[0]) if layer.faults else f"{path} holds more than budgets"
        raise CostmeterError(f"{what}; so it was left as it is", f"edit it by hand: {path}")
    return list(layer.budgets or ())


def _parsed(text: str, shown_as: str) -> "list[Values]":
    """Budgets as the settings have them. Raises UsageError with every fault."""
    from costmeter.config.parse import parse
    from costmeter.config.yamlfile import compose

    root, faults = compose(text, shown_as)
    layer = parse(root)
    if faults or layer.faults:
        raise UsageError("; ".join(fault.what for fault in (*faults, *layer.faults)))
    return list(layer.budgets or ())


def _check_currency(said: str) -> None:
    """Refuse a budget in a currency that the settings do not have."""
    from costmeter.config.layers import load_settings

    currency = load_settings(None, {}, os.environ, folder.current(), strict=False).settings.currency
    if said not in ("", currency):
        raise UsageError(f"the currency is {currency}, and nothing is converted", "costmeter config show")


def _written(budget: "Values") -> dict[str, str]:
    from costmeter.config.quoting import quoted

    texts = {key: budget[f"budget.{key}"].text for key in _KEYS if f"budget.{key}" in budget}
    return {key: quoted(text) if key == "project" else text for key, text in texts.items()}


def _flow(keys: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {text}" for key, text in keys.items()) + "}"
