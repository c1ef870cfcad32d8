"""The host's own energy counters: what is said of them."""

import pytest

from costmeter.meter.charge import Origin
from costmeter.readings import Missing
from costmeter.runtime.hostcounters import host_origin


@pytest.mark.parametrize(
    ("expected", "zones"),
    [
        pytest.param(Origin("measured", "RAPL: package-0, package-0 dram"), ("package-0", "package-0 dram"), id="read"),
        pytest.param(Origin("estimated", "missing: root only"), Missing("root only"), id="refused"),
    ],
)
def test_the_hosts_energy_has_an_origin(expected: Origin, zones: tuple[str, ...] | Missing) -> None:
    """Counters that are read are named; where none is, the reason is."""
    assert expected == host_origin(zones)
