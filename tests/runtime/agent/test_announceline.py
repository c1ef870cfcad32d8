"""What a run says on the agent's socket, without one: any line is read, and what is sent arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.runtime.agent.announceline import Greeting, Refused, Saying, further, greeting, greeting_line


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(end|phase|steps|loss|gpus|redone)": ?.{0,40}\}', fullmatch=True))
def test_whatever_is_said_is_taken_or_passed_over(line: bytes) -> None:
    """No line makes the parser fail, and nothing that it makes of one is out of bounds."""
    said = further(line)
    if isinstance(said, Saying):
        assert said.phase.isprintable()
        assert len(said.phase) <= 64
    with pytest.raises(Refused):
        greeting(line)


TEXTS = st.text(st.characters(categories=["L", "N", "P"]), max_size=30)


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=16), st.none() | st.frozensets(TEXTS.filter(bool), max_size=8))
def test_a_greeting_arrives_as_it_was_sent(name: str, labels: dict[str, str], uuids: frozenset[str] | None) -> None:
    """Both sides of the protocol agree."""
    sent = Greeting("r-1", name, labels, 17, 4, uuids, 99, is_simulated=True)
    assert sent == greeting(greeting_line(sent))
