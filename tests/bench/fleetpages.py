"""Pages of a thousand nodes from one process: real agents' pages, rewritten for every node, with counters that grow.

`python -m tests.bench.fleetpages AGE_SECONDS PAGE…` serves `/n/NUMBER/metrics` and prints its port. Gauges stay as they
are, but for the time of the last reading; a counter grows by its rate over the AGE_SECONDS that its agent had been up.
GPUs, hosts and runs have names of their own on each node; every fourth node is one of eight that have a run together.
"""

import asyncio
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

_SAMPLE = re.compile(r"([a-z_]+)(\{.*\})? ([^ ]+)")
_UUID = re.compile(r"GPU-[0-9a-f-]+")
_USERS, _PROJECTS = 40, 12
#: One node of EVERY has its part of a run of WIDE nodes.
EVERY, WIDE = 4, 8
#: Times of what has just been: a fleet whose GPUs no longer answer has an alert for each node.
_GO_WITH_TIME = ("costmeter_last_reading_timestamp_seconds",)
#: What every template calls its run and its host.
RUN, HOST = "r-template", "template"

Page = Callable[[int], bytes]


def page(text: str, age_seconds: float) -> Page:
    """What the node of a number shows now."""
    began = time.monotonic()
    lines: list[tuple[str, float, float]] = []
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is None:
            lines.append((line, -1.0, 0.0))
        else:
            value = float(found[3])
            rate = value / age_seconds if found[1].endswith("_total") else float(found[1] in _GO_WITH_TIME)
            lines.append((f"{found[1]}{found[2] or ''} ", value, rate))
    heads: dict[int, list[str]] = {}

    def made(node: int) -> bytes:
        if node not in heads:
            heads[node] = _renamed("\n".join(line for line, _, _ in lines), node).split("\n")
        since = time.monotonic() - began
        told = zip(heads[node], lines, strict=True)
        return (
            "\n".join(head if head[:1] == "#" else f"{head}{value + rate * since!r}" for head, (_, value, rate) in told)
            + "\n"
        ).encode()

    return made


def _renamed(text: str, node: int) -> str:
    """A page without values, of another node."""
    owner = node // EVERY // WIDE if node % EVERY == 0 else node
    run = f"r-wide-{owner}" if node % EVERY == 0 else f"r-{owner:05}"
    text = _UUID.sub(lambda found: f"GPU-{node:05}{found[0][-12:]}", text)
    text = text.replace(f'host="{HOST}"', f'host="node-{node:05}"').replace(RUN, run)
    text = text.replace('run_id="r-loader"', f'run_id="r-loader-{node:05}"')
    text = re.sub(r'user="[^"]+"', f'user="user{owner % _USERS:02}"', text)
    return re.sub(r'project="[^"]+"', f'project="project{owner % _PROJECTS:02}"', text)


async def serve(pages: list[Page]) -> None:
    """Until we are ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                node = int(asked.split(b"/")[2])
                body = pages[node % len(pages)](node)
                kind = "Content-Type: text/plain; version=0.0.4"
                writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve([page(Path(name).read_text(), float(sys.argv[1])) for name in sys.argv[2:]]))
