"""costmeter: the live cost meter of a training run.

The product is a command and a file format; the package itself promises only its version.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
