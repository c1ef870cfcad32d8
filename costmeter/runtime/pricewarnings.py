"""What is said at the start of a run, and by `doctor`, of prices that are missing or are another model's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from costmeter.meter.charge import Rates
from costmeter.outputs.gpus import numbers
from costmeter.rates.book import Book
from costmeter.readings import Device

_MISSING = "missing: "


@dataclass(frozen=True, slots=True)
class PriceWarning:
    """What is the matter, and what to type. `is_missing` tells a price that is not there from one that is doubtful."""

    text: str
    fix: str
    is_missing: bool

    def __str__(self) -> str:
        return f"{self.text}. {'Set one' if self.is_missing else 'Find its own'}: {self.fix}"


def price_warnings(book: Book, devices: Sequence[Device], rates: Rates) -> list[PriceWarning]:
    """One for each model without a price, and for each that is charged the list price of another."""
    found = []
    for name, gpus in _by_name(book.unpriced(devices)).items():
        origin = rates.origins.get("gpu.price") or rates.origins[f"gpu.price.{gpus[0].uuid}"]
        why = origin.detail.partition(";")[0].removeprefix(_MISSING)
        reason = f": {why}" if origin.detail.startswith(_MISSING) and name not in why else ""
        fix = "--price P, or in costmeter.yaml:  gpu: {price: P}"
        found.append(PriceWarning(f'no price for "{name}" ({_numbered(gpus)}){reason}', fix, True))
    of_others = dict(book.misplaced(devices))
    for name, gpus in _by_name(of_others).items():
        meant = of_others[gpus[0]]
        text = f'the catalogue price is of {meant}, and {_numbered(gpus)} is "{name}"'
        found.append(PriceWarning(text, "costmeter prices list", False))
    return found


def _by_name(devices: Iterable[Device]) -> dict[str, list[Device]]:
    found: dict[str, list[Device]] = {}
    for device in devices:
        found.setdefault(device.name, []).append(device)
    return found


def _numbered(gpus: Sequence[Device]) -> str:
    return f"GPU {numbers(gpu.index for gpu in gpus)}"
