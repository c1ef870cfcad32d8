"""The composition root: what becomes of a run whose recorder cannot go on."""

import threading
from pathlib import Path

import pytest

from costmeter.clock import RealClock
from costmeter.runtime.assembly import Metering, Options
from costmeter.runtime.events import Ended, Event
from costmeter.runtime.recorder import Recorder

PATIENCE_SECONDS = 30


def options(folder: Path) -> Options:
    """A run on the bundled healthy node, recorded below a folder."""
    places = {name: str(folder) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
    return Options(
        run_id="r-test",
        command=("train",),
        keep_command=True,
        name="",
        labels={},
        period_seconds=0.05,
        gpus=None,
        simulate="healthy",
        listen=None,
        config=None,
        flags={},
        environ=places,
        cwd=str(folder),
        pid=1,
        spawned_ns=RealClock().boottime_ns(),
    )


def test_what_the_recorder_could_not_take_is_told_and_what_it_counted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours in the fifth event: a warning, and a receipt of all that was counted before it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    warned, taken = threading.Event(), []
    handle = Recorder.handle

    def faulty(self: Recorder, event: Event) -> None:
        taken.append(event)
        if len(taken) == 5:
            raise ArithmeticError("two and two")
        handle(self, event)

    monkeypatch.setattr(Recorder, "handle", faulty)
    metering = Metering(options(tmp_path), lambda text: None, lambda text: warned.set() if "two" in text else None)
    metering.start()
    assert warned.wait(PATIENCE_SECONDS)
    result = metering.finish(Ended(RealClock().boottime_ns(), 0, None), 2.0)
    assert any("the meter stopped counting (ArithmeticError: two and two)" in text for text in result.warnings)
    assert result.receipt["energy"]["gpu_joules"] > 0
    assert "interrupted" == result.receipt["run"]["outcome"]
