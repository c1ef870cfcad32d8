"""The rates in force: those that a receipt says it was priced with, over all parts of a run."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Run
from costmeter.ledger.spread import Spread, certainty
from costmeter.meter.charge import Origin, Rates
from costmeter.meter.totals import by_component, net
from costmeter.outputs.figures import plain
from costmeter.units import MICROJOULES_PER_KWH, NANOSECONDS_PER_HOUR


def rates_in_force(run: Run) -> dict[str, Any] | None:
    """The rates last in force for each GPU of any part, so that a receipt says what it was priced with."""
    rates = all_rates(run)
    if not rates:
        return None
    devices = {uuid: each.devices[uuid] for uuid, each in in_force(rates).items()}
    last = rates[-1]
    return {
        "gpu_per_hour": {
            uuid: {component: plain(per_hour) for component, per_hour in device.hourly}
            for uuid, device in devices.items()
        },
        "electricity_per_kwh": plain((charging(rates) or rates)[-1].electricity_per_kwh),
        **_spans(run),
        "electricity_charged": any(device.pays_electricity for device in devices.values()),
        "pue": plain(last.pue),
        "carbon_grams_per_kwh": plain(last.carbon_grams_per_kwh),
        "changed_during_run": any(part.prices_changed for part in run.parts) or _differ(rates),
    }


def all_rates(run: Run) -> list[Rates]:
    """The last rates of every part that has any, in order of the parts."""
    return [_doubted(part.rates, part.spread) for part in run.parts if part.rates is not None]


def has_market(run: Run) -> bool:
    """Whether emissions by a market-based factor are known for the whole run."""
    rates = [part.rates for part in run.parts if part.rates is not None]
    return bool(rates) and all(each.market_grams_per_kwh is not None for each in rates)


def _doubted(rates: Rates, spread: Spread) -> Rates:
    """The rates with the least certain word on each setting: an hour of guessing makes the total a guess."""
    doubted = {
        name: Origin(least.word, f"part of the time: {least.detail}")
        for name, origin in rates.origins.items()
        if (least := spread.origins.get(name, origin)) and certainty(least) < certainty(origin)
    }
    return replace(rates, origins={**rates.origins, **doubted}) if doubted else rates


def _spans(run: Run) -> dict[str, Any]:
    """Between which prices a run was charged, and what it paid on average; None where nothing was charged."""
    whole = Spread()
    for part in run.parts:
        whole = whole | part.spread
    mean = _electricity_mean(run)
    electricity, carbon = whole.electricity, whole.carbon
    return {
        "electricity_per_kwh_mean": None if mean is None else plain(mean),
        "electricity_per_kwh_low": electricity and plain(electricity.low),
        "electricity_per_kwh_high": electricity and plain(electricity.high),
        "gpu_per_hour_spans": _gpu_spans(run, whole),
        "carbon_grams_per_kwh_low": carbon and plain(carbon.low),
        "carbon_grams_per_kwh_high": carbon and plain(carbon.high),
    }


def _electricity_mean(run: Run) -> Decimal | None:
    """What a kWh cost on average: all that was paid for electricity, by all the energy that was paid for."""
    cost, charged_uj = Decimal(0), 0
    for part in run.parts:
        for uuid, booked in part.totals.devices.items():
            if part.rates is None or uuid not in part.rates.devices or not part.rates.devices[uuid].pays_electricity:
                continue
            quantities = booked.quantities
            charged_uj += quantities.microjoules + quantities.host_microjoules + booked.overhead_microjoules
            cost += by_component(net(booked.charges, booked.credits)).get("electricity", Decimal(0))
    return (cost * MICROJOULES_PER_KWH / charged_uj).quantize(_MEAN) if charged_uj else None


def _gpu_spans(run: Run, whole: Spread) -> dict[str, Any]:
    """For each GPU whose price moved: its lowest, highest and mean price of an hour, electricity apart."""
    spans: dict[str, Any] = {}
    for uuid, booked in run.totals.devices.items():
        span, held_ns = whole.gpus.get(uuid), booked.quantities.nanoseconds
        if span is None or span.low == span.high or not held_ns:
            continue
        amounts = by_component(net(booked.charges, booked.credits))
        cost = sum((amount for name, amount in amounts.items() if name != "electricity"), Decimal(0))
        mean = (cost * NANOSECONDS_PER_HOUR / held_ns).quantize(_MEAN)
        spans[uuid] = {"mean": plain(mean), "low": plain(span.low), "high": plain(span.high)}
    return spans


#: Means are told to a millionth of the currency.
_MEAN = Decimal("1e-6")


def in_force(rates: Sequence[Rates]) -> dict[str, Rates]:
    """For each GPU the last rates that price it; where none does, the last that name it."""
    chosen: dict[str, Rates] = {}
    for each in rates:
        for uuid, device in each.devices.items():
            if device.hourly or uuid not in chosen or not chosen[uuid].devices[uuid].hourly:
                chosen[uuid] = each
    return chosen


def charging(rates: Sequence[Rates]) -> list[Rates]:
    """The rates under which electricity is paid for; in all others its price charges nothing."""
    return [each for each in rates if any(device.pays_electricity for device in each.devices.values())]


def _differ(rates: Sequence[Rates]) -> bool:
    """Whether parts were priced differently: one GPU, or what all GPUs share."""
    of_gpus = {(uuid, gpu.hourly, gpu.pays_electricity) for each in rates for uuid, gpu in each.devices.items()}
    shared = {(each.pue, each.carbon_grams_per_kwh) for each in rates}
    electricity = {each.electricity_per_kwh for each in charging(rates)}
    return len(of_gpus) > len(in_force(rates)) or len(shared) > 1 or len(electricity) > 1
