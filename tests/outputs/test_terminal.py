"""The receipt as text, compared whole with golden files.

After a change that is meant, write them anew with ``COSTMETER_GOLDEN=write pytest tests/outputs``, and read the diff as
a newcomer would.
"""

import re
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given

from costmeter.ledger.query import Run, begin, fold_all
from costmeter.ledger.record import Header, Mark, MarkKind, Record
from costmeter.meter.totals import by_state
from costmeter.outputs.receipt import receipt
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import gpu_names, render
from costmeter.rates.book import HOST_NOT_SET
from tests.depth import examples
from tests.golden.compare import golden
from tests.outputs import runs
from tests.samples import HOUR, SECOND, device, footer, header, recordings

pytestmark = pytest.mark.usefixtures("in_utc")

WARNINGS = ('./costmeter.yaml:12:1: unknown key "tarrif". Did you mean "tariff"?',)
UNSAVED = "/home/maya/.local/state/costmeter/runs/r-0123456789ab: No space left on device"
LONGER = "r-0123456789ab-again-1"
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e\r\n\x9b31m"


def zone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TZ", name)
    time.tzset()


def text_of(run: Run, style: Style | None = None, **more: Any) -> str:
    return render(receipt(run, with_full_cost=bool(run.parts[0].items)), style or Style(), **more)


RUNS = [
    pytest.param("healthy", runs.healthy(), {}, id="healthy"),
    pytest.param("failed", runs.failed(), {"warnings": WARNINGS, "unsaved": UNSAVED}, id="failed-with-faults"),
    pytest.param("owned", runs.owned(), {}, id="owned-gpus-electricity-and-pue"),
    pytest.param("no-driver", runs.no_driver(), {}, id="no-driver-no-price"),
    pytest.param("none-held", runs.none_held(), {}, id="none-of-the-nodes-gpus"),
    pytest.param("nodes", runs.nodes(), {}, id="two-nodes-and-one-without-driver"),
    pytest.param("interrupted", runs.interrupted(), {}, id="interrupted-two-kinds-of-gpu"),
    pytest.param("simulated", runs.simulated(), {}, id="simulated"),
    pytest.param("reloaded", runs.reloaded(), {}, id="driver-reloaded"),
    pytest.param("divided", runs.divided(), {}, id="mig-and-grace"),
    pytest.param("beside", runs.beside(), {}, id="line-items"),
    pytest.param("moving", runs.moving(), {}, id="prices-that-moved"),
    pytest.param("unpriced", runs.unpriced(), {}, id="two-gpus-without-a-price"),
    pytest.param("trained", runs.trained(), {}, id="phases-units-and-a-budget"),
    pytest.param("broke-off", runs.broke_off(), {}, id="failed-after-a-checkpoint"),
    pytest.param("resumed", runs.resumed(), {}, id="work-done-twice"),
    pytest.param("waited", runs.waited(), {}, id="idle-for-reasons"),
    pytest.param("waited-phases", runs.waited("training"), {}, id="idle-for-reasons-in-a-phase"),
]


@pytest.mark.parametrize(("name", "run", "more"), RUNS)
@pytest.mark.parametrize(
    ("suffix", "style"),
    [pytest.param("", Style(), id="utf-8"), pytest.param("-ascii", Style(unicode=False), id="ascii")],
)
def test_a_receipt_reads_as_approved(name: str, run: Run, more: dict[str, Any], suffix: str, style: Style) -> None:
    """The whole receipt at 80 columns is the text of its golden file (COSTMETER_GOLDEN=write approves a new one)."""
    text = text_of(run, style, **more)
    assert golden(f"receipt-{name}{suffix}.txt", text) == text


@pytest.mark.parametrize(("name", "run", "more"), RUNS)
@pytest.mark.parametrize("width", [pytest.param(width, id=f"{width}-columns") for width in (40, 64, 80, 100)])
def test_no_line_is_wider_than_the_terminal(name: str, run: Run, more: dict[str, Any], width: int) -> None:
    """Lines are folded at the width, at no less than 64 columns; only a word of its own may be wider."""
    for line in text_of(run, Style(width), **more).splitlines():
        assert len(line) <= max(64, width) or " " not in line[10:], (name, line)


@pytest.mark.parametrize(("name", "run", "more"), RUNS)
def test_an_ascii_terminal_gets_ascii(name: str, run: Run, more: dict[str, Any]) -> None:
    """Without UTF-8 every character is ASCII, and no figure is lost to a question mark."""
    text = text_of(run, Style(unicode=False), **more)
    assert text.isascii(), name
    assert text.count("?") == "".join(more.get("warnings", ())).count("?")


# Columns that add up


@examples(30)
@given(recordings())
def test_columns_add_up(recording: tuple[tuple[str, ...], list[Record]]) -> None:
    """Hours and money of the rows are the total's, shares are 100, and the total is the headline's."""
    first, *rest = recording[1]
    assert isinstance(first, Header)
    run = Run((fold_all(begin(first), rest),))
    of = receipt(run)
    assume(any(of["rates"]["gpu_per_hour"].values()))
    lines = render(of, Style()).splitlines()
    top = next(place for place, line in enumerate(lines) if line.startswith(" Where it went"))
    end = next(place for place, line in enumerate(lines) if line.startswith(" total"))
    rows = [line.split() for line in lines[top + 1 : end]]
    assert [number(word) for word in lines[end].split()[1:]] == [
        sum(number(row[1]) for row in rows),
        sum(number(row[2]) for row in rows),
    ]
    if any(seconds for seconds in of["gpu_seconds"].values()):
        assert sum(number(row[3]) for row in rows) == 100
    money = sum(by_state(run.totals.whole.charges).values()) - sum(by_state(run.totals.whole.credits).values())
    assert abs(number(lines[end].split()[2]) - money) <= Decimal("0.005")


def test_a_run_without_a_price_has_no_column_of_zeros() -> None:
    """What nobody priced did not cost nothing: hours and shares of time are shown, and no money."""
    healthy = receipt(runs.healthy())
    free = healthy["rates"] | {"gpu_per_hour": {uuid: {} for uuid in healthy["rates"]["gpu_per_hour"]}}
    nothing = healthy["cost"] | {"total": "0", "components": {}, "states": dict.fromkeys(healthy["gpu_seconds"], "0")}
    lines = render(healthy | {"rates": free, "cost": nothing}, Style()).splitlines()
    assert "   no price" in lines[5]
    assert ["busy", "22.72", "88.7", "%"] == lines[8].split()[:4]
    assert ["total", "25.62"] == lines[10].split()


def test_a_node_without_driver_takes_no_price_from_the_others() -> None:
    """The headline is the money of the nodes that were metered, and the third node's fault is told below."""
    text = text_of(runs.nodes())
    assert "no price" not in text
    assert "   $3.78 " in text
    assert "no NVIDIA driver" in text


def test_a_price_is_advised_only_where_it_would_help() -> None:
    """A price lets time count without a driver; a run that held no GPU has no time to count."""
    assert "set a price" in text_of(runs.no_driver())
    assert "set a price" not in text_of(runs.none_held())


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


@pytest.mark.parametrize("width", [64, 80])
@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("run_id", ["r-0123456789ab", "lr-sweep-llama-3-8b-0042-of-1000-on-the-new-data"])
def test_the_rule_above_is_as_wide_as_the_terminal(width: int, simulated: bool, run_id: str) -> None:
    """The longest ending, simulated GPUs and an id of 48 letters leave it whole; the outcome is always there."""
    part = runs.simulated().parts[0]
    first = replace(part.header, run=run_id, simulated=simulated)
    run = Run((replace(part, header=first, footer=footer(HOUR, "stopped by budget", None, 15)),))
    rule = text_of(run, Style(width)).splitlines()[0]
    assert width == len(rule)
    assert "stopped by budget" in rule
    assert ("(simulated" in rule) is simulated


def test_an_imported_run_is_no_success() -> None:
    """Nobody saw how it ended: the head says where it is from, and no exit code."""
    part = runs.healthy().parts[0]
    first = replace(part.header, versions={**part.header.versions, "imported": "nvidia-smi CSV"})
    run = Run((replace(part, header=first, footer=footer(HOUR, "ok", None)),))
    assert text_of(run).splitlines()[0].endswith(" r-0123456789ab · imported ──")
    assert "nvidia-smi CSV" == receipt(run)["run"]["imported"]
    assert "· imported" not in text_of(runs.healthy())


# What names and commands may contain


@pytest.mark.parametrize("style", [pytest.param(Style(), id="utf-8"), pytest.param(Style(unicode=False), id="ascii")])
def test_nothing_in_a_record_can_drive_a_terminal(style: Style) -> None:
    """Escape sequences, line ends and reversed text in commands, names, hosts, devices and faults are shown as `?`."""
    run = runs.failed().parts[0]
    first = replace(run.header, command=("x", ESCAPE), name=ESCAPE, host=ESCAPE, run=ESCAPE)
    devices = {uuid: replace(each, name=ESCAPE) for uuid, each in run.devices.items()}
    marks = tuple(replace(mark, what=ESCAPE) for mark in run.marks)
    hostile = Run((replace(run, header=first, devices=devices, marks=marks, problems=(ESCAPE,)),))
    text = text_of(hostile, style, warnings=(ESCAPE,), unsaved=ESCAPE)
    assert all(line.isprintable() for line in text.split("\n"))
    assert not re.search("[\u202e\x1b\x07\x9b\r]", text)
    assert text.count("owned") >= 8


def test_a_command_that_is_not_utf_8_is_shown() -> None:
    """Bytes of a file name that are no text are `?`, and the receipt can be written to any terminal."""
    first = header(command=("python", b"caf\xe9.py".decode("utf-8", "surrogateescape")))
    text = text_of(Run((replace(runs.healthy().parts[0], header=first),)))
    assert " python 'caf?.py'\n" in text
    assert text.encode("utf-8")


def test_a_long_command_is_cut() -> None:
    """A command line of any length takes one line."""
    first = header(command=("python", "train.py", *(f"--option-{place}=value" for place in range(50))))
    line = text_of(Run((replace(runs.healthy().parts[0], header=first),))).splitlines()[1]
    assert line.startswith(" python train.py --option-0=value")
    assert (77, "…") == (len(line), line[-1])
    ascii_line = text_of(Run((replace(runs.healthy().parts[0], header=first),)), Style(unicode=False)).splitlines()[1]
    assert (79, "...") == (len(ascii_line), ascii_line[-3:])


def test_a_command_that_is_not_kept_is_not_shown() -> None:
    """With --no-command the receipt goes on with what it knows."""
    lines = text_of(Run((replace(runs.healthy().parts[0], header=header(command=None)),))).splitlines()
    assert lines[1].startswith(" gpu01 · 8 × H100")


# Colour, time, names


def test_colour_is_only_added() -> None:
    """With colour the text is the same text: the headline is bold and nothing else changes."""
    plain, coloured = text_of(runs.healthy()), text_of(runs.healthy(), Style(color=True))
    assert plain == re.sub(r"\x1b\[\d*m", "", coloured)
    assert ["\x1b[1m", "\x1b[0m"] == re.findall(r"\x1b\[\d*m", coloured)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        pytest.param("22 Nov 2026 06:03:00 → 09:15:07 PST", "America/Los_Angeles", id="the-same-day"),
        pytest.param("22 Nov 2026 23:03:00 → 23 Nov 02:15:07 JST", "Asia/Tokyo", id="past-midnight"),
        pytest.param("22 Nov 2026 19:48:00 → 23:00:07 +0545", "Asia/Kathmandu", id="a-quarter-hour"),
    ],
)
def test_times_are_local_and_name_their_zone(monkeypatch: pytest.MonkeyPatch, expected: str, name: str) -> None:
    """A person reads the time of their own clock, and which clock that is."""
    zone(monkeypatch, name)
    assert expected in text_of(runs.healthy())


def test_a_fault_of_another_day_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a fault alone is enough only on the run's first day."""
    assert " Fault    14:33:00 GPU 3: GPU is lost" in text_of(runs.failed())
    zone(monkeypatch, "Pacific/Auckland")
    part = runs.failed().parts[0]
    late = tuple(replace(mark, at_utc_ns=mark.at_utc_ns + 24 * 3_600 * 10**9) for mark in part.marks[:1])
    assert " Fault    24 Nov 03:33:00 GPU 3: GPU is lost" in text_of(Run((replace(part, marks=late),)))


@pytest.mark.parametrize(
    ("expected", "exit_code", "signal", "outcome"),
    [
        pytest.param("exit 0 ──", 0, None, "ok", id="ok"),
        pytest.param("exit 1 (failed) ──", 1, None, "failed", id="failed"),
        pytest.param("signal 15 (preempted) ──", None, 15, "preempted", id="preempted"),
        pytest.param("signal 2 (cancelled) ──", None, 2, "cancelled", id="cancelled"),
    ],
)
def test_the_frame_says_how_it_ended(expected: str, exit_code: int | None, signal: int | None, outcome: str) -> None:
    """The first line carries the run's id and its end."""
    of = receipt(runs.healthy())
    ended = of | {"run": of["run"] | {"exit_code": exit_code, "signal": signal, "outcome": outcome}}
    assert render(ended, Style()).splitlines()[0].endswith(f" r-0123456789ab · {expected}")


@pytest.mark.parametrize(
    ("expected", "run_id", "width"),
    [
        pytest.param(
            "(simulated GPUs) ──────── r-0123456789ab · signal 15 (preempted) ──", "r-0123456789ab", 80, id="all-of-it"
        ),
        pytest.param(f"(simulated) ───── {LONGER} · signal 15 (preempted) ──", LONGER, 80, id="a-longer-id"),
        pytest.param(f"(simulated) ── {'a' * 24}… · signal 15 (preempted) ──", "a" * 64, 80, id="the-longest-id"),
        pytest.param(f"(simulated) ── {'a' * 20}… · preempted ──", "a" * 64, 64, id="narrow-and-the-longest-id"),
    ],
)
def test_an_id_gives_way_before_the_signal_does(expected: str, run_id: str, width: int) -> None:
    """Also of a run without GPUs: which signal it was stands nowhere else, and the id does, at the end."""
    of = receipt(runs.no_driver()) | {"simulated": True}
    changes = {"id": run_id, "exit_code": None, "signal": 15, "outcome": "preempted"}
    first, *others = render(of | {"run": of["run"] | changes}, Style(width)).splitlines()
    assert f"── costmeter {expected}" == first
    assert (width, True) == (len(first), any(run_id in line for line in others))


@pytest.mark.parametrize(
    ("expected", "kind", "what", "later_seconds"),
    [
        pytest.param(
            "Gap      14:33:00 → 14:33:04 the meter was not running for 4 s; energy from its counter",
            "gap",
            "the meter was not running for 4 s; energy from its counter",
            4,
            id="gap",
        ),
        pytest.param(
            "Gap      14:33:00 → 23 Nov 14:33:00 nothing was read for 86400 s; energy unmeasured",
            "gap",
            "nothing was read for 86400 s; energy unmeasured",
            86_400,
            id="gap-of-a-day",
        ),
        pytest.param(
            "Clock    14:33:00 wall clock was stepped by +3.000 s",
            "clock",
            "wall clock was stepped by +3.000 s",
            0,
            id="clock",
        ),
    ],
)
def test_what_is_no_fault_is_not_called_one(expected: str, kind: MarkKind, what: str, later_seconds: int) -> None:
    """A gap says from when to when nobody metered, and how its energy was found; a clock that was set is no fault."""
    part = runs.failed().parts[0]
    told = Mark(part.marks[0].at_utc_ns + later_seconds * SECOND, kind, what)
    assert f" {expected}\n" in text_of(Run((replace(part, marks=(told,)),)), Style(120))


@pytest.mark.parametrize(("said", "seconds"), [(False, 0.049), (True, 0.05)])
def test_an_instant_without_energy_is_not_told(said: bool, seconds: float) -> None:
    """What would read as 0.0 s of GPU time is not worth a line; 0.05 s reads as 0.1 s."""
    of = receipt(runs.healthy()) | {"unmeasured_gpu_seconds": seconds}
    assert said == ("of GPU time is not known" in render(of, Style()))


@pytest.mark.parametrize(
    ("expected", "detail"),
    [
        pytest.param("host and cooling not counted; set host.power", HOST_NOT_SET.detail, id="nobody-asked"),
        pytest.param("host not counted (`costmeter doctor` says why); set host.power", "missing: no", id="refused"),
    ],
)
def test_a_host_that_cannot_be_read_sends_to_the_doctor(expected: str, detail: str) -> None:
    """Counters that were looked for and refused can be opened; where nobody asked for them, a number is as good."""
    of = receipt(runs.interrupted())
    text = render(of | {"origins": of["origins"] | {"host.power": detail}}, Style(100))
    assert expected in text
    assert "electricity.pue" in text


def test_faults_that_do_not_fit_are_found_elsewhere() -> None:
    """Six lines of faults: five are shown, and what to type to see them all."""
    of = receipt(runs.healthy())
    faults = [{"at": of["run"]["started_at"], "device": None, "what": f"fault {n}"} for n in range(6)]
    text = render(of | {"meter": of["meter"] | {"faults": faults}}, Style())
    assert "and 1 more; see: costmeter report r-0123456789ab --json" in text


def test_gpus_are_counted_by_model() -> None:
    """Models in the order of their first GPU, without the maker's name."""
    names = ["NVIDIA H100 80GB HBM3", "NVIDIA A100", "NVIDIA H100 80GB HBM3"]
    assert "2 × H100 80GB HBM3 + 1 × A100" == gpu_names([{"name": device(0, name).name} for name in names])
