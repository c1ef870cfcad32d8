"""One tariff file: text -> nodes -> tariffs, and every fault at once."""

import os

from costmeter.config.faults import shown, shown_node
from costmeter.config.tariff.reading import Reader
from costmeter.config.tariff.sheet import KEYS, Source, tariff
from costmeter.config.textfile import text
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Sequence, compose
from costmeter.meter.tariff import Tariff


def read_tariffs(path: str, shown_as: str) -> tuple[tuple[Tariff, ...], tuple[Fault, ...]]:
    """Every tariff of a file: the file itself, or its `plans`. Never raises.

    A faulty plan is left out; a fault in what all plans share leaves out all. A key of a plan stands in for
    the same key of the file. A series is read from beside the file.
    """
    content, faults = text(path, shown_as)
    if faults:
        return (), faults
    return parse_tariffs(content, path, shown_as)


def parse_tariffs(content: str, path: str, shown_as: str) -> tuple[tuple[Tariff, ...], tuple[Fault, ...]]:
    """Every tariff of a text that is, or might be, the file at `path`; as `read_tariffs`."""
    root, faults = compose(content, shown_as)
    if root is None:
        return (), faults or (Fault(Place(shown_as, 1, 1), "an empty file; a tariff has at least a price of energy"),)
    if not isinstance(root, Mapping):
        return (), (*faults, Fault(root.place, f"expected a tariff: keys and values, not {shown_node(root)}"))
    reader = Reader()
    common = reader.keys(root, (*KEYS, "plans"), "a tariff")
    plans = common.pop("plans", None)
    unnamed = os.path.splitext(os.path.basename(path))[0]
    written: list[tuple[Node, str]] = [(root, unnamed)]
    if plans is not None:
        listed = reader.items(plans, "plans")
        written = [(plan, f"{unnamed}-{position}") for position, plan in enumerate(listed, start=1)]
        if isinstance(plans, Sequence) and not listed:
            reader.fault(plans, "plans has no plan")
    tariffs: dict[str, Tariff] = {}
    found = [*faults, *reader.faults]
    is_sound = not found  # a misspelt key of the file could be any plan's price
    for node, own in written:
        inner = Reader()
        keys = common if plans is None else common | inner.keys(node, KEYS, "a plan")
        read = tariff(Source(path, shown_as, node, keys), own, inner)
        if read is not None and read.id in tariffs:
            inner.fault(node, f"two plans have the id {shown(read.id)}; give each its own")
        elif read is not None and is_sound:
            tariffs[read.id] = read
        found += [fault for fault in inner.faults if fault not in found]
    return tuple(tariffs.values()), tuple(found)
