"""The agent's exporter through the installed command: secured as its web configuration says, and reloaded."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.end_to_end.installed import COSTMETER, eventually, own_home
from tests.outputs.talking import CERTIFICATES, ask, client_tls


@contextmanager
def agent(folder: Path, *arguments: str) -> Iterator[str]:
    """Where an agent of simulated GPUs serves; it is told to end afterwards, and does."""
    argv = [
        COSTMETER,
        "agent",
        "--simulate",
        "healthy",
        "--state",
        str(folder / "state"),
        "--socket",
        str(folder / "s"),
    ]
    said = folder / "said"
    with own_home() as environ, said.open("w") as errors:
        process = subprocess.Popen([*argv, *arguments], env=environ, stdout=errors, stderr=errors)
        try:
            yield eventually(lambda: _address(said), f"an address in {said}")
        finally:
            process.terminate()
            assert 0 == process.wait(60), said.read_text()


def _address(said: Path) -> str | None:
    match = re.search(r"metrics at https?://(\S+)/metrics", said.read_text())
    return match[1] if match else None


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A web configuration with TLS and one user."""
    file = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"wonderland", bcrypt.gensalt(4)).decode()
    file.write_text(
        f"tls_server_config: {{cert_file: {CERTIFICATES}/server.pem, key_file: {CERTIFICATES}/server.key}}\n"
        f"basic_auth_users: {{alice: {hashed}}}\n"
    )
    return file


ALICE = f"Basic {base64.b64encode(b'alice:wonderland').decode()}"


def test_an_agent_is_secured_as_it_is_told(tmp_path: Path, web: Path) -> None:
    """Every page is there over TLS and with a password; a faulty change is told by reload, and changes nothing."""
    arguments = ("--web.listen-address", "127.0.0.1:0", "--web.config.file", str(web))
    with agent(tmp_path, *arguments) as address:

        def get(path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
            return ask(address, path, method, tls=client_tls(), Authorization=ALICE)

        assert 401 == ask(address, "/-/healthy", tls=client_tls())[0]
        eventually(lambda: True if get("/-/ready")[0] == 200 else None, "the first snapshot")
        assert 200 == get("/-/healthy")[0]
        node = json.loads(get("/api/v1/node")[2])
        assert ("costmeter.node/1", True, 8) == (node["schema"], node["simulated"], len(node["gpus"]))
        page = get("/")[2].decode()
        assert node["host"] in page
        assert "Simulated GPUs" in page
        assert (200, b"reloaded\n") == get("/-/reload", "POST")[::2]
        web.write_text(web.read_text() + "x: 1\n")
        status, _, told = get("/-/reload", "POST")
        assert 500 == status
        assert f'{web}:3:1: unknown key "x"'.encode() in told
        assert (401, 200) == (ask(address, "/metrics", tls=client_tls())[0], get("/-/healthy")[0])


def test_a_faulty_web_configuration_keeps_the_agent_from_starting(tmp_path: Path) -> None:
    """Nothing is served that is less secured than it was meant to be: every fault is told, and no traceback."""
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {alice: wonderland}\ntls_server_confg: {}\n")
    argv = [COSTMETER, "agent", "--simulate", "healthy", "--state", str(tmp_path), "--socket", str(tmp_path / "s")]
    with own_home() as environ:
        done = subprocess.run(
            [*argv, "--web.config.file", str(file)], env=environ, capture_output=True, text=True, timeout=60
        )
    assert 125 == done.returncode
    assert f'{file}:1:27: basic_auth_users: "alice": expected a bcrypt hash' in done.stderr
    assert f'{file}:2:1: unknown key "tls_server_confg". Did you mean "tls_server_config"?' in done.stderr
    assert "wonderland" not in done.stderr
    assert "Traceback" not in done.stderr
