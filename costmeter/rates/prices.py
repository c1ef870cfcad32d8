"""What holds when nobody configured anything: a list price and an embodied carbon per GPU model, and the world's grid.

The tables are dated snapshots of public facts, shipped in `data/`; their comment headers state the rule they were made
by and their sources. They are defaults to be replaced, and every figure made from them says so.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"

#: List prices and the default electricity price are in this currency; they never serve another one.
DEFAULT_CURRENCY = "USD"
#: Roughly what US industry pays; used for owned GPUs when no price is set.
DEFAULT_ELECTRICITY_PER_KWH = Decimal("0.12")
#: Ember's yearly data as republished in CO2.js (June 2026, CC BY-SA 4.0): World, 2024, lifecycle, location average.
WORLD_GRAMS_PER_KWH = Decimal("472.94")
WORLD_SCOPE = "lifecycle"
WORLD_GRID = "world average 2024, lifecycle (Ember via CO2.js)"
#: Embodied carbon is spread evenly over this many years of being powered.
EMBODIED_LIFE_YEARS = 4
HOURS_PER_YEAR = 8_760


@dataclass(frozen=True, slots=True)
class DefaultPrice:
    """The list price of one GPU model: the median seller's, with the range over all sellers of the snapshot."""

    gpu_key: str
    price_usd_per_gpu_hour: Decimal
    low: Decimal
    high: Decimal
    sellers: int
    seller: str
    snapshot_date: str
    source: str

    @property
    def month(self) -> str:
        """Year and month of the snapshot, `2026-05`."""
        return self.snapshot_date[:7]


@dataclass(frozen=True, slots=True)
class Embodied:
    """The carbon of making one GPU, and who says so."""

    gpu_key: str
    kilograms: Decimal
    source: str

    @property
    def grams_per_hour(self) -> Decimal:
        """kg × 1000 / (4 years × 8,760 h)."""
        return self.kilograms * 1_000 / (EMBODIED_LIFE_YEARS * HOURS_PER_YEAR)


def default_price(nvml_name: str) -> DefaultPrice | None:
    """The list price of a GPU by the name the driver reports; None for a model nobody lists."""
    return _prices().get(model(nvml_name))


def embodied(nvml_name: str) -> Embodied | None:
    """The embodied carbon of a GPU by the name the driver reports; None where no figure is published."""
    return _embodied().get(model(nvml_name))


def model(nvml_name: str) -> str:
    """The board's name without what drivers of different ages put before it ("NVIDIA ", "Tesla ") and without case.

    A MIG instance's name is its board's and its profile (`NVIDIA A100-SXM4-80GB MIG 3g.40gb`): the profile goes.
    """
    name = " ".join(nvml_name.casefold().split()).partition(" mig ")[0]
    return name.removeprefix("nvidia ").removeprefix("tesla ")


@cache
def _prices() -> dict[str, DefaultPrice]:
    prices = {}
    for row in rows("default_prices.csv"):
        price = DefaultPrice(
            row["gpu_key"],
            Decimal(row["price_usd_per_gpu_hour"]),
            Decimal(row["low"]),
            Decimal(row["high"]),
            int(row["sellers"]),
            row["seller"],
            row["snapshot_date"],
            row["source"],
        )
        prices.update(dict.fromkeys(map(model, row["nvml_names"].split("|")), price))
    return prices


def key(nvml_name: str) -> str:
    """What the tables call a model by the name the driver reports, `H100-80GB-SXM5`; empty where they have none."""
    return _keys().get(model(nvml_name), "")


@cache
def _keys() -> dict[str, str]:
    names = ((row["gpu_key"], row["nvml_names"].split("|")) for row in rows("gpu_models.csv"))
    return {model(name): key for key, spelled in names for name in spelled}


@cache
def _embodied() -> dict[str, Embodied]:
    figures = {}
    for row in rows("gpu_models.csv"):
        if row["embodied_kgco2e"]:
            figure = Embodied(row["gpu_key"], Decimal(row["embodied_kgco2e"]), row["embodied_source"])
            figures.update(dict.fromkeys(map(model, row["nvml_names"].split("|")), figure))
    return figures


def rows(filename: str) -> Iterator[dict[str, str]]:
    """The rows of a table in `data/`, without its comments."""
    with (DATA / filename).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))
