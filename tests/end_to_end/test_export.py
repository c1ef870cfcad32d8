"""What `costmeter export` writes, at work: the compose stack as processes, the wheel, systemd's users and folders."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.composed import Enclosure, absent, composed, enclosed
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home, uncovered

ROOT = Path(__file__).parents[2]
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="installers are root's")
PROGRAMS = {
    "alertmanager": ["prometheus-alertmanager"],
    "costmeter-mock": [COSTMETER],
    "prometheus": ["prometheus"],
}
NOTHING_COMPOSED = absent("prometheus", "prometheus-alertmanager")
#: An alert of one's own, in the place that the exported configuration has for it: it fires at the first evaluation.
SITE_RULES = """
groups: [{name: site, rules: [{alert: Scraped, expr: 'up{job="costmeter"} == 1', labels: {severity: info}}]}]
"""


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """Somebody without configuration."""
    with own_home() as environ:
        yield environ


def export(home: dict[str, str], *arguments: str) -> str:
    argv = [COSTMETER, "export", *arguments]
    done = subprocess.run(argv, env=home, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def asked(stack: Enclosure, path: str) -> Any:
    """What Prometheus answers; None until it does."""
    answer = stack.get(f"http://prometheus:9090/api/v1/{path}")
    return json.loads(answer)["data"] if answer else None


def values(stack: Enclosure, query: str) -> list[float] | None:
    found = asked(stack, f"query?query={query}")
    return [float(each["value"][1]) for each in found["result"]] or None if found else None


@pytest.mark.skipif(bool(NOTHING_COMPOSED), reason=NOTHING_COMPOSED)
def test_the_stack_scrapes_and_alerts_without_an_edit(home: dict[str, str], tmp_path: Path) -> None:
    """From the exported folder as it is: the agent is scraped, all rules evaluate, and alerts reach Alertmanager."""
    folder = tmp_path / "stack"
    said = export(home, "compose", str(folder))
    site = folder / "prometheus" / "rules" / "site"
    site.mkdir()
    (site / "scraped.yml").write_text(SITE_RULES)

    with composed(folder, PROGRAMS) as stack:
        up = eventually(lambda: values(stack, "up"), "a scrape")
        eventually(lambda: values(stack, "sum(rate(costmeter_gpu_cost_usd_total[5m]))"), "two scrapes")
        burning = eventually(lambda: values(stack, "sum(instance:costmeter_gpu_cost_usd:rate5m)"), "a recorded rate")
        rules = asked(stack, "rules")["groups"]
        alerts = eventually(lambda: _alerts(stack), "an alert")

    assert "--profile mock up" in said
    assert [1.0] == up
    assert burning[0] > 0
    assert {"site"} < {group["name"] for group in rules}
    assert [] == [rule["lastError"] for group in rules for rule in group["rules"] if rule.get("lastError")]
    assert {"localhost:26786"} == {
        alert["labels"]["instance"] for alert in alerts if alert["labels"]["alertname"] == "Scraped"
    }


def _alerts(stack: Enclosure) -> list[dict[str, Any]] | None:
    answer = stack.get("http://alertmanager:9093/api/v2/alerts")
    found: list[dict[str, Any]] = json.loads(answer) if answer else []
    return found or None


def test_a_wheel_exports(tmp_path: Path) -> None:
    """A built wheel has all the files, and exports them without any of the package's dependencies."""
    source, target = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(ROOT / "costmeter", source / "costmeter", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    environ = uncovered(os.environ)
    build = [
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, env=environ, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, env=environ)

    for kind in ("compose", "kubernetes", "systemd", "slurm"):
        argv = [sys.executable, "-S", "-m", "costmeter", "export", kind, str(tmp_path / kind)]
        subprocess.run(argv, check=True, env={**environ, "PYTHONPATH": str(target)}, cwd=tmp_path, capture_output=True)
        here = ROOT / "examples" / kind
        exported = {path.relative_to(tmp_path / kind) for path in (tmp_path / kind).rglob("*") if path.is_file()}
        assert exported == {path.relative_to(here) for path in here.rglob("*") if path.is_file()}


UNITS = "/etc/systemd/system"
#: An /opt of the test's, where the unit's command leads to the one that is tested, wherever its Python is.
IN_OPT = f"""\
mount -t tmpfs -o mode=755 tmpfs "$root/opt" && mkdir -p "$root/opt/costmeter/bin"
printf '#!/bin/sh\\nexec {COSTMETER} "$@"\\n' >"$root/opt/costmeter/bin/costmeter"
chmod 755 "$root/opt/costmeter/bin/costmeter"
"""
#: What of systemctl the installer asks, in a shell: /run/own.pid is the unit's process.
SYSTEMCTL = """\
#!/bin/sh
case "$*" in
  restart*) {restart} ;;
  *ExecStart*) echo 'ExecStart={exec_start}' ;;
  *MainPID*) cat /run/own.pid ;;
  is-active*) kill -0 $(cat /run/own.pid) ;;
esac
"""
#: Ends when somebody answers at the agent's port.
ANSWERS = (
    "until python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:26786/-/ready\")' 2>&- ; "
    "do sleep 0.2; done"
)
NOTHING_INSTALLED = absent("systemd-sysusers", "systemd-tmpfiles", "systemctl", "setpriv")


@pytest.mark.skipif(bool(NOTHING_INSTALLED), reason=NOTHING_INSTALLED)
def test_the_unit_is_installed_and_its_user_can_run_it(home: dict[str, str], tmp_path: Path) -> None:
    """install.sh makes user, folders, settings and an enabled unit, whose command that user can run.

    In a root of its own, where systemctl enables units and leaves starting them; what it would start is started here.
    """
    if subprocess.run(["setpriv", "--reuid=65534", COSTMETER, "--version"], capture_output=True, cwd="/").returncode:
        pytest.skip(f"other users may not run {COSTMETER}")
    tmp_path.chmod(0o755)
    export(home, "systemd", str(tmp_path / "unit"), "--price", "2.10")
    with enclosed(tmp_path, mounts=[IN_OPT]) as root:
        for _ in range(2):  # a second time it updates
            subprocess.run(
                [*root.entered, "env", "SYSTEMD_OFFLINE=1", "sh", str(tmp_path / "unit" / "install.sh")], check=True
            )
        owners = _said(root, "stat", "-c", "%U %n", "/var/lib/costmeter", "/run/costmeter", "/run/costmeter-slurm")
        enabled = _said(root, "systemctl", "is-enabled", "costmeter-agent.service")
        unit = dict(
            line.split("=", 1)
            for line in _said(root, "cat", f"{UNITS}/costmeter-agent.service")
            if re.match(r"\w+=", line)
        )
        capabilities = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in unit["AmbientCapabilities"].split())
        as_unit = ["setpriv", f"--reuid={unit['User']}", f"--regid={unit['Group']}", "--clear-groups", "--no-new-privs"]
        has = [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
        argv = [*root.entered, "env", "-i", "STATE_DIRECTORY=/var/lib/costmeter", *as_unit, *has]
        command = [*argv, *unit["ExecStart"].split(), "--simulate=healthy"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as agent:
            page = eventually(lambda: root.get("http://localhost:26786/metrics"), "a page")
            agent.terminate()
            assert agent.wait(PATIENCE_SECONDS) == 0

    assert ["costmeter /var/lib/costmeter", "costmeter /run/costmeter", "root /run/costmeter-slurm"] == owners
    assert ["enabled"] == enabled
    assert 'costmeter_gpu_price_usd_per_hour{gpu_uuid="' in page
    assert " 2.1\n" in page


@pytest.mark.skipif(bool(NOTHING_INSTALLED), reason=NOTHING_INSTALLED)
@pytest.mark.parametrize(
    ("started", "show", "expected"),
    [
        pytest.param("true", "", (1, "journalctl -u costmeter-agent"), id="it-never-is-ready"),
        pytest.param("--simulate=healthy", "", (0, "It is ready"), id="it-is-ready"),
        pytest.param("true", "--web.config.file", (0, "where your ExecStart says"), id="it-serves-elsewhere"),
        pytest.param("another --simulate=healthy", "", (1, "is not ready"), id="another-server-has-the-port"),
    ],
)
def test_the_installer_says_what_it_has_seen(
    started: str, show: str, expected: tuple[int, str], home: dict[str, str], tmp_path: Path
) -> None:
    """It is ready where it answers, and not because it was started. systemctl is a script here: there is no systemd."""
    export(home, "systemd", str(tmp_path / "unit"))
    agent, own = started, "own"
    if "--" in started:
        own = "own" if started.startswith("--") else "another"
        serving = f"{COSTMETER} agent {started.removeprefix('another ')} >/dev/null 2>&1 & echo $! >/run/{own}.pid"
        agent = serving if own == "own" else f"{serving}; sleep 60 >/dev/null 2>&1 & echo $! >/run/own.pid; {ANSWERS}"
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(restart=agent, exec_start=show))
    (tmp_path / "systemctl").chmod(0o755)
    with enclosed(tmp_path, mounts=[IN_OPT]) as root:
        _said(root, "mkdir", "-p", "/run/systemd/system")
        path = f"PATH={tmp_path}:{os.environ['PATH']}"
        script = [str(tmp_path / "unit" / "install.sh"), "20" if started.startswith("--") else "0"]
        argv = [*root.entered, "env", path, "sh", *script]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if started != "true":
            _said(root, "sh", "-c", "kill $(cat /run/*.pid)")

    assert expected[0] == done.returncode
    assert expected[1] in done.stdout + done.stderr


@pytest.mark.skipif(bool(NOTHING_INSTALLED), reason=NOTHING_INSTALLED)
def test_faulty_settings_are_found_before_anything_is_changed(home: dict[str, str], tmp_path: Path) -> None:
    """Settings that are there are checked first, and a fault in them leaves the node as it was."""
    export(home, "systemd", str(tmp_path / "unit"))
    with enclosed(tmp_path, mounts=[IN_OPT]) as root:
        _said(root, "sh", "-c", "mkdir -p /etc/costmeter && echo 'currency: 5' >/etc/costmeter/config.yaml")
        argv = [*root.entered, "sh", str(tmp_path / "unit" / "install.sh")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        units = _said(root, "sh", "-c", f"ls {UNITS} | grep costmeter || true")

    assert (1, []) == (done.returncode, units)
    assert "currency" in done.stderr
    assert "nothing was changed" in done.stderr


@pytest.mark.skipif(bool(NOTHING_INSTALLED), reason=NOTHING_INSTALLED)
def test_a_python_that_the_unit_cannot_see_is_refused(home: dict[str, str], tmp_path: Path) -> None:
    """A virtual environment in /opt whose Python is in a home would not start, which is said before any change."""
    export(home, "systemd", str(tmp_path / "unit"))
    script = "#!/opt/costmeter/bin/python3"
    link = f"ln -s /root/.pyenv/bin/python3 /opt/costmeter/bin/python3 && echo '{script}' >/opt/costmeter/bin/costmeter"
    with enclosed(tmp_path, mounts=[IN_OPT]) as root:
        _said(root, "sh", "-c", link)
        argv = [*root.entered, "sh", str(tmp_path / "unit" / "install.sh")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (1, "") == (done.returncode, done.stdout)
    assert "/opt/costmeter/bin/python3 is /root/.pyenv/bin/python3, where the unit cannot look" in done.stderr


def _said(root: Enclosure, *argv: str) -> list[str]:
    done = subprocess.run([*root.entered, *argv], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@NEEDS_ROOT
def test_the_scripts_are_put_into_place(home: dict[str, str], tmp_path: Path) -> None:
    """install.sh of slurm installs three programs under the names in the lines for slurm.conf, and shows these."""
    export(home, "slurm", str(tmp_path / "slurm"))
    target = tmp_path / "etc"

    done = subprocess.run(
        ["sh", str(tmp_path / "slurm" / "install.sh"), str(target)], capture_output=True, text=True, check=True
    )

    named = {line.partition("=")[2] for line in done.stdout.splitlines() if "rolog=" in line or line.startswith("Epi")}
    assert {str(path) for path in target.iterdir()} == named
    assert len(named) == 3
    assert all(os.access(path, os.X_OK) for path in named)


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("shown", "said", "unsaid"),
    [
        pytest.param("PrologFlags             = Contain,X11", [], "PrologFlags", id="contain-implies-it"),
        pytest.param("PrologFlags             = Alloc,Serial", [], "PrologFlags", id="has-it"),
        pytest.param("PrologFlags             = Serial", ["PrologFlags=Serial,Alloc"], "Contain", id="others-stay"),
        pytest.param("PrologFlags             = (null)", ["PrologFlags=Alloc"], "Contain", id="none"),
        pytest.param("", ["Alloc has to be among your PrologFlags"], "PrologFlags=Serial", id="no-answer"),
        pytest.param("Prolog = /etc/slurm/p.sh", ["Prolog is /etc/slurm/p.sh: call"], "\nProlog=", id="a-prolog"),
        pytest.param("Prolog[0] = /etc/slurm/p.sh", ["Prolog is /etc/slurm/p.sh: call"], "\nProlog=", id="of-a-list"),
    ],
)
def test_the_lines_for_slurm_keep_what_is_there(
    shown: str, said: list[str], unsaid: str, home: dict[str, str], tmp_path: Path
) -> None:
    """What `scontrol show config` has stays: flags are added to the others, a prolog is to call ours."""
    export(home, "slurm", str(tmp_path / "slurm"))
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\ncat <<'END'\n{shown}\nEND\n" if shown else "#!/bin/sh\nexit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    done = subprocess.run(
        ["sh", str(tmp_path / "slurm" / "install.sh"), str(tmp_path / "etc")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": path},
    )

    assert [each for each in said if each not in done.stdout] == []
    assert unsaid not in done.stdout


@NEEDS_ROOT
@pytest.mark.parametrize("kind", ["slurm", "systemd"])
def test_an_ordinary_user_is_told_to_be_root(kind: str, home: dict[str, str], tmp_path: Path) -> None:
    """The installers change nothing and say what to type."""
    export(home, kind, str(tmp_path / kind))
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "sh"]

    with (tmp_path / kind / "install.sh").open() as script:
        done = subprocess.run(argv, stdin=script, capture_output=True, text=True, check=False, cwd="/")

    assert (1, "") == (done.returncode, done.stdout)
    assert "sudo sh" in done.stderr
