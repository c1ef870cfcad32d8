"""Where a machine is: firmware from a folder, metadata from fake services on loopback."""

import json
import os
import threading
from pathlib import Path

import pytest

from costmeter.feeds.detect import Detected, detect
from tests.feeds.servers import Request, Said, Script, serving

ACCOUNT, TOKEN = "123456789012", "AQAEAsecretTOKEN"


def firmware(folder: Path, vendor: str, product: str = "", tag: str = "") -> Path:
    """A /sys with a DMI table."""
    table = folder / "sys" / "class" / "dmi" / "id"
    table.mkdir(parents=True)
    for name, value in (("sys_vendor", vendor), ("product_name", product), ("chassis_asset_tag", tag)):
        (table / name).write_text(f"{value}\n")
    return folder / "sys"


def aws(life: str) -> Script:
    """IMDSv2: without the token of a PUT everything is refused."""

    def script(request: Request) -> Said:
        if request.path == "/latest/api/token":
            put = request.method == "PUT" and "x-aws-ec2-metadata-token-ttl-seconds" in request.headers
            return Said(TOKEN) if put else Said(status=405)
        if request.headers.get("x-aws-ec2-metadata-token") != TOKEN:
            return Said(f"account {ACCOUNT}", 401)
        known = {"instance-type": "p5.48xlarge", "placement/region": "us-east-1", "instance-life-cycle": life}
        text = known.get(request.path.removeprefix("/latest/meta-data/"))
        return Said(status=404) if text is None else Said(text)

    return script


def gcp(preemptible: str, flavor: str = "Google") -> Script:
    """The metadata server, which shows who it is in a header."""

    def script(request: Request) -> Said:
        if not request.path.startswith("/computeMetadata/v1/") or request.headers.get("metadata-flavor") != "Google":
            return Said(status=403)
        body = {
            "machineType": f"projects/{ACCOUNT}/machineTypes/a3-highgpu-8g",
            "zone": f"projects/{ACCOUNT}/zones/us-central1-a",
            "scheduling": {"preemptible": preemptible},
        }
        return Said(json.dumps(body), headers={"Metadata-Flavor": flavor})

    return script


def azure(priority: str) -> Script:
    def script(request: Request) -> Said:
        if not request.path.startswith("/metadata/instance") or request.headers.get("metadata") != "true":
            return Said(status=400)
        compute = {"vmSize": "Standard_ND96isr_H100_v5", "location": "eastus", "priority": priority, "vmId": ACCOUNT}
        return Said(json.dumps({"compute": compute}))

    return script


def oci(request: Request) -> Said:
    if not request.path.startswith("/opc/v2/") or request.headers.get("authorization") != "Bearer Oracle":
        return Said(status=404)
    return Said(json.dumps({"shape": "BM.GPU.H100.8", "region": "iad", "canonicalRegionName": "us-ashburn-1"}))


def found(script: Script, sysfs: Path, **environ: str) -> Detected:
    """What is detected where this metadata service answers; no secret in it."""
    with serving(script) as server:
        made = {"COSTMETER_METADATA_URL": server.base, "COSTMETER_SYSFS": str(sysfs), **environ}
        detected = detect(made)
    assert ACCOUNT not in repr(detected)
    assert TOKEN not in repr(detected)
    return detected


@pytest.mark.parametrize("by_firmware", [True, False], ids=["firmware-known", "firmware-hidden"])
@pytest.mark.parametrize(
    ("script", "dmi", "expected"),
    [
        pytest.param(aws("spot"), ("Amazon EC2",), ("aws", "p5.48xlarge", "us-east-1", "spot"), id="aws-spot"),
        pytest.param(aws("on-demand"), ("Amazon EC2",), ("aws", "p5.48xlarge", "us-east-1", "on_demand"), id="aws"),
        pytest.param(aws("capacity-block"), ("Amazon EC2",), ("aws", "p5.48xlarge", "us-east-1", ""), id="aws-block"),
        pytest.param(
            gcp("TRUE"),
            ("Google", "Google Compute Engine"),
            ("gcp", "a3-highgpu-8g", "us-central1", "spot"),
            id="gcp-spot",
        ),
        pytest.param(
            gcp("FALSE"),
            ("Google", "Google Compute Engine"),
            ("gcp", "a3-highgpu-8g", "us-central1", "on_demand"),
            id="gcp",
        ),
        pytest.param(
            azure("Spot"),
            ("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77"),
            ("azure", "Standard_ND96isr_H100_v5", "eastus", "spot"),
            id="azure-spot",
        ),
        pytest.param(
            azure(""),
            ("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77"),
            ("azure", "Standard_ND96isr_H100_v5", "eastus", "on_demand"),
            id="azure",
        ),
        pytest.param(
            oci, ("QEMU", "Standard PC", "OracleCloud.com"), ("oci", "BM.GPU.H100.8", "us-ashburn-1", ""), id="oci"
        ),
    ],
)
def test_each_cloud_is_found(
    script: Script, dmi: tuple[str, ...], expected: tuple[str, ...], by_firmware: bool, tmp_path: Path
) -> None:
    """Provider, instance, region and kind, both where the firmware names the cloud and where it is hidden."""
    sysfs = firmware(tmp_path, *dmi) if by_firmware else tmp_path
    detected = found(script, sysfs)
    assert expected == (detected.provider, detected.instance, detected.region, detected.kind)


def test_only_the_cloud_that_the_firmware_names_is_asked(tmp_path: Path) -> None:
    """On Azure nobody asks for AWS's token."""
    sysfs = firmware(tmp_path, "Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77")
    with serving(azure("")) as server:
        detect({"COSTMETER_METADATA_URL": server.base, "COSTMETER_SYSFS": str(sysfs)})
    assert ["/metadata/instance?api-version=2021-02-01"] == [request.path for request in server.requests]


def test_a_service_that_is_silent_is_given_up_on(tmp_path: Path) -> None:
    """The provider is known by the firmware; the rest is not, and it is said why."""
    detected = found(lambda request: None, firmware(tmp_path, "Amazon EC2"))
    assert ("aws", "", "") == (detected.provider, detected.instance, detected.catalog_key)
    assert any("no answer within 0.5 s" in step for step in detected.how)


def test_aws_is_asked_for_everything_at_once(tmp_path: Path) -> None:
    """Half a second has no room for one answer after another: each waits here until all three are asked for."""
    together = threading.Barrier(3)

    def script(request: Request) -> Said | None:
        if request.path.startswith("/latest/meta-data/"):
            together.wait(timeout=30)
        return answer(request)

    answer = aws("spot")
    detected = found(script, firmware(tmp_path, "Amazon EC2"))
    assert ("p5.48xlarge", "us-east-1", "spot") == (detected.instance, detected.region, detected.kind)


@pytest.mark.parametrize("missing", ["placement/region", "instance-life-cycle", "instance-type"])
@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "refused"])
def test_what_aws_did_say_is_kept(missing: str, is_silent: bool, tmp_path: Path) -> None:
    """One question that is refused or never answered costs that one answer only."""

    def script(request: Request) -> Said | None:
        if request.path.endswith(missing):
            return None if is_silent else Said(status=404)
        return aws("spot")(request)

    detected = found(script, firmware(tmp_path, "Amazon EC2"))
    known = {
        "instance-type": detected.instance,
        "placement/region": detected.region,
        "instance-life-cycle": detected.kind,
    }
    expected = {"instance-type": "p5.48xlarge", "placement/region": "us-east-1", "instance-life-cycle": "spot"}
    assert expected | {missing: ""} == known


def test_firmware_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A folder that somebody named may hold anything: a pipe says nothing."""
    sysfs = firmware(tmp_path, "Amazon EC2")
    vendor = sysfs / "class/dmi/id/sys_vendor"
    vendor.unlink()
    os.mkfifo(vendor)
    detected = found(lambda request: Said(status=404), sysfs)
    assert "" == detected.provider


def test_somebody_else_s_answer_is_not_google_s(tmp_path: Path) -> None:
    """Without the header that proves it, an answer is not believed."""
    detected = found(gcp("TRUE", flavor="Vanilla"), firmware(tmp_path, "Google", "Google Compute Engine"))
    assert ("gcp", "") == (detected.provider, detected.instance)
    assert any("lacks metadata-flavor" in step for step in detected.how)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"compute": []}',
        '{"compute": {"vmSize": "a b; rm"}}',
        '{"compute": {"location": 7}}',
        "\xff",
    ],
)
def test_nonsense_names_no_instance(body: str, tmp_path: Path) -> None:
    """An answer that is no instance leaves the provider of the firmware, and no name that could not be one."""
    sysfs = firmware(tmp_path, "Microsoft Corporation", "VM", "7783-7084-3265-9085-8269-3286-77")
    detected = found(lambda request: Said(body), sysfs)
    assert ("azure", "", "", "") == (detected.provider, detected.instance, detected.region, detected.kind)


@pytest.mark.parametrize(
    ("environ", "provider", "said"),
    [
        pytest.param({"RUNPOD_POD_ID": "x", "RUNPOD_DC_ID": "US-KS-2"}, "runpod", "RUNPOD_POD_ID", id="runpod"),
        pytest.param({"VAST_CONTAINERLABEL": "C.1"}, "vast", "VAST_CONTAINERLABEL", id="vast"),
    ],
)
def test_gpu_clouds_say_so_in_the_environment(
    environ: dict[str, str], provider: str, said: str, tmp_path: Path
) -> None:
    """These have no metadata service, and none is asked."""
    with serving(oci) as server:
        made = {"COSTMETER_METADATA_URL": server.base, "COSTMETER_SYSFS": str(tmp_path), **environ}
        detected = detect(made)
    assert provider == detected.provider
    assert any(said in step for step in detected.how)
    assert not server.requests


def test_a_slurm_job_is_told(tmp_path: Path) -> None:
    """A cluster's price is its own: the partition is named, nothing is made up."""
    detected = found(lambda request: Said(status=404), tmp_path, SLURM_JOB_ID="7", SLURM_JOB_PARTITION="gpu-h100")
    assert "" == detected.provider
    assert any("partition gpu-h100" in step for step in detected.how)


def test_no_proxy_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata service is asked directly, whatever proxy the environment names."""
    with serving(lambda request: Said(status=404)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base)
        detected = found(aws("spot"), firmware(tmp_path, "Amazon EC2"))
    assert "p5.48xlarge" == detected.instance
    assert not proxy.requests


def test_what_a_key_is_made_of() -> None:
    """A catalogue key needs provider, instance and region; a carbon zone provider and region."""
    whole = Detected("aws", "p5.48xlarge", "us-east-1", "spot")
    assert ("aws/p5.48xlarge/us-east-1/spot", "aws/us-east-1") == (whole.catalog_key, whole.zone)
    assert ("", "aws/us-east-1") == (
        Detected("aws", "", "us-east-1").catalog_key,
        Detected("aws", "", "us-east-1").zone,
    )
