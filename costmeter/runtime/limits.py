"""The budgets of one run, wired up: which of them count, what watches them, and what stops the command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from costmeter.clock import Clock
from costmeter.ledger.record import Budgets, Header, Mark
from costmeter.meter.budget import PROJECT, Budget
from costmeter.outputs.figures import about
from costmeter.runtime import lineage
from costmeter.runtime.nodes import why_no_stop
from costmeter.runtime.recorder import Post
from costmeter.runtime.stopping import Command, Stopper, stop_file

if TYPE_CHECKING:
    from costmeter.runtime.budget import BudgetWatch


@dataclass(frozen=True, slots=True)
class Stop:
    """How the command can be stopped: its pid, what signals it while it lives, and how long it is given.

    `below_us` are the processes below the meter that are not its own; `command` is its command line.
    """

    pid: int
    send: Callable[[int], bool]
    grace_seconds: float
    below_us: Callable[[], list[int]] = lineage.living_orphans
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Voices:
    """To whom a limit speaks: a person, with a line or a warning, and the recorder."""

    tell: Callable[[str], None]
    warn: Callable[[str], None]
    record: Callable[[Budgets | Mark], None]


def applying(budgets: Sequence[Budget], project: str) -> tuple[Budget, ...]:
    """The budgets that a run with this label `project` counts against, each with the project that it is of."""
    found = (replace(each, project=each.project or project) if each.is_of_project else each for each in budgets)
    return tuple(each for each in found if not each.is_of_project or (each.project and each.project == project))


class Limits:
    """The budgets that a run counts against; does nothing where there are none."""

    def __init__(
        self,
        budgets: Sequence[Budget],
        header: Header,
        state: Path,
        zone: tzinfo | None,
        environ: Mapping[str, str],
        clock: Clock,
        told: Voices,
        stop: Stop | None,
        can_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock, self._told = clock, told
        in_force = applying(budgets, header.labels.get(PROJECT, ""))
        why_not = why_no_stop(environ, state, stop.command) if stop is not None else "there is nothing to stop here"
        if why_not and any(budget.on_exceed == "stop" for budget in in_force):
            told.warn(f"budget: not stopped when it is used up, only warned: {why_not}")
            in_force = tuple(replace(budget, on_exceed="warn") for budget in in_force)
        self._stopper: Stopper | None = None
        if stop is not None and any(budget.on_exceed == "stop" for budget in in_force):
            mark, asks_by = lineage.wrapper_mark(), stop_file(environ)
            command = Command(stop.pid, stop.send, mark, asks_by, can_stop, stop.below_us)
            self._stopper = Stopper(command, stop.grace_seconds, clock, self._note, self._tell)
        self._watch: BudgetWatch | None = None
        if in_force:  # reading the journals of others takes half a house of modules
            from costmeter.runtime import budget as watching

            hooks = watching.Hooks(told.record, told.tell, told.warn, self._stop)
            self._watch = watching.BudgetWatch(in_force, header, state, zone, clock, hooks)

    def start(self) -> None:
        """Begin to watch. Returns at once."""
        if self._watch is not None:
            self._watch.start()

    def see(self, post: Post) -> None:
        """Compare what the run has cost by now with every budget; called by the recorder, and never waits."""
        if self._watch is None:
            return
        try:
            self._watch.see(post)
        except Exception as fault:  # the run is counted on, whatever becomes of its budgets
            self._watch = None
            self._told.warn(f"budgets are not watched any more ({type(fault).__name__}: {fault})")

    @property
    def stopper(self) -> Stopper | None:
        """What stops the command, once it has begun to; None where nothing did."""
        return self._stopper if self._stopper is not None and self._stopper.has_begun else None

    def close(self) -> None:
        """The run is over."""
        if self._watch is not None:
            self._watch.close()
        if self._stopper is not None:
            self._stopper.clear()

    def _stop(self) -> str:
        if self._stopper is None:
            return "nothing to stop"
        self._stopper.begin()
        return f"stopping the command, which has {about(self._stopper.grace_seconds)} to save and end"

    def _tell(self, what: str) -> None:
        self._told.tell(f"budget: {what}")

    def _note(self, what: str) -> None:
        self._told.record(Mark(self._clock.utc_ns(), "budget", what))
