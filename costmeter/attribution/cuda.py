"""CUDA_VISIBLE_DEVICES as CUDA reads it: in order, up to the first entry it cannot read, in its own count of GPUs.

What is known, and from where:
- CUDA programming guide: unset is all, empty is none; numbers, or UUIDs or so much of them as is unique; what stands
  behind the first invalid entry, `-1` for one, is not seen.
- PyTorch's tests of its parser, written to match driver 525.60.13: what follows a number is ignored (`1gpu2` is 1);
  `+3` and `-0` are numbers; numbers and UUIDs do not mix, the first entry decides; a GPU listed twice leaves none.
- MIG user guide: a process gets one compute instance, the first that it sees; since driver R570 one of each GPU
  instance, and whole boards beside them. The form with instance ids is of drivers before R470.

What is assumed, because it is written nowhere:
- A board in MIG mode is one number, as any board, and it and the board's UUID stand for its first instance.
- "Fastest first" goes by cores × MHz, equals in NVML's order; where a speed is unknown, all go in NVML's order.
- Blanks and case in UUIDs do not matter; a MIG UUID may be shortened like another; boards and instances may mix.

Two things are not as CUDA has it, because a meter that counts nothing is the worse error: of a GPU listed twice one is
counted, and all MIG instances listed are, though older drivers give a process only one: they are the run's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from costmeter.attribution import naming
from costmeter.rates.prices import model
from costmeter.readings import Device

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"

_NUMBER = re.compile(r"([+-]?)([0-9]+)(.*)", re.DOTALL)
#: What people and Slurm write for "no GPU", beside a negative number and nothing at all.
_NO_DEVICES = "nodevfiles"
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One readable entry: the number CUDA takes from it (None for a UUID), and what it ignores behind the number."""

    text: str
    number: int | None
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list comes to on this node: the devices it holds, and the entry that ended it, where nobody meant it to.

    `doubts` are sentences for a person: where CUDA may see other devices than these.
    """

    devices: tuple[Device, ...]
    unknown: tuple[str, ...]
    doubts: tuple[str, ...]


def entries(listed: str) -> tuple[tuple[Entry, ...], str]:
    """The entries CUDA reads, and the one at which it stops; that is empty at the list's end and where it says so."""
    read: list[Entry] = []
    for text in (text.strip() for text in listed.split(",")):
        entry = _entry(text)
        if entry is None or (read and (entry.number is None) != (read[0].number is None)):
            is_meant = text.startswith("-") or text.casefold() == _NO_DEVICES
            return tuple(read), "" if is_meant else text
        read.append(entry)
    return tuple(read), ""


def resolve(devices: Sequence[Device], listed: str, environ: Mapping[str, str]) -> Listed:
    """The devices a list names, in its order and without repeats."""
    readable, last = entries(listed)
    numbered = _numbered(devices, environ)
    stand_ins = naming.stand_ins(devices, (entry.text for entry in readable if entry.number is None))
    found: dict[str, Device] = {}
    numbers: set[int] = set()
    doubts: dict[str, str] = {}  # one of each kind is enough
    for entry in readable:
        named = naming.by_uuid(devices, entry.text) if entry.number is None else numbered.get(entry.number, ())
        if not named and entry.text in stand_ins:
            named = (stand_ins[entry.text],)
            doubts = {"nameless": naming.doubt_of(shown(entry.text), named[0])} | doubts
        if not named:
            last = entry.text
            break
        first = min(named, key=_place)
        doubts = _doubts_of(entry, named, first.uuid in found) | doubts
        found[first.uuid] = first
        numbers |= set() if entry.number is None else {entry.number}
    else:
        if _entry(last) is not None:  # readable, and yet not read: it is of the other kind
            doubts["mixed"] = f'CUDA reads numbers or UUIDs, not both in one list; it ends before "{shown(last)}"'
            last = ""
    if 0 < len(numbers) < len(numbered):
        doubts |= _doubts_of_order(devices, environ)
    told = tuple(f"{VARIABLE}: {text}" for text in doubts.values())
    return Listed(tuple(found.values()), (last,) if last else (), told)


def shown(entry: str) -> str:
    """An entry as a message can hold it, however long it is."""
    return entry if len(entry) <= _LONGEST_SHOWN else entry[:_LONGEST_SHOWN] + "…"


def _entry(text: str) -> Entry | None:
    """What CUDA makes of one entry; None where it can make nothing of it."""
    match = _NUMBER.match(text)
    if match is None:
        return Entry(text, None) if naming.is_uuid(text) else None
    number = naming.index(match[2])
    return None if number is None or (number and match[1] == "-") else Entry(text, number, match[3])


# The order in which CUDA counts


def _numbered(devices: Sequence[Device], environ: Mapping[str, str]) -> dict[int, tuple[Device, ...]]:
    """The boards by CUDA's number, each with its devices. A number NVML leaves out CUDA leaves out, too."""
    boards = _boards(devices)
    numbers = [board[0].index for board in boards]
    if _goes_by_speed(boards, environ):
        boards = sorted(boards, key=lambda board: -_speed(board))
    return dict(zip(numbers, boards, strict=True))


def _boards(devices: Sequence[Device]) -> list[tuple[Device, ...]]:
    """The devices board by board, in NVML's order."""
    boards: dict[str, list[Device]] = {}
    for device in devices:
        boards.setdefault(device.board, []).append(device)
    return sorted(map(tuple, boards.values()), key=lambda board: board[0].index)


def _goes_by_speed(boards: Sequence[tuple[Device, ...]], environ: Mapping[str, str]) -> bool:
    return environ.get(ORDER) != "PCI_BUS_ID" and all(_speed(board) > 0 for board in boards)


def _speed(board: tuple[Device, ...]) -> int:
    return max(device.speed for device in board)


def _place(device: Device) -> int:
    return 0 if device.mig is None else device.mig.place


# What a person is told


def _doubts_of(entry: Entry, named: tuple[Device, ...], is_repeated: bool) -> dict[str, str]:
    """What may be otherwise than this one entry was read, by kind."""
    text, doubts = shown(entry.text), {}
    if entry.ignored:
        doubts["ignored"] = f'"{text}" is {entry.number} to CUDA, which ignores the rest'
    if len(named) > 1:
        advice = f"the first of {len(named)} is counted. Name instances by their MIG-UUIDs to be sure"
        doubts["instances"] = f'"{text}" is a board in MIG mode, for which CUDA takes one instance; {advice}'
    if is_repeated:
        doubts["repeated"] = f'"{text}" names a GPU again, and then CUDA may offer none; it is counted once'
    return doubts


def _doubts_of_order(devices: Sequence[Device], environ: Mapping[str, str]) -> dict[str, str]:
    """Which order of GPUs was assumed, unless it is set or they are all alike."""
    boards = _boards(devices)
    if environ.get(ORDER) == "PCI_BUS_ID" or len({(model(board[0].name), _speed(board)) for board in boards}) < 2:
        return {}
    order = ", ".join(str(board[0].index) for board in _numbered(devices, environ).values())
    rule = "fastest first" if _goes_by_speed(boards, environ) else "as nvidia-smi does"
    advice = f"Set {ORDER}=PCI_BUS_ID, or name GPUs by UUID, to be sure"
    return {"order": f"CUDA is assumed to count this node's GPUs {rule} (GPU {order}). {advice}"}
