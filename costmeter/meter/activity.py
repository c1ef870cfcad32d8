"""Whether a held GPU was computing: `busy`, `idle` or `unknown`, decided once per interval and never revised."""

from dataclasses import dataclass
from typing import Literal

from costmeter.readings import Missing

#: `busy` computes; `idle` is held and does not; `unknown` is when nobody could say.
State = Literal["busy", "idle", "unknown"]
STATES: tuple[State, ...] = ("busy", "idle", "unknown")
#: What a GPU is, on a node, that nobody holds, whatever it does.
UNHELD = "unheld"


@dataclass(frozen=True, slots=True)
class IdleRule:
    """When a held GPU counts as idle. Written into the journal, so that a reader knows what `idle` meant.

    Utilization below `utilization_below` is idle. So is a GPU that claims more than 95 % utilization and draws less
    than `spin_power_below` of its power limit: a kernel that spins, waiting for a peer that never answers.
    """

    utilization_below: float = 0.05
    spin_power_below: float = 0.2


SPINNING_ABOVE = 0.95


def state(
    rule: IdleRule,
    utilization_ratio: float | Missing,
    power_watts: float | Missing,
    power_limit_watts: float | Missing,
) -> State:
    """The state of one interval from what the device said at its end and its mean power over it.

    Without utilization nobody can say. Without power or limit, utilization alone decides.
    """
    if isinstance(utilization_ratio, Missing):
        return "unknown"
    if utilization_ratio < rule.utilization_below:
        return "idle"
    if (
        utilization_ratio <= SPINNING_ABOVE
        or isinstance(power_watts, Missing)
        or isinstance(power_limit_watts, Missing)
    ):
        return "busy"
    return "idle" if power_watts < rule.spin_power_below * power_limit_watts else "busy"
