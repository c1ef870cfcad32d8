"""The GPUs that Slurm says it gave to a job on this node, as the job's own environment has them.

SLURM_STEP_GPUS, or SLURM_JOB_GPUS outside a step, has the node's own numbers of GPUs, which are those of the driver as
long as it shows them all. Where Slurm keeps a job from the others (ConstrainDevices in cgroup.conf), the driver shows
only the job's own, counted from 0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from costmeter.readings import Device

STEP_VARIABLE, JOB_VARIABLE = "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"
#: Both are lists like `0,1,5`; as Slurm writes lists, `4-7` may be among them.
_ENTRY = re.compile(r"(?P<first>[0-9]{1,4})(?:-(?P<last>[0-9]{1,4}))?")
#: `8(x2),1` has eight tasks on each of two nodes, and one on the third.
_TASKS = re.compile(r"(?P<tasks>[0-9]{1,6})(?:\(x(?P<nodes>[0-9]{1,6})\))?")


@dataclass(frozen=True, slots=True)
class Allocation:
    """GPUs by number, and the variable that has them.

    `is_of_many`: it is of a step with several tasks here, each of which may see a part of it in CUDA's variable. Only
    one of them meters, for them all.
    """

    variable: str
    indices: tuple[int, ...]
    is_of_many: bool = False


def allocated(environ: Mapping[str, str]) -> Allocation | None:
    """What Slurm says; None where it says nothing that can be understood."""
    is_step = bool(environ.get("SLURM_STEP_ID"))
    for variable in (STEP_VARIABLE, JOB_VARIABLE):
        indices = _indices(environ.get(variable, ""))
        if indices:
            return Allocation(variable, indices, is_step and variable == STEP_VARIABLE and _local_tasks(environ) > 1)
    return None


def devices_of(devices: Sequence[Device], allocation: Allocation) -> tuple[Device, ...]:
    """The devices of the GPUs with these numbers; all, where no more are shown than were given, or none has a number
    that was given.
    """
    numbered = tuple(device for device in devices if device.index in allocation.indices)
    return tuple(devices) if _shows_own_alone(devices, allocation) or not numbered else numbered


def doubts(devices: Sequence[Device], allocation: Allocation) -> list[str]:
    """Where the run may hold others than `devices_of` says: a sentence, to be told."""
    shown = {device.index for device in devices}
    given = ",".join(map(str, allocation.indices))
    if not shown or (_shows_own_alone(devices, allocation) and len(shown) == len(allocation.indices)):
        return []
    if len(shown) < len(allocation.indices):
        return [f"{allocation.variable}={given}, but the driver shows {len(shown)} here; only those are counted"]
    missing = [index for index in allocation.indices if index not in shown]
    if len(missing) == len(allocation.indices):
        return [f"{allocation.variable}={given}, and the driver has no such GPU; all {len(shown)} are counted"]
    return [f"{allocation.variable}: no GPU {missing[0]} on this node; see: nvidia-smi -L"] if missing else []


def _shows_own_alone(devices: Sequence[Device], allocation: Allocation) -> bool:
    return len({device.board for device in devices}) <= len(allocation.indices)


def _indices(text: str) -> tuple[int, ...]:
    """The numbers of a list, each once; none where any entry cannot be understood."""
    indices: dict[int, None] = {}
    for entry in text.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            return ()
        first = int(match["first"])
        indices |= dict.fromkeys(range(first, int(match["last"] or first) + 1))
    return tuple(indices)


def _local_tasks(environ: Mapping[str, str]) -> int:
    """How many tasks of this step run on this node; 1 where that is not said."""
    listed = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE", "")
    node = environ.get("SLURM_NODEID", "0")
    left = int(node) if node.isascii() and node.isdecimal() and len(node) < 7 else 0
    for entry in listed.split(","):
        match = _TASKS.fullmatch(entry.strip())
        if match is None:
            return 1
        nodes = int(match["nodes"] or 1)
        if left < nodes:
            return int(match["tasks"])
        left -= nodes
    return 1
