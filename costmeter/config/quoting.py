"""Texts written into YAML, so that they read back as the same texts."""

import re

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", re.ASCII)


def quoted(text: str) -> str:
    """In quotes, as YAML takes it anywhere, between braces too."""
    return f'"{"".join(map(_escaped, text))}"'


def plain(text: str) -> str:
    """Without quotes where that cannot be misread, else in quotes."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def _escaped(character: str) -> str:
    if character in ('"', "\\"):
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
