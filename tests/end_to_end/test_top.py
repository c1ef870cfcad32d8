"""`costmeter top`, the installed command: of an agent, of own runs, on a terminal, and of what is no agent."""

import json
import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pexpect
import pytest
from jsonschema import Draft202012Validator

from tests.end_to_end.agents import StartedAgent, agent
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home
from tests.feeds.servers import Said, serving

CERTIFICATES = Path(__file__).parents[1] / "certificates"


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    with own_home() as found:
        yield found


@pytest.fixture(scope="module")
def started(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedAgent]:
    """An agent of eight simulated GPUs that has read them."""
    with agent(tmp_path_factory.mktemp("agent"), environ) as found:
        eventually(lambda: _gpus(found), "GPUs")
        yield found


def _gpus(found: StartedAgent) -> Any:
    try:
        return found.node["gpus"] or None
    except OSError:  # 503 until it has read something
        return None


def top(environ: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    argv = [COSTMETER, "top", *options]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_an_agent_is_shown_once(environ: dict[str, str], started: StartedAgent) -> None:
    """Its GPUs, which nobody holds, in one row, and that they are simulated; the same without --once into a pipe."""
    for options in (("--once",), ()):
        done = top({**environ, "PYTHONUTF8": "1"}, "--from", started.url.removeprefix("http://"), *options)
        assert (0, "") == (done.returncode, done.stderr)
        assert "simulated GPUs" in done.stdout
        assert re.search(r"^0-7 +H100 .* unheld", done.stdout, re.MULTILINE)


def test_json_is_the_agents_and_keeps_the_contract(environ: dict[str, str], started: StartedAgent) -> None:
    """--json prints the agent's own JSON, which the shipped schema accepts."""
    node = json.loads(top(environ, "--json", "--from", started.url).stdout)
    schema = json.loads(files("costmeter.outputs").joinpath("node.schema.json").read_text())
    assert [] == [error.message for error in Draft202012Validator(schema).iter_errors(node)]
    assert len(node["gpus"]) == 8


def test_a_terminal_is_given_back(environ: dict[str, str], started: StartedAgent) -> None:
    """The view takes the other screen, steps through its orders, filters, and leaves all as it was at q."""
    argv = ["top", "--from", started.url, "--interval", "0.3"]
    shown = pexpect.spawn(COSTMETER, argv, env={**environ, "TERM": "xterm"}, timeout=PATIENCE_SECONDS, encoding="utf-8")
    shown.expect_exact("\x1b[?1049h")
    shown.expect_exact("s sort by cost")
    shown.send("s")
    shown.expect_exact("s sort by idle")
    shown.send("i")
    shown.expect_exact("i all")
    shown.setwinsize(10, 70)
    shown.send("q")
    shown.expect(pexpect.EOF)
    shown.close()
    assert str(shown.before).endswith("\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert shown.exitstatus == 0


@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x1c", None)], ids=["interrupted", "quit-by-signal"])
def test_an_interrupt_ends_it(environ: dict[str, str], started: StartedAgent, key: str, status: int | None) -> None:
    """Ctrl-C gives the terminal back and is told in the exit code; Ctrl-backslash kills it as anything else."""
    argv = ["top", "--from", started.url]
    shown = pexpect.spawn(COSTMETER, argv, env={**environ, "TERM": "xterm"}, timeout=PATIENCE_SECONDS, encoding="utf-8")
    shown.expect_exact("q quit")
    shown.send(key)
    shown.expect(pexpect.EOF)
    shown.close()
    assert shown.exitstatus == status
    assert status is None or "\x1b[?1049l" in str(shown.before)
    assert "Traceback" not in str(shown.before)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(Said("{}"), "no agent of costmeter", id="other-json"),
        pytest.param(Said("[" * 100_000), "no agent of costmeter", id="deep"),
        pytest.param(Said("no", 404), "no agent of costmeter", id="other-server"),
        pytest.param(Said("no", 401), "https://USER:PASSWORD@", id="password-wanted"),
        pytest.param(Said("no", 503), "try again", id="not-ready"),
        pytest.param(Said('{"schema": "costmeter.node/1"}'), "cannot be shown: KeyError", id="broken"),
        pytest.param(Said('{"schema": "costmeter.node/1", "host": 7}'), "cannot be shown", id="wrong-kind"),
    ],
)
def test_what_is_no_agent_is_refused(environ: dict[str, str], said: Said, words: str) -> None:
    """Other servers and broken answers: exit 1, what it is, what to type, and no traceback."""
    with serving(lambda request: said) as server:
        done = top(environ, "--once", "--from", server.base)
    assert (1, "") == (done.returncode, done.stdout)
    assert words in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_goes_to_the_agent_and_nowhere_else(environ: dict[str, str]) -> None:
    """User and password of the URL are sent as basic auth, and stand in no message."""
    with serving(lambda request: Said("no", 401)) as server:
        done = top(environ, "--once", "--from", server.base.replace("://", "://maya:s3cret@"))
        assert server.requests[0].headers["authorization"] == "Basic bWF5YTpzM2NyZXQ="  # printf maya:s3cret | base64
        assert server.requests[0].path == "/api/v1/node"
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--from", "ftp://gpu02"), "no http or https address", id="scheme"),
        pytest.param(("--from", "http://"), "no http or https address", id="no-host"),
        pytest.param(("--from", "http://gpu02:99999"), "no http or https address", id="port"),
        pytest.param(("--from", "localhost:27772:1"), '--from "localhost:27772:1" is no http', id="two-ports"),
        pytest.param(("--from", "http://u:s3cret@gpu02:1:2"), '--from "gpu02:1:2" is no http', id="no-password-shown"),
        pytest.param(("--from", "http://u:p@192.0.2.1:1"), "in the clear", id="password-in-the-clear"),
        pytest.param(("--interval", "0"), "expected seconds", id="interval"),
        pytest.param(("--ca", "a.pem"), "--ca is for", id="ca-without-https"),
    ],
)
def test_a_wrong_command_line_is_refused(environ: dict[str, str], options: tuple[str, ...], words: str) -> None:
    """Exit 2, with what was expected."""
    done = top(environ, *options)
    assert (2, True) == (done.returncode, words in done.stderr)


def test_the_agent_of_this_node_is_found_wherever_it_serves(environ: dict[str, str], tmp_path: Path) -> None:
    """Without --from: over the socket that runs announce themselves to, at whatever port its process listens."""
    with agent(tmp_path, environ) as found:
        eventually(lambda: _gpus(found), "GPUs")
        done = top(environ | {"COSTMETER_AGENT": str(tmp_path / "agent.sock")}, "--json")
    assert (0, 8) == (done.returncode, len(json.loads(done.stdout)["gpus"]))


def test_the_address_of_the_metrics_will_do(environ: dict[str, str], started: StartedAgent) -> None:
    """What the agent said at its start, copied as it stands."""
    assert 0 == top(environ, "--once", "--from", f"{started.url}/metrics").returncode


def test_a_server_without_tls_is_told(environ: dict[str, str], started: StartedAgent) -> None:
    """https:// to an agent that serves plain http: that it does, and its address."""
    done = top(environ, "--once", "--from", started.url.replace("http:", "https:"))
    assert f"serves plain http, without TLS\n\nhint: --from {started.url}" in done.stderr
    assert 1 == done.returncode


def test_a_server_with_tls_and_passwords_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    """http:// to an agent that speaks TLS, then a wrong password: each by its name, and what to type."""
    hashed = "$2b$05$XXYkFJr6oL.5XZBEDR4iX.5rHXYyCyO41yAd6sGpWVYCYXNKB8n1K"  # of no word that anybody types
    for name in ("server.pem", "server.key"):
        (tmp_path / name).write_bytes((CERTIFICATES / name).read_bytes())
    web = tmp_path / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{ops: '{hashed}'}}\n"
    )
    with agent(tmp_path, environ, "--web.config.file", str(web)) as found:
        rest = found.url.removeprefix("https://")
        plain = top(environ, "--once", "--from", rest)
        ca = ("--ca", str(CERTIFICATES / "authority.pem"))
        wrong = top(environ, "--once", "--from", f"https://ops:nonsense@{rest}", *ca)
    assert f"http://{rest} speaks TLS\n\nhint: --from https://{rest}" in plain.stderr
    assert f"https://{rest}: this user and password are refused" in wrong.stderr
    assert "nonsense" not in wrong.stderr


def test_without_an_agent_own_runs_are_shown(environ: dict[str, str], tmp_path: Path) -> None:
    """A run that goes on without an agent stands there with its GPUs and says whence it is known."""
    pytest.importorskip("pynvml")
    argv = [COSTMETER, "run", "--simulate", "healthy", "--gpus", "0,1", "--price", "3", "--", "sleep", "60"]
    with subprocess.Popen(argv, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            shown = eventually(lambda: _shows(environ, "0, 1  H100"), "the run")
        finally:
            process.terminate()
    assert "no agent here" in shown
    assert "now $6.00/h" in shown


def _shows(environ: dict[str, str], words: str) -> str | None:
    done = top({**environ, "PYTHONUTF8": "1"}, "--once")
    return done.stdout if words in done.stdout else None
