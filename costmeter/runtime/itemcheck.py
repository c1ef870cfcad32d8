"""What `doctor` says of line items: one look at each that a run would watch, in the words of a receipt."""

from collections.abc import Iterator, Sequence

from costmeter.meter.item import NOTHING_THERE, LineItem
from costmeter.readings import Missing
from costmeter.runtime.finding import Finding
from costmeter.runtime.items import remark
from costmeter.runtime.patience import within
from costmeter.sources.host_network import NetworkSource
from costmeter.sources.host_storage import Size, measure

#: So long a path, or the network's counters, may take.
LOOK_SECONDS = 1.0


def findings(items: Sequence[LineItem]) -> Iterator[Finding]:
    """One line per watched item; the others have nothing to look at. Paths begin at the working directory."""
    for item in items:
        if item.kind == "path":
            yield _path(item)
        elif item.kind == "network":
            yield _traffic(item)


def _path(item: LineItem) -> Finding:
    slow = Missing(f"its first look takes longer than {LOOK_SECONDS:.0f} s; a run goes on looking")
    found = within(LOOK_SECONDS, lambda: measure(item.path, lambda: True), slow)
    if isinstance(found, Size) and not remark(found):
        return Finding("ok", f"item {item.name}: {found.size_bytes / 1e9:.4g} GB at {item.path} now")
    told = found.reason if isinstance(found, Missing) else remark(found)
    if told == NOTHING_THERE:  # a job may make it, or it is misspelt
        told += " yet"
    return Finding("warn", f"item {item.name}: {told} ({item.path})")


def _traffic(item: LineItem) -> Finding:
    source = NetworkSource()
    counted = within(LOOK_SECONDS, source.read, Missing(f"no counters within {LOOK_SECONDS:.0f} s"))
    if isinstance(counted, Missing):
        return Finding("warn", f"item {item.name}: {counted.reason}")
    chosen = sorted(source.chosen(counted, item.interface))
    if not chosen:
        missing = f'no interface fits "{item.interface}"' if item.interface else "no interface"
        known = f"; there are {', '.join(sorted(counted))}" if item.interface and counted else ""
        return Finding("warn", f"item {item.name}: {missing}{known}")
    return Finding("ok", f"item {item.name}: counts {item.direction} on {', '.join(chosen)}")
