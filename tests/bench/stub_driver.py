"""Builds the stub driver, a libnvidia-ml.so.1 without a GPU behind it, and says how to have it loaded."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("stub_nvml.c")


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("gcc") or shutil.which("cc")


def build(directory: Path) -> dict[str, str]:
    """Compile the stub into a directory; the environment in which a process loads it as the NVIDIA driver."""
    found = compiler()
    if found is None:
        raise FileNotFoundError("no C compiler: install gcc")
    library = directory / "libnvidia-ml.so.1"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([found, *flags, "-o", str(library), str(SOURCE)], check=True, timeout=60)
    paths = [str(directory), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)}
