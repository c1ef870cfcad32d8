"""Every setting with its value and where it came from, in the order of the grammar: what `config show` prints."""

from collections.abc import Iterator

from costmeter.config.build import Merged
from costmeter.config.grammar import Labels, keys
from costmeter.config.parse import Value, Values
from costmeter.config.settings import Effective
from costmeter.meter.charge import Origin

BUILT_IN = "built-in"


def effective(merged: Merged) -> dict[str, Effective]:
    """Settings by dotted name. GPU blocks are `gpu[0].price` and so on, before what holds for every GPU.

    So are budgets, `budget[0].amount`, where there are several.
    """
    rows: dict[str, Effective] = {}
    values = merged.budgets[0] | merged.values if len(merged.budgets) == 1 else merged.values
    for name, key in keys():
        if name == next(_names("gpu")):
            rows.update(_blocks(merged.blocks, "gpu"))
        if name == "budget.amount" and len(merged.budgets) > 1:
            rows.update(_blocks(merged.budgets, "budget"))
        if isinstance(key.kind, Labels):
            labels = {at: value for at, value in merged.values.items() if at.startswith(f"{name}.")}
            rows.update({at: _written(value) for at, value in labels.items()} or {name: _default(key.default)})
        elif name in values:
            rows[name] = _written(values[name])
        elif not _is_moot(name, merged):
            rows[name] = _default(key.default)
    return rows


def _names(section: str) -> Iterator[str]:
    return (name for name, _ in keys() if name.startswith(f"{section}."))


def _blocks(blocks: tuple[Values, ...], section: str) -> dict[str, Effective]:
    return {
        name.replace(section, f"{section}[{position}]", 1): _written(block[name])
        for position, block in enumerate(blocks)
        for name in _names(section)
        if name in block
    }


def _is_moot(name: str, merged: Merged) -> bool:
    """Defaults that say nothing: patterns of no block, and what blocks already say."""
    if name.startswith("budget."):
        return len(merged.budgets) > 1
    return name.startswith("gpu.match.") or (bool(merged.blocks) and name.startswith("gpu."))


def _written(value: Value) -> Effective:
    return Effective(value.text, Origin("configured", value.place.brief))


def _default(text: str) -> Effective:
    return Effective(text, Origin(BUILT_IN, ""))
