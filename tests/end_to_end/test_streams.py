"""What the installed command does with streams that are closed, full, gone, or know only ASCII, and with Ctrl-C."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, EXAMPLES, own_home

#: Every command that prints, with what it prints even where there is nothing to find.
COMMANDS = [
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["prices", "fetch", "--help"],
    ["prices", "list", "h100"],
    ["prices", "list", "h100", "--json"],
    ["prices", "list", "--kind", "carbon", "DE"],
    ["prices", "list", "--kind", "tariffs", str(EXAMPLES / "tariffs")],
    ["prices", "show"],
    ["prices", "show", "aws/p5.48xlarge/us-east-1"],
    ["prices", "show", str(EXAMPLES / "tariffs" / "uk_octopus_economy7.yaml")],
    ["prices", "check"],
    ["config", "show"],
    ["config", "check"],
    ["config", "schema"],
    ["doctor", "--simulate", "healthy"],
    ["estimate", "--help"],
    ["estimate", "--gpu", "8xh100", "--hours", "10"],
]
NAMES = [" ".join(Path(word).name for word in words) for words in COMMANDS]


@pytest.mark.parametrize("words", COMMANDS, ids=NAMES)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_stdout_is_told_in_one_line(words: list[str], unbuffered: str, tmp_path: Path) -> None:
    """Exit code 1 and the system's own words, whether the write fails at once or with the last flush."""
    with own_home() as home, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COSTMETER, *words],
            cwd=tmp_path,
            env=home | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert 1 == done.returncode
    told = [line for line in done.stderr.splitlines() if not line.startswith("costmeter: warning: ")]
    assert 1 == len(told), done.stderr
    assert told[0].endswith("the output could not be written: No space left on device")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("words", ["prices show", "config show", "prices show nowhere", "prices --bad"])
def test_closed_streams_swallow_what_is_printed(words: str, closed: str, tmp_path: Path) -> None:
    """The exit code is as ever, and no traceback on the stream that is left."""
    with own_home() as home:
        codes = [
            subprocess.run(
                ["sh", "-c", f'exec "$0" {words} {redirected}', COSTMETER],
                cwd=tmp_path,
                env=home,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            for redirected in ("", closed)
        ]
    assert codes[0].returncode == codes[1].returncode
    assert "Traceback" not in codes[1].stdout + codes[1].stderr


def test_a_reader_that_has_gone_hears_nothing(tmp_path: Path) -> None:
    """`costmeter prices list | head -1`: exit code 1, and nothing on stderr."""
    with own_home() as home:
        read, write = os.pipe()
        os.close(read)
        with open(write, "w") as gone:
            done = subprocess.run(
                [COSTMETER, "prices", "list", "--limit", "0"],
                cwd=tmp_path,
                env=home,
                stdout=gone,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
    assert (1, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("words", COMMANDS, ids=NAMES)
@pytest.mark.parametrize("environ", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}], ids=["encoding", "locale"])
def test_a_terminal_that_knows_ascii_gets_ascii(words: list[str], environ: dict[str, str], tmp_path: Path) -> None:
    """Every command prints ASCII, with no letter replaced by a question mark that ASCII has something for."""
    with own_home() as home:
        argv = [COSTMETER, *words]
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env=home | environ,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()
    if "aws/p5.48xlarge/us-east-1" in words:
        assert b"8 x H100" in done.stdout
    if "--json" in words:
        assert json.loads(done.stdout)


def test_ctrl_c_before_anything_began_is_no_traceback(tmp_path: Path) -> None:
    """An interrupt while the modules of a command are loaded ends it as any Ctrl-C does: exit code 130, no words."""
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os, signal\n"
        "known = builtins.__import__\n"
        "def load(name, *rest):\n"
        "    if name == 'argparse':\n"
        "        builtins.__import__ = known\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return known(name, *rest)\n"
        "builtins.__import__ = load\n"
    )
    with own_home() as home:
        done = subprocess.run(
            [COSTMETER, "prices", "list"],
            env=home | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (128 + signal.SIGINT, "", "") == (done.returncode, done.stdout, done.stderr)
