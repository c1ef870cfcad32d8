"""Faults through the installed command: the job never notices, every second is there, and the receipt names each."""

import os
import re
import signal
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, eventually, exact_sum, own_home, receipt

WATTS = 300
BOARD = """
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    load: {shape: constant, power: 300 W, utilization: 60 %}
"""
#: The fault of each GPU of one node, what is told of it, and which share of a run's energy can be seen, at least.
SICK: dict[str, tuple[str, str, float]] = {
    "healthy": ("", "", 1),
    "resets": ("faults: [{kind: counter-reset, at: 4 s}]", "the energy counter was reset", 1),
    "freezes": ("faults: [{kind: counter-frozen, at: 3 s}]", "the energy counter stands still", 1),
    "jumps": ("faults: [{kind: counter-jump, at: 4 s, energy: 2 MJ}]", "the energy counter jumped", 1),
    "falls": ("faults: [{kind: counter-fall, at: 5 s, for: 3 s, energy: 1 MJ}]", "the energy counter returned", 1),
    "lost-for-a-while": ("faults: [{kind: lost, at: 3 s, for: 3 s}]", "answers again (was: GPU is lost)", 1),
    "lost-for-ever": ("faults: [{kind: lost, at: 5 s}]", "GPU is lost", 0.3),
    "hangs-for-ever": ("faults: [{kind: hang, at: 3 s}]", "the driver does not answer", 0.1),
    "unknown-by-chance": (
        # By chance all the time, and for two seconds for sure: chance alone may leave nothing to tell.
        "faults: [{kind: error, code: UNKNOWN, probability: 50 %, at: 2 s}, "
        "{kind: error, code: UNKNOWN, at: 4 s, for: 2 s}]",
        "unknown driver error",
        1,
    ),
    "no-utilization": (
        "faults: [{kind: error, code: NO_PERMISSION, functions: [nvmlDeviceGetUtilizationRates]}]",
        "utilization cannot be read (no permission)",
        1,
    ),
    "power-says-zero": (
        "energy_counter: none\n    faults: [{kind: garbage, at: 3 s, power: 0 W}]",
        "power cannot be read (impossible power reading)",
        0.3,
    ),
}
HOLDS_OUT = ["sh", "-c", 'trap "echo told; exit 7" TERM; echo begins; for n in $(seq 300); do sleep 0.1; done']


def scenario(folder: Path, *boards: str, node: str = "") -> str:
    """A scenario file of steady 300 W boards, each with what is peculiar to it."""
    file = folder / "node.yaml"
    file.write_text("devices:" + "".join(f"{BOARD}    {more}\n" for more in boards) + node)
    return str(file)


def run(folder: Path, file: str, job: list[str]) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The command on a job to its end, and its receipt."""
    with own_home() as environ:
        command = [COSTMETER, "run", "--simulate", file, "--json", str(folder / "receipt.json"), "--", *job]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert "Traceback" not in done.stderr
    return done, receipt(folder / "receipt.json")


def told(of: dict[str, Any], index: int) -> list[str]:
    """What the receipt says of a GPU."""
    uuid = of["devices"][index]["uuid"]
    return [fault["what"] for fault in of["meter"]["faults"] if fault["device"] == uuid]


def all_time_is_there(of: dict[str, Any]) -> bool:
    """Whether every GPU was held for exactly the run, and the states sum to it."""
    length, devices = of["run"]["seconds"], of["devices"]
    held = exact_sum(of["gpu_seconds"])
    return all(row["seconds"] == length for row in devices) and abs(held - length * len(devices)) < Decimal("1e-6")


def test_a_node_of_sick_gpus_is_metered_and_each_fault_is_named(tmp_path: Path) -> None:
    """Eleven GPUs with a fault each, one of them hung for ever: scrapes and signals are answered, and no fault spreads.

    Each GPU draws 300 W. What could be seen is counted, less at most the tick that the hung call makes 2 s late, and
    nothing is counted beyond it.
    """
    file = scenario(tmp_path, *(more for more, _, _ in SICK.values()))
    errors = tmp_path / "stderr"
    with own_home() as environ, errors.open("w") as stderr:
        options = ["--simulate", file, "--listen", "127.0.0.1:0", "--json", str(tmp_path / "receipt.json")]
        meter = subprocess.Popen(
            [COSTMETER, "run", *options, "--", *HOLDS_OUT],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        found = eventually(lambda: re.search(r"http://\S+", errors.read_text()), "the address")
        eventually(lambda: seconds_metered(found[0]) >= 10 or None, "ten seconds of metering, seen by a scrape")
        meter.send_signal(signal.SIGTERM)
        output, _ = meter.communicate(timeout=PATIENCE_SECONDS)
    of = receipt(tmp_path / "receipt.json")
    assert (7, "begins\ntold\n") == (meter.returncode, output)
    assert all_time_is_there(of)
    whole = WATTS * float(of["run"]["seconds"])
    for index, (name, (_, words, share)) in enumerate(SICK.items()):
        joules = float(of["devices"][index]["joules"])
        most = 1.5 if of["devices"][index]["method"] == "estimated" else 1.05
        assert share * whole - 4 * WATTS <= joules <= most * whole, (name, joules, whole)
        assert any(words in said for said in told(of, index)) or not words, (name, told(of, index))
    assert [] == told(of, 0)
    assert 0 == of["devices"][0]["unmeasured_seconds"]


def seconds_metered(address: str) -> float:
    """How long the first GPU has been metered, as its page says."""
    with urlopen(address, timeout=PATIENCE_SECONDS) as page:
        lines = [
            line for line in page.read().decode().splitlines() if line.startswith("costmeter_gpu_time_seconds_total")
        ]
    return sum(float(line.split()[-1]) for line in lines) / len(SICK)


def test_a_reloaded_driver_is_two_lines_of_a_receipt(tmp_path: Path) -> None:
    """Eight GPUs without a driver for a second and a half: what was counted before and after is there, calmly told."""
    file = scenario(tmp_path, "count: 8", node="faults:\n  - {kind: driver-reload, at: 3 s, for: 1500 ms}\n")
    done, of = run(tmp_path, file, ["sh", "-c", "sleep 9; echo works; exit 3"])
    assert (3, "works\n") == (done.returncode, done.stdout)
    lines = [line for line in done.stderr.splitlines() if line.startswith(" Fault ")]
    assert 2 == len(lines), done.stderr
    assert "GPU 0-7: the NVIDIA driver was unloaded or restarted" in lines[0]
    assert "GPU 0-7: answers again; the energy counter was reset" in lines[1]
    assert 16 == len(of["meter"]["faults"])
    assert all_time_is_there(of)
    for row in of["devices"]:
        assert WATTS * (of["run"]["seconds"] - 5) <= row["joules"] <= WATTS * (of["run"]["seconds"] - 1)


def test_a_stopped_meter_loses_nothing(tmp_path: Path) -> None:
    """SIGSTOP of the meter for four seconds: the job runs on, the counter tells its energy, the gap is named."""
    ticks = tmp_path / "ticks"
    ticks.touch()
    job = ["sh", "-c", f"for n in $(seq 80); do echo $n >> {ticks}; sleep 0.1; done; echo works"]
    with own_home() as environ:
        command = [COSTMETER, "run", "--simulate", scenario(tmp_path, ""), "--json", str(tmp_path / "receipt.json")]
        meter = subprocess.Popen([*command, "--", *job], env=environ, stdout=subprocess.PIPE, text=True)
        eventually(lambda: ticks.read_text().count("\n") > 20 or None, "two seconds of the job")
        os.kill(meter.pid, signal.SIGSTOP)
        eventually(lambda: ticks.read_text().count("\n") > 60 or None, "four seconds of the job, its meter stopped")
        os.kill(meter.pid, signal.SIGCONT)
        output, _ = meter.communicate(timeout=PATIENCE_SECONDS)
    of = receipt(tmp_path / "receipt.json")
    assert (0, "works\n") == (meter.returncode, output)
    assert all_time_is_there(of)
    assert 0 == of["unmeasured_gpu_seconds"]
    assert float(of["energy"]["gpu_joules"]) == pytest.approx(WATTS * float(of["run"]["seconds"]), rel=0.05)
    assert any(re.match(r"nothing was read for \d s; energy from its counter", words) for words in told(of, 0))


@pytest.mark.parametrize(
    ("more", "node", "says"),
    [
        pytest.param(
            "", "faults:\n  - {kind: driver-missing}\n", "the NVIDIA kernel driver is not loaded", id="no-driver"
        ),
        pytest.param(
            "", "faults:\n  - {kind: driver-missing, code: NO_PERMISSION}\n", "no permission", id="no-permission"
        ),
        pytest.param("absent_until: 1 h", "", "the NVIDIA driver lists no GPU", id="no-devices"),
    ],
)
def test_nothing_to_meter_is_named(more: str, node: str, says: str, tmp_path: Path) -> None:
    """Without driver, permission or devices the job runs, and both receipt and doctor say why there is nothing."""
    file = scenario(tmp_path, more, node=node)
    done, of = run(tmp_path, file, ["sh", "-c", "echo works; exit 3"])
    assert (3, "works\n") == (done.returncode, done.stdout)
    assert says in done.stderr
    assert any(says in fault["what"] for fault in of["meter"]["faults"])
    assert any(line.startswith("fail") and says in line for line in doctor(file)[1])


def doctor(file: str) -> tuple[int, list[str]]:
    """Exit code and lines of the doctor."""
    with own_home() as environ:
        done = subprocess.run(
            [COSTMETER, "doctor", "--simulate", file],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert "" == done.stderr
    return done.returncode, done.stdout.splitlines()


def test_the_doctor_names_every_fault_that_is_there(tmp_path: Path) -> None:
    """One GPU of each kind of sickness, hung ones among them: a line for each, and an end."""
    boards = {
        "": "",
        "fail  GPU 1: GPU is lost": "faults: [{kind: lost}]",
        "fail  GPU 2: no permission": "faults: [{kind: error, code: NO_PERMISSION}]",
        "no energy counter (no permission); energy comes from power": (
            "faults: [{kind: error, code: NO_PERMISSION, functions: [nvmlDeviceGetTotalEnergyConsumption]}]"
        ),
        "GPU 4 NVIDIA H100 80GB HBM3: the energy counter stands still": "faults: [{kind: counter-frozen}]",
        "GPU 5 NVIDIA H100 80GB HBM3: utilization cannot be read (no permission)": SICK["no-utilization"][0],
        "fail  GPU 6 unknown GPU: the driver does not answer": (
            "faults: [{kind: hang, functions: [nvmlDeviceGetUtilizationRates]}]"
        ),
        "fail  GPU 7: the driver did not answer": "faults: [{kind: hang}]",
        "GPU 8 NVIDIA H100 80GB HBM3: power cannot be read (impossible": "faults: [{kind: garbage, power: 0 W}]",
        "is MIG 3g.40gb, 3 of 7 slices of GPU-": "mig: [{profile: 3g.40gb}]",
        "GPU 10 NVIDIA H100 80GB HBM3: energy and power cover the module": "grace: yes",
    }
    code, lines = doctor(scenario(tmp_path, *boards.values()))
    assert 1 == code
    for words in boards:
        assert any(words in line for line in lines), (words, lines)
    assert not any("GPU 0" in line for line in lines), "a healthy GPU needs no line"
    assert any(line.startswith("ok") and "state directory" in line for line in lines), "what comes after is looked at"


def test_the_doctor_says_what_it_reads_of_the_host(tmp_path: Path) -> None:
    """With counters (RAPL) in a tree that is named for them, the doctor lists them; with none, it says what to do."""
    file = scenario(tmp_path, "")
    zone = tmp_path / "sys" / "class" / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, content in (("name", "package-0"), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")):
        (zone / name).write_text(content)
    for folder, words in ((tmp_path / "sys", "host energy: RAPL: package-0"), (tmp_path, "no host energy: no energy")):
        with own_home() as environ:
            done = subprocess.run(
                [COSTMETER, "doctor", "--simulate", file],
                env=environ | {"COSTMETER_SYSFS": str(folder)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
        assert words in done.stdout
