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


HOME = "/user.slice/user-1000.slice/user@1000.service"
UID = "2f1e9a34-5c0b-4f8e-9d6a-0f8f3c1b7a55"


@pytest.mark.parametrize(
    ("expected", "paths"),
    [
        pytest.param(True, [f"/kubepods.slice/{POD}/crio-{ID}.scope"], id="systemd"),
        pytest.param(True, [f"/kubepods/besteffort/pod{UID}/{ID}"], id="cgroupfs"),
        pytest.param(True, [HOME, f"/kubepods/besteffort/pod{UID}/{ID}"], id="in-one-hierarchy-of-several"),
        pytest.param(True, [f"/../../../kubepods.slice/{POD}/crio-{ID}.scope"], id="seen-from-a-container"),
        pytest.param(True, [f"/../../{POD}/crio-{ID}.scope"], id="seen-from-another-pod"),
        pytest.param(True, [f"/../../../besteffort/pod{UID}/{ID}"], id="from-another-pod-cgroupfs"),
        pytest.param(True, [f"/../../pod{UID}/{ID}"], id="from-one-of-its-class"),
        pytest.param(True, [f"/docker/{ID}/kubelet/kubepods/besteffort/pod{UID}/{OTHER}"], id="kind-cgroupfs"),
        pytest.param(
            True,
            [f"/system.slice/docker-{ID}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-{POD}/crio-{OTHER}.scope"],
            id="kind-systemd",
        ),
        pytest.param(True, [f"/docker/{ID}/kubepods/pod{UID}/{OTHER}"], id="a-node-in-docker"),
        pytest.param(None, ["/"], id="nobody-can-see"),
        pytest.param(None, ["/../.."], id="outside-of-what-we-see"),
        pytest.param(None, [], id="nothing-known"),
        pytest.param(False, ["/system.slice/cron.service"], id="a-service"),
        pytest.param(False, [f"/docker/{ID}"], id="another-engine"),
        pytest.param(False, [f"{HOME}/kubepods"], id="made-by-a-user"),
        pytest.param(False, [f"{HOME}/kubepods.slice/{POD}/crio-{ID}.scope"], id="made-by-a-user-in-full"),
        pytest.param(False, [f"/../../..{HOME}/kubepods/besteffort/pod{UID}"], id="made-by-a-user-seen-from-a-pod"),
        pytest.param(False, [f"{HOME}/docker/{ID}/kubelet/kubepods"], id="made-by-a-user-like-kind's"),
        pytest.param(False, [f"/pod{UID}/{ID}"], id="of-no-kubelet"),
        pytest.param(False, ["/system.slice/kubepods-exporter.service"], id="a-name-like-it"),
    ],
)
def test_a_control_group_tells_who_is_in_a_pod(expected: bool | None, paths: list[str]) -> None:
    """Where kubelets keep pods, and nowhere that a user may make groups; what is not shown is not decided."""
    assert expected is is_of_a_pod(paths)
