"""C pieces of the tests, compiled once per process: a file system that hangs."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent


def has_compiler() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("gcc") is not None


@functools.cache
def library(name: str) -> Path:
    """The shared library of `<name>.c` in this folder."""
    built = Path(tempfile.mkdtemp(prefix="costmeter-native-"), f"{name}.so")
    source = SOURCES / f"{name}.c"
    subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", str(source), "-o", str(built), "-ldl"], check=True)
    return built
