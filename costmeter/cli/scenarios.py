"""Scenarios as people type them: flags, `--scenario NAME: key=value, …` and YAML files, made into changes of rates."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from decimal import Decimal

from costmeter.cli.attempts import told
from costmeter.cli.scenariowords import described
from costmeter.config.build import Merged as MergedSettings
from costmeter.config.build import build
from costmeter.config.environment import flag_layers
from costmeter.config.faults import suggestion
from costmeter.config.flags import parse_price
from costmeter.config.layers import load_settings
from costmeter.config.number import decimal
from costmeter.config.parse import Value, Values
from costmeter.config.quoting import plain, quoted
from costmeter.config.settings import Settings
from costmeter.config.shorthand import carbon, electricity
from costmeter.config.textfile import all_within
from costmeter.config.yamlfile import Place
from costmeter.errors import UsageError
from costmeter.ledger.alternatives import without_idle_time
from costmeter.ledger.repricing import Change, Setting
from costmeter.ledger.scenario import Interruptions, Scenario, Shift
from costmeter.meter.schedule import Constant
from costmeter.planning.inputs import instant
from costmeter.rates.book import Book, Sourced
from costmeter.units import NANOSECONDS_PER_MINUTE

OWNED_KEYS = ("purchase", "server_share", "residual", "life_years", "expected_use", "maintenance_per_year")
_RENT_KEYS = ("price", "spot")
_SITE_KEYS = ("electricity", "tariff", "plan", "pue", "zone", "carbon")
_LOSS_KEYS = ("interruptions_per_day", "lost_minutes")
KEYS = (*_RENT_KEYS, *OWNED_KEYS, *_SITE_KEYS, *_LOSS_KEYS, "shift", "no_idle", "config")
_FORM = re.compile(r"(catalog|per_instance_hour|series)\s*:\s*(.+)", re.DOTALL)
_LENGTH = re.compile(r"([+-])\s?([0-9]{1,5}(?:\.[0-9]{1,3})?)\s?(m|min|h|d|w)")
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 1_440, "w": 10_080}


@dataclass(frozen=True, slots=True)
class Around:
    """What is around a scenario: the runs' currency, the settings as they are now, the folder of relative paths.

    `node_gpus` are the numbers of GPUs that the runs' nodes have, which share the price of a machine.
    """

    currency: str
    settings: Settings
    cwd: str
    environ: Mapping[str, str]
    node_gpus: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Typed:
    """One scenario as it was typed. `where` is the flag or the line it came from, `places` the lines of its keys."""

    name: str
    keys: Mapping[str, str]
    where: str
    places: Mapping[str, str] = field(default_factory=dict)

    def at(self, key: str) -> str:
        """Where a key was typed."""
        return self.places.get(key, self.where)

    def named(self, key: str) -> str:
        """Where a key was typed, and which it is."""
        where = self.at(key)
        return where if where.endswith(key) else f"{where}, {key}"


def scenario(typed: Typed, around: Around) -> Scenario:
    """The scenario that was typed. Raises UsageError with every fault of what can be none, and what to type."""
    keys, zone = typed.keys, around.settings.timezone
    _check(typed)
    if "config" in keys:
        return _configured(typed, around)
    faults: list[str] = []
    texts = told(faults, lambda: _settings(typed)) or {}
    change = told(faults, lambda: _change(typed, texts, around)) if texts else None
    shift = told(faults, lambda: _shift(keys["shift"], zone, typed.named("shift"))) if "shift" in keys else None
    losses = told(faults, lambda: _losses(typed))
    if faults:
        raise UsageError("\n".join(faults))
    what = [] if change is None else described(keys, change, around.currency, around.node_gpus)
    made = Scenario(typed.name, ", ".join(what), change)
    if shift is not None:
        made = _shifted(made, shift, keys["shift"], around)
    return _lengthened(made, typed, losses)


def as_configured(settings: Settings, name: str = "as configured") -> Scenario:
    """All prices as the settings have them now."""
    return Scenario(name, "all prices as configured now", Change(settings.book, is_everything=True))


def _check(typed: Typed) -> None:
    """Refuse keys that are none, that have nothing, that contradict each other or that miss what they are of."""
    keys, where = typed.keys, typed.where
    faults = [_stranger(key, typed) for key in keys if key not in KEYS]
    faults += [f"{typed.at(key)}: nothing after {key}" for key, text in keys.items() if not text.strip()]
    if not keys:
        faults.append(f"{where}: it changes nothing; a scenario has {', '.join(KEYS)}")
    for of in (_RENT_KEYS, ("electricity", "tariff"), ("zone", "carbon"), ("price", "spot", "purchase")):
        both = [key for key in keys if key in of]
        if len(both) > 1 and not (of[-1] == "purchase" and "purchase" not in both):
            faults.append(f"{where}: {' and '.join(both)} say the same; leave one out")
    if "config" in keys and len(keys) > 1:
        faults.append(f"{where}: a configuration says all prices; leave out the others")
    bought = [key for key in keys if key in OWNED_KEYS]
    if bought and "purchase" not in keys:
        faults.append(f"{where}: {bought[0]} is of a bought GPU; add its price, purchase=30000")
    if "plan" in keys and not {"tariff", "electricity"} & keys.keys():
        faults.append(f"{where}: a plan is one of a tariff; add tariff=FILE.yaml")
    if ("lost_minutes" in keys) != ("interruptions_per_day" in keys):
        faults.append(f"{where}: interruptions need both: interruptions_per_day and lost_minutes")
    if keys.get("no_idle", "true") not in ("", "true", "false", "yes", "no"):
        faults.append(f'{typed.at("no_idle")}: no_idle is true or false, not "{keys["no_idle"]}"')
    if faults:
        raise UsageError("\n".join(faults))


def _stranger(key: str, typed: Typed) -> str:
    known = suggestion(key, KEYS) or f"; a scenario has {', '.join(KEYS)}"
    return f"{typed.at(key)}: no such key: {key}{known}"


def _settings(typed: Typed) -> dict[str, str]:
    """The settings behind the keys, by dotted name, as configuration files have them.

    Raises UsageError with every key that is none.
    """
    keys, found = typed.keys, {}
    faults: list[str] = []

    def read(key: str, reader: Callable[[str], str]) -> str:
        return told(faults, lambda: _named(typed, key, reader)) or ""

    for key in _RENT_KEYS:
        if key in keys:
            found["gpu"] = f"{{billing: rental, price: {read(key, _price)}}}"
    bought = [f"{key}: {plain(keys[key].strip())}" for key in OWNED_KEYS if key in keys]
    if bought:
        found["gpu"] = f"{{billing: owned, owned: {{{', '.join(bought)}}}}}"
    if "tariff" in keys or "electricity" in keys:
        key = "tariff" if "tariff" in keys else "electricity"
        found["electricity.price"] = read(key, lambda text: electricity([text], keys.get("plan")))
    if "pue" in keys:
        found["electricity.pue"] = keys["pue"]
    for key in ("zone", "carbon"):
        if key in keys:
            found["carbon.intensity"] = read(key, carbon if key == "carbon" else _zone)
    if faults:
        raise UsageError("\n".join(faults))
    return found


def _zone(text: str) -> str:
    return f"{{zone: {quoted(text.strip())}}}"


def _price(text: str) -> str:
    """A price per GPU-hour, or one of the forms of `gpu.price`: `catalog:…`, `per_instance_hour:…`, a .csv."""
    text = text.strip()
    form = _FORM.fullmatch(text)
    if form is not None:
        return f"{{{form[1]}: {plain(form[2].strip())}}}"
    if text.startswith("{") or text.casefold().endswith(".csv"):
        return text
    try:
        return parse_price(text)
    except UsageError:
        example = "1.99, catalog:aws/p5.48xlarge/us-east-1 or a FILE.csv"
        raise UsageError(f'"{text}": expected a price per GPU-hour such as {example}') from None


def _named(typed: Typed, key: str, read: Callable[[str], str]) -> str:
    try:
        return read(typed.keys[key])
    except UsageError as error:
        raise UsageError(f"{typed.named(key)}: {error.message}", error.hint) from None


@all_within()
def _change(typed: Typed, texts: Mapping[str, str], around: Around) -> Change:
    """The book of these settings alone. Raises UsageError with every fault."""
    zone = around.settings.timezone
    nowhere = Place(typed.where)
    values: Values = {"currency": Value(around.currency, around.currency, nowhere)}
    if zone is not None:
        values["timezone"] = Value(zone, str(zone), nowhere)
    faults = []
    own = {"gpu": typed.where, **dict.fromkeys(texts, typed.where)}
    for layer in flag_layers(texts, {name: _flag(where) for name, where in own.items()}):
        values.update(layer.values)
        faults += list(layer.faults)
    built = build(MergedSettings(values), around.cwd)
    faults += list(built.faults)
    if faults:
        raise UsageError("\n".join(str(fault) for fault in dict.fromkeys(faults)))
    return Change(built.settings.book, frozenset(_replaced(texts)))


def _flag(where: str) -> str:
    """A name that begins as a flag's does, so that faults name it and no line in it."""
    return where if where.startswith("--") else f"--scenarios {where}"


def _replaced(texts: Mapping[str, str]) -> Iterator[Setting]:
    settings: dict[str, Setting] = {
        "gpu": "gpu",
        "electricity.price": "electricity",
        "electricity.pue": "pue",
        "carbon.intensity": "carbon",
    }
    return (settings[name] for name in texts)


# Another start


def _shift(text: str, zone: tzinfo | None, where: str) -> Shift:
    """`+6h`, `-1d`, or a time such as `Mon 02:00`: the first such at or after the run's own start."""
    length = _LENGTH.fullmatch(text.strip())
    if length is not None:
        minutes = Decimal(length[2]) * _MINUTES[length[3]]
        if minutes != int(minutes):
            raise UsageError(f'{where} "{text}": expected whole minutes, such as +90m')
        shift_ns = int(minutes) * NANOSECONDS_PER_MINUTE * (-1 if length[1] == "-" else 1)
        return lambda start_utc_ns: shift_ns
    if text.strip()[:1] in "+-":
        raise UsageError(f'{where} "{text}": expected a length such as +6h, -1d or +90m')
    instant(text, 0, zone, where)  # refused before any run is read

    def until(start_utc_ns: int) -> int:
        return instant(text, start_utc_ns - NANOSECONDS_PER_MINUTE, zone, where) - start_utc_ns

    return until


def _shifted(made: Scenario, shift: Shift, text: str, around: Around) -> Scenario:
    """The scenario at another time: by its own schedules, and for what it does not name by those configured now."""
    book = around.settings.book
    change = made.change or Change(Book(around.currency))
    replaced, own = set(change.replaced), change.book
    taken: list[str] = []
    if "gpu" not in replaced and book.gpus and around.settings.currency == around.currency:
        own, taken = replace(own, gpus=book.gpus), [*taken, "gpu.price"]
        replaced.add("gpu")
    if "electricity" not in replaced and book.electricity and around.settings.currency == around.currency:
        own, taken = replace(own, electricity=book.electricity), [*taken, "electricity.price"]
        replaced.add("electricity")
    if "carbon" not in replaced and not isinstance(book.carbon.schedule, Constant):
        own, taken = replace(own, carbon=book.carbon), [*taken, "carbon.intensity"]
        replaced.add("carbon")
    what = ", ".join([made.what, f"start {text.strip()}"] if made.what else [f"start {text.strip()}"])
    if not _changes_over_time(own):
        why = "no price is known that changes over time; add tariff=FILE, or set electricity.price"
        return replace(made, what=what, unpriced=why)
    note = f"{made.name}: {' and '.join(taken)} as configured now, looked up at the other time" if taken else ""
    notes = (*made.notes, *filter(None, [note]))
    return replace(made, what=what, change=Change(own, frozenset(replaced)), shift=shift, notes=notes)


def _changes_over_time(book: Book) -> bool:
    rents = [plan.price for plan in book.gpus if isinstance(plan.price, Sourced)]
    figures = [each for each in (book.electricity, book.carbon, *rents) if each is not None]
    return any(not isinstance(each.schedule, Constant) for each in figures)


# Another length


def _losses(typed: Typed) -> Interruptions | None:
    """What interruptions were typed. Raises UsageError for numbers that are none."""
    if "interruptions_per_day" not in typed.keys:
        return None
    faults: list[str] = []
    per_day = told(faults, lambda: _count(typed, "interruptions_per_day"))
    lost = told(faults, lambda: _count(typed, "lost_minutes"))
    if per_day is None or lost is None:
        raise UsageError("\n".join(faults))
    return Interruptions(per_day, lost)


def _lengthened(made: Scenario, typed: Typed, losses: Interruptions | None) -> Scenario:
    if typed.keys.get("no_idle") in ("true", "yes"):
        idle = without_idle_time()
        what = ", ".join(filter(None, [made.what, idle.what]))
        notes = tuple(note.replace(idle.name, made.name, 1) for note in idle.notes)
        made = replace(made, what=what, drops_idle=True, notes=(*made.notes, *notes))
    if losses is None:
        return made
    per_day, lost = losses.per_day, losses.lost_minutes
    rule = f"1 + {per_day:f} × {lost:f} min / 1,440 min"
    note = f"{made.name}: an estimate: everything × {losses.factor:.4f} ({rule}: work lost and the restart)"
    what = ", ".join(filter(None, [made.what, f"{per_day:f} interruptions a day"]))
    return replace(made, what=what, interruptions=losses, notes=(*made.notes, note))


def _count(typed: Typed, key: str) -> Decimal:
    number = decimal(typed.keys[key].strip())
    if number is None or not 0 <= number <= 10_000:
        raise UsageError(f'{typed.named(key)}: "{typed.keys[key]}": expected a number from 0 to 10,000')
    return number


def _configured(typed: Typed, around: Around) -> Scenario:
    loaded = load_settings(typed.keys["config"], {}, around.environ, around.cwd, strict=False)
    return replace(as_configured(loaded.settings, typed.name), what=f"all prices as in {typed.keys['config']}")
