"""What the processes of a run say of its progress, made into one state of the run. No socket, no clock, no threads.

Every process sends its whole state (`STEP=1200`, `PHASE=eval`, one a line). Of several, steps and tokens are the
largest; the phase is that of the first that named one, as long as it lives. A process that has ended keeps counting
until another one says otherwise, so that a shell can tell of progress with processes that live for a moment.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from costmeter.meter.progress import CHECKPOINT, TRAINING, UNTOLD, Progress, began_at

#: A datagram longer than this is none of ours.
LONGEST_DATAGRAM = 4_096
#: What a run calls its phases: so many names of so many characters; further ones are told as one.
PHASES_KEPT, LONGEST_NAME = 32, 64
OTHER = "other"
#: Of so many processes states are kept.
SENDERS_KEPT = 256
#: A count beyond this cannot be meant: a hundred times the tokens of the largest run there was.
LARGEST_COUNT = 10**15
_DIGITS = 16
_NONE_YET = "none"
_COUNTS = ("STEP", "TOKENS", "OF", "FROM", "FROM_TOKENS")

#: A process: its pid, and its start time in ticks where it still lived when it was looked at.
Sender = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Message:
    """The state of one process. `phase` None: it names none. `checkpoint`: of its last one, "" before the first, None
    where it does not tell of checkpoints. `can_stop`: it looks whether it shall stop. In `progress` the counts that it
    began from are 0 where it says so, and None where it does not say.
    """

    progress: Progress = UNTOLD
    phase: str | None = None
    checkpoint: str | None = None
    can_stop: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """The state of the run. `checkpoints` counts them; `resumed` is the last step backwards, to and from, and which
    one it was. `redone`: fewer steps are done now than once were.
    """

    phase: str = ""
    progress: Progress = UNTOLD
    redone: bool = False
    checkpoints: int = 0
    resumes: int = 0
    resumed: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Beginning:
    """Where a count began: as the first process that says so has it, else as the first two counts tell.

    Until there are two, with the first: what was done before it may all have been done by another run.
    """

    at: int | None = None
    _first: int | None = None
    _is_found: bool = False
    _is_said: bool = False

    def see(self, count: int | None, said: int | None) -> None:
        """Take the count there is now, and what a process says."""
        if said is not None and not self._is_said:
            self.at, self._is_said, self._is_found = said or None, True, True
        elif self._is_found or count is None:
            return
        elif self._first is None or count < self._first:
            self._first, self.at = count, count or None
        elif count > self._first:
            self.at, self._is_found = began_at(self._first, count), True


@dataclass(slots=True)
class _Known:
    message: Message
    has_named: bool = False


class Tracker:
    """The state of a run, from messages. `lives` says whether a process does; `before` is how far earlier parts got."""

    def __init__(self, lives: Callable[[Sender], bool], before: int | None = None) -> None:
        self._lives = lives
        self._senders: dict[Sender, _Known] = {}
        self._names: set[str] = set()
        self._owner: Sender | None = None
        self._last_checkpoint = ""
        self._furthest = self._position = before
        self._from_steps, self._from_tokens = _Beginning(), _Beginning()
        self.state = State()
        self.bad_values = 0

    @property
    def can_stop(self) -> bool:
        """Whether a process that lives looks whether it shall stop."""
        return any(known.message.can_stop and self._lives(sender) for sender, known in list(self._senders.items()))

    def hear(self, sender: Sender, datagram: bytes) -> None:
        """Take one datagram. What cannot be meant is counted in `bad_values` and otherwise passed over."""
        message, bad = parse(datagram)
        self.bad_values += bad
        if message is None or not self._has_room_for(sender):
            return
        known = self._senders.get(sender)
        before = known.message if known else None
        if known is None:
            known = self._senders[sender] = _Known(message)
        known.message = message
        known.has_named = known.has_named or bool(message.phase)
        self._see_checkpoint(sender, before, message)
        self._see_steps(sender, before, message)
        self._see_phase()

    def sweep(self) -> None:
        """Forget processes that have ended; the phase is now told by the next one, if there is one."""
        for sender in [sender for sender in self._senders if not self._lives(sender)]:
            if any(other != sender for other in self._senders):  # the last one to speak keeps counting
                del self._senders[sender]
        if self._owner not in self._senders:
            self._owner = None
        if self._senders:
            self._see_phase()

    def _has_room_for(self, sender: Sender) -> bool:
        if sender not in self._senders and len(self._senders) >= SENDERS_KEPT:
            self.sweep()
        return sender in self._senders or len(self._senders) < SENDERS_KEPT

    def _see_steps(self, sender: Sender, before: Message | None, message: Message) -> None:
        said, old = message.progress.steps, before.progress.steps if before else None
        told = self._told()
        if said is not None:
            went_back = old is None or said < old
            position = self._position if self._position is not None else said
            if said >= position:
                position = said
            elif went_back:  # others that live may still be further; those that have ended do not count
                alive = [steps for other, steps in told.items() if other == sender or self._lives(other)]
                if max(alive) < position:
                    self._go_back(max(alive), position)
                    position = max(alive)
            self._position = position
            self._furthest = max(position, self._furthest if self._furthest is not None else position)
        steps = self._position if told or self.state.progress.steps is not None else None
        is_redone = steps is not None and self._furthest is not None and steps < self._furthest
        progress = self._progress(steps)
        self._from_steps.see(said, message.progress.from_steps)
        self._from_tokens.see(progress.tokens, message.progress.from_tokens)
        progress = replace(progress, from_steps=self._from_steps.at, from_tokens=self._from_tokens.at)
        self.state = replace(self.state, progress=progress, redone=is_redone)

    def _go_back(self, to_steps: int, from_steps: int) -> None:
        self._last_checkpoint = ""
        resumes = self.state.resumes + 1
        self.state = replace(self.state, resumes=resumes, resumed=(to_steps, from_steps))

    def _told(self) -> dict[Sender, int]:
        steps = ((sender, known.message.progress.steps) for sender, known in self._senders.items())
        return {sender: count for sender, count in steps if count is not None}

    def _progress(self, steps: int | None) -> Progress:
        heard = [known.message.progress for known in self._senders.values()]
        last = self.state.progress
        tokens = [each.tokens for each in heard if each.tokens is not None]
        targets = [each.of_steps for each in heard if each.of_steps is not None]
        with_loss = [each for each in heard if each.loss is not None]
        furthest = max(with_loss, key=lambda each: -1 if each.steps is None else each.steps, default=last)
        return Progress(steps, max(tokens, default=last.tokens), furthest.loss, max(targets, default=last.of_steps))

    def _see_checkpoint(self, sender: Sender, before: Message | None, message: Message) -> None:
        told = message.checkpoint
        if told is None:
            was_saving = before is not None and before.phase == CHECKPOINT and sender == self._owner
            is_new = was_saving and message.phase != CHECKPOINT
        else:
            is_new = bool(told) and (before is None or told != before.checkpoint) and told != self._last_checkpoint
            self._last_checkpoint = told if is_new else self._last_checkpoint
        if is_new:
            self.state = replace(self.state, checkpoints=self.state.checkpoints + 1)

    def _see_phase(self) -> None:
        owner = self._owner
        if owner is None or not self._lives(owner):
            named = [sender for sender, known in self._senders.items() if known.has_named]
            living = [sender for sender in named if self._lives(sender)]
            self._owner = owner = next(iter(living or named[-1:]), None)
        named_now = self._senders[owner].message.phase if owner is not None and owner in self._senders else None
        self.state = replace(self.state, phase=self._kept(named_now or TRAINING))

    def _kept(self, name: str) -> str:
        if name not in self._names and len(self._names) >= PHASES_KEPT:
            return OTHER
        self._names.add(name)
        return name


def parse(datagram: bytes) -> tuple[Message | None, int]:
    """What a datagram says, and how many of its values cannot be meant; None where nothing can be read.

    Unknown keys are for later versions and are passed over.
    """
    if len(datagram) > LONGEST_DATAGRAM:
        return None, 1
    try:
        text = datagram.decode("utf-8")
    except UnicodeDecodeError:
        return None, 1
    pairs = dict(line.partition("=")[::2] for line in text.split("\n") if "=" in line)
    if not pairs:
        return None, 1
    counts = {key: _count(pairs[key]) for key in _COUNTS if key in pairs}
    loss = _loss(pairs["LOSS"]) if "LOSS" in pairs else None
    name = _name(pairs.get("PHASE", ""))
    saved = pairs.get("CHECKPOINT")
    checkpoint = None if saved is None else "" if saved == _NONE_YET else _text(_count(saved))
    bad = sum(count is None for count in counts.values()) + ("LOSS" in pairs and loss is None)
    bad += name is None and "PHASE" in pairs
    bad += checkpoint is None and saved is not None
    steps, tokens, of_steps, from_steps, from_tokens = (counts.get(key) for key in _COUNTS)
    progress = Progress(steps, tokens, loss, of_steps, from_steps, from_tokens)
    return Message(progress, name or None, checkpoint, pairs.get("STOPS") == "1"), bad


def _count(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    count = int(text)
    return count if count <= LARGEST_COUNT else None


def _loss(text: str) -> float | None:
    if len(text) > LONGEST_NAME or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None  # neither NaN nor infinite


def _name(text: str) -> str | None:
    """A phase's name; "" for none, None for one that cannot be printed."""
    name = text.strip()
    return name[:LONGEST_NAME].strip() if name.isprintable() else None


def _text(count: int | None) -> str | None:
    return None if count is None else str(count)
