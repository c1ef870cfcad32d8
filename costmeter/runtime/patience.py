"""Asking what may never answer: in a thread, for so long and no longer."""

import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
Otherwise = TypeVar("Otherwise")


def within(seconds: float, ask: Callable[[], Answer], otherwise: Otherwise) -> Answer | Otherwise:
    """What an answer is; something else when it does not come in time. What hangs keeps its thread and not us."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), name="ask", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else otherwise
