"""Every setting with its value and where it came from, in the order of the grammar: what `config show` prints."""

from collections.abc import Iterator

from costmeter.config.build import Merged
from costmeter.config.grammar import Labels, keys
from costmeter.config.parse import Value, Values
from costmeter.config.settings import Effective
from costmeter.meter.charge import Origin

BUILT_IN = "built-in"


def effective(merged: Merged) -> dict[str, Effective]:
    """Settings by dotted name. GPU blocks are `gpu[0].price` and so on, before what holds for every GPU."""
    rows: dict[str, Effective] = {}
    for name, key in keys():
        if name.startswith("gpu.") and name == next(_gpu_names()):
            rows.update(_blocks(merged.blocks))
        if isinstance(key.kind, Labels):
            labels = {at: value for at, value in merged.values.items() if at.startswith(f"{name}.")}
            rows.update({at: _written(value) for at, value in labels.items()} or {name: _default(key.default)})
        elif name in merged.values:
            rows[name] = _written(merged.values[name])
        elif not _is_moot(name, merged):
            rows[name] = _default(key.default)
    return rows


def _gpu_names() -> Iterator[str]:
    return (name for name, _ in keys() if name.startswith("gpu."))


def _blocks(blocks: tuple[Values, ...]) -> dict[str, Effective]:
    return {
        name.replace("gpu.", f"gpu[{position}].", 1): _written(block[name])
        for position, block in enumerate(blocks)
        for name in _gpu_names()
        if name in block
    }


def _is_moot(name: str, merged: Merged) -> bool:
    """Defaults that say nothing: patterns of no block, and what blocks already say."""
    return name.startswith("gpu.match.") or (bool(merged.blocks) and name.startswith("gpu."))


def _written(value: Value) -> Effective:
    return Effective(value.text, Origin("configured", value.place.brief))


def _default(text: str) -> Effective:
    return Effective(text, Origin(BUILT_IN, ""))
