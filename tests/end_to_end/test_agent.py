"""The installed agent: starts, serves, names a wrapper's run, reloads, stops, and goes on where it stood."""

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from costmeter.ledger.node.journal import fold_node_path, node_paths
from costmeter.ledger.node.record import RunSeen
from costmeter.ledger.reading import all_records
from costmeter.ledger.record import Footer
from tests.end_to_end.agents import StartedAgent, agent, agent_command
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, own_home
from tests.native import compiled

MAY_ISOLATE = subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with own_home() as found:
        yield found


def status(url: str, method: str = "GET") -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def refused(folder: Path, environ: dict[str, str], *options: str) -> tuple[int, str]:
    """Exit code and words of an agent that does not start."""
    argv = agent_command(folder, *options)
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    return done.returncode, done.stderr


def spent(started: StartedAgent) -> Decimal:
    """What all GPUs of the node have cost by the agent's page."""
    return sum((Decimal(each) for gpu in started.node["gpus"] for each in gpu["cost"].values()), Decimal(0))


def more(started: StartedAgent, before: Decimal) -> Decimal | None:
    """What it has cost by now, once that is more than before."""
    now = spent(started)
    return now if now > before else None


def outcomes(journal: Path) -> list[str]:
    """How a journal says that it ended; nothing where it was left."""
    return [record.outcome for record in all_records(journal, []) if isinstance(record, Footer)]


def ready(started: StartedAgent) -> StartedAgent:
    """The agent, once it has read its GPUs."""
    eventually(lambda: status(f"{started.url}/-/ready")[0] == 200 or None, "an agent that is ready")
    eventually(lambda: started.node["gpus"] or None, "GPUs")
    return started


def test_an_agent_meters_all_gpus_and_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    """Eight simulated GPUs that nobody holds, healthy and ready; one line of log each for address and GPUs."""
    with agent(tmp_path, environ) as started:
        node = ready(started).node
        assert node["simulated"]
        assert [gpu["state"] for gpu in node["gpus"]] == ["unheld"] * 8
        assert status(f"{started.url}/-/healthy")[0] == 200
        assert status(f"{started.url}/nothing")[0] == 404
        assert started.stop() == 0
        assert "metering 8 × H100 80GB HBM3" in started.said
        assert "Traceback" not in started.said


def test_a_wrappers_run_is_named_and_ends(environ: dict[str, str], tmp_path: Path) -> None:
    """It announces itself, holds its GPUs while it runs, and its end is told as it ended."""
    beside = environ | {"COSTMETER_AGENT": str(tmp_path / "agent.sock"), "COSTMETER_RUN_ID": "r-beside"}
    job = [COSTMETER, "run", "-q", "--simulate", "healthy", "--gpus", "0,1", "--", "sleep", "6"]
    with agent(tmp_path, environ) as started:
        ready(started)
        with subprocess.Popen(job, env=beside) as wrapped:
            held = eventually(lambda: started.run("r-beside")["gpus"] or None, "GPUs of the run")
            assert len(held) == 2
            assert wrapped.wait(PATIENCE_SECONDS) == 0
        ended = eventually(lambda: started.run("r-beside")["outcome"], "an outcome")
        assert ended == "ok"
        assert started.stop() == 0
    [journal] = (tmp_path / "state" / "node").glob("*.jsonl")
    assert any(isinstance(record, RunSeen) and record.facts.run == "r-beside" for record in all_records(journal, []))


def test_counters_go_on_after_a_stop_and_after_a_kill(environ: dict[str, str], tmp_path: Path) -> None:
    """Stopped orderly, killed, and started again: what the node's GPUs have cost never gets less."""
    seen = Decimal(0)
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with agent(tmp_path, environ) as started:
            ready(started)
            assert spent(started) >= seen
            before = spent(started)
            seen = eventually(lambda: more(started, before), "a tick")  # noqa: B023 - asked at once
            started.process.send_signal(end)
            code = started.process.wait(PATIENCE_SECONDS)
            assert code == (0 if end == signal.SIGTERM else -signal.SIGKILL)
            assert "Traceback" not in started.said
    journals = sorted((tmp_path / "state" / "node").glob("*.jsonl"))
    assert [outcomes(path) for path in journals] == [["ok"], [], ["ok"]]


def test_the_pages_and_the_file_show_the_same_gpus(environ: dict[str, str], tmp_path: Path) -> None:
    """Metrics by HTTP and for node_exporter: the same counters; the landing page names the GPUs.

    The file that stays when the agent has ended tells nothing that only holds while somebody looks.
    """
    folder = tmp_path / "textfile"
    folder.mkdir()
    with agent(tmp_path, environ, "--textfile", str(folder)) as started:
        ready(started)
        code, page = status(f"{started.url}/metrics")
        assert code == 200
        families = {family.name for family in text_string_to_metric_families(page)}
        assert "costmeter_gpu_cost_usd" in families
        code, landing = status(started.url)
        assert (code, "H100" in landing) == (200, True)
        assert started.stop() == 0
    written = (folder / "costmeter-agent.prom").read_text()
    stays = {family.name for family in text_string_to_metric_families(written)}
    assert stays < families
    assert {"costmeter_gpu_cost_usd", "costmeter_gpu_energy_kwh", "costmeter_gpu_time_seconds"} <= stays
    assert not stays & {"costmeter_gpu_power_watts", "costmeter_gpu_holder_info", "process_cpu_seconds"}


HANGING = """
devices:
  - name: NVIDIA H100 80GB HBM3
    count: 2
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    energy_counter: {start: 5 J}
    load: {shape: constant, power: 300 W, utilization: 60 %}
faults:
  - {kind: hang, devices: [1], at: 2 s, for: 1 h}
"""


def test_a_driver_that_hangs_keeps_no_agent_from_serving_or_ending(environ: dict[str, str], tmp_path: Path) -> None:
    """One GPU's calls never return: the other one is read on, and TERM ends the agent with a footer."""
    scenario = tmp_path / "hanging.yaml"
    scenario.write_text(HANGING)
    with agent(tmp_path, environ, "--simulate", str(scenario)) as started:
        ready(started)
        eventually(lambda: utilizations(started) == [True, False] or None, "a GPU that hangs")
        assert status(f"{started.url}/-/healthy")[0] == 200
        assert started.stop() == 0
    [journal] = (tmp_path / "state" / "node").glob("*.jsonl")
    assert outcomes(journal) == ["ok"]


def utilizations(started: StartedAgent) -> list[bool]:
    """Of every GPU, whether it says what it does."""
    return [gpu["state"] != "unknown" and gpu["utilization"] is not None for gpu in started.node["gpus"]]


def test_a_state_that_cannot_be_written_is_told_and_metered_all_the_same(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """A file stands where the folder should be: a warning, metrics from memory that say so, and an orderly end."""
    (tmp_path / "file").write_text("")
    with agent(tmp_path, environ, "--state", str(tmp_path / "file")) as started:
        ready(started)
        eventually(lambda: (not started.node["health"]["journal_writable"]) or None, "a journal that is not written")
        eventually(lambda: "the journal is not being saved" in started.said or None, "a warning")
        assert started.stop() == 0
        assert "Traceback" not in started.said


def test_hup_and_a_post_load_prices_anew(environ: dict[str, str], tmp_path: Path) -> None:
    """A new price holds from then on; a faulty file changes nothing, and is told to who asked and in the log."""
    config = tmp_path / "site.yaml"
    config.write_text("gpu: {price: 1}\n")
    with agent(tmp_path, environ, "--config", str(config)) as started:
        assert Decimal(ready(started).node["now"]["per_hour"]) == 8
        config.write_text("gpu: {price: 2}\n")
        started.process.send_signal(signal.SIGHUP)
        eventually(lambda: Decimal(started.node["now"]["per_hour"]) == 16 or None, "the new price")
        assert "settings loaded anew (SIGHUP)" in started.said
        config.write_text("gpu: {prise: 3}\n")
        code, told = status(f"{started.url}/-/reload", "POST")
        assert code == 500
        assert 'unknown key "gpu.prise"' in told or 'unknown key "prise"' in told
        config.write_text("currency: EUR\ngpu: {price: 3}\n")
        assert "currency" in status(f"{started.url}/-/reload", "POST")[1]
        assert Decimal(started.node["now"]["per_hour"]) == 16
        assert started.stop() == 0
        assert "settings not loaded anew (POST from 127.0.0.1), the old ones hold" in started.said


OWNED = """gpu: {{billing: owned, owned: {{purchase: 30000, expected_use: 0.5}}}}
electricity: {{price: {price}}}
"""


def test_a_price_that_becomes_negative_is_on_the_page_at_zero_first(environ: dict[str, str], tmp_path: Path) -> None:
    """Prometheus sees credits rise from 0: they are absent, then 0 while the node's cost has them, for a minute.

    The agent says at its start that it adds no idle share, which a wrapper under the same settings does.
    """
    config = tmp_path / "site.yaml"
    config.write_text(OWNED.format(price="0.10"))

    def credited() -> list[float]:
        families = text_string_to_metric_families(status(f"{started.url}/metrics")[1])
        return [s.value for family in families for s in family.samples if s.name == "costmeter_gpu_credit_usd_total"]

    with agent(tmp_path, environ, "--config", str(config)) as started:
        ready(started)
        assert "gpu.owned.expected_use adds no idle_share here" in started.said
        assert [] == credited()
        config.write_text(OWNED.format(price="-1000"))
        before = spent(started)
        started.process.send_signal(signal.SIGHUP)
        eventually(lambda: spent(started) < before or None, "what was paid back")
        assert [0.0] * 8 * 4 == credited()
        assert started.stop() == 0


def test_idleness_and_labels_are_loaded_anew(environ: dict[str, str], tmp_path: Path) -> None:
    """The thresholds and labels of the file hold from then on, in a journal of their own; what is fixed is named."""
    config = tmp_path / "site.yaml"
    config.write_text("labels: {team: nlp}\n")
    with agent(tmp_path, environ, "--config", str(config)) as started:
        ready(started)
        config.write_text("labels: {team: vision}\nidle: {utilization_below: 0.3}\n")
        assert status(f"{started.url}/-/reload", "POST")[0] == 200
        config.write_text("currency: EUR\ntimezone: Asia/Tokyo\n")
        code, told = status(f"{started.url}/-/reload", "POST")
        assert code == 500
        assert "currency cannot change from USD to EUR and timezone cannot change from the machine's to Asia/Tokyo" in (
            told
        )
        assert "systemctl restart" in told
        assert started.stop() == 0
    first, second = (fold_node_path(path).header for path in node_paths(tmp_path / "state" / "node"))
    assert (first.rule.utilization_below, dict(first.labels)) == (0.05, {"team": "nlp"})
    assert (second.rule.utilization_below, dict(second.labels)) == (0.3, {"team": "vision"})


def reload_metric(started: StartedAgent) -> float:
    """Whether the last reload succeeded, by the page."""
    found = re.search(r"^costmeter_config_last_reload_successful (\S+)$", status(f"{started.url}/metrics")[1], re.M)
    assert found
    return float(found[1])


def test_a_web_config_that_becomes_faulty_is_on_the_page(environ: dict[str, str], tmp_path: Path) -> None:
    """It is read again by itself: faulty the page says so, though the settings are good; mended it says that, too."""
    web = tmp_path / "web.yaml"
    web.write_text("{}\n")
    with agent(tmp_path, environ, "--web.config.file", str(web)) as started:
        ready(started)
        assert reload_metric(started) == 1
        web.write_text("nonsense: 1\n")
        eventually(lambda: reload_metric(started) == 0 or None, "a reload that failed")
        started.process.send_signal(signal.SIGHUP)
        eventually(lambda: "settings loaded anew" in started.said or None, "settings loaded anew")
        assert reload_metric(started) == 0
        web.write_text("{}\n")
        eventually(lambda: reload_metric(started) == 1 or None, "a reload that succeeded")
        assert started.stop() == 0


@pytest.mark.skipif(not compiled.has_compiler(), reason="needs gcc")
@pytest.mark.parametrize("what", ["state", "journals"])
def test_a_disk_that_hangs_at_the_start_keeps_no_agent_from_metering(
    environ: dict[str, str], tmp_path: Path, what: str
) -> None:
    """Folder or files never answer: within seconds the page has values from memory, beginning at 0, and says so."""
    with agent(tmp_path, environ) as before:
        ready(before)
        assert before.stop() == 0
    [journal] = (tmp_path / "state" / "node").glob("*.jsonl")
    stuck = str(tmp_path / "state") if what == "state" else str(journal)
    hung = environ | {"LD_PRELOAD": str(compiled.library("stuck_disk")), "STUCK_PATH": stuck}
    with agent(tmp_path, hung) as started:
        ready(started)
        assert "counters begin at 0" in started.said
        assert "the disk did" in started.said or "the disk does" in started.said
        eventually(lambda: spent(started) or None, "costs")
        assert not started.node["health"]["journal_writable"]
        assert started.stop() == 0
        assert "Traceback" not in started.said


def test_what_another_agent_has_is_refused_by_name(environ: dict[str, str], tmp_path: Path) -> None:
    """The state, the socket and the address: each is refused with who has it and what to type."""
    with agent(tmp_path, environ) as started:
        ready(started)
        by = f"in use by pid {started.process.pid} (costmeter agent, up "
        address = started.url.removeprefix("http://")
        other = tmp_path / "other"
        other.mkdir()
        socket, state = str(tmp_path / "agent.sock"), str(tmp_path / "state")
        for options, what, otherwise in (
            ((), state, "--state DIR"),
            (("--state", str(other)), socket, "--socket PATH"),
            (("--state", str(other), "--socket", str(other / "s"), "--web.listen-address", address), address, ":"),
        ):
            code, told = refused(tmp_path, environ, *options)
            assert (code, told.count("\n")) == (125, told.count("costmeter agent: "))
            assert f"{what} is {by}" in told
            assert f"Use it: costmeter top --from {address}. Or: " in told
            assert otherwise in told


@pytest.mark.parametrize("what", ["address", "socket", "web"])
def test_a_refused_start_leaves_nothing_behind(what: str, environ: dict[str, str], tmp_path: Path) -> None:
    """Whatever is in use or faulty: one line, with our name before it, and no folder that was not there before."""
    (tmp_path / "web.yml").write_text("users: {}\n")
    with agent(tmp_path, environ) as started:
        ready(started)
        new = tmp_path / "new"
        options = {
            "address": ("--socket", str(new / "s"), "--web.listen-address", started.url.removeprefix("http://")),
            "socket": (),
            "web": ("--socket", str(new / "s"), "--web.config.file", str(tmp_path / "web.yml")),
        }[what]
        code, told = refused(tmp_path, environ, "--state", str(new / "state"), *options)
    assert (code, told.count("\n"), told.startswith("costmeter agent: ")) == (125, 1, True), told
    assert not new.exists()


def test_the_file_of_an_agent_that_was_stopped_tells_of_no_gpu_any_more(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """`--textfile DIR`: while it runs the page without the process; afterwards what it counted, and no gauge."""
    file = tmp_path / "costmeter-agent.prom"
    with agent(tmp_path, environ, "--textfile", str(tmp_path)) as started:
        eventually(lambda: file.exists() or None, "a file")
        assert "process_" not in file.read_text()
        assert "\ncostmeter_journal_writable " in file.read_text()
        assert "\nprocess_open_fds " in status(f"{started.url}/metrics")[1]
        assert '\ncostmeter_http_requests_total{code="404"} 0' in status(f"{started.url}/metrics")[1]
        assert started.stop() == 0
    left = {line.partition("{")[0].partition(" ")[0] for line in file.read_text().splitlines() if line[0] != "#"}
    assert "costmeter_gpu_cost_usd_total" in left
    assert [name for name in left if not name.endswith("_total")] == []


def test_everything_wrong_with_the_command_line_is_told_at_once(environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2, a line for each, nothing started."""
    wrong = ("--web.listen-address", "here:there", "--interval", "0", "--max-runs", "many", "--textfile", "/nowhere")
    code, told = refused(tmp_path, environ, *wrong)
    assert code == 2
    assert [option for option in wrong[::2] if option not in told] == []
    assert not (tmp_path / "state").exists()


def test_a_faulty_config_refuses_and_a_faulty_found_file_warns(environ: dict[str, str], tmp_path: Path) -> None:
    """As with every command: 125 for a file that was named, a warning for one that was found."""
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("gpu: {prise: 3}\n")
    code, told = refused(tmp_path, environ, "--config", str(faulty))
    assert code == 125
    assert "faulty.yaml:1:7" in told
    found = Path(environ["XDG_CONFIG_HOME"], "costmeter", "config.yaml")
    found.parent.mkdir()
    found.write_text("gpu: {prise: 3}\n")
    with agent(tmp_path, environ) as started:
        ready(started)
        assert "config.yaml:1:7" in started.said
        assert started.stop() == 0


@pytest.mark.skipif(not MAY_ISOLATE, reason="no process namespace of its own may be had here")
def test_an_agent_is_process_1_of_a_container(environ: dict[str, str], tmp_path: Path) -> None:
    """Where no signal without a handler reaches it, TERM still stops it orderly."""
    unshared = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    with agent(tmp_path, environ, before=unshared) as started:
        ready(started)
        [inner] = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children").read_text().split()
        os.kill(int(inner), signal.SIGTERM)
        assert started.process.wait(PATIENCE_SECONDS) == 0
    [journal] = (tmp_path / "state" / "node").glob("*.jsonl")
    assert outcomes(journal) == ["ok"]
