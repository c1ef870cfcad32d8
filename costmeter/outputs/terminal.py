"""The receipt as a person reads it: one screen of text, rendered from the receipt's JSON and nothing else."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import carbon, duration, energy, money, quantum, rounded, significant

_BLOCKS = " ▏▎▍▌▋▊▉█"
_ASCII = str.maketrans(
    {"─": "-", "·": "|", "×": "x", "→": "-", "█": "#", "–": "-", "€": "EUR ", "£": "GBP ", "…": "..."}
)
_BAR_CELLS = 24
_FAULTS_SHOWN = 5
_STATE_NOTES = {"busy": "", "idle": "idle, still billed", "unknown": "nobody could say"}
_MINIMUM_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: columns, whether the terminal knows UTF-8, whether it wants colour."""

    width: int = 80
    unicode: bool = True
    color: bool = False


def render(receipt: Mapping[str, Any], style: Style, unsaved: str = "", warnings: tuple[str, ...] = ()) -> str:
    """The whole receipt, newline at the end. `unsaved` is what is not on disk, `warnings` the faults found at start."""
    lines = [
        _frame(receipt, style),
        *_heading(receipt, style),
        "",
        _headline(receipt, style),
        "",
        *_table(receipt, style),
        *_provenance(receipt),
        *_notes(receipt, unsaved, warnings),
        *_again(receipt),
    ]
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text if style.unicode else text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def _frame(receipt: Mapping[str, Any], style: Style) -> str:
    run = receipt["run"]
    left = "── costmeter " + ("(simulated GPUs) " if receipt["simulated"] else "")
    right = f" {run['id']} · {_ending(run)} ──"
    return left + "─" * max(2, max(style.width, _MINIMUM_WIDTH) - len(left) - len(right)) + right


def _ending(run: Mapping[str, Any]) -> str:
    outcome = run["outcome"]
    if run["signal"] is not None:
        return f"signal {run['signal']} ({outcome})"
    if run["exit_code"] is None:
        return str(outcome)
    return f"exit {run['exit_code']}" + ("" if outcome == "ok" else f" ({outcome})")


def _heading(receipt: Mapping[str, Any], style: Style) -> Iterator[str]:
    run = receipt["run"]
    if run["command"] is not None:
        yield " " + _shortened(shlex.join(run["command"]), max(style.width, _MINIMUM_WIDTH) - 2)
    if run["name"]:
        yield f" {run['name']}"
    hosts = ", ".join(run["hosts"])
    gpus = f" · {gpu_names(receipt['devices'])}" if receipt["devices"] else ""
    yield f" {hosts}{gpus} · {_span(run['started_at'], run['ended_at'])} · {duration(run['seconds'])}"


def gpu_names(devices: list[dict[str, Any]]) -> str:
    """`8 × H100 80GB HBM3`, several models joined by +."""
    counts: dict[str, int] = {}
    for device in devices:
        name = str(device["name"]).removeprefix("NVIDIA ")
        counts[name] = counts.get(name, 0) + 1
    return " + ".join(f"{count} × {name}" for name, count in counts.items())


def _span(started_at: str, ended_at: str) -> str:
    start, end = (datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone() for text in (started_at, ended_at))
    first = f"{start.day} {start:%b %Y %H:%M:%S}"
    last = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M:%S}"
    return f"{first} → {last} {end:%Z}"


def _shortened(text: str, width: int) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= width else printable[: width - 1] + "…"


def _headline(receipt: Mapping[str, Any], style: Style) -> str:
    total = Decimal(receipt["cost"]["total"])
    seconds = receipt["gpu_seconds"]
    held = sum(seconds.values())
    figures = [
        money(total, receipt["currency"]) if _is_priced(receipt) else "no price",
        energy(receipt["energy"]["total_kwh"]) if receipt["energy"]["methods"] else "energy not measured",
        carbon(receipt["emissions"]["total_grams"]) if receipt["energy"]["methods"] else "CO2e not known",
        f"{100 * seconds['idle'] / held:.1f} % idle" if held and seconds["unknown"] < held else "activity not known",
    ]
    line = "   " + "".join(figure.ljust(20) for figure in figures).rstrip()
    return f"\x1b[1m{line}\x1b[0m" if style.color else line


def _is_priced(receipt: Mapping[str, Any]) -> bool:
    rates = receipt["rates"]
    return rates is not None and any(rates["gpu_per_hour"].values())


def _table(receipt: Mapping[str, Any], style: Style) -> Iterator[str]:
    if not receipt["devices"]:
        return
    currency, total = receipt["currency"], Decimal(receipt["cost"]["total"])
    step = quantum(total)
    states = [name for name, seconds in receipt["gpu_seconds"].items() if seconds or name == "busy"]
    amounts = rounded([Decimal(receipt["cost"]["states"][name]) for name in states], step)
    hours = rounded([Decimal(str(receipt["gpu_seconds"][name])) / 3600 for name in states], Decimal("0.0001"))
    yield f" Where it went {'GPU-h':>11} {currency:>11}    share"
    for name, amount, hour in zip(states, amounts, hours, strict=True):
        share = float(amount / sum(amounts)) if sum(amounts) else 0.0
        bar = _bar(share, style).ljust(_BAR_CELLS // 2 if _STATE_NOTES[name] else 0)
        row = f" {name:<13} {hour:>11.4f} {amount:>11,}  {share:>6.1%}  {bar}"
        yield f"{row}  {_STATE_NOTES[name]}".rstrip()
    yield f" {'':<13} {sum(hours):>11.4f} {sum(amounts):>11,}"
    components = receipt["cost"]["components"]
    if len(components) > 1:
        parts = rounded([Decimal(amount) for amount in components.values()], step)
        yield " made of       " + " + ".join(f"{name} {part:,}" for name, part in zip(components, parts, strict=True))


def _bar(share: float, style: Style) -> str:
    if not style.unicode:
        return "#" * round(share * _BAR_CELLS)
    eighths = round(share * _BAR_CELLS * 8)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def _provenance(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Where the figures come from, one line each: what a person checks before believing a total."""
    rates = receipt["rates"]
    if rates is None:
        return
    yield from _price_lines(receipt, rates)
    word, said = receipt["provenance"], receipt["origins"]
    parts = receipt["energy"]
    line = f"GPUs {energy(parts['gpu_joules'] / 3.6e6)} ({word['energy.gpu_joules']}: {said['energy.gpu_joules']})"
    if parts["host_joules"]:
        line += f" + host {energy(parts['host_joules'] / 3.6e6)} ({word['energy.host_joules']})"
    if parts["overhead_joules"]:
        line += f" + cooling {energy(parts['overhead_joules'] / 3.6e6)} (PUE {rates['pue']})"
    yield f" Energy   {line}"
    left_out = [what for what, joules in (("host", "host_joules"), ("cooling", "overhead_joules")) if not parts[joules]]
    if left_out:
        yield f"          without {' and '.join(left_out)}: not configured"
    if "carbon.intensity" in said:
        grams = Decimal(rates["carbon_grams_per_kwh"])
        yield f" Carbon   × {significant(float(grams))} g/kWh ({word['carbon.intensity']}: {said['carbon.intensity']})"


def _price_lines(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterator[str]:
    """One line per distinct price, with where it comes from."""
    grouped: dict[tuple[str, str], float] = {}
    for device in receipt["devices"]:
        uuid = device["uuid"]
        hourly = rates["gpu_per_hour"].get(uuid, {})
        price = " + ".join(f"{money(Decimal(p), receipt['currency'], _exact(p))} {name}" for name, p in hourly.items())
        setting = f"gpu.price.{uuid}" if f"gpu.price.{uuid}" in receipt["provenance"] else "gpu.price"
        word, said = receipt["provenance"].get(setting, ""), receipt["origins"].get(setting, "")
        key = (price or "no price", f"{word}: {said}" if word else "")
        grouped[key] = grouped.get(key, 0.0) + device["seconds"]
    label = "Price"
    for (price, why), seconds in grouped.items():
        yield f" {label:<8} {significant(seconds / 3600, 4)} GPU-h × {price}" + (f" ({why})" if why else "")
        label = ""
    if rates["electricity_charged"]:
        said = f"{receipt['provenance']['electricity.price']}: {receipt['origins']['electricity.price']}"
        price = money(Decimal(rates["electricity_per_kwh"]), receipt["currency"], _exact(rates["electricity_per_kwh"]))
        yield f"          electricity {price}/kWh ({said})"
    elif grouped:
        yield "          energy is in the rent"
    if rates["changed_during_run"]:
        yield "          prices changed during the run; these were the last"


def _exact(price: str) -> Decimal:
    """The step that shows a price as it was given, with two to six decimals."""
    exponent = Decimal(price).as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 2
    return Decimal(1).scaleb(-min(6, max(2, places)))


def _notes(receipt: Mapping[str, Any], unsaved: str, warnings: tuple[str, ...]) -> Iterator[str]:
    meter = receipt["meter"]
    unmeasured = receipt["unmeasured_gpu_seconds"]
    if unmeasured > 0 and receipt["energy"]["methods"]:
        yield f" Note     {duration(unmeasured)} of GPU time without a power reading: rent counted, energy not invented"
    faults = meter["faults"]
    for fault in faults[:_FAULTS_SHOWN]:
        gpu = next((f"GPU {d['index']} " for d in receipt["devices"] if d["uuid"] == fault["device"]), "")
        yield f" Fault    {fault['at'][11:19]} UTC {gpu}{fault['what']}"
    if len(faults) + meter["faults_dropped"] > _FAULTS_SHOWN:
        yield f"          and {len(faults) + meter['faults_dropped'] - _FAULTS_SHOWN} more"
    for problem in meter["journal_problems"]:
        yield f" Journal  {problem}"
    for warning in warnings:
        yield f" Warning  {warning}"
    if unsaved:
        yield f" Unsaved  {unsaved}"
    if meter["cpu_seconds"]:
        share = 100 * meter["cpu_seconds"] / receipt["run"]["seconds"] if receipt["run"]["seconds"] else 0
        yield f" Meter    {meter['cpu_seconds']:.2f} s of CPU, {share:.2f} % of one core"


def _again(receipt: Mapping[str, Any]) -> Iterator[str]:
    yield f" Again    costmeter report {receipt['run']['id']}"
