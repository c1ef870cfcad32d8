"""What a scrape a minute would have stored of a node, in promtool's notation; the recorder's clock is manual."""

from collections import defaultdict
from itertools import groupby

from costmeter.outputs.nodepage import page
from tests.runtime.heldnode import HeldNode
from tests.runtime.metered import BEGAN_UTC_NS, SECOND

TARGET = 'cluster="paris",instance="gpu01:26786",job="costmeter",namespace="monitoring",pod="costmeter-gpu01"'

Stored = dict[str, list[float | None]]


def stored(agent: HeldNode, minutes: int, tick_ns: int) -> Stored:
    """Every series of the node's pages from now on, a value a minute; times are since the agent began."""
    found: Stored = defaultdict(list)
    for minute in range(minutes + 1):
        for series, value in _scraped(page(agent.snapshot)[0].decode()):
            values = found[series]
            values.extend([None] * (minute - len(values)))
            values.append(value)
        for _ in range(60 * SECOND // tick_ns):
            agent.tick(tick_ns)
            del agent.posts[:-1]
    found[f"up{{{TARGET}}}"] = [1.0] * (minutes + 1)
    return found


def _scraped(text: str) -> list[tuple[str, float]]:
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        own = f",{labels.removesuffix('}')}" if labels else ""
        since = BEGAN_UTC_NS / SECOND if name.endswith("_timestamp_seconds") else 0.0
        found.append((f"{name}{{{TARGET}{own}}}", float(value) - since))
    return found


def written(values: list[float | None]) -> str:
    """In promtool's notation, what repeats as `VxN`, which is N more of it."""
    runs = ((value, len(list(same))) for value, same in groupby(values))
    return " ".join(f"_x{n}" if value is None else f"{value!r}x{n - 1}" for value, n in runs)
