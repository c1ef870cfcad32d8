"""Which of the node's GPUs a wrapped run holds, from `--gpus` or CUDA_VISIBLE_DEVICES.

Indices are taken in NVML's order, which is CUDA's under CUDA_DEVICE_ORDER=PCI_BUS_ID and wherever all GPUs are alike.
"""

import os
from collections.abc import Mapping, Sequence

from costmeter.readings import Device

VARIABLE = "CUDA_VISIBLE_DEVICES"
_LONGEST_INDEX = 9


def held(devices: Sequence[Device], gpus: str | None, environ: Mapping[str, str]) -> tuple[Device, ...]:
    """The held devices in the order given: `gpus` where it is set, else CUDA_VISIBLE_DEVICES, else all.

    An entry of `gpus` that names no GPU is passed over (and told, see `unknown_entries`); in CUDA's variable it ends
    the list, because that is what CUDA does.
    """
    if gpus == "all":
        return tuple(devices)
    if gpus == "none":
        return ()
    if gpus is not None:
        named = (_find(devices, entry.strip()) for entry in gpus.split(","))
        return tuple({device.uuid: device for device in named if device is not None}.values())
    listed = environ.get(VARIABLE)
    return tuple(devices) if listed is None else _listed(devices, listed)


def present(folder: str = "/proc/driver/nvidia/gpus") -> int:
    """How many GPUs the kernel module has, whether or not the driver's library answers; 0 where it is not loaded."""
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def count(gpus: str | None, environ: Mapping[str, str], node_gpus: int = 0) -> int:
    """How many GPUs a run holds as far as its settings say, for when there is no driver to ask.

    When they do not say, all of the node's; and one where nobody knows of any.
    """
    listed = gpus if gpus is not None else environ.get(VARIABLE)
    if listed is None or listed == "all":
        return max(1, node_gpus)
    return 0 if listed == "none" else len(set(_entries(listed)))


def unknown_entries(devices: Sequence[Device], gpus: str | None, environ: Mapping[str, str]) -> list[str]:
    """Entries of the list that name no GPU of this node."""
    listed = gpus if gpus is not None else environ.get(VARIABLE)
    if listed is None or listed in ("all", "none"):
        return []
    return [entry for entry in _entries(listed) if _find(devices, entry) is None]


def _listed(devices: Sequence[Device], listed: str) -> tuple[Device, ...]:
    """As CUDA reads its variable: in order, without repeats, ended by the first entry that names no GPU."""
    found: dict[str, Device] = {}
    for entry in _entries(listed):
        device = _find(devices, entry)
        if device is None:
            break
        found[device.uuid] = device
    return tuple(found.values())


def _entries(listed: str) -> list[str]:
    """Entries up to the first that ends the list: an empty one or a negative number."""
    entries: list[str] = []
    for entry in listed.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        entries.append(entry.strip())
    return entries


def _find(devices: Sequence[Device], entry: str) -> Device | None:
    """The device of an index, or of the one UUID that starts with the entry."""
    if entry.isascii() and entry.isdigit() and len(entry) <= _LONGEST_INDEX:
        return next((device for device in devices if device.index == int(entry)), None)
    matching = [device for device in devices if device.uuid.startswith(entry)]
    return matching[0] if len(matching) == 1 else None
