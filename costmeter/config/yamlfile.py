"""The one YAML loader: text in, nodes out, and every node knows its file, line and column.

Scalars stay text: `NO` is Norway, `16:00` is a time, `2.49` is exact. What a scalar means is decided by whoever asked
for it. Anchors and aliases work; aliases to themselves, tags, merge keys, duplicate keys and a second document are
faults. Nesting and size are limited, so that no file can exhaust the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from costmeter.errors import ConfigError

MAX_DEPTH = 50
MAX_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. `line` and `column` count from 1; line 0 is a whole source (a variable, a flag)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    @property
    def brief(self) -> str:
        """The place without its column, as people cite it."""
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, as one printable line."""

    place: Place
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value, as it was written. `quoted` tells `""` from nothing at all."""

    text: str
    place: Place
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order written; no key twice."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    place: Place


Node = Scalar | Sequence | Mapping


def compose(text: str, filename: str) -> tuple[Node | None, tuple[Fault, ...]]:
    """The document as nodes, and every fault in it; never raises.

    A duplicate key keeps its first value. Text that is not YAML, or not one document, is None and a fault, as is an
    empty document without one.
    """
    import yaml

    composer = _Composer(filename)
    try:
        root = composer.document(yaml.parse(text.removeprefix("\ufeff"), Loader=_loader()))
    except _Stopped:
        root = None
    except yaml.MarkedYAMLError as error:
        root = None
        composer.faults.append(_syntax_fault(error, text, filename))
    except yaml.reader.ReaderError as error:
        root = None
        composer.faults.append(_character_fault(error, text, filename))
    return root, tuple(composer.faults)


def load(text: str, filename: str) -> object:
    """The document as nested dict, list and str; an empty value is `""`, an empty document an empty dict.

    Raises ConfigError with every fault, each with file, line and column.
    """
    root, faults = compose(text, filename)
    if faults:
        raise ConfigError(tuple(map(str, faults)))
    return {} if root is None else plain(root)


def plain(node: Node) -> object:
    """A node as dict, list or str, its places forgotten."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def _loader() -> Any:
    """The C parser where PyYAML was built with it: ten times as fast, the same events."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stopped(Exception):
    """The document cannot be read further; the fault is noted."""


def _syntax_fault(error: Any, text: str, filename: str) -> Fault:
    """What the parser says, at the place it says; what is never closed, at the place it was opened."""
    mark, problem = error.problem_mark, error.problem or error.context
    if error.context_mark and (mark is None or mark.index >= len(text.rstrip())):
        mark, problem = error.context_mark, f"{error.context} from here: {problem}"
    place = Place(filename, mark.line + 1, mark.column + 1) if mark else Place(filename)
    return Fault(place, f"not valid YAML: {problem}")


def _character_fault(error: Any, text: str, filename: str) -> Fault:
    position = error.position if isinstance(error.position, int) else 0
    before = text[:position]
    place = Place(filename, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)
    return Fault(place, f"not valid YAML: character {error.character!r} is not allowed")


class _Composer:
    """Builds nodes from the parser's events, collecting faults on the way."""

    def __init__(self, filename: str) -> None:
        self.faults: list[Fault] = []
        self._filename = filename
        self._anchors: dict[str, Node | None] = {}
        self._sizes: dict[int, int] = {}
        self._nodes = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        """The only document of a stream; None when there is none."""
        next(events)  # the start of the stream
        if type(next(events)).__name__ == "StreamEndEvent":
            return None
        root = self._node(next(events), events, 0)
        next(events)  # the end of the document
        after = next(events)
        if type(after).__name__ != "StreamEndEvent":
            self._stop(after, "a second document; one file holds one")
        empty = isinstance(root, Scalar) and not root.text and not root.quoted
        return None if empty else root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event)
        before = self._nodes
        self._count(event, 1)
        if event.tag not in (None, "!"):
            self._fault(event, f'tag "{event.tag}": values are plain text here, leave it out')
        if event.anchor:
            self._anchors[event.anchor] = None
        node: Node
        if kind == "ScalarEvent":
            node = Scalar(event.value, self._place(event), quoted=event.style is not None and event.style != "")
        elif kind == "SequenceStartEvent":
            node = self._sequence(event, events, depth)
        else:
            node = self._mapping(event, events, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
            self._sizes[id(node)] = self._nodes - before
        return node

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in self._anchors
            self._stop(event, f'alias "*{event.anchor}" ' + ("stands inside itself" if inside else "has no anchor"))
        self._count(event, self._sizes[id(node)])
        return node

    def _sequence(self, start: Any, events: Iterator[Any], depth: int) -> Sequence:
        items = []
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, events, depth + 1))
        return Sequence(tuple(items), self._place(start))

    def _mapping(self, start: Any, events: Iterator[Any], depth: int) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while type(event := next(events)).__name__ != "MappingEndEvent":
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self._fault(event, "a key must be a word")
            elif key.text in entries:
                first = entries[key.text][0].place.line
                self._fault(event, f'key "{key.text}" again; it is already on line {first}')
            elif key.text == "<<" and not key.quoted:
                self._fault(event, 'merge key "<<" is not used here; write the keys out')
            else:
                entries[key.text] = (key, value)
        return Mapping(tuple(entries.values()), self._place(start))

    def _count(self, event: Any, nodes: int) -> None:
        """Aliases count as what they stand for, so that a few lines cannot stand for a billion."""
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values")

    def _place(self, event: Any) -> Place:
        return Place(self._filename, event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, event: Any, what: str) -> None:
        self.faults.append(Fault(self._place(event), what))

    def _stop(self, event: Any, what: str) -> NoReturn:
        self._fault(event, what)
        raise _Stopped
