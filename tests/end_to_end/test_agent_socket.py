"""The installed agent's socket: it comes again when its folder was cleaned, and one user's flood keeps nobody out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.agents import agent, agent_command
from tests.end_to_end.installed import PATIENCE_SECONDS, eventually, own_home, uncovered
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


def test_a_folder_that_is_cleaned_gets_socket_and_lock_again(tmp_path: Path) -> None:
    """A run that begins then is heard, a second agent is refused, and it is told once."""
    place = tmp_path / "run" / "agent.sock"
    with agent(tmp_path, own_home(tmp_path), "--socket", str(place)) as metered:
        assert metered.node["health"]["collectors"]["announcements"]
        shutil.rmtree(place.parent)
        eventually(lambda: "was removed" in metered.said or None, "a word of it")
        with Announcer(place) as run:
            assert {"ok": True} == run.announce("r-after", simulated=True)
            assert "announced" == metered.run("r-after")["source"]
        argv = agent_command(tmp_path / "other", "--socket", str(place))
        other = subprocess.run(argv, env=own_home(tmp_path), capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert 0 != other.returncode
        assert f"{place} is in use by pid {metered.process.pid}" in other.stderr
        assert 0 == metered.stop()
        assert 1 == metered.said.count("was removed")
    assert not place.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be two users")
def test_one_users_flood_keeps_no_other_user_out(tmp_path: Path) -> None:
    """Of 300 runs one after the other 64 and a few are taken; the next user's run is heard and shown."""
    tmp_path.chmod(0o755)
    home = uncovered(own_home(tmp_path))
    place = tmp_path / "run" / "agent.sock"
    with agent(tmp_path, home, "--socket", str(place)) as metered:
        assert metered.node
        for folder in place.parents:
            if folder.stat().st_mode & 0o011 != 0o011 and folder.is_relative_to("/tmp"):
                folder.chmod(folder.stat().st_mode | 0o011)
        subprocess.run([sys.executable, "-c", FLOOD, str(place)], check=True, timeout=PATIENCE_SECONDS)
        with Announcer(place) as run:
            assert {"ok": True} == run.announce("mine", simulated=True)
            assert "announced" == metered.run("mine")["source"]
        health = eventually(lambda: metered.node["health"], "its health")
        assert health["runs_refused"] > 100
        assert 0 == metered.stop()
        written = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*.jsonl"))
    assert written < 300_000
