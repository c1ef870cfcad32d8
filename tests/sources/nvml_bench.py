"""A source on a node written in the test, on a manual clock, with a driver whose answers a test may change."""

from collections.abc import Callable
from typing import Any

import pynvml

from costmeter.clock import ManualClock
from costmeter.config import yamlfile
from costmeter.readings import Reading
from costmeter.sources.nvml import NvmlSource
from costmeter.sources.simulated import SimulatedLibrary
from costmeter.sources.simulated.reader import scenario
from tests.sources.nodes import STEADY

COUNTER, POWER, UTILIZATION, FIELDS = (
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetFieldValues",
)
NOT_SUPPORTED, TIMEOUT = 3, 10


class ChangedDriver(SimulatedLibrary):
    """A simulated driver that answers some functions as `instead` says, and remembers what it was asked."""

    def __init__(self, text: str, clock: ManualClock) -> None:
        super().__init__(scenario(yamlfile.load(text, "test.yaml"), "test", "test.yaml"), clock, 0)
        self.instead: dict[str, Callable[..., int]] = {}
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        simulated = super().__getattr__(name)

        def call(*arguments: Any) -> Any:
            self.called.append(name)
            answer: Callable[..., Any] = self.instead.get(name, simulated)
            return answer(*arguments)

        return call

    def simulated(self, name: str) -> Callable[..., Any]:
        """What it would answer."""
        return super().__getattr__(name)


class Bench:
    """One source, its driver and its clock."""

    def __init__(self, text: str, probe_seconds: float = 5.0) -> None:
        self.clock = ManualClock(0)
        self.driver = ChangedDriver(text, self.clock)
        self.source = NvmlSource(self.clock, self.driver, probe_seconds)
        self.uuids = self.driver.truth.uuids

    def read(self, slow: bool = False, index: int = 0) -> Reading:
        """What the board at an index says."""
        return self.source.read(self.uuids[index], slow)

    def asked(self, slow: bool = False) -> list[str]:
        """The driver functions that one reading calls."""
        self.driver.called.clear()
        self.read(slow)
        return list(self.driver.called)

    def fields(self, change: Callable[[Any], None]) -> None:
        """Change every field value the driver answers from now on."""

        def answer(handle: Any, count: Any, values: Any) -> int:
            code: int = self.driver.simulated(FIELDS)(handle, count, values)
            for value in values._obj:
                change(value)
            return code

        self.driver.instead[FIELDS] = answer


def fill(**answers: int) -> Callable[..., int]:
    """A function that succeeds and fills its last argument: its members, or its `value`."""

    def answer(*arguments: Any) -> int:
        for member, number in answers.items():
            setattr(arguments[-1]._obj, member, number)
        return 0

    return answer


def let_go() -> None:
    """Take the library of a test from below pynvml, whatever hangs in it."""
    library = pynvml.nvmlLib
    if isinstance(library, SimulatedLibrary):
        library.release_hung_calls()
        library.uninstall()


def faulty(*faults: str) -> str:
    """The steady board of 300 W with these faults."""
    return STEADY + "    faults:" + "".join(f"\n      - {{{fault}}}" for fault in faults) + "\n"


def refusing(code: str, *functions: str, at: str = "1 s") -> str:
    """A fault: these functions fail from an instant on."""
    return f"kind: error, at: {at}, code: {code}, functions: [{', '.join(functions)}]"
