"""Progress: how far a run says it has come, in the units of its own training loop."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps and tokens done, the last loss, and of how many steps in all. None is what the run never told.

    `loss` is finite: one that is not a number is not told on. `from_steps` and `from_tokens` are where this part of the
    run began to count, above 0: what it did itself is what it got to less those. None there is from nothing. Of a count
    that was told once it is that count, since it takes two that differ to know.
    """

    steps: int | None = None
    tokens: int | None = None
    loss: float | None = None
    of_steps: int | None = None
    from_steps: int | None = None
    from_tokens: int | None = None


def began_at(first: int, second: int) -> int | None:
    """Where a count began of which these were the first two that differ: the first took as much as the second.

    Told 1 and 11, it began at 0, as None; told 1,100 and 1,200, at 1,000. Not above 0 where it fell.
    """
    return max(0, first - (second - first)) or None if second > first else None


#: A run that has told nothing.
UNTOLD = Progress()
#: What a run that tells of its progress, but of no phase, is in.
TRAINING = "training"
#: What a run that tells of its progress was in before it first did.
START_UP = "start-up"
#: The phase whose end is a checkpoint.
CHECKPOINT = "checkpoint"
