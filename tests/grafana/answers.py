"""What a real Prometheus answers to every query of every board: asked once, for all tests and workers."""

import fcntl
import json
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.end_to_end.prometheuses import StartedPrometheus
from tests.grafana.boards import NAMES, Asked, asked, filled
from tests.grafana.stack import FAILED, TRAINS, stack

LOOKED_BACK_SECONDS = 120
STEP_SECONDS = 5
#: The runs whose board is asked for: one that trains, and one that failed.
RUNS = (TRAINS, FAILED)

Answers = dict[str, list[dict[str, Any]]]


def key(query: Asked, run: str) -> str:
    return f"{query.name} of {run}"


def shared_answers(folder: Path) -> dict[str, Any]:
    """The answers, and the agent's page of the same moment; the first process to come gets them, the others read them.

    `folder` is one that all workers of a test session share.
    """
    kept = folder / "answers.json"
    with folder.joinpath("answers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            place = folder / "stack"
            place.mkdir()
            kept.write_text(json.dumps(_answers(place)))
    loaded: dict[str, Any] = json.loads(kept.read_text())
    return loaded


def _answers(folder: Path) -> dict[str, Any]:
    with stack(folder) as (server, agent):
        now = time.time()
        with urllib.request.urlopen(f"{agent.url}/metrics", timeout=10) as page:
            text = page.read().decode()
        node = agent.url.removeprefix("http://")
        found = {key(query, run): _ask(server, query, run, node, now) for query, run in _all()}
        return {"page": text, "answers": found}


def _all() -> Iterable[tuple[Asked, str]]:
    for name in NAMES:
        for query in asked(name):
            for run in RUNS if name == "run" else RUNS[:1]:
                yield query, run


def _ask(server: StartedPrometheus, query: Asked, run: str, node: str, now: float) -> list[dict[str, Any]]:
    """The series that the board would get; what is wrong with a query fails here, in Prometheus's words."""
    expression = filled(query.expression, now, run=run, node=node)
    if query.is_instant:
        return server.ask("query", query=expression, time=now)
    began = now - LOOKED_BACK_SECONDS
    return server.ask("query_range", query=expression, start=began, end=now, step=STEP_SECONDS)
