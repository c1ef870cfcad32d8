"""What to type for the same receipt again, and for the run under other prices."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """How a receipt was asked for: the state directory that was named, else empty; a journal's path or its folder's."""

    state: str = ""
    path: str = ""


#: By its id, in the directory that commands look into.
HERE = Asked()


def report_command(receipt: Mapping[str, Any], asked: Asked) -> str:
    """The same receipt again."""
    words = ["costmeter", "report", asked.path or receipt["run"]["id"]]
    return shlex.join(words + (["--state", asked.state] if asked.state and not asked.path else []))


def what_if_commands(receipt: Mapping[str, Any], asked: Asked) -> Iterator[str]:
    """The run under other prices; nothing for one without GPUs, nor for one that has no journal of its own."""
    if receipt["devices"] and receipt["meter"]["kind"] == "wrapper":
        run = receipt["run"]["id"]
        place = os.path.join(asked.state, "runs", run) if asked.state else run
        yield shlex.join(["costmeter", "what-if", asked.path or place])
