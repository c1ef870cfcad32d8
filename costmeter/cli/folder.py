"""Where a command was started, which may be a folder that has been deleted since."""

import os


def current() -> str:
    """The working folder; the root where it is gone, since no project file can be found from there."""
    try:
        return os.getcwd()
    except OSError:
        return "/"
