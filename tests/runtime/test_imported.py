"""A log of nvidia-smi metered: energies worked out by hand, gaps, GPUs that come and go."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from costmeter.config.settings import Settings
from costmeter.errors import JournalError
from costmeter.ledger.bulk import load_run
from costmeter.ledger.journal import JournalFile
from costmeter.ledger.query import Part
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant
from costmeter.rates.book import Book, GpuPlan, Sourced
from costmeter.runtime.imported import Asked, Heard, meter, ticks
from costmeter.sources.smicsv import Reader, columns
from tests.samples import BEGAN_UTC_NS, JOULE, KWH, SECOND

PRICED = Settings(book=Book(gpus=(GpuPlan(price=Sourced(Constant(Decimal("2.40")), Origin("configured", "--price"))),)))
ASKED = Asked("import-1", "log", {})
FIELDS = "timestamp,index,name,power.draw,utilization.gpu"
H100 = "NVIDIA H100 80GB HBM3"


def row(second: float, gpu: int = 0, power: str = "300.00", utilization: str = "98") -> str:
    """One line, so long after 14:03."""
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(3 + int(minutes), 60)
    return f"2026/11/22 {14 + hours:02d}:{minutes:02d}:{seconds:06.3f}, {gpu}, {H100}, {power}, {utilization}\n"


def metered(
    rows: Iterable[str], heard: Heard | None = None, journal: JournalFile | None = None, **changes: Any
) -> Part:
    """The run of a log."""
    asked, reader = replace(ASKED, **changes), Reader(columns(FIELDS), ZoneInfo("UTC"))
    return meter(ticks(rows, reader, asked, heard or Heard()), asked, PRICED, journal)


def joules(part: Part) -> float:
    return part.totals.whole.quantities.microjoules / JOULE


def test_constant_power_is_its_product() -> None:
    """Two GPUs at 300 W for an hour, read each second: 2 × 0.3 kW × 1 h = 0.6 kWh, and 2 h at $2.40 are $4.80."""
    part = metered(row(second, gpu) for second in range(3_601) for gpu in range(2))

    whole = part.totals.whole
    assert whole.quantities.microjoules == 6 * KWH // 10
    assert whole.quantities.power_microjoules == 6 * KWH // 10
    assert whole.cost == Decimal("4.80")
    assert whole.quantities.busy_nanoseconds == 7_200 * SECOND
    assert part.length_ns == 3_600 * SECOND


@pytest.mark.parametrize(
    ("powers", "expected"),
    [
        pytest.param([100, 200, 300], 150 + 250, id="ramp"),
        pytest.param([100, 100, 500, 500], 100 + 300 + 500, id="step"),
        pytest.param([0, 0, 700], 0 + 350, id="from-nothing"),
    ],
)
def test_between_readings_power_is_a_straight_line(powers: Sequence[int], expected: int) -> None:
    """Readings a second apart are joined by trapezoids: 100, 200, 300 W are 150 J and 250 J."""
    assert joules(metered(row(second, 0, str(power)) for second, power in enumerate(powers))) == expected


def test_a_pass_over_all_gpus_is_one_tick() -> None:
    """Lines of one pass bear times milliseconds apart; all GPUs are held for one and the same time."""
    part = metered(row(second + 0.004 * gpu, gpu) for second in range(61) for gpu in range(8))

    assert {device.quantities.nanoseconds for device in part.totals.devices.values()} == {60 * SECOND}
    assert joules(part) == 8 * 300 * 60


def test_a_gap_is_unmeasured_and_costs_rent() -> None:
    """Ten minutes without lines: nobody knows the energy, the rent goes on, and the receipt says so.

    Of 720 s 120 are measured at 300 W: 36 kJ. 0.2 h at $2.40 are $0.48.
    """
    seconds = [*range(61), *range(660, 721)]
    part = metered(row(second) for second in seconds)

    quantities = part.totals.whole.quantities
    assert joules(part) == 36_000
    assert quantities.unmeasured_nanoseconds == quantities.unknown_nanoseconds == 600 * SECOND
    assert part.totals.whole.cost == Decimal("0.48")
    assert any(mark.kind == "gap" for mark in part.marks)


@pytest.mark.parametrize("period", [0.1, 1, 10, 60, 300])
def test_the_period_is_the_logs_own(period: float) -> None:
    """At whatever steady period the log was written, all of it was watched."""
    part = metered(row(period * tick) for tick in range(21))

    assert part.totals.whole.quantities.unmeasured_nanoseconds == 0
    assert joules(part) == pytest.approx(300 * period * 20, abs=1e-6)


def test_a_gpu_that_is_lost_is_held_and_unmeasured() -> None:
    """GPU 1 has no lines from second 60 on: 60 s unmeasured, its rent goes on; GPU 0 is as before."""
    rows = [row(second, gpu) for second in range(121) for gpu in range(2) if gpu == 0 or second <= 60]
    devices = metered(rows).totals.devices

    assert devices["index-1"].quantities.unmeasured_nanoseconds == 60 * SECOND
    assert devices["index-0"].quantities.unmeasured_nanoseconds == 0
    assert devices["index-0"].cost == devices["index-1"].cost


@pytest.mark.parametrize("first", [1, 30, 60])
def test_a_gpu_that_comes_later_counts_from_its_first_line(first: int) -> None:
    """GPU 1 has lines from second `first` to 120: not a moment before is its, and none of its energy is estimated.

    At 300 W its energy is 300 J for each of 120 - `first` seconds; GPU 0 is as if it were alone.
    """
    rows = [row(second, gpu) for second in range(121) for gpu in range(2) if gpu == 0 or second >= first]
    part = metered(rows)
    late, alone = (part.totals.devices[f"index-{gpu}"].quantities for gpu in (1, 0))

    assert (late.nanoseconds, late.unmeasured_nanoseconds) == ((120 - first) * SECOND, 0)
    assert (late.microjoules, late.power_microjoules) == (300 * (120 - first) * JOULE,) * 2
    assert (alone.nanoseconds, alone.power_microjoules) == (120 * SECOND, 36_000 * JOULE)
    assert [mark.what for mark in part.marks] == [f"appeared ({H100}); its energy counts from here"]


def test_a_journal_knows_since_when_a_late_gpu_is_held(tmp_path: Path) -> None:
    """Read again, a GPU that came within a minute has no more and no less than when it was metered."""
    journal = JournalFile(tmp_path / "runs" / "import-1", "imported")
    rows = [row(second, gpu) for second in range(200) for gpu in range(3) if gpu == 0 or second >= 40 * gpu]
    part = metered(rows, journal=journal)
    journal.close(finished=True)

    (again,) = load_run(tmp_path, "import-1").parts
    assert again.totals == part.totals
    assert [part.totals.devices[f"index-{gpu}"].quantities.nanoseconds // SECOND for gpu in range(3)] == [199, 159, 119]


NAMELESS = "timestamp,power.draw,utilization.gpu"


def nameless(gpus: int, apart_ms: int, passes: int = 30) -> list[str]:
    """Lines that name no GPU: each pass so many, so far apart, at different powers."""
    return [
        f"2026/11/22 14:03:{second:02d}.{100 + apart_ms * gpu:03d}, {300 + gpu}.{second:02d}, 98\n"
        for second in range(passes)
        for gpu in range(gpus)
    ]


@pytest.mark.parametrize(("gpus", "apart_ms"), [(2, 0), (8, 0), (2, 4), (4, 11), (8, 7), (16, 20)])
def test_gpus_that_nothing_tells_apart_are_refused(gpus: int, apart_ms: int) -> None:
    """They would be taken for one GPU, which is billed once: the refusal says what to log."""
    passes = ticks(nameless(gpus, apart_ms), Reader(columns(NAMELESS), ZoneInfo("UTC")), ASKED, Heard())
    with pytest.raises(JournalError, match="neither index, uuid nor") as refusal:
        meter(passes, ASKED, PRICED, None)
    assert refusal.value.hint.startswith("log it with index,uuid: nvidia-smi --query-gpu=timestamp,index,uuid,")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(nameless(1, 0), id="steady"),
        pytest.param([line for line in nameless(1, 0, 60) for _ in range(2)], id="twice-over"),
        pytest.param([line for at, line in enumerate(nameless(1, 0, 60)) if at % 10 < 4], id="in-bursts"),
        pytest.param(nameless(1, 0, 2), id="two-lines"),
    ],
)
def test_one_gpu_needs_no_name(rows: list[str]) -> None:
    """A log of a single GPU is read, also where it has every line twice or was written in bursts."""
    passes = ticks(rows, Reader(columns(NAMELESS), ZoneInfo("UTC")), ASKED, Heard())
    assert list(meter(passes, ASKED, PRICED, None).totals.devices) == ["index-0"]


def test_a_power_that_no_gpu_draws_is_not_paid_for() -> None:
    """A line of 50,000 W is left out and told with its reason: the rest is 300 W × 60 s, as without it."""
    heard = Heard()
    rows = [row(second, 0, "50000.00" if second == 30 else "300.00") for second in range(61)]

    assert joules(metered(rows, heard)) == 18_000
    assert (heard.used, heard.bad) == (60, 1)
    assert heard.first_bad == ["line 31: power.draw of 50,000 W: no GPU draws more than 3,000 W"]


def test_a_gpu_that_returns_begins_a_pass() -> None:
    """The first GPU's line after its absence belongs to the pass that follows, not to the one before it."""
    rows = [row(second, gpu) for second in range(3) for gpu in range(2) if not (gpu == 0 and second == 1)]
    reader = Reader(columns(FIELDS), ZoneInfo("UTC"))

    assert [list(tick.lines) for tick in ticks(rows, reader, ASKED, Heard())] == [
        ["index-0", "index-1"], ["index-1"], ["index-0", "index-1"],
    ]  # fmt: skip


def test_without_power_energy_is_an_estimate() -> None:
    """Where power is [N/A] it is estimated from utilization, between the model's idle and full power; never 0."""
    part = metered(row(second, 0, "[N/A]", "100") for second in range(61))

    quantities = part.totals.whole.quantities
    assert quantities.estimated_microjoules == quantities.microjoules > 0


def test_idle_time_is_told_apart() -> None:
    """Utilization below 5 % is idle: half of two minutes."""
    rows = [row(second, 0, "70.00", "0" if second <= 60 else "99") for second in range(121)]
    assert metered(rows).totals.whole.quantities.idle_nanoseconds == 60 * SECOND


def test_bad_lines_are_counted_and_the_first_told() -> None:
    """Five are told by number; the rest of the log is metered as without them."""
    heard = Heard()
    rows = [row(second) for second in range(61)]
    for place in range(50, 0, -7):
        rows.insert(place, "GPU is lost\n")
    part = metered(rows, heard)

    assert (heard.used, heard.bad, len(heard.first_bad)) == (61, 8, 5)
    assert heard.first_bad[0].startswith("line 2: ")
    assert joules(part) == 18_000


def test_lines_that_go_back_in_time_are_not_used() -> None:
    """Two logs in one file are not two runs at once: what is earlier than the lines above is left out and counted."""
    heard = Heard()
    rows = [row(second) for second in range(61)]
    part = metered([*rows, *rows[:30]], heard)

    assert heard.went_back == 30
    assert joules(part) == 18_000


def test_a_span_of_the_log() -> None:
    """--from and --to, both included, leave out what lies beyond: half a minute of 300 W is 9 kJ."""
    span: dict[str, Any] = {"from_utc_ns": BEGAN_UTC_NS + 10 * SECOND, "to_utc_ns": BEGAN_UTC_NS + 40 * SECOND}
    assert joules(metered((row(second) for second in range(61)), **span)) == 9_000


@pytest.mark.parametrize("rows", [[], [row(0)], [row(0), row(0, 1)]], ids=["empty", "one-line", "one-pass"])
def test_what_has_no_length_is_refused(rows: list[str]) -> None:
    """Nothing lies between fewer than two readings."""
    with pytest.raises(JournalError, match="fewer than two readings"):
        metered(rows)


def test_the_journal_is_the_receipt(tmp_path: Path) -> None:
    """What was recorded folds to what was returned, and says that it was imported."""
    journal = JournalFile(tmp_path / "runs" / "import-1", "imported")
    part = metered((row(second, gpu) for second in range(200) for gpu in range(2)), journal=journal)
    journal.close(finished=True)

    (again,) = load_run(tmp_path, "import-1").parts
    assert again.totals == part.totals
    assert again.problems == ()
    assert again.header.labels == {"imported": "nvidia-smi"}
    assert again.header.versions["imported"] == "nvidia-smi CSV"
    assert again.footer is not None
    assert again.footer.cpu_ns == 0
    assert (again.footer.outcome, again.footer.exit_code, again.footer.signal) == ("ok", None, None)


def test_how_it_ended_nobody_knows() -> None:
    """Missing is never 0: an imported run has neither exit code nor signal, and nothing says that it failed."""
    footer = metered([row(0), row(1)]).footer
    assert footer is not None
    assert (footer.outcome, footer.exit_code, footer.signal) == ("ok", None, None)


def test_a_line_that_is_too_long_is_one_line() -> None:
    """It is told by its number, and the numbers of the lines after it are right."""
    heard = Heard()
    reader = Reader(columns(FIELDS), ZoneInfo("UTC"))
    rows = [row(0), None, row(1), "x\n", row(2)]

    assert len(list(ticks(rows, reader, ASKED, heard))) == 3
    assert heard.first_bad == ["line 2: longer than 10,000 characters", "line 4: 1 fields where 5 are needed"]


def test_a_log_twice_over_is_the_log_once() -> None:
    """Two copies of one log, sorted into one, have every reading twice: the second is left out and counted."""
    heard = Heard()
    rows = [row(second, gpu) for second in range(61) for gpu in range(2) for _ in range(2)]
    part = metered(rows, heard)

    assert (joules(part), part.totals.whole.quantities.unmeasured_nanoseconds) == (2 * 300 * 60, 0)
    assert (heard.used, heard.bad) == (122, 122)
    assert heard.first_bad[0] == "line 2: a line above has the same GPU at the same time"


def test_a_time_yet_to_come_is_told() -> None:
    """More than a day after now: a log of a wrong clock is metered and told; a single such line is left out."""
    rows = [row(second) for second in range(61)]
    before: dict[str, Any] = {"now_utc_ns": BEGAN_UTC_NS - 2 * 86_400 * SECOND}
    whole = Heard()
    assert joules(metered(rows, whole, **before)) == 18_000
    assert (whole.yet_to_come, whole.first_to_come) == (61, "line 1: its time, 2026-11-22, is yet to come")

    one = Heard()
    rows.insert(30, row(30).replace("2026/", "2099/"))
    assert joules(metered(rows, one, now_utc_ns=BEGAN_UTC_NS)) == 18_000
    assert one.first_bad == ["line 31: its time, 2099-11-22, is yet to come"]

    soon = Heard()
    metered([row(0), row(1)], soon, now_utc_ns=BEGAN_UTC_NS - 86_400 * SECOND // 2)
    assert (soon.yet_to_come, soon.bad) == (0, 0)


def test_a_gap_of_years_is_no_run() -> None:
    """A clock that was set from 1970 while it logged: decades of rent are not booked, and --from is named."""
    rows = [row(0).replace("2026/", "1970/"), row(1).replace("2026/", "1970/"), row(2), row(3)]
    with pytest.raises(JournalError, match="line 3: from 1970-11-22 to 2026-11-22") as refusal:
        metered(rows)
    assert "--from 2026-11-22" in refusal.value.hint
