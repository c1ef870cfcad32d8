"""The web configuration of an exporter: who may read its pages, and over what. Read again whenever a file changes.

A file that has become faulty changes nothing: the last good one holds, and whoever asked to be told is told.
"""

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from costmeter.clock import Clock, RealClock
from costmeter.config import textfile, webtls
from costmeter.config.webgrammar import RateLimit, parse
from costmeter.config.yamlfile import Fault
from costmeter.errors import ConfigError
from costmeter.units import NANOSECONDS_PER_SECOND

#: The files are looked at no more often than this, however many clients there are.
LOOK_AGAIN_SECONDS = 1.0
_NAMES_TRIED = 3

#: Told of each attempt to read the files anew: nothing when it succeeded, else what was wrong.
Told = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What holds for clients. Without `context` there is no TLS, without `users` no password.

    A client's certificate must have one of `allowed_sans`, where there are any. No repr shows a secret.
    """

    context: ssl.SSLContext | None = field(default=None, repr=False)
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


OPEN = WebSettings()


class WebConfig:
    """The web configuration of one file. May be asked from several threads; one of them at a time reads files."""

    def __init__(self, path: str, told: Told = lambda _: None, clock: Clock | None = None) -> None:
        """Read the file and what it names. Raises ConfigError with every fault."""
        self._path, self._told, self._clock = path, told, clock or RealClock()
        self._reading = threading.Lock()
        self._names: tuple[str, ...] = ()
        self._seen: object = None
        self._settings, faults = self._read()
        if faults:
            raise ConfigError(tuple(map(str, faults)))
        self._looked_ns = self._clock.boottime_ns()

    @property
    def settings(self) -> WebSettings:
        """What holds now; asks no disk."""
        return self._settings

    @property
    def is_due(self) -> bool:
        """Whether it is time to look at the files again."""
        return self._clock.boottime_ns() - self._looked_ns >= LOOK_AGAIN_SECONDS * NANOSECONDS_PER_SECOND

    def look(self) -> None:
        """Look whether a file has changed, and read them again if so. Never raises; while another looks it returns.

        A disk that does not answer is waited for as long as for any file.
        """
        if not self._reading.acquire(blocking=False):
            return
        try:
            self._looked_ns = self._clock.boottime_ns()
            if self._stamps() != self._seen:
                self._take()
        finally:
            self._reading.release()

    def reload(self) -> tuple[str, ...]:
        """Read the files whether they changed or not; what is wrong with them, and then nothing is changed."""
        with self._reading:
            return self._take()

    def _take(self) -> tuple[str, ...]:
        settings, faults = self._read()
        if not faults:
            self._settings = settings
        lines = tuple(map(str, faults))
        self._told(lines)
        return lines

    def _read(self) -> tuple[WebSettings, tuple[Fault, ...]]:
        """What the files say. Stamped before they are read: what is written meanwhile is seen the next time."""
        with textfile.all_within():
            for _ in range(_NAMES_TRIED):  # which other files to stamp only the first one says
                self._seen = self._stamps()
                settings, names, faults = read(self._path)
                if names == self._names:
                    break
                self._names = names
        return settings, faults

    def _stamps(self) -> tuple[object, ...]:
        """What changes when a file is written or replaced, one entry per file; nothing while the disk is silent."""
        try:
            return textfile.answered(lambda: tuple(map(_stamp, (self._path, *self._names))))
        except OSError:
            return ()


def read(path: str) -> tuple[WebSettings, tuple[str, ...], tuple[Fault, ...]]:
    """The settings of a file, the files it names, and every fault; names in it are relative to its folder."""
    text, unread = textfile.text(path, path)
    written, faults = parse(text, path)
    folder = os.path.dirname(path)
    context: ssl.SSLContext | None = None
    names: tuple[str, ...] = ()
    if written.tls is not None:
        names = webtls.files(written.tls, folder)
        context, unusable = webtls.context(written.tls, folder)
        faults += unusable
    sans = written.tls.allowed_sans if written.tls is not None else frozenset()
    settings = WebSettings(context, sans, written.users, written.headers, written.rate_limit)
    return settings, names, (*unread, *sorted(faults, key=lambda fault: fault.place.line))


def _stamp(name: str) -> tuple[int, ...] | None:
    """None for a file that is not there."""
    try:
        facts = os.stat(name)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
