"""Progress: how far a run says it has come, in the units of its own training loop."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps and tokens done, the last loss, and of how many steps in all. None is what the run never told.

    `loss` is finite: one that is not a number is not told on.
    """

    steps: int | None = None
    tokens: int | None = None
    loss: float | None = None
    of_steps: int | None = None


#: A run that has told nothing.
UNTOLD = Progress()
#: What a run that tells of its progress, but of no phase, is in.
TRAINING = "training"
#: What a run that tells of its progress was in before it first did.
START_UP = "start-up"
#: The phase whose end is a checkpoint.
CHECKPOINT = "checkpoint"
