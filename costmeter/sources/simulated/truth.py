"""What really happened on the simulated node, exactly: the figures a meter's are compared with."""

from collections.abc import Callable

from costmeter.sources.simulated.world import PICOJOULES_PER_MICROJOULE, SimulatedGpu
from costmeter.units import NANOSECONDS_PER_SECOND


class Truth:
    """Energy and time of any window of any device, between instants of CLOCK_BOOTTIME.

    Each figure is a difference of running totals: windows that meet add up to the whole window, to the last unit.
    Before the epoch nothing was drawn.
    """

    def __init__(self, gpus: tuple[SimulatedGpu, ...], epoch_boottime_ns: int) -> None:
        self._gpus = {gpu.facts.uuid: gpu for gpu in gpus}
        self._instances = {instance.facts.uuid: instance for gpu in gpus for instance in gpu.instances}
        self._epoch_ns = epoch_boottime_ns

    @property
    def uuids(self) -> tuple[str, ...]:
        """The devices, in index order."""
        return tuple(self._gpus)

    @property
    def instance_uuids(self) -> tuple[str, ...]:
        """The MIG instances that have loads of their own, by board and place."""
        return tuple(self._instances)

    def energy_microjoules(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> int:
        """Energy that the board drew between two instants, whatever the device said about it."""
        gpu = self._gpus[uuid]
        return self._difference(
            lambda at: gpu.energy_pj(at) // PICOJOULES_PER_MICROJOULE, start_boottime_ns, end_boottime_ns
        )

    def module_energy_microjoules(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> int:
        """The same of the board and the CPU of its module: what the counter of a Grace module counts."""
        gpu = self._gpus[uuid]
        return self._difference(
            lambda at: gpu.module_energy_pj(at) // PICOJOULES_PER_MICROJOULE, start_boottime_ns, end_boottime_ns
        )

    def instance_energy_microjoules(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> int:
        """What a MIG instance made its board draw above idle power: the dynamic part only.

        The rest of the board's energy (idle power, noise, spikes) is no instance's own.
        """
        instance = self._instances[uuid]
        return self._difference(
            lambda at: instance.energy_pj(at) // PICOJOULES_PER_MICROJOULE, start_boottime_ns, end_boottime_ns
        )

    def instance_busy_nanoseconds(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> int:
        """Time that a MIG instance spent computing between two instants."""
        return self._difference(self._instances[uuid].busy_ns, start_boottime_ns, end_boottime_ns)

    def busy_nanoseconds(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> int:
        """Time spent computing between two instants: the idle rule at every instant, finer than any poll sees.

        Of a board whose MIG instances have loads, each counts by its share of the slices.
        """
        return self._difference(self._gpus[uuid].busy_ns, start_boottime_ns, end_boottime_ns)

    def busy_seconds(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> float:
        return self.busy_nanoseconds(uuid, start_boottime_ns, end_boottime_ns) / NANOSECONDS_PER_SECOND

    def idle_seconds(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> float:
        """The rest of the window."""
        length_ns = end_boottime_ns - start_boottime_ns
        busy_ns = self.busy_nanoseconds(uuid, start_boottime_ns, end_boottime_ns)
        return (length_ns - busy_ns) / NANOSECONDS_PER_SECOND

    def mean_utilization(self, uuid: str, start_boottime_ns: int, end_boottime_ns: int) -> float:
        """The share of the window during which a kernel ran, 0 to 1."""
        total = self._difference(self._gpus[uuid].utilization_total, start_boottime_ns, end_boottime_ns)
        length_ns = end_boottime_ns - start_boottime_ns
        return total / 100 / length_ns if length_ns else 0.0

    def _difference(self, total: Callable[[int], int], start_boottime_ns: int, end_boottime_ns: int) -> int:
        start_ns, end_ns = max(0, start_boottime_ns - self._epoch_ns), max(0, end_boottime_ns - self._epoch_ns)
        return total(end_ns) - total(start_ns)
