"""Where an agent keeps its state and its socket, by what was asked and what the system gave it."""

from pathlib import Path

import pytest

from costmeter.runtime.agent import places
from costmeter.runtime.agent.places import runtime_folder, slurm_folder, socket_path, state_folder


@pytest.fixture(autouse=True)
def nothing_is_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's own folders are not there, unless a test makes them."""
    monkeypatch.setattr(places, "STATE", tmp_path / "absent" / "var")
    monkeypatch.setattr(places, "RUNTIME", tmp_path / "absent" / "run")


@pytest.mark.parametrize(
    ("asked", "environ", "found"),
    [
        ("/asked", {"STATE_DIRECTORY": "/given"}, "/asked"),
        (None, {"STATE_DIRECTORY": "/given:/more", "XDG_STATE_HOME": "/own"}, "/given"),
        (None, {"XDG_STATE_HOME": "/own"}, "/own/costmeter"),
        (None, {"HOME": "/home/maya"}, "/home/maya/.local/state/costmeter"),
    ],
)
def test_the_state_is_where_it_was_asked_for_else_given_else_the_users(
    asked: str | None, environ: dict[str, str], found: str
) -> None:
    """In this order; of several folders of systemd the first."""
    assert state_folder(asked, environ) == Path(found)


@pytest.mark.parametrize(
    ("asked", "environ", "found"),
    [
        ("/asked", {}, "/asked"),
        (None, {"STATE_DIRECTORY": "/given", "XDG_STATE_HOME": "/own"}, "/given/simulated"),
        (None, {"XDG_STATE_HOME": "/own"}, "/own/costmeter/simulated"),
    ],
)
def test_simulated_gpus_have_a_state_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str | None, environ: dict[str, str], found: str
) -> None:
    """Never the system's folder, though it is ours; what was asked for is where it was asked for."""
    monkeypatch.setattr(places, "STATE", tmp_path)
    assert state_folder(asked, environ, is_simulated=True) == Path(found)


@pytest.mark.parametrize(
    ("environ", "is_simulated", "found"),
    [
        ({}, False, "/run/costmeter-slurm"),
        ({"RUNTIME_DIRECTORY": "/run/costmeter", "COSTMETER_AGENT": "/a/agent.sock"}, False, "/run/costmeter-slurm"),
        ({"COSTMETER_SLURM_FOLDER": "/jobs"}, False, "/jobs"),
        ({"COSTMETER_SLURM_FOLDER": "/jobs"}, True, "/jobs"),
        ({}, True, None),
    ],
)
def test_slurm_tells_outside_of_what_is_the_agents(
    environ: dict[str, str], is_simulated: bool, found: str | None
) -> None:
    """Root writes there, so it is never below the agent's own folder; Slurm gives nobody simulated GPUs."""
    assert slurm_folder(environ, is_simulated) == (None if found is None else Path(found))


def test_what_was_shown_of_simulated_gpus_is_marked_apart() -> None:
    """Beside the socket for real ones; one folder below for simulated ones; nowhere where there is no socket."""
    socket = Path("/run/costmeter/agent.sock")
    assert runtime_folder(socket, is_simulated=False) == Path("/run/costmeter")
    assert runtime_folder(socket, is_simulated=True) == Path("/run/costmeter/simulated")
    assert runtime_folder(None, is_simulated=True) is None


@pytest.mark.parametrize(
    ("asked", "environ", "found"),
    [
        ("/asked.sock", {"COSTMETER_AGENT": "/set.sock"}, "/asked.sock"),
        (None, {"COSTMETER_AGENT": "/set.sock", "RUNTIME_DIRECTORY": "/given"}, "/set.sock"),
        (None, {"COSTMETER_AGENT": "off", "RUNTIME_DIRECTORY": "/given"}, "/given/agent.sock"),
        (None, {"RUNTIME_DIRECTORY": "/given:/more", "XDG_RUNTIME_DIR": "/own"}, "/given/agent.sock"),
        (None, {"XDG_RUNTIME_DIR": "/own"}, "/own/costmeter/agent.sock"),
        (None, {"XDG_RUNTIME_DIR": "relative"}, None),
        (None, {}, None),
    ],
)
def test_the_socket_is_where_it_was_asked_for_else_given_else_the_users(
    asked: str | None, environ: dict[str, str], found: str | None
) -> None:
    """In this order; nowhere where there is no folder for it."""
    assert socket_path(asked, environ) == (found and Path(found))


def test_the_systems_folders_come_before_the_users_where_they_are_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that is there, and one that can be made beside others."""
    monkeypatch.setattr(places, "STATE", tmp_path)
    monkeypatch.setattr(places, "RUNTIME", tmp_path / "costmeter")
    assert state_folder(None, {"XDG_STATE_HOME": "/own"}) == tmp_path
    assert socket_path(None, {"XDG_RUNTIME_DIR": "/own"}) == tmp_path / "costmeter" / "agent.sock"
