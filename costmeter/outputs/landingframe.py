"""The frame of the pages that a server shows to people: one file that loads and runs nothing, and renews itself."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from costmeter import __version__
from costmeter.outputs.markup import Markup, element, joined

#: The page is loaded again so often: who watches a node wants to see it move.
RENEWED_SECONDS = 10


def page(title: str, body: Markup) -> bytes:
    """A whole page. What a run or its labels are called is text in it and never markup: see `markup`."""
    style, digest = _style()
    policy = f"default-src 'none'; style-src '{digest}'; base-uri 'none'; form-action 'none'"
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup(f'<meta http-equiv="refresh" content="{RENEWED_SECONDS}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", f"{title} · costmeter"),
        Markup(f"<style>{style}</style>"),
    )
    start = '<!DOCTYPE html>\n<html lang="en">\n<head>'
    whole = "\n".join((start, head, "</head>\n<body>", element("main", body), "</body>\n</html>\n"))
    return whole.encode("utf-8", "replace")


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and what a content security policy calls it by."""
    sheets = files("costmeter.outputs")
    text = "".join(sheets.joinpath(name).read_text() for name in ("receipt.css", "landing.css"))
    return text, f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def section(title: str, *inside: Markup) -> Markup:
    """A part with its heading."""
    return element("section", element("h2", title), *inside)


def foot(links: Sequence[tuple[str, str]]) -> Markup:
    """The last lines: paths of this server and what they are called."""
    version = element("p", f"costmeter {__version__} · renewed every {RENEWED_SECONDS} seconds")
    return element("footer", version, element("nav", *(element("a", name, href=path) for path, name in links)))


def simulated(is_simulated: bool) -> Markup:
    """Nothing beside real GPUs."""
    text = "Simulated GPUs: these figures are of a rehearsal."
    return element("p", text, class_="simulated") if is_simulated else Markup("")


def boxes(figures: Sequence[tuple[str, str, str]]) -> Markup:
    """Figures with their captions, and how they are coloured."""
    boxes = (
        element("div", element("dd", figure, class_=kind or None), element("dt", caption))
        for figure, caption, kind in figures
    )
    return element("dl", *boxes, class_="figures")
