"""`costmeter init`: five questions, or their answers as options, and a configuration file that says them."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from costmeter.errors import CostmeterError, UsageError

if TYPE_CHECKING:
    from costmeter.config.draft import Answers
    from costmeter.config.grammar import Number

FILE = "costmeter.yaml"
_WHERE = {"rented": "rental", "bought": "owned", "cluster": "rental", "unsure": "list"}
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_EPILOG = """\
Asks on a terminal; elsewhere, and with --no-input, what no option answers stays as it is by default.

examples:
  costmeter init                                                  five questions
  costmeter init --no-input --gpus rented --price 2.49
  costmeter init --no-input --gpus bought --purchase 30000 --electricity tariff.yaml --carbon DE --currency EUR
"""


class _Stop(CostmeterError):
    """Nothing was written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `costmeter init`."""
    parser.description = "Write a configuration file from five answers."
    parser.epilog = _EPILOG
    parser.add_argument("--gpus", choices=tuple(_WHERE), help="where the GPUs come from")
    parser.add_argument("--price", metavar="P", help="price per GPU-hour: 2.49, or 2.10 EUR")
    parser.add_argument("--purchase", metavar="P", help="price of one bought GPU with its share of the server")
    parser.add_argument("--electricity", metavar="P", help="price per kWh, a tariff file (.yaml) or prices (.csv)")
    parser.add_argument("--carbon", metavar="ZONE", help="country or grid zone, or grams of CO2e per kWh")
    parser.add_argument("--pue", metavar="N", help="facility energy over IT energy")
    parser.add_argument("--currency", metavar="CUR", help="currency of every price (default USD)")
    parser.add_argument("-o", "--output", metavar="FILE", default=FILE, help=f"where to write (default {FILE})")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--no-input", action="store_true", help="ask nothing")
    parser.add_argument("--simulate", metavar="SCENARIO", help="look at simulated GPUs for their list price")


def run(args: argparse.Namespace) -> int:
    """Ask, check, write. Raises UsageError for an answer on the command line that is none."""
    if os.path.lexists(args.output) and not args.force:
        raise UsageError(f"{args.output} is there already", "replace it: --force. Another place: -o FILE")
    is_asking = not args.no_input and sys.stdin.isatty() and sys.stderr.isatty()
    answers = _Questions(args, is_asking).answers()
    _write(args.output, answers, args.force)
    print(f"Wrote {args.output}. Try: costmeter config show, then: costmeter run -- nvidia-smi")
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
        where = args.gpus or self._ask("1/5 Where do the GPUs come from? rented / bought / cluster / unsure", _where)
        paid = _WHERE[where or ("rented" if args.price else "bought" if args.purchase else "unsure")]
        price = purchase = electricity = None
        if paid == "rental":
            label = f"2/5 Price per GPU-hour in {self._currency or 'USD'}, {self._list_price()}"
            price = self._answer("--price", args.price, label, self._amount("gpu.price"))
        elif paid == "owned":
            label = f"2/5 What one GPU cost with its share of the server, in {self._currency or 'USD'}"
            purchase = self._answer("--purchase", args.purchase, label, self._amount("gpu.owned.purchase"))
            if purchase is None:
                raise UsageError("bought GPUs need their price", "costmeter init --gpus bought --purchase 30000")
        else:
            self._say("2/5 GPUs stay at the list price of their model.")
        if paid == "owned":
            label = "3/5 Price per kWh, or a tariff file (.yaml) or prices (.csv), 0.12 USD"
            electricity = self._answer("--electricity", args.electricity, label, self._electricity)
        else:
            electricity = self._given("--electricity", args.electricity, self._electricity)
            self._say("3/5 Electricity is in the rent.")
        label = "4/5 Country or grid zone for CO2e (DE, US-CA, gcp/us-east1), or g/kWh, world average"
        carbon = self._answer("--carbon", args.carbon, label, _carbon)
        label = "5/5 PUE, facility energy over IT energy (a data centre: 1.1 to 1.6), 1"
        pue = self._answer("--pue", args.pue, label, lambda text: _number("electricity.pue", text))
        currency = self._currency or "USD"
        return Answers(paid, currency, price, purchase, electricity, carbon, pue)  # type: ignore[arg-type]  # by _WHERE

    def _answer(self, option: str, given: str | None, question: str, check: _Check) -> str | None:
        return self._ask(question, check) if given is None else self._given(option, given, check)

    def _given(self, option: str, given: str | None, check: _Check) -> str | None:
        try:
            return None if given is None else check(given.strip())
        except UsageError as error:
            raise UsageError(f'{option} "{given}": {error.message}', error.hint) from None

    def _ask(self, question: str, check: _Check) -> str | None:
        """An answer from the terminal; None for an empty one, which keeps the default named after the last comma."""
        if not self._is_asking:
            return None
        text, _, default = question.rpartition(", ") if ", " in question else (question, "", "not sure")
        while True:
            self._prompt(f"{text} [{default}]: ")
            line = sys.stdin.readline()
            if not line:
                raise _Stop("no answer, so nothing was written", "costmeter init --no-input …")
            if not line.strip():
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
        """Money: a number of this setting, with or without a currency beside it."""

        def check(text: str) -> str:
            number, currency = _without_currency(text)
            if currency and self._currency not in ("", currency):
                raise UsageError(f"the currency is {self._currency} already; nothing is converted")
            checked = _number(setting, number)
            self._currency = self._currency or currency
            return checked

        return check

    def _electricity(self, text: str) -> str:
        if re.search(r"\.(csv|ya?ml)$", text, re.IGNORECASE):
            if not os.path.isfile(os.path.join(os.path.dirname(self._args.output), text)):
                raise UsageError(f"there is no file {text} beside {self._args.output}")
            return text
        return self._amount("electricity.price")(text)

    def _list_price(self) -> str:
        """The list price of this machine's GPUs, as the default of the second question."""
        if not self._is_asking:
            return "list price"
        from costmeter.rates.prices import default_price
        from costmeter.runtime.checkup import names

        for name in names(self._args.simulate):
            listed = default_price(name)
            if listed is not None and self._currency in ("", "USD"):
                return f"list price {listed.price_usd_per_gpu_hour} USD of {listed.month} for {name}"
        return "list price"


def _where(text: str) -> str:
    words = {"shared": "cluster", "not": "unsure", "owned": "bought"}
    known = [*_WHERE, *words]
    match = [word for word in known if word.startswith(text.casefold().split()[0])]
    if not match:
        raise UsageError("expected rented, bought, cluster or unsure")
    return words.get(match[0], match[0])


def _number(setting: str, text: str) -> str:
    """A number of the grammar, as it was written. Raises UsageError with what is expected."""
    from costmeter.config.number import complaint

    problem = complaint(_kind(setting), text)
    if problem is not None:
        raise UsageError(problem)
    return text


def _kind(setting: str) -> "Number":
    from costmeter.config.grammar import Number, Price, keys

    kind = dict(keys())[setting].kind
    number = kind.number if isinstance(kind, Price) else kind
    assert isinstance(number, Number)
    return number


def _carbon(text: str) -> str:
    """Grams per kWh, or the name of a zone that is known."""
    from costmeter.config.number import decimal
    from costmeter.rates.grid import zone

    if decimal(text) is not None:
        if not 0 <= Decimal(text) <= 10_000:
            raise UsageError("grams of CO2e per kWh are 0 to 10000")
        return text
    try:
        zone(text)
    except LookupError as unknown:
        raise UsageError(str(unknown.args[0])) from None
    return text


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
    from costmeter.config.draft import draft

    to = f"{path}.{os.getpid()}" if replace else path
    try:
        with open(to, "x", encoding="utf-8") as file:
            try:
                file.write(draft(answers))
                file.flush()
                os.fsync(file.fileno())
                if replace:
                    os.replace(to, path)
            except OSError:
                os.unlink(to)
                raise
    except OSError as refusal:
        raise _Stop(f"{path} cannot be written: {refusal.strerror or refusal}", "another place: -o FILE") from refusal
