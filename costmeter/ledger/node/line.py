"""How what only a node's journal keeps is written: runs, holders, and where the counters stood. What is 0 is left out.

An opening may come to megabytes, and a line may not. So the accounts in it are written as lines of their own, before
it: where the opening's own line stands, all of it does.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

from costmeter.ledger import kinds
from costmeter.ledger.ending import NOTHING_LOST
from costmeter.ledger.node import idleline
from costmeter.ledger.node.record import Holders, Opening, RunAccount, RunEnded, RunFacts, RunRisen, RunSeen, Stint
from costmeter.ledger.record import Outcome
from costmeter.ledger.slotline import reason_of
from costmeter.ledger.summaryline import (
    IDLE,
    TOLD,
    WHOLE,
    decode_idle,
    decode_whole,
    encode_idle,
    encode_told,
    encode_whole,
)
from costmeter.meter.holder import Holder, HolderSource
from costmeter.meter.progress import Progress
from costmeter.meter.totals import DeviceTotals, Totals

Body = Mapping[str, Any]

_OUTCOMES = frozenset(get_args(Outcome))
_ANYTHING = kinds.table(lambda _: True)
_SOURCE = kinds.word(get_args(HolderSource))
_FACTS: kinds.Shape = {
    "uid": kinds.whole,
    "run": kinds.text,
    "user": kinds.text,
    "source": _SOURCE,
    "seen_utc_ns": kinds.instant,
    "started_utc_ns": kinds.instant,
    "name": kinds.text,
    "labels": kinds.table(kinds.text),
    "job": kinds.text,
    "pid": kinds.count,
    "pid_start_ticks": kinds.count,
}
#: What is not written of a DeviceTotals where there is none of it.
_NOTHING: Body = {"quantities": {}, "charges": {}, "credits": {}}
#: Those of a run of which nothing more is known.
_BARE = RunFacts(0, "", "", "user", 0, 0)
_ALWAYS = ("uid", "run", "user", "source", "seen_utc_ns", "started_utc_ns")
_SELDOM = tuple(name for name in _FACTS if name not in _ALWAYS)
_SEEN: kinds.Shape = {"utc_ns": kinds.instant, "called": kinds.text, "at_zero": kinds.truth}
_RISEN: kinds.Shape = {"utc_ns": kinds.instant, "uid": kinds.whole, "run": kinds.text}
_END: kinds.Shape = {
    "utc_ns": kinds.instant,
    "uid": kinds.whole,
    "run": kinds.text,
    "outcome": kinds.text,
    "exit_code": kinds.maybe(kinds.whole),
    "signal": kinds.maybe(kinds.whole),
    "progress": kinds.maybe(TOLD),
}
_HOLDER: kinds.Shape = {
    "uid": kinds.whole,
    "run": kinds.text,
    "user": kinds.text,
    "source": _SOURCE,
    "phase": kinds.text,
    "redone": kinds.truth,
}
_HOLDERS: kinds.Shape = {
    "utc_ns": kinds.instant,
    "n": kinds.count,
    "holders": kinds.each(_ANYTHING),
    "devices": kinds.table(kinds.each(kinds.count)),
}
_ACCOUNT: kinds.Shape = {
    "facts": _ANYTHING,
    "devices": kinds.table(_ANYTHING),
    "phases": kinds.table(_ANYTHING),
    "redone": _ANYTHING,
    "ended": kinds.maybe(_ANYTHING),
    "called": kinds.text,
    "idle": IDLE,
    "sunk": kinds.money,
    "at_zero": kinds.truth,
}
_OPENING: kinds.Shape = {
    "utc_ns": kinds.instant,
    "held": kinds.table(_ANYTHING),
    "unheld": kinds.table(_ANYTHING),
    "ended": kinds.table(kinds.count),
    "sunk": kinds.table(kinds.money),
    "today": kinds.row(kinds.instant, kinds.money),
    "idle": kinds.table(IDLE),
    "risen": kinds.table(kinds.each(kinds.text)),
}


_STINT: kinds.Shape = {
    **WHOLE,
    "facts": kinds.maybe(_ANYTHING),
    "currency": kinds.text,
    "began_utc_ns": kinds.instant,
    "until_utc_ns": kinds.instant,
    "redone": kinds.money,
    "gpus": kinds.each(kinds.row(kinds.text, kinds.count)),
    "ended": kinds.maybe(_ANYTHING),
}


def _encode_seen(seen: RunSeen, _: object) -> dict[str, object]:
    body = {"type": "run", "utc_ns": seen.at_utc_ns} | _encode_facts(seen.facts)
    body |= {"called": seen.called} if seen.called else {}
    return body | {"at_zero": True} if seen.at_zero else body


def _decode_seen(body: Body, _: object) -> RunSeen:
    kinds.expect(body, _SEEN)
    return RunSeen(body["utc_ns"], _decode_facts(body), body.get("called", ""), body.get("at_zero", False))


def _encode_risen(risen: RunRisen, _: object) -> dict[str, object]:
    uid, run = risen.key
    return {"type": "risen", "utc_ns": risen.at_utc_ns, "uid": uid, "run": run}


def _decode_risen(body: Body, _: object) -> RunRisen:
    kinds.expect(body, _RISEN)
    return RunRisen(body["utc_ns"], (body["uid"], body["run"]))


def _encode_ended(end: RunEnded, _: object) -> dict[str, object]:
    return {"type": "ended"} | _encode_end(end)


def _decode_ended(body: Body, _: object) -> RunEnded:
    kinds.expect(body, _END)
    told = body.get("progress")
    return RunEnded(
        body["utc_ns"],
        (body["uid"], body["run"]),
        body["outcome"] if body["outcome"] in _OUTCOMES else "unknown",  # a newer agent's word
        body.get("exit_code"),
        body.get("signal"),
        None if told is None else Progress(**told),
    )


def _encode_holders(entry: Holders, _: object) -> dict[str, object]:
    """Every holder once, and for each device which of these hold it."""
    each = list(dict.fromkeys(holder for holders in entry.by_device.values() for holder in holders))
    place = {holder: number for number, holder in enumerate(each)}
    devices = {uuid: [place[holder] for holder in holders] for uuid, holders in entry.by_device.items() if holders}
    body: dict[str, object] = {"type": "holders", "utc_ns": entry.at_utc_ns}
    if entry.number is not None:
        body["n"] = entry.number
    return body | {"holders": [_encode_holder(holder) for holder in each], "devices": devices}


def _decode_holders(body: Body, _: object) -> Holders:
    kinds.expect(body, _HOLDERS)
    each = [_decode_holder(holder) for holder in body["holders"]]
    by_device = {uuid: tuple(each[place] for place in places) for uuid, places in body["devices"].items()}
    return Holders(body["utc_ns"], by_device, body.get("n"))


def _encode_account(account: RunAccount, _: object) -> dict[str, object]:
    body: dict[str, object] = {"type": "account", "facts": _encode_facts(account.facts)}
    body["devices"] = _encode_totals(account.totals)
    if account.phases:
        body["phases"] = {phase: _encode_each(whole) for phase, whole in account.phases.items()}
    if redone := _encode_each(account.redone):
        body["redone"] = redone
    if account.ended is not None:
        body["ended"] = _encode_end(account.ended)
    if account.idle:
        body["idle"] = encode_idle(account.idle)
    if account.sunk or account.ended is not None:
        body["sunk"] = str(account.sunk)
    body |= {"called": account.called} if account.called else {}
    return body | {"at_zero": True} if account.at_zero else body


def _decode_account(body: Body, _: object) -> RunAccount:
    kinds.expect(body, _ACCOUNT)
    ended = None if body.get("ended") is None else _decode_ended(body["ended"], None)
    account = RunAccount(
        _decode_facts(body["facts"]),
        _decode_totals(body["devices"]),
        {phase: _decode_each(whole) for phase, whole in body.get("phases", {}).items()},
        _decode_each(body.get("redone", {})),
        ended,
        body.get("called", ""),
        decode_idle(body.get("idle", {})),
        at_zero=body.get("at_zero", False),
    )
    if "sunk" in body:
        return replace(account, sunk=Decimal(body["sunk"]))
    is_sunk = ended is not None and ended.outcome not in NOTHING_LOST  # which older agents did not write
    return replace(account, sunk=max(Decimal(0), account.totals.whole.cost)) if is_sunk else account


def _encode_opening(opening: Opening, _: object) -> dict[str, object]:
    body: dict[str, object] = {"type": "opening", "utc_ns": opening.at_utc_ns}
    body |= {"held": _encode_totals(opening.held), "unheld": _encode_totals(opening.unheld)}
    if opening.ended:
        body["ended"] = dict(opening.ended)
    if opening.sunk:
        body["sunk"] = {outcome: str(cost) for outcome, cost in opening.sunk.items()}
    if opening.today is not None:
        body["today"] = [opening.today[0], str(opening.today[1])]
    if opening.idle:
        body["idle"] = {uuid: encode_idle(uses) for uuid, uses in opening.idle.items()}
    if opening.idle or opening.risen:
        body["risen"] = {uuid: sorted(reasons) for uuid, reasons in opening.risen.items()}
    return body


def _decode_opening(body: Body, _: object) -> Opening:
    kinds.expect(body, _OPENING)
    sunk = {outcome: Decimal(cost) for outcome, cost in body.get("sunk", {}).items()}
    held, unheld = _decode_totals(body["held"]), _decode_totals(body["unheld"])
    today = (body["today"][0], Decimal(body["today"][1])) if "today" in body else None
    idle = {uuid: decode_idle(uses) for uuid, uses in body.get("idle", {}).items()}
    told = body.get("risen", idle)  # older agents did not say: they had shown all of it
    risen = {uuid: frozenset(map(reason_of, words)) for uuid, words in told.items()}
    return Opening(body["utc_ns"], held, unheld, (), body.get("ended", {}), sunk, today, idle, risen)


def _encode_stint(stint: Stint, _: object) -> dict[str, object]:
    body: dict[str, object] = {"type": "stint", "currency": stint.currency}
    if stint.facts is not None:
        body["facts"] = _encode_facts(stint.facts)
    body |= {"began_utc_ns": stint.began_utc_ns, "until_utc_ns": stint.until_utc_ns} | _encode_each(stint.whole)
    if stint.redone:
        body["redone"] = str(stint.redone)
    if stint.gpus:
        body["gpus"] = [list(pair) for pair in stint.gpus]
    return body if stint.ended is None else body | {"ended": _encode_end(stint.ended)}


def _decode_stint(body: Body, _: object) -> Stint:
    kinds.expect(body, _STINT)
    told, ended = body.get("facts"), body.get("ended")
    return Stint(
        None if told is None else _decode_facts(told),
        body["currency"],
        body["began_utc_ns"],
        body["until_utc_ns"],
        decode_whole({**_NOTHING, **body}),
        Decimal(body["redone"]) if "redone" in body else Decimal(0),
        tuple(map(tuple, body.get("gpus", ()))),
        None if ended is None else _decode_ended(ended, None),
    )


def apart(opening: Opening) -> tuple[RunAccount | Opening, ...]:
    """An opening as what its lines say: the accounts, and then all else."""
    return *opening.accounts, replace(opening, accounts=())


# What they have in common


def _encode_facts(facts: RunFacts) -> dict[str, object]:
    body = {name: getattr(facts, name) for name in _FACTS}
    body["labels"] = dict(facts.labels)
    return {name: said for name, said in body.items() if name in _ALWAYS or said != getattr(_BARE, name)}


def _decode_facts(body: Body) -> RunFacts:
    kinds.expect(body, _FACTS)
    return RunFacts(*(body[name] for name in _ALWAYS), **{name: body[name] for name in _SELDOM if name in body})


def _encode_end(end: RunEnded) -> dict[str, object]:
    uid, run = end.key
    body: dict[str, object] = {"utc_ns": end.at_utc_ns, "uid": uid, "run": run, "outcome": end.outcome}
    if end.exit_code is not None:
        body["exit_code"] = end.exit_code
    if end.signal is not None:
        body["signal"] = end.signal
    return body if end.progress is None else body | {"progress": encode_told(end.progress)}


def _encode_holder(holder: Holder) -> dict[str, object]:
    body: dict[str, object] = {"uid": holder.uid, "run": holder.run, "user": holder.user, "source": holder.source}
    if holder.phase:
        body["phase"] = holder.phase
    return body | {"redone": True} if holder.redone else body


def _decode_holder(body: Body) -> Holder:
    kinds.expect(body, _HOLDER)
    said = (body["uid"], body["run"], body["user"], body["source"])
    return Holder(*said, body.get("phase", ""), body.get("redone", False))


def _encode_totals(totals: Totals) -> dict[str, object]:
    return {uuid: _encode_each(each) for uuid, each in totals.devices.items()}


def _decode_totals(body: Body) -> Totals:
    return Totals({uuid: _decode_each(each) for uuid, each in body.items()})


def _encode_each(whole: DeviceTotals) -> dict[str, object]:
    return {name: said for name, said in encode_whole(whole).items() if said}


def _decode_each(body: Body) -> DeviceTotals:
    kinds.expect(body, WHOLE)
    return decode_whole({**_NOTHING, **body})


ENCODERS: dict[type, Callable[[Any, tuple[str, ...]], dict[str, object]]] = {
    RunSeen: _encode_seen,
    RunRisen: _encode_risen,
    RunEnded: _encode_ended,
    Holders: _encode_holders,
    RunAccount: _encode_account,
    Opening: _encode_opening,
    Stint: _encode_stint,
    **idleline.ENCODERS,
}
DECODERS: dict[str, Callable[[dict[str, Any], tuple[str, ...]], Any]] = {
    "run": _decode_seen,
    "risen": _decode_risen,
    "ended": _decode_ended,
    "holders": _decode_holders,
    "account": _decode_account,
    "opening": _decode_opening,
    "stint": _decode_stint,
    **idleline.DECODERS,
}
#: Of which types lines are that only a node's journal has.
NODE_TYPES = tuple(DECODERS)
