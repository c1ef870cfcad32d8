"""What each kind of export has in it, held against the schemas that others publish for such files."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from costmeter import __version__
from costmeter.config.parse import parse
from costmeter.config.yamlfile import compose as composed
from costmeter.outputs.export.canonical import canonical
from costmeter.outputs.export.render import KINDS, is_program, render
from costmeter.outputs.export.wishes import Wishes

IN_EUR = Wishes(currency="EUR", price="2.10", idle_above="20", month_budget="30000")
WISHES = [pytest.param(Wishes(), id="as-it-comes"), pytest.param(IN_EUR, id="in-eur")]


def exported(kind: str, wishes: Wishes | None = None) -> dict[str, str]:
    return render(kind, wishes or Wishes(), canonical())


def written(folder: Path, texts: dict[str, str]) -> Path:
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def documents(texts: dict[str, str]) -> Iterator[Any]:
    """Every YAML and JSON document of an export."""
    for path, text in texts.items():
        if path.endswith((".yaml", ".yml", ".json")):
            yield from yaml.safe_load_all(text)


def checked(*argv: str, folder: Path | None = None) -> str:
    """What a program says of files that it finds nothing wrong with; skipped by name where it is absent."""
    program = shutil.which(argv[0], path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    if program is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, timeout=380, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_place_is_filled(kind: str, wishes: Wishes) -> None:
    """No file keeps an @PLACE@, each ends in a line's end, and what is YAML or JSON can be read."""
    texts = exported(kind, wishes)

    assert {path: found for path, text in texts.items() if (found := re.findall(r"@[A-Z_]+@", text))} == {}
    assert [path for path, text in texts.items() if not text.endswith("\n") and not path.endswith(".json")] == []
    assert all(document is not None for document in documents(texts))
    assert "\0" not in "".join(texts)


def test_every_file_is_in_some_export() -> None:
    """No file of the package is there for nothing."""
    kept = {Path(path).name for kind in KINDS for path in exported(kind)}

    assert {Path(path).name for path in canonical()} - kept == set()


def test_compose_is_of_the_specification() -> None:
    """compose.yaml, its variables and merges filled in, is read by a strict reader of the Compose specification."""
    compose_spec = pytest.importorskip("compose_spec")
    text = re.sub(r"\$\{[A-Z_]+:-([a-z]+)\}", r"\1", exported("compose")["compose.yaml"])

    read = compose_spec.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text))).to_spec()

    assert {"prometheus", "alertmanager", "grafana", "costmeter", "costmeter-mock"} == set(read.services)


def test_compose_mounts_what_is_written() -> None:
    """Every file and folder that a service mounts from beside compose.yaml, or is built from, is exported."""
    texts = exported("compose")
    services = yaml.safe_load(texts["compose.yaml"])["services"]
    sources = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    beside = {source.removeprefix("./") for source in sources if source.startswith("./")} | {"costmeter/Dockerfile"}

    assert beside
    assert [
        source for source in beside if not any(path == source or path.startswith(f"{source}/") for path in texts)
    ] == []


@pytest.mark.parametrize("profile", ["mock", "gpu"])
def test_a_profile_is_one_whole_stack(profile: str) -> None:
    """With a profile there is one agent, under the name that Prometheus scrapes; images are pinned."""
    texts = exported("compose")
    services = yaml.safe_load(texts["compose.yaml"])["services"]
    started = {name: each for name, each in services.items() if profile in each.get("profiles", [profile])}
    agents = [each for each in started.values() if "costmeter" in str(each.get("networks"))]
    targets = yaml.safe_load(texts["prometheus/targets/costmeter.yml"])[0]["targets"]

    assert len(agents) == 1
    assert ["costmeter:26786"] == targets
    assert all(re.search(r":v?\d+\.\d+\.\d+$", each["image"]) for each in started.values())
    assert all(port.startswith("127.0.0.1:") for each in started.values() for port in each["ports"])


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("kind", ["compose", "prometheus"])
def test_prometheus_takes_its_files(kind: str, wishes: Wishes, tmp_path: Path) -> None:
    """promtool finds nothing wrong with the configuration, and it loads every file of rules but the unit tests."""
    texts = exported(kind, wishes)
    folder = written(tmp_path, texts) / ("prometheus" if kind == "compose" else "")

    said = checked("promtool", "check", "config", str(folder / "prometheus.yml"))

    rules = [path for path in folder.glob("rules/*.yml") if not path.name.endswith("_test.yml")]
    assert rules
    assert f"{len(rules)} rule files found" in said


@pytest.mark.timeout(300)
def test_rules_in_another_currency_pass_their_unit_tests(tmp_path: Path) -> None:
    """Unit tests of the rules pass in another currency, texts included: of each alert one that fires."""
    folder = written(tmp_path, exported("prometheus", Wishes(currency="EUR"))) / "rules"
    (file,) = folder.glob("*_test.yml")
    whole = yaml.safe_load(file.read_text())

    fired: set[str] = set()
    first = []
    for test in whole["tests"]:
        fires = {case["alertname"] for case in test.get("alert_rule_test", ()) if case["exp_alerts"]}
        if not fires <= fired:
            first.append(test)
            fired |= fires
    assert len(fired) > 10
    file.write_text(yaml.safe_dump({**whole, "tests": first}, allow_unicode=True))
    checked("promtool", "test", "rules", str(file))


def test_rules_of_other_amounts_come_without_unit_tests() -> None:
    """Unit tests are about the amounts that the rules come with, and are left out beside others."""
    assert any(path.endswith("_test.yml") for path in exported("prometheus"))
    assert not any(path.endswith("_test.yml") for path in exported("prometheus", IN_EUR))


@pytest.mark.parametrize(
    ("wishes", "record", "expected"),
    [
        pytest.param(Wishes(), "costmeter:threshold_idle_usd_per_hour", "vector(5)", id="idle-as-it-comes"),
        pytest.param(Wishes(idle_above="7.5"), "costmeter:threshold_idle_usd_per_hour", "vector(7.5)", id="idle"),
        pytest.param(IN_EUR, "costmeter:threshold_idle_eur_per_hour", "vector(20)", id="idle-in-eur"),
        pytest.param(Wishes(), "costmeter:month_budget_usd", "vector(0)", id="no-budget"),
        pytest.param(IN_EUR, "costmeter:month_budget_eur", "vector(30000)", id="budget-in-eur"),
    ],
)
@pytest.mark.parametrize("kind", ["compose", "prometheus", "kubernetes", "grafana"])
def test_amounts_reach_the_rules(kind: str, wishes: Wishes, record: str, expected: str) -> None:
    """--idle-above and --month-budget are the numbers that the rules compare with, in every kind that has rules."""
    rules = [
        rule
        for document in documents(exported(kind, wishes))
        if isinstance(document, dict)
        for group in (document.get("groups") or document.get("spec", {}).get("groups") or ())
        for rule in group.get("rules", ())
    ]

    assert [expected] == [rule["expr"] for rule in rules if rule.get("record") == record]


def test_runbooks_may_be_ones_own() -> None:
    """With --runbooks no alert leads to ours."""
    texts = exported("prometheus", Wishes(runbooks="https://wiki.example/gpu"))
    urls = re.findall(r"runbook_url: *\"?(\S+)", "".join(texts.values()))

    assert urls
    assert [url for url in urls if not url.startswith("https://wiki.example/gpu")] == []


def test_alertmanager_takes_its_file(tmp_path: Path) -> None:
    """amtool finds nothing wrong with Alertmanager's configuration."""
    written(tmp_path, exported("compose"))

    checked("amtool", "check-config", str(tmp_path / "alertmanager" / "alertmanager.yml"))


def test_grafana_is_provisioned_with_the_source_that_boards_expect() -> None:
    """The datasource has the fixed uid, and the boards' folder is the one that compose mounts."""
    texts = exported("compose")
    sources = yaml.safe_load(texts["grafana/provisioning/datasources/costmeter.yaml"])["datasources"]
    provider = yaml.safe_load(texts["grafana/provisioning/dashboards/costmeter.yaml"])["providers"][0]
    mounted = yaml.safe_load(texts["compose.yaml"])["services"]["grafana"]["volumes"]

    assert ("costmeter-prom", "http://prometheus:9090") == (sources[0]["uid"], sources[0]["url"])
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounted


def test_the_mixin_has_boards_and_rules(tmp_path: Path) -> None:
    """jsonnet finds in mixin.libsonnet each board, and every rule once: alerts apart from recorded series."""
    jsonnet = pytest.importorskip("_jsonnet")
    texts = exported("grafana")
    mixin = f"import '{written(tmp_path, texts) / 'mixin.libsonnet'}'"
    parts = "{boards: m.grafanaDashboards, alerts: m.prometheusAlerts, records: m.prometheusRules}"
    shown = json.loads(jsonnet.evaluate_snippet("test", f"local m = {mixin}; {parts}"))
    whole = [
        rule
        for path, text in texts.items()
        if path.startswith("rules/") and not path.endswith("_test.yml")
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]

    assert {f"costmeter-{Path(path).name}" for path in texts if path.startswith("dashboards/")} == set(shown["boards"])
    for part, kind in (("alerts", "alert"), ("records", "record")):
        found = [rule for group in shown[part]["groups"] for rule in group["rules"]]
        assert [rule for rule in whole if kind in rule] == found


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_manifests_are_of_kubernetes(version: str) -> None:
    """Every object of Kubernetes' own is valid by its published schema, without a key that the schema lacks."""
    validate = pytest.importorskip("kubernetes_validate").validate
    objects = [each for each in documents(exported("kubernetes")) if _is_native(each)]
    for each in objects:
        validate(each, version, strict=True)

    assert {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "DaemonSet", "Service"} == {
        each["kind"] for each in objects
    }


def _is_native(document: Any) -> bool:
    return "kind" in document and not document["apiVersion"].startswith(("monitoring.coreos.com", "kustomize"))


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_monitors_are_of_the_operator(kind: str) -> None:
    """What the Prometheus Operator is to take is valid by its own types, which lose no key of it."""
    types = pytest.importorskip("cloudcoil.models.prometheus_operator.v1")
    (found,) = [each for each in documents(exported("kubernetes")) if each.get("kind") == kind]

    read = getattr(types, kind).model_validate(found)

    assert found == read.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_kustomize_builds_the_whole(tmp_path: Path) -> None:
    """`kubectl kustomize` makes one stream of it, with each board in a ConfigMap that Grafana's sidecar looks for."""
    texts = exported("kubernetes", Wishes(namespace="gpu-cost"))
    built = list(yaml.safe_load_all(checked("kubectl", "kustomize", str(written(tmp_path, texts)))))
    boards = {name for each in built if _is_board(each) for name in each["data"]}

    assert {Path(path).name for path in texts if path.startswith("dashboards/")} == boards
    assert {"gpu-cost"} == {each["metadata"].get("namespace", "gpu-cost") for each in built}
    assert {"ServiceMonitor", "PrometheusRule", "DaemonSet"} < {each["kind"] for each in built}


def test_the_secured_component_is_whole(tmp_path: Path) -> None:
    """With TLS and passwords no probe asks what the kubelet may not know, and Prometheus shows both; all valid."""
    texts = exported("kubernetes")
    asked = texts["kustomization.yaml"].replace("\n# components:", "\ncomponents:")
    folder = written(tmp_path, texts | {"kustomization.yaml": asked})
    built = {each["kind"]: each for each in yaml.safe_load_all(checked("kubectl", "kustomize", str(folder)))}
    plain = yaml.safe_load(texts["daemonset.yaml"])["spec"]["template"]["spec"]["containers"][0]
    (agent,) = built["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    probes = [name for name in plain if name.endswith("Probe")]
    (endpoint,) = built["ServiceMonitor"]["spec"]["endpoints"]
    mounts = {mount["name"]: mount["mountPath"] for mount in agent["volumeMounts"]}

    assert len(probes) == 3
    for name in probes:
        assert {"port": "metrics"} == agent[name].pop("tcpSocket")
        assert {key: value for key, value in plain[name].items() if key != "httpGet"} == agent[name]
        agent[name]["tcpSocket"] = {"port": "metrics"}
    assert [*plain["args"], "--web.config.file=/etc/costmeter-web/web.yml"] == agent["args"]
    assert "/etc/costmeter-web" == mounts["web"]
    assert ("https", "costmeter") == (endpoint["scheme"], endpoint["tlsConfig"]["serverName"])
    assert {"username", "password"} == set(endpoint["basicAuth"])
    types = pytest.importorskip("cloudcoil.models.prometheus_operator.v1")
    found = built["ServiceMonitor"]
    assert found == types.ServiceMonitor.model_validate(found).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    pytest.importorskip("kubernetes_validate").validate(built["DaemonSet"], "1.25", strict=True)


def _is_board(document: Any) -> bool:
    return bool(document["metadata"].get("labels", {}).get("grafana_dashboard") == "1")


def test_the_daemonset_has_what_the_agent_looks_at() -> None:
    """The agent sees the host's processes, the kubelet's socket and folders that outlive it, with two capabilities."""
    daemonset = yaml.safe_load(exported("kubernetes")["daemonset.yaml"])
    pod = daemonset["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}

    assert pod["hostPID"]
    assert {"/var/lib/costmeter", "/run/costmeter", "/var/lib/kubelet/pod-resources"} < mounts
    assert {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]} == container["securityContext"]["capabilities"]
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert not pod["automountServiceAccountToken"]


@pytest.mark.parametrize("wishes", WISHES)
def test_settings_are_right(wishes: Wishes) -> None:
    """The agent's settings have no fault, by themselves and in the ConfigMap, and say currency and price."""
    by_itself = exported("systemd", wishes)["costmeter.yaml"]
    in_kubernetes = yaml.safe_load(exported("kubernetes", wishes)["configmap.yaml"])["data"]["config.yaml"]
    root, faults = composed(by_itself, "costmeter.yaml")

    assert root is not None
    assert [] == [*faults, *parse(root).faults]
    assert by_itself.strip() == in_kubernetes.strip()
    assert wishes.currency == yaml.safe_load(by_itself)["currency"]
    assert wishes.price == str(yaml.safe_load(by_itself).get("gpu", {}).get("price", "")).replace("2.1", "2.10")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd-analyze has nothing to say about the unit, and rates its exposure as OK: below 3 of 10."""
    command = shutil.which("true")
    assert command is not None
    texts = exported("systemd", Wishes(command=command))
    unit = str(written(tmp_path, texts) / "costmeter-agent.service")

    assert "" == checked("systemd-analyze", "verify", "--man=no", unit)
    checked("systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", unit)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if any(map(is_program, exported(kind)))])
def test_shell_scripts_are_clean(kind: str, tmp_path: Path) -> None:
    """shellcheck finds nothing in the scripts."""
    scripts = sorted(str(path) for path in written(tmp_path, exported(kind)).rglob("*.sh"))

    assert "" == checked("shellcheck", *scripts)


@pytest.mark.parametrize(("kind", "folder"), [("compose", "costmeter/"), ("kubernetes", "")])
def test_the_image_is_built_of_a_wheel(kind: str, folder: str) -> None:
    """costmeter comes from the build's folder, never by its name from an index; only wheels go into the build."""
    texts = exported(kind)
    installed = [line for line in texts[f"{folder}Dockerfile"].splitlines() if "pip install" in line and line[0] != "#"]

    assert ["*", "!wheels"] == texts[f"{folder}.dockerignore"].splitlines()
    assert len(installed) == 1
    assert re.search(r'"\$\(echo /wheels/costmeter-\S+\.whl\)\[kubernetes]"', installed[0])


def test_the_image_is_of_this_version() -> None:
    """The image that is built and the one that is run are of the version that exported them."""
    texts = exported("kubernetes")

    assert f"COPY wheels/costmeter-{__version__}-*.whl /wheels/" in texts["Dockerfile"]
    assert f"costmeter:{__version__}" in texts["daemonset.yaml"]
