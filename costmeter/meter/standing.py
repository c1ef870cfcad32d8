"""Where the account of a board stands, as far as a later meter needs it to go on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands: the counter as it was last believed, and when; what was booked since by other means, and
    how much time as unmeasured.

    It `is_plain` where all of this is said by the counter up to which everything is booked.
    """

    counter_microjoules: int
    at_ns: int
    booked_microjoules: int = 0
    debt_microjoules: int = 0
    is_frozen: bool = False
    unmeasured_nanoseconds: int = 0

    def is_plain(self, booked_ns: int) -> bool:
        """Whether the counter was believed when time was last booked, with nothing owed to it or by it."""
        return self.at_ns >= booked_ns and not (self.booked_microjoules or self.debt_microjoules or self.is_frozen)
