"""What goes wrong in a thread or a library is one line of the agent's log, and no traceback."""

import logging
import threading
from collections.abc import Iterator

import pytest

from costmeter.runtime.agent.surprises import Surprises


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was warned of."""
    found: list[str] = []
    surprises = Surprises(found.append)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    surprises.listen()
    yield found
    logging.getLogger().removeHandler(surprises)


def die(why: str) -> None:
    """End a thread by a fault."""

    def ends() -> None:
        raise ValueError(why)

    thread = threading.Thread(target=ends, name="costmeter-something")
    thread.start()
    thread.join()


def test_a_thread_that_dies_is_told_once(told: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Its name, what it was, in one line; the same again is not told again, and nothing is printed."""
    die("two\nlines")
    die("another")
    assert told == ["costmeter-something: ended by a fault: ValueError: two lines"]
    assert capfd.readouterr() == ("", "")


def test_what_a_library_logs_has_no_traceback(told: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Its words and its fault, once for each kind, however often; what is no warning is not told."""
    logger = logging.getLogger("somebody.else")
    for number in range(3):
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("call %d failed", number)
    logger.warning("and more")
    logger.info("as usual")
    assert told == ["somebody.else: call 0 failed: ValueError: no", "somebody.else: and more"]
    assert "Traceback" not in capfd.readouterr().err


def test_words_that_do_not_fit_their_values_are_told_as_they_are(told: list[str]) -> None:
    """A library's own mistake in its message is not ours to die of."""
    record = logging.LogRecord("somebody.else", logging.ERROR, __file__, 1, "failed: %d", ("text",), None)
    [ours] = [handler for handler in logging.getLogger().handlers if isinstance(handler, Surprises)]
    ours.handle(record)
    assert told == ["somebody.else: failed: %d"]
