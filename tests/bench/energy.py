"""Energy with the counter: what the meter books between first and last reading, beside the counter's own difference."""

from collections.abc import Iterator

from costmeter.readings import Missing
from tests.bench.table import Row
from tests.runtime.metered import SECOND, Metered, metered

NODE = """
seed: 7
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 8
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    spread: 5 %
    noise: 8 W
    load:
      shape: training
      step: 1100 ms
      compute: {power: 640 W, utilization: 100 %}
      wait_for: 90 ms
      wait: {power: 180 W, utilization: 0 %}
"""
LENGTH_SECONDS = 600


def measure() -> Iterator[Row]:
    """Eight GPUs for ten minutes, polled at 0.05, 1 and 5 s."""
    for period_seconds in (0.05, 1.0, 5.0):
        worst_mj, share = _off(period_seconds)
        note = f"whole run {share:.4%} from the truth"
        yield Row(f"8 GPUs, every {period_seconds:g} s: worst GPU off its counter by", worst_mj, "mJ", 0, note)


def _off(period_seconds: float) -> tuple[float, float]:
    with metered(NODE) as run:
        run.open()
        run.tick(0)
        first = _counters(run)
        for _ in range(round(LENGTH_SECONDS / period_seconds)):
            run.tick(round(period_seconds * SECOND))
        last = _counters(run)
        run.end()
        totals = run.written().totals
        offs = [abs(last[u] - first[u] - d.quantities.counter_microjoules) / 1_000 for u, d in totals.devices.items()]
        ended_ns = run.clock.boottime_ns()
        truth = sum(run.library.truth.energy_microjoules(u, run.start_ns, ended_ns) for u in totals.devices)
        return max(offs), abs(totals.whole.quantities.microjoules - truth) / truth


def _counters(run: Metered) -> dict[str, int]:
    found = {}
    for device in run.devices:
        energy_uj = run.source.read(device.uuid, slow=False).energy_microjoules
        assert not isinstance(energy_uj, Missing)
        found[device.uuid] = energy_uj
    return found
