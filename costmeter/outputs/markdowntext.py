"""Words, code and tables of Markdown: nothing that is shown is markup, a link, or a call of a person."""

import re
from collections.abc import Sequence

from costmeter.outputs.style import printable

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&#])")
#: What a forge makes a link or a call of a person from; an empty comment after it breaks it.
_LINKS = re.compile(r"(@|\\#|www\.)(?=\w)|(:)(?=//)")
_BACKTICKS = re.compile("`+")


def escaped(words: str) -> str:
    """Words that mean nothing to Markdown, and to a forge no person, issue or link; line ends are question marks."""
    return _LINKS.sub(lambda found: f"{found[0]}<!-- -->", _MARKUP.sub(r"\\\1", printable(words)))


def code(words: str) -> str:
    """Words as they are, in a fence that none of their backticks closes."""
    shown = printable(words)
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    return f"{fence} {shown} {fence}" if len(fence) > 1 else f"{fence}{shown}{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> str:
    """A table of cells that are Markdown already; the columns of `right` end together."""
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
