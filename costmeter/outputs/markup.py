"""HTML and SVG as text that cannot be broken out of: whatever is not made here is escaped."""

import html

from costmeter.outputs.style import printable


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Words as markup: escaped, and what is not printable is a question mark, line ends and tabs included."""
    return Markup(html.escape(printable(words)))


def element(name: str, *children: str, **attributes: str | int | None) -> Markup:
    """An element with what is in it; `class_` is the attribute class, `stroke_width` is stroke-width, None is left out.

    Children that are not Markup are escaped. SVG's empty elements are closed, HTML's need no end.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Markup) else text(child) for child in children)
    return Markup(f"<{name}{told}>{inside}</{name}>")


def joined(*pieces: Markup) -> Markup:
    """Pieces one after the other, a line each."""
    return Markup("\n".join(piece for piece in pieces if piece))
