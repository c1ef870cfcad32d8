"""What `doctor` finds at each board: it is read twice, a second apart, all boards at once and none waited for long."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from costmeter.clock import RealClock
from costmeter.errors import SourceError
from costmeter.outputs.gpus import numbers
from costmeter.readings import Device, Missing, Reading, Source, is_identified
from costmeter.runtime.finding import Finding, Verdict
from costmeter.sources.nvml_failures import failure_of
from costmeter.units import NANOSECONDS_PER_SECOND

#: Both looks at a board take at most so long; one that hangs is left behind with its thread.
LOOKS_SECONDS = 3.0
#: A sound counter moves every 0.02 to 0.1 s.
_APART_NS = NANOSECONDS_PER_SECOND
#: A board whose power cannot be read is taken to draw some from this utilization on.
WORKING_FROM = 0.05
_KERNEL_LOG = "sudo dmesg | grep -i xid"

_Said = tuple[Verdict, str, str]


@dataclass(slots=True)
class _Looks:
    """What a board said each time it was asked; fewer than two answers when it hangs."""

    answers: list[Reading | SourceError] = field(default_factory=list)


def findings(source: Source, devices: Sequence[Device]) -> Iterator[Finding]:
    """What is worth saying of each board, and once where it is the same of several. The source is open."""
    boards = {device.board: device for device in devices}
    looks = _look(source, [board for board, device in boards.items() if is_identified(board)])
    indexes: dict[tuple[_Said, str], list[int]] = {}
    for board, device in boards.items():
        for said in _board(device, looks[board]) if is_identified(board) else _nameless(device):
            indexes.setdefault((said, _model(device)), []).append(device.index)
    for ((verdict, text, fix), model), which in indexes.items():
        yield Finding(verdict, f"GPU {numbers(which)}{model}: {text}", fix)
    for device in devices:
        if device.mig is not None:
            slices = f"{device.mig.width} of {device.mig.slices} slices"
            yield Finding("ok", f"GPU {device.index}: {device.uuid} is {_profile(device)}, {slices} of {device.board}")


def _look(source: Source, boards: Sequence[str]) -> Mapping[str, _Looks]:
    clock, looks = RealClock(), {board: _Looks() for board in boards}
    threads = [
        threading.Thread(target=_ask, args=(source, board, looks[board], clock), name="look", daemon=True)
        for board in boards
    ]
    deadline_ns = clock.boottime_ns() + round(LOOKS_SECONDS * NANOSECONDS_PER_SECOND)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline_ns - clock.boottime_ns()) / NANOSECONDS_PER_SECOND)
    return looks


def _ask(source: Source, board: str, looks: _Looks, clock: RealClock) -> None:
    for times in range(2):
        if times:
            clock.wait(threading.Event(), clock.boottime_ns() + _APART_NS)
        try:
            looks.answers.append(source.read(board, slow=True))
        except SourceError as error:
            looks.answers.append(error)


def _nameless(device: Device) -> Iterator[_Said]:
    """A board that did not even say who it is."""
    why = device.method if isinstance(device.method, Missing) else Missing("it does not say who it is")
    known = failure_of(why)
    yield "fail", f"{why.reason}; its time is metered all the same", (known.hint if known else "") or _KERNEL_LOG


def _board(device: Device, looks: _Looks) -> Iterator[_Said]:
    answers = list(looks.answers)
    errors = [answer for answer in answers if isinstance(answer, SourceError)]
    if errors:
        seldom = "" if len(errors) == len(answers) else f" (in {len(errors)} of {len(answers)} looks)"
        yield "fail", f"{errors[-1].message}{seldom}", errors[-1].hint or _KERNEL_LOG
        return
    if len(answers) < 2:
        yield "fail", "the driver does not answer; other GPUs are metered all the same", _KERNEL_LOG
        return
    before, now = (answer for answer in answers if isinstance(answer, Reading))
    yield from _energy(device, before, now)
    yield from _activity(device, now)


def _energy(device: Device, before: Reading, now: Reading) -> Iterator[_Said]:
    counter, power = now.energy_microjoules, now.power_watts
    if isinstance(device.method, Missing):
        yield "warn", f"energy cannot be read ({device.method.reason}); its time is metered all the same", ""
    elif isinstance(counter, Missing):
        yield "warn", f"no energy counter ({counter.reason}); {_instead(power)}", ""
    elif counter == before.energy_microjoules and _works(now):
        yield "warn", f"the energy counter stands still while power is drawn; {_instead(power)}", ""
    if isinstance(power, Missing) and device.method == "counter":
        yield "warn", f"power cannot be read ({power.reason}); energy comes from the counter alone", ""
    if device.scope == "module":
        yield "ok", "energy and power cover the module with its CPU (Grace)", ""


def _instead(power: float | Missing) -> str:
    if isinstance(power, Missing):
        return f"power cannot be read either ({power.reason}), so energy is estimated from utilization"
    return "energy comes from power readings"


def _works(now: Reading) -> bool:
    """Whether power is drawn: a reading says so, or kernels run."""
    if not isinstance(now.power_watts, Missing):
        return now.power_watts > 0
    return not isinstance(now.utilization_ratio, Missing) and now.utilization_ratio >= WORKING_FROM


def _activity(device: Device, now: Reading) -> Iterator[_Said]:
    if device.mig is not None and device.mig.split == "activity":
        yield "ok", "divided (MIG): the driver tells what each instance does; energy is split by that", ""
    elif device.mig is not None:
        yield "warn", "divided (MIG): the driver tells utilization of no instance; busy or idle stays unknown", ""
    elif isinstance(now.utilization_ratio, Missing):
        why = now.utilization_ratio
        known = failure_of(why)
        hint = known.hint if known else ""
        yield "warn", f"utilization cannot be read ({why.reason}); busy or idle stays unknown", hint


def _model(device: Device) -> str:
    if not device.is_identified:
        return ""
    return f" {device.name.partition(' MIG ')[0]}"


def _profile(device: Device) -> str:
    return f"MIG {device.name.partition(' MIG ')[2] or 'instance'}"
