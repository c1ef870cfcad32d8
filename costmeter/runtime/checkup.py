"""What `doctor` looks at: the same driver, prices, clock and state directory a run would use, asked one by one."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from costmeter.clock import RealClock
from costmeter.config.settings import Settings
from costmeter.errors import SourceError
from costmeter.ledger.journal import state_directory
from costmeter.meter.charge import Origin
from costmeter.readings import Device, Missing
from costmeter.runtime import boardcheck, itemcheck
from costmeter.runtime.agent import check as agentcheck
from costmeter.runtime.assembly import source
from costmeter.runtime.finding import Finding, Verdict
from costmeter.runtime.hostcounters import are_asked, host_origin, sysfs
from costmeter.runtime.patience import within
from costmeter.runtime.pricewarnings import price_warnings
from costmeter.runtime.surroundings import surroundings
from costmeter.sources.host import HostSource
from costmeter.sources.nvml import PROBE_SECONDS, NvmlSource
from costmeter.units import NANOSECONDS_PER_SECOND

#: A driver that takes longer to open is given up on. A board that hangs alone has been by then.
DRIVER_SECONDS = PROBE_SECONDS + 1.5
#: So long a disk, or the host's counters, may take.
FILE_SECONDS = 1.0
#: 2020-01-01 UTC: a wall clock before this was never set.
_EARLIEST_UTC_NS = 1_577_836_800 * NANOSECONDS_PER_SECOND


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
    yield from _electricity(settings, devices, clock)
    yield _carbon(settings, clock)
    yield from _host(settings, environ, simulate, clock)
    yield from itemcheck.findings(settings.items)
    yield _wall_clock(clock)
    yield _state(environ)
    yield from surroundings(environ)
    yield from agentcheck.findings(environ, clock, simulate)


def names(simulate: str | None) -> list[str]:
    """The models of this machine's GPUs, as far as the driver says; none when it does not answer in time."""
    opened = _opened(source(simulate, RealClock()))
    return [] if isinstance(opened, SourceError) else list(dict.fromkeys(device.name for device in opened))


def _opened(driver: NvmlSource) -> tuple[Device, ...] | SourceError:
    """The devices, or why there are none. A driver that hangs keeps its thread and not us."""

    def ask() -> tuple[Device, ...] | SourceError:
        try:
            return driver.open()
        except SourceError as error:
            return error

    hung = SourceError(f"the NVIDIA driver does not answer within {DRIVER_SECONDS:.1f} s", "sudo dmesg | grep -i xid")
    return within(DRIVER_SECONDS, ask, hung)


def _devices(driver: NvmlSource, devices: Sequence[Device]) -> Iterator[Finding]:
    if not devices:
        yield Finding("fail", "the driver answers and shows no GPU", "nvidia-smi -L; in a container: --gpus all")
        return
    facts = driver.facts()
    kind = "simulated NVML" if facts.simulated else "NVML"
    boards = {device.board: device for device in devices}
    count = f"{len(boards)} GPU{'' if len(boards) == 1 else 's'}"
    with_counter = sum(device.method == "counter" for device in boards.values())
    yield Finding("ok", f"{kind} {facts.version}, {count}, energy counter on {with_counter}/{len(boards)}")
    yield from boardcheck.findings(driver, devices)


def _prices(settings: Settings, devices: Sequence[Device], clock: RealClock) -> Iterator[Finding]:
    """One line per model and price, of those boards that said what they are."""
    devices = [device for device in devices if device.pci_bus_id]
    unpriced = {device.uuid for device in settings.book.unpriced(devices)}
    rates = settings.book.at(clock.utc_ns(), devices)
    for said in price_warnings(settings.book, devices, rates):
        yield Finding("fail" if said.is_missing else "warn", said.text, said.fix)
    lines: dict[Finding, None] = {}
    for device in devices:
        if device.uuid in unpriced:
            continue
        origin = rates.origins.get("gpu.price") or rates.origins[f"gpu.price.{device.uuid}"]
        per_hour = sum(price for _, price in rates.devices[device.uuid].hourly)
        text = f"price: {device.name} {per_hour:.4g} {rates.currency}/h ({origin.word}: {origin.detail})"
        lines[Finding(_price_trust(origin), text)] = None
    yield from lines


def _electricity(settings: Settings, devices: Sequence[Device], clock: RealClock) -> Iterator[Finding]:
    """What a kWh costs now, where any of the GPUs pays for it; what nobody set is worth setting."""
    rates = settings.book.at(clock.utc_ns(), devices)
    if not any(device.pays_electricity for device in rates.devices.values()):
        return
    origin = rates.origins["electricity.price"]
    fix = "" if _trust(origin.word) == "ok" else "costmeter.yaml:  electricity: {price: 0.18}, or a tariff file"
    text = f"electricity: {rates.electricity_per_kwh} {rates.currency}/kWh now ({origin.word}: {origin.detail})"
    yield Finding(_trust(origin.word), text, fix)


def _carbon(settings: Settings, clock: RealClock) -> Finding:
    rates = settings.book.at(clock.utc_ns(), ())
    origin = rates.origins["carbon.intensity"]
    return Finding(_trust(origin.word), f"carbon: {rates.carbon_grams_per_kwh} g/kWh ({origin.word}: {origin.detail})")


def _trust(word: str) -> Verdict:
    """What nobody configured is worth a look before it is believed."""
    return "ok" if word in ("configured", "measured") else "warn"


def _price_trust(origin: Origin) -> Verdict:
    """A list price that somebody chose is one to trust; the default of a model is to be looked at."""
    is_chosen = origin.word.startswith("list price") and not origin.detail.endswith("gpu.price")
    return "ok" if is_chosen else _trust(origin.word)


def _host(settings: Settings, environ: Mapping[str, str], simulate: str | None, clock: RealClock) -> Iterator[Finding]:
    """Where the host's energy comes from. Beside simulated GPUs this machine's counters are not looked at."""
    if settings.host.source != "auto":
        watts = settings.host.watts
        yield Finding(
            "ok", f"host energy: {'not counted, as configured' if watts is None else f'{watts} W, configured'}"
        )
    elif are_asked(settings, environ, simulate is not None):
        source = HostSource(clock, sysfs(environ))
        hung = Missing(f"{sysfs(environ)} does not answer, set host.power in watts")
        origin = host_origin(within(FILE_SECONDS, source.open, hung))
        is_read = origin.word == "measured"
        detail = origin.detail.removeprefix("missing: ")
        yield Finding("ok" if is_read else "warn", f"host energy: {detail}" if is_read else f"no host energy: {detail}")
        for problem in source.problems if is_read else ():
            yield Finding("warn", f"host energy without {problem}")


def _wall_clock(clock: RealClock) -> Finding:
    if clock.utc_ns() < _EARLIEST_UTC_NS:
        return Finding("fail", "the wall clock was never set, so tariff hours are wrong", "timedatectl set-ntp true")
    return Finding("ok", "clock is set (tariff hours follow it; lengths follow the boot clock)")


def _state(environ: Mapping[str, str]) -> Finding:
    """Whether journals can be written, found out by writing."""
    directory = state_directory(dict(environ))
    move = "export XDG_STATE_HOME=/a/writable/folder"
    hung = Finding("fail", f"{directory} does not answer within {FILE_SECONDS:.0f} s; runs would not be recorded", move)
    return within(FILE_SECONDS, lambda: _written(directory, move), hung)


def _written(directory: Path, move: str) -> Finding:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as probe:
            probe.write(b"costmeter doctor\n")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as refusal:
        return Finding("fail", f"{directory}: {refusal.strerror or refusal}; runs would not be recorded", move)
    return Finding("ok", f"state directory {directory} is writable")
