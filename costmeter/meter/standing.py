"""Where the account of a board stands, as far as a later meter needs it to go on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands: the counter as it was last believed, and when; what was booked since by other means, and
    how much time as unmeasured.

    It `is_plain` where the counter up to which everything is booked says all of this.
    """

    counter_microjoules: int
    at_ns: int
    booked_microjoules: int = 0
    debt_microjoules: int = 0
    is_frozen: bool = False
    has_failed: bool = False
    unmeasured_nanoseconds: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether the counter was believed last, with nothing owed to it or by it."""
        return not (self.booked_microjoules or self.debt_microjoules or self.is_frozen or self.has_failed)
