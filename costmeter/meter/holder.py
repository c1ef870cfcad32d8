"""Who holds a GPU on a node: a run, or a user of whom no run is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: By what a holder was found, the surest first: the order in which they are asked.
HolderSource = Literal["announced", "kubernetes", "slurm", "container", "parents", "environment", "user"]
#: A run on a node: the same id of two users is two runs.
RunKey = tuple[int, str]

#: The user of a run of which nobody can say whose it is: a pod without a process, say.
UNKNOWN_UID = -1


def of_user(run: RunKey) -> str:
    """What a run is called where another user has one of the same id: `r-1~1001`. No id has a `~` in it."""
    uid, name = run
    return f"{name}~{uid}"


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """One holder of one GPU, or of several. `run` is empty where only the user is known, who then holds it himself.

    `phase` is what the run says it is doing, `redone` that it does again what it had done before.
    """

    uid: int
    run: str
    user: str
    source: HolderSource
    phase: str = ""
    redone: bool = False

    @property
    def key(self) -> RunKey:
        """Which run this is."""
        return self.uid, self.run

    def without_run(self) -> "Holder":
        """What its user holds where the run cannot be known."""
        return Holder(self.uid, "", self.user, "user")


#: Who holds which device, by its UUID.
HeldBy = Mapping[str, tuple[Holder, ...]]
