"""RUN as a folder of runs, such as one that was copied from another machine: all runs in it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Where runs are below a folder that somebody may name: that very one, a state directory, or its parent.
_BELOW = ("", "runs", "costmeter/runs")


def expanded(runs: Iterable[str], state: Path) -> tuple[list[str], bool]:
    """The same with the runs of every folder of runs in its place; and whether there was such a folder."""
    found: list[str] = []
    is_folder = False
    for run in runs:
        inside = [] if os.path.isdir(state / "runs" / run) and "/" not in run else _runs_in(run)
        is_folder = is_folder or bool(inside)
        found += inside or [run]
    return found, is_folder


def _runs_in(place: str) -> list[str]:
    """The runs in a folder; nothing where it is a run itself, or no folder of runs that may be read."""
    if not os.path.isdir(place) or _has_journals(place):
        return []
    for below in _BELOW:
        found = sorted(filter(_has_journals, _folders(os.path.join(place, below))))
        if found:
            return found
    return []


def _folders(place: str) -> Iterator[str]:
    try:
        with os.scandir(place) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except OSError:
        return


def _has_journals(folder: str) -> bool:
    try:
        return any(name.endswith(".jsonl") for name in os.listdir(folder))
    except OSError:
        return False
