"""What goes wrong: reads faults from a scenario file, and tells which hold for a device at an instant."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from costmeter.sources.simulated.codes import (
    CODES,
    DEVICE_FUNCTIONS,
    DRIVER_NOT_LOADED,
    FIELD_FUNCTIONS,
    FIELD_NAMES,
)
from costmeter.sources.simulated.fields import ENERGIES, PERCENT_IN_PPM, Field
from costmeter.sources.simulated.scenario import FOR_EVER_NS, Fault, FaultKind

_COUNTER_KINDS = frozenset({"counter-reset", "counter-frozen", "counter-jump", "counter-fall"})
DEVICE_KINDS = _COUNTER_KINDS | {"lost", "error", "hang", "spike", "garbage", "power-stuck"}
NODE_KINDS = frozenset({"driver-reload", "driver-missing"})

#: Kinds that change what a call answers; the others change what there is to answer.
_CALL_KINDS = frozenset({"lost", "error", "hang", "garbage"})


@dataclass(frozen=True, slots=True)
class Schedule:
    """The faults of one device over time, cut where any begins or ends. Build it with `schedule`."""

    edges_ns: tuple[int, ...]
    active: tuple[tuple[Fault, ...], ...]

    def at(self, at_ns: int) -> tuple[Fault, ...]:
        """The faults that hold at an instant."""
        return self.active[bisect_right(self.edges_ns, at_ns)]


def schedule(faults: Iterable[Fault]) -> Schedule:
    """A device's faults that change answers, ready to be asked for an instant."""
    calls = [fault for fault in faults if fault.kind in _CALL_KINDS]
    edges = sorted({edge for fault in calls for edge in (fault.start_ns, fault.end_ns)})
    active = [tuple(f for f in calls if f.start_ns <= edge < f.end_ns) for edge in edges]
    return Schedule(tuple(edges), ((), *active))


def strikes(fault: Fault, function: str, seed: int, device: int, at_ns: int) -> bool:
    """Whether a fault hits this call: by function, and by chance that is the same for the same millisecond."""
    if fault.functions and function not in fault.functions:
        return False
    if fault.probability_ppm >= 1_000_000:
        return True
    return _mixed(seed, device, at_ns // 1_000_000, function) % 1_000_000 < fault.probability_ppm


def strikes_field(fault: Fault, field: int, seed: int, device: int, at_ns: int) -> bool:
    """Whether a fault that names functions hits a field: by its own name, or with the function that asks the same.

    A fault of every function hits nvmlDeviceGetFieldValues as a whole, and no single field.
    """
    names = (f"field {field}", FIELD_FUNCTIONS.get(field, ""))
    return any(name in fault.functions and strikes(fault, name, seed, device, at_ns) for name in names)


def stuck_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults that make power readings stand still, the last one first."""
    return tuple(sorted((f for f in faults if f.kind == "power-stuck"), key=lambda f: f.start_ns, reverse=True))


def held_ns(stuck: tuple[Fault, ...], at_ns: int) -> int:
    """The instant whose power is shown: this one, or that at which the readings stopped moving."""
    for fault in stuck:
        if fault.start_ns <= at_ns < fault.end_ns:
            at_ns = fault.start_ns
    return at_ns


def _mixed(seed: int, device: int, millisecond: int, function: str) -> int:
    """Numbers stirred into one that looks random (the finaliser of splitmix64); Python's own hash differs by run."""
    value = (seed * 0x9E3779B97F4A7C15 + device * 0xD1B54A32D192ED03 + millisecond * 0x2545F4914F6CDD1D) % 2**64
    value = (value + sum(function.encode()) * 0x9E6C63D0876A9A47) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def read_fault(block: Field, kinds: frozenset[str], gpus: int = 0) -> Fault:
    """One entry of a `faults` list, on a node of so many devices."""
    kind_field, start, length = block.need("kind"), block.get("at"), block.get("for")
    kind = (kind_field.choice(kinds) if kind_field else None) or "lost"
    start_ns = start.duration(0) if start else 0
    end_ns = start_ns + length.duration() if length else FOR_EVER_NS
    if kind in ("driver-reload", "spike") and length is None:
        block.fault(f"{kind} needs a length; add `for: 5 s`")
    fault = Fault(
        cast(FaultKind, kind),
        start_ns,
        end_ns,
        functions=_functions(block, kind) if kind in ("error", "hang") else frozenset(),
        code=_code(block, kind),
        probability_ppm=_probability(block) if kind == "error" else 1_000_000,
        milliwatts=_milliwatts(block) if kind in ("spike", "garbage") else 0,
        millijoules=_millijoules(block) if kind in ("counter-jump", "counter-fall") else 0,
        catches_up=_catches_up(block) if kind == "counter-frozen" else False,
        then_devices=_then_devices(block, gpus) if kind == "driver-reload" else None,
    )
    block.done()
    return fault


def _functions(block: Field, kind: str) -> frozenset[str]:
    value = block.get("functions")
    known = DEVICE_FUNCTIONS | FIELD_NAMES.keys() if kind == "error" else DEVICE_FUNCTIONS
    names = [item.choice(known) for item in value.items()] if value else []
    return frozenset(name for name in names if name)


def _code(block: Field, kind: str) -> int:
    """The return code of an error, which must be named, or of a driver that is not loaded unless it says otherwise."""
    if kind not in ("error", "driver-missing"):
        return 0
    value = block.need("code") if kind == "error" else block.get("code")
    if value is None:
        return DRIVER_NOT_LOADED
    word = value.choice(CODES.keys() - {"SUCCESS"})
    return CODES[word][0] if word else DRIVER_NOT_LOADED


def _probability(block: Field) -> int:
    value = block.get("probability")
    return min(value.quantity(PERCENT_IN_PPM, 0, "10 %"), 1_000_000) if value else 1_000_000


def _milliwatts(block: Field) -> int:
    value = block.need("power")
    return value.milliwatts() if value else 0


def _millijoules(block: Field) -> int:
    value = block.need("energy")
    return value.quantity(ENERGIES, 1, "2 MJ") if value else 0


def _then_devices(block: Field, gpus: int) -> tuple[int, ...] | None:
    value = block.get("then_devices")
    if value is None:
        return None
    indexes = tuple(item.whole(0, gpus - 1) for item in value.items())
    if len(set(indexes)) < len(indexes):
        value.fault("the driver lists a device only once")
    return indexes


def _catches_up(block: Field) -> bool:
    value = block.get("then")
    return value is not None and value.choice(("resume", "catch-up")) == "catch-up"
