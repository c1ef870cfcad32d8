"""The attributor: real processes in its own thread, what it posts, and what it does not."""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from costmeter.attribution.announcement import Announcement
from costmeter.attribution.processes import Process
from costmeter.clock import Anchor, ManualClock
from costmeter.ledger.identity import user_name
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import UNKNOWN_UID, Holder
from costmeter.readings import Missing
from costmeter.runtime.agent.attributor import Attributor, Places
from costmeter.runtime.agent.events import AtWork, Held, RunGone
from costmeter.runtime.agent.script import Script
from tests.end_to_end.installed import eventually, uncovered
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, MINUTE, SECOND, devices

NODE = devices(2)
FIRST, SECOND_GPU = (device.uuid for device in NODE)
UID = os.getuid()
USER = user_name(UID)

Start = Callable[..., subprocess.Popen[bytes]]


class Agent:
    """An attributor with everything around it in the test's hands."""

    def __init__(self, places: Places) -> None:
        self.clock = ManualClock(BEGAN_UTC_NS, BEGAN_NS)
        self.announced: list[Announcement] = []
        self.posted: queue.Queue[Held | RunGone] = queue.Queue()
        self.at_work: queue.Queue[AtWork] = queue.Queue()
        self.warned: list[str] = []
        self.attributor = Attributor(
            self.clock,
            lambda: Anchor(BEGAN_NS, BEGAN_UTC_NS),
            lambda told: (self.at_work if isinstance(told, AtWork) else self.posted).put(told),  # type: ignore[arg-type]
            lambda: tuple(self.announced),
            places,
            self.warned.append,
        )

    def see(self, processes: Mapping[str, tuple[int, ...] | Missing]) -> None:
        self.attributor.see(processes, self.clock.boottime_ns())

    def next(self) -> Held:
        """The next holders that are told."""
        told = self.posted.get(timeout=60)
        assert isinstance(told, Held)
        return told


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An attributor of two GPUs at work, after its first look."""
    made = Agent(Places(str(tmp_path / "slurm")))
    made.attributor.hold(NODE)
    made.attributor.start()
    first = made.next()
    assert ({}, {}) == (first.by_device, first.runs)
    yield made
    made.attributor.end()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that live until the test ends, with some variables."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(**environ: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-Sc", "print(flush=True); input()"]
        child = subprocess.Popen(
            command, env=uncovered(os.environ) | environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline()
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def announcement(run: str, pid: int, uuids: frozenset[str] | None = None) -> Announcement:
    return Announcement(UID, pid, run, USER, BEGAN_UTC_NS, BEGAN_UTC_NS - MINUTE, uuids)


def test_holders_are_told_when_they_change(agent: Agent, start: Start) -> None:
    """A process that computes, a run that it names, and nobody again: each once, as of the driver's list."""
    plain, marked = start().pid, start(COSTMETER_RUN_ID="r-one").pid
    agent.see({FIRST: (plain,), SECOND_GPU: ()})
    held = agent.next()
    assert ({FIRST: (Holder(UID, "", USER, "user"),)}, BEGAN_NS) == (held.by_device, held.at_ns)

    agent.clock.advance(15 * SECOND)
    agent.see({FIRST: (plain,), SECOND_GPU: ()})
    agent.clock.advance(15 * SECOND)
    agent.see({FIRST: (plain, marked), SECOND_GPU: (marked,)})
    run = Holder(UID, "r-one", USER, "environment")
    held = agent.next()
    assert {FIRST: (Holder(UID, "", USER, "user"), run), SECOND_GPU: (run,)} == held.by_device
    assert [RunFacts] == [type(facts) for facts in held.runs.values()]
    assert BEGAN_UTC_NS + 30 * SECOND == held.runs[UID, "r-one"].seen_utc_ns

    agent.see({FIRST: (), SECOND_GPU: ()})
    assert {} == agent.next().by_device


def test_an_announcement_holds_at_once(agent: Agent, start: Start) -> None:
    """What was announced is held without a new list of the driver's, and no more when it is taken back."""
    child = start()
    agent.see({FIRST: (child.pid,)})
    assert "user" == agent.next().by_device[FIRST][0].source

    agent.announced.append(announcement("r-one", child.pid, frozenset({FIRST, SECOND_GPU})))
    agent.attributor.changed()
    held = agent.next()
    holder = Holder(UID, "r-one", USER, "announced")
    assert {FIRST: (holder,), SECOND_GPU: (holder,)} == held.by_device
    assert BEGAN_UTC_NS - MINUTE == held.runs[UID, "r-one"].started_utc_ns

    agent.announced.clear()
    child.kill()
    child.communicate()
    agent.attributor.changed()
    held = agent.next()
    assert ({}, {}) == (held.by_device, held.runs)


def test_a_run_is_found_by_the_parents_of_what_computes(agent: Agent) -> None:
    """A run that does not say what it holds holds what a grandchild of its announcer computes on."""
    inner = "import subprocess, sys; subprocess.run(['sh', '-c', 'echo $$; read line; exit 0'])"
    with subprocess.Popen([sys.executable, "-Sc", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        grandchild = int(outer.stdout.readline())
        agent.announced.append(announcement("r-one", outer.pid))
        agent.see({FIRST: (grandchild,)})
        assert {FIRST: (Holder(UID, "r-one", USER, "announced"),)} == agent.next().by_device
        outer.communicate(b"\n")


def test_a_run_that_vanishes_is_gone(agent: Agent, start: Start) -> None:
    """A run by its environment ends a minute after it and its processes were last there."""
    child = start(COSTMETER_RUN_ID="r-one")
    agent.see({FIRST: (child.pid,)})
    assert agent.next().runs
    child.kill()
    child.communicate()
    agent.see({FIRST: ()})
    held = agent.next()
    assert ({}, 1) == (held.by_device, len(held.runs))

    agent.clock.advance(MINUTE)
    agent.see({FIRST: ()})
    assert {} == agent.next().runs
    assert RunGone(BEGAN_NS, (UID, "r-one"), "unknown") == agent.posted.get(timeout=60)


def test_where_the_driver_does_not_say_its_last_word_stands(agent: Agent, start: Start) -> None:
    """A refused list changes no holder, and the collector says that it failed."""
    child = start()
    agent.see({FIRST: (child.pid,)})
    before = agent.next()
    assert {"processes": True, "slurm": True} == before.collectors

    agent.see({FIRST: Missing("refused")})
    held = agent.next()
    assert before.by_device == held.by_device
    assert {"processes": False, "slurm": True} == held.collectors


def test_processes_that_nobody_sees_are_somebody(agent: Agent) -> None:
    """A pid that the driver lists twice and /proc does not know is an unknown user's, told once; a claim stands."""
    agent.see({FIRST: (2**31 - 1,), SECOND_GPU: (2**31 - 2,)})
    agent.announced.append(announcement("r-one", 0, frozenset({SECOND_GPU})))
    agent.attributor.changed()
    eventually(lambda: (UID, "r-one") in agent.next().runs or None, "the announcement")
    assert [] == agent.warned

    agent.see({FIRST: (2**31 - 1,), SECOND_GPU: (2**31 - 2,)})
    held = agent.next()
    assert {"unknown": FIRST, USER: SECOND_GPU} == {holders[0].user: uuid for uuid, holders in held.by_device.items()}
    assert not held.collectors["processes"]
    agent.see({FIRST: ()})
    assert [SECOND_GPU] == list(agent.next().by_device)
    [warning] = agent.warned
    assert str(2**31 - 1) in warning


def test_a_jobs_file_is_noticed(agent: Agent, tmp_path: Path) -> None:
    """A prolog's file is seen when it comes and when it goes, between two lists of the driver; a bad one is told."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    text = f'{{"job": 7, "uid": {UID}, "user": "{USER}", "gpus": ["1"], "name": "train", "account": "nlp"}}'
    (folder / "draft").write_text(text)
    (folder / "draft").rename(folder / "7.json")
    held = agent.next()
    assert {SECOND_GPU: (Holder(UID, "slurm-7", USER, "slurm"),)} == held.by_device
    assert ("7", "train", {"account": "nlp"}) == (
        held.runs[UID, "slurm-7"].job, held.runs[UID, "slurm-7"].name, held.runs[UID, "slurm-7"].labels,
    )  # fmt: skip

    (folder / "7.json").unlink()
    assert {} == agent.next().by_device
    (folder / "8.json").write_text("{")
    assert {"processes": True, "slurm": False} == agent.next().collectors
    assert 1 == len(agent.warned)


def test_runs_of_the_agent_before_are_gone_when_nobody_sees_them(tmp_path: Path) -> None:
    """After a restart the runs that were there are waited for, a minute."""
    made = Agent(Places())
    made.attributor.expect([RunFacts(UID, "r-old", USER, "announced", BEGAN_UTC_NS, BEGAN_UTC_NS)], {})
    made.attributor.hold(NODE)
    made.attributor.start()
    assert [(UID, "r-old")] == list(made.next().runs)

    made.clock.advance(MINUTE)
    made.attributor.changed()
    assert {} == made.next().runs
    assert RunGone(BEGAN_NS, (UID, "r-old"), "unknown") == made.posted.get(timeout=60)
    made.attributor.end()


def restarted(run: Holder, *others: Holder) -> Agent:
    """An attributor after a restart: before it a run held one GPU, and others the second."""
    made = Agent(Places())
    facts = RunFacts(UID, run.run, USER, run.source, BEGAN_UTC_NS, BEGAN_UTC_NS)
    made.attributor.expect([facts], {FIRST: (run,), SECOND_GPU: others})
    return made


def test_after_a_restart_nobody_lets_go_before_the_driver_has_spoken(start: Start) -> None:
    """Neither the first look nor the devices take a GPU from whom it had; the first list tells who computes."""
    run, user = Holder(UID, "r-old", USER, "environment"), Holder(UID, "", USER, "user")
    made = restarted(run, user)
    made.attributor.start()
    made.attributor.changed()
    assert {FIRST: (run,), SECOND_GPU: (user,)} == made.next().by_device
    made.attributor.hold(NODE)
    made.see({FIRST: (), SECOND_GPU: (start().pid,)})
    assert {SECOND_GPU: (user,)} == made.next().by_device
    made.attributor.end()


def test_after_a_restart_an_announced_run_has_a_grace_to_come_again(start: Start) -> None:
    """Its GPU is its own for ten seconds from the first list on, though it does not compute; then it is nobody's."""
    run = Holder(UID, "r-old", USER, "announced")
    made = restarted(run)
    made.attributor.hold(NODE)
    made.attributor.start()
    assert {FIRST: (run,)} == made.next().by_device
    listed, user = {FIRST: (), SECOND_GPU: (start().pid,)}, Holder(UID, "", USER, "user")
    made.see(listed)
    assert {FIRST: (run,), SECOND_GPU: (user,)} == made.next().by_device
    made.clock.advance(10 * SECOND)
    made.see(listed)
    assert {SECOND_GPU: (user,)} == made.next().by_device
    made.attributor.end()


def test_after_a_restart_who_could_not_be_seen_before_is_there_at_the_first_list() -> None:
    """A pid that /proc does not show, where somebody unseen was before: nobody waits for a second list."""
    unseen, run = Holder(UNKNOWN_UID, "", "unknown", "user"), Holder(UID, "r-old", USER, "announced")
    made = restarted(run, unseen)
    made.attributor.hold(NODE)
    made.attributor.start()
    assert {FIRST: (run,), SECOND_GPU: (unseen,)} == made.next().by_device
    made.see({FIRST: (), SECOND_GPU: (2**31 - 1,)})
    held = made.next()  # what the collectors say has changed
    assert ({FIRST: (run,), SECOND_GPU: (unseen,)}, False) == (held.by_device, held.collectors["processes"])
    made.attributor.end()


def test_an_announcement_holds_from_the_runs_start(agent: Agent, start: Start) -> None:
    """What nobody or a user without a run held is a run's from when it began; what another run had, from now on."""
    child = start()
    agent.see({FIRST: (child.pid,)})
    assert agent.next().since_ns is None
    agent.announced.append(announcement("r-one", child.pid, frozenset({FIRST, SECOND_GPU})))
    agent.attributor.changed()
    assert BEGAN_NS - MINUTE == agent.next().since_ns
    agent.announced.append(announcement("r-two", 0, frozenset({SECOND_GPU})))
    agent.attributor.changed()
    assert agent.next().since_ns is None


def test_a_run_that_two_announce_holds_what_both_say(agent: Agent, start: Start) -> None:
    """Each with a GPU: the run has both, once."""
    for uuid in (FIRST, SECOND_GPU):
        agent.announced.append(announcement("r-one", start().pid, frozenset({uuid})))
    agent.attributor.changed()
    holder = Holder(UID, "r-one", USER, "announced")
    assert {FIRST: (holder,), SECOND_GPU: (holder,)} == agent.next().by_device


def test_a_fault_of_ours_ends_nothing(agent: Agent, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a look fails the holders stand, a person is told, and the next look counts again."""
    with monkeypatch.context() as broken:
        broken.setattr("costmeter.runtime.agent.attributor.attribute", None)
        agent.attributor.changed()
        eventually(lambda: agent.warned or None, "a warning")
    assert "who holds the GPUs could not be found out: TypeError" in agent.warned[0]

    agent.see({FIRST: (start().pid,)})
    assert [FIRST] == list(agent.next().by_device)


def test_a_scenarios_processes_are_no_fault(agent: Agent) -> None:
    """The numbers in a scenario are an unknown user's processes, and nobody is warned of them."""
    agent.attributor.hold(NODE, is_simulated=True)

    def look() -> Held | None:
        agent.see({FIRST: (4_241_001,)})
        return None if agent.posted.empty() else agent.next()

    held = eventually(look, "the second look at one list")

    assert ["unknown"] == [each.user for each in held.by_device[FIRST]]
    assert ({"processes": True, "slurm": True}, []) == (held.collectors, agent.warned)


def test_pods_hold_what_the_kubelet_gave_them(tmp_path: Path) -> None:
    """A pod has its GPU when it comes and until it goes; a kubelet that dies keeps it for a minute, and is told of."""
    pytest.importorskip("grpc", reason="the extra `kubernetes` is not installed")
    from tests.attribution.kubelets import kubelet, pod

    socket = Path(tempfile.mkdtemp(prefix="kubelet-")) / "kubelet.sock"
    made = Agent(Places("", str(socket)))
    made.attributor.hold(NODE)
    with kubelet(socket) as stand_in:
        stand_in.pods = [pod("ml", "train-0", {"main": {"nvidia.com/gpu": [f"{FIRST}::0"]}})]
        made.attributor.start()
        held = eventually(lambda: next((each for each in [made.next()] if each.by_device), None), "the pod")
    holder = Holder(UNKNOWN_UID, "k8s-ml.train-0", "", "kubernetes")
    assert {FIRST: (holder,)} == held.by_device
    assert "ml/train-0" == held.runs[holder.key].job

    def is_failing() -> bool | None:
        """Another look; the clock moves with each wait of who asks the kubelet."""
        made.attributor.changed()
        return bool(made.warned) or None

    eventually(is_failing, "a question without an answer")
    assert made.warned[0].startswith("the kubelet does not answer")
    made.attributor.end()
    shutil.rmtree(socket.parent)


def test_a_real_run_takes_the_part_of_a_scenarios_process(start: Start) -> None:
    """A scenario's process holds its GPU for its user; a run that is announced there has it, whoever's it is."""
    playing = Process(5_000_001, 0, 50_001, run="r-played")
    told = Script({playing.pid: playing}, {50_001: "maya"}, {playing.pid: 2.5})
    posted: queue.Queue[Held | RunGone | AtWork] = queue.Queue()
    announced: list[Announcement] = []
    warned: list[str] = []
    clock = ManualClock(BEGAN_UTC_NS, BEGAN_NS)
    anchor = Anchor(BEGAN_NS, BEGAN_UTC_NS)
    attributor = Attributor(
        clock, lambda: anchor, posted.put, lambda: tuple(announced), Places(), warned.append, script=told
    )
    attributor.hold(NODE, is_simulated=True)
    attributor.see({FIRST: (playing.pid,)}, clock.boottime_ns())
    attributor.start()
    first = posted.get(timeout=60)
    assert isinstance(first, Held)
    assert first.by_device == {FIRST: (Holder(50_001, "r-played", "maya", "environment"),)}
    assert posted.get(timeout=60) == AtWork(clock.boottime_ns(), {FIRST: 2.5})
    announced.append(Announcement(UID, os.getpid(), "r-real", USER, BEGAN_UTC_NS, BEGAN_UTC_NS, frozenset({FIRST})))
    attributor.changed()
    taken = posted.get(timeout=60)
    assert isinstance(taken, Held)
    assert [holder.run for holder in taken.by_device[FIRST]] == ["r-real"]
    attributor.end()
