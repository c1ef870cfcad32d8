"""The installed agent's socket: it comes again when its folder was cleaned, and one user's flood keeps nobody out."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.agents import agent, agent_command
from tests.end_to_end.installed import PATIENCE_SECONDS, eventually, own_home
from tests.runtime.announcer import Announcer

#: Announces and ends runs on every GPU as fast as it is let, as a user of its own.
FLOOD = """
import json, os, socket, sys, time
os.setuid(65534)
for number in range(300):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(sys.argv[1])
        said = {"costmeter": "announce/1", "run": f"z{number}", "name": "n" * 128, "simulated": True}
        agent.sendall(json.dumps(said).encode() + b"\\n")
        if b"refused" not in agent.recv(999):
            agent.sendall(b'{"end": {"outcome": "ok"}}\\n')
            agent.recv(999)
"""


@pytest.fixture(name="home")
def _home() -> Iterator[dict[str, str]]:
    with own_home() as environ:
        yield environ


def test_a_folder_that_is_cleaned_gets_socket_and_lock_again(home: dict[str, str], tmp_path: Path) -> None:
    """A run that begins then is heard, a second agent is refused, and it is told once."""
    place = Path(home["HOME"]) / "run" / "agent.sock"
    with agent(tmp_path, home, "--socket", str(place)) as metered:
        assert metered.node["health"]["collectors"]["announcements"]
        shutil.rmtree(place.parent)
        eventually(lambda: "was removed" in metered.said or None, "a word of it")
        with Announcer(place) as run:
            assert {"ok": True} == run.announce("r-after", simulated=True)
            assert "announced" == metered.run("r-after")["source"]
        argv = agent_command(tmp_path / "other", "--socket", str(place))
        other = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert 0 != other.returncode
        assert f"{place} is in use by pid {metered.process.pid}" in other.stderr
        assert 0 == metered.stop()
        assert 1 == metered.said.count("was removed")
    assert not place.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be two users")
def test_one_users_flood_keeps_no_other_user_out(home: dict[str, str], tmp_path: Path) -> None:
    """Of 300 runs one after the other 64 and a few are taken; the next user's run is heard and shown."""
    place = Path(home["HOME"]) / "run" / "agent.sock"
    with agent(tmp_path, home, "--socket", str(place)) as metered:
        assert metered.node
        for folder in list(place.parents)[:3]:
            folder.chmod(0o755)
        subprocess.run(["/usr/bin/env", "python3", "-c", FLOOD, str(place)], check=True, timeout=PATIENCE_SECONDS)
        with Announcer(place) as run:
            assert {"ok": True} == run.announce("mine", simulated=True)
            assert "announced" == metered.run("mine")["source"]
            assert metered.node["health"]["runs_refused"] > 200
        assert 0 == metered.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*.jsonl"))
    assert 20_000 < written < 300_000
