"""Calls to a device that faults may strike: refused, garbled, held up, or made with a device that is not listed."""

import threading
from collections.abc import Callable
from typing import Any

from costmeter.sources.simulated.codes import GPU_IS_LOST, INVALID_ARGUMENT, SUCCESS, TIMEOUT
from costmeter.sources.simulated.energy_answers import POWER_AVERAGE, POWER_INSTANT, garbage_power
from costmeter.sources.simulated.faults import strikes, strikes_field
from costmeter.sources.simulated.scenario import FOR_EVER_NS, Fault
from costmeter.sources.simulated.session import Session
from costmeter.sources.simulated.world import SimulatedGpu
from costmeter.units import NANOSECONDS_PER_SECOND

#: How often a hung call looks whether its clock reached the end; a manual clock cannot wake it.
_HANG_LOOK_SECONDS = 0.02

_FIELD_VALUES = "nvmlDeviceGetFieldValues"


class FaultyCalls:
    """The longer way to an answer, for devices that have faults. Holds no lock, so a hung call hinders no other."""

    def __init__(self, seed: int, session: Session, now_ns: Callable[[], int]) -> None:
        self._seed = seed
        self._session = session
        self._now_ns = now_ns
        self._released = threading.Event()

    def release(self) -> None:
        """Let every hung call return TIMEOUT, now and from here on."""
        self._released.set()

    def call(self, name: str, gpu: SimulatedGpu, answer: Callable[..., int], arguments: tuple[Any, ...]) -> int:
        """What a call comes to; one that hung answers with what holds when it returns."""
        if gpu.facts.index not in self._session.listed:
            return INVALID_ARGUMENT
        code = self._struck(name, gpu, arguments)
        if code is not None:
            return code
        now_ns = self._now_ns()
        code = answer(now_ns, *arguments)
        if name == _FIELD_VALUES and code == SUCCESS:
            self._spoil_fields(gpu, now_ns, arguments)
        return code

    def _struck(self, name: str, gpu: SimulatedGpu, arguments: tuple[Any, ...]) -> int | None:
        """What a fault makes of a whole call; None when the device answers after all."""
        assert gpu.faults is not None
        now_ns = self._now_ns()
        for fault in gpu.faults.at(now_ns):
            if not self._strikes(fault, name, gpu, now_ns, arguments):
                continue
            if fault.kind == "lost":
                return GPU_IS_LOST
            if fault.kind == "error":
                return fault.code
            if fault.kind == "hang" and not self._hang(fault.end_ns):
                return TIMEOUT
            if fault.kind == "garbage" and name == "nvmlDeviceGetPowerUsage":
                return garbage_power(fault.milliwatts, arguments[0])
        return None

    def _strikes(self, fault: Fault, name: str, gpu: SimulatedGpu, now_ns: int, arguments: tuple[Any, ...]) -> bool:
        """A call for fields waits for a hung counter or sensor like the function that asks the same."""
        if strikes(fault, name, self._seed, gpu.facts.index, now_ns):
            return True
        return (
            fault.kind == "hang"
            and name == _FIELD_VALUES
            and any(self._strikes_field(fault, value.fieldId, gpu, now_ns) for value in _asked(arguments))
        )

    def _spoil_fields(self, gpu: SimulatedGpu, now_ns: int, arguments: tuple[Any, ...]) -> None:
        """Errors and garbage of single fields, into an answer; the first fault that strikes a field has it.

        What a board does not have stays refused, whatever number stands beside the refusal.
        """
        assert gpu.faults is not None
        errors = [fault for fault in gpu.faults.at(now_ns) if fault.kind == "error"]
        garbage = [fault for fault in gpu.faults.at(now_ns) if fault.kind == "garbage"]
        for value in _asked(arguments):
            struck = next((f for f in errors if self._strikes_field(f, value.fieldId, gpu, now_ns)), None)
            if struck is not None:
                value.nvmlReturn = struck.code
            elif garbage and value.fieldId in (POWER_AVERAGE, POWER_INSTANT):
                value.value.uiVal = garbage[0].milliwatts

    def _strikes_field(self, fault: Fault, field: int, gpu: SimulatedGpu, now_ns: int) -> bool:
        return strikes_field(fault, field, self._seed, gpu.facts.index, now_ns)

    def _hang(self, end_ns: int) -> bool:
        """Block until the instant; False when somebody released the call."""
        if end_ns == FOR_EVER_NS:
            self._released.wait()
            return False
        while (remaining_ns := end_ns - self._now_ns()) > 0:
            if self._released.wait(min(_HANG_LOOK_SECONDS, remaining_ns / NANOSECONDS_PER_SECOND)):
                return False
        return True


def _asked(arguments: tuple[Any, ...]) -> Any:
    """The fields of a call to nvmlDeviceGetFieldValues; none of a malformed one."""
    count, argument = arguments
    return argument._obj[: max(0, count.value)]
