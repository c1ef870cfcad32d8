"""Scenario files: what is read, and what is said about mistakes."""

from pathlib import Path

import pytest

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.errors import ConfigError
from costmeter.sources.simulated import bundled_scenarios, open_library
from costmeter.sources.simulated.fields import Faults, Field
from tests.sources.nodes import STEADY, node

REPOSITORY = Path(__file__).parents[3]
RELOAD = (
    "faults: [{{kind: driver-reload, at: 1 s, for: 1 s, then_devices: {}}}]\n"
    "devices: [{{name: X, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB}}]"
)
GPU = "{name: X, power_limit: 700 W, idle_power: 70 W, memory: 80 GiB"


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        node(text)
    return raised.value.faults


@pytest.mark.parametrize("name", ["healthy", "data-bound", "hang", "preempted", "notebook", "mixed", "team"])
def test_bundled_scenarios_open(name: str) -> None:
    """Each bundled scenario is found by its name and has at least one device."""
    library = open_library(name, yamlfile.load, ManualClock(0))

    assert name in bundled_scenarios()
    assert library.scenario.name == name
    assert library.truth.uuids


def test_scenarios_are_the_same_every_time() -> None:
    """Two openings of one file give equal scenarios, identities included."""
    first, second = (open_library("mixed", yamlfile.load, ManualClock(0)).scenario for _ in range(2))

    assert first == second


def test_an_edited_seed_gives_other_devices() -> None:
    """Another seed gives other UUIDs."""
    assert node(STEADY).truth.uuids != node("seed: 1" + STEADY).truth.uuids


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("devices: []", "a node has 1 to 1024 devices, not 0", id="no-devices"),
        pytest.param("seed: 1", "`devices` is missing", id="devices-missing"),
        pytest.param("x: 1\ndevices: []", "unknown key `x`", id="unknown-key"),
        pytest.param(f"devices:\n  - {GPU}, noize: 1 W}}", "did you mean `noise`?", id="misspelt-key"),
        pytest.param("devices:\n  - {name: X}", "`power_limit` is missing", id="missing-key"),
        pytest.param(f"devices:\n  - {GPU}, load: busy}}", "`busy` is not one of idle", id="unknown-load"),
        pytest.param(f"devices:\n  - {GPU}, noise: 80 W}}", "more than the lowest power", id="noise-too-large"),
        pytest.param(f"devices:\n  - {GPU}, noise: 8}}", "write it like `620 W`", id="unit-missing"),
        pytest.param(f"devices:\n  - {GPU}, count: 0}}", "whole number from 1 to 1024", id="count"),
        pytest.param(f"devices:\n  - {GPU}, count: 2, uuid: G}}", "cannot share one uuid", id="shared-uuid"),
        pytest.param(f"devices:\n  - {GPU}, uuid: G}}\n  - {GPU}, uuid: G}}", "two devices", id="same-uuid"),
        pytest.param(f"devices:\n  - {GPU}, persistence: on}}", "`on` is not one of no, yes", id="flag"),
        pytest.param(f"devices:\n  - {GPU}, faults: [{{kind: los}}]}}", "did you mean `lost`?", id="fault-kind"),
        pytest.param(f"devices:\n  - {GPU}, faults: [{{kind: driver-reload}}]}}", "not one of", id="node-kind"),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: spike, power: 1 W}}]}}", "spike needs a length", id="spike-length"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: error, code: UNKNWN}}]}}", "did you mean `UNKNOWN`", id="code"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: [{{shape: constant}}, {{shape: constant}}]}}",
            "only the last piece may go on for ever",
            id="endless-piece",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: {{repeat: [{{shape: constant}}]}}}}", "needs a length", id="endless-repeat"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: {{shape: ramp, to_power: 90 W}}}}", "a ramp needs a length", id="endless-ramp"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: {{shape: constant, utilization: 101 %}}}}", "above 100 %", id="percent"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: {{shape: training, step: 1 s, wait_for: 1 s, compute: {{}}, wait: {{}}}}}}",
            "must be shorter than the step",
            id="wait",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: {{shape: training, step: 1 s, compute: {{}},"
            " evaluation: {after_steps: 4, for: 1 s}, checkpoint: {after_steps: 6, for: 1 s}}}",
            "must be a multiple",
            id="pauses",
        ),
        pytest.param(f"devices:\n  - {GPU}, faults: [{{kind: counter-jump}}]}}", "`energy` is missing", id="jump"),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: counter-fall, energy: 5 W}}]}}", "write it like `2 MJ`", id="fall"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: error, code: UNKNOWN, functions: [field 84]}}]}}",
            "did you mean `field 8",
            id="field",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: hang, functions: [field 83]}}]}}",
            "`field 83` is not one of",
            id="a-field-does-not-hang",
        ),
        pytest.param(RELOAD.format("[0, 2]"), "`2` is not a whole number from 0 to 0", id="then-devices"),
        pytest.param(RELOAD.format("[0, 0]"), "lists a device only once", id="then-devices-twice"),
        pytest.param(
            f"devices:\n  - {GPU}, faults: [{{kind: lost, then_devices: []}}]}}",
            "unknown key `then_devices`",
            id="then",
        ),
        pytest.param(f"devices:\n  - {GPU}, absent_until: soon}}", "write it like `90 s`", id="absent-until"),
        pytest.param(f"devices:\n  - {GPU}, module_power: 9 W}}", "only a device with `grace: yes`", id="module"),
        pytest.param(f"devices:\n  - {GPU}, cores: many}}", "`many` is not a whole number", id="cores"),
        pytest.param(f"devices:\n  - {GPU}, max_sm_clock: 1.9 GHz}}", "not a whole number", id="clock"),
        pytest.param(f"devices:\n  - {GPU}, mig: [{{}}]}}", "`profile` is missing", id="mig-profile-missing"),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 3g}}]}}",
            "`3g` is not a MIG profile; write it like",
            id="mig-profile",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 4c.3g.40gb}}]}}",
            "4 compute slices do not fit in 3",
            id="mig-compute",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 4g.40gb}}, {{profile: 4g.20gb}}]}}",
            "instances of 8 slices do not fit in 7; see `mig_slices`",
            id="mig-slices",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 3g.40gb}}, {{profile: 4g.80gb}}]}}",
            "instances of 120 GB are more than the board's memory",
            id="mig-memory",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 7g.80gb, uuid: GPU-1}}]}}",
            "does not begin with `MIG-`",
            id="mig-uuid",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, count: 2, mig: [{{profile: 7g.80gb, uuid: MIG-1}}]}}",
            "two devices have the uuid `MIG-1`",
            id="mig-same-uuid",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, mig: [{{profile: 7g.80gb, lod: idle}}]}}", "did you mean `load`?", id="mig-key"
        ),
        pytest.param(
            f"devices:\n  - {GPU}, architecture: volta, mig: []}}",
            "boards before ampere cannot be divided",
            id="mig-volta",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, load: idle, mig: [{{profile: 7g.80gb, load: idle}}]}}",
            "the load is the board's or its instances'",
            id="mig-two-loads",
        ),
        pytest.param(
            f"devices:\n  - {GPU}, processes: [{{pid: 1}}], mig: [{{profile: 7g.80gb}}]}}",
            "move `processes` there",
            id="mig-processes",
        ),
        pytest.param("driver: {missing_functions: [nvmlInit_v9]}\n" + STEADY, "nvmlInit_v2", id="function"),
        pytest.param("devices: five", "expected a list", id="no-list"),
        pytest.param("[1, 2]", "expected a block", id="no-block"),
    ],
)
def test_a_mistake_is_explained(text: str, said: str) -> None:
    """Each mistake is one printable line that names the file and says what to do."""
    faults = faults_of(text)

    assert any(said in fault for fault in faults), faults
    assert all(fault.startswith("test.yaml") and "\n" not in fault for fault in faults)


def test_all_mistakes_are_told_at_once() -> None:
    """Three mistakes in three places are three faults, each with its path."""
    faults = faults_of(f"sed: 1\ndevices:\n  - {GPU}, noise: 8, faults: [{{kind: lost, at: soon}}]}}")

    assert [fault.split(": ")[1] for fault in faults] == [
        "devices[0].noise",
        "devices[0].faults[0].at",
        "unknown key `sed`; did you mean `seed`?",
    ]


def test_nodes_with_places_give_lines() -> None:
    """A loader that keeps places lets a fault name its line."""
    with pytest.raises(ConfigError) as raised:
        open_library(
            str(REPOSITORY / "tests/sources/simulated/faulty.yaml"),
            lambda t, f: yamlfile.compose(t, f)[0],
            ManualClock(0),
        )

    assert raised.value.faults[0].partition("faulty.yaml")[2].startswith(":6: devices[0].idle_power:")


def test_an_unknown_name_lists_the_bundled_ones() -> None:
    """A scenario that is neither bundled nor a file is refused with the names there are."""
    with pytest.raises(ConfigError, match="did you mean `healthy`"):
        open_library("helthy", yamlfile.load, ManualClock(0))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A file that is no text is a fault, not a crash."""
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read"):
        open_library(str(file), yamlfile.load, ManualClock(0))


def test_the_documented_example_opens(tmp_path: Path) -> None:
    """The complete example of the reference page is a scenario without faults."""
    page = (REPOSITORY / "docs" / "scenarios.md").read_text(encoding="utf-8")
    file = tmp_path / "example.yaml"
    file.write_text(page.split("<!-- complete example -->\n```yaml\n")[1].split("```")[0], encoding="utf-8")

    assert len(open_library(str(file), yamlfile.load, ManualClock(0)).truth.uuids) == 6


@pytest.mark.parametrize(
    ("word", "nanoseconds"),
    [
        pytest.param("90 s", 90 * 10**9, id="seconds"),
        pytest.param("1.5ms", 1_500_000, id="fraction-without-space"),
        pytest.param("2 min", 120 * 10**9, id="minutes"),
        pytest.param("0.5 h", 1_800 * 10**9, id="hours"),
        pytest.param("30 d", 2_592_000 * 10**9, id="days"),
    ],
)
def test_durations_are_exact(word: str, nanoseconds: int) -> None:
    """A duration is a decimal number and a unit."""
    faults = Faults("t")

    assert Field(word, "x", faults).duration() == nanoseconds
    assert faults.lines == []


@pytest.mark.parametrize("word", ["", "s", "1", "1 week", "-1 s", "0 s", "1e999999999 s", "0.1 ns", "nan s", "1 2 s"])
def test_wrong_durations_are_faults(word: str) -> None:
    """Anything else is a fault with an example."""
    faults = Faults("t")
    Field(word, "x", faults).duration()

    assert len(faults.lines) == 1
