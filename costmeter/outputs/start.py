"""The one line a run prints when metering has begun, and the metrics address beneath it."""

from decimal import Decimal

from costmeter.meter.charge import Rates
from costmeter.outputs.figures import money
from costmeter.outputs.gpus import gpu_names, shown_order
from costmeter.readings import Device


def start_line(run_id: str, devices: tuple[Device, ...], rates: Rates, simulated: bool) -> str:
    """`r-7f3c2a: metering 8 × H100 80GB HBM3 at $19.92/h`."""
    if not devices:
        return f"{run_id}: no GPU to meter"
    names = gpu_names([{"name": device.name, "mig": device.mig} for device in sorted(devices, key=shown_order)])
    per_hour = sum((price for uuid in rates.devices for _, price in rates.devices[uuid].hourly), Decimal(0))
    is_priced = any(device.hourly for device in rates.devices.values())
    price = f" at {money(per_hour, rates.currency, Decimal('0.01'))}/h" if is_priced else ", no price known"
    if any(device.pays_electricity for device in rates.devices.values()):
        price += " and electricity"
    return f"{run_id}: metering {names}{price}" + (" (simulated GPUs)" if simulated else "")
