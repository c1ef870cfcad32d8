"""How much the random tests try: little at each change, ten times as much with HYPOTHESIS_PROFILE=deep.

A property whose example costs more than 20 ms says how many it tries, so that none takes longer than a second or two:
`@examples(30)`. They differ from run to run, so that many short runs see what one long one does.
"""

import os
from typing import Any

from hypothesis import settings

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
TIMES = 10 if DEEP else 1

# How long an example takes says nothing about whether it is right.
settings.register_profile("costmeter", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=1_000)
settings.load_profile("deep" if DEEP else "costmeter")


def examples(count: int, **how: Any) -> settings:
    """The settings of a property that tries so many examples."""
    return settings(max_examples=deeply(count), **how)


def deeply(count: int) -> int:
    """So many cases of a test that throws its own dice, ten times as many in a deep run."""
    return count * TIMES
