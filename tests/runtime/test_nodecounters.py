"""Law 2 on the agent's page: whatever happens to a node and its agent, no series of any counter ever falls.

Agents live one after the other on real files: runs come, share, change phases, tell steps, end and come back; settings
are loaded anew, midnight passes, the wall clock is set, a GPU is lost, and the agent is stopped or killed.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from hypothesis import event, example, given
from hypothesis import strategies as st

from costmeter.clock import ManualClock, anchor
from costmeter.ledger.node.journal import restored
from costmeter.ledger.record import Outcome
from costmeter.meter.activity import IdleRule
from costmeter.meter.holder import Holder, RunKey
from costmeter.meter.progress import Progress
from costmeter.meter.schedule import Constant
from costmeter.outputs.nodepage import RunNames, page
from costmeter.rates.book import Book, Sourced
from costmeter.runtime.agent.events import Held, RunTold
from costmeter.runtime.agent.writer import NodeWriter
from tests.depth import examples
from tests.runtime.agent.test_recorder import LATE_UTC_NS
from tests.runtime.heldnode import LEE, LEE_1, MAYA_1, MAYA_2, HeldNode, facts
from tests.runtime.metered import BOOTED_NS, SECOND
from tests.runtime.test_recorder import CONFIGURED, TWO_GPUS, owned_book
from tests.sources.nodes import node

MINUTE = 60 * SECOND
#: Two GPUs, of which the second falls off the bus, more than once.
LOSING = f"""{TWO_GPUS}
faults:
  - {{kind: lost, devices: [1], at: 40 s, for: 100 s}}
  - {{kind: lost, devices: [1], at: 400 s, for: 30 s}}
  - {{kind: counter-reset, devices: [0], at: 92 s}}
"""
#: No two runs of one id: whose series has his number in its name is not known after a restart.
WHO = (MAYA_1, MAYA_2, replace(LEE_1, run="r-3"), LEE)
#: What a process counts of itself: it begins at 0 with each.
OF_A_PROCESS = (
    "costmeter_readings",
    "costmeter_energy_resets",
    "costmeter_runs_dropped",
)


@dataclass(frozen=True)
class Hands:
    """The devices have these holders from now on."""

    held: tuple[tuple[Holder, ...], ...]


@dataclass(frozen=True)
class Gone:
    """A run ends."""

    who: Holder
    outcome: Outcome


@dataclass(frozen=True)
class Told:
    """A run says how far it has come. To an agent that is new it says no less than before: it knows its furthest."""

    who: Holder
    steps: int


@dataclass(frozen=True)
class Loaded:
    """Settings are loaded anew: cents per kWh, below which utilization a GPU idles, a label; None: they are faulty."""

    cents: int | None
    below: float = 0.05
    label: str = ""


@dataclass(frozen=True)
class Stepped:
    """The wall clock is set."""

    by_ns: int


@dataclass(frozen=True)
class Dies:
    """The agent is killed, or stopped orderly; the next one starts after a while."""

    is_killed: bool
    down_ns: int


Happening = int | Hands | Gone | Told | Loaded | Stepped | Dies
HOLDERS = st.builds(
    lambda who, phase, redone: replace(who, phase=phase, redone=redone) if who.run else who,
    st.sampled_from(WHO),
    st.sampled_from(["", "eval", "train"]),
    st.booleans(),
)
HANDS = st.lists(HOLDERS, max_size=3, unique_by=lambda who: (who.uid, who.run)).map(tuple)
RUNS = st.sampled_from([who for who in WHO if who.run])
LENGTHS = st.sampled_from([SECOND, 7 * SECOND, 25 * SECOND, 70 * SECOND, 20 * MINUTE])
HAPPENINGS = st.lists(
    st.one_of(
        LENGTHS,
        LENGTHS,
        st.builds(Hands, st.tuples(HANDS, HANDS)),
        st.builds(Hands, st.tuples(HANDS, HANDS)),
        st.builds(Gone, RUNS, st.sampled_from(["ok", "failed", "unknown"])),
        st.builds(Told, RUNS, st.integers(0, 50)),
        st.builds(
            Loaded,
            st.sampled_from([None, 0, 10, 500, -300]),
            st.sampled_from([0.05, 0.5, 1.0]),
            st.sampled_from(["", "nlp"]),
        ),
        st.builds(Stepped, st.sampled_from([-90 * SECOND, -3_600 * SECOND, 2 * SECOND, 600 * SECOND, 90_000 * SECOND])),
        st.builds(Dies, st.booleans(), st.sampled_from([0, 3 * SECOND, 5 * MINUTE])),
    ),
    min_size=4,
    max_size=25,
)


@dataclass
class World:
    """A node, the agent on it now, the last value of every counter of its page, and which were on the last page."""

    folder: Path
    clock: ManualClock
    shown: dict[str, Decimal] = field(default_factory=dict)
    last: frozenset[str] = frozenset()
    seen_utc_ns: dict[RunKey, int] = field(default_factory=dict)
    told_before: dict[RunKey, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.library = node(LOSING, self.clock, BOOTED_NS)
        self.began_boottime_ns = self.clock.boottime_ns()
        self.settings = Loaded(10)
        self.agent = HeldNode(self.library, self.clock, _book(10))
        self._begin()

    def take(self, step: Happening) -> None:
        """Let one thing happen, and look at the page after each event of it."""
        self.log.append(repr(step))
        if isinstance(step, Dies):
            self._restart(step)
            return
        self._happen(step)
        self._look()

    def _happen(self, step: Happening) -> None:
        agent = self.agent
        if isinstance(step, int):
            agent.tick(step)
        elif isinstance(step, Hands):
            agent.recorder.handle(self._held(step))
        elif isinstance(step, Gone):
            self.seen_utc_ns.pop(step.who.key, None)
            agent.gone(step.who, step.outcome)
        elif isinstance(step, Told):
            steps = max(step.steps, self.told_before.get(step.who.key, 0))
            agent.recorder.handle(RunTold(self.clock.boottime_ns(), step.who.key, Progress(steps)))
        elif isinstance(step, Loaded):
            labels = {"team": step.label} if step.label else {}
            agent.reload(None if step.cents is None else _book(step.cents), IdleRule(step.below), labels)
        elif isinstance(step, Stepped):
            self.clock.step_wall(step.by_ns)

    def _held(self, hands: Hands) -> Held:
        """Who holds what, as the attributor says it: a run that comes back is seen anew."""
        now_utc_ns = self.clock.utc_ns()
        runs = {who.key: who for holders in hands.held for who in holders if who.run}
        seen = {key: self.seen_utc_ns.setdefault(key, now_utc_ns) for key in runs}
        by_device = {device.uuid: held for device, held in zip(self.agent.devices, hands.held, strict=True)}
        told = {key: facts(who, seen[key]) for key, who in runs.items()}
        return Held(self.clock.boottime_ns(), by_device, told)

    def _begin(self) -> None:
        self.writer = NodeWriter(self.folder / "node", "gpu01", self.folder / "run")
        self.names = RunNames()
        self.agent.begin()
        self._look()

    def _restart(self, how: Dies) -> None:
        if not how.is_killed:
            self.agent.end()
            self._look()
        told = {key: progress.steps or 0 for key, progress in self.agent.snapshot.furthest.items()}
        self.told_before = {**self.told_before, **told}
        self.agent.source.close()
        self.clock.advance(how.down_ns)
        header = replace(self.agent.header, start_ns=self.clock.boottime_ns(), anchor=anchor(self.clock))
        found = restored(self.folder / "node", header, self.folder / "run")
        assert found.why_zero == ""  # every byte was taken by the disk
        event("restarted")
        begins = found.opening, found.earlier, found.holders
        self.agent = HeldNode(self.library, self.clock, _book(10), 100, *begins)
        self.shown = {name: value for name, value in self.shown.items() if not name.startswith(OF_A_PROCESS)}
        self._begin()

    def _look(self) -> None:
        for post in self.agent.posts[self.writer._written :]:
            self.writer.write(post)
            snapshot = self.writer.snapshot
            assert snapshot is not None
            now = counters(page(snapshot, "", self.names)[0].decode())
            low = {name: (before, now[name]) for name, before in self.shown.items() if now.get(name, before) < before}
            fallen = {name: pair for name, pair in low.items() if name in self.last or pair[1] != 0}
            assert fallen == {}, "\n".join(self.log)
            self.shown, self.last = {**self.shown, **now}, frozenset(now)


def _book(cents: int) -> Book:
    """Owned GPUs, at so many cents per kWh."""
    return replace(owned_book(), electricity=Sourced(Constant(Decimal(cents) / 100), CONFIGURED))


def counters(text: str) -> Mapping[str, Decimal]:
    """Every series of a counter on a page, with its value."""
    found: dict[str, Decimal] = {}
    is_counter = False
    for line in text.splitlines():
        if line.startswith("#"):
            is_counter = line.startswith("# TYPE ") and line.endswith(" counter")
        elif is_counter:
            name, _, value = line.rpartition(" ")
            found[name] = Decimal(value)
    return found


#: A run of seven seconds that is on the page with them, and then the clock is set back, or it comes back.
SHORT: tuple[Happening, ...] = (Hands(((MAYA_1,), ())), 7 * SECOND, Hands(((), ())), 70 * SECOND)


def test_what_begins_anew_with_each_process_is_told_by_name() -> None:
    """docs/metrics.md names every counter that the law below leaves out."""
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    [told] = re.findall(r"What a process counts of itself begins\s+at 0 with each: ([^.]*)\.", text)
    assert {f"{name}_total" for name in OF_A_PROCESS} <= set(re.findall(r"`(\w+)`", told))


@example([*SHORT, Stepped(-3_600 * SECOND), 70 * SECOND, SECOND], LATE_UTC_NS)
@example([*SHORT, Gone(MAYA_1, "ok"), 7 * SECOND, Hands(((MAYA_1,), ())), SECOND], LATE_UTC_NS)
@example([SECOND, SECOND, 70 * SECOND, Dies(False, 0)], LATE_UTC_NS)  # a GPU is lost when the agent comes back
@examples(40)
@given(HAPPENINGS, st.sampled_from([LATE_UTC_NS, LATE_UTC_NS - 3_600 * SECOND]))
def test_no_counter_of_the_page_ever_falls(steps: list[Happening], began_utc_ns: int) -> None:
    """Nor after a restart on the same boot, where the journal says where they stood; a run's zeros included.

    A series that is absent for a while, because its run was forgotten, goes on from no less or begins at 0.
    """
    with tempfile.TemporaryDirectory(prefix="costmeter-") as name:
        world = World(Path(name), ManualClock(began_utc_ns, BOOTED_NS))
        try:
            for step in steps:
                world.take(step)
            assert any(name.startswith("costmeter_gpu_cost") for name in world.shown)
        finally:
            world.agent.source.close()
