"""Opens a simulated driver: finds the scenario, reads it, and agrees on when its node began."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from costmeter.clock import Clock, RealClock
from costmeter.errors import ConfigError
from costmeter.sources.simulated.epoch import directory, shared_epoch
from costmeter.sources.simulated.fields import nearest
from costmeter.sources.simulated.library import SimulatedLibrary
from costmeter.sources.simulated.live import NAME, LiveProcesses
from costmeter.sources.simulated.reader import scenario

_BUNDLED = Path(__file__).parent / "scenarios"


def bundled_scenarios() -> tuple[str, ...]:
    """The names of the scenarios that come with the package."""
    return tuple(sorted(path.stem for path in _BUNDLED.glob("*.yaml")))


def open_library(
    name_or_path: str,
    load: Callable[[str, str], object],
    clock: Clock,
    epoch_boottime_ns: int | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> SimulatedLibrary:
    """The simulated driver for a bundled scenario or a scenario file, ready to stand below pynvml.

    `load(text, filename)` parses YAML to nested dict, list and str. Without an epoch, all processes of the machine
    share one, and real processes may use its GPUs (see `live`); a clock that is not the machine's own has nothing to
    share, and its node begins now; where they cannot share, `warn` is told why. Raises ConfigError with every fault of
    the scenario.
    """
    path = _find(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: cannot be read: {error}",)) from error
    read = scenario(load(text, str(path)), path.stem, str(path))
    if epoch_boottime_ns is not None:
        return SimulatedLibrary(read, clock, epoch_boottime_ns)
    epoch_boottime_ns = clock.boottime_ns()
    if not isinstance(clock, RealClock):
        return SimulatedLibrary(read, clock, epoch_boottime_ns)
    epoch_boottime_ns = shared_epoch(_key(text), epoch_boottime_ns, warn)
    return SimulatedLibrary(read, clock, epoch_boottime_ns, LiveProcesses(_live_folder()))


def _live_folder() -> Path | None:
    """Where processes say that they use a simulated GPU; None where they cannot meet."""
    try:
        return directory() / NAME
    except OSError:
        return None


def _key(text: str) -> str:
    """What tells one scenario's content from another's, short enough for a file name."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find(name_or_path: str) -> Path:
    """A bundled name wins; a file of the same name is opened as `./name`."""
    names = bundled_scenarios()
    if name_or_path in names:
        return _BUNDLED / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.is_file():
        suggestion = nearest(name_or_path, names)
        raise ConfigError((f"{name_or_path}: no such scenario file, and not one of {', '.join(names)}{suggestion}",))
    return path
