"""Asking a kubelet: a real gRPC server on a Unix socket that answers, hangs, dies and comes back."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmeter.attribution.kubelet import Kubelet, listed
from costmeter.attribution.kubernetes import Pod
from costmeter.clock import ManualClock
from costmeter.readings import Missing
from costmeter.units import NANOSECONDS_PER_SECOND
from tests.end_to_end.installed import eventually, own_home

grpc = pytest.importorskip("grpc", reason="the extra `kubernetes` is not installed")

from tests.attribution.kubelets import claim, kubelet, pod  # noqa: E402  # they need grpc

UUID = "GPU-8f2c1d90-3e5a-4b17-9c2e-5da9abb51763"
TRAIN = pod("ml", "train-0", {"main": {"nvidia.com/gpu": [UUID, "GPU-b"]}, "side": {"cpu": ["1"]}})
SECOND = NANOSECONDS_PER_SECOND


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where the kubelet is to listen: a short path."""
    with own_home() as places:
        yield Path(places["HOME"], "kubelet.sock")


class Clock(ManualClock):
    """Time that stands still until it is moved, and a real wait between questions, however short."""

    def wait(self, event: threading.Event, until_boottime_ns: int) -> bool:
        return event.wait(0.02)


@pytest.mark.parametrize(
    ("expected", "pods"),
    [
        pytest.param((Pod("ml", "train-0", ("main",), (UUID, "GPU-b")),), [TRAIN], id="a-pod"),
        pytest.param((), [], id="none"),
        pytest.param((), [pod("ml", "web", {"main": {"cpu": ["0"]}}), pod("ml", "empty", {})], id="without-a-gpu"),
        pytest.param(
            (Pod("a", "x", ("c", "d"), ("MIG-1", "MIG-2")), Pod("b", "x", ("c",), ("GPU-1::0",))),
            [
                pod("b", "x", {"c": {"nvidia.com/gpu.shared": ["GPU-1::0"]}}),
                pod("a", "x", {"d": {"nvidia.com/mig-1g.5gb": ["MIG-2"]}, "c": {"nvidia.com/mig-2g.10gb": ["MIG-1"]}}),
            ],
            id="in-order",
        ),
        pytest.param(
            (Pod("ml", "dra", ("main",), (UUID,)),),
            [pod("ml", "dra", {"main": {}}, [claim("gpu-0", f"k8s.gpu.nvidia.com/device={UUID}"), claim("gpu-1")])],
            id="dynamic-allocation",
        ),
    ],
)
def test_the_kubelet_is_asked_for_its_pods(expected: tuple[Pod, ...], pods: list[bytes], socket: Path) -> None:
    """What the API says of the GPUs of pods is read off the wire, whatever else stands there."""
    with kubelet(socket) as stand_in:
        stand_in.pods = pods
        assert expected == listed(str(socket))


def test_a_question_leaves_nothing_behind(socket: Path) -> None:
    """A month of questions opens no more files than one."""
    with kubelet(socket) as stand_in:
        stand_in.pods = [TRAIN]
        listed(str(socket))
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            listed(str(socket))
        few = eventually(lambda: [n for n in (len(os.listdir("/proc/self/fd")),) if n <= before + 2], "closed ones")
        assert few[0] <= before + 2
        assert ["train-0"] == [each.name for each in listed(str(socket))]


def test_an_answer_is_kept_for_a_minute(socket: Path) -> None:
    """A kubelet that dies keeps its pods for 60 s, then they are gone; it comes back, and so do they."""
    clock, changes = Clock(0), threading.Semaphore(0)
    asking = Kubelet(str(socket), clock, changes.release)
    assert isinstance(asking.pods(), Missing)
    with kubelet(socket) as stand_in:
        stand_in.pods = [TRAIN]
        asking.start()
        assert changes.acquire(timeout=60)
        told = asking.pods()
    try:
        assert isinstance(told, tuple)
        eventually(lambda: asking.failing or None, "a question without an answer")
        clock.advance(59 * SECOND)
        assert told == asking.pods()

        clock.advance(1 * SECOND)
        gone = asking.pods()
        assert isinstance(gone, Missing)
        assert gone.reason.startswith("the kubelet does not answer: ")
        with kubelet(socket) as stand_in:
            stand_in.pods = [TRAIN]
            eventually(lambda: asking.pods() == told or None, "the kubelet that came back")
            assert not asking.failing
    finally:
        asking.end()


def test_a_change_is_told(socket: Path) -> None:
    """`changed` is called when a pod comes or goes, and not when nothing does."""
    changes: list[int] = []
    with kubelet(socket) as stand_in:
        asking = Kubelet(str(socket), Clock(0), lambda: changes.append(stand_in.asked))
        asking.start()
        eventually(lambda: stand_in.asked >= 5 or None, "five questions")
        assert 1 == len(changes)  # from "not asked yet" to no pod
        stand_in.pods = [TRAIN]
        eventually(lambda: len(changes) == 2 or None, "the pod that came")
        stand_in.pods = []
        eventually(lambda: len(changes) == 3 or None, "the pod that went")
        asking.end()


def test_a_kubelet_that_hangs_is_given_up_in_time(socket: Path) -> None:
    """A question has a deadline, by which it fails."""
    with kubelet(socket) as stand_in:
        stand_in.is_hanging = True
        with pytest.raises(grpc.RpcError) as refusal:
            listed(str(socket), seconds=0.2)

    assert grpc.StatusCode.DEADLINE_EXCEEDED == refusal.value.code()


@pytest.mark.parametrize(
    "nonsense", [pytest.param(b"\xff" * 100, id="garbage"), pytest.param(b"\x0a\x03\x0a\x01\xff", id="no-utf-8")]
)
def test_what_is_no_answer_is_a_failure(nonsense: bytes, socket: Path) -> None:
    """Bytes that are no message of the API raise, and are asked for again."""
    with kubelet(socket) as stand_in:
        stand_in.nonsense = nonsense
        with pytest.raises(grpc.RpcError):
            listed(str(socket))


def test_without_the_extra_a_person_is_told_what_to_install(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a kubelet and no grpc, the reason says what brings it."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    asking = Kubelet(str(socket), Clock(0), lambda: None)
    asking.start()
    eventually(lambda: asking.failing or None, "a question")
    asking.end()

    assert "the kubelet cannot be asked without grpc: pip install 'costmeter[kubernetes]'" == asking.failing
