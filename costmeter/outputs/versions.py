"""Versions of everything a figure may depend on, for the journal's header and `costmeter --version`."""

import platform
import sys

from costmeter import __version__


def versions() -> dict[str, str]:
    """costmeter, Python and kernel, by name."""
    return {
        "costmeter": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.release()}",
    }
