"""A kubelet for tests: a real gRPC server on a Unix socket that answers for its pods as it is told to.

Its messages are made by hand, byte by byte, from the field numbers of the published API: so the test does not read with
the description it tests.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

#: Resource -> ids of its devices.
Devices = Mapping[str, Sequence[str]]


def text(number: int, value: str) -> bytes:
    """A field of text, as protobuf's wire format has it."""
    return message(number, value.encode())


def message(number: int, value: bytes) -> bytes:
    """A field of bytes that are a message, or text: type 2, with the length in front."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def pod(namespace: str, name: str, containers: Mapping[str, Devices], claims: Sequence[bytes] = ()) -> bytes:
    """One `PodResources`; its first container has the claims of dynamic resource allocation, too."""
    made = text(1, name) + text(2, namespace)
    for place, (container, devices) in enumerate(containers.items()):
        body = text(1, container)
        for resource, ids in devices.items():
            # A NUMA node of 1 stands in field 3, which we do not read: topology { nodes { ID: 1 } }.
            body += message(
                2, text(1, resource) + b"".join(text(2, each) for each in ids) + message(3, b"\x0a\x02\x08\x01")
            )
        body += _varint(3 << 3 | 2) + b"\x03\x00\x01\x02"  # cpu_ids 0, 1 and 2, packed
        body += b"".join(message(5, claim) for claim in (claims if place == 0 else ()))
        made += message(3, body)
    return made


def claim(device: str, cdi: str = "") -> bytes:
    """One `DynamicResource` with one device."""
    body = message(1, text(1, cdi)) if cdi else b""
    body += text(2, "gpu.nvidia.com") + text(3, "node-1") + text(4, device)
    return text(2, "train-gpu") + text(3, "ml") + message(4, body)


def _varint(number: int) -> bytes:
    made = b""
    while number > 0x7F:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


@dataclass(slots=True)
class StandIn:
    """A kubelet that runs. `pods` may change at any time; while `is_hanging` no question is answered.

    `nonsense` is said in place of the pods.
    """

    socket: str
    pods: list[bytes] = field(default_factory=list)
    asked: int = 0
    is_hanging: bool = False
    nonsense: bytes = b""
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: bytes, context: Any) -> bytes:
        """What List says."""
        self.asked += 1
        if self.is_hanging:
            self.released.wait(60)
        return self.nonsense or b"".join(message(1, each) for each in self.pods)


@contextmanager
def kubelet(socket: Path) -> Iterator[StandIn]:
    """A kubelet that listens on a socket."""
    stand_in = StandIn(str(socket))
    methods = {"List": grpc.unary_unary_rpc_method_handler(stand_in.answer)}
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1.PodResourcesLister", methods),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield stand_in
    finally:
        stand_in.released.set()
        server.stop(0).wait()
