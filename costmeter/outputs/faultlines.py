"""What happened during a run in few lines: the same fault of several GPUs once, and one that came often once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from costmeter.outputs.gpus import numbers

#: GPUs that are read one after the other meet the same fault a tick or two apart.
_TOGETHER_SECONDS = 2.0
#: What the recorder adds to a fault that came too often to be written each time.
_IN_ALL = re.compile(r"(?P<what>.*) \((?P<times>[0-9]+) times in all\)", re.DOTALL)
#: How long a gap was that the recorder tells of when it is over.
_LASTED = re.compile(r" for (?P<seconds>[0-9]+) s;")
_AGAIN = "answers again"
#: What is no fault of anything.
_LABELS = {"gap": "Gap", "clock": "Clock"}


@dataclass(slots=True)
class FaultLine:
    """One fault: when it first came, to which GPUs (empty for none in particular), and how often to each at most.

    Of a gap `at` is when it ended.
    """

    at: str
    what: str
    times: int = 1
    indexes: set[int] = field(default_factory=set)
    kind: str = "fault"

    @property
    def label(self) -> str:
        """What it is, in a word."""
        return _LABELS.get(self.kind, "Fault")

    @property
    def gap_seconds(self) -> int | None:
        """How long a gap was; None for anything else."""
        lasted = _LASTED.search(self.what) if self.kind == "gap" else None
        return None if lasted is None else int(lasted["seconds"])

    @property
    def text(self) -> str:
        """The fault without its time: `GPU 0-7: GPU is lost (3 times)`."""
        gpus = f"GPU {numbers(self.indexes)}: " if self.indexes else ""
        return f"{gpus}{self.what}" + (f" ({self.times} times)" if self.times > 1 else "")


def fault_lines(faults: Iterable[Mapping[str, Any]], devices: Sequence[Mapping[str, Any]]) -> list[FaultLine]:
    """The faults of a receipt for people, in order of when each first came. JSON has them one by one."""
    index_of = {device["mig"]["board"]: device["index"] for device in devices if device.get("mig")}
    index_of |= {device["uuid"]: device["index"] for device in devices}
    lines: list[FaultLine] = []
    for line in sorted(_once(faults, index_of), key=lambda each: each.at):
        beside = next((other for other in reversed(lines) if _belong_together(other, line)), None)
        if beside is None:
            lines.append(line)
        else:
            beside.indexes |= line.indexes
            beside.times = max(beside.times, line.times)
    for line in lines:
        _shorten(line, lines)
    return lines


def _once(faults: Iterable[Mapping[str, Any]], index_of: Mapping[str, int]) -> list[FaultLine]:
    """Every fault of every device once, at its first instant and with its count; of gaps, which have a time, each."""
    lines: dict[tuple[str | None, str, str], FaultLine] = {}
    for fault in faults:
        in_all = _IN_ALL.fullmatch(fault["what"])
        what, uuid = in_all["what"] if in_all else fault["what"], fault["device"]
        kind = fault.get("kind", "fault")  # a receipt of before has none
        key = uuid, what, fault["at"] if kind == "gap" else ""
        if (known := lines.get(key)) is None:
            indexes = {index_of[uuid]} if uuid in index_of else set()
            known = lines[key] = FaultLine(fault["at"], what, 0, indexes, kind)
        known.times = int(in_all["times"]) if in_all else known.times + 1
    return list(lines.values())


def _shorten(line: FaultLine, lines: Sequence[FaultLine]) -> None:
    """What a GPU had before it answered again is not said twice."""
    for other in lines:
        before = f"{_AGAIN} (was: {other.what})"
        if other is not line and line.what.startswith(before):
            line.what = _AGAIN + line.what.removeprefix(before)
            return


def _belong_together(one: FaultLine, other: FaultLine) -> bool:
    if not (one.what == other.what and one.indexes and other.indexes):
        return False
    if one.kind == "gap" and one.indexes & other.indexes:  # each is another gap of that GPU
        return False
    return (_moment(other.at) - _moment(one.at)).total_seconds() <= _TOGETHER_SECONDS


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
