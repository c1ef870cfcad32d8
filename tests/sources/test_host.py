"""The host source on a tree of real files: which zones count, which cannot be read, and what a person is told."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from costmeter.clock import ManualClock
from costmeter.meter.host import HostAccount, advance
from costmeter.readings import HostReading, Missing, Zone
from costmeter.sources.host import HostSource
from tests.samples import JOULE, SECOND

INTEL_UJ = 262_143_328_850
AMD_UJ = 65_532_610_987
NOBODY = 65534


def zone(sysfs: Path, entry: str, name: str, microjoules: int = 0, range_uj: int = INTEL_UJ) -> Path:
    """One zone as the kernel shows it: a folder among the devices, and a link to it in the class."""
    parents = [entry.rsplit(":", depth)[0] for depth in range(entry.count(":"), 0, -1)]
    folder = sysfs.joinpath("devices", "virtual", "powercap", *parents, entry)
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", str(microjoules)), ("max_energy_range_uj", str(range_uj))):
        (folder / file).write_text(f"{text}\n")
    link = sysfs / "class" / "powercap" / entry
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(folder, link.parent))
    return folder


def server(sysfs: Path) -> Path:
    """Two Intel sockets with memory, the platform around them, and the packages once more by another way."""
    zone(sysfs, "intel-rapl:0", "package-0", 1_000 * JOULE)
    zone(sysfs, "intel-rapl:0:0", "core", 600 * JOULE)
    zone(sysfs, "intel-rapl:0:1", "dram", 100 * JOULE, AMD_UJ)
    zone(sysfs, "intel-rapl:1", "package-1", 2_000 * JOULE)
    zone(sysfs, "intel-rapl:1:0", "dram", 200 * JOULE, AMD_UJ)
    zone(sysfs, "intel-rapl:2", "psys", 9_000 * JOULE)
    zone(sysfs, "intel-rapl:2:0", "dram", 9_000 * JOULE)
    zone(sysfs, "intel-rapl-mmio:0", "package-0", 1_001 * JOULE)
    zone(sysfs, "dtpm:0", "package-7", 5 * JOULE)
    for control_type in ("intel-rapl", "intel-rapl-mmio", "dtpm"):
        (sysfs / "class" / "powercap" / control_type).mkdir()
    return sysfs


def powercap(sysfs: Path) -> Path:
    return sysfs / "class" / "powercap"


def source(sysfs: Path, at_ns: int = 0) -> HostSource:
    return HostSource(ManualClock(0, at_ns), str(sysfs))


def why(answer: object) -> str:
    """The reason of what must be missing."""
    assert isinstance(answer, Missing)
    return answer.reason


def test_packages_and_their_memory_count(tmp_path: Path) -> None:
    """Each package and its memory once: not its cores, not the platform, no package twice, no other control type."""
    host = source(server(tmp_path), at_ns=7)
    assert host.open() == ("package-0", "package-0 dram", "package-1", "package-1 dram")
    assert host.problems == ()
    zones = (
        Zone("package-0", 1_000 * JOULE, INTEL_UJ),
        Zone("package-0 dram", 100 * JOULE, AMD_UJ),
        Zone("package-1", 2_000 * JOULE, INTEL_UJ),
        Zone("package-1 dram", 200 * JOULE, AMD_UJ),
    )
    assert host.read() == HostReading(7, zones)


@pytest.mark.parametrize(
    ("expected", "zones"),
    [
        pytest.param(("package-0",), {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core"}, id="amd"),
        pytest.param(
            ("package-0-die-0", "package-1-die-0", "package-1-die-0 dram"),
            {"intel-rapl:0": "package-0-die-0", "intel-rapl:1": "package-1-die-0", "intel-rapl:1:0": "dram"},
            id="dies",
        ),
        pytest.param(
            ("package-0", "package-1"),
            {"intel-rapl:0": "package-0", "intel-rapl-mmio:0": "package-0", "intel-rapl-mmio:1": "package-1"},
            id="mmio-where-the-other-has-none",
        ),
        pytest.param(("package-0",), {"intel-rapl:0": "psys", "intel-rapl:1": "package-0"}, id="platform-first"),
        pytest.param(
            ("package-2", "package-10"),
            {"intel-rapl:10": "package-10", "intel-rapl:2": "package-2"},
            id="in-the-order-of-numbers",
        ),
        pytest.param(
            ("package-0", "package-0 (intel-rapl:1)", "package-0 (intel-rapl:1) dram"),
            {"intel-rapl:0": "package-0", "intel-rapl:1": "package-0", "intel-rapl:1:0": "dram"},
            id="two-packages-of-one-name",
        ),
    ],
)
def test_which_zones_count(expected: tuple[str, ...], zones: dict[str, str], tmp_path: Path) -> None:
    """Every package is counted once, and its memory beside it."""
    for entry, name in zones.items():
        zone(tmp_path, entry, name)
    host = source(tmp_path)
    assert (expected, ()) == (host.open(), host.problems)


def test_energy_from_files_to_the_account(tmp_path: Path) -> None:
    """A package 100 J before its end goes on to 50 J, and its memory by 20 J: 170 J in the second between."""
    package = zone(tmp_path, "intel-rapl:0", "package-0", INTEL_UJ - 100 * JOULE)
    memory = zone(tmp_path, "intel-rapl:0:0", "dram", 5 * JOULE, AMD_UJ)
    clock = ManualClock(0)
    host = HostSource(clock, str(tmp_path))
    host.open()
    first = host.read()
    clock.advance(SECOND)
    (package / "energy_uj").write_text(f"{50 * JOULE}\n")
    (memory / "energy_uj").write_text(f"{25 * JOULE}\n")
    second = host.read()
    assert isinstance(first, HostReading)
    assert isinstance(second, HostReading)
    assert advance(advance(HostAccount(), first), second).microjoules == 170 * JOULE


@pytest.mark.parametrize("has_folder", [False, True])
def test_a_machine_without_counters(has_folder: bool, tmp_path: Path) -> None:
    """Where the kernel has no powercap, or has it and nothing in it, a person learns why and what else to set."""
    if has_folder:
        powercap(tmp_path).mkdir(parents=True)
    host = source(tmp_path)
    reason = why(host.open())
    assert reason.startswith(f"no energy counters (RAPL) in {powercap(tmp_path)}, ")
    assert "virtual machines" in reason
    assert reason.endswith("or set host.power in watts")
    assert why(host.read()) == reason
    assert host.problems == ()


def test_the_platform_alone_is_no_counter(tmp_path: Path) -> None:
    """A machine that shows only `psys` has no package to count."""
    zone(tmp_path, "intel-rapl:0", "psys")
    assert why(source(tmp_path).open()).startswith("no energy counters (RAPL)")


def test_not_opened(tmp_path: Path) -> None:
    """A source that was not opened says so."""
    assert why(source(server(tmp_path)).read()) == "the host's energy counters were not opened"


@contextmanager
def nobody() -> Iterator[None]:
    """Read as an ordinary user, whoever runs the tests: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree below the working directory, which nobody can reach although the folders above are closed to them."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return Path("sys")


def test_counters_for_root_only(here: Path) -> None:
    """Where no counter may be read, the reason has the file, the command that opens it, and the way around it."""
    for folder in server(here).rglob("energy_uj"):
        folder.chmod(0o400 if os.geteuid() == 0 else 0)
    host = source(here)
    with nobody():
        reason = why(host.open())
    assert reason == (
        "sys/class/powercap/intel-rapl:0/energy_uj may be read by root only: "
        "type `sudo chmod a+r sys/class/powercap/*/energy_uj` (and 3 more), or set host.power in watts"
    )
    assert why(host.read()) == reason
    assert [problem.split(": ")[0] for problem in host.problems] == [
        "package-0", "package-0 dram", "package-1", "package-1 dram"
    ]  # fmt: skip


def test_counters_partly_for_root_only(here: Path) -> None:
    """Those that can be read count; the others are named."""
    (powercap(server(here)) / "intel-rapl:1" / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
    host = source(here)
    with nobody():
        assert host.open() == ("package-0", "package-0 dram", "package-1 dram")
        assert isinstance(host.read(), HostReading)
    (problem,) = host.problems
    assert problem.startswith("package-1: sys/class/powercap/intel-rapl:1/energy_uj may be read by root only: type `")


def test_a_folder_nobody_may_list(here: Path) -> None:
    """A closed folder is a reason like any other."""
    powercap(server(here)).chmod(0)
    with nobody():
        reason = why(source(here).open())
    assert reason.startswith("sys/class/powercap may be read by root only")


def test_counters_that_a_container_hides(tmp_path: Path) -> None:
    """Container engines cover the devices and leave the links of the class: they lead nowhere, and that is said."""
    shutil.rmtree(server(tmp_path) / "devices")
    reason = why(source(tmp_path).open())
    assert reason.startswith(f"{powercap(tmp_path)}/intel-rapl:0/name leads nowhere: ")
    assert "container" in reason
    assert reason.endswith("or set host.power in watts")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        pytest.param("energy_uj", "", "is no counter", id="empty"),
        pytest.param("energy_uj", "many", "is no counter", id="a-word"),
        pytest.param("energy_uj", "-1", "is no counter (-1 is negative)", id="negative"),
        pytest.param("max_energy_range_uj", "0", "is no counter (it counts to 0)", id="no-range"),
        pytest.param("energy_uj", None, "cannot be read (Is a directory)", id="a-directory"),
    ],
)
def test_a_counter_that_makes_no_sense(file: str, content: str | None, told: str, tmp_path: Path) -> None:
    """A file without a number in it keeps its own zone from counting, and is named."""
    path = powercap(server(tmp_path)) / "intel-rapl:0" / file
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    host = source(tmp_path)
    assert host.open() == ("package-0 dram", "package-1", "package-1 dram")
    (problem,) = host.problems
    assert problem.startswith("package-0: ")
    assert told in problem


def names(answer: HostReading | Missing) -> list[str]:
    assert isinstance(answer, HostReading)
    return [zone.name for zone in answer.zones]


def test_a_zone_goes_and_comes_back(tmp_path: Path) -> None:
    """A zone that stops answering is left out and named; a driver loaded anew is read again without another open."""
    host = source(server(tmp_path))
    host.open()
    package = tmp_path / "devices" / "virtual" / "powercap" / "intel-rapl" / "intel-rapl:1"
    package.rename(tmp_path / "away")
    assert names(host.read()) == ["package-0", "package-0 dram"]
    assert [problem.split(": ")[0] for problem in host.problems] == ["package-1", "package-1 dram"]
    (tmp_path / "away").rename(package)
    assert names(host.read()) == ["package-0", "package-0 dram", "package-1", "package-1 dram"]
    assert host.problems == ()


def test_all_zones_go_and_come_back(tmp_path: Path) -> None:
    """When no zone answers, the reading is missing with a reason; when one does, there is a reading again."""
    host = source(server(tmp_path))
    host.open()
    (tmp_path / "devices").rename(tmp_path / "away")
    assert why(host.read()).startswith("no energy counter of the host answers any more: package-0: ")
    assert len(host.problems) == 4
    (tmp_path / "away").rename(tmp_path / "devices")
    assert len(names(host.read())) == 4


def test_opened_again(tmp_path: Path) -> None:
    """A driver that appears after the first look is found by the next, and one that left is gone."""
    host = source(tmp_path)
    assert why(host.open()).startswith("no energy counters")
    server(tmp_path)
    assert host.open() == ("package-0", "package-0 dram", "package-1", "package-1 dram")
    shutil.rmtree(tmp_path / "devices")
    assert isinstance(host.read(), Missing)
    assert why(host.open()) == why(host.read())
    entries = [problem.split(": ")[0] for problem in host.problems]
    assert entries == ["intel-rapl:0", "intel-rapl:1", "intel-rapl:2", "intel-rapl-mmio:0"]


def test_nothing_stays_open(tmp_path: Path) -> None:
    """A reading leaves no file open, not even when it fails."""
    host = source(server(tmp_path))
    host.open()
    before = os.listdir("/proc/self/fd")
    host.read()
    (powercap(tmp_path) / "intel-rapl:0" / "energy_uj").write_text("many")
    host.read()
    assert os.listdir("/proc/self/fd") == before
