"""Openings for a job as data, the public JSON contract `costmeter.when/1`, and as text."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from costmeter.outputs.columns import columns, folded
from costmeter.outputs.figures import carbon, money
from costmeter.planning.inputs import is_ambiguous, local
from costmeter.planning.opening import CARBON, ELECTRICITY, RENT, Opening
from costmeter.planning.when import Window
from costmeter.units import NANOSECONDS_PER_MINUTE, iso_minute

SCHEMA = "costmeter.when/1"
_MARGIN = " " * len("cheapest  ")
_FIGURES = frozenset({2, 3, 4})


def as_json(found: Opening) -> dict[str, Any]:
    """The windows as scripts read them: instants in UTC, money as text, emissions in grams; null where not known."""
    return {
        "schema": SCHEMA,
        "currency": found.currency,
        "hours": float(found.minutes / 60),
        "kw": float(found.kw),
        "energy_kwh": float(found.kw * found.minutes / 60),
        "from": iso_minute(found.from_ns),
        "before": None if found.before_ns is None else iso_minute(found.before_ns),
        "pays_rent": found.pays_rent,
        "now": _window(found, found.now),
        "cheapest": _window(found, found.cheapest),
        "cleanest": _window(found, found.cleanest),
        "notes": list(found.notes),
    }


def _window(found: Opening, window: Window | None) -> dict[str, Any] | None:
    if window is None:
        return None
    end_ns = window.start_ns + int(found.minutes * NANOSECONDS_PER_MINUTE)
    electricity, rent, grams = (found.amount(window, name) for name in (ELECTRICITY, RENT, CARBON))
    return {
        "start": iso_minute(window.start_ns),
        "end": iso_minute(end_ns),
        "start_local": local(window.start_ns, found.zone).isoformat(),
        "electricity": None if electricity is None else f"{electricity:f}",
        "rent": None if rent is None else f"{rent:f}",
        "emissions_grams": None if grams is None else float(grams),
    }


def as_text(found: Opening, width: int) -> list[str]:
    """The windows as people read them, and below them, in lines of this width, what stands behind the figures."""
    starts = [("now", found.now), ("cheapest", found.cheapest), ("cleanest", found.cleanest)]
    shown = [_row(found, name, window) for name, window in starts if window is not None]
    lines = columns([("", "start", "electricity", "CO2e", "GPU rent", ""), *shown], _FIGURES)
    remarks: list[str] = []
    chosen = found.cheapest or found.cleanest
    if chosen is not None:
        line, remarks = _begin(found, chosen)
        lines.append(f"{'Use it:':<{len(_MARGIN)}}{line}")
    return [*lines, *(line for text in (*remarks, *found.notes) for line in folded(_MARGIN, text, width))]


def _row(found: Opening, name: str, window: Window) -> tuple[str, ...]:
    electricity, rent, grams = (found.amount(window, track) for track in (ELECTRICITY, RENT, CARBON))
    unpaid = "–" if rent is None else "in the rent"
    paid = unpaid if electricity is None else money(electricity, found.currency)
    emitted = "–" if grams is None else carbon(float(grams))
    flat = "same" if found.pays_rent else "–"
    rented = flat if rent is None else money(rent, found.currency)
    place = f"{local(window.start_ns, found.zone):%a %d %b %H:%M %Z}"
    return f"{name:<{len('cheapest')}}", place, paid, emitted, rented, _change(found, name, window)


def _change(found: Opening, name: str, window: Window) -> str:
    """What a later start saves of what now costs; no share where now costs nothing, or pays."""
    if found.now is None or window.start_ns == found.now.start_ns:
        return ""
    of, what = (found.money, "") if name == "cheapest" else (_grams(found), " CO2e")
    now, then = of(found.now), of(window)
    if now is None or then is None or now <= 0:
        return ""
    percent = round((then - now) * 100 / now)
    return f"{'−' if percent < 0 else '+' if percent else '±'}{abs(percent)} %{what}"


def _grams(found: Opening) -> Callable[[Window], Decimal | None]:
    return lambda window: found.amount(window, CARBON)


def _begin(found: Opening, window: Window) -> tuple[str, list[str]]:
    """The line for Slurm, which takes the time of the machine's own zone and knows no other; and what to know of it."""
    if window.start_ns == found.from_ns:
        return "start now", []
    shown = local(window.start_ns, None)
    remarks = []
    if is_ambiguous(window.start_ns, None):
        minutes = (window.start_ns - found.from_ns) // NANOSECONDS_PER_MINUTE
        remarks.append(f"that time comes twice; this is {shown:%Z}, say --begin=now+{minutes}minutes")
    if shown.utcoffset() != local(window.start_ns, found.zone).utcoffset():
        remarks.append(f"the line is by this machine's clock, {shown:%Z}")
    return f"sbatch --begin={shown:%Y-%m-%dT%H:%M} job.sh", remarks
