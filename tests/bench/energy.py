"""Energy: what the meter books beside what its counter counted, and beside what the simulated boards really drew."""

from collections.abc import Iterator

from costmeter.meter.band import BANDS
from costmeter.readings import Method, Missing
from tests.bench.profiles import BOARDS, LENGTH_SECONDS, PROFILES, Board, errors, sensor_error
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
#: What is promised of power on a square wave of one second.
SQUARE_BAR = 1.0
#: How often each row is repeated, alone and with eight GPUs: more often where power readings come by chance.
ROUNDS: dict[Method, tuple[int, int]] = {"counter": (4, 1), "power": (24, 3), "estimated": (4, 1)}


def measure() -> Iterator[Row]:
    """The counter's own difference at three periods; then every kind of board on every load, against the truth."""
    for period_seconds in (0.05, 1.0, 5.0):
        worst_mj, share = _off_counter(period_seconds)
        note = f"whole run {share:.4%} from the truth"
        yield Row(f"8 GPUs, every {period_seconds:g} s: worst GPU off its counter by", worst_mj, "mJ", 0, note)
    for board in BOARDS:
        for profile in PROFILES:
            yield _off_truth(board, profile)


def _off_truth(board: Board, profile: str) -> Row:
    """Ten minutes at one reading a second, head included; every GPU of every run counts, and the bar is the band's."""
    alone, among_eight = ROUNDS[board.method]
    ones = [abs(error) for seed in range(alone) for error in errors(board, profile, 1, seed)]
    eights = [abs(error) for seed in range(among_eight) for error in errors(board, profile, 8, seed)]
    is_promised = board.method == "power" and profile == "square"
    bar = SQUARE_BAR if is_promised else 100 * BANDS[board.method]
    note = (
        f"whole run, {LENGTH_SECONDS} s at 1 s: worst of {alone} of 1 GPU {max(ones):.2%}, median {_median(ones):.2%};"
        f" worst of 8 GPUs in {among_eight} {max(eights):.2%}"
    )
    if board.method == "power":
        sensor = sensor_error(board, profile, ones.index(max(ones)))
        note = f"{note}; in the worst of 1 GPU the sensor itself was {sensor:+.2%} off"
    return Row(f"{board.what}, {profile}: off the truth", 100 * max(ones + eights), "%", bar, note)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _off_counter(period_seconds: float) -> tuple[float, float]:
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
