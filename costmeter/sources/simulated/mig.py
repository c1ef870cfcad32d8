"""A divided board: what each MIG instance does, and what that makes of the whole board.

Where instances have loads of their own, a load's power is what the instance draws above the board's idle power, and
the board draws its idle power and the sum of them. Utilization and time spent computing are the board's by slices.
"""

from dataclasses import dataclass

from costmeter.sources.simulated.curves import Constant, Weighted, remembered
from costmeter.sources.simulated.profile import Board, Curves, curves
from costmeter.sources.simulated.scenario import Gpu, Instance


@dataclass(frozen=True, slots=True)
class SimulatedInstance:
    """One MIG instance with a load of its own, on the same time as its board."""

    facts: Instance
    load: Curves
    shift_ns: int
    scale_ppm: int

    def energy_pj(self, at_ns: int) -> int:
        """Picojoules drawn above the board's idle power, from the epoch to the instant."""
        power = self.load.power
        return (power.total(at_ns + self.shift_ns) - power.total(self.shift_ns)) * self.scale_ppm // 1_000_000

    def busy_ns(self, at_ns: int) -> int:
        """Nanoseconds spent computing from the epoch to the instant."""
        return self.load.busy.total(at_ns + self.shift_ns) - self.load.busy.total(self.shift_ns)

    def utilization_total(self, at_ns: int) -> int:
        """Percent × nanoseconds to the instant; only differences mean something."""
        return self.load.utilization.total(at_ns + self.shift_ns)


def simulated_instances(facts: Gpu) -> tuple[SimulatedInstance, ...]:
    """The instances of a board by place; none when its load is the whole board's."""
    return tuple(
        SimulatedInstance(instance, _instance_curves(facts, instance), facts.load_shift_ns, facts.scale_ppm)
        for instance in facts.mig or ()
        if instance.load is not None
    )


def board_curves(facts: Gpu) -> Curves:
    """What a whole board does: its own load, or its instances' together."""
    parts = [(i.compute_slices, _instance_curves(facts, i)) for i in facts.mig or () if i.load is not None]
    if not parts:
        return curves(facts.load, Board(facts.power_limit_milliwatts, facts.idle_milliwatts))
    return Curves(
        Weighted(((1, Constant(facts.idle_milliwatts)), *((1, part.power) for _, part in parts))),
        remembered(Weighted(tuple((slices, part.utilization) for slices, part in parts), facts.mig_slices)),
        Weighted(tuple((slices, part.busy) for slices, part in parts), facts.mig_slices),
    )


def _instance_curves(facts: Gpu, instance: Instance) -> Curves:
    """An idle instance draws nothing of its own, and a spin is judged by the instance's share of the limit."""
    assert instance.load is not None
    limit_milliwatts = facts.power_limit_milliwatts * instance.compute_slices // facts.mig_slices
    return curves(instance.load, Board(limit_milliwatts, 0))
