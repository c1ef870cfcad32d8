"""`costmeter init`: five questions, or their answers as options, and a configuration file that says them."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from costmeter.cli.run import SCENARIOS, check_scenario
from costmeter.cli.siteflags import add_owner_flags, add_site_flags
from costmeter.errors import CostmeterError, UsageError

if TYPE_CHECKING:
    from costmeter.config.draft import Answers

FILE = "costmeter.yaml"
_WHERE = {"rented": "rental", "bought": "owned", "cluster": "rental", "unsure": "list"}
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_EPILOG = """\
Asks on a terminal; elsewhere, and with --no-input, what no option answers stays as it is by
default.

examples:
  costmeter init                                                  five questions
  costmeter init --no-input --gpus rented --price 2.49
  costmeter init --no-input --gpus bought --purchase 30000 --electricity 0.31 --currency EUR
"""


class _Stop(CostmeterError):
    """Nothing was written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter init`."""
    parser.description = "Write a configuration file from five answers."
    parser.epilog = _EPILOG
    parser.add_argument("--gpus", choices=tuple(_WHERE), help="where the GPUs come from")
    parser.add_argument("--price", metavar="P", help="price per GPU-hour: 2.49, 2.49/gpu-h, or 2.10 EUR")
    add_owner_flags(parser)
    add_site_flags(parser)
    parser.add_argument("--budget", metavar="AMOUNT", help="budget of a month, or 80/run; 0 is none")
    parser.add_argument("-o", "--output", metavar="FILE", default=FILE, help=f"where to write (default {FILE})")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--no-input", action="store_true", help="ask nothing")
    parser.add_argument("--simulate", metavar="SCENARIO", help="look at simulated GPUs for their list price")


def run(args: argparse.Namespace) -> int:
    """Ask, check, write. Raises UsageError for an answer on the command line that is none."""
    if os.path.lexists(args.output) and not args.force:
        raise UsageError(f"{args.output} is there already", "replace it: --force. Another place: -o FILE")
    if args.simulate is not None and args.simulate not in SCENARIOS:
        check_scenario(args.simulate)
    is_asking = not args.no_input and sys.stdin.isatty() and sys.stderr.isatty()
    answers = _Questions(args, is_asking).answers()
    _write(args.output, answers, args.force)
    is_found = os.path.normpath(args.output) == FILE  # by itself, from this folder
    option = "" if is_found else f" --config {shlex.quote(args.output)}"
    print(f"Wrote {args.output}. Try: costmeter config show{option}, then: costmeter run{option} -- nvidia-smi")
    return 0


#: An answer as it will be written, or an UsageError that says what was expected.
_Check = Callable[[str], str]


class _Questions:
    """The five questions. An option answers its question; a mistake on the terminal is told and asked again."""

    def __init__(self, args: argparse.Namespace, is_asking: bool) -> None:
        self._args, self._is_asking = args, is_asking
        self._currency = _currency(args.currency) if args.currency else ""

    def answers(self) -> "Answers":
        """All of them. The first amount that names a currency sets it, and no later one may name another."""
        from costmeter.config.draft import Answers

        args = self._args
        question = "1/5 Where do the GPUs come from? rented / bought / cluster / unsure"
        where = args.gpus or self._ask(question, "not sure", _where)
        paid = _WHERE[where or ("rented" if args.price else "bought" if args.purchase else "unsure")]
        price = purchase = electricity = None
        if paid == "rental":
            question = f"2/5 Price per GPU-hour in {self._currency or 'USD'}"
            price = self._answer("--price", args.price, question, self._list_price(), self._amount("gpu.price"))
        elif paid == "owned":
            question = f"2/5 What one GPU cost with its share of the server, in {self._currency or 'USD'}"
            purchase = self._answer("--purchase", args.purchase, question, None, self._amount("gpu.owned.purchase"))
            if purchase is None:
                raise UsageError("bought GPUs need their price", "costmeter init --gpus bought --purchase 30000")
        else:
            self._say("2/5 GPUs stay at the list price of their model.")
        if paid == "owned":
            currency = self._currency or "USD"
            question = f"3/5 Price per kWh in {currency}, or a tariff file (.yaml) or prices (.csv)"
            default = "0.12" if currency == "USD" else "not charged"
            electricity = self._answer("--electricity", args.electricity, question, default, self._electricity)
            question = "    PUE, facility energy over IT energy (a data centre: 1.1 to 1.6)"
            pue = self._answer("--pue", args.pue, question, "1", _pue)
        else:
            pue = self._given("--pue", args.pue, _pue)
            electricity = self._given("--electricity", args.electricity, self._electricity)
            self._say("3/5 Electricity is in the rent.")
        question = "4/5 Country or grid zone for CO2e (DE, US-CA, gcp/us-east1), or g/kWh"
        carbon = self._answer("--carbon", args.carbon, question, "world average", self._carbon)
        question = f"5/5 Monthly budget in {self._currency or 'USD'}, 0 for none"
        budget = self._answer("--budget", args.budget, question, "0", self._budget)
        currency = self._currency or "USD"
        return Answers(paid, currency, price, purchase, electricity, carbon, pue, budget)  # type: ignore[arg-type]  # by _WHERE

    def _answer(self, option: str, given: str | None, question: str, default: str | None, check: _Check) -> str | None:
        return self._ask(question, default, check) if given is None else self._given(option, given, check)

    def _given(self, option: str, given: str | None, check: _Check) -> str | None:
        try:
            return None if given is None else check(given.strip())
        except UsageError as error:
            raise UsageError(f'{option} "{given}": {error.message}', error.hint) from None

    def _ask(self, question: str, default: str | None, check: _Check) -> str | None:
        """An answer from the terminal; None for an empty one, which keeps the default where there is one."""
        if not self._is_asking:
            return None
        while True:
            self._prompt(f"{question}: " if default is None else f"{question} [{default}]: ")
            line = sys.stdin.readline()
            if not line:
                raise _Stop("no answer, so nothing was written", "costmeter init --no-input …")
            if not line.strip() and default is not None:
                return None
            try:
                return check(line.strip())
            except UsageError as error:
                self._say(f"    {error.message}")

    def _prompt(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        if self._is_asking:
            print(text, file=sys.stderr)

    def _amount(self, setting: str) -> _Check:
        """Money: a number of this setting, with or without a currency beside it.

        What was asked in USD and answered without another currency is in USD, and so is all that follows.
        """

        def check(text: str) -> str:
            number, currency = _without_currency(text)
            if currency and self._currency not in ("", currency):
                raise UsageError(f"the currency is {self._currency} already; nothing is converted")
            checked = _number(setting, _of_a_gpu_hour(number) if setting == "gpu.price" else number)
            self._currency = self._currency or currency or ("USD" if self._is_asking else "")
            return checked

        return check

    def _budget(self, text: str) -> str:
        """`500`, which is for a month, `500 USD` or `80/run`; "" for 0, which is none."""
        from costmeter.config.flags import split_budget

        if not text.strip("0."):
            return ""
        said = split_budget(text)
        if said is None:
            raise UsageError("expected an amount such as 500, which is for a month, or 80/run")
        amount, currency, per = said
        if currency not in ("", self._currency or "USD"):
            raise UsageError(f"the currency is {self._currency or 'USD'} already; nothing is converted")
        return f"{amount}/{per or 'month'}"

    def _electricity(self, text: str) -> str:
        if re.search(r"\.(csv|ya?ml)$", text, re.IGNORECASE):
            return self._file(text)
        return self._amount("electricity.price")(text)

    def _carbon(self, text: str) -> str:
        """Grams per kWh, a file, or the name of a zone that is known, as it was written."""
        from costmeter.config.shorthand import carbon

        if text.startswith("{"):
            raise UsageError("expected a zone such as DE, or a number such as 380")
        if re.search(r"\.csv$", text, re.IGNORECASE):
            return self._file(text)
        carbon(text)
        return text

    def _file(self, name: str) -> str:
        if not os.path.isfile(os.path.join(os.path.dirname(self._args.output), name)):
            raise UsageError(f"there is no file {name} beside {self._args.output}")
        return name

    def _list_price(self) -> str:
        """The list price of this machine's GPUs, as the default of the second question."""
        if self._currency not in ("", "USD"):
            return "none: list prices are in USD"
        if not self._is_asking:
            return "list price"
        from costmeter.rates.prices import default_price
        from costmeter.runtime.checkup import names

        for name in names(self._args.simulate):
            listed = default_price(name)
            if listed is not None:
                return f"list price {listed.price_usd_per_gpu_hour} USD of {listed.month} for {name}"
        return "list price"


def _where(text: str) -> str:
    """Where GPUs come from, by the beginning of a word."""
    words = {"shared": "cluster", "not": "unsure", "owned": "bought"}
    known = [*_WHERE, *words]
    match = [word for word in known if word.startswith(text.casefold().split()[0])]
    if not match:
        raise UsageError("expected rented, bought, cluster or unsure")
    return words.get(match[0], match[0])


def _number(setting: str, text: str) -> str:
    """A number of the grammar, as it was written. Raises UsageError with what is expected."""
    from costmeter.config.number import complaint
    from costmeter.config.shorthand import number_of

    problem = complaint(number_of(setting), text)
    if problem is not None:
        raise UsageError(problem)
    return text


def _pue(text: str) -> str:
    return _number("electricity.pue", text)


def _of_a_gpu_hour(text: str) -> str:
    """The number in `2.49/gpu-h`, as `--price` of `run` takes it; any other text as it is."""
    from costmeter.config.flags import parse_price

    try:
        return parse_price(text)
    except UsageError:
        return text  # the grammar says better what was expected


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text, re.ASCII):
        raise UsageError(f'--currency "{text}": expected three capital letters such as USD')
    return text


def _without_currency(text: str) -> tuple[str, str]:
    """The number in `2.10 EUR`, `EUR 2.10` or `€2.10`, and its currency ("" where none is named)."""
    match = re.fullmatch(r"([A-Z]{3}|[$€£])?\s*([^A-Z$€£\s]+)\s*([A-Z]{3}|[$€£])?", text)
    if match is None:
        return text, ""
    currency = match[1] or match[3] or ""
    return match[2], _SIGNS.get(currency, currency)


def _write(path: str, answers: "Answers", replace: bool) -> None:
    """Write the file whole or not at all. Raises CostmeterError when it cannot be written."""
    from costmeter.cli import wholefile
    from costmeter.config.draft import draft

    if os.path.lexists(path) and not replace:  # somebody wrote it while we asked
        raise _Stop(f"{path} is there by now, so nothing was written", "replace it: --force. Another place: -o FILE")
    wholefile.write(path, draft(answers), path, "another place: -o FILE")
