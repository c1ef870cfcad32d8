"""Makes a scenario of a parsed scenario file, or raises ConfigError with every fault found."""

import random
import uuid
from dataclasses import replace

from costmeter.errors import ConfigError
from costmeter.sources.simulated import loads
from costmeter.sources.simulated.codes import ARCHITECTURES, FUNCTIONS
from costmeter.sources.simulated.faults import DEVICE_KINDS, NODE_KINDS, read_fault
from costmeter.sources.simulated.fields import ENERGIES, PERCENT_IN_PPM, Faults, Field
from costmeter.sources.simulated.mig import board_curves
from costmeter.sources.simulated.mig_reader import identified, read_mig
from costmeter.sources.simulated.owners import read_owner
from costmeter.sources.simulated.scenario import (
    FOR_EVER_NS,
    Driver,
    EnergyCounter,
    Fault,
    Gpu,
    Load,
    PowerSensor,
    Process,
    Scenario,
)
from costmeter.units import NANOSECONDS_PER_SECOND

MAX_GPUS = 1024
_MAX_PID = 2**31 - 1


def scenario(parsed: object, name: str, filename: str) -> Scenario:
    """A parsed file as a scenario. Raises ConfigError naming every fault, its file, line or path, and what to do."""
    faults = Faults(filename)
    node = Field(parsed, "", faults)
    read = _scenario(node, name)
    if faults.lines:
        raise ConfigError(tuple(faults.lines))
    return read


def _scenario(node: Field, name: str) -> Scenario:
    seed_field = node.get("seed")
    seed = seed_field.whole(0, 2**32) if seed_field else 0
    driver_field = node.get("driver")
    driver = _driver(driver_field) if driver_field else Driver()
    named = _loads(node.get("loads"))
    if about := node.get("about"):
        about.text()
    gpus = _gpus(node.need("devices"), named, seed)
    node_faults, gpus = _node_faults(node.get("faults"), gpus)
    node.done()
    return Scenario(name, seed, driver, gpus, node_faults)


def _driver(block: Field) -> Driver:
    driver = Driver()
    if version := block.get("version"):
        driver = replace(driver, version=version.text())
    if nvml_version := block.get("nvml_version"):
        driver = replace(driver, nvml_version=nvml_version.text())
    if cuda_version := block.get("cuda_version"):
        driver = replace(driver, cuda_version=cuda_version.whole(0, 99_999))
    if missing := block.get("missing_functions"):
        names = [item.choice(FUNCTIONS) for item in missing.items()]
        driver = replace(driver, missing_functions=frozenset(name for name in names if name))
    block.done()
    return driver


def _loads(block: Field | None) -> dict[str, Load]:
    if block is None:
        return {"idle": loads.IDLE}
    found = {}
    for name in block.keys():  # noqa: SIM118 - a block is no dict; keys() also notes that they were used
        value = block.get(name)
        if value is not None:
            found[name] = loads.read_load(value)
    block.done()
    return {"idle": loads.IDLE, **found}


def _gpus(entries: Field | None, named: dict[str, Load], seed: int) -> tuple[Gpu, ...]:
    gpus: list[Gpu] = []
    for entry in entries.items() if entries else ():
        gpus.extend(_entry(entry, named, seed, len(gpus)))
    if entries and not 0 < len(gpus) <= MAX_GPUS:
        entries.fault(f"a node has 1 to {MAX_GPUS} devices, not {len(gpus)}")
    seen: set[str] = set()
    for gpu in gpus:
        for own in (gpu.uuid, *(instance.uuid for instance in gpu.mig or ())):
            if entries and own in seen:
                entries.fault(f"two devices have the uuid `{own}`; give each its own")
            seen.add(own)
    return tuple(gpus)


def _entry(entry: Field, named: dict[str, Load], seed: int, first_index: int) -> list[Gpu]:
    """One entry of `devices`: a GPU, or `count` of them that differ in identity, noise and process ids."""
    count_field = entry.get("count")
    count = count_field.whole(1, MAX_GPUS) if count_field else 1
    uuid_field = entry.get("uuid")
    if uuid_field and count > 1:
        uuid_field.fault("several devices cannot share one uuid; leave it out and each gets its own")
    model = _more(entry, _model(entry, named))
    model = read_mig(entry, model, lambda value: _load(value, named), _process)
    spread_field = entry.get("spread")
    spread_ppm = spread_field.quantity(PERCENT_IN_PPM, 0, "2 %") if spread_field else 0
    entry.done()
    _check_noise(entry, model, spread_ppm)
    own_uuid = uuid_field.text() if uuid_field else None
    return [_gpu(model, first_index + offset, offset, seed, own_uuid, spread_ppm) for offset in range(count)]


def _gpu(model: Gpu, index: int, offset: int, seed: int, own_uuid: str | None, spread_ppm: int) -> Gpu:
    generator = random.Random(f"{seed}/{index}")
    generated = uuid.UUID(int=generator.getrandbits(128), version=4)
    scale_ppm = 1_000_000 + generator.randint(-spread_ppm, spread_ppm)
    slot = 0x18 + 0x13 * index  # boards stand a few slots apart
    counter = model.counter
    if counter and counter.start_millijoules < 0:
        # A driver that was loaded hours to days ago, at a few hundred watts.
        counter = replace(counter, start_millijoules=generator.randint(10**9, 10**11))
    return replace(
        model,
        uuid=own_uuid or f"GPU-{generated}",
        index=index,
        pci_bus_id=f"{slot // 256:08X}:{slot % 256:02X}:00.0",
        counter=counter,
        mig=identified(model.mig, seed, index) if model.mig is not None else None,
        scale_ppm=scale_ppm,
        processes=tuple(replace(process, pid=process.pid + offset) for process in model.processes),
    )


def _model(entry: Field, named: dict[str, Load]) -> Gpu:
    """What the devices of one entry have in common."""
    name, limit, idle, memory = (entry.need(key) for key in ("name", "power_limit", "idle_power", "memory"))
    architecture = entry.get("architecture")
    reserved, noise, shift = entry.get("reserved_memory"), entry.get("noise"), entry.get("load_shift")
    processes, faults, persistence = entry.get("processes"), entry.get("faults"), entry.get("persistence")
    return Gpu(
        uuid="",
        index=0,
        name=name.text() if name else "",
        pci_bus_id="",
        architecture=ARCHITECTURES[(architecture.choice(ARCHITECTURES) if architecture else None) or "hopper"],
        power_limit_milliwatts=limit.milliwatts(1_000) if limit else 1_000,
        idle_milliwatts=idle.milliwatts(1_000) if idle else 1_000,
        memory_bytes=memory.bytes() if memory else 0,
        reserved_bytes=reserved.bytes() if reserved else 512 * 2**20,
        counter=_counter(entry.get("energy_counter")),
        power=_power(entry.get("power_reading")),
        utilization_period_ns=_utilization(entry.get("utilization_period")),
        noise_milliwatts=noise.milliwatts() if noise else 0,
        scale_ppm=1_000_000,
        load=_load(entry.get("load"), named),
        load_shift_ns=shift.duration(0) if shift else 0,
        processes=tuple(_process(item) for item in processes.items()) if processes else (),
        faults=tuple(read_fault(item, DEVICE_KINDS) for item in faults.items()) if faults else (),
        persistence=persistence.flag() if persistence else True,
    )


def _more(entry: Field, model: Gpu) -> Gpu:
    """What few devices have: a Grace CPU beside them, speeds, and a late arrival."""
    grace, module_power, absent = entry.get("grace"), entry.get("module_power"), entry.get("absent_until")
    cores, clock = entry.get("cores"), entry.get("max_sm_clock")
    has_module = grace.flag() if grace else False
    if module_power and not has_module:
        module_power.fault("only a device with `grace: yes` has a module")
    module_milliwatts = module_power.milliwatts() if module_power else 0
    return replace(
        model,
        module_milliwatts=module_milliwatts if has_module else None,
        absent_until_ns=absent.duration(0) if absent else 0,
        cores=cores.whole(1, 10**6) if cores else None,
        max_sm_megahertz=clock.whole(1, 10**5) if clock else None,
    )


def _load(value: Field | None, named: dict[str, Load]) -> Load:
    """A load by its name, or written out."""
    if value is None:
        return loads.IDLE
    if value.is_block() or value.is_list():
        return loads.read_load(value)
    word = value.choice(named)
    return named[word] if word else loads.IDLE


def _counter(block: Field | None) -> EnergyCounter | None:
    if block is None:
        return EnergyCounter(100_000_000, -1)
    if not block.is_block():
        block.choice(("none",))
        return None
    step, start = block.get("step"), block.get("start")
    block.done()
    return EnergyCounter(step.duration() if step else 100_000_000, start.quantity(ENERGIES, 0, "2 MJ") if start else -1)


def _power(block: Field | None) -> PowerSensor | None:
    sensor = PowerSensor()
    if block is None:
        return sensor
    if not block.is_block():
        block.choice(("none",))
        return None
    window, instant, step = block.get("window"), block.get("instant_window"), block.get("step")
    block.done()
    return PowerSensor(
        window.duration() if window else sensor.window_ns,
        instant.duration() if instant else sensor.instant_window_ns,
        step.duration() if step else sensor.step_ns,
    )


def _utilization(value: Field | None) -> int | None:
    if value is None:
        return NANOSECONDS_PER_SECOND
    return None if value.text() == "none" else value.duration()


def _process(block: Field) -> Process:
    pid, memory, kind = block.need("pid"), block.get("memory"), block.get("type")
    start, end, every = block.get("from"), block.get("until"), block.get("every")
    owner = read_owner(block)
    block.done()
    word = (kind.choice(("compute", "graphics", "mps")) if kind else None) or "compute"
    return Process(
        pid.whole(1, _MAX_PID) if pid else 1,
        "graphics" if word == "graphics" else "mps" if word == "mps" else "compute",
        memory.bytes() if memory else 0,
        start.duration(0) if start else 0,
        end.duration() if end else FOR_EVER_NS,
        every.duration() if every else FOR_EVER_NS,
        **owner,
    )


def _node_faults(value: Field | None, gpus: tuple[Gpu, ...]) -> tuple[tuple[Fault, ...], tuple[Gpu, ...]]:
    """The driver's own faults, and the GPUs with the faults that the node's list gives them."""
    own: list[Fault] = []
    for item in value.items() if value else ():
        only = item.get("devices")
        indexes = {word.whole(0, len(gpus) - 1) for word in only.items()} if only else set(range(len(gpus)))
        fault = read_fault(item, NODE_KINDS | DEVICE_KINDS, len(gpus))
        if fault.kind in NODE_KINDS:
            own.append(fault)
            indexes = set(range(len(gpus)))
        if fault.kind != "driver-missing":
            gpus = tuple(replace(g, faults=(*g.faults, fault)) if g.index in indexes else g for g in gpus)
    return tuple(own), gpus


def _check_noise(entry: Field, model: Gpu, spread_ppm: int) -> None:
    """Noise never makes a board produce energy: the counter would fall."""
    lowest, _ = board_curves(model).power.bounds()
    if model.noise_milliwatts > lowest * (1_000_000 - spread_ppm) // 1_000_000:
        entry.fault(
            f"noise of {model.noise_milliwatts / 1000:g} W is more than the lowest power of the load, "
            f"{lowest / 1000:g} W; make it smaller"
        )
