"""The receipt as a page: whole in itself, closed to what a record contains, small, and drawn from the record."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.query import Run
from costmeter.ledger.record import Record, SlotEntry
from costmeter.ledger.timeline import Step, Timeline, timeline
from costmeter.meter.slot import Slot
from costmeter.outputs.html import page
from costmeter.outputs.markup import element, text
from costmeter.outputs.receipt import receipt
from tests.outputs import journeys, runs
from tests.samples import (
    BEGAN_UTC_NS,
    MINUTE,
    SECOND,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    rental,
    uuids,
)

pytestmark = pytest.mark.usefixtures("in_utc")

HOSTILE = '"></title></script><script>alert(1)</script><img src=http://evil.example/x onerror=x>&amp;\x1b\u202e'
VOID = {"meta"}
RUNS = [
    pytest.param(run(), id=run.__name__)
    for run in (
        *(runs.healthy, runs.failed, runs.owned, runs.no_driver, runs.none_held, runs.nodes, runs.interrupted),
        *(runs.simulated, runs.divided, runs.beside, runs.moving, runs.unpriced),
        *(runs.trained, runs.broke_off, runs.resumed, runs.going_on, runs.waited),
    )
]


class Page(HTMLParser):
    """A page taken apart: elements in order with their attributes, and the words in each kind of element."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.unclosed: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.unclosed:
            self.words.setdefault(tag, []).append(data)

    def all(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> str:
        return "".join(self.words.get(tag, []))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The receipt and the page of a training run of 192 minutes."""
    path = journeys.training(tmp_path_factory.mktemp("trained"), 192)
    of = receipt(journeys.run_of(path))
    return of, page(of, timeline([path]))


@pytest.mark.parametrize("run", RUNS)
def test_every_run_has_a_page_that_is_well_formed(run: Run) -> None:
    """Every element is closed where it was opened, and the page has one heading, one main part and a language."""
    found = Page(page(receipt(run)))
    assert [] == found.unclosed
    assert [1, 1, 1] == [len(found.all(tag)) for tag in ("h1", "main", "head")]
    assert "en" == found.all("html")[0]["lang"]


@pytest.mark.parametrize("run", RUNS)
def test_a_page_refers_to_nothing_outside_itself(run: Run) -> None:
    """No address of the network, no element that loads, and a policy under which a browser would refuse both."""
    source = page(receipt(run))
    found = Page(source)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", source.replace("http-equiv", ""))
    assert not {tag for tag, _ in found.elements} & {"link", "img", "iframe", "object", "embed", "base", "form", "a"}
    assert not [attributes for _, attributes in found.elements if {"src", "href", "style", "srcset"} & set(attributes)]
    policy = found.all("meta")[1]["content"] or ""
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_style_and_script_are_those_that_the_policy_names(trained: tuple[dict[str, Any], str]) -> None:
    """The hashes of the policy are those of the only style and the only script; one letter more and neither counts."""
    _, source = trained
    policy = Page(source).all("meta")[1]["content"] or ""
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_receipt_stands_in_the_page(trained: tuple[dict[str, Any], str]) -> None:
    """The JSON between its tags is the receipt, value by value."""
    of, source = trained
    (inside,) = re.findall('<script type="application/json" id="data">(.*?)</script>', source, re.DOTALL)
    assert of == json.loads(inside)


def test_nothing_in_a_record_becomes_markup() -> None:
    """Tags, quotes, control characters and reversed text in every text of a run are words; the JSON stays whole."""
    whole = runs.failed().parts[0]
    first = replace(
        whole.header, name=HOSTILE, host=HOSTILE, run=HOSTILE, labels={HOSTILE: HOSTILE}, command=(HOSTILE,)
    )
    devices = {uuid: replace(each, name=HOSTILE) for uuid, each in whole.devices.items()}
    marks = tuple(replace(mark, what=HOSTILE) for mark in whole.marks)
    phases = {HOSTILE: whole.totals.whole}
    part = replace(whole, header=first, devices=devices, marks=marks, problems=(HOSTILE,), phases=phases)
    of = receipt(Run((part,)))
    step = Step(BEGAN_UTC_NS, BEGAN_UTC_NS + MINUTE, MINUTE, microjoules=10**9, phases={HOSTILE: MINUTE})
    later = replace(step, start_utc_ns=step.end_utc_ns, end_utc_ns=step.end_utc_ns + MINUTE)
    source = page(of, Timeline((step, later), MINUTE))
    found, harmless = Page(source), Page(page(receipt(runs.broke_off())))
    drawn = {"defs", "pattern", "line", "path", "figure", "figcaption"}
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in harmless.elements} | drawn
    assert not re.search("[\x1b\u202e]|<img|alert\\(1\\)</script>", source)
    assert found.text("main").count("alert(1)") >= 8
    assert HOSTILE == json.loads(re.findall('id="data">(.*?)</script>', source, re.DOTALL)[0])["run"]["name"]


def test_what_cannot_be_written_is_a_question_mark() -> None:
    """Bytes of a name that are no text do not keep a page from being written."""
    first = replace(
        runs.healthy().parts[0].header, command=("python", b"caf\xe9.py".decode("utf-8", "surrogateescape"))
    )
    source = page(receipt(Run((replace(runs.healthy().parts[0], header=first),))))
    assert "caf?.py" in source
    assert source.encode("utf-8")


def test_the_page_says_what_the_receipt_says(trained: tuple[dict[str, Any], str]) -> None:
    """Headline, phases with amounts that add up, unit costs, budget, GPUs, and what is not counted."""
    source = trained[1]
    found = Page(source)
    words = found.text("main")
    assert "$63.74" in found.text("title")
    for said in ("$63.74", "6.8 % idle", "per 1,000 steps", "79.7 % of $80.00 used", "Storage, network", "exit 0"):
        assert said in words, said
    table = [row.split() for row in re.findall(r"(?:start-up|training|eval|checkpoint|total)[\d., %]+", _cells(source))]
    amounts = {row[0]: Decimal(row[2]) for row in table}
    assert amounts.pop("total") == sum(amounts.values()) == Decimal("63.74")
    assert 8 == source.count('<td class="note">H100 80GB HBM3</td>')
    assert {"measured", "configured", "estimated"} <= set(found.words["td"])


def _cells(source: str) -> str:
    """The words of the first table, a blank between cells."""
    first = source[source.index("<tbody>") : source.index("</tbody>")]
    parted = re.sub(r"<svg.*?</svg>", "", re.sub(r"</t[hd]>", " ", first), flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", "", parted).split())


def test_charts_are_told_to_those_who_do_not_see_them(trained: tuple[dict[str, Any], str]) -> None:
    """Every chart has a title, a description and a role; every table a caption; every part of a chart a letter."""
    found = Page(trained[1])
    charts = [attributes for attributes in found.all("svg") if "aria-hidden" not in attributes]
    assert 2 == len(charts) == len(found.words["desc"])
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in charts)
    assert len(found.all("table")) == len(found.words["caption"])
    assert {"A", "B", "C", "D"} <= set(found.words["text"])


def test_what_was_recorded_is_drawn(trained: tuple[dict[str, Any], str]) -> None:
    """Power, utilization and cost as lines, phases as columns, waiting as hatched bands, checkpoints as ticks."""
    found = Page(trained[1])
    classes = [attributes.get("class") for attributes in found.all("path")]
    for kind in ("cost-so-far", "GPU-power", "utilization", "idleband", "saved", "p0", "p1", "p2", "p3"):
        assert kind in classes, kind
    ticks = next(attributes["d"] for attributes in found.all("path") if attributes.get("class") == "saved")
    assert ticks is not None
    assert 4 == ticks.count("M")


def drawn(source: str, kind: str) -> list[str]:
    """The lines of one kind in a page."""
    paths = Page(source).all("path")
    return [attributes["d"] or "" for attributes in paths if attributes.get("class") == kind]


def level(line: str, place: float) -> float:
    """How high a line is at a place between its left and its right end (0 to 1)."""
    at: list[tuple[float, float]] = []
    for letter, numbers in re.findall(r"([MLHV])([\d. ]+)", line):
        values = [float(number) for number in numbers.split()]
        x = at[-1][0] if letter == "V" else values[0]
        y = at[-1][1] if letter == "H" else values[-1]
        at.append((x, y))
    x = at[0][0] + place * (at[-1][0] - at[0][0])
    (left, low), (right, high) = next(pair for pair in pairwise(at) if pair[0][0] <= x <= pair[1][0])
    return low if left == right else low + (high - low) * (x - left) / (right - left)


@pytest.mark.parametrize("seconds", [18, 3_600])
def test_what_a_run_has_cost_grows_evenly_with_its_time(tmp_path: Path, seconds: int) -> None:
    """Under one price the line is straight: nothing at the start, a quarter after a quarter, all at the end."""
    path = journal(tmp_path, [("training", seconds)])
    (line,) = drawn(page(receipt(journeys.run_of(path)), timeline([path])), "cost-so-far")
    bottom, top = level(line, 0), level(line, 1)
    for share in (0.25, 0.5, 0.75):
        assert share == pytest.approx((bottom - level(line, share)) / (bottom - top), abs=0.01)


def journal(directory: Path, stretches: list[tuple[str, int]]) -> Path:
    """A run on two GPUs at $2.49 that was for so many seconds in each of these phases, cut as the meter cuts it."""
    file, order, at_s = JournalFile(directory, "gpu01"), uuids(runs.TWO), 0
    lines: list[Record] = [header(), held(runs.TWO), rates_from_start(rates(dict.fromkeys(order, rental())))]
    for phase, seconds in stretches:
        for start_s in range(at_s, at_s + seconds, 60):
            length_ns = (min(60, at_s + seconds - start_s)) * SECOND
            of = dict.fromkeys(order, measured(length_ns, length_ns // 2))
            start_utc_ns = BEGAN_UTC_NS + start_s * SECOND
            end_utc_ns = start_utc_ns + length_ns
            lines.append(SlotEntry(Slot(start_utc_ns, end_utc_ns, of, number=len(lines) - 3, phase=phase)))
        at_s += seconds
    for line in [*lines, footer(at_s * SECOND)]:
        file.write(line, order)
    file.close(finished=True)
    return file.path


def test_a_phase_is_drawn_when_it_was(tmp_path: Path) -> None:
    """8 s of training, 4 of evaluation, 6 of training: three columns of full height, 690 units for 18 s in all."""
    path = journal(tmp_path, [("training", 8), ("eval", 4), ("training", 6)])
    source = page(receipt(journeys.run_of(path)), timeline([path]))
    wide = {kind: re.findall(r"M([\d.]+) 236h([\d.]+)v14H", drawn(source, kind)[0]) for kind in ("p0", "p1")}
    seconds = 690 / 18
    spans = {kind: [((float(x) - 62) / seconds, float(w) / seconds) for x, w in found] for kind, found in wide.items()}
    assert [pytest.approx((0, 8), abs=0.01), pytest.approx((12, 6), abs=0.01)] == spans["p0"]
    assert [pytest.approx((8, 4), abs=0.01)] == spans["p1"]


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_phases_that_change_all_the_time_are_told_by_their_shares(tmp_path: Path) -> None:
    """1,200 changes are more than a page can show apart: every step has both phases, and the page says so."""
    path = journal(tmp_path, [("training", 2), ("data", 1)] * 600)
    seen = timeline([path])
    assert () == seen.spans
    source = page(receipt(journeys.run_of(path)), seen)
    assert "changed too often to be shown apart" in source
    assert {"p0", "p1"} == {kind for kind in ("p0", "p1", "p2") if drawn(source, kind)}


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        pytest.param(("15 min", "105 min"), 119, id="below-two-hours"),
        pytest.param(("0.5 h", "1.5 h"), 120, id="two-hours"),
        pytest.param(("1 h", "6 h"), 400, id="a-morning"),
    ],
)
def test_time_is_read_in_hours_from_two_of_them_on(tmp_path: Path, words: tuple[str, ...], minutes: int) -> None:
    """Below that in minutes."""
    path = journal(tmp_path, [("training", 60 * minutes)])
    found = Page(page(receipt(journeys.run_of(path)), timeline([path]))).words["text"]
    assert set(words) <= set(found)
    assert {words[0].split()[1]} == {word.split()[1] for word in found if re.fullmatch(r"[\d.]+ (?:min|h)", word)}


def test_what_was_lost_is_shown(tmp_path: Path) -> None:
    """Of a run that failed, what came after its last checkpoint has a band and a word of its own."""
    path = journeys.training(tmp_path, 60, outcome="failed")
    found = Page(page(receipt(journeys.run_of(path)), timeline([path])))
    assert "lost" in [attributes.get("class") for attributes in found.all("rect")]
    assert "Sunk" in found.text("dt")
    assert "lost" in found.words["text"]


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_a_run_of_ninety_days_fits_in_300_kilobytes(tmp_path: Path) -> None:
    """However long it was, the page is as detailed as paper is; 129,600 minutes are drawn as 507 steps at most."""
    path = journeys.training(tmp_path, 750)
    of, short = receipt(journeys.run_of(path)), timeline([path])
    steps = [
        replace(
            short.steps[place % 188],
            start_utc_ns=BEGAN_UTC_NS + place * 256 * MINUTE,
            end_utc_ns=BEGAN_UTC_NS + (place + 1) * 256 * MINUTE,
            phases={"": 7 + place, "training": 10**9 + place, "eval": 3 * 10**8, "checkpoint": 2 * 10**8},
        )
        for place in range(600)
    ]
    saved = tuple(BEGAN_UTC_NS + hour * 60 * MINUTE for hour in range(2_160))
    assert len(page(of, Timeline(tuple(steps), 256 * MINUTE, saved)).encode()) < 300_000


def test_many_gpus_are_folded_away(tmp_path: Path) -> None:
    """Sixteen GPUs have their table; seventeen have it behind a line that opens it."""
    for count, folded in ((16, False), (17, True)):
        path = journeys.training(tmp_path / str(count), 8, gpus=count)
        source = page(receipt(journeys.run_of(path)))
        assert folded is (f"<summary>All {count} GPUs</summary>" in source)


def test_markup_escapes_by_itself() -> None:
    """Children and attributes are words unless they were made as markup."""
    inside = element("b", "<&>", title="\"'")
    assert '<b title="&quot;&#x27;">&lt;&amp;&gt;</b>' == inside
    assert f"<i>{inside}x</i>" == element("i", inside, "x")
    assert "a?b" == text("a\nb")
