"""Where an agent keeps its state, and what the one before it left there; on a disk that may not answer.

Nothing waits for such a disk for longer than a few seconds: counters begin at nothing then, and are shown from memory
until it answers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from costmeter.clock import Clock
from costmeter.ledger.node.journal import Restored, node_folder, restored
from costmeter.ledger.node.record import Opening
from costmeter.ledger.record import Header
from costmeter.runtime.agent.lock import AgentLock, InUse
from costmeter.runtime.agent.places import STATE, state_folder
from costmeter.runtime.patience import answered

Answer = TypeVar("Answer")

#: A disk has so long to say whether it is there. Tired ones answer within tenths of a second.
ANSWER_SECONDS = 2.0
#: And so long to give back the last day, which for 64 GPUs is read in a second or two.
RESTORE_SECONDS = 5.0


class AgentState:
    """The folder of an agent's journals, which is its alone while it runs."""

    def __init__(self, asked: str | None, environ: Mapping[str, str], is_simulated: bool) -> None:
        self._is_silent = False
        found = self._ask(ANSWER_SECONDS, lambda: state_folder(asked, environ, is_simulated).resolve())
        self.folder = node_folder(found if isinstance(found, Path) else STATE)
        self._lock = AgentLock(self.folder / ".lock")

    def look(self, clock: Clock) -> None:
        """Raise InUse where another agent has it; leave nothing there."""
        refusal = self._ask(ANSWER_SECONDS, lambda: self._lock.look(str(self.folder.parent), "--state DIR", clock))
        if isinstance(refusal, InUse):
            raise refusal

    def lock(self, clock: Clock, warn: Callable[[str], None]) -> None:
        """Take it. Raises InUse where another agent has it. Where no lock can be made there is none, and a warning."""
        refusal = self._ask(ANSWER_SECONDS, lambda: self._lock.take(str(self.folder.parent), "--state DIR", clock))
        if isinstance(refusal, InUse):
            raise refusal
        if isinstance(refusal, OSError):
            why = refusal.strerror or refusal
            warn(f"{self.folder / '.lock'}: {why}; two agents would not notice each other")

    def keep(self, clock: Clock) -> None:
        """Lock it anew where somebody removed the folder. Raises InUse where another agent has it since."""
        self._lock.keep(str(self.folder.parent), "--state DIR", clock)

    def left(self, header: Header, runtime: Path | None) -> Restored:
        """Where the counters begin: where those of the agent before this one ended, or at nothing."""
        found = self._ask(RESTORE_SECONDS, lambda: restored(self.folder, header, runtime))
        if isinstance(found, Restored):
            return found
        # Garbled as nobody thought of, or not answered: at nothing, which is an ordinary reset.
        wrong = str(found) if isinstance(found, TimeoutError) else f"{type(found).__name__}: {found}"
        return Restored(Opening(header.anchor.utc(header.start_ns)), why_zero=f"{self.folder}: {wrong}")

    def let_go(self) -> None:
        """Another agent may have it."""
        self._lock.let_go()

    def _ask(self, seconds: float, question: Callable[[], Answer]) -> Answer | Exception:
        """What the disk answers, or what went wrong. One that was silent once is not waited for again."""
        if self._is_silent:
            return TimeoutError("the disk does not answer")
        try:
            return answered(seconds, question)
        except TimeoutError:
            self._is_silent = True
            return TimeoutError(f"the disk did not answer within {seconds:.0f} s")
        except Exception as problem:
            return problem
