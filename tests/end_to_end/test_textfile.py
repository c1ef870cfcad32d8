"""`run --textfile DIR`: what the installed command leaves there for node_exporter."""

import os
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as text_families

from costmeter.outputs.textfile import KEPT_NS
from tests.end_to_end.installed import COSTMETER, PATIENCE_SECONDS, own_home
from tests.outputs.test_prometheus import samples, value


def run(folder: Path, run_id: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A quiet run with an id on simulated GPUs, whose metrics go into a folder."""
    line = [COSTMETER, "run", "-q", "--simulate", "healthy", "--textfile", str(folder), "--", *command]
    with own_home() as environ:
        environ["COSTMETER_RUN_ID"] = run_id
        return subprocess.run(line, env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_the_last_page_of_every_run_stays(tmp_path: Path) -> None:
    """Two runs one after the other: two files, which say how each ended, and which are one page without a repeat."""
    assert (0, "") == ((ok := run(tmp_path, "first", "true")).returncode, ok.stderr)
    assert 3 == run(tmp_path, "second", "sh", "-c", "exit 3").returncode
    assert ["costmeter-first.prom", "costmeter-second.prom"] == sorted(os.listdir(tmp_path))
    texts = [(tmp_path / f"costmeter-{name}.prom").read_text() for name in ("first", "second")]
    pages = [samples(text_families(text)) for text in texts]
    assert [0.0, 0.0] == [value(page, "costmeter_run_active") for page in pages]
    assert [0.0, 3.0] == [value(page, "costmeter_run_exit_code") for page in pages]
    assert all(value(page, "costmeter_run_gpu_time_seconds_total") > 0 for page in pages)
    assert not set(pages[0]) & set(pages[1])


def test_the_next_run_clears_up(tmp_path: Path) -> None:
    """A file that nobody has renewed for more than a quarter of an hour goes when somebody else writes there."""
    assert 0 == run(tmp_path, "first", "true").returncode
    old = tmp_path / "costmeter-first.prom"
    at_ns = old.stat().st_mtime_ns - KEPT_NS
    os.utime(old, ns=(at_ns, at_ns))
    assert 0 == run(tmp_path, "second", "true").returncode
    assert ["costmeter-second.prom"] == os.listdir(tmp_path)


def test_a_folder_that_goes_away_is_no_concern_of_the_command(tmp_path: Path) -> None:
    """The command removes it: its exit code is its own, and one warning tells what is not written."""
    folder = tmp_path / "folder"
    folder.mkdir()
    done = run(folder, "first", "sh", "-c", f"rm -r {folder}; exit 7")
    assert 7 == done.returncode
    assert 1 == done.stderr.count("no metrics written: No such file or directory")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none_refuses_to_start(name: str, tmp_path: Path) -> None:
    """A mistyped flag is told before the command begins."""
    (tmp_path / "file").write_text("")
    done = run(tmp_path / name, "first", "touch", str(tmp_path / "began"))
    assert 2 == done.returncode
    assert f'--textfile "{tmp_path / name}": no such folder' in done.stderr
    assert not (tmp_path / "began").exists()
