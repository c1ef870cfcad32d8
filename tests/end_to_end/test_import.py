"""`costmeter import` through the installed command: what a log gets wrong, and what is said of it."""

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.installed import COSTMETER, own_home
from tests.end_to_end.test_whatif import Home, log

WIDEST = 96
IMPORT = ("import", "gpus.csv", "--timezone", "UTC", "--price", "2.49")


@pytest.fixture
def empty() -> Iterator[Home]:
    """A home with no run in it."""
    with own_home() as environ:
        yield Home(environ, Path(environ["HOME"]))


def told(home: Home, *arguments: str) -> str:
    """What is said beside the receipt by an import that succeeds."""
    command = [COSTMETER, *arguments]
    done = subprocess.run(command, env=home.environ, capture_output=True, text=True, timeout=60, cwd=home.folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_nobody_knows_how_it_ended(empty: Home) -> None:
    """Missing is never 0: the exit code is null in the receipt and in the report, as is the signal."""
    log(empty.folder, range(61))
    made = empty.data(*IMPORT)["run"]
    (known,) = empty.data("report", made["id"])

    assert (made["outcome"], made["exit_code"], made["signal"]) == ("ok", None, None)
    assert known["run"] == made
    assert "exit 0" not in empty.costmeter("report", made["id"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gz"])
def test_the_command_that_sorts_a_log_does_so(empty: Home, is_packed: bool, encoding: str) -> None:
    """Two logs in one go back in time; the command that is named makes one log of them, with the header first."""
    path = log(empty.folder, range(61))
    header, *rows = path.read_text().splitlines(keepends=True)
    late, early = rows[60:], rows[:60]
    path.write_text("".join([header, *late, header, *early]), encoding)
    name = "gpus.csv"
    if is_packed:
        name = "gpus.csv.gz"
        (empty.folder / name).write_bytes(gzip.compress(path.read_bytes()))
    said = told(empty, "import", name, "--timezone", "UTC", "--dry-run")
    command = said.partition("Sort it:  ")[2].splitlines()[0]

    subprocess.run(["bash", "-c", command], cwd=empty.folder, check=True, timeout=60)
    assert (empty.folder / "sorted.csv").read_text().splitlines()[0] == header.strip()
    made = empty.data("import", "sorted.csv", "--timezone", "UTC")
    assert (made["run"]["seconds"], made["energy"]["gpu_joules"]) == (60, 2 * 300 * 60)


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        pytest.param(b"\xff\xfe", "utf-16-le", id="powershell"),
        pytest.param(b"\xfe\xff", "utf-16-be", id="other-end-first"),
        pytest.param(b"\xef\xbb\xbf", "utf-8", id="utf-8-with-a-mark"),
    ],
)
def test_a_log_that_windows_wrote_is_read(empty: Home, mark: bytes, encoding: str, is_packed: bool) -> None:
    """`>` of Windows PowerShell writes UTF-16 with a mark and ends of lines of its own; a long line is one."""
    path = log(empty.folder, range(61))
    header, *rows = path.read_text().splitlines()
    text = "\r\n".join([header, *rows[:60], "x" * 30_000, *rows[60:], ""])
    content = mark + text.encode(encoding) + mark + text.encode(encoding)[:7]  # appended to, and torn
    path.write_bytes(content)
    if is_packed:
        (empty.folder / "gpus.csv.gz").write_bytes(gzip.compress(content))
    name = "gpus.csv.gz" if is_packed else "gpus.csv"

    said = told(empty, "import", name, "--timezone", "UTC", "--dry-run")
    assert f"{name}: line 62: longer than 10,000 characters" in said
    assert f"{name}: line 125: " in said
    made = empty.data("import", name, "--timezone", "UTC", "--dry-run")
    assert (made["run"]["seconds"], made["energy"]["gpu_joules"]) == (60, 2 * 300 * 60)


def test_gpus_without_names_are_refused(empty: Home) -> None:
    """A log of several GPUs that says of no line whose it is: refused with the file and what to log."""
    path = empty.folder / "gpus.csv"
    rows = [f"2026/11/22 14:00:{at:02d}.00{gpu}, {300 + gpu} W\n" for at in range(30) for gpu in range(2)]
    path.write_text("timestamp, power.draw [W]\n" + "".join(rows))

    said = empty.refused(*IMPORT, code=1)
    assert "gpus.csv: it is of several GPUs, and has neither index, uuid nor pci.bus_id" in said
    assert "log it with index,uuid: nvidia-smi --query-gpu=timestamp,index,uuid," in said


def test_a_header_may_stand_anywhere(empty: Home) -> None:
    """A plain `sort` puts it last: what stands where is known all the same."""
    path = log(empty.folder, range(61))
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows, header]))

    assert empty.data(*IMPORT)["energy"]["gpu_joules"] == 2 * 300 * 60


def test_a_line_of_a_hundred_megabytes_is_one_line(empty: Home) -> None:
    """It is told once, as too long, and the line after it by its own number."""
    path = log(empty.folder, range(61))
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, rows[0], "x" * 10**8 + "\n", "torn\n", *rows[1:]]))

    warnings = [line for line in told(empty, *IMPORT).splitlines() if "warning" in line]
    assert [line.partition("gpus.csv: ")[2] for line in warnings] == [
        "line 3: longer than 10,000 characters", "line 4: 1 fields where 8 are needed",
    ]  # fmt: skip


def test_a_log_of_the_future_is_told(empty: Home) -> None:
    """A clock that was decades ahead: the run is made, and it is said; one such line alone is left out."""
    path = log(empty.folder, range(61))
    whole = path.read_text()
    path.write_text(whole.replace("2026/11/22", "2099/11/22"))
    assert "line 2: its time, 2099-11-22, is yet to come; 122 such lines in all" in told(empty, *IMPORT)

    lines = whole.replace("2026/11/22", "2025/11/22").splitlines(keepends=True)
    lines[61] = lines[61].replace("2025/", "2099/")
    path.write_text("".join(lines))
    assert "line 62: its time, 2099-11-22, is yet to come" in told(empty, *IMPORT)


def test_spans_that_overlap_are_told(empty: Home) -> None:
    """The same GPUs at the same time in another imported run are summed by reports: that run is named.

    One that begins where the other ends, and another machine's GPUs, are nobody's twice.
    """
    log(empty.folder, range(121))
    first = empty.data(*IMPORT, "--to", "2026-11-22T14:01")["run"]["id"]
    assert "same GPUs" not in told(empty, *IMPORT, "--from", "2026-11-22T14:01")
    assert f"run {first}, imported before, has the same GPUs at the same time" in told(
        empty, *IMPORT, "--from", "2026-11-22T14:00:30", "--to", "2026-11-22T14:00:50"
    )
    path = empty.folder / "gpus.csv"
    path.write_text(path.read_text().replace("GPU-", "GPU-f"))
    assert "same GPUs" not in told(empty, *IMPORT)


def test_a_file_that_is_not_there_is_all_that_is_said(empty: Home) -> None:
    """No word of time zones before it."""
    refusal = empty.refused("import", "nope.csv", code=1)
    assert refusal.splitlines()[0] == "costmeter import: nope.csv: no such file"


@pytest.mark.parametrize("command", ["import", "what-if"])
def test_help_is_no_wider_than_help_is(empty: Home, command: str) -> None:
    """Examples too."""
    assert max(map(len, empty.costmeter(command, "--help").splitlines())) <= WIDEST
