"""The counters of this machine's interfaces, and which of them count."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from costmeter.readings import Missing
from costmeter.sources.host_network import NetworkSource

COUNTED = {"eth0": (1, 2), "eth1": (3, 4), "docker0": (5, 6)}


def tree(folder: Path, flags: Mapping[str, str], hardware: tuple[str, ...] = ()) -> NetworkSource:
    """A /sys in which interfaces have these flags, and some of them a device."""
    for name, text in flags.items():
        interface = folder / "class" / "net" / name
        interface.mkdir(parents=True)
        (interface / "flags").write_text(text)
        if name in hardware:
            (interface / "device").mkdir()
    return NetworkSource(str(folder))


def test_the_kernels_counters_are_read() -> None:
    """This machine's interfaces are those of /proc/net/dev, loopback left out, with counts that are not negative."""
    counted = NetworkSource().read()
    assert not isinstance(counted, Missing)
    names = {line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    assert set(counted) <= names - {"lo"}
    assert all(count >= 0 for pair in counted.values() for count in pair)


def test_loopback_never_counts(tmp_path: Path) -> None:
    """Whatever its name is: the flag says it."""
    names = {line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    assert {} == tree(tmp_path, dict.fromkeys(names, "0x9")).read()


@pytest.mark.parametrize(
    ("expected", "hardware", "pattern"),
    [
        pytest.param({"eth0"}, ("eth0",), "", id="hardware-only"),
        pytest.param({"eth0", "eth1", "docker0"}, (), "", id="all-in-a-container"),
        pytest.param({"eth0", "eth1"}, ("eth0",), "eth*", id="a-pattern"),
        pytest.param({"docker0"}, ("eth0",), "docker0", id="a-name"),
        pytest.param(set(), ("eth0",), "ib*", id="none-that-fits"),
    ],
)
def test_interfaces_are_chosen(expected: set[str], hardware: tuple[str, ...], pattern: str, tmp_path: Path) -> None:
    """A pattern says which; without one a bridge does not carry again what its hardware counts."""
    source = tree(tmp_path, dict.fromkeys(COUNTED, "0x1003"), hardware)
    assert expected == set(source.chosen(COUNTED, pattern))
