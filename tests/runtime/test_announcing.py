"""The wrapper's side of the agent's socket: what an agent hears, and that a bad one delays nobody."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.meter.progress import Progress
from costmeter.readings import Missing, unidentified
from costmeter.runtime.agent.announceline import Farewell, Greeting, Saying, farewell_line, saying_line
from costmeter.runtime.announcing import Announcing, sockets
from costmeter.runtime.events import Told
from tests.end_to_end.installed import PATIENCE_SECONDS, eventually
from tests.runtime.announcer import Agent, me
from tests.samples import device

OK = Farewell("ok", 0)


def announced(path: Path, run: str = "r-1") -> Announcing:
    """A run that has begun to announce itself."""
    announcing = Announcing((str(path),), Greeting(run, "sft", {"a": "b"}, **me()))
    announcing.start()
    return announcing


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path / "agent.sock") as agent:
        yield agent


def test_an_agent_hears_what_a_run_holds_does_and_how_it_ended(agent: Agent) -> None:
    """Devices as soon as they are known, the phase, the progress, and the end with its code."""
    run = announced(agent.path)
    known = agent.the_run()
    assert (known.name, known.labels, known.root_pid, known.uuids) == ("sft", {"a": "b"}, os.getpid(), None)
    run.hold((device(0, uuid="GPU-a"), unidentified(1, Missing("silent"))))
    run.tell(Told(0, "eval", Progress(3, 4, 0.5, 10), redone=True))
    eventually(lambda: agent.the_run().phase or None, "the phase")
    known = agent.the_run()
    assert (known.uuids, known.phase, known.redone) == (frozenset({"GPU-a"}), "eval", True)
    assert [Progress(3, 4, 0.5, 10)] == [each.progress for each in agent.told]
    run.end(Farewell("failed", None, 9))
    run.close(PATIENCE_SECONDS)
    gone = agent.wait_until_gone()
    assert (gone.key, gone.outcome, gone.exit_code, gone.signal) == ((os.getuid(), "r-1"), "failed", None, 9)


def test_a_run_that_ended_before_it_could_be_announced_is_heard(agent: Agent) -> None:
    """A short job is announced and ended in one go."""
    run = Announcing((str(agent.path),), Greeting("r-1"))
    run.tell(Told(0, "", Progress(9)))
    run.end(OK)
    run.start()
    run.close(PATIENCE_SECONDS)
    assert "ok" == agent.wait_until_gone().outcome
    assert [Progress(9)] == [each.progress for each in agent.told]


def test_a_run_says_goodbye_once(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that become known in the moment of the goodbye make it no second run, which would end a second time."""
    run = announced(agent.path)
    agent.the_run()

    def late(farewell: Farewell) -> bytes:
        run.hold((device(0, uuid="GPU-a"),))
        return farewell_line(farewell)

    def later(saying: Saying) -> bytes:
        if saying.uuids is not None:  # by then the agent has heard the goodbye, and hung up
            eventually(lambda: agent.gone or None, "the end")
        return saying_line(saying)

    monkeypatch.setattr("costmeter.runtime.announcing.farewell_line", late)
    monkeypatch.setattr("costmeter.runtime.announcing.saying_line", later)
    run.end(OK)
    run.close(PATIENCE_SECONDS)
    other = announced(agent.path, "r-2")  # by whose end the agent has taken all that came before it
    other.end(OK)
    eventually(lambda: any(each.key[1] == "r-2" for each in agent.gone) or None, "the other's end")
    assert ["r-1", "r-2"] == sorted(each.key[1] for each in agent.gone)


def test_a_run_finds_an_agent_that_came_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of the agent the run announces itself anew, with what it holds and does."""
    monkeypatch.setattr("costmeter.runtime.announcing.AGAIN_SECONDS", 0.05)
    path = tmp_path / "agent.sock"
    with Agent(path) as first:
        run = announced(path)
        run.hold((device(0, uuid="GPU-a"),))
        run.tell(Told(0, "eval", Progress(3)))
        eventually(lambda: first.told or None, "progress")
    assert [] == first.gone
    with Agent(path) as second:
        eventually(lambda: second.told or None, "progress, again")
        assert (frozenset({"GPU-a"}), "eval") == (second.the_run().uuids, second.the_run().phase)
        run.end(OK)
        run.close(PATIENCE_SECONDS)
        assert "ok" == second.wait_until_gone().outcome


def test_where_no_agent_is_nothing_is_said_and_nobody_waits(tmp_path: Path) -> None:
    """Without a socket the run ends at once."""
    run = announced(tmp_path / "nobody.sock")
    run.tell(Told(0, "", Progress(1)))
    run.end(OK)
    run.close(PATIENCE_SECONDS)
    assert not list(tmp_path.iterdir())


def test_an_agent_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    """One that is stopped takes what the kernel keeps for it; a hundred thousand states are one that waits."""
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(tmp_path / "agent.sock"))
        stuck.listen(1)
        run = announced(tmp_path / "agent.sock")
        for step in range(100_000):
            run.tell(Told(0, f"phase {step}", Progress(step)))
        run.end(OK)
        run.close(0.05)
        peer, _ = stuck.accept()
        peer.setblocking(False)
        kept = peer.recv(2**24)
        assert kept.startswith(b'{"costmeter":"announce/1"')
        assert kept.count(b"\n") < 100_000
        peer.close()


def test_an_agent_that_hangs_up_and_talks_nonsense_is_survived(tmp_path: Path) -> None:
    """Whatever is answered, and however a connection ends, the run goes on and ends."""
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(tmp_path / "agent.sock"))
        odd.listen(8)
        odd.settimeout(PATIENCE_SECONDS)
        run = announced(tmp_path / "agent.sock")
        peer, _ = odd.accept()
        peer.sendall(b"\xff" * 10_000)
        peer.close()
        run.tell(Told(0, "", Progress(1)))
        run.end(OK)
        again, _ = odd.accept()  # once more at its end
        again.settimeout(PATIENCE_SECONDS)
        assert again.recv(64).startswith(b'{"costmeter":"announce/1"')
        again.close()
        run.close(PATIENCE_SECONDS)
        assert not [each for each in threading.enumerate() if each.name == "costmeter-announcing"]


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        pytest.param(("/run/costmeter/agent.sock",), {}, id="the-systems"),
        pytest.param(
            ("/run/costmeter/agent.sock", "/run/user/7/costmeter/agent.sock"),
            {"XDG_RUNTIME_DIR": "/run/user/7/"},
            id="then-the-users",
        ),
        pytest.param(("/x.sock",), {"COSTMETER_AGENT": "/x.sock", "XDG_RUNTIME_DIR": "/r"}, id="the-one-named"),
        pytest.param((), {"COSTMETER_AGENT": "off"}, id="none"),
        pytest.param(("/run/costmeter/agent.sock",), {"XDG_RUNTIME_DIR": "here"}, id="a-relative-folder-is-none"),
    ],
)
def test_the_agents_socket_is_sought_where_agents_listen(expected: tuple[str, ...], environ: dict[str, str]) -> None:
    """COSTMETER_AGENT names it or says off; else the system's comes before the user's."""
    assert expected == sockets(environ)
