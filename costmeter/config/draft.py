"""A configuration file written from a few answers: only what was answered, with a word on each line."""

import re
from dataclasses import dataclass
from typing import Literal

from costmeter.config.quoting import plain

#: How the GPUs are paid for: `list` leaves them at the list prices of their models.
Paid = Literal["list", "rental", "owned"]

_NUMBER = re.compile(r"[0-9.+-][0-9.eE+-]*", re.ASCII)
_FILE = re.compile(r".*\.(csv|ya?ml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody said. Texts are values of the grammar that were checked already; None is "as it is by default".

    `price` is per GPU-hour, `purchase` per GPU, `electricity` a price per kWh, a tariff file (YAML) or a dated series
    (CSV), `carbon` grams per kWh, a series or the name of a zone, `budget` an amount and whose spending counts.
    """

    paid: Paid = "list"
    currency: str = "USD"
    price: str | None = None
    purchase: str | None = None
    electricity: str | None = None
    carbon: str | None = None
    pue: str | None = None
    budget: str | None = None


#: A line of the file, and a word on it.
_Line = tuple[str, str]
#: Words stand in this column, or behind what is longer.
_WORDS_AT = 32


def draft(answers: Answers) -> str:
    """The file as text. It holds no secrets and reads back as what was answered."""
    title = "# Settings of costmeter. Keys: docs/configuration.md. What is in effect, and why: costmeter config show"
    lines = [(f"currency: {answers.currency}", ""), *_gpu(answers), *_electricity(answers)]
    if answers.carbon is not None:
        lines += [("carbon:", ""), (f"  intensity: {_carbon(answers.carbon)}", "CO2e of a kWh")]
    if answers.budget:
        lines.append((f"budget: {answers.budget}", "warns; see: costmeter budget"))
    worded = [f"{line:<{_WORDS_AT}}# {word}" if len(line) < _WORDS_AT else f"{line}  # {word}" for line, word in lines]
    shown = [both if word else line for both, (line, word) in zip(worded, lines, strict=True)]
    return "\n".join([title, *shown]) + "\n"


def _gpu(answers: Answers) -> list[_Line]:
    if answers.paid == "owned":
        return [
            ("gpu:", ""),
            ("  billing: owned", "capital by the hour, and electricity"),
            ("  owned:", ""),
            (f"    purchase: {answers.purchase}", "one GPU with its share of the server"),
            ("    life_years: 4", ""),
        ]
    if answers.paid == "rental" and answers.price is not None:
        return [("gpu:", ""), (f"  price: {answers.price}", "per GPU-hour; rent includes electricity")]
    return [("# gpu: {price: 2.49}", "per GPU-hour; until it is set, the list price of your model")]


def _electricity(answers: Answers) -> list[_Line]:
    lines: list[_Line] = []
    if answers.electricity is not None:
        word = "" if answers.paid == "owned" else "charged for owned GPUs only: rent includes it"
        lines.append((f"  price: {_price(answers.electricity)}", word))
    if answers.pue is not None:
        lines.append((f"  pue: {answers.pue}", "facility energy over IT energy"))
    return [("electricity:", ""), *lines] if lines else []


def _price(text: str) -> str:
    """A number or a series as they are; a tariff file as a reference."""
    if re.search(r"\.ya?ml$", text, re.IGNORECASE):
        return f"{{tariff: {plain(text)}}}"
    return plain(text)


def _carbon(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return text
    return plain(text) if _FILE.fullmatch(text) else f"{{zone: {plain(text)}}}"
