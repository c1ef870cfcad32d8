"""Why a run's GPUs were idle: what each reason took and cost, in the receipt's JSON and in its lines."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from costmeter.ledger.query import Run
from costmeter.meter.charge import Origin
from costmeter.meter.idleuse import added, with_unexplained
from costmeter.meter.idling import UNEXPLAINED, IdleUse, Reason
from costmeter.meter.totals import DeviceTotals
from costmeter.outputs.figures import about, gpu_hours, money, quantum, rounded
from costmeter.outputs.idlewords import short
from costmeter.outputs.sourcelines import Labelled, is_priced

#: Reasons are told of a run from this share of its time on.
_TOLD_FROM = 0.01
#: Advice is given where it is worth so much of the currency, and this share of the cost.
_WORTH, _WORTH_SHARE = Decimal(1), Decimal("0.02")


def idle_of(run: Run, whole: DeviceTotals) -> dict[Reason, IdleUse]:
    """What idle time came to by reason, the costliest first; together it is all of the run's idle time, exactly.

    What no part gives a reason for is `unexplained`, with what was found to be so. `whole` is the run's totals.
    """
    uses = with_unexplained(added({}, (part.idle for part in run.parts)), whole)
    told = [each for each in uses.items() if each[1] != IdleUse()]
    return dict(sorted(told, key=lambda each: (each[1].cost, each[1].nanoseconds), reverse=True))


def idle_origins(run: Run) -> dict[str, Origin]:
    """How the reasons are known, where there are any."""
    if not any(part.idle for part in run.parts):
        return {}
    return {"idle_reasons": Origin("estimated", "by what the job told, power, steps and processes, minute by minute")}


# Lines


def idle_lines(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    """Why GPUs were idle, where anybody knows and it is worth a line: parts that add up to the whole of it.

    Where the table has no phases it says so itself, row by row.
    """
    seconds: Mapping[str, float] = receipt["idle_reasons"]
    if not receipt["phases"] or not seconds.keys() - {UNEXPLAINED}:
        return
    if sum(seconds.values()) < _TOLD_FROM * sum(receipt["gpu_seconds"].values()):
        return
    currency, step = receipt["currency"], quantum(Decimal(receipt["cost"]["total"]))
    hours = gpu_hours(seconds.values())
    amounts = rounded([Decimal(receipt["idle_costs"][reason]) for reason in seconds], step)
    is_money = is_priced(receipt)
    told = [
        f"{short(reason)} {hour:,}" + (f" ({money(amount, currency, step)})" if is_money else "")
        for reason, hour, amount in zip(seconds, hours, amounts, strict=True)
        if hour or amount
    ]
    whole = f"{sum(hours):,} GPU-h" + (f", {money(sum(amounts, Decimal(0)), currency, step)}" if is_money else "")
    yield "Idle", f"{whole}: {' · '.join(told) if len(seconds) > 1 else short(next(iter(seconds)))}"


def tip_lines(receipt: Mapping[str, Any]) -> Iterator[Labelled]:
    """What the costliest reason is worth to whoever removes it, where that is worth saying."""
    if not receipt["devices"] or not is_priced(receipt):
        return
    total = Decimal(receipt["cost"]["total"])
    for reason, text in receipt["idle_costs"].items():
        said, cost = _TIPS.get(reason), Decimal(text)
        if cost < _WORTH or cost < _WORTH_SHARE * total:
            return
        if said is not None:
            held = sum(1 for device in receipt["devices"] if device["seconds"])
            seconds = receipt["idle_reasons"][reason] / max(held, 1)
            gpus = "the GPU" if held == 1 else f"{held} GPUs"
            length = about(seconds) + ("" if held == 1 else " each, on average")
            yield "Tip", said.format(gpus=gpus, length=length, money=money(cost, receipt["currency"]))
            return


#: What may be gained, by reason. Nobody knows what to do about `unexplained`.
_TIPS = {
    "waiting-for-data": "the data loader kept {gpus} waiting ({length}): worth up to {money} a run",
    "waiting-for-peer": "{gpus} waited for a peer that was late ({length}): worth up to {money} a run",
    "checkpoint": "{gpus} computed nothing while checkpoints were saved ({length}); to save beside the training is "
    "worth up to {money} a run",
    "evaluation": "{gpus} computed nothing during evaluation ({length}): worth up to {money} a run",
    "start-up": "{gpus} waited for the start ({length}): {money} each time that the run starts so",
    "hang": "{gpus} spun without a step ({length}): {money}; costmeter idle shows a hang while it lasts",
    "memory-held": "a process held {gpus} and computed nothing ({length}): {money}; let go what nobody uses",
    "no-process": "{gpus} were held with no process on them ({length}): {money}",
}
