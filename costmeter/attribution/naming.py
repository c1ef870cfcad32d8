"""How a GPU or a MIG instance is named by UUID: whole or by its beginning, or by the driver's ids of the instance.

A board in MIG mode is not among the devices, its instances are: its UUID names all of them. Upper and lower case are
the same, for a UUID is a number written in hex.
"""

import re
from collections.abc import Iterable, Sequence

from costmeter.readings import Device

#: The form of lists before driver R470: `MIG-GPU-<uuid>/<gpu instance>/<compute instance>`.
_INSTANCE_IDS = re.compile(r"mig-(gpu-[^/]+)/([0-9]{1,9})/([0-9]{1,9})")
_DIGITS_OF_AN_INDEX = 9


def index(digits: str) -> int | None:
    """The number that ASCII digits stand for; None for anything else, and for a number that no GPU can have."""
    if not (digits.isascii() and digits.isdigit()):
        return None
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _DIGITS_OF_AN_INDEX else None


def is_uuid(entry: str) -> bool:
    """Whether an entry has the form of a UUID or of its beginning: more than the prefix that all of them share."""
    name = entry.casefold()
    return name.startswith(("gpu-", "mig-")) and name not in ("gpu-", "mig-", "mig-gpu-")


def board_named(entry: str) -> str:
    """What an entry says of the board: its UUID as written where it carries one, else the entry itself. Casefolded."""
    name = entry.casefold()
    ids = _INSTANCE_IDS.fullmatch(name)
    return name if ids is None else ids[1]


def by_uuid(devices: Sequence[Device], entry: str) -> tuple[Device, ...]:
    """The devices of the one UUID that starts with the entry, in their order; none where several do, or no one."""
    if not is_uuid(entry):
        return ()
    name = entry.casefold()
    ids = _INSTANCE_IDS.fullmatch(name)
    if ids is not None:
        board = _the_one(_boards(devices), ids[1])
        return tuple(each for each in devices if board is not None and _is_instance(each, board, ids[2], ids[3]))
    if name.startswith("gpu-"):
        board = _the_one(_boards(devices), name)
        return tuple(each for each in devices if each.board == board)
    instance = _the_one((each.uuid for each in devices), name)
    return tuple(each for each in devices if each.uuid == instance)


def stand_ins(devices: Sequence[Device], entries: Iterable[str]) -> dict[str, Device]:
    """The GPUs that do not say who they are, in order, for the entries that are UUIDs of no GPU here.

    One that is named by its index already is its own. Keyed by the entry as written.
    """
    entries = tuple(dict.fromkeys(entries))
    named = {index(entry.partition(":")[0].strip()) for entry in entries}
    nameless = [device for device in devices if not device.is_identified and device.index not in named]
    found: dict[str, Device] = {}
    for entry in entries:
        if not nameless:
            break
        if _is_of_none(devices, entry):
            alike = next((other for other in found if other.casefold() == entry.casefold()), None)
            found[entry] = nameless.pop(0) if alike is None else found[alike]
    return found


def doubt_of(entry: str, device: Device) -> str:
    """What a person is told of an entry and the GPU that stands in for the one it names."""
    return f'GPU {device.index} does not say who it is; "{entry}" may be it, and is counted as it'


def _is_of_none(devices: Sequence[Device], entry: str) -> bool:
    """Whether an entry is a UUID, or the beginning of one, that no device and no board here has."""
    name = board_named(entry)
    return is_uuid(entry) and not any(
        uuid.casefold().startswith(name) for device in devices for uuid in (device.uuid, device.board)
    )


def _boards(devices: Sequence[Device]) -> Iterable[str]:
    return dict.fromkeys(each.board for each in devices)


def _the_one(uuids: Iterable[str], beginning: str) -> str | None:
    """The only one with this beginning; a UUID given in full is that one, whatever others go on from it."""
    matching = [uuid for uuid in uuids if uuid.casefold().startswith(beginning)]
    exact = [uuid for uuid in matching if uuid.casefold() == beginning] or matching
    return exact[0] if len(exact) == 1 else None


def _is_instance(device: Device, board: str, gpu_instance: str, compute_instance: str) -> bool:
    mig = device.mig
    return mig is not None and (mig.board, mig.gpu_instance, mig.compute_instance) == (
        board,
        int(gpu_instance),
        int(compute_instance),
    )
