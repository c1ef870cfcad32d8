"""The HTML receipt in a real browser: `costmeter report --html` as Chromium shows, prints and refuses it."""

import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from costmeter.ledger.timeline import timeline
from costmeter.outputs.html import page
from costmeter.outputs.receipt import receipt
from tests.end_to_end.installed import COSTMETER, own_home
from tests.outputs import journeys, runs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)
RUN = "r-0123456789ab"
#: What Chromium says of a page that it had to refuse something.
REFUSED = re.compile(r".*(?:CONSOLE|Content Security Policy|net_error).*")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a training run, as the installed command writes it from a journal in the state directory."""
    folder = tmp_path_factory.mktemp("pages")
    with own_home() as environ:
        journeys.training(Path(environ["XDG_STATE_HOME"], "costmeter", "runs", RUN), 192)
        command = [COSTMETER, "report", RUN, "--html", "-o", str(folder / "receipt.html")]
        subprocess.run(command, env=environ, check=True, timeout=60)
    return folder


def browse(file: Path, *options: str) -> str:
    """What Chromium says on stderr while it opens a page with its network off."""
    assert CHROMIUM is not None
    profile = f"--user-data-dir={file.parent / 'profile'}"
    offline = ("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0")
    command = [CHROMIUM, *QUIET, *offline, profile, *options, f"file://{file}"]
    environ = {**os.environ, "HOME": str(file.parent)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=True).stderr


def unpacked(png: Path) -> bytes:
    """The rows of a picture: a byte that says how it is packed, then red, green and blue of every point.

    However the first row is packed, its first point is as it is: everything before it counts as 0.
    """
    packed, at, data = png.read_bytes(), len(b"\x89PNG\r\n\x1a\n"), b""
    while at < len(packed):
        (length,) = struct.unpack(">I", packed[at : at + 4])
        if packed[at + 4 : at + 8] == b"IDAT":
            data += packed[at + 8 : at + 8 + length]
        at += length + 12
    return zlib.decompress(data)


@pytest.mark.parametrize(
    ("paper", "scheme"),
    [
        pytest.param("ffffff", (), id="light"),
        pytest.param("111315", ("--force-dark-mode",), id="dark"),
    ],
)
def test_the_page_is_shown(pages: Path, paper: str, scheme: tuple[str, ...]) -> None:
    """A screenshot is no blank sheet, on paper of the reader's choice; the browser had nothing to refuse."""
    picture = pages / "shown.png"
    said = browse(pages / "receipt.html", *scheme, f"--screenshot={picture}", "--window-size=900,1400")
    points = unpacked(picture)
    assert paper == points[1:4].hex()
    assert len(set(points)) > 50
    assert [] == REFUSED.findall(said)


@pytest.mark.parametrize("name", ["receipt", "crowded"])
def test_the_page_prints_on_one_sheet(pages: Path, name: str) -> None:
    """One page of A4: a run with phases, a timeline, eight GPUs and a budget; and one with all there could be."""
    if name == "crowded":
        (pages / "crowded.html").write_text(crowded(pages / "journal"))
    sheet = pages / f"{name}.pdf"
    browse(pages / f"{name}.html", f"--print-to-pdf={sheet}", "--no-pdf-header-footer")
    printed = sheet.read_bytes()
    assert 1 == len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][.0-9]* 84[12][.0-9]*\]", printed)


def crowded(directory: Path) -> str:
    """The page of a run on 16 GPUs with twelve phases, seven items, three budgets and four faults."""
    path = journeys.training(directory, 192, gpus=16)
    of = receipt(journeys.run_of(path))
    of["phases"] = [dict(of["phases"][1], name=f"phase number {place}") for place in range(12)]
    of["items"], of["budgets"] = receipt(runs.beside())["items"], of["budgets"] * 3
    of["meter"]["faults"] = receipt(runs.failed())["meter"]["faults"]
    return page(of, timeline([path]))


def test_the_script_may_run_and_nothing_else_may(pages: Path) -> None:
    """The button that saves the receipt is shown by our script; the same page with another script refuses that one."""
    source = (pages / "receipt.html").read_text()
    dumped = browse_dom(pages / "receipt.html")
    assert '<button id="save" type="button">' in dumped
    forged = pages / "forged.html"
    forged.write_text(source.replace("</main>", "<script>document.title = 'owned'</script></main>"))
    assert "<title>owned" not in browse_dom(forged)
    assert any("Content Security Policy" in line for line in REFUSED.findall(browse(forged, "--dump-dom")))


def browse_dom(file: Path) -> str:
    """The page as it stands once its scripts have run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={file.parent / 'profile'}", "--dump-dom", f"file://{file}"]
    environ = {**os.environ, "HOME": str(file.parent)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=True).stdout
