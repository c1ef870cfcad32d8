"""Containers by control group, in the forms that the engines' own documentation gives."""

import pytest

from costmeter.attribution.container import container_of, is_of_a_pod, run_id

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
POD = "kubepods-besteffort-pod2f1e9a34_5c0b_4f8e_9d6a_0f8f3c1b7a55.slice"


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        pytest.param(ID, f"/docker/{ID}", id="docker-cgroupfs"),
        pytest.param(ID, f"/system.slice/docker-{ID}.scope", id="docker-systemd"),
        pytest.param(ID, f"/kubepods/besteffort/pod2f1e9a34-5c0b-4f8e-9d6a-0f8f3c1b7a55/{ID}", id="pod-cgroupfs"),
        pytest.param(ID, f"/kubepods.slice/{POD}/cri-containerd-{ID}.scope", id="pod-containerd"),
        pytest.param(ID, f"/kubepods.slice/{POD}/crio-{ID}.scope", id="pod-crio"),
        pytest.param(ID, f"/machine.slice/libpod-{ID}.scope/container", id="podman"),
        pytest.param(ID, f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", id="rootless"),
        pytest.param(OTHER, f"/docker/{ID}/docker/{OTHER}", id="the-innermost"),
        pytest.param(ID, f"/docker/{ID}/system.slice/cron.service", id="a-service-in-a-container"),
        pytest.param("", f"/machine.slice/libpod-conmon-{ID}.scope", id="its-monitor"),
        pytest.param("", f"/docker/{ID[:12]}", id="too-short"),
        pytest.param("", f"/docker/{ID}0", id="too-long"),
        pytest.param("", "/user.slice/user-1000.slice/session-2.scope", id="a-login"),
        pytest.param("", "/", id="the-root"),
    ],
)
def test_a_control_group_names_its_container(expected: str, path: str) -> None:
    """The container's id stands in the path, in the way of its engine."""
    assert expected == container_of(["/", path])


def test_a_container_is_a_run() -> None:
    """By as many digits as `docker ps` shows."""
    assert "container-0123456789ab" == run_id(ID)


@pytest.mark.parametrize(
    ("expected", "paths"),
    [
        pytest.param(True, [f"/kubepods.slice/{POD}/crio-{ID}.scope"], id="a-pod"),
        pytest.param(True, ["/"], id="nobody-can-see"),
        pytest.param(True, ["/../.."], id="outside-of-what-we-see"),
        pytest.param(True, [], id="nothing-known"),
        pytest.param(False, ["/system.slice/cron.service"], id="a-service"),
        pytest.param(False, [f"/docker/{ID}"], id="another-engine"),
    ],
)
def test_who_is_in_no_pod_is_seen(expected: bool, paths: list[str]) -> None:
    """A process counts as one of a pod until its control groups say otherwise."""
    assert expected == is_of_a_pod(paths)
