"""`costmeter export` as it is typed: what it writes where, says, and refuses."""

import os
import re
from pathlib import Path

import pytest
import yaml

from costmeter import __version__
from tests.cli.typed import typed

ROOT = Path(__file__).parents[2]


def texts(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "file", "advice"),
    [
        pytest.param("compose", "compose.yaml", "docker compose -f out/compose.yaml --profile mock up", id="compose"),
        pytest.param("prometheus", "prometheus.yml", "prometheus --config.file=out/prometheus.yml", id="prometheus"),
        pytest.param("grafana", "mixin.libsonnet", "systemctl restart grafana-server", id="grafana"),
        pytest.param("kubernetes", "daemonset.yaml", "kubectl apply -k out", id="kubernetes"),
        pytest.param("systemd", "costmeter-agent.service", "sudo sh out/install.sh", id="systemd"),
        pytest.param("slurm", "prolog.sh", "sudo sh out/install.sh", id="slurm"),
    ],
)
def test_each_kind_says_what_it_wrote_and_what_to_type(kind: str, file: str, advice: str, tmp_path: Path) -> None:
    """Every file is named on stdout, then counted, and the last line is what to type next."""
    done = typed(tmp_path, "export", kind, "out")

    written, notes = texts(tmp_path / "out"), {"SOURCE:", f"costmeter:{__version__}"}
    *names, count, following = [line for line in done.stdout.splitlines() if line.split(" ")[0] not in notes]
    assert (0, "") == (done.returncode, done.stderr)
    assert file in written
    assert [f"  out/{path}" for path in written] == names
    assert f"{kind}: {len(written)} written" == count
    assert following.startswith("Next: ")
    assert [
        name for name in re.findall(r"out/[\w./-]+\.(?:ya?ml|sh)", following) if not (tmp_path / name).is_file()
    ] == []
    assert advice in following


def test_scripts_may_be_run_and_nothing_else(tmp_path: Path) -> None:
    """Shell scripts are executable, other files are not."""
    typed(tmp_path, "export", "systemd", "out")

    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert ["install.sh"] == [path.name for path in files if path.stat().st_mode & 0o111]


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    """Files that are there and the same are unchanged, and files of others stay."""
    typed(tmp_path, "export", "slurm", "out")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}

    done = typed(tmp_path, "export", "slurm", "out")

    assert done.returncode == 0
    assert f"slurm: 0 written, {len(before) - 1} unchanged" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_a_file_that_differs_is_named_and_kept(tmp_path: Path) -> None:
    """Where files differ all of them are named, nothing at all is written, and --force replaces them."""
    typed(tmp_path, "export", "slurm", "out")
    for name in ("prolog.sh", "epilog.sh"):
        (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out" / "slurm.conf").unlink()
    before = texts(tmp_path / "out")

    refused = typed(tmp_path, "export", "slurm", "out")

    assert (2, "") == (refused.returncode, refused.stdout)
    assert "out/epilog.sh, out/prolog.sh are there and differ; nothing was written" in refused.stderr
    assert "--force" in refused.stderr
    assert before == texts(tmp_path / "out")
    assert typed(tmp_path, "export", "slurm", "out", "--force").stdout.count("out/") == 4
    assert "mine" not in texts(tmp_path / "out").values()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["grafan", "out"], ['Did you mean "grafana"?'], id="kind"),
        pytest.param(["compose"], ["DIR"], id="no-folder"),
        pytest.param(["compose", ""], ["./costmeter-export"], id="empty-folder"),
        pytest.param(["compose", "out", "--currency", "eur"], ["three capital letters such as EUR"], id="currency"),
        pytest.param(["compose", "out", "--idle-above", "$5"], ["without a currency"], id="sign"),
        pytest.param(["compose", "out", "--idle-above", "-1"], ["--idle-above"], id="negative"),
        pytest.param(["compose", "out", "--month-budget", "20,000"], ["with a point"], id="comma"),
        pytest.param(["compose", "out", "--idle-above", "0.0"], ["an amount above 0, such as 5"], id="zero"),
        pytest.param(["compose", "out", "--sunk-above", "0"], ["--sunk-above", "above 0"], id="nothing-sunk"),
        pytest.param(["compose", "out", "--price", "nan"], ["--price"], id="price"),
        pytest.param(["compose", "out", "--target", "gpu01"], ["gpu01:26786"], id="no-port"),
        pytest.param(["compose", "out", "--target", "gpu01:99999"], ["gpu01:26786"], id="port"),
        pytest.param(["compose", "out", "--runbooks", "wiki"], ["https://wiki.example"], id="no-url"),
        pytest.param(["kubernetes", "out", "--namespace", "GPU_cost"], ["such as gpu-cost"], id="namespace"),
        pytest.param(["kubernetes", "out", "--image", "a b"], ["registry.example"], id="image"),
        pytest.param(["kubernetes", "out", "--image", "c:1:2"], ["NAME[:TAG]"], id="two-tags"),
        pytest.param(["kubernetes", "out", "--image", "c@sha256:ab"], ["NAME[:TAG]"], id="short-digest"),
        pytest.param(["compose", "out", "--image", f"c@sha256:{'ab' * 32}"], ["leave out @sha256"], id="built-digest"),
        pytest.param(["systemd", "out", "--command", "/home/m/v/bin/costmeter"], ["ProtectHome"], id="at-home"),
        pytest.param(["systemd", "out", "--command", "/opt/../tmp/v/bin/costmeter"], ["PrivateTmp"], id="in-tmp"),
        pytest.param(["compose", "out", "--alertmanager-url", "http://a"], ["it is for grafana"], id="alertmanager"),
        pytest.param(["systemd", "out", "--command", "costmeter"], ["/opt/costmeter/bin/costmeter"], id="command"),
        pytest.param(
            ["slurm", "out", "--image", "x"], ["changes nothing in slurm", "compose, kubernetes"], id="unused"
        ),
        pytest.param(
            ["slurm", "out", "--currency", "€", "--image", "x", "--target", "a"],
            ["--currency", "--image changes nothing", "--target changes nothing", 'target "a"'],
            id="all-at-once",
        ),
        pytest.param(["compose", "out", "--idle-above", "5\n  evil: 1"], ["--idle-above"], id="yaml"),
        pytest.param(["kubernetes", "out", "--runbooks", 'http://a"b'], ["--runbooks"], id="quote"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], expected: list[str], tmp_path: Path) -> None:
    """Everything wrong is said at once, with what to type, and nothing is written."""
    refused = typed(tmp_path, "export", *arguments)

    assert (2, "") == (refused.returncode, refused.stdout)
    assert [text for text in expected if text not in refused.stderr] == []
    assert list(tmp_path.iterdir()) == []


def test_choices_reach_the_files(tmp_path: Path) -> None:
    """Targets, price, namespace, image and path stand where they are asked for."""
    typed(tmp_path, "export", "prometheus", "p", "--target", "gpu01:26786", "--target", "[fd00::1]:26786")
    typed(
        tmp_path,
        "export",
        "kubernetes",
        "k",
        "--namespace",
        "gpu-cost",
        "--image",
        f"r.example:5000/c@sha256:{'ab' * 32}",
    )
    typed(tmp_path, "export", "systemd", "s", "--command", "/srv/c/bin/costmeter", "--price", "2.10/gpu-h")
    targets = yaml.safe_load((tmp_path / "p/targets/costmeter.yml").read_text())
    daemonset = yaml.safe_load((tmp_path / "k/daemonset.yaml").read_text())

    assert [{"targets": ["gpu01:26786", "[fd00::1]:26786"]}] == targets
    assert "gpu-cost" == daemonset["metadata"]["namespace"]
    assert f"r.example:5000/c@sha256:{'ab' * 32}" == daemonset["spec"]["template"]["spec"]["containers"][0]["image"]
    assert "ExecStart=/srv/c/bin/costmeter agent\n" in (tmp_path / "s/costmeter-agent.service").read_text()
    assert {"price": 2.1} == yaml.safe_load((tmp_path / "s/costmeter.yaml").read_text())["gpu"]


def test_another_currency_says_that_amounts_are_not_converted(tmp_path: Path) -> None:
    """In another currency the thresholds keep their numbers, which is said unless one gives one's own."""
    plain = typed(tmp_path, "export", "prometheus", "a", "--currency", "SEK").stdout
    own = typed(tmp_path, "export", "prometheus", "b", "--currency", "SEK", "--idle-above", "50").stdout

    idle, unheld = "5/h and 50 a day idle (--idle-above)", "5/h unheld on a node and 25/h on all (--unheld-above)"
    assert f"now in SEK: {idle}, {unheld}, 0.5/h held and unused (--held-above), 25 sunk (--sunk-above)" in plain
    assert f"now in SEK: {unheld}" in own
    assert "(--idle-above)" not in own


def test_the_help_tells_the_thresholds_that_the_rules_have(tmp_path: Path) -> None:
    """What an amount is where none is given stands in the help, and in what is said in another currency, as it is."""
    said = " ".join(typed(tmp_path, "export", "--help").stdout.split())
    told = typed(tmp_path, "export", "prometheus", "out", "--currency", "SEK").stdout
    groups = yaml.safe_load((tmp_path / "out/rules/costmeter.yml").read_text())["groups"]
    numbers = {rule["record"]: rule["expr"][len("vector(") : -1] for group in groups for rule in group["rules"]}

    for option, per, records in (
        ("idle", "/h", ("idle_sek_per_hour", "idle_sek_per_day")),
        ("unheld", "/h", ("unheld_sek_per_hour", "unheld_cluster_sek_per_hour")),
        ("held", "/h", ("held_sek_per_hour",)),
        ("sunk", "", ("sunk_sek",)),
    ):
        first, *others = (numbers[f"costmeter:threshold_{record}"] for record in records)
        assert f"(default {first})" in said.split(f"--{option}-above N")[-1].split(" --")[0]
        here = next(each for each in told.split(": ", 2)[-1].split(", ") if f"(--{option}-above)" in each)
        assert f"{first}{per} " in here
        assert [number for number in others if number not in here] == []


def test_a_threshold_brings_along_what_belongs_to_it(tmp_path: Path) -> None:
    """An owner's day is ten of the hour that is asked for, and all nodes together five of one node."""
    typed(tmp_path, "export", "prometheus", "out", "--idle-above", "12.50", "--unheld-above", "750")
    groups = yaml.safe_load((tmp_path / "out/rules/costmeter.yml").read_text())["groups"]
    numbers = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}

    assert "vector(12.50)" == numbers["costmeter:threshold_idle_usd_per_hour"]
    assert "vector(125)" == numbers["costmeter:threshold_idle_usd_per_day"]
    assert "vector(750)" == numbers["costmeter:threshold_unheld_usd_per_hour"]
    assert "vector(3750)" == numbers["costmeter:threshold_unheld_cluster_usd_per_hour"]


@pytest.mark.parametrize(
    ("option", "record"),
    [
        ("--idle-above", "costmeter:threshold_idle_jpy_per_hour"),
        ("--unheld-above", "costmeter:threshold_unheld_jpy_per_hour"),
        ("--held-above", "costmeter:threshold_held_jpy_per_hour"),
        ("--sunk-above", "costmeter:threshold_sunk_jpy"),
        ("--month-budget", "costmeter:month_budget_jpy"),
    ],
)
@pytest.mark.parametrize(("typed_amount", "amount"), [("0750", "750"), ("00.50", "0.50")])
def test_each_amount_has_its_option(option: str, record: str, typed_amount: str, amount: str, tmp_path: Path) -> None:
    """Each threshold is set by one option, in plain digits, and then its unit tests are left out."""
    done = typed(tmp_path, "export", "prometheus", "out", "--currency", "JPY", option, typed_amount)
    groups = yaml.safe_load((tmp_path / "out/rules/costmeter.yml").read_text())["groups"]

    assert done.returncode == 0
    assert [f"vector({amount})"] == [
        rule["expr"] for group in groups for rule in group["rules"] if rule["record"] == record
    ]
    assert [] == list((tmp_path / "out/rules").glob("*_test.yml"))
    assert f"({option})" not in done.stdout


@pytest.mark.parametrize("currency", ["USD", "SEK"])
def test_tests_of_other_thresholds_do_not_stay(currency: str, tmp_path: Path) -> None:
    """With other thresholds in the same folder the unit tests are of other rules: they go, and in no currency fail."""
    typed(tmp_path, "export", "prometheus", "out", "--currency", currency)
    left = sorted(path.name for path in (tmp_path / "out/rules").glob("*_test.yml"))

    done = typed(tmp_path, "export", "prometheus", "out", "--idle-above", "20", "--force")

    assert left
    assert done.returncode == 0
    assert f"Removed, as this export has none: {', '.join(f'out/rules/{name}' for name in left)}" in done.stdout
    assert [] == list((tmp_path / "out/rules").glob("*_test.yml"))


@pytest.mark.parametrize("is_edited", [False, True])
def test_an_alertmanager_that_is_gone_is_named(is_edited: bool, tmp_path: Path) -> None:
    """Grafana's source of it stays, forced or not: an address that somebody wrote, password and all, is not lost."""
    source = tmp_path / "out/provisioning/datasources/costmeter-alerts.yaml"
    typed(tmp_path, "export", "grafana", "out", "--alertmanager-url", "http://alerts.example:9093")
    if is_edited:
        source.write_text(source.read_text().replace("http://alerts.example:9093", "https://ops:S3cret@am.example/p"))
    there = source.read_text()

    for force in ((), ("--force",)):
        said = typed(tmp_path, "export", "grafana", "out", *force).stdout
        assert f"and no part of this one; look, and remove it: {source.relative_to(tmp_path)}" in said
        assert "Removed" not in said
        assert there == source.read_text()


def test_unit_tests_that_somebody_changed_stay(tmp_path: Path) -> None:
    """Of what an earlier export wrote only what is as it was written is removed."""
    typed(tmp_path, "export", "prometheus", "out")
    (tests,) = (tmp_path / "out/rules").glob("*_test.yml")
    tests.write_text(tests.read_text() + "# mine\n")

    said = typed(tmp_path, "export", "prometheus", "out", "--idle-above", "20", "--force").stdout

    assert f"look, and remove it: {tests.relative_to(tmp_path)}" in said
    assert tests.exists()


@pytest.mark.parametrize("name", ["123", "true", "null", "0x10", "1e3"])
def test_names_stay_names(name: str, tmp_path: Path) -> None:
    """What looks like a number or a truth to YAML is the name that was typed, wherever it stands."""
    options = ["--namespace", name, "--prometheus-namespace", name, "--image", name]
    typed(tmp_path, "export", "kubernetes", "out", *options)
    documents = [
        document
        for path in (tmp_path / "out").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] not in ("Namespace", "Kustomization")
    ]
    binding = next(each for each in documents if each["kind"] == "RoleBinding")
    daemonset = next(each for each in documents if each["kind"] == "DaemonSet")

    assert {name} == {each["metadata"]["namespace"] for each in documents}
    assert name == yaml.safe_load((tmp_path / "out/namespace.yaml").read_text())["metadata"]["name"]
    assert name == yaml.safe_load((tmp_path / "out/kustomization.yaml").read_text())["namespace"]
    assert name == binding["subjects"][0]["namespace"]
    assert name == daemonset["spec"]["template"]["spec"]["containers"][0]["image"]


@pytest.mark.parametrize(
    ("image", "expected", "unexpected"),
    [
        pytest.param(
            "r.example/c:1", ["pip wheel", "docker push r.example/c:1 &&"], "names no registry", id="registry"
        ),
        pytest.param("c:1", ["docker build -t c:1", "c:1 names no registry"], "docker push", id="none"),
        pytest.param(f"r.example/c@sha256:{'0' * 64}", ["Next: kubectl apply"], "docker build", id="is-there-as-it-is"),
    ],
)
def test_an_image_comes_to_the_nodes(image: str, expected: list[str], unexpected: str, tmp_path: Path) -> None:
    """What is built is pushed where its name says a registry; else it is said that nodes cannot fetch it."""
    said = typed(tmp_path, "export", "kubernetes", "out", "--image", image).stdout

    assert [each for each in expected if each not in said] == []
    assert unexpected not in said


def test_grafana_of_somebody_keeps_its_default(tmp_path: Path) -> None:
    """Only our own Grafana has our datasource as its default, and Alertmanager is there where we know of one."""
    typed(tmp_path, "export", "grafana", "g")
    typed(tmp_path, "export", "grafana", "h", "--alertmanager-url", "http://alerts.example:9093/")
    typed(tmp_path, "export", "compose", "c")
    here = "provisioning/datasources"

    def sources(folder: str) -> list[dict[str, object]]:
        files = sorted((tmp_path / folder / here).iterdir(), reverse=True)
        return [source for file in files for source in yaml.safe_load(file.read_text())["datasources"]]

    assert [("prometheus", False)] == [(each["type"], each["isDefault"]) for each in sources("g")]
    assert ["http://localhost:9090", "http://alerts.example:9093"] == [each["url"] for each in sources("h")]
    assert [True, None] == [each.get("isDefault") for each in sources("c/grafana")]


def test_other_users_may_read_it(tmp_path: Path) -> None:
    """Whatever the umask: Prometheus and Grafana are users of their own. A second export mends lost modes."""
    before = os.umask(0o077)
    try:
        typed(tmp_path, "export", "compose", "a/out")
    finally:
        os.umask(before)
    (tmp_path / "a/out/prometheus").chmod(0o700)
    (tmp_path / "a/out/prometheus/prometheus.yml").chmod(0o600)
    again = typed(tmp_path, "export", "compose", "a/out")
    below = [tmp_path / "a", *(tmp_path / "a").rglob("*")]

    assert (0, "") == (again.returncode, again.stderr)
    assert "compose: 1 written" in again.stdout
    assert [str(path) for path in below if path.stat().st_mode & 0o755 != (0o755 if path.is_dir() else 0o644)] == []


@pytest.mark.parametrize("kind", ["grafana", "compose", "prometheus", "kubernetes", "systemd", "slurm"])
def test_the_repository_has_what_is_exported(kind: str, tmp_path: Path) -> None:
    """grafana/ and examples/ are what export writes, file by file: `make exports` renews them."""
    typed(tmp_path, "export", kind, "out")
    exported = texts(tmp_path / "out")
    here = ROOT / "grafana" if kind == "grafana" else ROOT / "examples" / kind

    kept = {path: (here / path).read_text() for path in exported if (here / path).is_file()}

    assert exported == kept, "make exports"
    assert kind == "grafana" or set(texts(here)) == set(exported), "files that export does not write"
