"""What `doctor` looks at: the same driver, prices, clock and state directory a run would use, asked one by one."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from costmeter.clock import RealClock
from costmeter.config.settings import Settings
from costmeter.errors import SourceError
from costmeter.ledger.journal import state_directory
from costmeter.readings import Device, Missing
from costmeter.runtime.assembly import source
from costmeter.sources.nvml import NvmlSource
from costmeter.units import NANOSECONDS_PER_SECOND

Verdict = Literal["ok", "warn", "fail"]

#: A driver that takes longer to open is given up on.
DRIVER_SECONDS = 5.0
#: 2020-01-01 UTC: a wall clock before this was never set.
_EARLIEST_UTC_NS = 1_577_836_800 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, what was found, and what to type to mend it (empty when there is nothing to)."""

    verdict: Verdict
    text: str
    fix: str = ""


def examine(settings: Settings, environ: Mapping[str, str], simulate: str | None) -> Iterator[Finding]:
    """Every check in turn."""
    clock = RealClock()
    driver = source(simulate, clock)
    opened = _opened(driver)
    devices: Sequence[Device] = ()
    if isinstance(opened, SourceError):
        yield Finding("fail", opened.message, opened.hint or "costmeter doctor --simulate healthy works without a GPU")
    else:
        devices = opened
        yield from _devices(driver, devices)
    yield from _prices(settings, devices, clock)
    yield _carbon(settings, clock)
    yield _wall_clock(clock)
    yield _state(environ)


def _opened(driver: NvmlSource) -> tuple[Device, ...] | SourceError:
    """The devices, or why there are none. A driver that hangs keeps its thread and not us."""
    answers: list[tuple[Device, ...] | SourceError] = []

    def ask() -> None:
        try:
            answers.append(driver.open())
        except SourceError as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DRIVER_SECONDS)
    hung = SourceError(f"the NVIDIA driver does not answer within {DRIVER_SECONDS:.0f} s", "sudo dmesg | grep -i xid")
    return answers[0] if answers else hung


def _devices(driver: NvmlSource, devices: Sequence[Device]) -> Iterator[Finding]:
    if not devices:
        yield Finding("fail", "the driver answers and shows no GPU", "nvidia-smi -L; in a container: --gpus all")
        return
    facts = driver.facts()
    kind = "simulated NVML" if facts.simulated else "NVML"
    count = f"{len(devices)} GPU{'' if len(devices) == 1 else 's'}"
    with_counter = sum(device.method == "counter" for device in devices)
    yield Finding("ok", f"{kind} {facts.version}, {count}, energy counter on {with_counter}/{len(devices)}")
    for device in devices:
        yield from _device(driver, device)


def _device(driver: NvmlSource, device: Device) -> Iterator[Finding]:
    place = f"GPU {device.index} {device.name}"
    if isinstance(device.method, Missing):
        yield Finding(
            "warn", f"{place}: energy cannot be read ({device.method.reason}); its time is metered all the same"
        )
    elif device.method != "counter":
        yield Finding("warn", f"{place}: no energy counter; energy comes from {device.method} readings")
    try:
        reading = driver.read(device.uuid, slow=True)
    except SourceError as error:
        yield Finding("fail", f"{place}: {error.message}", error.hint or "sudo dmesg | grep -i xid")
        return
    if isinstance(reading.utilization_ratio, Missing):
        why = reading.utilization_ratio.reason
        yield Finding("warn", f"{place}: utilization cannot be read ({why}); busy or idle stays unknown")


def _prices(settings: Settings, devices: Sequence[Device], clock: RealClock) -> Iterator[Finding]:
    """One line per model and price."""
    unpriced = {device.uuid for device in settings.book.unpriced(devices)}
    rates = settings.book.at(clock.utc_ns(), devices)
    lines: dict[Finding, None] = {}
    for device in devices:
        if device.uuid in unpriced:
            lines[Finding("fail", f'no price for "{device.name}"', "costmeter.yaml:  gpu: {price: 0.80}")] = None
            continue
        origin = rates.origins.get("gpu.price") or rates.origins[f"gpu.price.{device.uuid}"]
        per_hour = sum(price for _, price in rates.devices[device.uuid].hourly)
        text = f"price: {device.name} {per_hour:.4g} {rates.currency}/h ({origin.word}: {origin.detail})"
        lines[Finding(_trust(origin.word), text)] = None
    yield from lines


def _carbon(settings: Settings, clock: RealClock) -> Finding:
    rates = settings.book.at(clock.utc_ns(), ())
    origin = rates.origins["carbon.intensity"]
    return Finding(_trust(origin.word), f"carbon: {rates.carbon_grams_per_kwh} g/kWh ({origin.word}: {origin.detail})")


def _trust(word: str) -> Verdict:
    """What nobody configured is worth a look before it is believed."""
    return "ok" if word in ("configured", "measured") else "warn"


def _wall_clock(clock: RealClock) -> Finding:
    if clock.utc_ns() < _EARLIEST_UTC_NS:
        return Finding("fail", "the wall clock was never set, so tariff hours are wrong", "timedatectl set-ntp true")
    return Finding("ok", "clock is set (tariff hours follow it; lengths follow the boot clock)")


def _state(environ: Mapping[str, str]) -> Finding:
    """Whether journals can be written, found out by writing."""
    directory = state_directory(dict(environ))
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as probe:
            probe.write(b"costmeter doctor\n")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as refusal:
        text = f"{directory}: {refusal.strerror or refusal}; runs would not be recorded"
        return Finding("fail", text, "export XDG_STATE_HOME=/a/writable/folder")
    return Finding("ok", f"state directory {directory} is writable")
