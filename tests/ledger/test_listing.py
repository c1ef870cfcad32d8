"""The list of runs says what a fold of their journals says, and reads hardly anything of them."""

import os
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.clock import Anchor
from costmeter.ledger.brief import brief
from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.line import encode
from costmeter.ledger.listing import Checked, Listed, list_runs, listing, listing_of, of_part
from costmeter.ledger.record import Devices, Header, Mark, RatesChange, Record, SlotEntry
from costmeter.meter.progress import Progress
from tests.depth import examples
from tests.ledger.written import write
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    device,
    devices,
    footer,
    header,
    held,
    instances,
    measured,
    owned,
    quantities,
    rates,
    rates_of,
    rental,
    slot,
    uuids,
)

TWO = devices(2)
RENTED = rates(dict.fromkeys(uuids(TWO), rental()))


def minutes(count: int, first: int = 0) -> list[Record]:
    """So many minutes on two GPUs, a quarter of each idle."""
    each = measured(45 * SECOND, 30_000 * JOULE, 15 * SECOND, 1_000 * JOULE)
    return [SlotEntry(slot(dict.fromkeys(uuids(TWO), each), number)) for number in range(first, first + count)]


BEGAN: list[Record] = [held(TWO), RatesChange(BEGAN_UTC_NS, RENTED)]


def agrees(path: Path) -> bool:
    """Whether a journal's brief is that of its fold, and not itself a fold."""
    short = brief(str(path))
    return short is not None and short == of_part(fold_path(path), path.name)


LENGTHS = [
    pytest.param(1, id="a-minute"),
    pytest.param(59, id="before-a-subtotal"),
    pytest.param(60, id="on-a-subtotal"),
    pytest.param(61, id="after-a-subtotal"),
    pytest.param(250, id="several-subtotals"),
]


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "killed"])
def test_the_ends_of_a_journal_say_what_its_fold_says(tmp_path: Path, count: int, is_ended: bool) -> None:
    """Money, energy, time, outcome, GPUs: all is as if every slot had been read."""
    end = [footer(count * MINUTE)] if is_ended else []
    assert agrees(write(tmp_path, header(), [*BEGAN, *minutes(count), *end]))


@pytest.mark.parametrize("count", LENGTHS)
def test_the_open_slot_of_a_killed_run_counts(tmp_path: Path, count: int) -> None:
    """What was in the minute that had begun is in the list."""
    last = minutes(1, count)[0]
    assert isinstance(last, SlotEntry)
    path = write(
        tmp_path, header(), [*BEGAN, *minutes(count)], replace(last.slot, end_utc_ns=last.slot.start_utc_ns + 9)
    )
    assert agrees(path)
    found = brief(str(path))
    assert found is not None
    assert count + 1 == found.summary.slots


@pytest.mark.parametrize("after", [0, 30, 59, 60, 61, 100])
def test_what_changes_after_a_subtotal_is_seen(tmp_path: Path, after: int) -> None:
    """Prices, GPUs, checkpoints, phases and work done again, before and after the last subtotal."""
    three = devices(3)
    dearer = rates({uuid: owned("3.10", embodied="4.68") for uuid in uuids(three)}, electricity_per_kwh=Decimal("0.31"))
    later = []
    for number in range(after, 130):
        entry = slot(dict.fromkeys(uuids(three), measured(MINUTE, 7_777_777 + number)), number)
        told = Progress(number, None, 2.5, None)
        later.append(SlotEntry(replace(entry, phase="training", redone=number % 3 == 0, progress=told)))
    saved = Mark(BEGAN_UTC_NS + after * MINUTE, "checkpoint", "saved")
    records = [*BEGAN, *minutes(after), held(three), RatesChange(BEGAN_UTC_NS, dearer), *later[:5], saved, *later[5:]]
    path = write(tmp_path, header(), records)
    assert agrees(path)
    part = fold_path(path)
    assert part.saved is not None
    assert part.redone.cost > 0


@examples(15)
@given(st.data())
def test_any_prices_and_quantities_agree(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever the rates, credits and idle shares among them: the brief is the fold."""
    order = uuids(TWO)
    of = [{uuid: data.draw(quantities()) for uuid in order} for _ in range(data.draw(st.integers(1, 4)))]
    priced = RatesChange(BEGAN_UTC_NS, data.draw(rates_of(order)))
    records: list[Record] = [
        held(TWO),
        priced,
        *minutes(58),
        *(SlotEntry(slot(each, 58 + n)) for n, each in enumerate(of)),
    ]
    if data.draw(st.booleans()):
        records.append(footer(HOUR))
    assert agrees(write(tmp_path_factory.mktemp("run"), header(), records))


@pytest.mark.parametrize("prices", [["2.49"] * 3, ["2.49", "3.10", "2.49"]], ids=["alike", "one-dearer"])
@pytest.mark.parametrize("is_even", [True, False], ids=["all-held-alike", "each-its-own"])
def test_a_killed_node_of_several_gpus_is_priced_to_the_digit(tmp_path: Path, prices: list[str], is_even: bool) -> None:
    """GPUs of one price are charged together, others each alone, whether or not their minutes were the same."""
    three = devices(3)
    order = uuids(three)
    of = rates(
        {uuid: rental(price) for uuid, price in zip(order, prices, strict=True)},
        pue=Decimal("1.37"),
        carbon_grams_per_kwh=Decimal("381.7"),
    )
    records: list[Record] = [held(three), RatesChange(BEGAN_UTC_NS, of)]
    for minute in range(40):
        idle_ns = {uuid: 0 if is_even else SECOND * ((minute + place) % 3) for place, uuid in enumerate(order)}
        apart = {uuid: 7_654_321 + (0 if is_even else 13 * place) for place, uuid in enumerate(order)}
        held_by = {uuid: measured(MINUTE - idle_ns[uuid], apart[uuid], idle_ns[uuid], 0) for uuid in order}
        records.append(SlotEntry(slot(held_by, minute)))
    assert agrees(write(tmp_path, header(), records))


def test_a_gap_that_was_filled_is_in_the_length(tmp_path: Path) -> None:
    """A meter that went on from a killed one counts from where that stopped, a minute before it began."""
    since = dict.fromkeys(uuids(TWO), BEGAN_NS - MINUTE)
    records = [replace(held(TWO), since_ns=since), RatesChange(BEGAN_UTC_NS, RENTED), *minutes(70), footer(HOUR)]
    path = write(tmp_path, header(), records)
    assert agrees(path)
    found = brief(str(path))
    assert found is not None
    assert (HOUR + MINUTE, BEGAN_UTC_NS - MINUTE) == (found.ending.length_ns, found.ending.started_utc_ns)


@pytest.mark.parametrize("first", [header(), header(command=("x" * 30_000,))], ids=["short", "long"])
def test_headers_of_any_length_are_read(tmp_path: Path, first: Header) -> None:
    """A command line of 30 kB pushes the devices beyond what is read at once."""
    path = write(tmp_path, first, [*BEGAN, *minutes(70), footer(HOUR)])
    found = brief(str(path)) or of_part(fold_path(path), path.name)
    assert found == of_part(fold_path(path), path.name)


def spoilt(path: Path, line: int, keep: bool = False) -> None:
    """A journal without one of its lines, or with it twice."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line : line + 1] = [lines[line]] * 2 if keep else []
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "killed"])
@pytest.mark.parametrize("line", [1, 2, 5, 40, -1, -2, -3])
@pytest.mark.parametrize("twice", [True, False], ids=["twice", "missing"])
def test_a_journal_whose_lines_moved_is_read_whole(tmp_path: Path, is_ended: bool, line: int, twice: bool) -> None:
    """No summary is believed that stands elsewhere than it says; nor slots that do not follow each other."""
    end = [footer(70 * MINUTE)] if is_ended else []
    path = write(tmp_path / "runs" / "r-1", header(run="r-1"), [*BEGAN, *minutes(70), *end])
    spoilt(path, line, twice)
    (run,) = list_runs(tmp_path)
    assert of_part(fold_path(path), path.name).summary == run.parts[0].summary


def test_a_torn_last_line_is_told(tmp_path: Path) -> None:
    """What a loss of power cut is dropped, and said, with and without the slots before it."""
    path = write(tmp_path, header(), [*BEGAN, *minutes(70)])
    path.write_bytes(path.read_bytes()[:-9])
    assert agrees(path)
    found = brief(str(path))
    assert found is not None
    assert ("last line torn, dropped",) == found.problems


def state_of(tmp_path: Path, *runs: tuple[Header, list[Record]]) -> Path:
    """A state directory with these runs."""
    for first, records in runs:
        write(tmp_path / "runs" / first.run, first, records)
    return tmp_path


def test_runs_are_listed_oldest_first_with_all_they_are(tmp_path: Path) -> None:
    """Two runs of an hour on two GPUs at $2.49: $4.98 each, a quarter of it idle, by hand."""
    hour = [*BEGAN, *minutes(60), footer(HOUR, "failed", 3)]
    later = Anchor(BEGAN_NS, BEGAN_UTC_NS + HOUR)
    state = state_of(
        tmp_path,
        (header(run="b", anchor=later, name="second"), hour),
        (header(run="a", labels={"project": "llm"}, user="maya"), hour),
    )
    first, second = list_runs(state)
    assert (["a", "b"], "second") == ([first.id, second.id], second.header.name)
    (spent,) = first.spendings
    assert (Decimal("4.98"), Decimal("1.245"), "USD", False) == (
        spent.cost,
        spent.idle,
        spent.currency,
        spent.simulated,
    )
    assert 120 * 31_000 * JOULE == spent.microjoules
    assert ("failed", 3, HOUR) == (first.ending.outcome, first.ending.exit_code, first.ending.length_ns)
    assert ((TWO[0].name, 2),) == first.gpus
    assert ("maya", {"project": "llm"}) == (first.header.user, first.header.labels)


def test_parts_of_a_run_add_up(tmp_path: Path) -> None:
    """A requeue on the same host, and a second host beside it: money adds, GPUs only over hosts."""
    hour = [*BEGAN, *minutes(60), footer(HOUR)]
    parts = (
        (header(run="a"), hour),
        (header(run="a", part=2, start_ns=BEGAN_NS + 2 * HOUR), hour),
        (header(run="a", host="gpu02"), hour),
    )
    (run,) = list_runs(state_of(tmp_path, *parts))
    assert Decimal("14.94") == sum(spent.cost for spent in run.spendings)
    assert (((TWO[0].name, 4),), ("gpu01", "gpu02")) == (run.gpus, run.hosts)


def test_two_meters_of_one_run_count_once(tmp_path: Path) -> None:
    """What both metered at the same time is in the list once, as in the receipt."""
    hour = [*BEGAN, *minutes(60), footer(HOUR)]
    state = state_of(tmp_path, (header(run="a"), hour), (header(run="a", part=2, pid=7), hour))
    (run,) = list_runs(state)
    assert load_run(state, "a").totals.whole.cost == sum(spent.cost for spent in run.spendings)
    assert Decimal("4.98") == sum(spent.cost for spent in run.spendings)


def test_money_of_two_currencies_is_not_added(tmp_path: Path) -> None:
    """A requeue under another currency has two figures."""
    euros = RatesChange(BEGAN_UTC_NS, replace(RENTED, currency="EUR"))
    second = header(run="a", part=2, start_ns=BEGAN_NS + 2 * HOUR, currency="EUR")
    state = state_of(
        tmp_path,
        (header(run="a"), [*BEGAN, *minutes(60), footer(HOUR)]),
        (second, [held(TWO), euros, *minutes(60), footer(HOUR)]),
    )
    (run,) = list_runs(state)
    assert ["USD", "EUR"] == [spent.currency for spent in run.spendings]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 9_000, id="zeros"),
        pytest.param(b"{}\n" * 3_000, id="foreign"),
        pytest.param(b'{"type":"header","schema":"costmeter.journal/9","crc":"00000000"}\n', id="newer"),
        pytest.param(encode(header())[:-30], id="torn-header"),
    ],
)
def test_what_is_no_journal_is_told_and_the_rest_listed(tmp_path: Path, content: bytes) -> None:
    """One line for each that cannot be read, and never a traceback."""
    state = state_of(tmp_path, (header(run="a"), [*BEGAN, *minutes(3), footer(3 * MINUTE)]))
    folder = state / "runs" / "r-odd"
    folder.mkdir()
    (folder / "gpu01.1.jsonl").write_bytes(content)
    (folder / "notes.txt").write_text("mine")
    (state / "runs" / "stray").write_text("no folder")
    found = listing(state)
    assert ["a"] == [run.id for run in found.runs]
    assert 1 == len(found.unread)
    assert str(folder) in found.unread[0]


def test_a_pipe_for_a_journal_is_not_waited_for(tmp_path: Path) -> None:
    """What is no file is told like any other that cannot be read."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "gpu01.1.jsonl")
    found = listing(tmp_path)
    assert ((), 1) == (found.runs, len(found.unread))


def test_no_runs_are_an_empty_list(tmp_path: Path) -> None:
    """Where nothing was ever recorded there is nothing to say."""
    assert ((), ()) == (listing(tmp_path).runs, listing(tmp_path).unread)


def test_runs_are_found_by_id_and_by_path(tmp_path: Path) -> None:
    """An id, a folder and a journal lead to the same run."""
    state = state_of(tmp_path, (header(run="a"), [*BEGAN, *minutes(3), footer(3 * MINUTE)]))
    folder = tmp_path / "runs" / "a"
    found = [listing_of(state, [each]).runs[0] for each in ("a", str(folder), str(folder / "gpu01.1.jsonl"))]
    assert 1 == len({(run.id, run.parts) for run in map(_hashable, found)})


def _hashable(run: Listed) -> Listed:
    return replace(run, parts=(str(run.parts),))  # type: ignore[arg-type]  # only compared


def test_mig_instances_are_listed_by_their_profiles(tmp_path: Path) -> None:
    """Instances of a board count as what they are."""
    pieces = instances(device(), 3, 4)
    of = rates(dict.fromkeys(uuids(pieces), rental("1.00")))
    spent = SlotEntry(slot(dict.fromkeys(uuids(pieces), measured(MINUTE, 10**9))))
    records: list[Record] = [Devices(pieces, None, 1), RatesChange(BEGAN_UTC_NS, of), spent, footer(MINUTE)]
    (run,) = list_runs(state_of(tmp_path, (header(run="a"), records)))
    assert [1, 1] == [count for _, count in run.gpus]


HOUR_LONG: list[Record] = [*BEGAN, *minutes(60), footer(HOUR)]


def test_a_copied_folder_is_no_other_run(tmp_path: Path) -> None:
    """`cp -r runs/a runs/a.bak` costs nothing: told, and counted once; alone, it is the run."""
    state = state_of(tmp_path, (header(run="a"), HOUR_LONG))
    shutil.copytree(state / "runs" / "a", state / "runs" / "a.bak")
    found = listing(state)
    assert [str(state / "runs" / "a")] == [run.found for run in found.runs]
    assert (f"{state}/runs/a.bak is a copy of a: not counted",) == found.copies
    shutil.rmtree(state / "runs" / "a")
    assert ([Decimal("4.98")], ()) == ([of.cost for run in listing(state).runs for of in run.spendings], found.unread)


def test_state_of_other_hosts_that_is_put_together_counts_all(tmp_path: Path) -> None:
    """The same run id, part and name from another host is another part; a link to a folder is the very same run."""
    state = state_of(tmp_path, (header(run="a"), HOUR_LONG), (header(run="a", host="gpu02"), HOUR_LONG))
    (state / "runs" / "latest").symlink_to(state / "runs" / "a")
    found = listing(state)
    assert [Decimal("9.96")] == [of.cost for run in found.runs for of in run.spendings]
    assert () == found.copies


@pytest.mark.parametrize("count", [3, 250], ids=["short", "long"])
@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "killed"])
def test_what_a_disk_changed_is_not_in_a_checked_list(tmp_path: Path, count: int, is_ended: bool) -> None:
    """A flipped bit in a slot: its minute, $0.083, is in no receipt, and in no list that checks. A short journal always
    is checked."""
    end = [footer(count * MINUTE)] if is_ended else []
    state = state_of(tmp_path, (header(run="a"), [*BEGAN, *minutes(count), *end]))
    (path,) = (state / "runs" / "a").glob("*.jsonl")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:4], whole[4].replace(b"2", b"3", 1), *whole[5:]]))
    kept = load_run(state, "a").totals.whole.cost
    assert Decimal("0.083") * (count - 1) == kept
    checked: Checked = {}
    for looked in (listing(state, checked), listing(state, checked)):
        assert [kept] == [of.cost for run in looked.runs for of in run.spendings]
    if count < 10:
        assert [kept] == [of.cost for run in listing(state).runs for of in run.spendings]
    assert is_ended is bool(checked)


def test_a_journal_that_was_checked_is_not_read_again(tmp_path: Path) -> None:
    """What an earlier look found is told again, until its size or its time changes."""
    state = state_of(tmp_path, (header(run="a"), HOUR_LONG))
    checked: Checked = {}
    (run,) = listing(state, checked).runs
    (key,) = checked
    checked[key] = replace(checked[key], currency="EUR")
    assert ["EUR"] == [of.currency for each in listing(state, checked).runs for of in each.spendings]
    os.utime(key[0], ns=(0, 0))
    assert ["USD"] == [of.currency for each in listing(state, checked).runs for of in each.spendings]
    assert run.spendings[0].cost == Decimal("4.98")


def test_a_simulated_part_takes_no_real_money_away(tmp_path: Path) -> None:
    """A run id that was used for a simulated try and then for real: two figures, and each with its own time."""
    later = header(run="a", part=2, start_ns=BEGAN_NS + 2 * HOUR)
    half = [*BEGAN, *minutes(30), footer(HOUR // 2)]
    state = state_of(tmp_path, (header(run="a", simulated=True), half), (later, HOUR_LONG))
    (run,) = list_runs(state)
    assert [(True, Decimal("2.49")), (False, Decimal("4.98"))] == [(of.simulated, of.cost) for of in run.spendings]
    assert [HOUR // 2, HOUR] == [each.ending.length_ns for each in run.apart]
    assert [of.cost for of in run.spendings] == [each.totals.whole.cost for each in load_run(state, "a").by_currency()]


def test_gpus_of_two_meters_at_once_are_added_and_those_of_one_after_the_other_are_not(tmp_path: Path) -> None:
    """Two meters on a GPU each of one host: two GPUs. A third after both, on one of them, makes it no more."""
    parts = []
    for part, at, start_ns in ((1, 0, BEGAN_NS), (2, 1, BEGAN_NS + MINUTE), (3, 0, BEGAN_NS + 2 * HOUR)):
        own = (TWO[at],)
        of = rates(dict.fromkeys(uuids(own), rental()))
        each = [SlotEntry(slot({TWO[at].uuid: measured(MINUTE, JOULE)}, number)) for number in range(10)]
        records: list[Record] = [held(own), RatesChange(BEGAN_UTC_NS, of), *each, footer(10 * MINUTE)]
        parts.append((header(run="a", part=part, pid=part, start_ns=start_ns), records))
    (run,) = list_runs(state_of(tmp_path, *parts))
    assert ((TWO[0].name, 2),) == run.gpus
    assert () == run.problems


def test_a_second_meter_is_no_damage(tmp_path: Path) -> None:
    """What counts from another journal is no problem of this one: the list calls nothing damaged."""
    state = state_of(tmp_path, (header(run="a"), HOUR_LONG), (header(run="a", part=2, pid=7), HOUR_LONG))
    (run,) = list_runs(state)
    assert () == run.problems
    assert [2] == [len(part.remarks) for part in load_run(state, "a").parts if part.remarks]
