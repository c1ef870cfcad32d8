"""A configuration file written from a few answers: only what was answered, with a word on each line."""

import json
import re
from dataclasses import dataclass
from typing import Literal

#: How the GPUs are paid for: `list` leaves them at the list prices of their models.
Paid = Literal["list", "rental", "owned"]

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", re.ASCII)
_FILE = re.compile(r".*\.(csv|ya?ml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody said. Texts are values of the grammar that were checked already; None is "as it is by default".

    `price` is per GPU-hour, `purchase` per GPU, `electricity` a price per kWh, a tariff file (YAML) or a dated series
    (CSV), `carbon` grams per kWh or the name of a zone.
    """

    paid: Paid = "list"
    currency: str = "USD"
    price: str | None = None
    purchase: str | None = None
    electricity: str | None = None
    carbon: str | None = None
    pue: str | None = None


def draft(answers: Answers) -> str:
    """The file as text. It holds no secrets and reads back as what was answered."""
    lines = ["# costmeter.yaml. Every key: docs/configuration.md. What is in effect, and why: costmeter config show"]
    lines.append(f"currency: {answers.currency}")
    lines += _gpu(answers)
    electricity = [] if answers.electricity is None else [f"  price: {_price(answers.electricity)}"]
    if answers.pue is not None:
        electricity.append(f"  pue: {answers.pue}                      # facility energy over IT energy")
    if electricity:
        lines += ["electricity:", *electricity]
    if answers.carbon is not None:
        lines += ["carbon:", f"  intensity: {_carbon(answers.carbon)}"]
    return "\n".join(lines) + "\n"


def _gpu(answers: Answers) -> list[str]:
    if answers.paid == "owned":
        return [
            "gpu:",
            "  billing: owned                # capital by the hour, and electricity",
            "  owned:",
            f"    purchase: {answers.purchase}             # one GPU with its share of the server",
            "    life_years: 4",
        ]
    if answers.paid == "rental" and answers.price is not None:
        return ["gpu:", f"  price: {answers.price}                 # per GPU-hour; rent includes electricity"]
    return ["# gpu: {price: 2.49}           # per GPU-hour; until it is set, the list price of your model"]


def _price(text: str) -> str:
    """A number or a series as they are; a tariff file as a reference."""
    if re.search(r"\.ya?ml$", text, re.IGNORECASE):
        return f"{{tariff: {_quoted(text)}}}"
    return _quoted(text)


def _carbon(text: str) -> str:
    is_number = re.fullmatch(r"[0-9.]+", text) is not None
    return text if is_number or _FILE.fullmatch(text) else f"{{zone: {_quoted(text)}}}"


def _quoted(text: str) -> str:
    """Plain where that cannot be misread, else in quotes."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
