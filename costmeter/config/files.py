"""Configuration files: where they are looked for, and how one becomes a layer of settings."""

import os
import stat
from collections.abc import Iterator, Mapping

from costmeter.config.parse import Layer, parse
from costmeter.config.yamlfile import Fault, Place, compose

SITE_FILE = "/etc/costmeter/config.yaml"
PROJECT_FILE = "costmeter.yaml"
MAX_BYTES = 1_000_000


def site_files(environ: Mapping[str, str]) -> list[str]:
    """Files of the machine, lowest first: `/etc/costmeter`, then `$XDG_CONFIG_DIRS` from last to first."""
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    found = [os.path.join(folder, "costmeter", "config.yaml") for folder in folders if os.path.isabs(folder)]
    return [SITE_FILE, *(path for path in reversed(found) if path != SITE_FILE)]


def own_files(environ: Mapping[str, str], cwd: str) -> list[str]:
    """Files of the user, then of the project from the repository's root inwards: lowest first."""
    home = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(environ["HOME"], ".config") if os.path.isabs(environ.get("HOME", "")) else ""
    user = [os.path.join(home, "costmeter", "config.yaml")] if home else []
    return user + [os.path.join(folder, PROJECT_FILE) for folder in reversed(_project_folders(cwd))]


def _project_folders(cwd: str) -> list[str]:
    """The working directory and the folders above it up to the repository's root; outside a repository, itself."""
    folders = list(_upwards(os.path.abspath(cwd)))
    for depth, folder in enumerate(folders):
        if os.path.lexists(os.path.join(folder, ".git")):
            return folders[: depth + 1]
    return folders[:1]


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def shown_path(path: str, cwd: str) -> str:
    """A path as people cite it: relative inside the working directory and for a project's file above it."""
    relative = os.path.relpath(path, cwd)
    if os.path.basename(path) == PROJECT_FILE or not relative.startswith(os.pardir):
        return relative
    return path


def read(path: str, shown_as: str) -> Layer | None:
    """One file as a layer; None when there is none. A file that cannot be read is an empty layer and a fault."""
    try:
        content = _content(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        reason = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
        return Layer(faults=(Fault(Place(shown_as), f"cannot be read: {reason}"),))
    try:
        root, faults = compose(content.decode("utf-8"), shown_as)
    except UnicodeDecodeError as problem:
        return Layer(faults=(Fault(_place(content, problem.start, shown_as), "not UTF-8 text"),))
    layer = parse(root)
    return Layer(layer.values, layer.blocks, (*faults, *layer.faults))


def _place(content: bytes, position: int, shown_as: str) -> Place:
    before = content[:position]
    return Place(shown_as, before.count(b"\n") + 1, position - before.rfind(b"\n"))


def _content(path: str) -> bytes:
    """A regular file of a sensible size; a pipe or a terminal would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return content
