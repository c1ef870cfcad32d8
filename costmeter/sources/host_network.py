"""Network traffic of this machine: bytes by interface, as the kernel counts them since each interface came up.

Traffic counts for the whole machine, whoever causes it: the kernel keeps no count by process. Loopback never counts.
Without a pattern the interfaces of hardware count, and where there is none, as in a container, all others: a bridge
or a tunnel carries again what its hardware counts already.
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase

from costmeter.readings import Missing

_LOOPBACK_FLAG = 0x8  # IFF_LOOPBACK of <linux/if.h>


class NetworkSource:
    """The counters of this machine's interfaces; `sysfs` is where the kernel says what each of them is."""

    def __init__(self, sysfs: str = "/sys") -> None:
        self._folder = os.path.join(sysfs, "class", "net")

    def read(self) -> Mapping[str, tuple[int, int]] | Missing:
        """Bytes sent and received by interface, loopback left out; Missing with the reason where nobody counts."""
        try:
            import psutil  # 20 ms, and only for runs that pay for traffic

            counters = psutil.net_io_counters(pernic=True, nowrap=False)
        except ImportError:
            return Missing("psutil is not installed")
        except (OSError, RuntimeError, ValueError) as refusal:
            return Missing(str(refusal) or type(refusal).__name__)
        counted = {name: (count.bytes_sent, count.bytes_recv) for name, count in counters.items()}
        return {name: count for name, count in counted.items() if not self._is_loopback(name)}

    def chosen(self, counted: Mapping[str, tuple[int, int]], pattern: str) -> dict[str, tuple[int, int]]:
        """The interfaces a pattern means; of an empty pattern those of hardware, or all where there is none."""
        if pattern:
            return {name: count for name, count in counted.items() if fnmatchcase(name, pattern)}
        hardware = {name: count for name, count in counted.items() if self._is_hardware(name)}
        return hardware or dict(counted)

    def _is_loopback(self, name: str) -> bool:
        try:
            with open(os.path.join(self._folder, name, "flags"), encoding="ascii") as file:
                return bool(int(file.read(), 16) & _LOOPBACK_FLAG)
        except (OSError, ValueError):
            return name == "lo"

    def _is_hardware(self, name: str) -> bool:
        return os.path.exists(os.path.join(self._folder, name, "device"))
