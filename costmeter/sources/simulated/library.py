"""The simulated libnvidia-ml.so: an object whose attributes are the driver's functions, for pynvml to call.

It stands where ctypes.CDLL stands in pynvml. A function that the scenario calls missing is an AttributeError, as in a
driver too old to have it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pynvml

from costmeter.clock import Clock
from costmeter.sources.simulated.answers import device_answers
from costmeter.sources.simulated.calls import FaultyCalls
from costmeter.sources.simulated.codes import DEVICE_FUNCTIONS, INVALID_ARGUMENT, UNINITIALIZED
from costmeter.sources.simulated.gpm import Gpm
from costmeter.sources.simulated.handles import board_address, in_memory, instance_address
from costmeter.sources.simulated.listing import listed
from costmeter.sources.simulated.live import LiveProcesses
from costmeter.sources.simulated.mig_answers import instance_answers
from costmeter.sources.simulated.node_answers import NodeAnswers
from costmeter.sources.simulated.scenario import Scenario
from costmeter.sources.simulated.session import Session
from costmeter.sources.simulated.truth import Truth
from costmeter.sources.simulated.world import SimulatedGpu, simulated_gpus

_Answers = dict[str, Callable[..., int]]


class SimulatedLibrary:
    """One node behind the functions of NVML. Safe for threads; `truth` is what really happened on it.

    `live` names the real processes that use it, beside those of the scenario.
    """

    def __init__(
        self, scenario: Scenario, clock: Clock, epoch_boottime_ns: int, live: LiveProcesses | None = None
    ) -> None:
        self.scenario = scenario
        self._live = live or LiveProcesses()
        self.epoch_boottime_ns = epoch_boottime_ns
        self._clock = clock
        self._gpus = simulated_gpus(scenario)
        self.truth = Truth(self._gpus, epoch_boottime_ns)
        self._session = Session(scenario.node_faults, self._now_ns, partial(listed, scenario))
        self._faulty = FaultyCalls(scenario.seed, self._session, self._now_ns)
        self._gpm = Gpm()
        node = NodeAnswers(scenario.driver, self._gpus, self._session, self._gpm, self._now_ns)
        self._functions = {**node.functions(), **self._device_functions()}
        for name in scenario.driver.missing_functions:
            del self._functions[name]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of the driver by its NVML name. Others' packages look these up, so unknown ones just miss."""
        functions: dict[str, Callable[..., Any]] = self.__dict__.get("_functions", {})
        if name in functions:
            return functions[name]
        raise AttributeError(f"undefined symbol: {name}")

    def install(self) -> None:
        """Let pynvml call this library from now on, in the whole process."""
        _replace_library(self)

    def uninstall(self) -> None:
        """Let pynvml load the real driver when it is next initialised; nothing when another library is installed."""
        if pynvml.nvmlLib is self:
            _replace_library(None)

    def release_hung_calls(self) -> None:
        """Let every hung call return TIMEOUT, now and from here on: the end of a test."""
        self._faulty.release()

    def _now_ns(self) -> int:
        return max(0, self._clock.boottime_ns() - self.epoch_boottime_ns)

    def _device_functions(self) -> dict[str, Callable[..., Any]]:
        devices = [entry for gpu in self._gpus for entry in self._handles(gpu)]
        return {
            name: self._device_function(name, {handle: (gpu, answers[name]) for handle, gpu, answers in devices})
            for name in DEVICE_FUNCTIONS
        }

    def _handles(self, gpu: SimulatedGpu) -> list[tuple[bytes, SimulatedGpu, _Answers]]:
        """A board and its MIG devices, each by its handle, with what it answers. Faults strike the board as a whole."""
        index = gpu.facts.index
        board = device_answers(gpu, lambda own: self._session.listed.index(own), self._live)
        board |= self._gpm.answers(gpu, None)
        handles = [(in_memory(board_address(index)), gpu, board)]
        for instance in gpu.facts.mig or ():
            answers = instance_answers(gpu, instance, board, self._live) | self._gpm.answers(gpu, instance)
            handles.append((in_memory(instance_address(index, instance.place)), gpu, answers))
        return handles

    def _device_function(
        self, name: str, devices: dict[bytes, tuple[SimulatedGpu, Callable[..., int]]]
    ) -> Callable[..., int]:
        """The checks every device call makes, then its answer. This is the hot path of simulated months."""
        boottime_ns, epoch_ns, session = self._clock.boottime_ns, self.epoch_boottime_ns, self._session
        faulty = self._faulty.call

        def call(handle: Any, *arguments: Any) -> int:
            found = devices.get(bytes(handle))
            now_ns = boottime_ns() - epoch_ns
            if now_ns < 0:
                now_ns = 0
            if now_ns >= session.good_until_ns:
                return UNINITIALIZED
            if found is None:
                return INVALID_ARGUMENT
            gpu, answer = found
            if gpu.faults is not None:
                return faulty(name, gpu, answer, arguments)
            return answer(now_ns, *arguments)

        return call


def _replace_library(library: SimulatedLibrary | None) -> None:
    pynvml.nvmlLib = library
    # Function pointers of the library before would otherwise be called for ever.
    pynvml._nvmlGetFunctionPointer_cache.clear()
