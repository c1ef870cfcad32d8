"""How text is printed: what a terminal shows of it, whatever a command or a name contains."""

from dataclasses import dataclass

#: Narrower terminals get lines of this width, and no bars below that of the table with them.
MINIMUM_WIDTH = 64
_ASCII = str.maketrans(
    {"─": "-", "·": "|", "×": "x", "→": "-", "–": "-", "−": "-", "€": "EUR ", "£": "GBP ", "…": "...", "±": "+-"}
)


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: columns, whether the terminal knows UTF-8, whether it wants colour."""

    width: int = 80
    unicode: bool = True
    color: bool = False

    @property
    def cut(self) -> str:
        """What stands for the end of a text that had no room."""
        return "…" if self.unicode else "..."


def printable(text: str) -> str:
    """A text with a question mark for all that is no sign: controls of terminals and of direction, line ends."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


def unadorned(line: str, style: Style) -> str:
    """A line that does nothing to a terminal but show text, whatever a command or a name contains."""
    shown = printable(line.rstrip())
    return shown if style.unicode else in_ascii(shown)


def in_ascii(text: str) -> str:
    """The text for those who can show ASCII only: one table for every command. What it lacks is a question mark."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
