"""Texts that are nearly right: mutations of a valid file, the same ones at every run."""

from collections.abc import Callable, Iterator
from random import Random

_ODD = (
    "\x00",
    "\x1b",
    "\u2028",
    "\ufeff",
    "é",
    "🜚",
    '"',
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    "#",
    "&a",
    "*a",
    "|",
    ",",
    "\t",
    "-",
    "%",
)
_NUMBERS = (
    "",
    "0",
    "-1",
    "1e9",
    "1e999999999",
    "NaN",
    "Infinity",
    "9" * 400,
    "0x1F",
    "1,5",
    "1.2.3",
    "١٢",
    "null",
    "true",
)


def mutations(text: str, count: int, seed: int) -> Iterator[str]:
    """So many texts, each made of `text` by one to three changes: lines, characters, numbers, indentation, the end."""
    random = Random(seed)
    changes: list[Callable[[str, Random], str]] = [
        _drop_line, _repeat_line, _swap_lines, _change_character, _change_number, _truncate, _insert, _indent,
    ]  # fmt: skip
    for _ in range(count):
        mutated = text
        for _ in range(random.choice((1, 1, 2, 3))):
            mutated = random.choice(changes)(mutated, random)
        yield mutated


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True) or [""]


def _drop_line(text: str, random: Random) -> str:
    lines = _lines(text)
    del lines[random.randrange(len(lines))]
    return "".join(lines)


def _repeat_line(text: str, random: Random) -> str:
    lines = _lines(text)
    lines.insert(random.randrange(len(lines)), random.choice(lines))
    return "".join(lines)


def _swap_lines(text: str, random: Random) -> str:
    lines = _lines(text)
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "".join(lines)


def _change_character(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + chr(random.choice((random.randrange(32, 127), random.randrange(0x110000)))) + text[at + 1 :]


def _change_number(text: str, random: Random) -> str:
    """Another number in the place of one: a random digit, and the digits and points around it."""
    digits = [at for at, character in enumerate(text) if character in "0123456789"]
    if not digits:
        return text
    at = end = random.choice(digits)
    while at > 0 and text[at - 1] in "0123456789.":
        at -= 1
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    return text[:at] + random.choice(_NUMBERS) + text[end:]


def _truncate(text: str, random: Random) -> str:
    return text[: random.randrange(len(text) + 1)]


def _insert(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(_ODD) + text[at:]


def _indent(text: str, random: Random) -> str:
    lines = _lines(text)
    at = random.randrange(len(lines))
    lines[at] = " " * random.randrange(5) + lines[at].lstrip(" ")
    return "".join(lines)
