"""Simulated nodes for tests: small scenarios as text, below the real pynvml."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pynvml

from costmeter.clock import Clock, ManualClock
from costmeter.config import yamlfile
from costmeter.sources.simulated import SimulatedLibrary
from costmeter.sources.simulated.reader import scenario

SECOND = 1_000_000_000

#: One steady 300 W board: 300 J and 1 s of 60 % utilization for every second. Its counter starts at 5 J.
STEADY = """
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    reserved_memory: 1 GiB
    energy_counter: {start: 5 J}
    load: {shape: constant, power: 300 W, utilization: 60 %}
"""


def node(text: str, clock: Clock | None = None, epoch_boottime_ns: int = 0) -> SimulatedLibrary:
    """The library of a scenario written in a test, with its epoch at the start of a manual clock."""
    read = scenario(yamlfile.load(text, "test.yaml"), "test", "test.yaml")
    return SimulatedLibrary(read, clock or ManualClock(0), epoch_boottime_ns)


@contextmanager
def driver(library: SimulatedLibrary, init: bool = True) -> Iterator[SimulatedLibrary]:
    """pynvml with this library below it, initialised."""
    library.install()
    try:
        if init:
            pynvml.nvmlInit()
        yield library
    finally:
        library.release_hung_calls()
        library.uninstall()


def handle(index: int = 0) -> Any:
    """The handle of a device."""
    return pynvml.nvmlDeviceGetHandleByIndex(index)
