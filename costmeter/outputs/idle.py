"""Who holds idle GPUs, why, and what it costs: made of a node's JSON, as data and for `idletext` to print.

What burns money in earnest is told; short stalls, and what a run says that it does (start-up, evaluation, checkpoint),
are not, unless everything is asked for. A GPU that waits for data works now and then: what it costs per hour is its
price as it is now, for the part of the time that it was idle, not its whole price.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costmeter.meter.idling import OWN_WORD, STALLS, UNEXPLAINED
from costmeter.outputs.figures import plain, seconds_between
from costmeter.outputs.gpus import short_model
from costmeter.outputs.idlewords import idle_since, reason_of

SCHEMA = "costmeter.idle/1"
#: What is no news before it has lasted so long, in seconds; the others had to last to get their reason at all.
_STALL_SECONDS = 300
#: Of less time than this the idle part says nothing.
_MEAN_SECONDS = 60
#: What was idle for this part of the time or more has not worked meanwhile.
_WHOLE = Decimal("0.98")
#: Holders whose names the node does not know, all of them: a silence of theirs would be one of the whole fleet's.
_NOBODY = frozenset(("", "unknown"))
#: What needs no quotes in a matcher of Alertmanager's.
_PLAIN = re.compile(r"[A-Za-z0-9_.@-]+", re.ASCII)
_STEP = Decimal("1e-6")
#: How a run is ended where a scheduler started it, by how its holder was found.
_BY_SCHEDULER = {"slurm": "scancel {0}", "kubernetes": "kubectl delete pod -n {0} {1}", "container": "docker stop {0}"}

#: The alerts that a reason may fire: those to be silenced together. What a run says that it does fires none.
QUIETED: Mapping[str, tuple[str, ...]] = {
    "no-process": ("GpuHeldAfterExit", "IdleGpuSpend"),
    "memory-held": ("GpuHeldAfterExit", "IdleGpuSpend", "NotebookHoldingGpu", "TrainingStalled"),
    "waiting-for-data": ("IdleGpuSpend", "TrainingStalled"),
    "waiting-for-peer": ("IdleGpuSpend", "TrainingStalled"),
    "evaluation": (),
    "checkpoint": (),
    "start-up": (),
    "hang": ("IdleGpuSpend", "TrainingStalled"),
    UNEXPLAINED: ("IdleGpuSpend", "TrainingStalled"),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: `uid` on the node itself, None elsewhere; what is somebody else's is to be asked for, not killed."""

    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """GPUs that the same holders keep idle for the same reason, or that nobody holds (no `holders`).

    `seconds` is for how long, of the first of them; `per_hour` and `cost` are None where no price is known, `reason`
    where the agent tells none. `names` are its runs', `end` is the command that ends its one run, empty where none is.
    `has_worked`: some of them computed now and then meanwhile, or it is too early to say.
    """

    gpus: tuple[Mapping[str, Any], ...]
    holders: tuple[Mapping[str, Any], ...]
    reason: str | None
    since: str | None
    seconds: float
    per_hour: Decimal | None
    cost: Decimal | None
    names: tuple[str, ...] = ()
    end: str = ""
    has_worked: bool = True

    @property
    def users(self) -> list[str]:
        """Whose they are, each once."""
        return sorted({str(each["user"]) for each in self.holders})

    @property
    def processes(self) -> list[Mapping[str, Any]]:
        """Those on any of its GPUs, each once."""
        found = {each["pid"]: each for gpu in self.gpus for each in gpu.get("processes", ())}
        return [found[pid] for pid in sorted(found)]

    @property
    def memory_bytes(self) -> int:
        """What is in use on all of its GPUs, as far as they say."""
        return sum(gpu["memory_used_bytes"] or 0 for gpu in self.gpus)

    @property
    def unpriced(self) -> int:
        """How many of its GPUs have no price."""
        return sum(gpu["per_hour"] is None for gpu in self.gpus)

    @property
    def is_news(self) -> bool:
        """Whether it burns money in earnest."""
        if not self.holders or self.reason in OWN_WORD:
            return False
        return self.reason not in STALLS or self.seconds >= _STALL_SECONDS


@dataclass(frozen=True, slots=True)
class Idle:
    """What is idle on a node: what is told, what is left out of it, and what nobody holds."""

    node: Mapping[str, Any]
    told: tuple[Holding, ...]
    left_out: tuple[Holding, ...]
    unheld: tuple[Holding, ...]

    @property
    def news(self) -> tuple[Holding, ...]:
        """What of all this burns money in earnest, whatever else is told."""
        return tuple(each for each in self.told if each.is_news)


def idle(node: Mapping[str, Any], with_all: bool = False) -> Idle:
    """What is idle on a node, the dearest first; `with_all`: short stalls and what runs say that they do as well."""
    held = sorted(_held(node), key=lambda each: (each.per_hour or Decimal(0), each.seconds), reverse=True)
    told = tuple(each for each in held if each.is_news or with_all)
    return Idle(node, told, tuple(each for each in held if each not in told), tuple(_unheld(node)))


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Of those that are known; None where there are some, and none is."""
    given = list(amounts)
    known = [amount for amount in given if amount is not None]
    return None if given and not known else sum(known, Decimal(0))


def as_json(found: Idle, reader: Reader) -> dict[str, Any]:
    """As data: amounts are text, what is not known is null."""
    node = found.node
    return {
        "schema": SCHEMA,
        "host": node["host"],
        "at": node["at"],
        "simulated": node["simulated"],
        "currency": node["currency"],
        "per_hour": _text(total(each.per_hour for each in found.news)),
        "cost": _text(total(each.cost for each in found.news)),
        "unpriced": sum(each.unpriced for each in found.news),
        "idle": [_object(each, reader) for each in found.told],
        "left_out": _sum(found.left_out),
        "unheld": _sum(found.unheld),
    }


def freeing(holding: Holding, reader: Reader) -> list[str]:
    """What to type, or whom to ask, for these GPUs to be free or to work."""
    if not holding.holders:
        return []
    looks = {"hang": "see where it hangs", "waiting-for-peer": "see where it waits", UNEXPLAINED: "see what it does"}
    pids = [each["pid"] for each in holding.processes]
    ways: list[str] = []
    if holding.reason in OWN_WORD:
        return ["nothing to do: it goes on by itself"]
    if holding.reason == "waiting-for-data":
        ways.append("more loader workers (num_workers), prefetching, data on a nearer disk")
        if holding.has_worked:
            return ways
    if holding.reason in looks and pids:
        ways.append(f"{looks[holding.reason]}: py-spy dump --pid {pids[0]}")
    own = [each["pid"] for each in holding.processes if [each["user"]] == holding.users]
    end = holding.end or (f"kill {' '.join(map(str, own))}" if own else "")
    if reader.uid is not None and {each["uid"] for each in holding.holders} == {reader.uid}:
        return [*ways, end] if end else ways or ["end what holds it"]
    asked = f"ask {' and '.join(holding.users)}"
    return [*ways, f"{asked}; if it is yours: {end}" if end else asked]


def quieting(holding: Holding) -> str:
    """The command that has Alertmanager be silent of it for two hours: we keep no silences of our own."""
    users = [user for user in holding.users if user not in _NOBODY]
    alerts = QUIETED.get(holding.reason or UNEXPLAINED, QUIETED[UNEXPLAINED])
    if not users or not alerts:
        return ""
    which = f"alertname={alerts[0]}" if len(alerts) == 1 else f"alertname=~{'|'.join(alerts)}"
    whose = f"owner={_matched(users[0])}" if len(users) == 1 else f"owner=~{_quoted('|'.join(map(re.escape, users)))}"
    return f"amtool silence add {shlex.quote(which)} {shlex.quote(whose)} -d 2h -c known"


def _matched(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else _quoted(value)


def _quoted(value: str) -> str:
    """As Alertmanager reads it (its docs, "Matcher"): quotes, backslashes and ends of lines escaped."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# Rows


def _held(node: Mapping[str, Any]) -> Iterator[Holding]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for gpu in node["gpus"]:
        is_old = "reason_since" not in gpu and gpu["state"] == "idle"
        if gpu["holders"] and (is_old or reason_of(gpu) is not None):
            holders = tuple((each["uid"], each["run"]) for each in gpu["holders"])
            groups.setdefault((holders, reason_of(gpu), short_model(gpu["model"])), []).append(gpu)
    runs = {(run["uid"], run["run"]): run for run in node["runs"]}
    for (_, reason, _), gpus in groups.items():
        yield _holding(gpus, reason, runs, node["at"])


def _holding(
    gpus: Sequence[Mapping[str, Any]], reason: str | None, runs: Mapping[Any, Mapping[str, Any]], at: str
) -> Holding:
    began = [since for gpu in gpus if (since := idle_since(gpu) if reason is None else gpu["reason_since"]) is not None]
    since, holders = min(began, default=None), gpus[0]["holders"]
    known = [runs.get((each["uid"], each["run"])) for each in holders]
    names = tuple(str(run["name"] or run["run"]) for run in known if run is not None)
    end = _end(holders[0], known[0]) if len(holders) == 1 else ""
    costs = [
        Decimal(gpu["idle_cost"]) for gpu in gpus if gpu.get("idle_cost") is not None and gpu["per_hour"] is not None
    ]
    per_hour = total(_per_hour(gpu) for gpu in gpus)
    seconds = 0.0 if since is None else seconds_between(since, at)
    cost = sum(costs, Decimal(0)) if costs else None
    parts = [_idle_part(gpu) for gpu in gpus]
    has_worked = any(part is None or part < _WHOLE for part in parts)
    return Holding(tuple(gpus), tuple(holders), reason, since, seconds, per_hour, cost, names, end, has_worked)


def _per_hour(gpu: Mapping[str, Any]) -> Decimal | None:
    """What its idle time costs by the hour: its price as it is now, or less where it works in between."""
    if gpu["per_hour"] is None:
        return None
    price, part = Decimal(gpu["per_hour"]), _idle_part(gpu)
    return price if part is None else (price * part).quantize(_STEP)


def _idle_part(gpu: Mapping[str, Any]) -> Decimal | None:
    """How much of its spell it was idle for, of what was seen of it; None where it is too early to say."""
    idle, busy = gpu.get("idle_seconds"), gpu.get("busy_seconds")
    if idle is None or busy is None or idle + busy < _MEAN_SECONDS:
        return None
    return Decimal(repr(idle)) / Decimal(repr(idle + busy))


def _end(holder: Mapping[str, Any], run: Mapping[str, Any] | None) -> str:
    """What ends a run for good: its scheduler's command, or of one that is known by its first process, a signal."""
    if run is None:
        return ""
    words = [shlex.quote(word) for word in str(run["job"]).split("/")]
    command = _BY_SCHEDULER.get(str(holder["source"]), "")
    if command and run["job"] and len(words) == 1 + command.count("{1}"):
        return command.format(*words)
    return f"kill {run['pid']}" if run.get("pid") else ""


def _unheld(node: Mapping[str, Any]) -> Iterator[Holding]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for gpu in node["gpus"]:
        if not gpu["holders"]:
            groups.setdefault(short_model(gpu["model"]), []).append(gpu)
    for gpus in groups.values():
        since = min((gpu["since"] for gpu in gpus if gpu["since"] is not None), default=None)
        seconds = 0.0 if since is None else seconds_between(since, node["at"])
        per_hour = total(None if gpu["per_hour"] is None else Decimal(gpu["per_hour"]) for gpu in gpus)
        yield Holding(tuple(gpus), (), None, since, seconds, per_hour, None)


# As data


def _object(holding: Holding, reader: Reader) -> dict[str, Any]:
    return {
        "gpus": [{"uuid": gpu["uuid"], "index": gpu["index"], "model": gpu["model"]} for gpu in holding.gpus],
        "holders": [dict(each) for each in holding.holders],
        "names": list(holding.names),
        "reason": holding.reason,
        "since": holding.since,
        "seconds": round(holding.seconds, 3),
        "per_hour": _text(holding.per_hour),
        "cost": _text(holding.cost),
        "unpriced": holding.unpriced,
        "memory_bytes": holding.memory_bytes,
        "processes": [dict(each) for each in holding.processes],
        "free": freeing(holding, reader),
        "quiet": quieting(holding),
    }


def _sum(holdings: Sequence[Holding]) -> dict[str, Any]:
    return {
        "gpus": sorted(gpu["index"] for each in holdings for gpu in each.gpus),
        "per_hour": _text(total(each.per_hour for each in holdings)),
        "unpriced": sum(each.unpriced for each in holdings),
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
