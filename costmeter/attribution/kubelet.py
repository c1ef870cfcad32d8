"""Asks the kubelet of this node which pod was given which GPU: its pod-resources API, v1, gRPC on a Unix socket.

The messages are described here by the numbers of their fields, of which only those that matter are named; others are
passed over when read. Numbers: k8s.io/kubelet/pkg/apis/podresources/v1/api.proto, and the Kubernetes documentation,
"Device Plugins: Monitoring device plugin resources". Field 2 of `DynamicResource` is the claim's name; its field 1, the
class, went away with Kubernetes 1.31.

grpc and protobuf come with `pip install costmeter[kubernetes]`, and are loaded only where there is a socket to ask.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from costmeter.attribution.kubernetes import Pod, is_gpu, uuids_in
from costmeter.clock import Clock
from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_SECOND

#: Where kubelets listen.
DEFAULT_SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock"
METHOD = "/v1.PodResourcesLister/List"
_EVERY_NS, _DEADLINE_SECONDS = 10 * NANOSECONDS_PER_SECOND, 2.0
#: A kubelet that restarts is silent for some seconds, in which its pods go on.
_KEPT_NS = 60 * NANOSECONDS_PER_SECOND
#: What kubectl's and other clients of this API take at most.
_MOST_BYTES = 16 * 2**20
#: Message -> its fields that matter: number, whether repeated, and the message they are of (empty: text).
_MESSAGES: dict[str, dict[str, tuple[int, bool, str]]] = {
    "ListPodResourcesRequest": {},
    "ListPodResourcesResponse": {"pod_resources": (1, True, "PodResources")},
    "PodResources": {
        "name": (1, False, ""),
        "namespace": (2, False, ""),
        "containers": (3, True, "ContainerResources"),
    },
    "ContainerResources": {
        "name": (1, False, ""),
        "devices": (2, True, "ContainerDevices"),
        "dynamic_resources": (5, True, "DynamicResource"),
    },
    "ContainerDevices": {"resource_name": (1, False, ""), "device_ids": (2, True, "")},
    "DynamicResource": {"claim_name": (2, False, ""), "claim_resources": (4, True, "ClaimResource")},
    "ClaimResource": {"cdi_devices": (1, True, "CDIDevice"), "device_name": (4, False, "")},
    "CDIDevice": {"name": (1, False, "")},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The pods with GPUs as the kubelet last told them, or why nothing holds any more; when that was."""

    pods: tuple[Pod, ...] | Missing
    at_ns: int


class Kubelet:
    """Asks every 10 s in a thread of its own, and calls `changed` when the answer is another one.

    An answer holds for a minute; `failing` is why the last question had none, empty where it had. `took_ns` is how long
    the last question took, None before the first.
    """

    def __init__(self, socket: str, clock: Clock, changed: Callable[[], None]) -> None:
        self._socket, self._clock, self._changed = socket, clock, changed
        self._answer = Answer(Missing("the kubelet was not asked yet"), clock.boottime_ns())
        self._ending = threading.Event()
        self.failing = ""
        self.took_ns: int | None = None

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._ask_for_ever, name="costmeter-kubelet", daemon=True).start()

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()

    def pods(self) -> tuple[Pod, ...] | Missing:
        """The pods with GPUs; Missing where the kubelet has not told them for a minute. Returns at once."""
        answer = self._answer
        if isinstance(answer.pods, Missing) or self._clock.boottime_ns() - answer.at_ns < _KEPT_NS:
            return answer.pods
        return Missing(self.failing or "the kubelet does not answer")

    def _ask_for_ever(self) -> None:
        while True:
            before, asked_ns = self.pods(), self._clock.boottime_ns()
            try:
                pods = listed(self._socket)
            except Exception as fault:  # a library's, a socket's, an answer nobody foresaw: ask again
                self.failing = _reason(fault)
            else:
                self.failing = ""
                self._answer = Answer(pods, self._clock.boottime_ns())
            self.took_ns = self._clock.boottime_ns() - asked_ns
            if self.pods() != before:
                self._changed()
            if self._clock.wait(self._ending, self._clock.boottime_ns() + _EVERY_NS):
                return


def listed(socket: str, seconds: float = _DEADLINE_SECONDS) -> tuple[Pod, ...]:
    """What the kubelet behind a socket says now: every pod that has a GPU, in order.

    A channel of its own for every question: one that waits out a kubelet's restart would come back minutes late. Raises
    grpc.RpcError when no answer came in time, ImportError where the libraries are missing.
    """
    import grpc

    types = message_types()
    options = [("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"unix:{socket}", options) as channel:
        ask = channel.unary_unary(
            METHOD,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=types["ListPodResourcesResponse"].FromString,
        )
        answer = ask(types["ListPodResourcesRequest"](), timeout=seconds)
    pods = (_pod(each) for each in answer.pod_resources)
    return tuple(sorted((pod for pod in pods if pod.devices), key=lambda pod: (pod.namespace, pod.name)))


@cache
def message_types() -> dict[str, Any]:
    """The classes of the messages, by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package="v1", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, repeats, of) in fields.items():
            message.field.add(
                name=field,
                number=number,
                label=kinds.LABEL_REPEATED if repeats else kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_MESSAGE if of else kinds.TYPE_STRING,
                type_name=f".v1.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _MESSAGES}


def _pod(told: Any) -> Pod:
    """A pod, with the containers that hold a GPU and the names of what they hold."""
    names = {container.name: _devices(container) for container in told.containers}
    holding = {name: devices for name, devices in names.items() if devices}
    return Pod(
        told.namespace,
        told.name,
        tuple(sorted(holding)),
        tuple(sorted({device for devices in holding.values() for device in devices})),
    )


def _devices(container: Any) -> tuple[str, ...]:
    plugged = (name for each in container.devices if is_gpu(each.resource_name) for name in each.device_ids)
    claimed = (
        uuid
        for resource in container.dynamic_resources
        for claim in resource.claim_resources
        for uuid in uuids_in(claim.device_name, *(device.name for device in claim.cdi_devices))
    )
    return (*plugged, *claimed)


def _reason(fault: Exception) -> str:
    """What to tell a person: gRPC's own words where it has any."""
    if isinstance(fault, ImportError):
        return "the kubelet cannot be asked without grpc: pip install 'costmeter[kubernetes]'"
    details = getattr(fault, "details", None)
    said = details() if callable(details) else None
    return f"the kubelet does not answer: {said or fault or type(fault).__name__}"
