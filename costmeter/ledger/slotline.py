"""How a slot is written: arrays over devices of nanoseconds and microjoules by state, as short as they can be.

At one line a minute the size of this line is the size of a journal. An array of zeros is left out, an array of equal
numbers is one number, and energy found by a single method names the method instead of repeating the energy. `busy_ns`
is left out where every device was busy for just what `idle_ns` and `unknown_ns` leave of `ns`. `why` is the reason of
all that were idle, or, where they had several, a list over devices. A reason that a newer meter has found is not lost:
its time is `unexplained`. Journals of before have no `why`, and their readers pass it over.
"""

from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import Any

from costmeter.ledger import kinds
from costmeter.meter.idling import REASONS, UNEXPLAINED, Reason
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Quantities, Slot
from costmeter.meter.standing import Standing
from costmeter.readings import METHODS
from costmeter.units import MICROJOULES_PER_MILLIJOULE

#: The keys of arrays, and the fields of Quantities that they have.
STATE_ARRAYS = {
    "idle_ns": "idle_nanoseconds",
    "unknown_ns": "unknown_nanoseconds",
    "busy_uj": "busy_microjoules",
    "idle_uj": "idle_microjoules",
    "unknown_uj": "unknown_microjoules",
    "unmeasured_ns": "unmeasured_nanoseconds",
    "utilized_ns": "utilized_nanoseconds",
    "busy_host_uj": "busy_host_microjoules",
    "idle_host_uj": "idle_host_microjoules",
    "unknown_host_uj": "unknown_host_microjoules",
    "recovered_ns": "recovered_nanoseconds",
}
METHOD_ARRAYS = {method: f"{method}_microjoules" for method in METHODS}


def encode_slot(slot: Slot, order: tuple[str, ...]) -> dict[str, object]:
    """A slot as JSON-ready values. Every device of `order` must be in the slot."""
    devices = [slot.devices[uuid] for uuid in order]
    length_ns = slot.end_utc_ns - slot.start_utc_ns
    body: dict[str, object] = {"n": slot.number, "utc_ns": slot.start_utc_ns, "ns": length_ns}
    _put_busy(body, [device.busy_nanoseconds for device in devices], [_left(device, length_ns) for device in devices])
    for key, name in STATE_ARRAYS.items():
        _put(body, key, [getattr(device, name) for device in devices])
    observed_ns = [device.observed_nanoseconds for device in devices]
    if observed_ns != [device.nanoseconds for device in devices]:
        body["observed_ns"] = observed_ns
    _put_methods(body, devices)
    if slot.counters_microjoules:
        _put_counters(body, [slot.counters_microjoules.get(uuid) for uuid in order])
    if slot.reasons:
        _put_reasons(body, slot, order)
    if slot.standings:
        body["standings"] = {uuid: astuple(standing) for uuid, standing in slot.standings.items()}
    return body | _put_progress(slot)


def decode_slot(body: Mapping[str, Any], order: tuple[str, ...]) -> Slot:
    """The slot that was written. Raises KeyError, TypeError or ValueError on anything else."""
    count = len(order)
    _check_numbers(body)
    _check_devices(body, count)
    arrays = {name: _take(body, key, count) for key, name in STATE_ARRAYS.items()}
    resting_ns = [sum(pair) for pair in zip(arrays["idle_nanoseconds"], arrays["unknown_nanoseconds"], strict=True)]
    left_ns = [body["ns"] - nanoseconds for nanoseconds in resting_ns]
    arrays["busy_nanoseconds"] = _take(body, "busy_ns", count) if "busy_ns" in body else left_ns
    held_ns = [sum(pair) for pair in zip(arrays["busy_nanoseconds"], resting_ns, strict=True)]
    arrays["observed_nanoseconds"] = _take(body, "observed_ns", count) if "observed_ns" in body else held_ns
    energy_uj = [sum(column) for column in zip(*(arrays[f"{s}_microjoules"] for s in _STATES), strict=True)]
    for method, name in METHOD_ARRAYS.items():
        arrays[name] = energy_uj if body.get("method") == method else _take(body, f"{method}_uj", count)
    columns = (arrays[name] for name in _FIELDS)
    devices = {uuid: Quantities(*row) for uuid, row in zip(order, zip(*columns, strict=True), strict=True)}
    standings = take_standings(body)
    end_utc_ns, counters = body["utc_ns"] + body["ns"], take_counters(body, order)
    phase, redone, progress = take_progress(body)
    reasons = _take_reasons(body, devices)
    told = phase, redone, progress
    return Slot(body["utc_ns"], end_utc_ns, devices, counters, body["n"], standings, *told, reasons=reasons)


def devices_in_slot(body: Mapping[str, Any]) -> int | None:
    """For how many devices a slot is: 0 where it has nothing of any; None where all its values stand for all alike."""
    lists = (values for key in _ARRAYS if isinstance(values := body.get(key), list))
    if (values := next(lists, None)) is not None:
        return len(values)
    return None if any(key in body for key in _ARRAYS) else 0


def _check_numbers(body: Mapping[str, Any]) -> None:
    """Raises ValueError where a slot has no number, or was at no time."""
    if type(body["n"]) is not int or body["n"] < 0:
        raise ValueError("n is no number")
    if not (kinds.instant(body["utc_ns"]) and kinds.count(body["ns"])):
        raise ValueError("utc_ns or ns is no time")
    counters = (body[key] for key in ("counters_mj", "counters_uj") if key in body)
    if not all(map(_COUNTERS, counters)):
        raise ValueError("a counter is no number")


def take_standings(body: Mapping[str, Any]) -> dict[str, Standing]:
    """What a slot says of its accounts. Raises ValueError where that is garbled."""
    standings = body.get("standings", {})
    if type(standings) is not dict or not all(map(is_standing, standings.values())):
        raise ValueError("standings are garbled")
    return {uuid: Standing(*values) for uuid, values in standings.items()}


def is_standing(values: Any) -> bool:
    """Whether these are a Standing's values; those it has defaults for may lack at the end."""
    return (
        type(values) is list
        and 2 <= len(values) <= len(_STANDING)
        and all(kind(value) for kind, value in zip(_STANDING, values, strict=False))
    )


_COUNTERS = kinds.each(kinds.maybe(kinds.whole))
_STANDING = (kinds.whole, kinds.count, kinds.whole, kinds.whole, kinds.truth, kinds.truth, kinds.count)


def _check_devices(body: Mapping[str, Any], count: int) -> None:
    """Raises ValueError where a slot is of devices, and those before it are none or others."""
    found = devices_in_slot(body)
    if count == 0 and found != 0:
        raise ValueError("its devices: no readable devices before it")
    counters = next((body[key] for key in ("counters_mj", "counters_uj") if key in body), None)
    if isinstance(counters, list) and len(counters) != count:
        raise ValueError(f"its devices: {len(counters)} counters, and {count} devices before it")


def take_progress(body: Mapping[str, Any]) -> tuple[str, bool, Progress | None]:
    """What a slot says of the run's phase, work done again and progress. Raises ValueError on anything else."""
    phase, redone = body.get("phase", ""), body.get("redone", False)
    told = {key: body[key] for key in _PROGRESS if key in body}
    counted = all(type(count) is int for key, count in told.items() if key != "loss")
    if not (isinstance(phase, str) and isinstance(redone, bool) and counted):
        raise ValueError("progress is garbled")
    if not all(kinds.finite(count) and abs(count) < kinds.WIDEST for key, count in told.items() if key != "loss"):
        raise ValueError("progress is beyond what anything counts")
    if not kinds.finite(told.get("loss", 0.0)):
        raise ValueError("loss is no number")
    return phase, redone, Progress(**told) if told else None


def _put_progress(slot: Slot) -> dict[str, object]:
    body: dict[str, object] = {}
    if slot.phase:
        body["phase"] = slot.phase
    if slot.redone:
        body["redone"] = True
    if slot.progress is not None:
        told = ((key, getattr(slot.progress, key)) for key in _PROGRESS)
        body |= {key: value for key, value in told if value is not None}
    return body


_FIELDS = tuple(each.name for each in fields(Quantities))
_PROGRESS = tuple(each.name for each in fields(Progress))
#: The keys that have a value for every device, or one for all.
_ARRAYS = ("counters_mj", "counters_uj", "busy_ns", "observed_ns", *STATE_ARRAYS, *(f"{m}_uj" for m in METHOD_ARRAYS))
_STATES = ("busy", "idle", "unknown")


def _left(device: Quantities, length_ns: int) -> int:
    """What a slot's length leaves for being busy."""
    return length_ns - device.idle_nanoseconds - device.unknown_nanoseconds


def _put_busy(body: dict[str, object], busy_ns: list[int], left_ns: list[int]) -> None:
    is_one_number = any(busy_ns) and isinstance(_squeezed(busy_ns), int)
    if busy_ns != left_ns or is_one_number:
        body["busy_ns"] = _squeezed(busy_ns)


def _squeezed(values: list[int]) -> int | list[int]:
    """Equal numbers as one number."""
    return values[0] if len(values) > 1 and values.count(values[0]) == len(values) else values


def _put(body: dict[str, object], key: str, values: list[int]) -> None:
    if any(values):
        body[key] = _squeezed(values)


def _take(body: Mapping[str, Any], key: str, count: int) -> list[int]:
    values = body.get(key, 0)
    row = [values] * count if type(values) is int else values
    if type(row) is not list or len(row) != count or not all(isinstance(value, int) for value in row):
        raise ValueError(f"{key} is not {count} integers")
    if row and max(max(row), -min(row)) >= kinds.WIDEST:
        raise ValueError(f"{key} is beyond what anything counts")
    return row


def _put_counters(body: dict[str, object], counters_uj: list[int | None]) -> None:
    """In millijoules, as the driver counts, where nothing finer was booked."""
    is_fine = any(uj is not None and uj % MICROJOULES_PER_MILLIJOULE for uj in counters_uj)
    unit = 1 if is_fine else MICROJOULES_PER_MILLIJOULE
    body["counters_uj" if is_fine else "counters_mj"] = [None if uj is None else uj // unit for uj in counters_uj]


def take_counters(body: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, int]:
    """The counters that a slot has, in microjoules."""
    fine = body.get("counters_uj")
    counters, unit = (fine, 1) if fine else (body.get("counters_mj") or [], MICROJOULES_PER_MILLIJOULE)
    return {uuid: count * unit for uuid, count in zip(order, counters, strict=False) if count is not None}


def reason_of(word: str) -> Reason:
    """The reason that a word stands for; `unexplained` where a newer meter wrote one that is not known here."""
    return _KNOWN.get(word, UNEXPLAINED)


def is_why(value: Any, count: int) -> bool:
    """Whether this may say why so many devices were idle: a word, or a list with a word or null for each."""
    if type(value) is list:
        return len(value) == count and all(word is None or type(word) is str for word in value)
    return type(value) is str


_KNOWN: Mapping[str, Reason] = {reason: reason for reason in REASONS}


def _put_reasons(body: dict[str, object], slot: Slot, order: tuple[str, ...]) -> None:
    """One word where all that were idle have it."""
    words = [slot.reasons.get(uuid) if _was_idle(slot.devices[uuid]) else None for uuid in order]
    told = {word for word, uuid in zip(words, order, strict=True) if _was_idle(slot.devices[uuid])}
    if any(told):
        body["why"] = next(iter(told)) if len(told) == 1 else words


def _take_reasons(body: Mapping[str, Any], devices: Mapping[str, Quantities]) -> dict[str, Reason]:
    """Why those devices were idle that were."""
    if (why := body.get("why")) is None:
        return {}
    if not is_why(why, len(devices)):
        raise ValueError("why is no word for every device")
    words = why if type(why) is list else [why] * len(devices)
    told = zip(devices.items(), words, strict=True)
    return {uuid: reason_of(word) for (uuid, each), word in told if word is not None and _was_idle(each)}


def _was_idle(device: Quantities) -> bool:
    return bool(device.idle_nanoseconds or device.idle_microjoules or device.idle_host_microjoules)


def _put_methods(body: dict[str, object], devices: list[Quantities]) -> None:
    found = {method: [getattr(device, name) for device in devices] for method, name in METHOD_ARRAYS.items()}
    used = [method for method, values in found.items() if any(values)]
    if len(used) == 1:
        body["method"] = used[0]
        return
    for method in used:
        _put(body, f"{method}_uj", found[method])
