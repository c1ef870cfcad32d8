"""Settings from the environment and from flags: the same grammar, one value each.

`COSTMETER_GPU_PRICE` is `gpu.price`. A value that starts with a bracket or a brace is flow YAML, so that lists, labels
and whole sections fit a variable: `COSTMETER_LABELS='{project: llm}'`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from costmeter.config.faults import meant
from costmeter.config.flags import parse_price
from costmeter.config.grammar import ROOT, Section, keys
from costmeter.config.parse import Layer, parse
from costmeter.config.yamlfile import Fault, Node, Place, Scalar, Sequence, compose
from costmeter.config.yamlfile import Mapping as MappingNode

PREFIX = "COSTMETER_"
#: What people typed, for settings that have a flag of their own.
FLAGS = {
    "gpu.price": "--price",
    "gpu.billing": "--owned",
    "gpu.owned.purchase": "--purchase",
    "electricity.price": "--electricity",
    "electricity.pue": "--pue",
    "carbon.intensity": "--carbon",
    "currency": "--currency",
    "budget": "--budget",
    "budget.amount": "--budget",
    "budget.on_exceed": "--on-budget",
}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper().replace(".", "_")


def spelling(name: str, own: Mapping[str, str] = FLAGS) -> str:
    """What people type on the command line for a setting: a command's own flag, else the one all commands share."""
    return own.get(name) or FLAGS.get(name, name)


def variable_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    """One layer per variable that is set, sections first; a variable whose name is nearly a setting's is a fault."""
    names = {variable(name): name for name in [*_sections(), *(name for name, _ in keys())] if ".match" not in name}
    for spelled, name in sorted(names.items(), key=lambda pair: pair[1].count(".")):
        if environ.get(spelled):
            yield _layer(name, environ[spelled], spelled)
    strangers = [spelled for spelled in environ if spelled.startswith(PREFIX) and spelled not in names]
    faults = [fault for spelled in sorted(strangers) for fault in _misspelled(spelled)]
    if faults:
        yield Layer(faults=tuple(faults))


def flag_layers(flags: Mapping[str, str], own: Mapping[str, str] = FLAGS) -> Iterator[Layer]:
    """One layer per flag, by dotted name. A price on the command line is a rent, whatever the files say of billing.

    Raises UsageError for a price that is none.
    """
    for name, text in flags.items():
        spelled = spelling(name, own)
        if name == "gpu.price":
            yield _layer("gpu.billing", "rental", spelled)
            text = parse_price(text)
        yield _layer(name, text, spelled)


def _layer(name: str, text: str, spelled: str) -> Layer:
    place = Place(spelled)
    node: Node | None = Scalar(text.strip(), place)
    faults: tuple[Fault, ...] = ()
    if text.lstrip().startswith(("[", "{")):
        node, faults = compose(text, spelled)
        node = _at(node, place) if node is not None and spelled.startswith("--") else node
    if node is None:
        return Layer(faults=faults)
    for key in reversed(name.split(".")):
        node = MappingNode(((Scalar(key, place), node),), place)
    layer = parse(node)
    return replace(layer, faults=(*faults, *layer.faults))


def _at(node: Node, place: Place) -> Node:
    """A node with one place for all that is in it: what a flag says is put into braces here, and has no columns."""
    if isinstance(node, Sequence):
        return Sequence(tuple(_at(item, place) for item in node.items), place)
    if isinstance(node, Scalar):
        return replace(node, place=place)
    return MappingNode(tuple((replace(key, place=place), _at(value, place)) for key, value in node.entries), place)


def _sections() -> list[str]:
    """Top-level sections: the only ones that are set whole."""
    return [name for name, entry in ROOT.keys.items() if isinstance(entry, Section)]


def _misspelled(spelled: str) -> Iterator[Fault]:
    """A fault where a variable is nearly a setting's; others are somebody else's affair."""
    from difflib import get_close_matches

    near = get_close_matches(spelled, [variable(name) for name, _ in keys()], n=1, cutoff=0.88)
    if near:
        yield Fault(Place(spelled), f"no such setting{meant(near[0])}")
