"""The simulated node: what each device is doing at an instant, as pure functions of the scenario and the time.

Times are nanoseconds after the node's epoch; before it there is nothing, and nothing was drawn.
"""

from dataclasses import dataclass

from costmeter.sources.simulated.counter import Counter, counter
from costmeter.sources.simulated.curves import Constant, Curve, steps
from costmeter.sources.simulated.faults import Schedule, schedule
from costmeter.sources.simulated.mig import SimulatedInstance, board_curves, simulated_instances
from costmeter.sources.simulated.profile import Curves, noise
from costmeter.sources.simulated.scenario import FOR_EVER_NS, Fault, Gpu, PowerSensor, Process, Scenario

PICOJOULES_PER_MICROJOULE = 1_000_000

_AMBIENT_CELSIUS = 30
_FULL_LOAD_CELSIUS_ABOVE_AMBIENT = 45
_MEMORY_TRAFFIC_PERCENT = 60


@dataclass(frozen=True, slots=True)
class SimulatedGpu:
    """One device of the node and everything it does. Build it with `simulated_gpu`.

    `faults` is None for a device whose every call is answered; `instances` are those that have loads of their own.
    """

    facts: Gpu
    load: Curves
    noise: Curve
    spikes: tuple[Curve, ...]
    shifted_pj: int
    faults: Schedule | None
    instances: tuple[SimulatedInstance, ...] = ()

    def energy_pj(self, at_ns: int) -> int:
        """Picojoules that the board drew from the epoch to the instant."""
        facts = self.facts
        drawn = self.load.power.total(at_ns + facts.load_shift_ns) - self.shifted_pj
        total = drawn * facts.scale_ppm // 1_000_000 + self.noise.total(at_ns)
        for spike in self.spikes:
            total += spike.total(at_ns)
        return total

    def module_energy_pj(self, at_ns: int) -> int:
        """The same of the whole module, with the CPU beside the board; the board's own when there is none."""
        return self.energy_pj(at_ns) + (self.facts.module_milliwatts or 0) * at_ns

    def utilization_total(self, at_ns: int) -> int:
        """Percent × nanoseconds from the epoch to the instant."""
        return self.load.utilization.total(at_ns + self.facts.load_shift_ns)

    def busy_ns(self, at_ns: int) -> int:
        """Nanoseconds spent computing from the epoch to the instant."""
        shift_ns = self.facts.load_shift_ns
        return self.load.busy.total(at_ns + shift_ns) - self.load.busy.total(shift_ns)

    def power_milliwatts(self, at_ns: int, window_ns: int, step_ns: int) -> int:
        """What a sensor shows: the mean over a window that ends at the last step of its grid."""
        end_ns = at_ns - at_ns % step_ns or step_ns
        start_ns = max(0, end_ns - window_ns)
        return (self.energy_pj(end_ns) - self.energy_pj(start_ns)) // (end_ns - start_ns)

    def utilization_percent(self, at_ns: int, period_ns: int) -> int:
        """The percentage of the last whole sample period, to the nearest whole percent."""
        end_ns = at_ns - at_ns % period_ns or period_ns
        total = self.utilization_total(end_ns) - self.utilization_total(end_ns - period_ns)
        return (2 * total + period_ns) // (2 * period_ns)

    def memory_utilization_percent(self, utilization_percent: int) -> int:
        """Time with memory traffic; training moves memory during most of its kernels."""
        return utilization_percent * _MEMORY_TRAFFIC_PERCENT // 100

    def celsius(self, at_ns: int) -> int:
        """A temperature in proportion to the power of the last second."""
        sensor = PowerSensor()
        power_milliwatts = self.power_milliwatts(at_ns, sensor.window_ns, sensor.step_ns)
        return _AMBIENT_CELSIUS + _FULL_LOAD_CELSIUS_ABOVE_AMBIENT * power_milliwatts // (
            self.facts.power_limit_milliwatts
        )

    def processes(self, kind: str, at_ns: int) -> list[Process]:
        """The processes of one kind that hold a context at the instant."""
        return [p for p in self.facts.processes if p.kind == kind and p.holds(at_ns)]

    def used_bytes(self, at_ns: int, gpu_instance: int | None = None) -> int:
        """Memory that processes hold, on the board or in one instance; what the driver reserves comes on top."""
        return sum(
            p.memory_bytes
            for p in self.facts.processes
            if p.holds(at_ns) and (gpu_instance is None or p.gpu_instance == gpu_instance)
        )

    def counter(self) -> Counter | None:
        """The device's energy counter, with its faults; None when it has none."""
        facts = self.facts
        if facts.counter is None:
            return None
        # Boards start counting at their own instants, so their counters do not step together.
        phase_ns = facts.index * 7_919_000 % facts.counter.step_ns
        energy = self.energy_pj if facts.module_milliwatts is None else self.module_energy_pj
        return counter(facts.counter, phase_ns, facts.faults, energy)


def simulated_gpu(facts: Gpu, seed: int) -> SimulatedGpu:
    """A device as its scenario describes it."""
    load = board_curves(facts)
    return SimulatedGpu(
        facts,
        load,
        noise(facts.noise_milliwatts, f"{seed}/{facts.index}/noise"),
        tuple(_spike(fault) for fault in facts.faults if fault.kind == "spike"),
        load.power.total(facts.load_shift_ns),
        schedule(facts.faults) if facts.faults else None,
        simulated_instances(facts),
    )


def simulated_gpus(scenario: Scenario) -> tuple[SimulatedGpu, ...]:
    """Every device of the node, in index order."""
    return tuple(simulated_gpu(facts, scenario.seed) for facts in scenario.gpus)


def _spike(fault: Fault) -> Curve:
    """Power really drawn on top, during the fault."""
    if fault.end_ns == FOR_EVER_NS:
        return Constant(0)
    return steps([(fault.start_ns, 0), (fault.end_ns - fault.start_ns, fault.milliwatts), (0, 0)])
