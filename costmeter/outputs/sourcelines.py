"""The lines of a receipt that say where its figures come from: what a person checks before believing a total."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from costmeter.outputs.figures import (
    carbons,
    energies,
    energy,
    gpu_hours,
    plain,
    price_of,
    quantum,
    rounded,
    significant,
)

#: A line with a name before it: `Price`, and what is said of the price. An empty name goes on with the last.
Labelled = tuple[str, str]


def is_priced(receipt: Mapping[str, Any]) -> bool:
    rates = receipt["rates"]
    return rates is not None and any(rates["gpu_per_hour"].values())


def source_lines(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
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
    grouped: dict[tuple[_Hourly, str], list[Mapping[str, Any]]] = {}
    for device in receipt["devices"]:
        key = (_hourly(device["uuid"], rates), _why(receipt, "gpu.price", device["uuid"]))
        grouped.setdefault(key, []).append(device)
    in_the_rent = "; energy is in the rent" if is_priced(receipt) and not rates["electricity_charged"] else ""
    lengths = [sum(device["seconds"] for device in devices) for devices in grouped.values()]
    priced: list[str] = []
    for ((hourly, why), devices), hours in zip(grouped.items(), gpu_hours(lengths), strict=True):
        priced.append(f"{hours:,} GPU-h {_told(hourly, devices, receipt['currency'], rates)}{why}")
    priced[-1:] = [f"{line}{in_the_rent}" for line in priced[-1:]]
    yield from zip(("Price", *("" for _ in priced[1:])), priced, strict=True)
    if rates["electricity_charged"]:
        yield "", f"electricity {_electricity(receipt, rates)}{_why(receipt, 'electricity.price')}"
    if rates["changed_during_run"] and not _is_span_shown(rates):
        yield "", "prices changed during the run; these were the last"


#: The prices of an hour by component; where they moved, the components alone with the lowest and the highest sum.
_Hourly = tuple[tuple[tuple[str, str], ...], str, str]


def _hourly(uuid: str, rates: Mapping[str, Any]) -> _Hourly:
    """What an hour of a GPU cost; GPUs of which it is the same share a line."""
    components, span = rates["gpu_per_hour"].get(uuid, {}), rates["gpu_per_hour_spans"].get(uuid)
    if span is not None and components:
        return tuple((name, "") for name in components), span["low"], span["high"]
    return tuple(components.items()), "", ""


def _told(hourly: _Hourly, devices: Sequence[Mapping[str, Any]], currency: str, rates: Mapping[str, Any]) -> str:
    """The price of an hour of some GPUs in words; of one that moved the mean over all their hours, and the range."""
    components, low, high = hourly
    if not components:
        return "without a price"
    if not low:
        return "× " + " + ".join(f"{price_of(price, currency)} {name}" for name, price in components)
    spans, seconds = rates["gpu_per_hour_spans"], [Decimal(str(device["seconds"])) for device in devices]
    paid = (Decimal(spans[device["uuid"]]["mean"]) * held for device, held in zip(devices, seconds, strict=True))
    mean = (sum(paid, Decimal(0)) / sum(seconds, Decimal(0))).quantize(_MEAN)
    return f"× {_moved(plain(mean), low, high, currency)} {' + '.join(name for name, _ in components)}"


#: Means are told to a millionth of the currency.
_MEAN = Decimal("1e-6")


def _electricity(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> str:
    """What a kWh cost: the price, or mean and range where it moved."""
    currency, mean = receipt["currency"], rates["electricity_per_kwh_mean"]
    low, high = rates["electricity_per_kwh_low"], rates["electricity_per_kwh_high"]
    if low is None or low == high or mean is None:
        return f"{price_of(rates['electricity_per_kwh'], currency)}/kWh"
    return f"{_moved(mean, low, high, currency, '/kWh')}"


def _moved(mean: str, low: str, high: str, currency: str, per: str = "") -> str:
    return f"{price_of(mean, currency)}{per} on average ({price_of(low, currency)} to {price_of(high, currency)})"


def _is_span_shown(rates: Mapping[str, Any]) -> bool:
    """Whether a price that moved is told with its range."""
    moved = rates["electricity_per_kwh_low"] != rates["electricity_per_kwh_high"]
    return moved or bool(rates["gpu_per_hour_spans"])


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
    from costmeter.rates.book import HOST_NOT_SET  # a list of runs has no such line, and needs no book of rates

    detail = receipt["origins"].get("host.power", "")
    return bool(detail.startswith("missing: ")) and detail != HOST_NOT_SET.detail


def _is_unset(receipt: Mapping[str, Any], figure: str) -> bool:
    return bool(receipt["provenance"].get(figure, "estimated") == "estimated")


def _carbon(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> Iterator[Labelled]:
    emissions = receipt["emissions"]
    grams = [emissions["operational_grams"]] + ([emissions["embodied_grams"]] if emissions["embodied_grams"] else [])
    texts, unit = carbons(grams)
    used = energy(receipt["energy"]["total_kwh"])
    why = _why(receipt, "carbon.intensity")
    yield "Carbon", f"{texts[0]} {unit}: {used} × {_intensity(receipt, rates)}{why}{_market(receipt)}"
    for text in texts[1:]:
        word = receipt["provenance"].get("emissions.embodied_grams", "")
        yield "", f"+ {text} {unit} for making the GPUs" + (f" ({word})" if word else "")


def _intensity(receipt: Mapping[str, Any], rates: Mapping[str, Any]) -> str:
    """Grams of a kWh: the factor, or mean and range where it moved."""
    low, high = rates["carbon_grams_per_kwh_low"], rates["carbon_grams_per_kwh_high"]
    kwh = receipt["energy"]["total_kwh"]
    if low is None or low == high or not kwh:
        return f"{significant(float(Decimal(rates['carbon_grams_per_kwh'])))} g/kWh"
    mean = significant(receipt["emissions"]["operational_grams"] / kwh)
    return f"{mean} g/kWh on average ({significant(float(low))} to {significant(float(high))})"


def _market(receipt: Mapping[str, Any]) -> str:
    """The same energy under the market-based factor: told beside the emissions and never added to them."""
    grams = receipt["emissions"]["market_grams"]
    if grams is None:
        return ""
    (text,), unit = carbons([grams])
    return f" · market-based {text} {unit}{_why(receipt, 'carbon.market')}"
