"""The words of faults: what stands there, and what was probably meant."""

from collections.abc import Callable, Iterable

from costmeter.config.yamlfile import Mapping, Node, Scalar

SHOWN_CHARACTERS = 60

#: Takes note of what is wrong at a node.
NoteFault = Callable[[Node, str], None]


def shown(text: str) -> str:
    """A piece of somebody's text, quoted, on one line and not too long."""
    seen = visible(text)
    return f'"{seen[:SHOWN_CHARACTERS]}{"…" if len(seen) > SHOWN_CHARACTERS else ""}"'


def visible(text: str) -> str:
    """A text on one line: what cannot be printed is a placeholder."""
    return "".join(character if character.isprintable() else "�" for character in text)


def shown_node(node: Node) -> str:
    """What stands there, in words for a fault."""
    if isinstance(node, Scalar):
        return shown(node.text)
    return "keys and values" if isinstance(node, Mapping) else "a list"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`. Did you mean "x"?` for the nearest known word, else the known words when they are few."""
    from difflib import get_close_matches

    words = list(known)
    folded = {candidate.casefold(): candidate for candidate in words}
    near = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    near += [candidate for candidate in folded if len(word) > 2 and candidate.startswith(word.casefold())]
    if near:
        return meant(folded[near[0]])
    return f". Known here: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def meant(word: str) -> str:
    """The end of a fault that knows better."""
    return f'. Did you mean "{word}"?'
