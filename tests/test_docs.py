"""The documentation against the command and the file tree: what is written works, and what works is written."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from costmeter.config.grammar import ROOT as GRAMMAR
from costmeter.config.parse import parse
from costmeter.config.tariff.files import parse_tariffs
from costmeter.config.yamlfile import Mapping, compose
from costmeter.meter.band import BANDS, SENSOR_GAIN

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "docs", ROOT / "examples", ROOT / "grafana")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*")
OPTION_IN_HELP = re.compile(r"^ {2}-.*?(?= {2}|$)", re.MULTILINE)
COMMAND_IN_HELP = re.compile(r"^ {4}([a-z][a-z-]*) {2,}\S.*$", re.MULTILINE)


@cache
def help_of(*command: str) -> str:
    """What `costmeter COMMAND --help` prints."""
    argv = [sys.executable, "-m", "costmeter", *command, "--help"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT).stdout


@cache
def commands() -> dict[str, set[str]]:
    """Every command (`run`, `config show`) and its flags; the empty name stands for `costmeter` itself."""
    names = COMMAND_IN_HELP.findall(help_of())
    nested = [f"{name} {inner}" for name in names for inner in COMMAND_IN_HELP.findall(help_of(name))]
    return {name: flags(help_of(*name.split())) for name in ["", *names, *nested]}


def flags(help_text: str) -> set[str]:
    """The flags that a help text lists, which are not all that its examples show."""
    return {flag for option in OPTION_IN_HELP.findall(help_text) for flag in FLAG.findall(option)}


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def invocations(markdown: str) -> Iterator[list[str]]:
    """The arguments of every `costmeter …` written in a page's code, up to the job's own command line."""
    prose = BLOCK.sub("", markdown)
    lines = [line for block in BLOCK.findall(markdown) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *(span.replace("\n", " ") for span in SPAN.findall(prose))]:
        written = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*costmeter (?P<arguments>[^|>#&;]*)", line.strip())
        if written:
            arguments = re.split(r"(?:^| )-- ", written["arguments"] + " ")[0]
            yield shlex.split(re.sub(r"[\[\]'’…]", " ", arguments))


def faults(arguments: list[str]) -> Iterator[str]:
    """What `costmeter` with these arguments would not understand."""
    known = commands()
    words = [word for word in arguments if re.fullmatch(r"[a-z][a-z-]+", word)]
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in known), "")
    if words and not name:
        yield f"no command {words[0]}"
    for flag in (word.split("=")[0] for word in arguments if FLAG.match(word)):
        if flag not in known[name] | known[""]:
            yield f"costmeter {name} has no {flag}"


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub names them."""
    headings = HEADING.findall(BLOCK.sub("", text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _page(path: Path) -> object:
    return pytest.param(path, id=path.relative_to(ROOT).as_posix())


def test_the_commands_are_found() -> None:
    """The help of `costmeter` lists its commands in the form that these tests read."""
    assert {"--json", "--listen", "--simulate", "--price"} <= commands()["run"]


@pytest.mark.parametrize("page", [_page(page) for page in PAGES])
def test_what_is_written_exists(page: Path) -> None:
    """Every command and flag that a page shows after `costmeter` is one that the command knows."""
    wrong = [fault for arguments in invocations(text(page)) for fault in faults(arguments)]

    assert not wrong, "\n".join(wrong)


def test_what_exists_is_written() -> None:
    """Every command and every flag stands in the README or in docs/, but for --help, which says so itself."""
    documented = "\n".join(text(page) for page in PAGES if page.parent == ROOT / "docs" or page.name == "README.md")
    names = {f"costmeter {name}" for name in commands() if name}.union(*commands().values()) - {"--help"}

    missing = [name for name in sorted(names) if not re.search(rf"{re.escape(name)}(?![\w-])", documented)]

    assert not missing, f"in no page: {', '.join(missing)}"


@pytest.mark.parametrize("page", [_page(page) for page in PAGES])
def test_local_links_lead_somewhere(page: Path) -> None:
    """Every local link of a page leads to a file that exists, and to a heading in it."""
    broken = []
    for target in LINK.findall(BLOCK.sub("", text(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert not broken, f"these links lead nowhere: {', '.join(broken)}"


def test_the_readme_begins_with_two_commands() -> None:
    """The first code block of the README is `make demo` and `make test`, and nothing else."""
    first = BLOCK.findall(text(ROOT / "README.md"))[0]

    assert [line.split("#")[0].split() for line in first.strip().splitlines()] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        pytest.param("`costmeter run --jsn FILE -- python train.py`", ["costmeter run has no --jsn"], id="flag"),
        pytest.param("```\n$ costmeter rum -- true\n```", ["no command rum"], id="command"),
        pytest.param("```\ncostmeter run --json r.json -- job --whatever\n```", [], id="the-job's-flags"),
        pytest.param("`costmeter run [--json FILE] | grep --x`", [], id="brackets-and-pipes"),
    ],
)
def test_a_wrong_page_is_caught(markdown: str, expected: list[str]) -> None:
    """A page with a misspelt command or flag is found out, and the job's own flags are left alone."""
    assert [fault for arguments in invocations(markdown) for fault in faults(arguments)] == expected


def _yaml_blocks() -> Iterator[tuple[str, str]]:
    """Every YAML block of README and docs, by its page and number."""
    for page in PAGES:
        if page.name == "README.md" or page.parent == ROOT / "docs":
            for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)):
                yield f"{page.relative_to(ROOT)}-{number}", block


@pytest.mark.parametrize("block", [pytest.param(block, id=name) for name, block in _yaml_blocks()])
def test_a_configuration_or_tariff_that_is_shown_is_right(block: str) -> None:
    """A YAML block that is a configuration has no fault, catalogue keys and zones included, nor has a tariff."""
    root, faults = compose(block, "page")
    assert isinstance(root, Mapping)
    keys = {key.text for key, _ in root.entries}
    if keys <= set(GRAMMAR.keys):
        faults = (*faults, *parse(root).faults)
    elif "energy" in keys or "series" in keys:
        faults = (
            *faults,
            *(fault for fault in parse_tariffs(block, "page", "page")[1] if "No such file" not in fault.what),
        )
    assert [] == [str(fault) for fault in faults]


def test_the_readme_shows_a_receipt_as_it_is_printed() -> None:
    """The receipt in the README is the golden one, to the letter."""
    golden = (ROOT / "tests" / "golden" / "receipt-healthy.txt").read_text(encoding="utf-8")
    assert golden.strip("\n") in text(ROOT / "README.md")


def test_the_methods_have_the_errors_that_are_computed_with() -> None:
    """The table of methods has their bands, and these with the sensor's gain on top; an estimate asks no sensor."""
    row = re.compile(r"^\| `(\w+)` \|.*\| ±(\d+) % \| ±(\d+) % \|$", re.MULTILINE)
    written = {name: (int(own), int(all_told)) for name, own, all_told in row.findall(text(ROOT / "docs/exactness.md"))}
    gains = {name: 0 if name == "estimated" else SENSOR_GAIN for name in BANDS}
    assert {name: (round(100 * band), round(100 * (band + gains[name]))) for name, band in BANDS.items()} == written
