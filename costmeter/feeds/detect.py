"""On which cloud, instance and region this machine is, and whether as spot: from its firmware, then its metadata.

The metadata service is asked in plain HTTP on the link-local address, without a proxy and once, half a second in all.
Tokens and account ids are neither kept nor told. Requests and answers are those of the clouds' own documentation.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from costmeter.config.textfile import content
from costmeter.feeds.http import Door, FeedError, FeedLate, Limits
from costmeter.feeds.payload import Payload

SYSFS_VARIABLE = "COSTMETER_SYSFS"
METADATA_VARIABLE = "COSTMETER_METADATA_URL"
METADATA_URL = "http://169.254.169.254"
SECONDS = 0.5
#: A service has so much less than all, so that what it did say is still waited for.
_ASKING_SECONDS = SECONDS - 0.05
_MAX_BYTES = 65_536
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
#: What an instance, a region or a kind is written with. Anything else in an answer is not one.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found; empty where nobody said. `kind` is `on_demand` or `spot`; `how` tells each step in words."""

    provider: str = ""
    instance: str = ""
    region: str = ""
    kind: str = ""
    how: tuple[str, ...] = ()

    @property
    def catalog_key(self) -> str:
        """The key of the catalogue; empty unless provider, instance and region are known."""
        parts = [self.provider, self.instance, self.region]
        return "/".join([*parts, *filter(None, [self.kind])]) if all(parts) else ""

    @property
    def zone(self) -> str:
        """The cloud region as a carbon zone; empty unless both are known."""
        return f"{self.provider}/{self.region}" if self.provider and self.region else ""


def detect(environ: Mapping[str, str]) -> Detected:
    """What the firmware says, what the environment of a GPU cloud says, then the metadata service. Never raises."""
    firmware = _firmware(environ.get(SYSFS_VARIABLE) or "/sys")
    rented = _environment(environ)
    if rented.provider:
        return replace(rented, how=(*firmware.how, *rented.how))
    asked = [firmware.provider] if firmware.provider else list(_SERVICES)
    base = (environ.get(METADATA_VARIABLE) or METADATA_URL).rstrip("/")
    found = _asked(base, asked)
    provider = found.provider or firmware.provider
    return replace(found, provider=provider, how=(*firmware.how, *found.how, *rented.how))


def _firmware(sysfs: str) -> Detected:
    """The cloud by the DMI table, which every user may read."""
    folder = os.path.join(sysfs, "class/dmi/id")
    vendor, product, tag = (_line(os.path.join(folder, name)) for name in _DMI_FILES)
    if not (vendor or product or tag):
        return Detected(how=("firmware: no DMI table to read",))
    if "Amazon EC2" in (vendor, product):
        provider = "aws"
    elif product == "Google Compute Engine":
        provider = "gcp"
    elif vendor == "Microsoft Corporation" and tag == _AZURE_TAG:
        provider = "azure"
    elif tag == "OracleCloud.com":
        provider = "oci"
    else:
        return Detected(how=(f"firmware: {vendor or product or tag}, no cloud that is known here",))
    return Detected(provider, how=(f"firmware: {provider}",))


_DMI_FILES = ("sys_vendor", "product_name", "chassis_asset_tag")


def _line(path: str) -> str:
    """The text of a file that may be anything, for the folder can be named: a pipe is not waited for."""
    try:
        words = content(path, _MAX_BYTES)[:200].decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return ""
    return "".join(character for character in words if character.isprintable())


def _environment(environ: Mapping[str, str]) -> Detected:
    """GPU clouds that say who they are in the environment; a Slurm job is told, for its prices are the site's own."""
    if environ.get("RUNPOD_POD_ID"):
        return Detected("runpod", region=_named(environ.get("RUNPOD_DC_ID", "")), how=("environment: RUNPOD_POD_ID",))
    if environ.get("VAST_CONTAINERLABEL"):
        return Detected("vast", how=("environment: VAST_CONTAINERLABEL; the price is that of your own offer",))
    if environ.get("SLURM_JOB_ID"):
        partition = _named(environ.get("SLURM_JOB_PARTITION", "")) or "unknown"
        return Detected(how=(f"environment: a Slurm job, partition {partition}; ask the site for its price",))
    return Detected()


def _asked(base: str, providers: list[str]) -> Detected:
    """The first cloud whose metadata service answers as itself; all are asked at once, for there is one address."""
    done = threading.Semaphore(0)
    found: dict[str, Detected] = {}
    refusals: dict[str, FeedError] = {}

    def ask(provider: str) -> None:
        try:
            found[provider] = _SERVICES[provider](_Service(base))
        except FeedError as refusal:
            refusals[provider] = refusal
        finally:
            done.release()

    for provider in providers:
        threading.Thread(target=ask, args=(provider,), name="ask", daemon=True).start()
    for _ in providers:
        done.acquire(timeout=SECONDS)
        if found:
            break
    for detected in list(found.values()):
        return detected
    who = providers[0] if len(providers) == 1 else "any cloud"
    if len(refusals) < len(providers) or any(isinstance(refusal, FeedLate) for refusal in refusals.values()):
        told = f"no answer within {SECONDS} s"
    else:
        told = refusals[providers[0]].message if len(providers) == 1 else "none that is known here"
    return Detected(how=(f"metadata service of {who}: {told}",))


class _Service:
    """The metadata service, asked under one deadline."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._door = Door(Limits(_ASKING_SECONDS, _ASKING_SECONDS, _MAX_BYTES), proxied=False)

    def text(self, path: str, headers: Mapping[str, str]) -> str:
        """A short answer, on one line."""
        return self._door.get(self._base + path, headers).body.decode("utf-8", "replace").strip()

    def json(self, provider: str, path: str, headers: Mapping[str, str], proof: tuple[str, str] = ("", "")) -> Payload:
        """A JSON answer. `proof` is a header, in lower case, that the answer must carry."""
        reply = self._door.get(self._base + path, headers)
        if proof[0] and reply.headers.get(proof[0]) != proof[1]:
            raise FeedError(f"not the metadata service of {provider}: its answer lacks {proof[0]}")
        return Payload.parse(provider, reply.body)

    def texts(self, paths: Sequence[str], headers: Mapping[str, str]) -> list[str]:
        """Short answers, all asked for at once; empty where none came. Raises FeedError when none came at all."""
        found = [""] * len(paths)
        refusals: list[FeedError] = []

        def ask(position: int, path: str) -> None:
            try:
                found[position] = self.text(path, headers)
            except FeedError as refusal:
                refusals.append(refusal)

        threads = [threading.Thread(target=ask, args=one, name="ask", daemon=True) for one in enumerate(paths)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # every request ends with the door's own time
        if len(refusals) == len(paths):
            raise refusals[0]
        return found

    def token(self) -> str:
        """A session token of AWS, for a minute."""
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        return self._door.put(f"{self._base}/latest/api/token", lifetime).body.decode("ascii", "replace").strip()


def _aws(service: _Service) -> Detected:
    session = {"X-aws-ec2-metadata-token": service.token()}
    paths = [f"/latest/meta-data/{name}" for name in ("instance-type", "placement/region", "instance-life-cycle")]
    instance, region, life = map(_named, service.texts(paths, session))
    kind = {"on-demand": "on_demand", "spot": "spot"}.get(life, "")
    said = f"instance {instance or '?'}, region {region or '?'}, {life or 'life cycle not said'}"
    return _if_any(Detected("aws", instance, region, kind, (f"metadata service of aws: {said}",)))


def _gcp(service: _Service) -> Detected:
    google = {"Metadata-Flavor": "Google"}
    path = "/computeMetadata/v1/instance/?recursive=true"
    answer = service.json("gcp", path, google, ("metadata-flavor", "Google"))
    instance = _named(_text(answer, "machineType").rpartition("/")[2])
    region = _named(_text(answer, "zone").rpartition("/")[2].rpartition("-")[0])
    is_spot = _text(_object(answer, "scheduling"), "preemptible") == "TRUE"
    kind = "spot" if is_spot else "on_demand"
    said = (
        f"instance {instance or '?'}, region {region or '?'}, {'spot or preemptible' if is_spot else 'not preemptible'}"
    )
    return _if_any(Detected("gcp", instance, region, kind, (f"metadata service of gcp: {said}",)))


def _azure(service: _Service) -> Detected:
    answer = service.json("azure", "/metadata/instance?api-version=2021-02-01", {"Metadata": "true"})
    compute = answer.at("compute")
    instance, region = _named(_text(compute, "vmSize")), _named(_text(compute, "location"))
    kind = "spot" if _text(compute, "priority") in ("Spot", "Low") else "on_demand"
    said = f"instance {instance or '?'}, region {region or '?'}, {kind}"
    return _if_any(Detected("azure", instance, region, kind, (f"metadata service of azure: {said}",)))


def _oci(service: _Service) -> Detected:
    answer = service.json("oci", "/opc/v2/instance/", {"Authorization": "Bearer Oracle"})
    instance = _named(_text(answer, "shape"))
    region = _named(_text(answer, "canonicalRegionName") or _text(answer, "region"))
    said = f"instance {instance or '?'}, region {region or '?'}; whether preemptible is not said"
    return _if_any(Detected("oci", instance, region, "", (f"metadata service of oci: {said}",)))


_SERVICES: dict[str, Callable[[_Service], Detected]] = {"aws": _aws, "gcp": _gcp, "azure": _azure, "oci": _oci}


def _if_any(detected: Detected) -> Detected:
    if not detected.instance and not detected.region:
        raise FeedError(f"the answer of the metadata service names no instance of {detected.provider}")
    return detected


def _named(text: str) -> str:
    """The text where it can be a name, else nothing."""
    return text if _NAME.fullmatch(text) else ""


def _text(payload: Payload, key: str) -> str:
    value = payload.optional(key).value
    return value if isinstance(value, str) else ""


def _object(payload: Payload, key: str) -> Payload:
    inner = payload.optional(key)
    return inner if isinstance(inner.value, dict) else replace(inner, value={})
