"""The grammar of settings: every key, the kind of its value, its default, and a sentence for the reference page.

This table is the one description of what a configuration may say. The parser checks against it, `config show` lists
it, the reference page is tested against it, and a JSON Schema can be made from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from costmeter.config.flags import BUDGET as BUDGET_TEXT

#: Ways to say a figure that are no number: hours of the week, a machine's price shared by its GPUs, a row of the price
#: catalogue, tariff files, a zone of the grid, a file of dated values.
Form = Literal["windows", "per_instance_hour", "catalog", "tariff", "zone", "series"]
#: Files that may be named alone, by their endings.
FILE_FORMS: dict[str, Form] = {".csv": "series", ".yaml": "tariff", ".yml": "tariff"}


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number within bounds; `above` and `below` exclude their bounds, `whole` excludes fractions.

    `example` completes "expected … such as". A share may also be written as `percent`: 10% is 0.1.
    An amount may have its `currency` beside it: 80 USD.
    """

    what: str
    example: str
    minimum: Decimal | None = None
    above: Decimal | None = None
    maximum: Decimal | None = None
    words: tuple[str, ...] = ()
    whole: bool = False
    below: Decimal | None = None
    percent: bool = False
    currency: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of numbers."""

    each: Number
    example: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Currency:
    """Three capital letters."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The name of a time zone."""


@dataclass(frozen=True, slots=True)
class Date:
    """A day, `2026-01-31`."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price, or a factor of the grid: a number, or one of the `forms`, each a mapping with the form's name as a key.

    `key` is what an entry of the windows calls its price; `is_market` asks zones for their market-based factor.
    """

    number: Number
    forms: tuple[Form, ...]
    key: str = "price"
    is_market: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One line, as it is."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names and texts, both free."""


@dataclass(frozen=True, slots=True)
class LineItems:
    """A list of line items; `itemlist` reads it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A shell pattern, or for `index` numbers and ranges."""

    indexes: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: the kind of its value, its default as people read it, and what it means."""

    kind: "Kind"
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """Settings under one name; with `repeated` also a list of such sections, each with a `match`.

    `short` is the regular expression of a word that may stand in place of a section.
    """

    keys: Mapping[str, "Key | Section"]
    repeated: bool = False
    short: str = ""


Kind = Number | Numbers | Choice | Currency | Zone | Date | Price | Labels | LineItems | Pattern | Text

_ZERO, _ONE = Decimal(0), Decimal(1)


def _ratio(what: str, example: str) -> Number:
    return Number(what, example, minimum=_ZERO, maximum=_ONE)


_GPU_PRICE = Number("a price per GPU-hour", "2.49", minimum=_ZERO)
_KWH_PRICE = Number("a price per kWh", "0.12")
_GRAMS = Number("grams of CO2e per kWh", "380", minimum=_ZERO, maximum=Decimal(10_000))

OWNED = Section(
    {
        "purchase": Key(
            Number("an amount of money", "30000", above=_ZERO), "none", "Price of one GPU with its share of the server."
        ),
        "server_share": Key(
            Number("an amount of money", "6000", minimum=_ZERO),
            "0",
            "The GPU's share of the server, where the purchase is without it: added to it.",
        ),
        "residual": Key(Number("an amount of money", "3000", minimum=_ZERO), "0", "What it will still be worth."),
        "life_years": Key(
            Number("a number of years", "4", above=_ZERO, maximum=Decimal(50)), "4", "Years until then, powered."
        ),
        "expected_use": Key(
            Number("a share of the hours", "0.7", above=_ZERO, maximum=_ONE),
            "none",
            "Share of the hours in which somebody holds it; the others are charged as `idle_share`.",
        ),
        "maintenance_per_year": Key(
            _ratio("a share of the purchase price", "0.05"), "0", "Support and repair, as a share of the purchase."
        ),
    }
)

MATCH = Section(
    {
        "name": Key(Pattern(), "every name", "Shell pattern on the model's name, any case."),
        "uuid": Key(Pattern(), "every UUID", "Shell pattern on the GPU's UUID."),
        "index": Key(Pattern(indexes=True), "every index", "The driver's numbers, such as `0-3,6`."),
    }
)

COMMITMENT = Section(
    {
        "gpus": Key(
            Number("a number of GPUs", "8", minimum=_ONE, maximum=Decimal(1_000_000), whole=True),
            "none",
            "GPUs that are paid for the whole term, used or not: `report --bill` counts them.",
        ),
        "price": Key(_GPU_PRICE, "none", "What an hour of one of them costs."),
        "upfront": Key(Number("an amount of money", "10000", minimum=_ZERO), "0", "What was paid at once for all."),
        "from": Key(Date(), "none", "First day of the term."),
        "to": Key(Date(), "none", "The day after its last."),
    }
)

GPU = Section(
    {
        "match": MATCH,
        "billing": Key(
            Choice(("rental", "owned")), "rental", "Rented: price × hours. Owned: capital, plus electricity."
        ),
        "price": Key(
            Price(_GPU_PRICE, ("per_instance_hour", "windows", "catalog", "series")),
            "list price of the model",
            "What an hour of one GPU costs.",
        ),
        "owned": OWNED,
        "commitment": COMMITMENT,
    },
    repeated=True,
)

BUDGET = Section(
    {
        "amount": Key(
            Number("an amount of money", "500", above=_ZERO, currency=True),
            "none",
            "What may be spent; its currency may stand beside it, and is not converted.",
        ),
        "per": Key(
            Choice(("run", "day", "month", "project", "project/day", "project/month")),
            "run",
            "Whose spending counts: this run's; everybody's of the day or month; those of the same label `project`.",
        ),
        "project": Key(Text(), "the run's own label", "Only runs with this label `project` count, and are watched."),
        "warn_at": Key(
            Numbers(Number("a share of the budget", "0.8", above=_ZERO, maximum=_ONE, percent=True), "[0.5, 0.8]"),
            "[0.5, 0.8]",
            "Shares of it that are announced.",
        ),
        "on_exceed": Key(Choice(("warn", "stop")), "warn", "What happens when it is used up."),
        "buffer": Key(
            Number("a share of the budget", "0.1", minimum=_ZERO, below=_ONE, percent=True),
            "0",
            "Share of it that is kept back: warnings and the stop count against the rest.",
        ),
    },
    repeated=True,
    short=BUDGET_TEXT,
)

ROOT = Section(
    {
        "currency": Key(Currency(), "USD", "The currency of every price; nothing is converted."),
        "timezone": Key(Zone(), "the machine's", "Where local hours are, and dates in reports."),
        "gpu": GPU,
        "electricity": Section(
            {
                "price": Key(
                    Price(_KWH_PRICE, ("tariff", "windows", "series"), "price_per_kwh"),
                    "0.12 for owned GPUs, in USD",
                    "What a kWh costs; may be negative.",
                ),
                "pue": Key(
                    Number("a PUE", "1.2", minimum=_ONE, maximum=Decimal(10)), "1", "Facility energy over IT energy."
                ),
            }
        ),
        "carbon": Section(
            {
                "intensity": Key(
                    Price(_GRAMS, ("zone", "series")), "472.94, the world in 2024", "Emissions of the grid."
                ),
                "market": Key(
                    Price(_GRAMS, ("zone", "series"), is_market=True),
                    "none",
                    "Emissions under the market-based factor: shown beside, never added.",
                ),
                "embodied": Key(
                    Number("grams of CO2e per GPU-hour", "4.7", minimum=_ZERO, words=("auto", "none")),
                    "auto",
                    "Emissions of making the GPU, spread over 4 years: `auto` by model, `none`, or grams per hour.",
                ),
            }
        ),
        "host": Section(
            {
                "power": Key(
                    Number("watts", "350", minimum=_ZERO, maximum=Decimal(1_000_000), words=("auto", "none")),
                    "auto",
                    "Power of the machine around the GPUs: `auto` where it can be measured, `none`, or watts.",
                )
            }
        ),
        "idle": Section(
            {
                "utilization_below": Key(
                    _ratio("a utilization from 0 to 1", "0.05"), "0.05", "A held GPU busy for less than this is idle."
                ),
                "spin_power_below": Key(
                    _ratio("a share of the power limit from 0 to 1", "0.2"),
                    "0.2",
                    "So is one that claims over 95 % and draws less than this share of its limit.",
                ),
            }
        ),
        "budget": BUDGET,
        "items": Key(LineItems(), "none", "Further costs beside the metered ones: storage, network, licences, people."),
        "labels": Key(Labels(), "none", "Names for reports, such as `{project: llm, team: nlp}`."),
    }
)


def keys(section: Section = ROOT, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every setting with its dotted name, in the order of the grammar."""
    for name, entry in section.keys.items():
        if isinstance(entry, Section):
            yield from keys(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry
