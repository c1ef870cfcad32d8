"""The checked content of a line by a strict and fast reader of JSON, for who reads thousands of journals at their ends.

What it does not take, `line.unseal` may still: integers of more than 64 bits, which the fast reader makes floats of.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from costmeter.ledger.line import CHECK, CHECK_LENGTH


def unsealed(line: bytes) -> dict[str, Any]:
    """The content of a line without its newline. Raises ValueError where the checksum or the JSON is wrong."""
    if not is_sealed(line):
        raise ValueError("checksum does not match")
    body = orjson.loads(line)
    if type(body) is not dict:
        raise ValueError("not a record")
    return body


def is_sealed(line: bytes) -> bool:
    """Whether a line without its newline ends with the checksum of what is before that."""
    return line[-CHECK_LENGTH:] == b'%s%08x"}' % (CHECK, zlib.crc32(line[:-CHECK_LENGTH]))


def all_unsealed(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """The same of many lines. Raises KeyError, TypeError or ValueError where one is not as its checksum says."""
    bodies: list[dict[str, Any]] = list(map(orjson.loads, lines))
    told = [body["crc"] for body in bodies]
    found = [zlib.crc32(line[:-CHECK_LENGTH]) for line in lines]
    if {line[-CHECK_LENGTH:-10] for line in lines} - {CHECK} or set(map(len, told)) - {8}:
        raise ValueError("no checksum at its end")
    if "".join(told) != "%08x" * len(found) % tuple(found):
        raise ValueError("checksum does not match")
    return bodies


def are_integers(values: Iterable[object]) -> bool:
    """Whether all are integers: one of more than 64 bits has become a float, and truth a number."""
    return not set(map(type, values)) - {int}
