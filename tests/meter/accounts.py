"""Accounts for tests: what a board said and when, in seconds, joules and watts, and what was booked of it."""

from dataclasses import dataclass
from typing import Any

from costmeter.meter.account import Account, Entry, enter, opened, silent
from costmeter.readings import Device, Missing, Reading
from tests.samples import JOULE, SECOND, device

H100 = device()
REFUSED = Missing("refused")
#: Past so many joules, nothing can be what the board drew.
GARBAGE = 10**12


@dataclass(frozen=True, slots=True)
class Silence:
    """The board says nothing until then."""

    until_s: float


def said(at_s: float, joules: float | None, watts: float | None = 300.0, utilization: float | None = 0.9) -> Reading:
    """What the board says at a second; None is refused."""
    return Reading(
        H100.uuid,
        round(at_s * SECOND),
        REFUSED if joules is None else round(joules * JOULE),
        REFUSED if watts is None else watts,
        REFUSED if utilization is None else utilization,
    )


def line(*seconds: float, base: float = 100_000, **changes: Any) -> list[Reading]:
    """Readings of a counter that runs at 300 W and stood at `base` joules at 0 s."""
    return [said(at_s, base + 300 * at_s, **changes) for at_s in seconds]


def still(*seconds: float, joules: float = 100_000, **changes: Any) -> list[Reading]:
    """Readings of a counter that stands still."""
    return [said(at_s, joules, **changes) for at_s in seconds]


def refused(*seconds: float, **changes: Any) -> list[Reading]:
    """Readings without a counter."""
    return [said(at_s, None, **changes) for at_s in seconds]


def book(
    *events: Reading | Silence | list[Reading],
    board: Device = H100,
    ends: bool = False,
    account: Account | None = None,
    bridge_s: float = 8,
) -> tuple[Account, list[Entry]]:
    """The account after these events, and the entry of each reading; `ends`: the last reading is the last of all."""
    flat = [each for event in events for each in (event if isinstance(event, list) else [event])]
    account, entries = account or opened(0), []
    for number, event in enumerate(flat, 1):
        if isinstance(event, Silence):
            account = silent(account, round(event.until_s * SECOND))
        else:
            account, entry = enter(account, event, board, round(bridge_s * SECOND), ends and number == len(flat))
            entries.append(entry)
    return account, entries


def joules(entries: list[Entry]) -> list[float]:
    """The energy of each."""
    return [entry.microjoules / JOULE for entry in entries]


def told(entries: list[Entry]) -> str:
    """All that was told, in order."""
    return "; ".join(fault for entry in entries for fault in entry.told)
