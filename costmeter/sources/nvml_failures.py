"""What each NVML return code means to a meter: a table from codes to words and to what the caller should do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import pynvml

from costmeter.errors import DeviceGone, SourceStopped
from costmeter.readings import Missing

#: permanent: this value will not come while the driver is open. absent: this value is not there now. passing: ask
#: again at the next tick. gone: the device left. stopped: the driver left.
Kind = Literal["permanent", "absent", "passing", "gone", "stopped"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One return code: what to do about it, in words a person can act on."""

    code: int
    kind: Kind
    reason: str
    hint: str = ""

    @property
    def missing(self) -> Missing:
        """The failure as a value that is not there."""
        return _missing(self.reason)


@lru_cache(maxsize=1024)
def _missing(reason: str) -> Missing:
    """One object for each reason: readings of a GPU that refuses are made every second."""
    return Missing(reason)


_NO_DRIVER_HINT = "install the NVIDIA driver, or try costmeter without a GPU with `--simulate healthy`"
_RESET_HINT = "drain the GPU and run `nvidia-smi --gpu-reset`, or reboot the node"

FAILURES: tuple[Failure, ...] = (
    Failure(1, "stopped", "the NVIDIA driver was unloaded or restarted"),
    Failure(2, "absent", "the driver rejected the question"),
    Failure(3, "permanent", "not supported by this GPU"),
    Failure(4, "absent", "no permission", "run as a user that may read this GPU, or ask the administrator"),
    Failure(5, "passing", "the driver is being initialised"),
    Failure(6, "absent", "not found by the driver"),
    Failure(7, "absent", "the answer did not fit"),
    Failure(8, "gone", "GPU lacks external power", "check the power cables of the GPU"),
    Failure(9, "stopped", "the NVIDIA kernel driver is not loaded", "run `modprobe nvidia`, then `nvidia-smi`"),
    Failure(10, "passing", "the driver timed out"),
    Failure(11, "gone", "GPU has an interrupt problem", _RESET_HINT),
    Failure(12, "stopped", "no NVIDIA driver (libnvidia-ml.so.1 not found)", _NO_DRIVER_HINT),
    Failure(13, "permanent", "not in this driver version", "a newer NVIDIA driver has it"),
    Failure(14, "absent", "the GPU's infoROM is corrupted"),
    Failure(15, "gone", "GPU is lost", _RESET_HINT),
    Failure(16, "gone", "GPU needs a reset", _RESET_HINT),
    Failure(
        17,
        "stopped",
        "the operating system blocks the GPUs",
        "check the device cgroup of this job or container: /dev/nvidiactl must be allowed",
    ),
    Failure(
        18,
        "stopped",
        "driver and libnvidia-ml.so.1 have different versions",
        "reboot, or reload the NVIDIA kernel modules, to finish the driver update",
    ),
    Failure(19, "passing", "GPU is in use by another client"),
    Failure(20, "passing", "the driver is out of memory"),
    Failure(21, "absent", "no data yet"),
    Failure(22, "permanent", "not supported on a vGPU with ECC"),
    Failure(23, "passing", "the driver is out of resources"),
    Failure(24, "absent", "frequency not supported"),
    Failure(25, "permanent", "not in this version of the driver's interface"),
    Failure(26, "permanent", "no longer supported by this driver"),
    Failure(27, "passing", "the driver is not ready"),
    Failure(28, "gone", "GPU not found by the driver"),
    Failure(29, "absent", "GPU is in a state that does not allow it"),
    Failure(30, "absent", "reset type not supported"),
    Failure(
        999, "passing", "unknown driver error", "in a container whose host ran `systemctl daemon-reload`: restart it"
    ),
)
_BY_CODE = {found.code: found for found in FAILURES}
_BY_MISSING = {found.missing: found for found in FAILURES}


def failure(code: int) -> Failure:
    """What a return code means; one that nobody described passes with its number, and is worth another try."""
    found = _BY_CODE.get(code)
    if found is None:
        found = _BY_CODE[code] = Failure(code, "passing", f"driver error {code}")
        _BY_MISSING[found.missing] = found
    return found


def failure_of(missing: Missing) -> Failure | None:
    """The failure that left this value missing; None when it was no return code that did."""
    return _BY_MISSING.get(missing)


def refused(code: int) -> Missing:
    """What a failed call leaves of its value; raises DeviceGone or SourceStopped when more than the value is gone."""
    found = failure(code)
    if found.kind == "gone":
        raise DeviceGone(found.reason, found.hint) from pynvml.NVMLError(code)
    if found.kind == "stopped":
        raise SourceStopped(found.reason, found.hint) from pynvml.NVMLError(code)
    return found.missing


_NOT_IN_BINDINGS = Missing("not in this version of pynvml")


def asked(call: Callable[[], Any]) -> Any:
    """What a pynvml function returns, or what its failure leaves of the value; older bindings have fewer of them."""
    try:
        return call()
    except pynvml.NVMLError as error:
        return refused(error.value)
    except (AttributeError, TypeError):
        return _NOT_IN_BINDINGS
