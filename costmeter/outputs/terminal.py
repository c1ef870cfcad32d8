"""The receipt as a person reads it: one screen of text, rendered from the receipt's JSON and nothing else."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from costmeter.outputs.faultlines import fault_lines
from costmeter.outputs.figures import (
    carbon,
    carbons,
    duration,
    energies,
    energy,
    money,
    quantum,
    rounded,
    significant,
)
from costmeter.outputs.gpus import gpu_names as gpu_names
from costmeter.rates.book import HOST_NOT_SET

_BLOCKS = " ▏▎▍▌▋▊▉█"
_ASCII = str.maketrans(
    {"─": "-", "·": "|", "×": "x", "→": "-", "–": "-", "€": "EUR ", "£": "GBP ", "…": "...", "±": "+-"}
)
_BAR_CELLS = 16
_FAULTS_SHOWN = 5
#: Below this a share of a core is the meter's start and nothing else.
_WORTH_A_SHARE_SECONDS = 10
_SHOWN_FROM_SECONDS = 0.05  # less would read as 0.0 s
_STATE_NOTES = {"busy": "", "idle": "still paid for", "unknown": "nobody knows"}
#: Narrower terminals get lines of this width, and no bars below that of the table with them.
_MINIMUM_WIDTH = 64
_WIDTH_WITH_BARS = 80
_LABEL_WIDTH = 9
_NO_BREAK = "\u00a0"

#: A line with a name before it: `Price`, and what is said of the price. An empty name goes on with the last.
Labelled = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: columns, whether the terminal knows UTF-8, whether it wants colour."""

    width: int = 80
    unicode: bool = True
    color: bool = False


def render(receipt: Mapping[str, Any], style: Style, unsaved: str = "", warnings: tuple[str, ...] = ()) -> str:
    """The whole receipt, newline at the end. `unsaved` is what is not on disk, `warnings` the faults found at start."""
    width = max(style.width, _MINIMUM_WIDTH)
    labelled = [
        *_provenance(receipt),
        *_notes(receipt, warnings),
        *_meter(receipt, unsaved),
        *([] if unsaved else [("Again", f"costmeter report {receipt['run']['id']}")]),
    ]
    above = [_frame(receipt, width), *_heading(receipt, width), ""]
    below = ["", *_table(receipt, style), *_wrapped(labelled, width)]
    headline = [_plain(line, style) for line in _headline(receipt, width)]
    lines = [
        *(_plain(line, style) for line in above),
        *(f"\x1b[1m{line}\x1b[0m" if style.color else line for line in headline),
        *(_plain(line, style) for line in below),
    ]
    return "\n".join(lines) + "\n"


def _plain(line: str, style: Style) -> str:
    """A line that does nothing to a terminal but show text, whatever a command or a name contains."""
    shown = "".join(character if character.isprintable() else "?" for character in line.rstrip())
    return shown if style.unicode else shown.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def _wrapped(labelled: Iterable[Labelled], width: int) -> Iterator[str]:
    """Labelled lines, folded at blanks under their own beginning; a number keeps its per cent."""
    for label, text in labelled:
        text = text.replace(" %", _NO_BREAK + "%")
        first, *rest = textwrap.wrap(
            text, width - _LABEL_WIDTH - 1, break_long_words=False, break_on_hyphens=False
        ) or [""]
        for line in (f" {label:<{_LABEL_WIDTH}}{first}", *(" " * (_LABEL_WIDTH + 1) + line for line in rest)):
            yield line.replace(_NO_BREAK, " ")


def _frame(receipt: Mapping[str, Any], width: int) -> str:
    run = receipt["run"]
    left = "── costmeter " + ("(simulated GPUs) " if receipt["simulated"] else "")
    right = f" {run['id']} · {_ending(run)} ──"
    return left + "─" * max(2, width - len(left) - len(right)) + right


def _ending(run: Mapping[str, Any]) -> str:
    outcome = run["outcome"]
    if run["signal"] is not None:
        return f"signal {run['signal']} ({outcome})"
    if run["exit_code"] is None:
        return str(outcome)
    return f"exit {run['exit_code']}" + ("" if outcome == "ok" else f" ({outcome})")


def _heading(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    run = receipt["run"]
    if run["command"] is not None:
        yield " " + _shortened(shlex.join(run["command"]), width - 4)
    facts = [run["name"], ", ".join(run["hosts"]), gpu_names(receipt["devices"])]
    facts += [_span(run["started_at"], run["ended_at"]), duration(run["seconds"])]
    yield from _packed(filter(None, facts), " ", " · ", width)


def _packed(pieces: Iterable[str], margin: str, between: str, width: int) -> Iterator[str]:
    """Pieces in as few lines as hold them, in order."""
    line = ""
    for piece in pieces:
        longer = f"{line}{between}{piece}" if line else margin + piece
        if line and len(longer.rstrip()) > width:
            yield line
            longer = margin + piece
        line = longer
    yield line


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()


def _span(started_at: str, ended_at: str) -> str:
    start, end = _local(started_at), _local(ended_at)
    first = f"{start.day} {start:%b %Y %H:%M:%S}"
    last = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M:%S}"
    return f"{first} → {last} {end:%Z}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _headline(receipt: Mapping[str, Any], width: int) -> Iterator[str]:
    total = Decimal(receipt["cost"]["total"])
    seconds = receipt["gpu_seconds"]
    held = sum(seconds.values())
    is_measured = bool(receipt["energy"]["methods"])
    figures = [
        money(total, receipt["currency"]) if _is_priced(receipt) else "no price",
        energy(receipt["energy"]["total_kwh"]) if is_measured else "energy not measured",
        carbon(receipt["emissions"]["total_grams"]) if is_measured else "CO2e not known",
        f"{100 * seconds['idle'] / held:.1f} % idle" if held and seconds["unknown"] < held else "activity not known",
    ]
    yield from _packed([figure.ljust(17) for figure in figures], "   ", "  ", width)


def _is_priced(receipt: Mapping[str, Any]) -> bool:
    rates = receipt["rates"]
    return rates is not None and any(rates["gpu_per_hour"].values())


def _hours(seconds: Iterable[float]) -> list[Decimal]:
    """GPU-hours that add up: hundredths, or finer below an hour."""
    hours = [Decimal(repr(each)) / 3600 for each in seconds]
    return rounded(hours, Decimal("0.01") if sum(hours) >= 1 else Decimal("0.0001"))


def _table(receipt: Mapping[str, Any], style: Style) -> Iterator[str]:
    if not receipt["devices"]:
        return
    seconds = {name: held for name, held in receipt["gpu_seconds"].items() if held} or {"busy": 0.0}
    exact = [Decimal(receipt["cost"]["states"][name]) for name in seconds]
    amounts, hours = rounded(exact, quantum(Decimal(receipt["cost"]["total"]))), _hours(seconds.values())
    shares = _shares(exact if sum(exact) > 0 and min(exact) >= 0 else [Decimal(repr(s)) for s in seconds.values()])
    money_column = [f"{amount:,}" if _is_priced(receipt) else "" for amount in (*amounts, sum(amounts))]
    yield f" {'Where it went':<13} {'GPU-h':>9} {receipt['currency'] if _is_priced(receipt) else '':>10}     share"
    for name, hour, amount, share in zip(seconds, hours, money_column, shares, strict=False):
        bar = _bar(float(share) / 100, style).ljust(
            _BAR_CELLS // 2 if _STATE_NOTES[name] and style.width >= _WIDTH_WITH_BARS else 0
        )
        yield f" {name:<13} {hour:>9,} {amount:>10}   {share:>5} %  {bar}  {_STATE_NOTES[name]}"
    yield f" {'total':<13} {sum(hours):>9,} {money_column[-1]:>10}"


def _shares(parts: list[Decimal]) -> list[Decimal]:
    """Percentages that add up to 100."""
    whole = sum(parts)
    return rounded([100 * part / whole for part in parts] if whole else parts, Decimal("0.1"))


def _bar(share: float, style: Style) -> str:
    if style.width < _WIDTH_WITH_BARS:
        return ""
    if not style.unicode:
        return "#" * round(share * _BAR_CELLS)
    eighths = round(share * _BAR_CELLS * 8)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def _provenance(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    """Where the figures come from: what a person checks before believing a total."""
    rates = receipt["rates"]
    if rates is None:
        yield "Note", receipt["origins"]["cost.total"]
        if receipt["meter"]["faults"] and not receipt["devices"]:  # a driver that did not answer
            yield "", "to count the time all the same, set a price: costmeter run --price P -- CMD…"
        return
    components = receipt["cost"]["components"]
    if len(components) > 1:
        parts = rounded([Decimal(amount) for amount in components.values()], quantum(Decimal(receipt["cost"]["total"])))
        yield "Cost", " + ".join(f"{name} {part:,}" for name, part in zip(components, parts, strict=True))
    yield from _price(receipt, rates)
    yield from _energy(receipt, rates)
    if receipt["energy"]["methods"]:
        yield from _carbon(receipt, rates)


def _price(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterator[Labelled]:
    """One line per distinct price, with where it comes from."""
    grouped: dict[tuple[str, str], float] = {}
    for device in receipt["devices"]:
        hourly = rates["gpu_per_hour"].get(device["uuid"], {})
        price = " + ".join(f"{_price_of(p, receipt)} {name}" for name, p in hourly.items())
        key = (price or "no price", _why(receipt, "gpu.price", device["uuid"]))
        grouped[key] = grouped.get(key, 0.0) + device["seconds"]
    in_the_rent = "; energy is in the rent" if _is_priced(receipt) and not rates["electricity_charged"] else ""
    priced: list[str] = []
    for ((price, why), _), hours in zip(grouped.items(), _hours(grouped.values()), strict=True):
        priced.append(f"{hours:,} GPU-h × {price}{why}")
    priced[-1:] = [f"{line}{in_the_rent}" for line in priced[-1:]]
    yield from zip(("Price", *("" for _ in priced[1:])), priced, strict=True)
    if rates["electricity_charged"]:
        price = _price_of(rates["electricity_per_kwh"], receipt)
        yield "", f"electricity {price}/kWh{_why(receipt, 'electricity.price')}"
    if rates["changed_during_run"]:
        yield "", "prices changed during the run; these were the last"


def _price_of(price: str, receipt: Mapping[str, Any]) -> str:
    """A price as it was given, with two to six decimals."""
    exponent = Decimal(price).normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 2
    return money(Decimal(price), receipt["currency"], Decimal(1).scaleb(-min(6, max(2, places))))


def _why(receipt: Mapping[str, Any], setting: str, uuid: str = "") -> str:
    """Where a setting's value comes from, in brackets; a GPU's own where it has one."""
    name = f"{setting}.{uuid}" if f"{setting}.{uuid}" in receipt["provenance"] else setting
    word, said = receipt["provenance"].get(name, ""), receipt["origins"].get(name, "")
    return f" ({word}: {said})" if word else ""


def _energy(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterator[Labelled]:
    if not receipt["energy"]["methods"]:
        yield "Energy", "not measured"
        return
    parts = {name: receipt["energy"][f"{name}_joules"] for name in ("gpu", "host", "overhead")}
    is_module = any(device["scope"] == "module" for device in receipt["devices"])
    said = {
        "gpu": ("GPUs and their modules' CPUs" if is_module else "GPUs", _why(receipt, "energy.gpu_joules")),
        "host": ("host", _why(receipt, "energy.host_joules")),
        "overhead": ("cooling", f" (PUE {rates['pue']})"),
    }
    shown = [name for name, joules in parts.items() if joules or name == "gpu"]
    texts, unit = energies([parts[name] / 3.6e6 for name in shown])
    line = " + ".join(f"{said[name][0]} {text} {unit}{said[name][1]}" for name, text in zip(shown, texts, strict=True))
    yield "Energy", line
    left_out = [name for name in parts if name not in shown and _is_unset(receipt, f"energy.{name}_joules")]
    if "host" in left_out and _is_host_refused(receipt):
        left_out.remove("host")
        yield "", f"host not counted (`costmeter doctor` says why); set {_SETTING_OF_ENERGY['host']}"
    if left_out:
        settings = " and ".join(_SETTING_OF_ENERGY[name] for name in left_out)
        yield "", f"{' and '.join(said[name][0] for name in left_out)} not counted; set {settings}"


_SETTING_OF_ENERGY = {"host": "host.power", "overhead": "electricity.pue"}


def _is_host_refused(receipt: Mapping[str, Any]) -> bool:
    """Whether the host's counters were looked for and could not be read, which can be mended."""
    detail = receipt["origins"].get("host.power", "")
    return bool(detail.startswith("missing: ")) and detail != HOST_NOT_SET.detail


def _is_unset(receipt: Mapping[str, Any], figure: str) -> bool:
    return bool(receipt["provenance"].get(figure, "estimated") == "estimated")


def _carbon(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterator[Labelled]:
    emissions = receipt["emissions"]
    grams = [emissions["operational_grams"]] + ([emissions["embodied_grams"]] if emissions["embodied_grams"] else [])
    texts, unit = carbons(grams)
    intensity = significant(float(Decimal(rates["carbon_grams_per_kwh"])))
    used = energy(receipt["energy"]["total_kwh"])
    yield "Carbon", f"{texts[0]} {unit}: {used} × {intensity} g/kWh{_why(receipt, 'carbon.intensity')}"
    for text in texts[1:]:
        word = receipt["provenance"].get("emissions.embodied_grams", "")
        yield "", f"+ {text} {unit} for making the GPUs" + (f" ({word})" if word else "")


def _notes(receipt: Mapping[str, Any], warnings: tuple[str, ...]) -> Iterator[Labelled]:
    run, meter = receipt["run"], receipt["meter"]
    if run["outcome"] == "failed" and _is_priced(receipt):
        yield "Sunk", f"{money(Decimal(receipt['cost']['total']), receipt['currency'])} went into a run that failed"
    if run["outcome"] == "interrupted":
        yield (
            "Note",
            "the record ends here, so the meter was killed or could not write: counted up to its last reading, "
            "and how the run ended is not known",
        )
    unmeasured = receipt["unmeasured_gpu_seconds"]
    if unmeasured >= _SHOWN_FROM_SECONDS and receipt["energy"]["methods"]:
        yield (
            "Note",
            f"energy of {duration(unmeasured)} of GPU time is not known and not in the total; paid for all the same",
        )
    if any(device["mig"] and device["mean_utilization"] is None for device in receipt["devices"]):
        yield (
            "Note",
            "the driver does not tell whether a MIG instance is busy; energy is its slices' share of the board's",
        )
    told = (*warnings, receipt["origins"].get("cost.total", ""))
    faults = [fault for fault in meter["faults"] if not any(fault["what"] in text for text in told)]
    lines = fault_lines(faults, receipt["devices"])
    for line in lines[:_FAULTS_SHOWN]:
        yield "Fault", f"{_at(line.at, run['started_at'])} {line.text}"
    more = len(lines[_FAULTS_SHOWN:]) + meter["faults_dropped"]
    if more:
        yield "", f"and {more} more; see: costmeter report {run['id']} --json"
    for problem in meter["journal_problems"]:
        yield "Journal", problem
    for warning in warnings:
        yield "Warning", warning


def _at(text: str, started_at: str) -> str:
    """The local time of something during the run; with its day when that is not the first."""
    moment, start = _local(text), _local(started_at)
    return f"{moment:%H:%M:%S}" if moment.date() == start.date() else f"{moment.day} {moment:%b %H:%M:%S}"


def _meter(receipt: Mapping[str, Any], unsaved: str) -> Iterator[Labelled]:
    if unsaved:
        yield "Unsaved", unsaved
    cpu_seconds, seconds = receipt["meter"]["cpu_seconds"], receipt["run"]["seconds"]
    if cpu_seconds and seconds:
        share = f", {100 * cpu_seconds / seconds:.2f} % of one core" if seconds >= _WORTH_A_SHARE_SECONDS else ""
        yield "Meter", f"{cpu_seconds:.2f} s of CPU{share}"
