"""Asking the agent of this node, wherever it serves, and an answer that is of another version."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from costmeter.errors import CostmeterError

if TYPE_CHECKING:
    from costmeter.feeds.agent import Agent


def own_agent() -> "tuple[Agent, dict[str, Any]]":
    """The first that answers as an agent of this node, and what it says. Raises Absent where none does, of the
    likeliest place.
    """
    from costmeter.feeds.agent import Absent, Agent
    from costmeter.runtime.agent.found import urls

    absences: list[Absent] = []
    for url in urls(os.environ):
        agent = Agent(url, None)
        try:
            return agent, agent.node()
        except Absent as absence:
            absences.append(absence)
    raise absences[0]


@contextmanager
def understood() -> Iterator[None]:
    """While an agent's answer is shown. Raises CostmeterError where it said what no agent of ours says."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as problem:
        what = f"the agent's answer cannot be shown: {type(problem).__name__}: {problem}"
        raise CostmeterError(what, "is it of another version? costmeter top --json shows it") from None
