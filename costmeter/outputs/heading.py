"""The head of a receipt in words: how the run ended, when it was, and its four figures."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import carbon, energy, local_time, money
from costmeter.outputs.sourcelines import is_priced


def ending(run: Mapping[str, Any]) -> str:
    """`exit 1 (failed)`, `signal 15 (preempted)`, `interrupted`; `imported` where nobody saw how it ended."""
    outcome = run["outcome"]
    if run["imported"] is not None and run["signal"] is None and run["exit_code"] is None:
        return "imported"
    if run["signal"] is not None:
        return f"signal {run['signal']} ({outcome})"
    if run["exit_code"] is None:
        return str(outcome)
    return f"exit {run['exit_code']}" + ("" if outcome == "ok" else f" ({outcome})")


def span(started_at: str, ended_at: str) -> str:
    """`22 Nov 2026 14:03:00 → 17:15:07 UTC`, by the clock of whoever reads it."""
    start, end = local_time(started_at), local_time(ended_at)
    first = f"{start.day} {start:%b %Y %H:%M:%S}"
    last = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M:%S}"
    return f"{first} → {last} {end:%Z}"


def headline(receipt: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Money, energy, CO2e and idle time, each said to be unknown where it is."""
    seconds = receipt["gpu_seconds"]
    held = sum(seconds.values())
    is_measured = bool(receipt["energy"]["methods"])
    total = money(Decimal(receipt["cost"]["total"]), receipt["currency"])
    return (
        total + _unpriced(receipt) if is_priced(receipt) else "no price",
        energy(receipt["energy"]["total_kwh"]) if is_measured else "energy not measured",
        carbon(receipt["emissions"]["total_grams"]) if is_measured else "CO2e not known",
        f"{100 * seconds['idle'] / held:.1f} % idle" if held and seconds["unknown"] < held else "activity not known",
    )


def _unpriced(receipt: Mapping[str, Any]) -> str:
    """What a total leaves out: GPUs that were held and whose price nobody knows."""
    without, held = without_price(receipt)
    return f", without {without} of {held} GPUs" if without else ""


def without_price(receipt: Mapping[str, Any]) -> tuple[int, int]:
    """How many of the GPUs that were held have no price, and how many were held."""
    prices, held = receipt["rates"]["gpu_per_hour"], [device for device in receipt["devices"] if device["seconds"]]
    return sum(1 for device in held if not prices.get(device["uuid"])), len(held)
