"""Where and when a tariff's dates and hours are: its zone, its meter's clock, its holidays and its seasons."""

from datetime import date, tzinfo

from costmeter.config.faults import shown, shown_node, suggestion
from costmeter.config.hours import DAYS
from costmeter.config.tariff.reading import Reader
from costmeter.config.yamlfile import Mapping, Node, Scalar
from costmeter.config.zones import nearest, zone
from costmeter.meter.calendar import SUNDAY, Place, Season
from costmeter.meter.holidays import NAMES, Holidays, Observed

#: How the law of a country moves holidays that fall on a weekend; elsewhere they stay.
_OBSERVED: dict[str, Observed] = {"US": "nearest", "CA": "next", "GB": "next"}
_OBSERVED_WORDS: tuple[Observed, ...] = ("none", "nearest", "next")


def place(found: dict[str, Node], reader: Reader) -> tuple[tzinfo, Place] | None:
    """The zone of a tariff, and its calendar on the clock of its meter."""
    local = zone_of(found["timezone"], reader) if "timezone" in found else None
    meter = zone_of(found["meter_clock"], reader) if "meter_clock" in found else local
    holidays, weekday = _holidays(found, reader)
    return None if local is None or meter is None else (local, Place(meter, holidays, weekday))


def zone_of(node: Node, reader: Reader) -> tzinfo | None:
    """A time zone by its name."""
    name = reader.text(node, "the name of a time zone")
    if not name:
        return None
    found = zone(name)
    if found is None:
        reader.fault(node, f"{shown(name)} is no time zone{nearest(name)}")
    return found


def seasons(node: Node | None, reader: Reader) -> dict[str, Season]:
    """Seasons by name; they may overlap, and entries say which one they mean."""
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        reader.fault(
            node, f'expected seasons such as {{summer: {{from: "06-01", to: "09-30"}}}}, not {shown_node(node)}'
        )
        return {}
    named: dict[str, Season] = {}
    for key, value in node.entries:
        found = reader.keys(value, ("from", "to"), f"season {shown(key.text)}")
        if found.keys() != {"from", "to"}:
            reader.fault(value, f"season {shown(key.text)} needs from and to")
            continue
        first, last = reader.month_day(found["from"]), reader.month_day(found["to"])
        if first is not None and last is not None:
            named[key.text] = Season(first, last)
    return named


def _holidays(found: dict[str, Node], reader: Reader) -> tuple[Holidays | None, int | None]:
    """The holidays, and the weekday they count as (None: their own)."""
    said = dict(found)
    own = said.get("holidays")
    listed: tuple[Node, ...] = ()
    if isinstance(own, Mapping):
        inner = reader.keys(own, ("names", "dates", "count_as", "observed"), "holidays")
        listed = tuple(
            item for key in ("names", "dates") if key in inner for item in reader.items(inner[key], "holidays")
        )
        said |= {f"holidays_{key}": inner[key] for key in ("count_as", "observed") if key in inner}
    elif own is not None:
        listed = reader.items(own, "names of holidays and dates")
    country = reader.text(said["country"], "a country") if "country" in said else ""
    observed = _OBSERVED.get(country, "none")
    if "holidays_observed" in said:
        word = reader.word(said["holidays_observed"], _OBSERVED_WORDS)
        observed = next((known for known in _OBSERVED_WORDS if known == word), observed)
    weekday = _counts_as(said["holidays_count_as"], reader) if "holidays_count_as" in said else SUNDAY
    names, dates = _named(listed, reader)
    return (Holidays(names, dates, observed) if names or dates else None), weekday


def _named(listed: tuple[Node, ...], reader: Reader) -> tuple[tuple[str, ...], frozenset[date]]:
    """Holidays by name and by date; what begins with a digit is a date."""
    names: list[str] = []
    dates: set[date] = set()
    for item in listed:
        if isinstance(item, Scalar) and item.text[:1].isdecimal():
            day = reader.date(item)
            dates |= {day} if day else set()
        elif isinstance(item, Scalar) and item.text in NAMES:
            names.append(item.text)
        else:
            hint = suggestion(item.text, NAMES) if isinstance(item, Scalar) else ""
            reader.fault(item, f"expected a holiday such as new_years_day, or a date, not {shown_node(item)}{hint}")
    return tuple(names), frozenset(dates)


def _counts_as(node: Node, reader: Reader) -> int | None:
    """The weekday that holidays count as; Sunday stands for the weekend."""
    word = reader.word(node, ("weekend", "none", *DAYS))
    if word in DAYS:
        return DAYS.index(word)
    return None if word == "none" else SUNDAY
