"""How the first line of a journal is read: who metered what, where, and under which rules."""

from collections.abc import Mapping
from typing import Any

from costmeter.clock import LATEST_UTC_NS, Anchor
from costmeter.errors import JournalError
from costmeter.ledger import kinds
from costmeter.ledger.record import SCHEMA, Header
from costmeter.meter.activity import IdleRule

_TEXTS = ("run", "meter", "name", "host", "boot_id", "currency", "user")
_SHAPE = dict.fromkeys(_TEXTS, kinds.text) | {
    "part": kinds.count,
    "labels": kinds.table(kinds.text),
    "command": kinds.maybe(kinds.each(kinds.text)),
    "pid": kinds.whole,
    "pid_start_ticks": kinds.whole,
    "start_ns": kinds.count,
    "anchor": kinds.shaped({"boottime_ns": kinds.count, "utc_ns": kinds.instant}),
    "period_ns": kinds.count,
    "rule": kinds.shaped({"utilization_below": kinds.number, "spin_power_below": kinds.number}),
    "simulated": kinds.truth,
    "versions": kinds.table(kinds.text),
}


def decode_header(body: Mapping[str, Any]) -> Header:
    """The header that was written.

    Raises KeyError, TypeError or ValueError on anything else, JournalError on another schema.
    """
    if body["schema"] != SCHEMA:
        raise JournalError(
            f"journal of schema {body['schema']}, this costmeter reads {SCHEMA}", "pip install -U costmeter"
        )
    kinds.expect(body, _SHAPE)
    command, clocks = body["command"], Anchor(**body["anchor"])
    if clocks.utc(body["start_ns"]) >= LATEST_UTC_NS:
        raise ValueError("start_ns")
    return Header(
        run=body["run"],
        part=body["part"],
        meter=body["meter"],
        name=body["name"],
        labels=body["labels"],
        command=None if command is None else tuple(command),
        host=body["host"],
        boot_id=body["boot_id"],
        pid=body["pid"],
        pid_start_ticks=body["pid_start_ticks"],
        start_ns=body["start_ns"],
        anchor=clocks,
        period_ns=body["period_ns"],
        rule=IdleRule(**body["rule"]),
        simulated=body["simulated"],
        currency=body["currency"],
        versions=body["versions"],
        user=body.get("user", ""),
    )
