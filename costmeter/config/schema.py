"""The grammar as a JSON Schema (draft 2020-12), so that editors complete keys, show what they mean and mark mistakes.

Made from `grammar.ROOT` and nothing else. A schema cannot say all that the parser checks (what a file holds, whether
windows cover the week, whether a zone exists): what it refuses the parser refuses, not the other way round. Numbers
may be written as texts, as they may in the file.
"""

from collections.abc import Callable
from typing import Any

from costmeter.config.forms import GPU_COUNT, TIER
from costmeter.config.grammar import (
    ROOT,
    Choice,
    Currency,
    Date,
    Form,
    Key,
    Kind,
    Labels,
    LineItems,
    Number,
    Numbers,
    Pattern,
    Price,
    Section,
    Text,
    Zone,
)
from costmeter.config.hours import DAYS
from costmeter.config.itemlist import item_keys

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9])?$"
_PERCENT = r"^[0-9]{1,3}(\.[0-9]+)?\s?%$"
_WITH_CURRENCY = r"^[+]?[0-9.]+([eE][+-]?[0-9])? ?[A-Z]{3}$"
_SPAN = {"type": "string", "pattern": "^([01][0-9]|2[0-4]):[0-5][0-9] ?- ?([01][0-9]|2[0-4]):[0-5][0-9]$"}
_TEXT: Schema = {"type": "string", "minLength": 1}


def json_schema() -> Schema:
    """The schema of a whole configuration file."""
    head = {"$schema": _DRAFT, "title": "costmeter configuration"}
    return head | _section(ROOT, empty_is_fine=True)


def _section(section: Section, empty_is_fine: bool = False) -> Schema:
    single: Schema = {
        "type": ["object", "null"] if empty_is_fine else "object",
        "additionalProperties": False,
        "properties": {name: _entry(entry) for name, entry in section.keys.items()},
    }
    if section.short:
        word: list[Schema] = [{"type": "string", "pattern": f"^({section.short})$"}, {"type": "number", "minimum": 0}]
        return {"anyOf": [single, *word, {"type": "array", "items": {"anyOf": [single, *word]}}, {"type": "null"}]}
    if section.repeated:
        return {"anyOf": [single, {"type": "array", "items": single}, {"type": "null"}]}
    return single


def _entry(entry: Key | Section) -> Schema:
    if isinstance(entry, Section):
        return _section(entry, empty_is_fine=True)
    described = {"description": f"{entry.meaning} Default: {entry.default}."}
    # A key without a value is not set.
    return described | {"anyOf": [*_kind(entry.kind), {"type": "null"}]}


def _kind(kind: Kind) -> list[Schema]:
    """The ways to write a value of a kind."""
    return _KINDS[type(kind)](kind)


def _number(number: Number) -> list[Schema]:
    bounds: Schema = {"type": "integer" if number.whole else "number"}
    if number.minimum is not None:
        bounds["minimum"] = float(number.minimum)
    if number.above is not None:
        bounds["exclusiveMinimum"] = float(number.above)
    if number.below is not None:
        bounds["exclusiveMaximum"] = float(number.below)
    if number.maximum is not None:
        bounds["maximum"] = float(number.maximum)
    words: list[Schema] = [{"enum": list(number.words)}] if number.words else []
    if number.percent or number.currency:
        words.append({"type": "string", "pattern": _PERCENT if number.percent else _WITH_CURRENCY})
    return [bounds, {"type": "string", "pattern": _PLAIN_NUMBER}, *words]


def _numbers(numbers: Numbers) -> list[Schema]:
    return [{"type": "array", "items": {"anyOf": _number(numbers.each)}}]


def _choice(choice: Choice) -> list[Schema]:
    return [{"enum": list(choice.words)}]


def _pattern(pattern: Pattern) -> list[Schema]:
    return [{"type": ["string", "integer"]} if pattern.indexes else _TEXT]


def _line(_: Text) -> list[Schema]:
    return [{"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 200}]


def _labels(_: Labels) -> list[Schema]:
    texts = {"type": ["string", "number", "boolean", "null"], "maxLength": 200}
    return [
        {"type": "object", "additionalProperties": False, "patternProperties": {"^[A-Za-z_][A-Za-z0-9_]{0,63}$": texts}}
    ]


def _line_items(_: LineItems) -> list[Schema]:
    """Each item has a name and is counted in one way; the keys of each way are its own."""
    ways: list[Schema] = []
    for required, known in item_keys():
        keys: Schema = {name: _TEXT if number is None else {"anyOf": _number(number)} for name, number in known.items()}
        if "network" in keys:
            keys["network"] = {"enum": ["sent", "received", "both"]}
        ways.append(
            {
                "type": "object",
                "required": ["name", *sorted(required)],
                "additionalProperties": False,
                "properties": {"name": _TEXT, **keys},
            }
        )
    return [{"type": "array", "items": {"anyOf": ways}}]


def _price(price: Price) -> list[Schema]:
    return [*_number(price.number), *(schema for form in price.forms for schema in _form(form, price))]


def _form(form: Form, price: Price) -> list[Schema]:
    """One way to give a figure that is no number: a mapping, and for files their name alone."""
    beside: dict[Form, Schema] = {
        "windows": {"windows": _windows(price), "timezone": _TEXT},
        "per_instance_hour": {
            "per_instance_hour": {"anyOf": _number(price.number)},
            "gpus": {"anyOf": _number(GPU_COUNT)},
        },
        "catalog": {"catalog": {"type": "string", "pattern": "^[^/]+/.+$"}},
        "tariff": {"tariff": _some(_TEXT), "plan": _some(_TEXT), "tier": {"anyOf": _number(TIER)}},
        "zone": {"zone": _TEXT, "scope": {"enum": ["lifecycle", "direct"]}},
        "series": {"series": _TEXT, "gpus": {"anyOf": _number(GPU_COUNT)}},
    }
    mapping = {
        "type": "object",
        "required": [form],
        "additionalProperties": False,
        "properties": beside[form],
    }
    alone = {"series": r"\.[cC][sS][vV]$", "tariff": r"\.[yY][aA]?[mM][lL]$"}
    return [mapping, {"type": "string", "pattern": alone[form]}] if form in alone else [mapping]


def _windows(price: Price) -> Schema:
    day = {"enum": ["weekday", "weekend", *DAYS, *(name[:3] for name in DAYS)]}
    entry = {
        "type": "object",
        "required": [price.key],
        "additionalProperties": False,
        "properties": {
            "name": _TEXT,
            "days": _some(day),
            "hours": {"anyOf": [{"const": "other"}, _SPAN, {"type": "array", "items": _SPAN, "minItems": 1}]},
            price.key: {"anyOf": _number(price.number)},
        },
    }
    return {"type": "array", "items": entry, "minItems": 1}


def _some(schema: Schema) -> Schema:
    """One, or a list of them."""
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


_KINDS: dict[type, Callable[[Any], list[Schema]]] = {
    Number: _number,
    Numbers: _numbers,
    Choice: _choice,
    Currency: lambda _: [{"type": "string", "pattern": "^[A-Z]{3}$"}],
    Zone: lambda _: [_TEXT],
    Date: lambda _: [{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}],
    Price: _price,
    Labels: _labels,
    LineItems: _line_items,
    Pattern: _pattern,
    Text: _line,
}
