"""What sellers list their GPU machines at: the catalogue in `data/catalog.csv`, by keys such as

`aws/p4d.24xlarge/us-east-1/spot`: provider, instance, region and kind of price. The kind is `on_demand` where none is
named. A row of one price everywhere has the region `*`, answers to any region, and needs none.

The catalogue is a dated snapshot of public lists, and such lists contain wrong rows: a price from it is a default to
confirm, and `traps` says why to doubt a row. Each price has its own source, and is as old as that. The file's header
states the licences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal, get_args

from costmeter.rates.prices import rows

Kind = Literal["on_demand", "spot", "reserved_1yr"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Every price of the catalogue is in this currency, before tax.
CURRENCY = "USD"
EVERYWHERE = "*"
#: Where the prices were read, by the ids of the table: public tables at GitHub.
SOURCES = {
    "S1": "GitHub tsaol/aws-gpu",
    "S2": "GitHub aws/karpenter-provider-aws",
    "S3": "GitHub coroot/cloud-pricing",
    "S4": "GitHub anycloud-sh/catalog",
    "S5": "GitHub Azure/karpenter-provider-azure",
    "S6": "GitHub sooddvs/gpu-pricing",
    "S7": "GitHub skypilot-org/skypilot-catalog",
    "S8": "GitHub tardellirs/gpu-pricing",
}
#: When each source was as it was read: an ISO day, or a month where no more is known.
DATES = {
    "S1": "2026-01-21",
    "S2": "2026-07-20",
    "S3": "2024-08-09",
    "S4": "2026-05-20",
    "S5": "2026-06-18",
    "S6": "2026-06-15",
    "S7": "2026-10",
    "S8": "2026-05-24",
}
#: When the catalogue was collected: a price is old by this day, not by today's, so that its traps do not change.
COLLECTED = "2026-11-22"
#: Sellers whose price is the cheapest offer of one day.
MARKETPLACES = frozenset({"akash", "salad", "spheron", "tensordock", "vast"})
#: A year's reservation priced like this many hours on demand is the price of a term, not of an hour.
_TERM_HOURS = 24
_STALE_DAYS = 365


@dataclass(frozen=True, slots=True)
class Published:
    """A price as its seller publishes it: an hour of the whole machine, or of one GPU where `per_gpu`."""

    on_demand: Decimal | None
    spot: Decimal | None
    reserved_1yr: Decimal | None
    per_gpu: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """One row of the catalogue. `gpus` below 1 is a slice of a shared GPU.

    `on_demand`, `spot` and `reserved_1yr` are USD per hour of one GPU as its driver counts them (a slice is one), so
    that the GPUs of a machine add up to its price; None is not offered, or not known. `source_ids` has the source of
    each price there is.
    """

    provider: str
    instance: str
    region: str
    gpu_key: str
    gpus: Decimal
    published: Published
    source_ids: Mapping[Kind, str]
    notes: str

    @property
    def key(self) -> str:
        """`provider/instance/region`, as it is asked for."""
        return f"{self.provider}/{self.instance}/{self.region}"

    @property
    def on_demand(self) -> Decimal | None:
        """USD per GPU-hour, without a commitment."""
        return self._per_gpu(self.published.on_demand)

    @property
    def spot(self) -> Decimal | None:
        """USD per GPU-hour while the seller does not want the machine back."""
        return self._per_gpu(self.published.spot)

    @property
    def reserved_1yr(self) -> Decimal | None:
        """USD per GPU-hour when committed to for a year, used or not."""
        return self._per_gpu(self.published.reserved_1yr)

    def price(self, kind: Kind) -> Decimal | None:
        """USD per GPU-hour of a kind; None when it is not offered."""
        return self._per_gpu(self.as_published(kind))

    def as_published(self, kind: Kind) -> Decimal | None:
        """The figure of the seller's own list."""
        prices = {"on_demand": self.published.on_demand, "spot": self.published.spot}
        return prices.get(kind, self.published.reserved_1yr)

    def dated(self, kind: Kind) -> str:
        """The ISO day or month its source gives for a price; empty where there is no price of the kind."""
        return DATES.get(self.source_ids.get(kind, ""), "")

    def sourced(self, kind: Kind) -> str:
        """Where the price of a kind was read, by name; empty where there is none."""
        return SOURCES.get(self.source_ids.get(kind, ""), "")

    def _per_gpu(self, price: Decimal | None) -> Decimal | None:
        return price if price is None or self.published.per_gpu else price / max(self.gpus, Decimal(1))


@cache
def offers() -> tuple[Offer, ...]:
    """Every row of the catalogue, in its order."""
    return tuple(map(_offer, _table()))


def find(key: str) -> tuple[Offer, Kind]:
    """The row and the kind of price that `provider/instance/region[/kind]` names, without regard to case.

    Raises LookupError with a text that says what exists nearest: for an unknown provider, instance or region, for a
    region that is missing although prices differ by region, and for a kind that is not offered there.
    """
    provider, _, rest = key.strip().casefold().partition("/")
    parts = rest.split("/")
    kind: Kind = next((kind for kind in KINDS if len(parts) > 1 and parts[-1] == kind), "on_demand")
    named = len(parts) > 1 and parts[-1] in KINDS
    instance, region, *beyond = [*(parts[:-1] if named else parts), "", ""]
    if any(beyond):
        raise LookupError(f"a key is provider/instance/region or provider/instance/region/{'|'.join(KINDS)}")
    offer = _offer(_in_region(_of_instance(_of_provider(provider), provider, instance), region))
    if offer.price(kind) is None:
        offered = [f"{other} {offer.price(other):f}" for other in KINDS if offer.price(other) is not None]
        raise LookupError(f"{offer.key} has no {kind} price in the catalogue; it has {' and '.join(offered)}")
    return offer, kind


def traps(offer: Offer, kind: Kind | None = None) -> tuple[str, ...]:
    """Why to doubt a row, each reason in words; with a kind only what concerns that kind of price."""
    on_demand, spot, reserved = offer.published.on_demand, offer.published.spot, offer.published.reserved_1yr
    asked = (kind,) if kind else KINDS
    found: list[tuple[bool, str]] = [
        (offer.provider in MARKETPLACES or "arketplace" in offer.notes, "marketplace: the cheapest offer of one day"),
        (is_gpu_alone(offer), "the GPU alone: the machine around it is billed beside it"),
        (offer.gpu_key.endswith("-unspecified"), "the seller does not say which model: SXM or PCIe"),
        (offer.gpus < 1, f"a slice: {offer.gpus} of a GPU"),
        ("stale" in offer.notes, "the source calls it stale"),
        ("Virtualized" in offer.notes or "labels" in offer.notes, "virtualized, or labelled as another model"),
        ("local SSD not included" in offer.notes, "local SSD not included"),
        ("Flex-start" in offer.notes, "no on-demand price known: the lists give Flex-start's in its place"),
        (
            "spot" in asked and None not in (spot, on_demand) and bool(spot and on_demand and spot >= on_demand),
            "spot is no cheaper than on demand: probably not a spot price",
        ),
        ("spot" in asked and "spot equals on-demand" in offer.notes, "the source's spot price was its on-demand price"),
        ("spot" in asked and spot is not None, f"spot price of {offer.dated('spot')}: it changes by the hour"),
        (
            "reserved_1yr" in asked and bool(reserved and on_demand and reserved > on_demand * _TERM_HOURS),
            "the reserved price looks like that of a whole term",
        ),
        ("reserved_1yr" in asked and reserved is not None, "reserved: paid for the whole year, used or not"),
    ]
    dates = {each: offer.dated(each) for each in asked if each != "spot"}
    found += [(_is_stale(dated), f"{each} price of {dated}: over a year old") for each, dated in dates.items()]
    return tuple(reason for applies, reason in found if applies)


def is_gpu_alone(offer: Offer) -> bool:
    """Whether the price is of a GPU without the machine it is in."""
    return offer.instance.startswith(("accelerator:", "part:")) or "billed separately" in offer.notes


def _is_stale(dated: str) -> bool:
    """Whether a price was already a year old when the catalogue was collected; no date is no price."""
    from datetime import date, timedelta

    if not dated:
        return False
    day = date.fromisoformat(dated if len(dated) == len(COLLECTED) else f"{dated}-01")
    return date.fromisoformat(COLLECTED) - day > timedelta(days=_STALE_DAYS)


def _of_provider(provider: str) -> list[dict[str, str]]:
    found = [row for row in _table() if row["provider"] == provider]
    if not found:
        raise LookupError(f"no provider {_quoted(provider)} in the catalogue{_near(provider, 'provider', _table())}")
    return found


def _of_instance(rows: list[dict[str, str]], provider: str, instance: str) -> list[dict[str, str]]:
    found = [row for row in rows if row["instance_type"].casefold() == instance]
    if not found:
        near = _near(instance, "instance_type", rows)
        raise LookupError(f"no instance {_quoted(instance)} of {provider} in the catalogue{near}")
    return found


def _in_region(rows: list[dict[str, str]], region: str) -> dict[str, str]:
    for row in rows:
        if row["region"].casefold() == region or row["region"] == EVERYWHERE:
            return row
    where = f"{rows[0]['provider']}/{rows[0]['instance_type']}"
    if not region:
        raise LookupError(f"{where} has a price per region: add one{_near(region, 'region', rows)}")
    raise LookupError(f"no price of {where} in {_quoted(region)}{_near(region, 'region', rows)}")


def _near(wanted: str, column: str, rows: Iterable[dict[str, str]]) -> str:
    """The end of a refusal: the nearest known words, else the first few."""
    from difflib import get_close_matches

    known = list(dict.fromkeys(row[column] for row in rows))
    near = get_close_matches(wanted, known, n=3, cutoff=0.6)
    near += [word for word in known if wanted and wanted in word.casefold() and word not in near][: 3 - len(near)]
    if near:
        return f". Did you mean {' or '.join(map(_quoted, near))}?"
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f". Known here: {', '.join(known[:8])}{more}"


def _quoted(word: str) -> str:
    return f'"{word}"'


@cache
def _table() -> tuple[dict[str, str], ...]:
    return tuple(rows("catalog.csv"))


def _offer(row: dict[str, str]) -> Offer:
    return Offer(
        row["provider"],
        row["instance_type"],
        row["region"],
        row["gpu_name"],
        Decimal(row["gpu_count"]),
        Published(
            _price(row["on_demand_usd_per_hour"]),
            _price(row["spot_usd_per_hour"]),
            _price(row["reserved_1yr_usd_per_hour"]),
            "per GPU" in row["notes"].split(";")[0],
        ),
        {kind: row[f"{kind}_source"] for kind in KINDS if row[f"{kind}_source"]},
        row["notes"],
    )


def _price(text: str) -> Decimal | None:
    return Decimal(text) if text else None
