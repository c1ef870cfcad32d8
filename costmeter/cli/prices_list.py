"""`costmeter prices list`: rows of the bundled tables, and the tariff files of a folder."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from costmeter.cli import folder
from costmeter.cli.printing import to_json
from costmeter.errors import UsageError
from costmeter.outputs.columns import columns

if TYPE_CHECKING:
    from costmeter.meter.tariff import Tariff
    from costmeter.rates.grid import Factor

Record = dict[str, str]


def run(args: argparse.Namespace) -> int:
    """Print the rows that have all words; 1 when none has."""
    if args.limit < 0:
        raise UsageError("--limit cannot be negative", "--limit 20; 0 is all")
    records = list({"gpu": gpu_records, "carbon": _carbon, "tariffs": _tariffs}[args.kind](args.words))
    shown = records[: args.limit] if args.limit else records
    if args.json:
        sys.stdout.write(to_json(shown))
        return int(not records)
    if not records:
        print(f"nothing has all of: {' '.join(args.words)}" if args.words else "nothing to list", file=sys.stderr)
        return 1
    header = [list(shown[0]), *(list(_briefly(record).values()) for record in shown)]
    print("\n".join(columns(header, right=frozenset({0}))))
    if len(shown) < len(records):
        print(f"and {len(records) - len(shown)} more: --limit 0, or more words")
    print(_ENDINGS[args.kind])
    return 0


_ENDINGS = {
    "gpu": "List prices of public catalogues, before tax, to be confirmed. Doubts: costmeter prices show KEY",
    "carbon": "Lifecycle and direct factors count different things: compare like with like.",
    "tariffs": "In full: costmeter prices show FILE",
}


def _briefly(record: Record) -> Record:
    """Of several doubts the first, and how many more there are."""
    first, *more = record.get("doubts", "").split("; ")
    return {**record, "doubts": f"{first}; and {len(more)} more" if more else first} if first else record


def _has(text: str, words: Sequence[str]) -> bool:
    """Whether every word begins somewhere in the text, without regard to case: `us` is not in `plus`.

    Blanks part words within one argument too, as in "H100 SXM".
    """
    parts = [part for word in words for part in word.casefold().split()]
    return all(re.search(rf"(?<![a-z0-9]){re.escape(part)}", text.casefold()) for part in parts)


def gpu_records(words: Sequence[str]) -> Iterator[Record]:
    """Each price of the catalogue that has all words, cheapest first; `doubts` are parted by semicolons."""
    from costmeter.rates.catalog import KINDS, offers, traps

    found: list[tuple[Decimal, Record]] = []
    for offer in offers():
        for kind in KINDS:
            price = offer.price(kind)
            key = f"{offer.key}/{kind}"
            if price is not None and _has(f"{key} {offer.gpu_key}", words):
                record = {
                    "USD/GPU-h": f"{price:.4f}",
                    "key": key,
                    "gpus": f"{offer.gpus:f}",
                    "model": offer.gpu_key,
                    "date": offer.dated(kind),
                    "source": offer.sourced(kind),
                    "doubts": "; ".join(traps(offer, kind)),
                }
                found.append((price, record))
    return (record for _, record in sorted(found, key=lambda one: (one[0], one[1]["key"])))


def _carbon(words: Sequence[str]) -> Iterator[Record]:
    from costmeter.rates.grid import SOURCES, factors

    found = [one for one in factors() if _has(f"{one.code} {one.name} {one.scope} {one.iso2}", words)]
    codes = {word.casefold() for word in words}
    for one in sorted(found, key=lambda factor: (not _is_named(factor, codes), factor.grams_per_kwh, factor.code)):
        yield {
            "g/kWh": f"{one.grams_per_kwh:f}",
            "zone": one.spelling,
            "name": one.name,
            "year": str(one.year),
            "scope": one.scope,
            "method": one.method,
            "source": SOURCES.get(one.source, one.source),
        }


def _is_named(factor: "Factor", words: set[str]) -> bool:
    """Whether a whole code or name was typed: that zone comes first, before all that merely have the letters."""
    return not words.isdisjoint(name.casefold() for name in (factor.code, factor.name, factor.iso2, factor.iso3))


def _tariffs(words: Sequence[str]) -> Iterator[Record]:
    """The plans of the YAML files in the folders named, else here and in `tariffs`; other files are passed over."""
    folders = [word for word in words if os.path.isdir(word)]
    wanted = [word for word in words if word not in folders]
    for word in wanted:
        if os.sep in word:
            raise UsageError(f'there is no folder "{word}"', "costmeter prices list --kind tariffs FOLDER")
    for where in folders or [folder.current(), "tariffs"]:
        for path, tariff in _plans(where):
            shown = os.path.relpath(path, folder.current())
            if _has(f"{tariff.id} {tariff.name} {shown}", wanted):
                yield {
                    "currency": tariff.currency,
                    "id": tariff.id,
                    "name": tariff.name,
                    "valid": f"{tariff.valid_from or '…'} to {tariff.valid_to or '…'}",
                    "file": shown,
                }


def _plans(where: str) -> Iterator[tuple[str, "Tariff"]]:
    from costmeter.config.tariff import read_tariffs

    try:
        names = sorted(os.listdir(where))
    except OSError:
        return
    for name in names:
        path = os.path.join(where, name)
        if name.endswith((".yaml", ".yml")) and os.path.isfile(path):
            tariffs, faults = read_tariffs(path, name)
            yield from ((path, tariff) for tariff in (() if faults else tariffs))
