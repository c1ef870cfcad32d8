"""The host's own energy counters: whether a meter is to read them, where they are, and what is said of them."""

from collections.abc import Mapping
from dataclasses import replace

from costmeter.clock import Clock
from costmeter.config.settings import Settings
from costmeter.meter.charge import Origin
from costmeter.readings import Missing
from costmeter.sources.host import HostSource

#: Where the host's /sys is, for containers that mount it elsewhere.
SYSFS_VARIABLE = "COSTMETER_SYSFS"


def sysfs(environ: Mapping[str, str]) -> str:
    """The folder that the host's counters are found in."""
    return environ.get(SYSFS_VARIABLE) or "/sys"


def are_asked(settings: Settings, environ: Mapping[str, str], is_simulated: bool) -> bool:
    """Whether the host's energy is to be measured.

    Beside simulated GPUs this machine's counters mean nothing; a tree that is named for them does.
    """
    return settings.host.source == "auto" and (SYSFS_VARIABLE in environ or not is_simulated)


def open_counters(
    settings: Settings, environ: Mapping[str, str], is_simulated: bool, clock: Clock
) -> tuple[HostSource | None, Settings]:
    """The counters, where they are to be read and can be; and the settings, whose book says which, or why not."""
    if not are_asked(settings, environ, is_simulated):
        return None, settings
    host = HostSource(clock, sysfs(environ))
    zones = host.open()
    settings = replace(settings, book=replace(settings.book, host=host_origin(zones)))
    return None if isinstance(zones, Missing) else host, settings


def host_origin(zones: tuple[str, ...] | Missing) -> Origin:
    """What the host's energy comes from when it is to be measured, or why it is not."""
    if isinstance(zones, Missing):
        return Origin("estimated", f"missing: {zones.reason}")
    return Origin("measured", f"RAPL: {', '.join(zones)}")
