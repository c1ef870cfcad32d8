"""The host source: energy counters of processor packages and their memory, RAPL, from the kernel's powercap files.

Counted are packages and the memory (`dram`) beside them. Cores and uncore are inside their package; `psys`, the whole
platform, contains the packages; the control type `intel-rapl-mmio` shows the same packages once more.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from costmeter.clock import Clock
from costmeter.readings import HostReading, Missing, Zone

#: Best first: of two zones with one name, the one found first counts. AMD's processors are under `intel-rapl` too.
_CONTROL_TYPES = ("intel-rapl", "intel-rapl-mmio")
_ZONE = re.compile(r"(?P<type>[a-z-]+):(?P<package>[0-9]+)(?::(?P<part>[0-9]+))?")
_MOST_BYTES = 64  # a counter has at most 20 digits, a zone's name at most 30 letters

_NOT_OPENED = Missing("the host's energy counters were not opened")
_INSTEAD = "or set host.power in watts"


@dataclass(frozen=True, slots=True)
class _Counter:
    """A zone that answered when it was opened, and the file that has its energy."""

    name: str
    path: str
    range_microjoules: int


class HostSource:
    """The host's energy counters below `sysfs`, which is elsewhere in a container that mounts the host's.

    Files are opened anew for each reading. An open one outlives sleep but not a driver that is unloaded: it fails for
    ever, while a path leads to the new driver's file. It also leaves nothing open between readings. The price is
    some 8 µs a zone where an open file would take 1.
    """

    def __init__(self, clock: Clock, sysfs: str = "/sys") -> None:
        self._clock = clock
        self._folder = os.path.join(sysfs, "class", "powercap")
        self._counters: tuple[_Counter, ...] = ()
        self._closed = _NOT_OPENED
        self._unopened: tuple[str, ...] = ()
        self._silent: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each zone that could not be opened, or did not answer in the last reading."""
        return self._unopened + self._silent

    def open(self) -> tuple[str, ...] | Missing:
        """Find the counters that can be read and name them; Missing says why there is none and what to do. Repeatable.

        Counters that cannot be read do not keep the others from counting; `problems` names them.
        """
        self._counters, self._unopened, self._silent = (), (), ()
        try:
            entries = os.listdir(self._folder)
        except FileNotFoundError:
            entries = []
        except OSError as error:
            self._closed = Missing(f"{self._trouble(self._folder, error)}, {_INSTEAD}")
            return self._closed
        counters: dict[str, _Counter] = {}
        problems: dict[str, str] = {}
        for name, entry in self._zones(entries, problems):
            if name in counters or name in problems:
                continue
            try:
                counters[name] = self._counter(name, entry)
            except (OSError, ValueError) as error:
                problems[name] = self._trouble(os.path.join(self._folder, entry, "energy_uj"), error)
        self._unopened = tuple(f"{name}: {problem}" for name, problem in problems.items())
        if not counters:
            self._closed = self._none(list(problems.values()))
            return self._closed
        self._counters = tuple(counters.values())
        return tuple(counters)

    def read(self) -> HostReading | Missing:
        """What every counter says now, and the instant after the last answered; Missing when none did. Never raises.

        A counter that does not answer is left out of this reading and asked again in the next.
        """
        if not self._counters:
            return self._closed
        zones: list[Zone] = []
        silent: list[str] = []
        for counter in self._counters:
            try:
                zones.append(Zone(counter.name, _number(counter.path), counter.range_microjoules))
            except (OSError, ValueError) as error:
                silent.append(f"{counter.name}: {self._trouble(counter.path, error)}")
        self._silent = tuple(silent)
        if not zones:
            return Missing(f"no energy counter of the host answers any more: {silent[0]}")
        return HostReading(self._clock.boottime_ns(), tuple(zones))

    def _zones(self, entries: list[str], problems: dict[str, str]) -> Iterator[tuple[str, str]]:
        """The zones to add up, each with its entry of the folder; what cannot even be named goes to `problems`.

        Two packages of one control type that have one name (the kernel does not forbid it) are told apart by entry.
        """
        packages: dict[str, str] = {}
        for zone in _in_order(entries):
            entry, package = zone[0], f"{zone['type']}:{zone['package']}"
            is_part = entry != package
            if is_part and package not in packages:
                continue  # of psys, or of a package that could not be named
            path = os.path.join(self._folder, entry, "name")
            try:
                name = _line(path)
            except OSError as error:
                problems[entry] = self._trouble(path, error)
                continue
            if is_part and name == "dram":
                yield f"{packages[package]} dram", entry
            elif not is_part and name.startswith("package"):
                beside = [other for key, other in packages.items() if key.startswith(f"{zone['type']}:")]
                packages[package] = f"{name} ({entry})" if name in beside else name
                yield packages[package], entry

    def _counter(self, name: str, entry: str) -> _Counter:
        """A counter that has just answered. Raises OSError when it does not, ValueError when it has no range."""
        folder = os.path.join(self._folder, entry)
        path = os.path.join(folder, "energy_uj")
        _number(path)
        range_uj = _number(os.path.join(folder, "max_energy_range_uj"))
        if range_uj == 0:
            raise ValueError("it counts to 0")
        return _Counter(name, path, range_uj)

    def _none(self, problems: list[str]) -> Missing:
        """Why there is nothing to read: the first counter's problem, or that there is no counter."""
        if problems:
            others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return Missing(f"{problems[0]}{others}, {_INSTEAD}")
        return Missing(
            f"no energy counters (RAPL) in {self._folder}, as on most virtual machines and on ARM; "
            f"on an x86 machine of your own type `sudo modprobe intel_rapl_msr`, {_INSTEAD}"
        )

    def _trouble(self, path: str, error: OSError | ValueError) -> str:
        """Why a file could not be read, and what to do about it."""
        if isinstance(error, PermissionError):
            files = os.path.join(self._folder, "*", "energy_uj")
            return f"{path} may be read by root only: type `sudo chmod a+r {files}`"
        if isinstance(error, FileNotFoundError):
            here = "in a container mount the host's /sys and name it in COSTMETER_SYSFS"
            return f"{path} leads nowhere: its driver was unloaded, or it is hidden; {here}"
        if isinstance(error, OSError):
            return f"{path} cannot be read ({error.strerror})"
        return f"{path} or its range is no counter ({error})"


def _in_order(entries: list[str]) -> list[re.Match[str]]:
    """The entries that are zones of a control type we know: the best type first, each package before its parts."""
    zones = [zone for zone in map(_ZONE.fullmatch, entries) if zone is not None and zone["type"] in _CONTROL_TYPES]
    return sorted(
        zones, key=lambda zone: (_CONTROL_TYPES.index(zone["type"]), int(zone["package"]), int(zone["part"] or -1))
    )


def _number(path: str) -> int:
    """The number in a file. Raises OSError when it cannot be read, ValueError when it holds no such number."""
    number = int(_bytes(path))
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def _line(path: str) -> str:
    return _bytes(path).decode(errors="replace").strip()


def _bytes(path: str) -> bytes:
    """A small file's content, by the three calls it takes: `open()` would make nine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)
