"""How much each user, or device, may cost the others: saved up to a limit, it comes again with time, and is spent.

Pure: it is told the time. Who spends more than he has saved is in debt, so that nothing is too dear for ever.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass

#: They are forgotten when they have saved all they can; beyond so many, that is looked for.
_MANY = 1_024


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much can be saved, and a unit of it comes again in so many nanoseconds."""

    most: int
    every_ns: int

    @property
    def most_ns(self) -> int:
        """How long it takes until everything is saved, from nothing."""
        return self.most * self.every_ns


class Savings:
    """What each, by uid or name, and all of them together have saved. `for_all` None: only what each has counts."""

    def __init__(self, for_each: Allowance, for_all: Allowance | None = None) -> None:
        self._for_each, self._for_all = for_each, for_all
        #: When everything will be saved again, as it stands; a time that is past: it is.
        self._full_ns: dict[Hashable, int] = {}
        self._all_full_ns = -(2**63)

    def may(self, who: Hashable, at_ns: int) -> bool:
        """Whether somebody has something left to spend.

        The more he has spent himself, the more there has to be left for all: nobody keeps others from what is theirs.
        """
        spent_ns = max(0, self._full_ns.get(who, at_ns) - at_ns)
        if spent_ns >= self._for_each.most_ns:
            return False
        if self._for_all is None:
            return True
        left_ns = self._for_all.most_ns - max(0, self._all_full_ns - at_ns)
        return left_ns > 0 and left_ns * self._for_each.most_ns >= spent_ns * self._for_all.most_ns

    def spend(self, whom: Collection[Hashable], units: int, at_ns: int) -> None:
        """These have cost so much, once for all of them together."""
        for who in whom:
            self._full_ns[who] = max(at_ns, self._full_ns.get(who, at_ns)) + units * self._for_each.every_ns
        if self._for_all is not None and whom:
            self._all_full_ns = max(at_ns, self._all_full_ns) + units * self._for_all.every_ns
        if len(self._full_ns) > _MANY:
            self._full_ns = {who: full_ns for who, full_ns in self._full_ns.items() if full_ns > at_ns}
