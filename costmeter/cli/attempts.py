"""Several attempts, any of which may be refused: all refusals are told at once."""

from collections.abc import Callable
from typing import TypeVar

from costmeter.errors import UsageError

#: What an attempt makes.
Made = TypeVar("Made")


def told(faults: list[str], attempt: Callable[[], Made]) -> Made | None:
    """What an attempt makes; of one that is refused None, and its refusal, with what to type, is among the faults."""
    try:
        return attempt()
    except UsageError as error:
        faults.append(f"{error.message}" + (f" ({error.hint})" if error.hint else ""))
        return None
