"""Folding: the live meter and the report add up the same records, so they cannot disagree."""

import os
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given

from costmeter.clock import Anchor, RealClock
from costmeter.errors import JournalError
from costmeter.ledger.bulk import load_run
from costmeter.ledger.finding import paths_of, run_ids
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode
from costmeter.ledger.query import MARKS_KEPT, Part, Run, begin, fold, fold_all
from costmeter.ledger.record import Header, Mark, RatesChange, Record, SlotEntry
from costmeter.meter.totals import Totals, totals
from tests.depth import examples
from tests.ledger.slowly import fold_journal, read_journal
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    MINUTE,
    SECOND,
    devices,
    footer,
    header,
    held,
    measured,
    rates,
    rates_from_start,
    recordings,
    rental,
    slot,
    uuids,
)

Recording = tuple[tuple[str, ...], list[Record]]
ORDER = uuids(devices(2))
RENTED = rates({uuid: rental() for uuid in ORDER})
BEGINNING: list[Record] = [header(), held(devices(2)), rates_from_start(RENTED)]


def in_memory(lines: Sequence[Record]) -> Part:
    first, *rest = lines
    assert isinstance(first, Header)
    return fold_all(begin(first), rest)


def on_disk(folder: Path, order: tuple[str, ...], lines: Sequence[Record], host: str = "gpu01") -> JournalFile:
    file = JournalFile(folder, host)
    for line in lines:
        file.append(encode(line, order))
    return file


def minute(number: int = 0) -> SlotEntry:
    """8.3 cents of rent: 2 GPUs × 1 min × $2.49/h."""
    return SlotEntry(slot({uuid: measured(MINUTE, 10**10) for uuid in ORDER}, number))


def run_of(state: Path, run_id: str, *records: Record, host: str = "gpu01") -> JournalFile:
    """A recorded run below a state directory."""
    return on_disk(state / "runs" / run_id, ORDER, [*BEGINNING, *records], host)


# A part


@examples(30)
@given(recordings())
def test_the_file_and_the_memory_fold_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, recording: Recording
) -> None:
    """A finished run read back is, to the last digit, the part that its meter had in memory."""
    order, lines = recording
    lines = [*lines, footer(5 * MINUTE)]
    file = on_disk(tmp_path_factory.mktemp("run"), order, lines)
    file.close(finished=True)
    assert in_memory(lines) == fold_journal(read_journal(file.path))


@examples(30)
@given(recordings())
def test_a_killed_run_folds_to_what_its_last_tick_showed(
    tmp_path_factory: pytest.TempPathFactory, recording: Recording
) -> None:
    """Closed slots and the open one, read back, are the live totals: closed slots folded plus the open one charged."""
    order, lines = recording
    still_open = slot(dict.fromkeys(order, measured(SECOND, 10**8)), 4, SECOND)
    file = on_disk(tmp_path_factory.mktemp("run"), order, lines)
    file.write_open(encode_open(still_open, order, 1), len(order))
    file.close(finished=False)
    live = in_memory(lines)
    assert live.rates is not None
    assert live.totals + totals(still_open, live.rates) == fold_journal(read_journal(file.path)).totals


@examples(30)
@given(recordings())
def test_a_part_is_the_sum_of_its_slots(recording: Recording) -> None:
    """Every slot is priced under the rates that precede it, and nothing else makes money."""
    _, lines = recording
    expected, in_force = Totals(), RENTED
    for line in lines:
        if isinstance(line, RatesChange):
            in_force = line.rates
        elif isinstance(line, SlotEntry):
            expected = expected + totals(line.slot, in_force)
    assert expected == in_memory(lines).totals


def test_a_run_priced_by_hand() -> None:
    """2 GPUs for a minute at $2.49/h and a minute at $6/h: 8.3 + 20 = 28.3 cents."""
    dearer = RatesChange(BEGAN_UTC_NS + MINUTE, rates({uuid: rental("6") for uuid in ORDER}))
    part = in_memory([*BEGINNING, minute(0), dearer, minute(1)])
    assert Decimal("0.283") == part.totals.whole.cost
    assert (True, RENTED, dearer.rates) == (part.prices_changed, part.first_rates, part.rates)


def test_a_part_with_nothing_in_it_is_zero() -> None:
    """A run that was killed at once has cost nothing, and ended when it began."""
    part = in_memory([header()])
    assert (Totals(), BEGAN_UTC_NS, None) == (part.totals, part.ended_utc_ns, part.footer)


def test_an_interrupted_part_ended_with_its_last_slot() -> None:
    """Without a footer, a run lasted as long as it was metered."""
    assert in_memory([*BEGINNING, minute(0), minute(1)]).ended_utc_ns == BEGAN_UTC_NS + 2 * MINUTE


def test_a_finished_part_ended_when_its_child_did() -> None:
    """The footer's instant is the end."""
    assert BEGAN_UTC_NS + 59 * SECOND == in_memory([*BEGINNING, minute(0), footer(59 * SECOND)]).ended_utc_ns


def test_slots_without_rates_are_told_once_and_not_counted() -> None:
    """A rates line that was lost makes a day of slots unpriced: one problem, not 1,440."""
    part = in_memory([header(), held(devices(2)), *(minute(number) for number in range(1_440))])
    assert (1, Totals()) == (len(part.problems), part.totals)
    assert BEGAN_UTC_NS + 1_440 * MINUTE == part.ended_utc_ns


def test_the_first_marks_are_kept_and_the_rest_counted() -> None:
    """A device that fails all day does not fill the receipt, and nothing is hidden."""
    marks = [Mark(BEGAN_UTC_NS + number, "fault", f"no answer {number}") for number in range(MARKS_KEPT + 7)]
    part = in_memory([*BEGINNING, *marks])
    assert (tuple(marks[:MARKS_KEPT]), 7) == (part.marks, part.marks_dropped)


def test_folding_changes_no_part() -> None:
    """A part is a fact: one record more is another part."""
    before = in_memory(BEGINNING)
    assert fold(before, minute()) != before
    assert in_memory(BEGINNING) == before


# A run


@examples(15)
@given(recordings(), recordings())
def test_parts_sum_to_the_run(one: Recording, two: Recording) -> None:
    """The run's totals are its parts', in either order."""
    left, right = in_memory(one[1]), in_memory(two[1])
    assert left.totals + right.totals == Run((left, right)).totals == Run((right, left)).totals


def test_all_parts_of_a_run_are_loaded_in_order_of_their_start(tmp_path: Path) -> None:
    """A requeued run on another host is one run: parts in order of time, totals summed."""
    run_of(tmp_path, "r-1", minute()).close(finished=False)
    late = header(host="a-host-whose-name-sorts-first", start_ns=BEGAN_NS + HOUR)
    on_disk(tmp_path / "runs" / "r-1", ORDER, [late, *BEGINNING[1:], minute(60)], late.host).close(finished=False)
    run = load_run(tmp_path, "r-1")
    assert ["gpu01", late.host] == [part.header.host for part in run.parts]
    assert Decimal("0.166") == run.totals.whole.cost


def test_parts_are_grouped_by_their_currency() -> None:
    """Rates decide a part's currency, the header where there are none; groups and their parts stay in order."""
    in_euros = in_memory([*BEGINNING[:2], rates_from_start(rates(RENTED.devices, currency="EUR")), minute()])
    in_dollars, unmetered = in_memory([*BEGINNING, minute()]), in_memory([header(currency="EUR")])
    assert ["EUR", "USD", "EUR"] == [part.currency for part in (in_euros, in_dollars, unmetered)]
    groups = Run((in_euros, in_dollars, unmetered, in_dollars)).by_currency()
    assert (Run((in_euros, unmetered)), Run((in_dollars, in_dollars))) == groups


@pytest.mark.parametrize("suffix", [pytest.param("", id="folder"), pytest.param("/gpu01.1.jsonl", id="file")])
def test_a_run_is_loaded_from_where_it_was_copied_to(tmp_path: Path, suffix: str) -> None:
    """A path instead of an id reads a folder of parts, or one part, wherever it lies."""
    on_disk(tmp_path / "copied", ORDER, [*BEGINNING, minute()]).close(finished=True)
    assert Decimal("0.083") == load_run(Path("nowhere"), f"{tmp_path}/copied{suffix}").totals.whole.cost


def test_a_part_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    """A meter killed before its first line leaves an empty part: the run is told with what is left, and that it is."""
    run_of(tmp_path, "r-1", minute()).close(finished=True)
    (tmp_path / "runs" / "r-1" / "gpu01.2.jsonl").touch()
    run = load_run(tmp_path, "r-1")
    assert Decimal("0.083") == run.totals.whole.cost
    (problem,) = run.parts[0].problems
    assert problem.endswith("gpu01.2.jsonl: no readable header line; this part is not counted")


def test_a_run_of_unreadable_parts_is_refused(tmp_path: Path) -> None:
    """When nothing can be read, the refusal says why."""
    folder = tmp_path / "runs" / "r-1"
    folder.mkdir(parents=True)
    (folder / "gpu01.1.jsonl").touch()
    with pytest.raises(JournalError, match="no readable header"):
        load_run(tmp_path, "r-1")


def test_a_run_that_is_not_there_names_the_closest(tmp_path: Path) -> None:
    """A mistyped id is answered with the id that was meant."""
    run_of(tmp_path, "r-7f3c2a").close(finished=True)
    with pytest.raises(JournalError, match='no run "r-7f3c2" here') as refusal:
        load_run(tmp_path, "r-7f3c2")
    assert refusal.value.hint.startswith("Closest: r-7f3c2a (")
    assert refusal.value.hint.endswith("). List: costmeter report")


@pytest.mark.parametrize(
    ("age_ns", "name", "form"),
    [
        pytest.param(HOUR, "sft-llama", "(sft-llama, {:%a %H:%M})", id="this-week"),
        pytest.param(HOUR, "", "({:%a %H:%M})", id="nameless"),
        pytest.param(30 * 24 * HOUR, "sft-llama", "(sft-llama, {:%Y-%m-%d})", id="last-month"),
    ],
)
def test_the_closest_is_told_by_name_and_start(tmp_path: Path, age_ns: int, name: str, form: str) -> None:
    """So that one sees whether it was meant: by the machine's clock, a day of the week or a date."""
    began_ns = RealClock().utc_ns() - age_ns
    first = header(run="r-7f3c2a", name=name, anchor=Anchor(header().start_ns, began_ns))
    write(tmp_path / "runs" / "r-7f3c2a", first, [])
    with pytest.raises(JournalError) as refusal:
        paths_of(tmp_path, "r-7f3c2")
    began = form.format(datetime.fromtimestamp(began_ns // SECOND))
    assert refusal.value.hint == f"Closest: r-7f3c2a {began}. List: costmeter report"


def test_the_closest_need_not_be_readable(tmp_path: Path) -> None:
    """A damaged journal has no name, and is still named."""
    (tmp_path / "runs" / "r-7f3c2a").mkdir(parents=True)
    (tmp_path / "runs" / "r-7f3c2a" / "gpu01.1.jsonl").write_bytes(b"\0" * 100)
    with pytest.raises(JournalError) as refusal:
        paths_of(tmp_path, "r-7f3c2")
    assert refusal.value.hint == "Closest: r-7f3c2a. List: costmeter report"


def test_the_very_name_that_failed_is_never_the_closest(tmp_path: Path) -> None:
    """A folder without a journal is no run, and is not suggested to the person who just named it."""
    (tmp_path / "runs" / "r-7f3c2a").mkdir(parents=True)
    with pytest.raises(JournalError) as refusal:
        load_run(tmp_path, "r-7f3c2a")
    assert refusal.value.hint == "List: costmeter report"


def test_a_run_may_be_called_like_a_file(tmp_path: Path) -> None:
    """An id that ends in .jsonl is a path only where there is such a file."""
    run_of(tmp_path, "train.jsonl", minute()).close(finished=True)
    assert Decimal("0.083") == load_run(tmp_path, "train.jsonl").totals.whole.cost
    with pytest.raises(JournalError) as refusal:
        load_run(tmp_path, "./train.jsonl")
    assert "Closest: train.jsonl (" in refusal.value.hint


def test_a_run_like_no_other_is_answered_with_the_last(tmp_path: Path) -> None:
    """Without a similar id, the hint is how to see the last run."""
    with pytest.raises(JournalError) as refusal:
        load_run(tmp_path, "r-7f3c2")
    assert refusal.value.hint == "List: costmeter report"


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    """The last run recorded is the first that a report shows; files beside the runs are none."""
    for age, run_id in enumerate(("r-b", "r-c", "r-a")):
        run_of(tmp_path, run_id).close(finished=True)
        os.utime(tmp_path / "runs" / run_id, ns=(0, BEGAN_UTC_NS - age * HOUR))
    (tmp_path / "runs" / "notes.txt").touch()
    assert ["r-b", "r-c", "r-a"] == run_ids(tmp_path)


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    """A meter that could write nothing leaves an empty folder, which hides no run before it."""
    run_of(tmp_path, "r-1").close(finished=True)
    (tmp_path / "runs" / "r-2").mkdir()
    assert ["r-1"] == run_ids(tmp_path)


def test_a_state_directory_that_was_never_used_holds_no_runs(tmp_path: Path) -> None:
    """Nothing recorded is an answer, not an error."""
    assert [] == run_ids(tmp_path / "costmeter")
