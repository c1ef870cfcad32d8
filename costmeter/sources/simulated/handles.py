"""Device handles: opaque to callers, addresses that lead nowhere, one page for each board and its MIG devices."""

import ctypes
from typing import Any

_FIRST_BOARD, _BOARD_STRIDE = 0x7E57_0000_0000, 0x1000
_INSTANCE_STRIDE = 0x10


def board_address(index: int) -> int:
    """The handle of a board, by its place in the scenario: it names the same board in every session."""
    return _FIRST_BOARD + index * _BOARD_STRIDE


def instance_address(index: int, place: int) -> int:
    """The handle of a MIG device, by its board and its place on it."""
    return board_address(index) + (place + 1) * _INSTANCE_STRIDE


def in_memory(address: int) -> bytes:
    """A handle as it lies in memory: the quickest thing to ask a ctypes pointer for."""
    return bytes(ctypes.c_void_p(address))


def give(argument: Any, address: int) -> None:
    """Put a handle into the pointer that a caller made with `ctypes.byref`."""
    ctypes.c_void_p.from_buffer(argument._obj).value = address
