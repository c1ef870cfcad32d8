"""A killed agent's journal in which idle devices have been so for longer: no test waits for as long as reasons take."""

from pathlib import Path

from costmeter.ledger.line import seal, unseal
from costmeter.ledger.node.journal import node_paths
from costmeter.units import NANOSECONDS_PER_MINUTE

EARLIER_NS = 10 * NANOSECONDS_PER_MINUTE


def age_spells(folder: Path, *names: str) -> None:
    """These instants of what the newest journal knows of idle devices are ten minutes earlier."""
    path = node_paths(folder)[-1]
    path.write_bytes(b"".join(_aged(line, names) for line in path.read_bytes().splitlines(keepends=True)))


def _aged(line: bytes, names: tuple[str, ...]) -> bytes:
    if not line.startswith(b'{"type":"idle"'):
        return line
    body = unseal(line)
    return seal(body | {name: body[name] - EARLIER_NS for name in names})
