"""One record, one line: JSON with a checksum as its last key, readable as it is by jq, pandas and DuckDB."""

import json
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any, get_args

from costmeter.ledger import kinds
from costmeter.ledger.headerline import decode_header
from costmeter.ledger.itemline import decode_items, decode_usage, encode_items, encode_usage
from costmeter.ledger.node import line as nodeline
from costmeter.ledger.node.record import Line
from costmeter.ledger.ratesline import Origins, decode_number, decode_rates, encode_rates
from costmeter.ledger.record import (
    SCHEMA,
    Budgets,
    Devices,
    Footer,
    Header,
    Items,
    Mark,
    Outcome,
    RatesChange,
    SlotEntry,
    Subtotal,
    Usage,
)
from costmeter.ledger.slotline import decode_slot, encode_slot
from costmeter.ledger.summaryline import (
    decode_budgets,
    decode_place,
    decode_subtotal,
    decode_summary,
    encode_budgets,
    encode_idle,
    encode_subtotal,
    encode_summary,
)
from costmeter.readings import METHODS, Device, DriverFacts, Mig, Missing, PowerRange

#: What stands between the content of a line and its checksum, and how long that end is.
CHECK = b',"crc":"'
_NONE_TOLD: Mapping[str, Origins] = {}
CHECK_LENGTH = len(CHECK) + 8 + len(b'"}')


def encode(record: Line, order: tuple[str, ...] = (), told: Collection[str] = ()) -> bytes:
    """A record as one line, newline included. `order` is the device order of the arrays in slots.

    `told` has the fingerprints of the origins that earlier lines of the file spell out.
    """
    if isinstance(record, RatesChange):
        return seal(encode_rates(record, order, told))
    return seal(_ENCODERS[type(record)](record, order))


def seal(body: Mapping[str, object]) -> bytes:
    """JSON in one line with its checksum."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")[:-1]
    return b'%s%s%08x"}\n' % (text, CHECK, zlib.crc32(text))


def unseal(line: bytes) -> dict[str, Any]:
    """The checked content of one line. Raises ValueError when the checksum or the JSON is wrong."""
    line = line.rstrip(b"\r\n")
    text, check = line[:-CHECK_LENGTH], line[-CHECK_LENGTH:]
    if check != b'%s%08x"}' % (CHECK, zlib.crc32(text)):
        raise ValueError("checksum does not match")
    try:
        body = json.loads(text + b"}")
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(body, dict):
        raise ValueError("not a record")
    return body


def decode(line: bytes, order: tuple[str, ...] = (), told: Mapping[str, Origins] = _NONE_TOLD) -> Line | None:
    """The record of one line; None for a type a newer costmeter added. Raises ValueError when it cannot be read.

    `told` has the origins that earlier lines of the file spell out, by fingerprint.
    """
    body = unseal(line)
    decoder = _DECODERS.get(str(body.get("type")))
    try:
        if body.get("type") == "rates":
            return decode_rates(body, order, told)
        return None if decoder is None else decoder(body, order)
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, AttributeError) as problem:
        raise ValueError(f"{body['type']} record lacks or garbles {problem}") from problem


def _encode_header(header: Header, _: tuple[str, ...]) -> dict[str, object]:
    body = asdict(header)
    return {"type": "header", "schema": SCHEMA} | body


def _encode_devices(entry: Devices, _: tuple[str, ...]) -> dict[str, object]:
    driver = None if entry.driver is None else asdict(entry.driver)
    body: dict[str, object] = {"type": "devices", "node_gpus": entry.node_gpus, "driver": driver}
    if entry.since_ns:
        body["since_ns"] = dict(entry.since_ns)
    return body | {"devices": [encode_device(device) for device in entry.devices]}


def _decode_devices(body: dict[str, Any], _: tuple[str, ...]) -> Devices:
    kinds.expect(body, _DEVICES)
    driver = None if body["driver"] is None else DriverFacts(**body["driver"])
    devices = tuple(decode_device(item) for item in body["devices"])
    return Devices(devices, driver, body["node_gpus"], body.get("since_ns", {}))


_DEVICES = {
    "node_gpus": kinds.count,
    "driver": kinds.maybe(kinds.shaped({"version": kinds.text, "simulated": kinds.truth})),
    "since_ns": kinds.table(kinds.count),
    "devices": kinds.each(kinds.table(lambda _: True)),
}
_UNKNOWN = kinds.shaped({"missing": kinds.text})
_MIG: kinds.Shape = dict.fromkeys(Mig.__slots__, kinds.count) | {"board": kinds.text, "split": kinds.text}
_DEVICE: kinds.Shape = {
    "uuid": kinds.text,
    "index": kinds.count,
    "name": kinds.text,
    "pci_bus_id": kinds.text,
    "power_limit_watts": kinds.either(kinds.number, _UNKNOWN),
    "method": kinds.either(kinds.word(METHODS), _UNKNOWN),
    "mig": kinds.maybe(kinds.shaped(_MIG)),
    "scope": kinds.text,
    "power_range": kinds.maybe(kinds.table(kinds.number)),
    "power_is_mean": kinds.truth,
    "speed": kinds.count,
}


def encode_device(device: Device) -> dict[str, object]:
    """A device as JSON-ready values; what is as on most devices is left out."""
    body: dict[str, object] = {
        "uuid": device.uuid,
        "index": device.index,
        "name": device.name,
        "pci_bus_id": device.pci_bus_id,
        "power_limit_watts": _known(device.power_limit_watts),
        "method": _known(device.method),
    }
    if device.mig is not None:
        body["mig"] = asdict(device.mig)
    if device.scope != "gpu":
        body["scope"] = device.scope
    if not isinstance(device.power_range, Missing):
        body["power_range"] = asdict(device.power_range)
    if device.power_is_mean:
        body["power_is_mean"] = True
    if device.speed:
        body["speed"] = device.speed
    return body


def decode_device(body: Mapping[str, Any]) -> Device:
    """The device that was written. Raises KeyError, TypeError or ValueError on anything else."""
    kinds.expect(body, _DEVICE)
    span, mig = body.get("power_range"), body.get("mig")
    return Device(
        body["uuid"],
        body["index"],
        body["name"],
        body["pci_bus_id"],
        _unknown(body["power_limit_watts"]),
        _unknown(body["method"]),
        None if mig is None else Mig(**mig),
        body.get("scope", "gpu"),
        _NOT_WRITTEN if span is None else PowerRange(**span),
        body.get("power_is_mean", False),
        body.get("speed", 0),
    )


_NOT_WRITTEN = Missing("not probed")


def _known(value: object) -> object:
    """A missing value is written as an object with its reason, never as 0 or null."""
    return {"missing": value.reason} if isinstance(value, Missing) else value


def _unknown(value: Any) -> Any:
    return Missing(value["missing"]) if isinstance(value, dict) else value


def _encode_slot(entry: SlotEntry, order: tuple[str, ...]) -> dict[str, object]:
    return {"type": "slot"} | encode_slot(entry.slot, order) | encode_names(entry)


def _decode_slot(body: dict[str, Any], order: tuple[str, ...]) -> SlotEntry:
    return SlotEntry(decode_slot(body, order), decode_number(body, "rates"), decode_number(body, "held"))


def encode_names(entry: SlotEntry) -> dict[str, object]:
    """The numbers of the lines that a slot hangs on."""
    named = {"rates": entry.rates, "held": entry.held}
    return {key: number for key, number in named.items() if number is not None}


def _encode_mark(mark: Mark, _: tuple[str, ...]) -> dict[str, object]:
    return {"type": "mark", "utc_ns": mark.at_utc_ns, "kind": mark.kind, "what": mark.what, "device": mark.device}


def _decode_mark(body: dict[str, Any], _: tuple[str, ...]) -> Mark:
    kinds.expect(body, _MARK)
    return Mark(body["utc_ns"], body["kind"], body["what"], body["device"])


def _encode_footer(footer: Footer, _: tuple[str, ...]) -> dict[str, object]:
    body: dict[str, object] = {name: getattr(footer, name) for name in _FOOTER}
    if footer.slots is not None:
        body["slots"] = footer.slots
    if footer.summary is not None:
        idle = {"idle": encode_idle(footer.summary.idle)} if footer.summary.idle else {}
        body["summary"] = encode_summary(footer.summary, footer.place) | idle
    return {"type": "footer"} | body


def _decode_footer(body: dict[str, Any], _: tuple[str, ...]) -> Footer:
    kinds.expect(body, FOOTER_SHAPE)
    said, told = {name: body[name] for name in _FOOTER}, body.get("summary")
    summary, place = (None, None) if told is None else (decode_summary(told), decode_place(told))
    return Footer(**said, slots=decode_number(body, "slots"), summary=summary, place=place)


_MARK = {"utc_ns": kinds.instant, "kind": kinds.text, "what": kinds.text, "device": kinds.text}
#: Of which kind the values of a footer are; its summary has a shape of its own.
FOOTER_SHAPE: kinds.Shape = {
    "ended_utc_ns": kinds.instant,
    "length_ns": kinds.count,
    "outcome": kinds.word(get_args(Outcome)),
    "exit_code": kinds.maybe(kinds.whole),
    "signal": kinds.maybe(kinds.whole),
    "cpu_ns": kinds.count,
    "readings": kinds.count,
    "slots": kinds.maybe(kinds.count),
}
_FOOTER = ("ended_utc_ns", "length_ns", "outcome", "exit_code", "signal", "cpu_ns", "readings")


_ENCODERS: dict[type, Callable[[Any, tuple[str, ...]], dict[str, object]]] = {
    Header: _encode_header,
    Devices: _encode_devices,
    SlotEntry: _encode_slot,
    Mark: _encode_mark,
    Footer: _encode_footer,
    Items: encode_items,
    Usage: encode_usage,
    Subtotal: encode_subtotal,
    Budgets: encode_budgets,
    **nodeline.ENCODERS,
}
_DECODERS: dict[str, Callable[[dict[str, Any], tuple[str, ...]], Line]] = {
    "header": lambda body, _: decode_header(body),
    "devices": _decode_devices,
    "slot": _decode_slot,
    "mark": _decode_mark,
    "footer": _decode_footer,
    "items": decode_items,
    "usage": decode_usage,
    "subtotal": decode_subtotal,
    "budgets": decode_budgets,
    **nodeline.DECODERS,
}
