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


def answered(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What an answer is, or what the question raises; TimeoutError where neither comes in time."""
    answers: list[Answer] = []
    problems: list[Exception] = []

    def listen() -> None:
        try:
            answers.append(ask())
        except Exception as problem:
            problems.append(problem)

    thread = threading.Thread(target=listen, name="ask", daemon=True)
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not answers:
        raise TimeoutError
    return answers[0]
