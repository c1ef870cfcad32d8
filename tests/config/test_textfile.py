"""Files that somebody named: read whole, and never waited for."""

import os
import signal
import threading
from pathlib import Path

import pytest

from costmeter.config.textfile import all_within, answered, content, text

FOR_EVER = threading.Event()


def test_an_answer_is_the_answer(tmp_path: Path) -> None:
    """What is asked comes back as it is, be it nothing; what it raises is raised."""
    (tmp_path / "file").write_bytes(b"\x00\xff")
    assert content(str(tmp_path / "file")) == b"\x00\xff"
    assert answered(lambda: None) is None
    with pytest.raises(FileNotFoundError):
        content(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="more than 1 bytes"):
        content(str(tmp_path / "file"), 1)


def test_a_disk_that_does_not_answer_is_left_behind() -> None:
    """A question without an answer ends as a time-out, for each of many that are asked together."""
    with pytest.raises(TimeoutError, match="the disk did not answer in time"):
        answered(FOR_EVER.wait)
    with all_within(0.0):
        for _ in range(5):
            with pytest.raises(TimeoutError):
                answered(FOR_EVER.wait)
        assert answered(lambda: 7) == 7


def test_a_file_on_such_a_disk_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault says which file it is."""
    monkeypatch.setattr(os, "open", lambda *_: FOR_EVER.wait())
    read, faults = text(str(tmp_path / "prices.csv"), "prices.csv")
    assert (read, [str(fault) for fault in faults]) == (
        "",
        ["prices.csv: cannot be read: the disk did not answer in time"],
    )


def test_what_is_left_behind_takes_no_signal() -> None:
    """The wrapper blocks signals in its main thread and waits for them: a thread that lingers must not take them."""
    masks: list[set[signal.Signals]] = []
    answered(lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))  # type: ignore[arg-type]
    assert masks[0] >= signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def test_an_inner_purpose_shares_the_patience_of_the_outer() -> None:
    """Whoever hurries the whole hurries each of its parts, also one that waits just then."""
    with all_within(3_600) as whole, all_within(3_600) as part:
        assert part is whole
        hurrier = threading.Timer(0.1, whole.hurry)
        hurrier.start()
        with pytest.raises(TimeoutError):
            answered(FOR_EVER.wait)
        hurrier.join()
