"""One event of the reader, one line of a recording, and back. What was written is what is read, to the last bit.

A line is JSON with the fields of its event by name; fields that have their default are left out, and a missing value
is `{"missing": reason}`. Only ticks, of which there are many, are packed: `boards` names the UUIDs of the rows of
`readings` where they differ from those of the tick before, and a row is

    [nanoseconds after at_ns, energy_microjoules, power_watts, utilization_ratio, memory_used_bytes,
     [[nanoseconds after at_ns, power_watts], ...], [[instance, slices, utilization_ratio], ...]]

with null for what was not asked at this tick and nothing after the last value there is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from costmeter.clock import Anchor
from costmeter.errors import SourceStopped
from costmeter.ledger.record import Header
from costmeter.ledger.resume import NOTHING_EARLIER, Earlier, Resume
from costmeter.meter.activity import IdleRule
from costmeter.meter.charge import Origin
from costmeter.meter.standing import Standing
from costmeter.readings import (
    NOT_ASKED,
    Activity,
    Device,
    DriverFacts,
    HostReading,
    Mig,
    Missing,
    PowerRange,
    Reading,
    Sample,
    Zone,
)
from costmeter.runtime.events import Batch, Ended, Event, Opened, OpenFailed

Body = dict[str, Any]
#: The UUIDs of the rows of a tick, in order.
Boards = tuple[str, ...]
Made = TypeVar("Made")

#: How many values a row has before its lists.
_VALUES = 4


@dataclass(frozen=True, slots=True)
class Taken:
    """An event, and both clocks as they stood when the recorder took it.

    `cpu_ns` is what the meter had used of the CPU, said with the last event. `lost` counts the events just before this
    one that are not in the recording, because the disk was too slow for them.
    """

    event: Event
    boot_ns: int
    utc_ns: int
    cpu_ns: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run began with, beside its settings.

    `assumed_gpus` is how many GPUs it holds, as far as its command line and environment say, should no driver answer;
    `host` where its host's energy comes from, where that was to be measured; `earlier` what a meter that died left.
    """

    header: Header
    assumed_gpus: int
    host: Origin | None = None
    earlier: Earlier = NOTHING_EARLIER


def encode(taken: Taken, boards: Boards) -> Body:
    """An event as JSON knows it. `boards` are those of the tick before, () at first."""
    event = taken.event
    stamps = {name: getattr(taken, name) for name in _STAMPS if name in ("boot_ns", "utc_ns") or getattr(taken, name)}
    if isinstance(event, Opened):
        return {"type": "opened", **stamps, **_body(event)}
    if isinstance(event, OpenFailed):
        return {"type": "open_failed", **stamps, "message": event.error.message, "hint": event.error.hint}
    if isinstance(event, Batch):
        return {"type": "batch", **stamps, **_encode_batch(event, boards)}
    return {"type": "ended", **stamps, **_body(event)}


def decode(body: Body, boards: Boards) -> Taken:
    """The event of a line; `boards` as for `encode`. Raises ValueError for what is no event of this version."""
    if not is_known(body):
        raise ValueError(f'"{body.get("type")}" is no event that this costmeter knows')
    try:
        return Taken(_DECODERS[body["type"]](body, boards), **{name: body[name] for name in _STAMPS if name in body})
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        raise ValueError(f"{body['type']} event lacks or garbles {problem}") from problem


def is_known(body: Body) -> bool:
    """Whether a line is of a type that this version knows."""
    return str(body.get("type")) in _DECODERS


def boards_of(event: Event, boards: Boards) -> Boards:
    """The boards for the next line."""
    return tuple(event.readings) if isinstance(event, Batch) else boards


def encode_beginning(beginning: Beginning) -> Body:
    """What a run began with, as JSON knows it."""
    return _body(beginning)


def decode_beginning(body: Body) -> Beginning:
    """What a run began with. Raises ValueError when it cannot be read."""
    try:
        changes: Body = {"header": _header(body["header"])}
        if "host" in body:
            changes["host"] = _made(Origin, body["host"])
        if "earlier" in body:
            boards = {uuid: _resume(left) for uuid, left in body["earlier"].get("boards", {}).items()}
            changes["earlier"] = _made(Earlier, body["earlier"], boards=boards)
        return _made(Beginning, body, **changes)
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"first line lacks or garbles {problem}") from problem


def _header(body: Body) -> Header:
    command = None if body["command"] is None else tuple(body["command"])
    anchor, rule = _made(Anchor, body["anchor"]), _made(IdleRule, body["rule"])
    return _made(Header, body, command=command, anchor=anchor, rule=rule)


# Values


def _plain(value: object) -> object:
    if isinstance(value, Missing):
        return {"missing": value.reason}
    if is_dataclass(value):
        return _body(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _body(value: Any) -> Body:
    """The fields of a dataclass by name, without those that have their default."""
    named = ((each.name, each.default, getattr(value, each.name)) for each in fields(value))
    return {name: _plain(item) for name, default, item in named if item != default}


def _known(value: Any) -> Any:
    return Missing(value["missing"]) if isinstance(value, dict) and "missing" in value else value


def _made(kind: type[Made], body: Body, **changes: object) -> Made:
    """A dataclass from its fields; what a newer costmeter added to it is passed over."""
    named = {each.name: _known(body[each.name]) for each in fields(kind) if each.name in body}  # type: ignore[arg-type]  # kind is a dataclass
    return kind(**named | changes)


def _resume(body: Body) -> Resume:
    standing = body.get("standing")
    return Resume(body["booked_ns"], None if standing is None else _made(Standing, standing))


def _device(body: Body) -> Device:
    changes: Body = {}
    if "mig" in body:
        changes["mig"] = _made(Mig, body["mig"])
    if "power_range" in body:
        known = _known(body["power_range"])
        changes["power_range"] = known if isinstance(known, Missing) else _made(PowerRange, known)
    return _made(Device, body, **changes)


def _opened(body: Body, _: Boards) -> Opened:
    driver = None if body["facts"] is None else _made(DriverFacts, body["facts"])
    return Opened(tuple(map(_device, body["devices"])), body["node_gpus"], driver)


def _open_failed(body: Body, _: Boards) -> OpenFailed:
    return OpenFailed(SourceStopped(body["message"], body["hint"]))


def _ended(body: Body, _: Boards) -> Ended:
    sets = {name: frozenset(body.get(name, ())) for name in ("heard", "orphans")}
    return _made(Ended, body, **sets)


# Ticks


def _encode_batch(batch: Batch, boards: Boards) -> Body:
    own = tuple(batch.readings)
    body: Body = {"at_ns": batch.at_ns}
    if own != boards:
        body["boards"] = list(own)
    body["readings"] = [_row(said, batch.at_ns) for said in batch.readings.values()]
    if batch.slow:
        body["slow"] = True
    if batch.until_ns is not None:
        body["until_ns"] = batch.until_ns
    if batch.still_held:
        body["still_held"] = _plain(batch.still_held)
    if batch.host is not None:
        body["host"] = _encode_host(batch.host, batch.at_ns)
    if batch.processes is not None:
        body["processes"] = _plain(batch.processes)
    if batch.cores is not None:
        body["cores"] = batch.cores
    return body


def _row(said: Reading | Missing, at_ns: int) -> object:
    if isinstance(said, Missing):
        return _plain(said)
    row = [
        said.at_ns - at_ns,
        _asked(said.energy_microjoules),
        _asked(said.power_watts),
        _asked(said.utilization_ratio),
        _asked(said.memory_used_bytes),
        [[sample.at_ns - at_ns, _plain(sample.power_watts)] for sample in said.samples],
        [[each.uuid, each.slices, each.utilization_ratio] for each in said.activity],
    ]
    while row[-1] in (None, []):
        row.pop()
    return row


def _asked(value: object) -> object:
    return None if value == NOT_ASKED else _plain(value)


def _batch(body: Body, boards: Boards) -> Batch:
    own, at_ns = body.get("boards", boards), body["at_ns"]
    readings = {board: _said(board, row, at_ns) for board, row in zip(own, body["readings"], strict=True)}
    held = {uuid: tuple(pids) for uuid, pids in body.get("still_held", {}).items()}
    host = _host(body["host"], at_ns) if "host" in body else None
    listed = None if "processes" not in body else {uuid: _listed(said) for uuid, said in body["processes"].items()}
    cores = None if "cores" not in body else float(body["cores"])
    return Batch(at_ns, readings, body.get("slow", False), body.get("until_ns"), held, host, listed, cores=cores)


def _listed(said: Any) -> tuple[int, ...] | Missing:
    known = _known(said)
    return known if isinstance(known, Missing) else tuple(known)


def _said(board: str, row: Any, at_ns: int) -> Reading | Missing:
    if isinstance(row, dict):
        return Missing(row["missing"])
    after_ns, *values = row
    samples = values[_VALUES] if len(values) > _VALUES else []
    activity = values[_VALUES + 1] if len(values) > _VALUES + 1 else []
    asked = [NOT_ASKED if value is None else _known(value) for value in values[:_VALUES]]
    energy, power, utilization, memory = asked + [NOT_ASKED] * (_VALUES - len(asked))
    taken = tuple(Sample(at_ns + later_ns, _known(watts)) for later_ns, watts in samples)
    did = tuple(Activity(*each) for each in activity)
    return Reading(board, at_ns + after_ns, energy, power, utilization, memory, taken, did)


def _encode_host(host: HostReading | Missing, at_ns: int) -> object:
    if isinstance(host, Missing):
        return _plain(host)
    zones = [[zone.name, zone.microjoules, zone.range_microjoules] for zone in host.zones]
    return {"after_ns": host.at_ns - at_ns, "zones": zones}


def _host(body: Body, at_ns: int) -> HostReading | Missing:
    if "missing" in body:
        return Missing(body["missing"])
    return HostReading(at_ns + body["after_ns"], tuple(Zone(*zone) for zone in body["zones"]))


_STAMPS = ("boot_ns", "utc_ns", "cpu_ns", "lost")
_DECODERS: dict[str, Callable[[Body, Boards], Event]] = {
    "opened": _opened,
    "open_failed": _open_failed,
    "batch": _batch,
    "ended": _ended,
}
