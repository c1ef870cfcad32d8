"""`costmeter export` as it is typed: what it writes where, says, and refuses."""

import os
from pathlib import Path

import pytest
import yaml

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
        pytest.param("grafana", "mixin.libsonnet", "/etc/grafana/", id="grafana"),
        pytest.param("kubernetes", "daemonset.yaml", "kubectl apply -k out", id="kubernetes"),
        pytest.param("systemd", "costmeter-agent.service", "sudo sh out/install.sh", id="systemd"),
        pytest.param("slurm", "prolog.sh", "sudo sh out/install.sh", id="slurm"),
    ],
)
def test_each_kind_says_what_it_wrote_and_what_to_type(kind: str, file: str, advice: str, tmp_path: Path) -> None:
    """Every file is named on stdout, then counted, and the last line is what to type next."""
    done = typed(tmp_path, "export", kind, "out")

    written = texts(tmp_path / "out")
    *names, count, following = done.stdout.splitlines()
    assert (0, "") == (done.returncode, done.stderr)
    assert file in written
    assert [f"  out/{path}" for path in written] == names
    assert f"{kind}: {len(written)} written" == count
    assert following.startswith("Next: ")
    assert advice in following


def test_scripts_may_be_run_and_nothing_else(tmp_path: Path) -> None:
    """Shell scripts are executable, other files are not."""
    typed(tmp_path, "export", "systemd", "out")

    programs = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file() and os.access(path, os.X_OK)}
    modes = {path.stat().st_mode & 0o111 for path in (tmp_path / "out").rglob("*.conf")}
    assert ({"install.sh"}, {0}) == (programs & {"install.sh"}, modes)


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
        pytest.param(["compose", "out", "--price", "nan"], ["--price"], id="price"),
        pytest.param(["compose", "out", "--target", "gpu01"], ["gpu01:26786"], id="no-port"),
        pytest.param(["compose", "out", "--target", "gpu01:99999"], ["gpu01:26786"], id="port"),
        pytest.param(["compose", "out", "--runbooks", "wiki"], ["https://wiki.example"], id="no-url"),
        pytest.param(["kubernetes", "out", "--namespace", "GPU_cost"], ["such as gpu-cost"], id="namespace"),
        pytest.param(["kubernetes", "out", "--image", "a b"], ["registry.example"], id="image"),
        pytest.param(["systemd", "out", "--command", "costmeter"], ["/opt/costmeter/bin/costmeter"], id="command"),
        pytest.param(["slurm", "out", "--image", "x"], ["changes nothing in slurm", "compose, kubernetes"], id="idle"),
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
    typed(tmp_path, "export", "kubernetes", "k", "--namespace", "gpu-cost", "--image", "r.example:5000/c@sha256:ab")
    typed(tmp_path, "export", "systemd", "s", "--command", "/srv/c/bin/costmeter", "--price", "2.10/gpu-h")
    targets = yaml.safe_load((tmp_path / "p/targets/costmeter.yml").read_text())
    daemonset = yaml.safe_load((tmp_path / "k/daemonset.yaml").read_text())

    assert [{"targets": ["gpu01:26786", "[fd00::1]:26786"]}] == targets
    assert "gpu-cost" == daemonset["metadata"]["namespace"]
    assert "r.example:5000/c@sha256:ab" == daemonset["spec"]["template"]["spec"]["containers"][0]["image"]
    assert "ExecStart=/srv/c/bin/costmeter agent\n" in (tmp_path / "s/costmeter-agent.service").read_text()
    assert {"price": 2.1} == yaml.safe_load((tmp_path / "s/costmeter.yaml").read_text())["gpu"]


def test_another_currency_says_that_amounts_are_not_converted(tmp_path: Path) -> None:
    """In another currency the thresholds keep their numbers, which is said unless one gives one's own."""
    plain = typed(tmp_path, "export", "prometheus", "a", "--currency", "SEK").stdout
    own = typed(tmp_path, "export", "prometheus", "b", "--currency", "SEK", "--idle-above", "50").stdout

    assert "keep their numbers, now in SEK" in plain
    assert "keep their numbers" not in own


@pytest.mark.parametrize("kind", ["grafana", "compose", "prometheus", "kubernetes", "systemd", "slurm"])
def test_the_repository_has_what_is_exported(kind: str, tmp_path: Path) -> None:
    """grafana/ and examples/ are what export writes, file by file: `make exports` renews them."""
    typed(tmp_path, "export", kind, "out")
    exported = texts(tmp_path / "out")
    here = ROOT / "grafana" if kind == "grafana" else ROOT / "examples" / kind

    kept = {path: (here / path).read_text() for path in exported if (here / path).is_file()}

    assert exported == kept, "make exports"
    assert kind == "grafana" or set(texts(here)) == set(exported), "files that export does not write"
