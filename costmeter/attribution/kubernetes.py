"""Which pods hold which GPUs, from what the kubelet says of its allocations (pod-resources API, v1).

A device is named as the device plugin names it: by UUID, `GPU-…` or `MIG-…`; with `::3` behind it where one GPU is
shared out in replicas (time-slicing, MPS); by index where the plugin is told so; `nvidia0` and `nvidia0/gi1` on GKE. A
device of dynamic resource allocation counts where its name, or that of its CDI device, holds a UUID: names like `gpu-0`
are the driver's own and lead to no GPU for sure.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from costmeter.attribution import naming
from costmeter.readings import Device

_RESOURCE = re.compile(r"nvidia\.com/(?:gpu|mig-[^/]+)(?:\.shared)?")
_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBERED = re.compile(r"nvidia(?P<index>[0-9]{1,9})(?:/gi(?P<instance>[0-9]{1,9}))?(?:/vgpu[0-9]+)?")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_RUN, _TAIL = 64, 8


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod with GPUs. `containers` are those that hold them; `devices` are named as the kubelet names them."""

    namespace: str
    name: str
    containers: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


def run_id(pod: Pod) -> str:
    """The run that a pod is: `k8s-<namespace>.<pod>`, at most 64 characters.

    No namespace has a point in it, so that two pods never have one name; a hyphen they may have.
    """
    whole = _UNFIT.sub("-", f"k8s-{pod.namespace}.{pod.name}")
    if len(whole) <= _LONGEST_RUN:
        return whole
    digest = hashlib.sha256(f"{pod.namespace}/{pod.name}".encode()).hexdigest()
    return f"{whole[: _LONGEST_RUN - _TAIL - 1]}-{digest[:_TAIL]}"


def is_gpu(resource: str) -> bool:
    """Whether a resource of a device plugin is a GPU of NVIDIA's, or a part of one."""
    return _RESOURCE.fullmatch(resource) is not None


def uuids_in(*names: str) -> tuple[str, ...]:
    """The UUIDs of GPUs that names hold, each once."""
    return tuple(dict.fromkeys(found for name in names for found in _UUID.findall(name)))


def devices_of(devices: Sequence[Device], named: Iterable[str]) -> frozenset[str]:
    """The UUIDs of the devices that these names lead to; one that leads to none is passed over."""
    return frozenset(device.uuid for name in named for device in _of(devices, name.partition("::")[0]))


def _of(devices: Sequence[Device], name: str) -> tuple[Device, ...]:
    match = _NUMBERED.fullmatch(name)
    index = naming.index(name) if match is None else int(match["index"])
    if index is None:
        return naming.by_uuid(devices, name)
    on_board = tuple(device for device in devices if device.index == index)
    if match is None or match["instance"] is None:
        return on_board
    instance = int(match["instance"])
    return tuple(device for device in on_board if device.mig is not None and device.mig.gpu_instance == instance)
