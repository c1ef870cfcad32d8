"""Which of the node's GPUs a wrapped run holds, by the first that says so: `--gpus`, CUDA_VISIBLE_DEVICES, Slurm.

Else it is all that are there, less those that other users' processes occupy.

`--gpus` counts boards as NVML does (nvidia-smi's order), CUDA's variable as CUDA does: see `cuda`. What the container
runtime was told (NVIDIA_VISIBLE_DEVICES) is not read: the driver shows only what it let in. Below an MPS server that
was itself given a part of the node, CUDA counts within that part; nothing tells a meter of that.
"""

import os
from collections.abc import Collection, Mapping, Sequence

from costmeter.attribution import allocation, cuda, naming
from costmeter.attribution.cuda import VARIABLE
from costmeter.readings import Device

__all__ = ["VARIABLE", "boards", "count", "doubts", "held", "is_told", "node_gpus", "present", "unknown_entries"]


def held(
    devices: Sequence[Device], gpus: str | None, environ: Mapping[str, str], occupied: Collection[str] = ()
) -> tuple[Device, ...]:
    """The held devices in the order given, without repeats, by the first of these that says which.

    `occupied` are the UUIDs of devices that others compute on: what is everybody's is not the run's then.

    `gpus` is `all`, `none`, or a list: an index or a UUID of a board (with all its instances, when it is in MIG mode),
    `0:1` (the instance at place 1 of board 0), the UUID of an instance, `MIG-GPU-<uuid>/<gi>/<ci>`. An entry of `gpus`
    that names no GPU is passed over (and told, see `unknown_entries`); in CUDA's variable it ends the list, because
    that is what CUDA does. While a GPU does not say who it is, it stands in for a UUID that no other one has.
    """
    if gpus is None:
        listed, allocated = _told(environ)
        if allocated is not None:
            return allocation.devices_of(devices, allocated)
        if listed is not None:
            return cuda.resolve(devices, listed, environ).devices
        return tuple(device for device in devices if device.uuid not in occupied)
    if _is_all(gpus):
        return tuple(devices)
    entries = _entries(gpus)
    stand_ins = naming.stand_ins(devices, entries)
    named = (device for entry in entries for device in _find(devices, entry) or _standing_in(stand_ins, entry))
    return tuple({device.uuid: device for device in named}.values())


def boards(devices: Sequence[Device]) -> tuple[str, ...]:
    """The UUIDs of the boards that carry these devices, each once, in their order: what is to be read."""
    return tuple(dict.fromkeys(device.board for device in devices))


def node_gpus(devices: Sequence[Device]) -> int:
    """How many boards carry these devices."""
    return len(boards(devices))


def present(folder: str = "/proc/driver/nvidia/gpus") -> int:
    """How many GPUs the kernel module has, whether or not the driver's library answers; 0 where it is not loaded."""
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


def count(gpus: str | None, environ: Mapping[str, str], node_gpus: int = 0) -> int:
    """How many GPUs a run holds as far as its settings say, for when there is no driver to ask.

    When they do not say, all of the node's; and one where nobody knows of any. Instances of one board, where the
    entries tell, are one GPU; an instance that is named by its own UUID counts as one.
    """
    listed, allocated = _told(environ)
    if gpus is None and allocated is not None:
        return len(allocated.indices)
    if (gpus is None and listed is None) or (gpus is not None and _is_all(gpus)):
        return max(1, node_gpus)
    if gpus is None:
        readable, _ = cuda.entries(listed or "")
        return len({naming.board_named(each.text) if each.number is None else each.number for each in readable})
    named = {_board_named(entry) for entry in _entries(gpus)}
    return len(named - {None})


def unknown_entries(devices: Sequence[Device], gpus: str | None, environ: Mapping[str, str]) -> list[str]:
    """Entries of the list that name no GPU of this node, each once: in CUDA's variable, that at which it ends."""
    if gpus is None:
        listed, _ = _told(environ)
        return [] if listed is None else list(map(cuda.shown, cuda.resolve(devices, listed, environ).unknown))
    if _is_all(gpus):
        return []
    entries = _entries(gpus)
    stand_ins = naming.stand_ins(devices, entries)
    return [cuda.shown(entry) for entry in entries if entry not in stand_ins and not _find(devices, entry)]


def doubts(devices: Sequence[Device], gpus: str | None, environ: Mapping[str, str]) -> list[str]:
    """Where a run may hold, or CUDA see, other devices than `held` says: a sentence or two each, to be told."""
    if gpus is not None:
        stand_ins = {} if _is_all(gpus) else naming.stand_ins(devices, _entries(gpus))
        return [f"--gpus: {naming.doubt_of(cuda.shown(entry), found)}" for entry, found in stand_ins.items()][:1]
    listed, allocated = _told(environ)
    if allocated is not None:
        return allocation.doubts(devices, allocated)
    return [] if listed is None else list(cuda.resolve(devices, listed, environ).doubts)


def is_told(gpus: str | None, environ: Mapping[str, str]) -> bool:
    """Whether anything says which devices are held."""
    return gpus is not None or _told(environ) != (None, None)


def _told(environ: Mapping[str, str]) -> tuple[str | None, allocation.Allocation | None]:
    """CUDA's list or Slurm's allocation, whichever says what is held; at most one of the two."""
    listed, allocated = environ.get(VARIABLE), allocation.allocated(environ)
    if allocated is not None and (listed is None or allocated.is_of_many):
        return None, allocated
    return listed, None


# The entries of --gpus


def _is_all(gpus: str) -> bool:
    return gpus.strip().casefold() == "all"


def _entries(gpus: str) -> list[str]:
    """The entries, each once and without the empty ones; of `none`, there is none."""
    if gpus.strip().casefold() == "none":
        return []
    return [entry for entry in dict.fromkeys(entry.strip() for entry in gpus.split(",")) if entry]


def _standing_in(stand_ins: Mapping[str, Device], entry: str) -> tuple[Device, ...]:
    return (stand_ins[entry],) if entry in stand_ins else ()


def _find(devices: Sequence[Device], entry: str) -> tuple[Device, ...]:
    """The devices of a board by index, of one of its places, or of a UUID; none where it names none."""
    board, colon, place = (part.strip() for part in entry.partition(":"))
    index = naming.index(board)
    if index is None:
        return naming.by_uuid(devices, entry)
    on_board = tuple(device for device in devices if device.index == index)
    if not colon:
        return on_board
    at = naming.index(place)
    return tuple(device for device in on_board if device.mig is not None and device.mig.place == at)


def _board_named(entry: str) -> str | int | None:
    """Which board an entry says it is of, as far as that can be told without a driver; None where it says none."""
    index = naming.index(entry.partition(":")[0].strip())
    if index is not None:
        return index
    return naming.board_named(entry) if naming.is_uuid(entry) else None
