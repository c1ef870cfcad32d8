"""HTTP: how long a scrape takes, alone and beside hostile clients, in another process, over plain HTTP and TLS.

Hostile: 500 connections that never finish their request, 50 that never shake hands, 32 that do not read what they asked
for. The page is that of a node's size (100 KB), asked for packed as Prometheus does, on a connection of its own.
"""

import http.client
import os
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.bench.table import Row
from tests.outputs.talking import CERTIFICATES, client_tls, place, silent_clients

REPEATS = 40
#: ISSUE: scrapes still answer within a second.
BAR_SECONDS = 1.0
#: A client that never speaks costs a descriptor and little else.
BAR_MEGABYTES = 20.0
#: After they have gone, until what is free is given back.
SETTLING_SECONDS = 2.0
_SERVER = """
import sys
from costmeter.config.webconfig import WebConfig
from costmeter.outputs.http import Site, serve
page = b'costmeter_run_cost_usd_total{run_id="r-7f3c2a",host="gpu01",component="rental",state="busy"} 41.06\\n' * 1000
web = WebConfig(sys.argv[1]) if len(sys.argv) > 1 else None
print(serve([("127.0.0.1", 0)], Site(lambda _: (page, "text/plain"), lambda: b""), web)[0], flush=True)
sys.stdin.read()
"""


def measure() -> Iterable[Row]:
    """Milliseconds a scrape, megabytes of the server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    web = Path(f"/tmp/costmeter-bench-{os.getpid()}.yml")
    web.write_text(
        f"tls_server_config: {{cert_file: {CERTIFICATES}/server.pem, key_file: {CERTIFICATES}/server.key}}\n"
    )
    try:
        yield from _compared("plain", [], None, [(500, b"GET /metrics HT"), (32, _ASKS)])
        yield from _compared("TLS", [str(web)], client_tls(), [(500, b""), (50, b"\x16\x03\x01")])
    finally:
        web.unlink()


_ASKS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _compared(
    kind: str, arguments: list[str], tls: ssl.SSLContext | None, bad: list[tuple[int, bytes]]
) -> Iterator[Row]:
    with _served(arguments) as (address, pid):
        _scrape(address, tls)
        before_mb, alone = _megabytes(pid), [_scrape(address, tls) for _ in range(REPEATS)]
        with ExitStack() as stack:
            for count, says in bad:
                stack.enter_context(silent_clients(address, count, says))
            beside = [_scrape(address, tls) for _ in range(REPEATS)]
            more_mb = _megabytes(pid) - before_mb
        time.sleep(SETTLING_SECONDS)
        left_mb = _megabytes(pid) - before_mb
        yield Row(f"{kind}: a scrape, alone", 1000 * median(alone), "ms")
        ratio = f"× {median(beside) / median(alone):.1f}"
        yield Row(
            f"{kind}: a scrape beside {sum(count for count, _ in bad)} bad clients",
            1000 * median(beside),
            "ms",
            note=ratio,
        )
        yield Row(f"{kind}: the slowest of {REPEATS}", 1000 * max(beside), "ms", 1000 * BAR_SECONDS)
        yield Row(f"{kind}: memory they cost", more_mb, "MB", BAR_MEGABYTES)
        yield Row(f"{kind}: memory they leave behind", left_mb, "MB")


@contextmanager
def _served(arguments: list[str]) -> Iterator[tuple[str, int]]:
    argv = [sys.executable, "-c", _SERVER, *arguments]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
        process.kill()


def _scrape(address: str, tls: ssl.SSLContext | None) -> float:
    """Seconds, the connection included."""
    started = time.perf_counter()
    if tls is None:
        client = http.client.HTTPConnection(*place(address), timeout=60)
    else:
        client = http.client.HTTPSConnection(*place(address), timeout=60, context=tls)
    client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    assert answer.status == 200
    answer.read()
    client.close()
    return time.perf_counter() - started


def _megabytes(pid: int) -> float:
    """What a process has resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
