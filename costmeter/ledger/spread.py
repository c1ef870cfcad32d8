"""Between which values prices moved while a part of a run was recorded, and the least certain word on each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from costmeter.meter.charge import DeviceRates, Origin, Rates


@dataclass(frozen=True, slots=True)
class Span:
    """The lowest and the highest value there was."""

    low: Decimal
    high: Decimal

    def __or__(self, other: "Span") -> "Span":
        return Span(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Spread:
    """What the rates of a part were between. `electricity` is per kWh while anybody paid for it, None where nobody did.

    `carbon` is in grams per kWh; `gpus` is by UUID the sum of what an hour costs, for GPUs with a price. `origins`
    holds the least certain origin that a setting ever had: a series that ended for an hour makes the total an estimate
    for good.
    """

    electricity: Span | None = None
    carbon: Span | None = None
    gpus: Mapping[str, Span] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def seen(self, rates: Rates) -> "Spread":
        """The spread once these rates were in force as well."""
        return self | _of(rates)

    def __or__(self, other: "Spread") -> "Spread":
        gpus, origins = dict(self.gpus), dict(self.origins)
        for uuid, span in other.gpus.items():
            gpus[uuid] = gpus[uuid] | span if uuid in gpus else span
        for name, origin in other.origins.items():
            if name not in origins or certainty(origin) <= certainty(origins[name]):
                origins[name] = origin
        carbon = _either(self.carbon, other.carbon)
        return Spread(_either(self.electricity, other.electricity), carbon, gpus, origins)


def _either(left: Span | None, right: Span | None) -> Span | None:
    return left | right if left is not None and right is not None else left or right


def per_hour(device: DeviceRates) -> Decimal:
    """What an hour of one GPU costs, electricity apart."""
    return sum((price for _, price in device.hourly), Decimal(0))


def certainty(origin: Origin) -> int:
    """How sure a figure is, least first. A list price, whose word carries a date, comes between."""
    return {"estimated": 0, "configured": 2, "measured": 3}.get(origin.word, 1)


def _of(rates: Rates) -> Spread:
    pays = any(device.pays_electricity for device in rates.devices.values())
    electricity = Span(rates.electricity_per_kwh, rates.electricity_per_kwh) if pays else None
    hourly = {uuid: per_hour(device) for uuid, device in rates.devices.items() if device.hourly}
    carbon = Span(rates.carbon_grams_per_kwh, rates.carbon_grams_per_kwh)
    return Spread(electricity, carbon, {uuid: Span(price, price) for uuid, price in hourly.items()}, rates.origins)
