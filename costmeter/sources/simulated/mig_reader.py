"""Reads the `mig` block of a device: which instances its board is divided into, in the driver's order."""

import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from costmeter.sources.simulated import loads
from costmeter.sources.simulated.codes import MIG_CAPABLE_FROM
from costmeter.sources.simulated.fields import Field
from costmeter.sources.simulated.scenario import Gpu, Instance, Load, Process

#: `3g.40gb`, or `1c.3g.40gb` for a compute instance that has one of the three slices.
_PROFILE = re.compile(r"(?:(?P<compute>[1-9])c\.)?(?P<gpu>[1-9])g\.(?P<memory>[0-9]{1,4})gb(?:\+[a-z.]+)?")
_GIGABYTE = 10**9
_MOST_SLICES = 16

ReadLoad = Callable[[Field], Load]
ReadProcess = Callable[[Field], Process]


@dataclass(frozen=True, slots=True)
class _Profile:
    """What a profile's name says."""

    name: str
    gpu_slices: int
    compute_slices: int
    memory_bytes: int


def read_mig(entry: Field, model: Gpu, read_load: ReadLoad, read_process: ReadProcess) -> Gpu:
    """A device's model with what its entry says of MIG; the same when it says nothing."""
    slices_field, instances_field = entry.get("mig_slices"), entry.get("mig")
    if slices_field:
        model = replace(model, mig_slices=slices_field.whole(1, _MOST_SLICES))
    if instances_field is None:
        return model
    if model.architecture < MIG_CAPABLE_FROM:
        instances_field.fault("boards before ampere cannot be divided")
    if model.processes:
        entry.fault("a process on a divided board is in one of its instances; move `processes` there")
    instances, processes = _instances(instances_field, read_load, read_process)
    if any(instance.load for instance in instances):
        if entry.get("load"):
            entry.fault("the load is the board's or its instances'; leave one of them out")
        instances = tuple(replace(i, load=i.load or loads.IDLE) for i in instances)
    _check_room(instances_field, instances, model)
    return replace(model, mig=instances, processes=processes)


def identified(instances: tuple[Instance, ...], seed: int, index: int) -> tuple[Instance, ...]:
    """The instances of one board, each with a UUID of its own."""
    generator = random.Random(f"{seed}/{index}/mig")
    generated = [uuid.UUID(int=generator.getrandbits(128), version=4) for _ in instances]
    return tuple(replace(i, uuid=i.uuid or f"MIG-{own}") for i, own in zip(instances, generated, strict=True))


def _instances(
    entries: Field, read_load: ReadLoad, read_process: ReadProcess
) -> tuple[tuple[Instance, ...], tuple[Process, ...]]:
    instances: list[Instance] = []
    processes: list[Process] = []
    for entry in entries.items():
        load, uuid_field, held = entry.get("load"), entry.get("uuid"), entry.get("processes")
        gpu_instance, compute_instance, profile = _placed(instances, _profile(entry.need("profile")))
        instance = Instance(
            _uuid(uuid_field) if uuid_field else "",
            len(instances),
            profile.name,
            gpu_instance,
            compute_instance,
            profile.gpu_slices,
            profile.compute_slices,
            profile.memory_bytes,
            read_load(load) if load else None,
        )
        instances.append(instance)
        for item in held.items() if held else ():
            process = read_process(item)
            processes.append(replace(process, gpu_instance=gpu_instance, compute_instance=compute_instance))
        entry.done()
    return tuple(instances), tuple(processes)


def _profile(value: Field | None) -> _Profile:
    if value is None:
        return _Profile("", 1, 1, 0)
    written = _PROFILE.fullmatch(value.text())
    if written is None:
        value.fault(f"`{value.text()}` is not a MIG profile; write it like `3g.40gb` or `1c.3g.40gb`")
        return _Profile("", 1, 1, 0)
    gpu_slices = int(written["gpu"])
    compute_slices = int(written["compute"] or gpu_slices)
    if compute_slices > gpu_slices:
        value.fault(f"{compute_slices} compute slices do not fit in {gpu_slices}")
    return _Profile(written[0], gpu_slices, compute_slices, int(written["memory"]) * _GIGABYTE)


def _uuid(value: Field) -> str:
    if not value.text().startswith("MIG-"):
        value.fault(f"`{value.text()}` does not begin with `MIG-`, as the uuid of an instance does")
    return value.text()


def _placed(before: list[Instance], profile: _Profile) -> tuple[int, int, _Profile]:
    """The two ids of the next instance: it joins the GPU instance before it when that is shared and has room."""
    if not before:
        return 1, 0, profile
    last = before[-1]
    together = [i for i in before if i.gpu_instance == last.gpu_instance]
    taken = sum(i.compute_slices for i in together)
    same = last.profile.partition(".")[2] == profile.name.partition(".")[2]  # `3g.40gb` of `1c.3g.40gb`
    if same and taken + profile.compute_slices <= last.gpu_slices:
        return last.gpu_instance, len(together), profile
    return last.gpu_instance + 1, 0, profile


def _check_room(entries: Field, instances: tuple[Instance, ...], model: Gpu) -> None:
    whole = {instance.gpu_instance: instance for instance in instances}.values()
    slices, memory_bytes = sum(i.gpu_slices for i in whole), sum(i.memory_bytes for i in whole)
    if slices > model.mig_slices:
        entries.fault(f"instances of {slices} slices do not fit in {model.mig_slices}; see `mig_slices`")
    if memory_bytes > model.memory_bytes:
        entries.fault(f"instances of {memory_bytes // _GIGABYTE} GB are more than the board's memory")
