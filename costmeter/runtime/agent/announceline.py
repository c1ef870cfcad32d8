"""What a run says on the agent's socket, a JSON object a line: as it is sent, and as far as it can be believed.

Pure: no socket, no clock. The first line greets, further ones tell, and the last one says how the run ended. Keys that
are not known are for later versions and are passed over; what is too long is cut; a wrong type in the greeting refuses
it, in what follows it is passed over.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Any, get_args

from costmeter.ledger.identity import is_fit_id
from costmeter.ledger.node.record import UNKNOWN_OUTCOME
from costmeter.ledger.record import Outcome
from costmeter.meter.budget import Per
from costmeter.meter.outlook import UNKNOWN_OUTLOOK, Allowed, Outlook
from costmeter.meter.progress import UNTOLD, Progress
from costmeter.runtime.progress import LARGEST_COUNT, LONGEST_NAME

#: Names the protocol and its version.
PROTOCOL = "announce/1"
#: A line longer than this is none of ours: eight GPUs and sixteen labels are a tenth of it.
LONGEST_LINE = 65_536
#: What is kept of a name, of a label and its value, of how many labels, and of how many GPUs.
LONGEST_TEXT, MOST_LABELS, MOST_GPUS = 128, 16, 1_024
_LARGEST_NANOSECONDS = 2**63
_LARGEST_PID = 2**22
_COUNTS = ("steps", "tokens", "of_steps", "from_steps", "from_tokens")
#: What is kept of money: amounts below a million million, to a millionth, and of how many budgets.
_AMOUNT, _MONEY_STEP, MOST_BUDGETS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?"), Decimal("1e-6"), 16
_CURRENCY = re.compile(r"[A-Z]{3}")
_PERS: tuple[Per, ...] = get_args(Per)
_OUTCOMES = frozenset(get_args(Outcome)) - {"running"}
#: What stands for a character that cannot be shown.
_HOLE = "\N{REPLACEMENT CHARACTER}"


class Refused(Exception):
    """A greeting that is not taken; its text says why, for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """A run that begins. `pid` is its first process in its own numbering, 0 where it names none; `start_ticks` None
    where it does not say when that began. `uuids` None: it does not say what it holds.
    """

    run: str
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    start_ticks: int | None = None
    uuids: frozenset[str] | None = None
    started_utc_ns: int | None = None
    is_simulated: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """What a run does now. `uuids` None: nothing new about what it holds."""

    phase: str = ""
    redone: bool = False
    progress: Progress = UNTOLD
    uuids: frozenset[str] | None = None
    outlook: Outlook = UNKNOWN_OUTLOOK


@dataclass(frozen=True, slots=True)
class Farewell:
    """How a run ended, as it says, and when: a moment before it says so; None where it does not say."""

    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    ended_utc_ns: int | None = None


def greeting(line: bytes) -> Greeting:
    """The first line. Raises Refused with everything that is wrong with it."""
    said = _object(line)
    if said is None:
        raise Refused("the first line is no JSON object")
    faults = list(_faults(said))
    if faults:
        raise Refused("; ".join(faults))
    labels = {_shown(key): _shown(value) for key, value in said.get("labels", {}).items()}
    started = said.get("started_utc_ns")
    return Greeting(
        run=said["run"],
        name=_shown(said.get("name", "")),
        labels=dict(list(labels.items())[:MOST_LABELS]),
        pid=_whole(said.get("pid"), _LARGEST_PID) or 0,
        start_ticks=_whole(said.get("start_ticks"), _LARGEST_NANOSECONDS),
        uuids=_uuids(said.get("gpus")),
        started_utc_ns=_whole(started, _LARGEST_NANOSECONDS) or None,
        is_simulated=said.get("simulated") is True,
    )


def further(line: bytes) -> Saying | Farewell | None:
    """A line after the first; None where it says nothing."""
    said = _object(line)
    if said is None:
        return None
    end = said.get("end")
    return _farewell(end) if isinstance(end, dict) else _saying(said)


def greeting_line(told: Greeting) -> bytes:
    """A greeting as it is sent."""
    said: dict[str, Any] = {"costmeter": PROTOCOL, "run": told.run, "name": told.name, "labels": dict(told.labels)}
    if told.pid:
        said |= {"pid": told.pid, "start_ticks": told.start_ticks}
    if told.uuids is not None:
        said["gpus"] = sorted(told.uuids)
    if told.started_utc_ns is not None:
        said["started_utc_ns"] = told.started_utc_ns
    return _line(said | ({"simulated": True} if told.is_simulated else {}))


def saying_line(told: Saying) -> bytes:
    """A state as it is sent."""
    counts = {name: getattr(told.progress, name) for name in (*_COUNTS, "loss")}
    said: dict[str, Any] = {"phase": told.phase, "redone": told.redone}
    said |= {name: value for name, value in counts.items() if value is not None} | _outlook_said(told.outlook)
    return _line(said if told.uuids is None else said | {"gpus": sorted(told.uuids)})


def farewell_line(told: Farewell) -> bytes:
    """An end as it is sent."""
    end: dict[str, Any] = {"outcome": told.outcome, "exit_code": told.exit_code, "signal": told.signal}
    return _line({"end": end if told.ended_utc_ns is None else end | {"ended_utc_ns": told.ended_utc_ns}})


def accepted_line() -> bytes:
    """What is answered to a greeting that is taken."""
    return _line({"ok": True})


def refused_line(why: str) -> bytes:
    """What is answered to one that is not."""
    return _line({"refused": why})


def refusal(line: bytes) -> str:
    """Why a greeting was not taken, of its answer; empty where it was."""
    why = (_object(line) or {}).get("refused")
    return _shown(why) if isinstance(why, str) else ""


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _faults(said: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a greeting from being taken, each in words."""
    if said.get("costmeter") != PROTOCOL:
        yield f'"costmeter" has to be "{PROTOCOL}"'
    run = said.get("run")
    if not (isinstance(run, str) and is_fit_id(run)):
        yield '"run" has to be 1 to 64 letters, digits, ., _ and -, and not dots alone'
    if not isinstance(said.get("name", ""), str):
        yield '"name" has to be a text'
    labels = said.get("labels", {})
    if not (isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())):
        yield '"labels" have to be an object of texts'
    gpus = said.get("gpus")
    if gpus is not None and not (isinstance(gpus, list) and all(isinstance(each, str) for each in gpus)):
        yield '"gpus" have to be a list of UUIDs'
    for name, largest in (("pid", _LARGEST_PID), ("start_ticks", _LARGEST_NANOSECONDS)):
        if said.get(name) is not None and _whole(said[name], largest) is None:
            yield f'"{name}" has to be a whole number'


def _saying(said: Mapping[str, Any]) -> Saying:
    steps, tokens, of_steps, from_steps, from_tokens = (_whole(said.get(name), LARGEST_COUNT) for name in _COUNTS)
    phase = said.get("phase")
    return Saying(
        _shown(phase)[:LONGEST_NAME].strip() if isinstance(phase, str) else "",
        said.get("redone") is True,
        Progress(steps, tokens, _loss(said.get("loss")), of_steps, from_steps or None, from_tokens or None),
        _uuids(said.get("gpus")),
        _outlook(said),
    )


def _outlook_said(told: Outlook) -> dict[str, Any]:
    """Money is text, and in its currency: nothing of it stands alone."""
    said: dict[str, Any] = {}
    if told.projected_cost is not None:
        said["projected_cost"] = f"{told.projected_cost.quantize(_MONEY_STEP):f}"
    if told.budgets:
        budgets = [{"amount": f"{each.amount:f}", "per": each.per, "project": each.project} for each in told.budgets]
        said["budgets"] = budgets[:MOST_BUDGETS]
    return said | {"currency": told.currency} if said else {}


def _outlook(said: Mapping[str, Any]) -> Outlook:
    currency, budgets = said.get("currency"), said.get("budgets")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return UNKNOWN_OUTLOOK
    listed = budgets[:MOST_BUDGETS] if isinstance(budgets, list) else []
    allowed = tuple(found for each in listed if isinstance(each, dict) and (found := _allowed(each)) is not None)
    return Outlook(currency, _money(said.get("projected_cost")), allowed)


def _allowed(said: Mapping[str, Any]) -> Allowed | None:
    """A budget; one of a kind that we do not know is left out."""
    amount, project = _money(said.get("amount")), said.get("project", "")
    per = next((each for each in _PERS if each == said.get("per", "run")), None)
    if amount is None or per is None or not isinstance(project, str):
        return None
    return Allowed(amount, per, _shown(project))


def _money(value: object) -> Decimal | None:
    """An amount of text, as money always is."""
    return Decimal(value) if isinstance(value, str) and _AMOUNT.fullmatch(value) else None


def _farewell(end: Mapping[str, Any]) -> Farewell:
    """An end; where it does not say how, by its exit code or signal."""
    exit_code, signal = _whole(end.get("exit_code"), 255), _whole(end.get("signal"), 64) or None
    told = next((each for each in _OUTCOMES if each == end.get("outcome")), None)
    if told is None:
        told = UNKNOWN_OUTCOME if exit_code is None and signal is None else "failed"
        told = "ok" if exit_code == 0 and signal is None else told
    return Farewell(told, exit_code, signal, _whole(end.get("ended_utc_ns"), _LARGEST_NANOSECONDS) or None)


def _uuids(gpus: object) -> frozenset[str] | None:
    if not isinstance(gpus, list):
        return None
    return frozenset(_shown(each) for each in gpus[:MOST_GPUS] if isinstance(each, str) and each)


def _whole(value: object, largest: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= largest else None


def _loss(value: object) -> float | None:
    """A finite number: JSON as Python reads it has others, and integers that no float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        loss = float(value)
    except OverflowError:
        return None
    return loss if isfinite(loss) else None


def _shown(text: str) -> str:
    """A text that can be printed, in one line, and is not too long."""
    return "".join(each if each.isprintable() else _HOLE for each in text[:LONGEST_TEXT])
