"""What is said of journals that are there twice, by whoever reads a list of runs for something else than to show it."""

from collections.abc import Sequence

from costmeter.cli.lines import warn

#: So many are named.
_NAMED = 3


def warn_of_copies(copies: Sequence[str]) -> None:
    """Name the first few on stderr, and count the others."""
    for copy in copies[:_NAMED]:
        warn(copy)
    if len(copies) > _NAMED:
        warn(f"and {len(copies) - _NAMED:,} more {'copy' if len(copies) == _NAMED + 1 else 'copies'}")
