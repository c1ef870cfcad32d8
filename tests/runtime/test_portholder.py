"""Who listens on a port: a real process, found by what /proc says of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from costmeter.runtime.portholder import addresses, listener

LISTENS = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 0), family=int(sys.argv[2]));"
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize(
    ("host", "family"),
    [pytest.param("127.0.0.1", socket.AF_INET, id="ipv4"), pytest.param("::1", socket.AF_INET6, id="ipv6")],
)
def test_the_process_that_listens_is_found(host: str, family: int) -> None:
    """By its port, of either family; once it has gone nobody has the port."""
    argv = [sys.executable, "-c", LISTENS, host, str(int(family))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip(f"this machine has no {host}")
        found, listens = listener(int(line)), addresses(process.pid)
        process.stdin.close()
    assert process.pid == found
    assert [(f"[{host}]" if ":" in host else host, int(line))] == listens
    assert [] == addresses(process.pid)
    assert listener(int(line)) is None


def test_every_address_is_reached_by_loopback() -> None:
    """A process that listens on 0.0.0.0 can be asked at 127.0.0.1."""
    with socket.create_server(("", 0)) as server:
        assert ("127.0.0.1", server.getsockname()[1]) in addresses(os.getpid())


def test_who_is_connected_does_not_listen() -> None:
    """The port of a client's end is nobody's, although this process has it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert listener(client.getsockname()[1]) is None


def test_what_may_not_be_read_is_not_told(tmp_path: Path) -> None:
    """A process whose descriptors are hidden from us is passed over, and so is a /proc without tables."""
    assert listener(26_786, tmp_path) is None
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text("head\n0: 0100007F:68A2 00000000:0000 0A 0:0 00:0 0 0 0 99 1\n")
    (tmp_path / "1").mkdir()
    assert listener(26_786, tmp_path) is None
    (tmp_path / "2" / "fd").mkdir(parents=True)
    (tmp_path / "2" / "fd" / "3").symlink_to("socket:[99]")
    assert 2 == listener(26_786, tmp_path)
