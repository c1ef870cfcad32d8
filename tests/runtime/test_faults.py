"""Every fault for ten minutes: the energy is that which a client could have seen, and the receipt names the fault.

Each run goes through the real reader, account and recorder on a manual clock, on boards whose load changes faster than
they are read. What a client could have seen is said case by case, from the node's own truth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from costmeter.clock import ManualClock
from costmeter.meter.band import BANDS
from costmeter.readings import Device, Missing
from tests.runtime.lasting import Happenings, Lasting
from tests.sources.nodes import SECOND

SECONDS = 600
#: A tick and the reading before it, at the highest power of the load.
SLACK_JOULES = 2 * 750.0
EXACT, BAR = 1e-6, 0.01

#: Joules that a client could have seen of a board up to a second of the run.
Seen = Callable[[Lasting, str, float], float]


def board(*faults: str, more: str = "", count: int = 1) -> str:
    """A node of boards that draw 650 W for 0.6 s of every 1.7 s and 150 W else: 326 W in the mean."""
    listed = "\n    faults:\n" + "".join(f"      - {{{fault}}}\n" for fault in faults) if faults else "\n"
    return f"""
seed: 3
devices:
  - name: NVIDIA H100 80GB HBM3
    count: {count}
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    noise: 10 W
    {more}
    load:
      shape: square
      period: 1.7 s
      high_for: 600 ms
      high: {{power: 650 W, utilization: 100 %}}
      low: {{power: 150 W, utilization: 20 %}}{listed}"""


def node(*faults: str, count: int = 1, more: str = "") -> str:
    """The same, with faults of the node."""
    return board(count=count, more=more) + "faults:\n" + "".join(f"  - {{{fault}}}\n" for fault in faults)


def everything(run: Lasting, uuid: str, until: float) -> float:
    """Nothing was hidden: all that was drawn."""
    return run.joules(uuid, 0, until)


def but(start: float, end: float = SECONDS) -> Seen:
    """Nobody could see what was drawn between two seconds, then or later."""

    def seen(run: Lasting, uuid: str, until: float) -> float:
        return run.joules(uuid, 0, min(start, until)) + run.joules(uuid, min(end, until), until)

    return seen


def stuck(start: float, end: float) -> Seen:
    """Meanwhile only the power was shown that the last second had had in the mean when the readings stopped moving."""

    def seen(run: Lasting, uuid: str, until: float) -> float:
        shown_watts = run.joules(uuid, start - 1, start)
        return but(start, end)(run, uuid, until) + shown_watts * max(0.0, min(until, end) - start)

    return seen


@dataclass(frozen=True)
class Case:
    """One fault: the node, what could be seen, how exactly it is found, and what is told, in order of the marks.

    `unknown` is for how many seconds nobody could say busy or idle.
    """

    scenario: str
    told: tuple[str, ...]
    seen: Seen = everything
    within: float = BAR
    unknown: tuple[float, float] = (0, 0)
    unmeasured: tuple[float, float] = (0, 0)
    happenings: Happenings = field(default_factory=dict)


LOST = ("GPU is lost", "answers again (was: GPU is lost)")
FIELDS = "functions: [nvmlDeviceGetTotalEnergyConsumption]"
POWER_ONLY = "energy_counter: none"
HARD = "power_reading: {window: 25 ms, instant_window: 25 ms}"
STANDS = "the energy counter stands still while power is drawn; energy by power"
RETURNED = "the energy counter returned to where it had been"
JUMPED = "the energy counter jumped by 2,000,"

CASES = {
    "nothing": Case(board(), (), within=EXACT),
    "counter-reset": Case(board("kind: counter-reset, at: 201.3 s"), ("the energy counter was reset",)),
    "counter-resets-often": Case(
        board(*(f"kind: counter-reset, at: {at} s" for at in range(40, 600, 40))),
        (*["the energy counter was reset"] * 3, "the energy counter was reset (14 times in all)"),
    ),
    "counter-never-moves": Case(board("kind: counter-frozen"), (STANDS,)),
    "counter-never-moves-and-power-is-no-mean": Case(board("kind: counter-frozen", more=HARD), (STANDS,)),
    "counter-freezes": Case(board("kind: counter-frozen, at: 201.3 s"), (STANDS,)),
    "counter-freezes-and-goes-on": Case(
        board("kind: counter-frozen, at: 201.3 s, for: 100 s"), (STANDS, "the energy counter moves again")
    ),
    "counter-freezes-and-catches-up": Case(
        board("kind: counter-frozen, at: 201.3 s, for: 100 s, then: catch-up"),
        (STANDS, "the energy counter moves again, with what it had missed"),
        within=EXACT,
    ),
    "counter-jumps": Case(board("kind: counter-jump, at: 201.3 s, energy: 2 MJ"), (JUMPED,)),
    "counter-jumps-and-returns": Case(
        board("kind: counter-jump, at: 201.3 s, for: 30 s, energy: 2 MJ"), (JUMPED, RETURNED), within=EXACT
    ),
    "counter-falls-and-returns": Case(
        board("kind: counter-fall, at: 201.3 s, for: 30 s, energy: 2 MJ"),
        ("the energy counter was reset", RETURNED),
        within=EXACT,
    ),
    "counter-slips-for-one-reading": Case(
        board("kind: counter-fall, at: 201.3 s, for: 900 ms, energy: 1 MJ"), (), within=EXACT
    ),
    "counter-is-refused": Case(
        board(f"kind: error, code: NO_PERMISSION, {FIELDS}, at: 201.3 s, for: 100 s"),
        ("the energy counter cannot be read (no permission); energy by power",),
        within=EXACT,
    ),
    "power-spikes": Case(board("kind: spike, at: 201.3 s, for: 3 s, power: 300 W"), (), within=EXACT),
    "power-spikes-without-counter": Case(
        board("kind: spike, at: 201.3 s, for: 3 s, power: 300 W", more=POWER_ONLY), ()
    ),
    "power-zero": Case(
        board("kind: garbage, at: 201.3 s, for: 100 s, power: 0 W"),
        ("power cannot be read (impossible power reading)",),
        within=EXACT,
    ),
    "power-stuck": Case(
        board("kind: power-stuck, at: 201.3 s, for: 100 s"),
        ("power readings stand still while utilization changes",),
        within=EXACT,
    ),
    "power-stuck-without-counter": Case(
        board("kind: power-stuck, at: 201.3 s, for: 100 s", more=POWER_ONLY),
        ("power readings stand still while utilization changes; energy by power",),
        seen=stuck(201.3, 301.3),
    ),
    "utilization-is-refused": Case(
        board("kind: error, code: NO_PERMISSION, functions: [nvmlDeviceGetUtilizationRates], at: 201.3 s, for: 100 s"),
        ("utilization cannot be read (no permission); busy or idle is not known",),
        within=EXACT,
        unknown=(99, 101),
    ),
    "lost-for-a-while": Case(board("kind: lost, at: 201.3 s, for: 100 s"), LOST, within=EXACT, unknown=(99, 102)),
    "lost-for-ever": Case(
        board("kind: lost, at: 201.3 s"), LOST[:1], seen=but(201), unknown=(398, 400), unmeasured=(398, 400)
    ),
    "driver-reloaded": Case(
        node("kind: driver-reload, at: 201.3 s, for: 20 s", count=2),
        (
            *["the NVIDIA driver was unloaded or restarted"] * 2,
            *["answers again (was: the NVIDIA driver was unloaded or restarted); the energy counter was reset"] * 2,
        ),
        seen=but(201, 221.3),
        unknown=(19, 22),
        unmeasured=(19, 22),
    ),
    "driver-missing-for-a-while": Case(
        node("kind: driver-missing, for: 100 s"),
        ("the NVIDIA kernel driver is not loaded", "the NVIDIA driver answers now"),
        seen=but(0, 121),
        unknown=(100, 122),
        unmeasured=(100, 122),
    ),
    "no-device-for-a-while": Case(
        board(more="absent_until: 100 s"),
        ("the NVIDIA driver lists no GPU", "the NVIDIA driver answers now"),
        seen=but(0, 121),
        unknown=(100, 122),
        unmeasured=(100, 122),
    ),
    "machine-sleeps": Case(
        board(),
        ("nothing was read for 301 s; energy from its counter",),
        within=EXACT,
        unknown=(301, 301),
        happenings={200: lambda clock: clock.advance(300 * SECOND)},
    ),
    "machine-sleeps-without-counter": Case(
        board(more=POWER_ONLY),
        ("nothing was read for 301 s",),
        seen=but(200, 501),
        unknown=(301, 302),
        unmeasured=(299, 302),
        happenings={200: lambda clock: clock.advance(300 * SECOND)},
    ),
    "meter-is-stopped": Case(
        board(),
        ("nothing was read for 5 s; energy from its counter",),
        within=EXACT,
        unknown=(5, 5),
        happenings={200: lambda clock: clock.advance(4 * SECOND)},
    ),
    "wall-clock-steps-back": Case(
        board(),
        ("wall clock was stepped by -3600.000 s",),
        within=EXACT,
        happenings={200: lambda clock: clock.step_wall(-3_600 * SECOND)},
    ),
    "wall-clock-steps-to-and-fro": Case(
        board(),
        ("wall clock was stepped by +37.000 s", "wall clock was stepped by -37.000 s"),
        within=EXACT,
        happenings={200: lambda clock: clock.step_wall(37 * SECOND), 400: lambda clock: clock.step_wall(-37 * SECOND)},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_fault_for_ten_minutes(case: Case) -> None:
    """All time is in exactly one state, the energy is what could be seen, never ahead of it, and the fault is told."""
    run = Lasting(case.scenario, SECONDS, case.happenings)
    told = run.told()
    assert len(case.told) == len(told), told
    assert all(said.startswith(words) for said, words in zip(told, case.told, strict=True)), told
    for uuid in run.library.truth.uuids:
        found, seen = run.quantities(uuid), case.seen(run, uuid, SECONDS)
        assert SECONDS * SECOND == found.nanoseconds
        assert found.microjoules / 1e6 == pytest.approx(seen, rel=case.within, abs=2.0)
        assert case.unknown[0] <= found.unknown_nanoseconds / SECOND <= case.unknown[1]
        assert case.unmeasured[0] <= found.unknown_energy_nanoseconds / SECOND <= case.unmeasured[1]
        assert never_ahead(run, uuid, case)


def never_ahead(run: Lasting, uuid: str, case: Case) -> bool:
    """Whether what was booked never fell, and was at no time more than a tick beyond what could have been seen then."""
    before = 0.0
    stepped = any("wall clock" in words for words in case.told)  # the snapshots' own times then step with it
    for second, joules in run.booked(uuid):
        allowed = case.seen(run, uuid, SECONDS if stepped else second) * (1 + BAR) + SLACK_JOULES
        if not before <= joules <= allowed:
            return False
        before = joules
    return True


@pytest.mark.parametrize("percent", [10, 50])
def test_unknown_errors_by_chance_lose_nothing(percent: int) -> None:
    """However often calls fail, the counter tells it all in the end; what is missing is what came after its last."""
    run = Lasting(board(f"kind: error, code: UNKNOWN, probability: {percent} %"), SECONDS)
    (uuid,) = run.part.devices
    found = run.quantities(uuid)
    assert SECONDS * SECOND == found.nanoseconds
    assert found.microjoules / 1e6 == pytest.approx(run.joules(uuid, 0, SECONDS), rel=BAR)
    assert any("unknown driver error" in words for words in run.told())
    assert len(run.told()) <= 40, "a fault that flaps is written thrice and then counted"


@pytest.mark.parametrize("percent", [5, 30])
@pytest.mark.parametrize("window", ["1 s", "25 ms"])
def test_power_that_is_refused_by_chance_is_bridged(percent: int, window: str) -> None:
    """Without a counter, what power was a moment ago and a moment later says what it was between."""
    more = f"energy_counter: none\n    power_reading: {{window: {window}, instant_window: {window}}}"
    fault = f"kind: error, code: UNKNOWN, probability: {percent} %, functions: [nvmlDeviceGetPowerUsage]"
    run = Lasting(board(fault, more=more), SECONDS)
    (uuid,) = run.library.truth.uuids
    assert run.quantities(uuid).microjoules / 1e6 == pytest.approx(run.joules(uuid, 0, SECONDS), rel=BANDS["power"])
    assert run.quantities(uuid).unmeasured_nanoseconds == 0


def test_power_that_nobody_can_believe_is_estimated_and_named() -> None:
    """Without a counter, readings of 0 W leave only utilization: that energy has the wider band, and only that."""
    run = Lasting(board("kind: garbage, at: 201.3 s, for: 100 s, power: 0 W", more=POWER_ONLY), SECONDS)
    (uuid,) = run.part.devices
    found = run.quantities(uuid)
    assert found.power_microjoules / 1e6 == pytest.approx(but(201, 301.5)(run, uuid, SECONDS), rel=BAR)
    estimated = run.joules(uuid, 201, 301.5) + run.joules(uuid, 0, 0.2)
    assert found.estimated_microjoules / 1e6 == pytest.approx(estimated, rel=BANDS["estimated"])
    assert 0 == found.unmeasured_nanoseconds
    assert ["power cannot be read (impossible power reading); energy estimated"] == run.told()
    assert BANDS["power"] < run.receipt["energy"]["band"] < BANDS["estimated"]


@pytest.mark.parametrize("code", ["DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND", "NO_PERMISSION", "LIB_RM_VERSION_MISMATCH"])
def test_without_a_driver_time_is_counted_and_energy_is_not_invented(code: str) -> None:
    """A priced run without a driver for all of its length: unknown, unmeasured, no joule, and one fault."""
    why = Missing("no NVIDIA driver")
    assumed = Device("unidentified-0", 0, "unidentified GPU", "", why, why)
    run = Lasting(node(f"kind: driver-missing, code: {code}"), SECONDS, assumed=(assumed,))
    found = run.quantities("unidentified-0")
    assert [SECONDS * SECOND] * 3 == [found.nanoseconds, found.unknown_nanoseconds, found.unmeasured_nanoseconds]
    assert 0 == found.microjoules
    assert 1 == len(run.told())


def test_a_swap_of_a_nameless_device_leaves_no_phantom() -> None:
    """Of two GPUs one is lost at the start, and a reload swaps them: two GPUs are held and paid for, not three."""
    lost = "kind: lost, devices: [1], for: 12 s"
    run = Lasting(node(lost, "kind: driver-reload, at: 6 s, for: 2 s, then_devices: [1, 0]", count=2), SECONDS)
    held_ns = sum(totals.quantities.nanoseconds for totals in run.part.totals.devices.values())
    assert held_ns == 2 * SECONDS * SECOND
    assert len(run.receipt["devices"]) == 2


def test_a_device_that_was_lost_at_the_start_is_followed_by_its_name() -> None:
    """A GPU that says who it is after two minutes has no second of time twice and none missing."""
    run = Lasting(board("kind: lost, for: 100 s"), SECONDS)
    (uuid,) = run.library.truth.uuids
    nameless, named = run.quantities("unidentified-0"), run.quantities(uuid)
    assert SECONDS * SECOND == nameless.nanoseconds + named.nanoseconds
    assert 0 == nameless.microjoules
    appeared = SECONDS - named.nanoseconds / SECOND
    assert 100 <= appeared <= 131
    assert named.microjoules / 1e6 == pytest.approx(run.joules(uuid, appeared, SECONDS), rel=BAR)
    assert ["GPU is lost", "answers now (NVIDIA H100 80GB HBM3); its energy counts from here"] == run.told()


def test_devices_that_change_places_are_followed_by_uuid() -> None:
    """After a reload in another order, without one of four: three go on by UUID, the fourth is held and unmeasured."""
    run = Lasting(node("kind: driver-reload, at: 201.3 s, for: 20 s, then_devices: [3, 1, 2]", count=4), SECONDS)
    gone, *others = run.library.truth.uuids
    for uuid in others:
        assert run.quantities(uuid).microjoules / 1e6 == pytest.approx(but(201, 221.3)(run, uuid, SECONDS), rel=BAR)
    assert run.quantities(gone).microjoules / 1e6 == pytest.approx(run.joules(gone, 0, 201), rel=BAR)
    assert [SECONDS * SECOND] * 4 == [run.quantities(uuid).nanoseconds for uuid in run.library.truth.uuids]
    assert [0, 1, 2] == sorted(run.part.devices[uuid].index for uuid in others)
    assert any("not list" in words for words in run.told(gone))
    assert 2 == len(run.told(others[0]))


def test_a_device_that_disappears_and_returns_is_the_same_one() -> None:
    """Left out by one reload and back after the next: nothing is counted twice, and what lay between is unmeasured."""
    reloads = ("at: 201.3 s, for: 2 s, then_devices: [1]", "at: 301.3 s, for: 2 s, then_devices: [0, 1]")
    run = Lasting(node(*(f"kind: driver-reload, {reload}" for reload in reloads), count=2), SECONDS)
    away, _ = run.library.truth.uuids
    assert 2 == len(run.part.devices)
    assert run.quantities(away).microjoules / 1e6 == pytest.approx(but(201, 303.3)(run, away, SECONDS), rel=BAR)


def test_a_device_that_appears_is_counted_from_there() -> None:
    """A GPU that a reload brings is one more, from the tick at which it is first seen."""
    both = board(more="absent_until: 100 s") + board().split("devices:\n")[1]
    run = Lasting(both + "faults:\n  - {kind: driver-reload, at: 201.3 s, for: 2 s}\n", SECONDS)
    new, old = run.library.truth.uuids
    assert SECONDS * SECOND == run.quantities(old).nanoseconds
    began = SECONDS - run.quantities(new).nanoseconds / SECOND
    assert 203 <= began <= 205
    assert run.quantities(new).microjoules / 1e6 == pytest.approx(run.joules(new, began, SECONDS), rel=BAR)
    assert ["appeared (NVIDIA H100 80GB HBM3); its energy counts from here"] == run.told(new)


def test_a_lost_device_is_no_second_one_after_a_reload() -> None:
    """A GPU that is lost when the driver is opened anew cannot say who it is: it is held once, not twice."""
    reload = "kind: driver-reload, at: 201.3 s, for: 2 s"
    run = Lasting(node(reload, "kind: lost, devices: [1], at: 150 s, for: 400 s", count=2), SECONDS)
    assert set(run.library.truth.uuids) == set(run.part.devices)
    assert 2 * SECONDS * SECOND == run.part.totals.whole.quantities.nanoseconds


@pytest.mark.parametrize("length", [pytest.param("", id="for-ever"), pytest.param(", for: 100 s", id="for-a-while")])
def test_one_of_eight_hangs_and_seven_are_metered_as_before(length: str) -> None:
    """The hung GPU's time is unknown; the others are busy and idle as without the fault, with the same energy."""
    run = Lasting(node(f"kind: hang, devices: [3], at: 201.3 s{length}", count=8), SECONDS)
    hung = run.library.truth.uuids[3]
    for uuid in run.library.truth.uuids:
        found = run.quantities(uuid)
        assert SECONDS * SECOND == found.nanoseconds
        if uuid != hung:
            assert 0 == found.unknown_nanoseconds
            assert found.microjoules / 1e6 == pytest.approx(run.joules(uuid, 0, SECONDS), rel=0.001)
    could_see = run.joules(hung, 0, SECONDS) if length else run.joules(hung, 0, 201)
    assert run.quantities(hung).microjoules / 1e6 == pytest.approx(could_see, rel=BAR)
    assert "the driver does not answer" == run.told(hung)[0]
    assert set(run.told()) == set(run.told(hung))


def test_a_divided_board_that_is_lost_tells_all_its_instances() -> None:
    """A board's faults are its instances': each is held throughout, and gets its slices of what the counter carried."""
    mig = "mig: [{profile: 3g.40gb}, {profile: 2g.20gb}]\n    architecture: ampere"
    run = Lasting(board("kind: lost, at: 201.3 s, for: 20 s", more=mig), SECONDS)
    (uuid,) = run.library.truth.uuids
    joules = [each.quantities.microjoules / 1e6 for each in run.part.totals.devices.values()]
    assert joules == pytest.approx([run.joules(uuid, 0, SECONDS) * slices / 7 for slices in (3, 2)], rel=BAR)
    assert list(LOST) == run.told(uuid)


ACTIVE = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    mig:
      - profile: 3g.40gb
        load: {shape: square, period: 3 s, high_for: 1 s, high: {power: 300 W, utilization: 100 %}, low: {}}
      - {profile: 2g.20gb, load: {shape: constant, power: 100 W, utilization: 50 %}}
      - {profile: 1g.10gb, load: {shape: constant}}
"""


def test_instances_are_divided_by_what_the_driver_says_they_did() -> None:
    """By hand, over 600 s: a slice at full use draws 100 W above idle, so that slices × utilization is the truth.

    The board idles at 70 W, 10 W a slice: 30 W, 20 W and 10 W, and 10 W of the seventh slice is nobody's. Above that
    the first draws 300 W for a third of the time: (30 + 100) W × 600 s = 78 kJ. The second: (20 + 100) W × 600 s =
    72 kJ. The third: 10 W × 600 s = 6 kJ, and is idle throughout.
    """
    run = Lasting(ACTIVE, SECONDS)
    by_name = {each.name.partition("MIG ")[2]: uuid for uuid, each in run.part.devices.items()}
    first, second, third = (run.quantities(by_name[profile]) for profile in ("3g.40gb", "2g.20gb", "1g.10gb"))
    joules = [each.microjoules / 1e6 for each in (first, second, third)]
    assert joules == pytest.approx([78_000, 72_000, 6_000], rel=BAR)
    assert first.mean_utilization == pytest.approx(1 / 3, abs=0.01)
    assert third.busy_nanoseconds == 0
    assert third.idle_nanoseconds > 0.99 * SECONDS * SECOND


def test_every_happening_moves_only_the_clock() -> None:
    """The harness itself: a run in which nothing happens ends on its second, at every wall clock."""
    seen: list[int] = []

    def look(clock: ManualClock) -> None:
        seen.append(clock.utc_ns())

    Lasting(board(), 20, {10: look})
    assert 1 == len(seen)
