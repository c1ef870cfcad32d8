"""A command as it is typed into a shell, without the start of a process: most of these tests are about its words.

That the installed command is this one, is said by tests/end_to_end.
"""

import contextlib
import io
import os
import subprocess
from pathlib import Path

import pytest

from costmeter.cli.main import main


def typed(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the command prints and answers in a folder that is also home, with nothing of this machine's settings."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("COSTMETER_", "XDG_"))]:
            patch.delenv(name)
        for name, value in {"HOME": str(folder), "XDG_CONFIG_DIRS": str(folder / "etc"), **environ}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _exit_code([*arguments])
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(["costmeter", *arguments], code, *texts)


def _exit_code(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:  # argparse leaves by it
        return ended.code if isinstance(ended.code, int) else 1
