"""A scenario: what a simulated node is made of and what happens on it. Facts only; `reader` makes them from a file.

Times are nanoseconds after the node's epoch. Every simulated value is a function of these facts and of time alone.
"""

from dataclasses import dataclass
from typing import Literal

from costmeter.units import NANOSECONDS_PER_SECOND

#: An end that never comes (292 years after the epoch).
FOR_EVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Level:
    """One steady state of a GPU. `power_milliwatts` None is the device's idle power.

    `busy` None leaves it to the idle rule: busy from 5 % utilization on, except above 95 % at less than a fifth of
    the power limit.
    """

    power_milliwatts: int | None
    utilization_percent: int
    busy: bool | None = None


@dataclass(frozen=True, slots=True)
class Steady:
    """One level."""

    level: Level


@dataclass(frozen=True, slots=True)
class Slope:
    """Power that changes linearly from one level's to another's, at the first one's utilization."""

    level: Level
    last_milliwatts: int
    ramp_ns: int


@dataclass(frozen=True, slots=True)
class Square:
    """A high level for `high_ns`, then a low one for the rest of each period."""

    high: Level
    low: Level
    high_ns: int
    period_ns: int


@dataclass(frozen=True, slots=True)
class Pause:
    """What interrupts training: an evaluation or a checkpoint, each time so many steps were made."""

    after_steps: int
    level: Level
    length_ns: int


@dataclass(frozen=True, slots=True)
class Training:
    """Steps of computing and waiting for data, interrupted by evaluations and checkpoints."""

    compute: Level
    compute_ns: int
    wait: Level
    wait_ns: int
    evaluation: Pause | None
    checkpoint: Pause | None


Shape = Steady | Slope | Square | Training


@dataclass(frozen=True, slots=True)
class Piece:
    """One shape and how long it lasts; the last piece of a load goes on for ever."""

    shape: Shape
    length_ns: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a GPU does over time: pieces one after another, from the start again when `repeats`."""

    pieces: tuple[Piece, ...]
    repeats: bool = False


#: What NVML says in place of an instance's id, of a process on a board that is not divided.
NO_INSTANCE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a context on a GPU, from `start_ns` until just before `end_ns`, again in every `every_ns`.

    The two instances say in which part of a divided board it runs. `user` is whose it is, empty where nobody is named;
    `run` is what its environment names, `job` the Slurm job of which it is a step, 0 for none. It uses so many
    thousandths of a core of the host, and None where nobody said.
    """

    pid: int
    kind: Literal["compute", "graphics", "mps"]
    memory_bytes: int
    start_ns: int = 0
    end_ns: int = FOR_EVER_NS
    every_ns: int = FOR_EVER_NS
    gpu_instance: int = NO_INSTANCE
    compute_instance: int = NO_INSTANCE
    user: str = ""
    run: str = ""
    job: int = 0
    millicores: int | None = None

    def holds(self, at_ns: int) -> bool:
        """Whether it has its context at the instant."""
        return self.start_ns <= at_ns % self.every_ns < self.end_ns


FaultKind = Literal[
    "counter-reset",
    "counter-frozen",
    "counter-jump",
    "counter-fall",
    "lost",
    "error",
    "hang",
    "spike",
    "garbage",
    "power-stuck",
    "driver-reload",
    "driver-missing",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong from `start_ns` until just before `end_ns`.

    `functions` empty means every function of the device; those of an error may also be fields, like `field 83`. Which
    other fields count depends on the kind: `code` for error and driver-missing, `probability_ppm` (parts per million
    of calls) for error, `milliwatts` for spike and garbage, `millijoules` for counter-jump and counter-fall,
    `catches_up` for counter-frozen, `then_devices` (the list from then on; None leaves it) for driver-reload.
    """

    kind: FaultKind
    start_ns: int
    end_ns: int = FOR_EVER_NS
    functions: frozenset[str] = frozenset()
    code: int = 0
    probability_ppm: int = 1_000_000
    milliwatts: int = 0
    millijoules: int = 0
    catches_up: bool = False
    then_devices: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class EnergyCounter:
    """How the energy counter of a device moves: every `step_ns`, from `start_millijoules` at the epoch."""

    step_ns: int
    start_millijoules: int


@dataclass(frozen=True, slots=True)
class PowerSensor:
    """What a power reading is: the mean over a window, renewed every `step_ns`."""

    window_ns: int = NANOSECONDS_PER_SECOND
    instant_window_ns: int = 25_000_000
    step_ns: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Instance:
    """One MIG device: a compute instance, alone or with others in its GPU instance, whose memory they share.

    Of the board's slices the GPU instance has `gpu_slices`, and this one `compute_slices` of those. `load` is what it
    draws above the board's idle power, and None when nobody said what the board's instances do each.
    """

    uuid: str
    place: int
    profile: str
    gpu_instance: int
    compute_instance: int
    gpu_slices: int
    compute_slices: int
    memory_bytes: int
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One simulated device. A sensor, counter or number that is None answers "not supported".

    `mig` is None while MIG mode is off, and the board's instances (perhaps none) when it is on. `module_milliwatts` is
    what the CPU of a Grace module draws, and None for a board of its own.
    """

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    architecture: int
    power_limit_milliwatts: int
    idle_milliwatts: int
    memory_bytes: int
    reserved_bytes: int
    counter: EnergyCounter | None
    power: PowerSensor | None
    utilization_period_ns: int | None
    noise_milliwatts: int
    scale_ppm: int
    load: Load
    load_shift_ns: int
    processes: tuple[Process, ...]
    faults: tuple[Fault, ...]
    persistence: bool = True
    absent_until_ns: int = 0
    mig: tuple[Instance, ...] | None = None
    mig_slices: int = 7
    module_milliwatts: int | None = None
    cores: int | None = None
    max_sm_megahertz: int | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver says of itself, and which of its functions are not there."""

    version: str = "550.54.15"
    nvml_version: str = "12.550.54.15"
    cuda_version: int = 12040
    missing_functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole node. `node_faults` are the driver's: reloads and absences."""

    name: str
    seed: int
    driver: Driver
    gpus: tuple[Gpu, ...]
    node_faults: tuple[Fault, ...] = ()
