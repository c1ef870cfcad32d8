"""The installed command as these tests start it: its path, a home of its own, and its receipt."""

import json
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

COSTMETER = str(Path(sysconfig.get_path("scripts"), "costmeter"))
EXAMPLES = Path(__file__).parents[2] / "examples"
#: Python for jobs that need none of the packages here: it starts in a tenth of the time, and nobody measures coverage.
PYTHON = [sys.executable, "-S"]
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.05

Found = TypeVar("Found")


def uncovered(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no coverage is measured: for processes that may not write where its data go."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@contextmanager
def own_home() -> Iterator[dict[str, str]]:
    """The environment of a user who has no configuration and no runs yet; the folder's name is short for sockets."""
    # A worker of pytest-xdist tells its processes how wide the terminal of the whole session is.
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COSTMETER_", "COLUMNS"))}
    with tempfile.TemporaryDirectory(prefix="costmeter-") as folder:
        places = {}
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            place = Path(folder, name.lower())
            place.mkdir(mode=0o700)
            places[name] = str(place)
        yield {**ours, **places}


def receipt(path: Path) -> dict[str, Any]:
    """The receipt in a JSON file, every number exact."""
    loaded: dict[str, Any] = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
    return loaded


def exact_sum(parts: dict[str, Any]) -> Decimal:
    """The sum of the parts of a receipt, be they texts or numbers."""
    return sum((Decimal(part) for part in parts.values()), Decimal(0))


def eventually(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """Look again until there is something to see; a failure names what never came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
