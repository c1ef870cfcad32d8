"""Processes that compute on simulated GPUs: real ones, which say so in a file (docs/scenarios.md, "Processes")."""

from collections.abc import Mapping
from pathlib import Path


def places(environ: Mapping[str, str], gpus: int) -> Path:
    """The folders in which any user's processes may say that they use a GPU: one for each, open to all."""
    meeting = Path(environ["XDG_RUNTIME_DIR"], "costmeter")
    meeting.mkdir(mode=0o711, exist_ok=True)
    for each in (meeting.parent.parent, meeting.parent, meeting):
        each.chmod(0o711)
    folder = meeting / "processes"
    for index in range(gpus):
        (folder / str(index)).mkdir(parents=True, exist_ok=True)
        (folder / str(index)).chmod(0o1777)
    return folder


def using(folder: Path, gpu: int | str) -> str:
    """The line of a shell script with which its process uses a GPU, until it ends."""
    return f": > {folder}/{gpu}/$$"
