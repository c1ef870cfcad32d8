"""The wrapper, twice: the driver that only starts a child, and the installed command with its meter."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from tests.end_to_end.installed import COSTMETER, own_home
from tests.end_to_end.wrapped import WRAPPERS, Wrapper


@pytest.fixture(params=WRAPPERS)
def wrapper_command(request: pytest.FixtureRequest) -> list[str]:
    """The words before `--`."""
    kind: str = request.param
    if kind == "installed" and not os.access(COSTMETER, os.X_OK):
        pytest.skip(f"the package is not installed: there is no {COSTMETER}")
    return WRAPPERS[kind]


@pytest.fixture
def wrapper(wrapper_command: list[str]) -> Iterator[Wrapper]:
    """A wrapper in a home of its own; whatever it started is gone after the test."""
    with own_home() as environ:
        made = Wrapper(wrapper_command, environ)
        yield made
        for process in made.started:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
