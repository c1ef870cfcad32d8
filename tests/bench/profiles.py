"""The boards and loads on which energy is compared with the truth, and one whole run of any of them."""

import random
from dataclasses import dataclass

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.rates.book import Book
from costmeter.readings import Method
from costmeter.runtime.sampling import Sampling
from costmeter.sources.simulated.reader import scenario
from costmeter.sources.simulated.world import simulated_gpus
from tests.runtime.metered import BEGAN_UTC_NS, BOOTED_NS, SECOND, Metered
from tests.sources.nodes import node

LENGTH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Board:
    """A kind of board: how it says what it draws (`sensors`, as a scenario has it), and what that is called."""

    what: str
    method: Method
    name: str
    limit_watts: int
    idle_watts: int
    sensors: str


#: Windows and steps of the sensors are those measured on boards of these generations (Yang, Adamek, Armour, SC24).
BOARDS = (
    Board("counter", "counter", "NVIDIA H100 80GB HBM3", 700, 70, "architecture: hopper"),
    Board(
        "power, 25 of 100 ms (A100)",
        "power",
        "NVIDIA A100-SXM4-80GB",
        400,
        60,
        "architecture: ampere\n    energy_counter: none\n"
        "    power_reading: {window: 25 ms, instant_window: 25 ms, step: 100 ms}",
    ),
    Board(
        "power, mean of 1 s (Ada)",
        "power",
        "NVIDIA GeForce RTX 4090",
        450,
        20,
        "architecture: ada\n    energy_counter: none\n"
        "    power_reading: {window: 1 s, instant_window: 100 ms, step: 100 ms}",
    ),
    Board(
        "power, 10 of 20 ms (Volta)",
        "power",
        "Tesla V100-SXM2-32GB",
        300,
        42,
        "architecture: volta\n    energy_counter: none\n"
        "    power_reading: {window: 10 ms, instant_window: 10 ms, step: 20 ms}",
    ),
    Board(
        "estimated from utilization",
        "estimated",
        "NVIDIA H100 80GB HBM3",
        700,
        70,
        "architecture: hopper\n    energy_counter: none\n    power_reading: none",
    ),
)

#: Shares of the board's limit stand for watts: 0.6 L.
PROFILES = {
    "constant": "{shape: constant, power: 0.60 L, utilization: 70 %}",
    "ramp": "{shape: ramp, for: 620 s, power: 0.15 L, to_power: 0.95 L, utilization: 60 %}",
    "square": (
        "{shape: square, period: 1 s, high_for: 500 ms,"
        " high: {power: 0.95 L, utilization: 100 %}, low: {power: 0.15 L, utilization: 0 %}}"
    ),
    "training": (
        "{shape: training, step: 1100 ms, compute: {power: 0.92 L, utilization: 100 %},"
        " wait_for: 120 ms, wait: {power: 0.25 L, utilization: 0 %},"
        " evaluation: {after_steps: 100, for: 13 s, power: 0.70 L, utilization: 90 %},"
        " checkpoint: {after_steps: 200, for: 7 s, power: 0.13 L, utilization: 1 %}}"
    ),
}


def errors(board: Board, profile: str, gpus: int, seed: int) -> list[float]:
    """How far each GPU's energy over a whole run is from the truth, signed, as a share of it.

    The seed moves everything that is left to chance: the instants of power readings, how load and sensor lie to each
    other and to the meter's seconds, and the length of the head, in which the driver is not open yet.
    """
    chance, text = _chance(board, profile, gpus, seed)
    clock = ManualClock(BEGAN_UTC_NS, BOOTED_NS)
    library = node(text, clock, BOOTED_NS - chance.randrange(10 * SECOND))
    run = Metered(library, clock, Book(), 0.0, SECOND)
    run._sampling = Sampling(SECOND, chance.random)
    try:
        clock.advance(chance.randrange(SECOND // 5, SECOND // 2))
        run.open()
        for second in range(LENGTH_SECONDS):
            run.tick(SECOND if second else 0)
        run.end()
    finally:
        run.source.close()
    return [_off(run, board.method, uuid) for uuid in library.truth.uuids]


def sensor_error(board: Board, profile: str, seed: int) -> float:
    """What a client that saw every value of a lone board's power sensor once would be off by in the same run.

    A sensor that looks for a part of the time sees a periodic load in one phase, and no client can know the rest.
    """
    chance, text = _chance(board, profile, 1, seed)
    began_ns = chance.randrange(10 * SECOND)
    (gpu,) = simulated_gpus(scenario(yamlfile.load(text, "profile"), "profile", "profile"))
    sensor = gpu.facts.power
    assert sensor is not None
    first, count = began_ns // sensor.step_ns + 1, LENGTH_SECONDS * SECOND // sensor.step_ns
    steps = range(first, first + count)
    seen = sum(gpu.power_milliwatts(step * sensor.step_ns, sensor.window_ns, sensor.step_ns) for step in steps)
    truth_pj = gpu.energy_pj((first + count) * sensor.step_ns) - gpu.energy_pj(first * sensor.step_ns)
    return seen * sensor.step_ns / truth_pj - 1


def _chance(board: Board, profile: str, gpus: int, seed: int) -> tuple[random.Random, str]:
    """What chance does to one run, begun with how the load lies to the sensor; and the scenario that came of it."""
    chance = random.Random(f"{board.what}/{profile}/{gpus}/{seed}")
    return chance, _scenario(board, profile, gpus, seed, shift_ms=chance.randrange(1_100))


def _off(run: Metered, method: Method, uuid: str) -> float:
    """One GPU's error; what was booked must have been found as this kind of board's energy is."""
    quantities = run.recorder.part.totals.devices[uuid].quantities
    assert quantities.unmeasured_nanoseconds == 0
    assert getattr(quantities, f"{method}_microjoules") > 0.99 * quantities.microjoules
    truth_uj = run.library.truth.energy_microjoules(uuid, run.start_ns, run.clock.boottime_ns())
    return quantities.microjoules / truth_uj - 1


def _scenario(board: Board, profile: str, gpus: int, seed: int, shift_ms: int) -> str:
    load = " ".join(_watts(word, board.limit_watts) for word in PROFILES[profile].split(" "))
    return f"""
seed: {seed}
devices:
  - name: {board.name}
    count: {gpus}
    power_limit: {board.limit_watts} W
    idle_power: {board.idle_watts} W
    memory: 80 GiB
    spread: {5 if gpus > 1 else 0} %
    noise: {board.limit_watts // 100} W
    {board.sensors}
    load: {load.replace(" L", " W")}
    load_shift: {shift_ms} ms
"""


def _watts(word: str, limit_watts: int) -> str:
    """A share of the limit, written `0.60`, as watts; any other word as it is."""
    return str(round(float(word) * limit_watts)) if word.startswith("0.") else word
