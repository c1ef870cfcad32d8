"""Every error costmeter raises on purpose. Modules raise them; only the command line prints them and exits.

::

    CostmeterError
    ├── ConfigError        settings that cannot be used; carries every fault found, not the first
    ├── UsageError         a command line that cannot be understood
    ├── JournalError       a journal that cannot be read at all
    └── SourceError        a device or driver that did not answer, sorted by what the caller should do
        ├── SourceRetry    try again at the next tick
        ├── DeviceGone     this device will not answer until the driver is opened again
        └── SourceStopped  the driver itself is missing, refused or went away
"""


class CostmeterError(Exception):
    """What happened, and in `hint` what to type next (empty when there is nothing to type)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CostmeterError):
    """The command line cannot be understood; nothing was started."""


class ConfigError(CostmeterError):
    """Settings cannot be used. `faults` holds one printable line each: file, line, what, suggestion."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class JournalError(CostmeterError):
    """A journal that cannot be read at all (missing, or written by a newer costmeter)."""


class SourceError(CostmeterError):
    """A device or its driver did not answer."""


class SourceRetry(SourceError):
    """A passing failure: try again at the next tick."""


class DeviceGone(SourceError):
    """The device fell off the bus or left: it stays silent until the driver is opened again."""


class SourceStopped(SourceError):
    """The driver is missing, refuses us, or was unloaded: open it again before reading anything."""
