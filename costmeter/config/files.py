"""Configuration files: where they are looked for, and how one becomes a layer of settings."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from costmeter.config.parse import Layer, parse
from costmeter.config.textfile import answered, content, not_text, reason
from costmeter.config.yamlfile import Fault, Place, compose

SITE_FILE = "/etc/costmeter/config.yaml"
PROJECT_FILE = "costmeter.yaml"
#: Beside the user's settings: budgets, which a command writes.
BUDGETS_FILE = "budgets.yaml"


def site_files(environ: Mapping[str, str]) -> list[str]:
    """Files of the machine, lowest first: `/etc/costmeter`, then `$XDG_CONFIG_DIRS` from last to first."""
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    found = [os.path.join(folder, "costmeter", "config.yaml") for folder in folders if os.path.isabs(folder)]
    return [SITE_FILE, *(path for path in reversed(found) if path != SITE_FILE)]


def own_files(environ: Mapping[str, str], cwd: str) -> list[str]:
    """Files of the user, then of the project from the repository's root inwards: lowest first."""
    home = _user_folder(environ)
    user = [os.path.join(home, name) for name in ("config.yaml", BUDGETS_FILE)] if home else []
    return user + [os.path.join(folder, PROJECT_FILE) for folder in reversed(_project_folders(cwd))]


def budgets_file(environ: Mapping[str, str]) -> str:
    """Where `costmeter budget set` keeps the user's budgets; empty where the user has no home."""
    home = _user_folder(environ)
    return os.path.join(home, BUDGETS_FILE) if home else ""


def _user_folder(environ: Mapping[str, str]) -> str:
    """Where the user's own files are; empty where there is no home."""
    home = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(environ["HOME"], ".config") if os.path.isabs(environ.get("HOME", "")) else ""
    return os.path.join(home, "costmeter") if home else ""


def _project_folders(cwd: str) -> list[str]:
    """The working directory and the folders above it up to the repository's root; outside a repository, itself."""
    folders = list(_upwards(os.path.abspath(cwd)))
    try:
        depth = answered(lambda: next((depth for depth, folder in enumerate(folders) if _is_root(folder)), 0))
    except TimeoutError:  # its file will not answer either, and that is told
        depth = 0
    return folders[: depth + 1]


def _is_root(folder: str) -> bool:
    """Whether a folder is the root of a repository."""
    return os.path.lexists(os.path.join(folder, ".git"))


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
        read_bytes = content(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        return Layer(faults=(Fault(Place(shown_as), f"cannot be read: {reason(problem)}"),))
    try:
        root, faults = compose(read_bytes.decode("utf-8"), shown_as)
    except UnicodeDecodeError as problem:
        return Layer(faults=(not_text(read_bytes, problem, shown_as),))
    layer = parse(root)
    return replace(layer, faults=(*faults, *layer.faults))
