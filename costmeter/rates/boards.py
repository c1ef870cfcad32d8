"""What a GPU model draws when idle and at full load: the ends between which an energy is estimated when none is read.

The table is a snapshot of public facts in `data/boards.csv`; its comment header states rule and sources. A MIG
instance's name leads to the figures of its whole board.
"""

import math
from functools import cache

from costmeter.rates.prices import model, rows
from costmeter.readings import PowerRange

#: What an unknown model is taken to draw when idle, as a share of its power limit: the median of idle_w / full_w over
#: the 84 rows of `data/boards.csv`, which run from 0.03 (workstation cards) to 0.19 (H20).
IDLE_SHARE = 0.10


def power_range(name: str) -> PowerRange | None:
    """Idle and full watts of a model by the name the driver reports; None for a model that is not in the table."""
    return _ranges().get(model(name))


def range_of(name: str, limit_watts: float | None) -> PowerRange | None:
    """Idle and full watts of one device: its enforced limit, where that is known, is its full load.

    An unknown model draws IDLE_SHARE of the limit when idle, a known one never more than the limit. A limit that is no
    positive number is as good as none. None when neither model nor limit is known.
    """
    known = power_range(name)
    if limit_watts is None or not (math.isfinite(limit_watts) and limit_watts > 0):
        return known
    idle_watts = limit_watts * IDLE_SHARE if known is None else min(known.idle_watts, limit_watts)
    return PowerRange(idle_watts, limit_watts)


@cache
def _ranges() -> dict[str, PowerRange]:
    ranges: dict[str, PowerRange] = {}
    for row in rows("boards.csv"):
        figures = PowerRange(float(row["idle_w"]), float(row["full_w"]))
        ranges.update(dict.fromkeys(map(model, row["nvml_names"].split("|")), figures))
    return ranges
