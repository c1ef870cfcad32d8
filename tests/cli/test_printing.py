"""How commands print: the style each stream can show, and receipts as files."""

import io
import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from costmeter.cli.printing import style, to_json, write_json


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    """The near end of a real terminal, 62 columns wide."""
    import fcntl
    import struct
    import termios

    far, near = pty.openpty()
    fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 62, 0, 0))
    with os.fdopen(near, "w", encoding="utf-8") as stream:
        yield stream
    os.close(far)


@pytest.mark.parametrize(
    ("environ", "width", "unicode", "color"),
    [
        pytest.param({}, 62, True, True, id="plain"),
        pytest.param({"COLUMNS": "90"}, 90, True, True, id="columns-win"),
        pytest.param({"COLUMNS": "9999"}, 100, True, True, id="never-wider-than-a-page"),
        pytest.param({"COLUMNS": "wide"}, 62, True, True, id="columns-that-are-no-number"),
        pytest.param({"NO_COLOR": "1"}, 62, True, False, id="no-color"),
        pytest.param({"TERM": "dumb"}, 80, True, False, id="dumb"),
        pytest.param({"NO_COLOR": "1", "FORCE_COLOR": "1"}, 62, True, True, id="forced"),
        pytest.param({"LANG": "C"}, 62, False, True, id="c-locale"),
        pytest.param({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, 62, False, True, id="lc-all-wins"),
    ],
)
def test_a_terminal_is_printed_to_as_it_can_show(
    terminal: TextIO, environ: dict[str, str], width: int, unicode: bool, color: bool
) -> None:
    """Width, letters and colour follow the terminal and what the environment says of it."""
    shown = style(terminal, environ)
    assert (width, unicode, color) == (shown.width, shown.unicode, shown.color)


def test_a_log_file_gets_eighty_columns_without_colour(tmp_path: Path) -> None:
    """What is no terminal has no width and no colours, and its encoding decides about letters."""
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        shown = style(stream, {"TERM": "xterm"})
    assert (80, False, False) == (shown.width, shown.unicode, shown.color)


def test_a_stream_without_a_descriptor_is_no_terminal() -> None:
    """A stream that only lives in memory is printed to as a file is."""
    assert 80 == style(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), {}).width


def test_bytes_that_are_no_text_survive_json() -> None:
    """A command line's odd bytes come back from the JSON as they went in."""
    odd = os.fsdecode(b"\xff\xfe")
    assert {"command": [odd]} == json.loads(to_json({"command": [odd]}))


def test_a_receipt_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    """The file is replaced by rename, so that no reader sees half of one, and nothing else is left behind."""
    file = tmp_path / "receipt.json"
    file.write_text("old")
    before = file.stat().st_ino
    write_json(str(file), {"new": True}, pytest.fail)
    assert {"new": True} == json.loads(file.read_text())
    assert before != file.stat().st_ino
    assert [file] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "pipe", "full"])
def test_what_cannot_be_written_is_told(kind: str, tmp_path: Path) -> None:
    """A folder, a pipe nobody reads and a device that is full are named, and nothing is raised or waited for."""
    path = tmp_path / "target" if kind != "full" else Path("/dev/full")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    told: list[str] = []
    write_json(str(path), {}, told.append)
    assert [True] == [f"--json {path}: not written" in line for line in told]
