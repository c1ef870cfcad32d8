"""What is idle on a node, as text: who, why, how long, how much, and what to type."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from costmeter.meter.idling import START_UP_NS
from costmeter.outputs.columns import columns, fitted, folded
from costmeter.outputs.figures import about, money, significant
from costmeter.outputs.gpus import numbers, short_model
from costmeter.outputs.idle import Holding, Idle, Reader, freeing, quieting, total
from costmeter.outputs.style import MINIMUM_WIDTH, Style, unadorned
from costmeter.units import NANOSECONDS_PER_SECOND

_GIGA = 1e9
_CENT = Decimal("0.01")
_INDENT = "    "
_RIGHT = frozenset((3, 4, 5))
#: What is cut where a line is too long, and how much of it stays: who holds, the model.
_CUT = ((2, 10), (1, 8))
_MOST_PIDS = 4
_NOTHING = "nothing is idle on {}: no GPU is held for nothing"
#: Whose memory is in use as it should be.
_AT_WORK = frozenset(("waiting-for-data", "waiting-for-peer", "evaluation", "checkpoint", "start-up"))
_WHY = {
    "no-process": "held, and no process is on it",
    "memory-held": "a process holds its memory and computes nothing",
    "waiting-for-data": "works in bursts and waits between them: its data comes too slowly",
    "waiting-for-peer": "spins at hardly any power: waits for a rank that is late",
    "hang": "spins at hardly any power and makes no step: it hangs",
    "evaluation": "evaluates, as it says itself",
    "checkpoint": "writes a checkpoint, as it says itself",
    "start-up": "has only begun",
    "unexplained": "computes nothing, and nobody can say why",
}


def idle_lines(found: Idle, style: Style, reader: Reader, with_all: bool) -> list[str]:
    """The lines: what goes to nobody's training, each who holds what, and in one line what nobody holds."""
    width = max(style.width, MINIMUM_WIDTH)
    lines = folded("", _headline(found), width)
    rows = [*found.told, *(found.unheld if with_all else ())]
    cells = [_cells(each, found.node["currency"]) for each in rows]
    table = columns(fitted(cells, _RIGHT, _CUT, width, style.cut), _RIGHT)
    for holding, line in zip(rows, table, strict=True):
        lines += ["", line, *_details(holding, width, reader)]
    lines += _rest(found, width, with_all)
    return [unadorned(line, style) for line in lines]


def _headline(found: Idle) -> str:
    currency, simulated = found.node["currency"], "simulated GPUs: " if found.node["simulated"] else ""
    if not found.news:
        has_any = found.told or found.left_out
        said = "nothing worth telling on {}: no GPU is idle for long" if has_any else _NOTHING
        return simulated + said.format(found.node["host"])
    per_hour, cost = total(each.per_hour for each in found.news), total(each.cost for each in found.news)
    unpriced = sum(each.unpriced for each in found.news)
    if per_hour is None:
        return f"{simulated}{_counted(unpriced)} held and idle on {found.node['host']}; {_no_price(found)}"
    so_far = "" if cost is None else f" ({money(cost, currency, _CENT)} so far)"
    more = f", and so {'is' if unpriced == 1 else 'are'} {_counted(unpriced)} without a price" if unpriced else ""
    return f"{simulated}{_rate(per_hour, currency)} is going to nobody's training right now{so_far}{more}"


def _no_price(found: Idle) -> str:
    """What to type where none of what burns has a price: that of its models, if others have theirs."""
    if all(gpu["per_hour"] is None for gpu in found.node["gpus"]):
        return "no price is set: costmeter init"
    models = dict.fromkeys(short_model(gpu["model"]) for each in found.news for gpu in each.gpus)
    return f"no price is known for {', '.join(models)}: gpu: {{price: P}} in costmeter.yaml"


def _cells(holding: Holding, currency: str) -> list[str]:
    users = ", ".join(holding.users) or "nobody"
    names = ", ".join(holding.names)
    return [
        f"GPU {numbers(gpu['index'] for gpu in holding.gpus)}",
        short_model(holding.gpus[0]["model"]),
        f"{users} ({names})" if names else users,
        about(holding.seconds) if holding.since is not None else "",
        "" if holding.per_hour is None else _rate(holding.per_hour, currency),
        "" if holding.cost is None else f"{money(holding.cost, currency, _CENT)} so far",
    ]


def _details(holding: Holding, width: int, reader: Reader) -> Iterator[str]:
    """Why, and what to type. A command is never folded: it is to be copied."""
    if not holding.holders:
        yield from folded(_INDENT, "held by nobody: it costs the node, and is nobody's idle spend", width)
        return
    yield from folded(_INDENT, _why(holding), width)
    label = "free it:  "
    for way in freeing(holding, reader):
        yield f"{_INDENT}{label}{way}"
        label = " " * len(label)
    if holding.is_news and (silence := quieting(holding)):
        yield f"{_INDENT}quiet it: {silence}"


def _why(holding: Holding) -> str:
    said = "idle; the agent is of a version that does not say why"
    if holding.reason is not None:
        said = _WHY.get(holding.reason, holding.reason)
    if holding.reason == "waiting-for-data" and not holding.has_worked:
        said = "its host works and it computes nothing: its data comes too slowly, or it needs no GPU"
    if holding.reason == "start-up" and holding.seconds > START_UP_NS / NANOSECONDS_PER_SECOND:
        said = "starts, as it says itself"
    if 0 < holding.unpriced < len(holding.gpus):
        said += f"; {holding.unpriced} of them without a price"
    pids = [str(each["pid"]) for each in holding.processes]
    if pids:
        more = f" and {len(pids) - _MOST_PIDS} more" if len(pids) > _MOST_PIDS else ""
        said += f"; pid {', '.join(pids[:_MOST_PIDS])}{more}"
    held = 0 if holding.reason in _AT_WORK else holding.memory_bytes
    return f"{said}; {significant(held / _GIGA, 2)} GB held" if held >= _GIGA else said


def _rest(found: Idle, width: int, with_all: bool) -> Iterator[str]:
    """What is not told of each by itself."""
    left = [("in a short stall, start-up, evaluation or checkpoint", found.left_out)]
    left += [] if with_all else [("held by nobody, which is the node's cost", found.unheld)]
    told = [f"{_of(of, found.node['currency'])} {what}" for what, of in left if of]
    if told:
        yield ""
        yield from folded("Not listed: ", f"{'; '.join(told)}. All of it: costmeter idle --all", width)


def _of(holdings: Sequence[Holding], currency: str) -> str:
    count, per_hour = sum(len(each.gpus) for each in holdings), total(each.per_hour for each in holdings)
    unpriced = sum(each.unpriced for each in holdings)
    if per_hour is None:
        return _counted(count)
    more = f", and {unpriced:,} without a price," if unpriced else ""
    return f"{_counted(count - unpriced)} at {_rate(per_hour, currency)}{more}"


def _counted(count: int) -> str:
    return f"{count:,} GPU{'' if count == 1 else 's'}"


def _rate(amount: Decimal, currency: str) -> str:
    return f"{money(amount, currency)}/h"
