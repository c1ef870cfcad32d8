"""How what a node's agent knows of idle devices is written, for the agent that goes on after it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from costmeter.ledger import kinds
from costmeter.ledger.node.record import IdleNoted, ReasonRisen
from costmeter.ledger.slotline import reason_of
from costmeter.meter.idlememory import HolderMemory, IdleMemory
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import IdleSpell

Body = Mapping[str, Any]

_MEMORY: kinds.Shape = {
    "utc_ns": kinds.instant,
    "gpu": kinds.text,
    "seen_ns": kinds.count,
    "held_ns": kinds.whole,
    "quiet_ns": kinds.whole,
    "computed": kinds.truth,
    "spins_ns": kinds.whole,
    "said_ns": kinds.whole,
    "hides": kinds.truth,
    "spell": kinds.row(kinds.text, kinds.instant, kinds.money),
    "spell_ns": kinds.whole,
    "before": kinds.row(kinds.count, kinds.count),
    "holders": kinds.each(
        kinds.row(kinds.whole, kinds.text, kinds.whole, kinds.money, kinds.truth, kinds.maybe(kinds.whole))
    ),
}
_RISEN: kinds.Shape = {"utc_ns": kinds.instant, "gpu": kinds.text, "why": kinds.text}


def _encode_noted(noted: IdleNoted, _: object) -> dict[str, object]:
    """Instants are CLOCK_BOOTTIME but for `utc_ns` and that of the spell.

    `before` has nanoseconds idle and busy, `holders` rows of uid, run, since when, for what cost, and what else is
    known of each; of a single holder there is none.
    """
    known = noted.memory
    body: dict[str, object] = {"type": "idle", "utc_ns": noted.at_utc_ns, "gpu": noted.uuid, "seen_ns": known.seen_ns}
    body |= {"held_ns": known.since_ns, "quiet_ns": known.quiet_from_ns}
    seldom = {"spins_ns": known.spins_from_ns, "said_ns": known.said_from_ns, "spell_ns": known.spell_from_ns}
    body |= {name: at_ns for name, at_ns in seldom.items() if at_ns is not None}
    body |= {
        name: True for name, is_so in (("computed", known.has_computed), ("hides", known.hides_processes)) if is_so
    }
    if known.spell is not None:
        body["spell"] = [known.spell.reason, known.spell.since_utc_ns, str(known.spell.cost_before)]
    if known.before is not None:
        body["before"] = [known.before.idle_ns, known.before.busy_ns]
    if known.holders:
        body["holders"] = [
            [uid, run, each.since_ns, str(each.idle_cost), each.has_computed, each.said_from_ns]
            for (uid, run), each in known.holders.items()
        ]
    return body


def _decode_noted(body: Body, _: object) -> IdleNoted:
    kinds.expect(body, _MEMORY)
    spell = None
    if "spell" in body:
        why, since_utc_ns, cost = body["spell"]
        spell = IdleSpell(reason_of(why), since_utc_ns, Decimal(cost))
    holders = {
        (uid, run): HolderMemory(since_ns, Decimal(cost), *more)
        for uid, run, since_ns, cost, *more in body.get("holders", ())
    }
    memory = IdleMemory(
        body["seen_ns"],
        body["held_ns"],
        body["quiet_ns"],
        body.get("computed", False),
        body.get("spins_ns"),
        body.get("said_ns"),
        body.get("hides", False),
        spell,
        holders=holders,
        spell_from_ns=body.get("spell_ns"),
        before=IdleTimes(*body["before"]) if "before" in body else None,
    )
    return IdleNoted(body["utc_ns"], body["gpu"], memory)


def _encode_reason(risen: ReasonRisen, _: object) -> dict[str, object]:
    return {"type": "reason", "utc_ns": risen.at_utc_ns, "gpu": risen.uuid, "why": risen.reason}


def _decode_reason(body: Body, _: object) -> ReasonRisen:
    kinds.expect(body, _RISEN)
    return ReasonRisen(body["utc_ns"], body["gpu"], reason_of(body["why"]))


ENCODERS: dict[type, Callable[[Any, tuple[str, ...]], dict[str, object]]] = {
    IdleNoted: _encode_noted,
    ReasonRisen: _encode_reason,
}
DECODERS: dict[str, Callable[[dict[str, Any], tuple[str, ...]], Any]] = {
    "idle": _decode_noted,
    "reason": _decode_reason,
}
