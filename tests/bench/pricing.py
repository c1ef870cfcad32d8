"""Pricing: one minute of 1,024 GPUs under a tariff of hours and seasons, and reading such a configuration.

Times are CPU times, the shortest of many: what else the machine does only adds to them. The minute that is priced is
the dearest there is: the first one after an edge of the tariff, so that the rates are made anew.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from costmeter.config.layers import load_settings
from costmeter.config.settings import Settings
from costmeter.meter.charge import charge
from costmeter.meter.slot import Quantities, Slot
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE, NANOSECONDS_PER_SECOND
from tests.bench.table import Row

GPUS = 1_024
TARIFFS = Path(__file__).parents[2] / "examples" / "tariffs"
B20 = TARIFFS / "us_pge_b20_industrial.yaml"
OWNED = "gpu: {billing: owned, owned: {purchase: 30000, residual: 3000, expected_use: 0.7}}\n"
#: 2026-07-01 16:00 in Los Angeles: the peak begins.
PEAK_NS = int(datetime(2026, 7, 1, 23, tzinfo=timezone.utc).timestamp()) * NANOSECONDS_PER_SECOND
HALF_HOURS = 17_520
#: Of these rows so many are 8 MB.
LARGEST = 150_000


def measure() -> Iterator[Row]:
    """A minute of 1,024 GPUs, and loading: with the tariff, with a year of half hours, with a row of the catalogue."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = _load(
            folder,
            f"{OWNED}electricity: {{price: {{tariff: {B20}}}, pue: 1.2}}\ncarbon: {{intensity: {{zone: US-CAL}}}}\n",
        )
        yield from _minute(settings)
        yield Row("config load with the B-20 tariff", _shortest_ms(lambda: _load(folder)), "ms", 50)
        (folder / "year.csv").write_text(_year())
        _load(folder, f"{OWNED}electricity: {{price: year.csv}}\n")
        yield Row(
            f"config load with {HALF_HOURS:,} half-hourly prices",
            _shortest_ms(lambda: _load(folder)),
            "ms",
            50,
            "a year",
        )
        (folder / "year.csv").write_text(_year(LARGEST))
        largest = _shortest_ms(lambda: _load(folder), 7)
        yield Row(f"config load with {LARGEST:,} half-hourly prices", largest, "ms", note="as large as a file may be")
        _load(folder, "gpu: {price: {catalog: aws/p5.48xlarge/us-east-1}}\n")
        yield Row("config load with a row of the catalogue", _shortest_ms(lambda: _load(folder)), "ms", 50)


def _minute(settings: Settings) -> Iterator[Row]:
    devices = [Device(f"GPU-{index:04}", index, "NVIDIA H100 80GB HBM3", "", 700.0, "counter") for index in range(GPUS)]
    busy_ns = 45 * NANOSECONDS_PER_SECOND
    held = {
        device.uuid: Quantities(
            busy_nanoseconds=busy_ns + device.index,
            idle_nanoseconds=NANOSECONDS_PER_MINUTE - busy_ns - device.index,
            busy_microjoules=31_500_000_000 + device.index,
            idle_microjoules=1_800_000_000 - device.index,
            busy_host_microjoules=1_200_000_000,
        )
        for device in devices
    }
    slot = Slot(PEAK_NS, NANOSECONDS_PER_MINUTE, held)
    quotation = settings.book.quotation(devices, GPUS)
    edges = iter(range(10**9))

    def priced() -> None:
        """A minute before the edge and one after it, in turn: each asks for rates that changed."""
        at_ns = PEAK_NS - (next(edges) % 2) * NANOSECONDS_PER_MINUTE
        charge(slot, quotation.at(at_ns))

    def again() -> None:
        quotation.at(PEAK_NS)

    yield Row(f"one minute of {GPUS:,} GPUs under B-20, at an edge", _shortest_ms(priced), "ms", 10)
    yield Row("of it the rates, where nothing changed", _shortest_ms(again), "ms")


def _load(folder: Path, text: str | None = None) -> Settings:
    """The settings of a project in the folder; with a text, of that one from now on."""
    if text is not None:
        (folder / "costmeter.yaml").write_text(text)
    loaded = load_settings(None, {}, {"HOME": str(folder)}, str(folder), strict=True)
    return loaded.settings


def _year(half_hours: int = HALF_HOURS) -> str:
    """Half-hourly prices of a year, or of more, as `costmeter prices fetch` writes them; some are negative."""
    first = datetime(2026, 1, 1, tzinfo=timezone.utc)
    lines = ["# source: made for this benchmark", "start_utc,end_utc,value,unit"]
    for half_hour in range(half_hours):
        start = first + timedelta(minutes=30 * half_hour)
        end = start + timedelta(minutes=30)
        price = (half_hour * 7_919 % 60_000 - 5_000) / 100_000
        lines.append(f"{start:%Y-%m-%dT%H:%MZ},{end:%Y-%m-%dT%H:%MZ},{price:.5f},USD/kWh")
    return "\n".join(lines) + "\n"


def _shortest_ms(work: Callable[[], object], times: int = 31) -> float:
    taken = []
    for _ in range(times):
        began = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - began) / 1e6)
    return min(taken)
