"""The fast fold: to the last digit and word what `records` and `fold` make of the same file, whatever is in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import JournalError
from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.columns import slot_columns
from costmeter.ledger.journal import JournalFile, encode_open, records
from costmeter.ledger.line import encode, seal, unseal
from costmeter.ledger.pricing import PricesFor
from costmeter.ledger.query import Part, begin, fold
from costmeter.ledger.record import Devices, Header, Mark, MarkKind, RatesChange, Record, SlotEntry, Subtotal, Usage
from costmeter.meter.charge import Rates
from costmeter.meter.progress import Progress
from costmeter.meter.slot import Slot
from costmeter.meter.standing import Standing
from costmeter.meter.totals import totals
from costmeter.readings import Device
from costmeter.units import NANOSECONDS_PER_MINUTE
from tests.depth import examples
from tests.ledger.slowly import fold_journal, read_journal
from tests.ledger.test_query import BEGINNING, ORDER, RENTED, minute
from tests.samples import (
    BEGAN_NS,
    BEGAN_UTC_NS,
    HOUR,
    MINUTE,
    devices,
    footer,
    header,
    held,
    instants,
    measured,
    owned,
    rates,
    rates_of,
    rental,
    slot,
    slots,
    uuids,
)

#: A run as it may be written: its lines, the devices of its last ones, and the slot that was open, if any.
Written = tuple[list[Record], tuple[str, ...], SlotEntry | None]


@st.composite
def runs(draw: st.DrawFn) -> Written:
    """Devices that appear, rates that change, phases, marks of every kind, and slots with gaps in their numbers."""
    count, number = draw(st.integers(1, 2)), 0
    lines: list[Record] = [header(), held(devices(count))]
    order = uuids(devices(count))
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(("slot",) * 6 + ("rates", "mark", "checkpoint", "devices", "subtotal", "usage")))
        if kind == "slot":
            lines.append(SlotEntry(_placed(draw, order, number)))
            number += draw(st.sampled_from((1, 1, 1, 1, 1, 1, 2)))
        elif kind == "rates":
            of = draw(rates_of(order))
            lines.append(RatesChange(BEGAN_UTC_NS + number * MINUTE, of))
        elif kind in ("mark", "checkpoint"):
            named: MarkKind = "checkpoint"
            if kind == "mark":
                named = draw(st.sampled_from(("fault", "resume", "budget")))
            lines.append(Mark(BEGAN_UTC_NS + number * MINUTE, named, "told"))
        elif kind == "devices" and count < 3:
            count += 1
            order = uuids(devices(count))
            lines.append(held(devices(count)))
        elif kind == "subtotal":
            lines.append(Subtotal(begin(header()).summary))
        else:
            lines.append(Usage(BEGAN_UTC_NS, {"network": draw(instants)}))
    if draw(st.booleans()):
        return [*lines, footer(number * MINUTE)], order, None
    return lines, order, SlotEntry(_placed(draw, order, draw(st.integers(max(0, number - 1), number))))


def _placed(draw: st.DrawFn, order: tuple[str, ...], number: int) -> Slot:
    """A slot of a minute, with more to say of an account now and then."""
    drawn, start_utc_ns = draw(slots(order)), BEGAN_UTC_NS + number * MINUTE
    end_utc_ns = start_utc_ns + drawn.end_utc_ns - drawn.start_utc_ns
    standings = {order[0]: Standing(draw(instants), draw(instants), 7)} if draw(st.booleans()) else {}
    return replace(drawn, start_utc_ns=start_utc_ns, end_utc_ns=end_utc_ns, number=number, standings=standings)


def write(folder: Path, written: Written) -> Path:
    """The run as its meter writes it."""
    lines, last_order, still_open = written
    file = JournalFile(folder, "gpu01")
    order: tuple[str, ...] = ()
    for line in lines:
        if isinstance(line, Devices):
            order = uuids(line.devices)
        file.write(line, order)
    if still_open is not None:
        file.write_open(encode_open(still_open.slot, last_order, 1), len(last_order))
    file.close(finished=still_open is None)
    return file.path


def slowly(path: Path) -> Part:
    return fold_journal(read_journal(path))


@dataclass(frozen=True)
class Every:
    """Prices that change every so many minutes. The same object is told while they do not."""

    of: tuple[Rates, ...]
    minutes: int

    def at(self, utc_ns: int) -> Rates:
        return self.of[utc_ns // (self.minutes * MINUTE) % len(self.of)]


def repriced_slowly(path: Path, prices: PricesFor) -> Part:
    """Every slot alone under the rates of its minute, as the recorder sees them."""
    problems: list[str] = []
    first, *rest = records(path, problems)
    assert isinstance(first, Header)
    part, quoted = begin(first), None
    for record in rest:
        if isinstance(record, RatesChange):
            continue
        at_ns = record.slot.start_utc_ns if isinstance(record, SlotEntry) else None
        if isinstance(record, Devices):
            part, quoted = fold(part, record), prices(first, record.devices, record.node_gpus)
            at_ns = part.ended_utc_ns if part.slots else first.anchor.utc(part.start_ns)
        if quoted is not None and at_ns is not None:
            now = quoted.at(at_ns - at_ns % NANOSECONDS_PER_MINUTE)
            part = fold(part, RatesChange(at_ns, now)) if now != part.rates else part
        part = part if isinstance(record, Devices) else fold(part, record)
    return replace(part, problems=(*problems, *part.problems))


# The same as one by one


@examples(25)
@given(runs())
def test_a_journal_folds_to_the_same_part(tmp_path_factory: pytest.TempPathFactory, written: Written) -> None:
    """Every field: totals, phases, work done again, the last checkpoint and its cost, counters, problems."""
    path = write(tmp_path_factory.mktemp("run"), written)
    assert slowly(path) == fold_path(path)


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(30)
@given(runs(), st.data())
def test_a_damaged_journal_folds_to_the_same_part(
    tmp_path_factory: pytest.TempPathFactory, written: Written, data: st.DataObject
) -> None:
    """Bits flipped, lines cut, lost, twice, or moved: the same money, and the same words in the same order."""
    path = write(tmp_path_factory.mktemp("run"), written)
    first, *lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        lines = damaged(lines, data)
    path.write_bytes(first + b"".join(lines))
    assert slowly(path) == fold_path(path)


def damaged(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    """The lines with one thing wrong with them."""
    lines = [line for line in lines if line]  # one may have been cut to nothing before
    if not lines:
        return lines
    place = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.integers(0, len(lines)))
    line = lines[place]
    cut = data.draw(st.integers(0, len(line) - 1))
    choices: dict[str, Callable[[], list[bytes]]] = {
        "flip": lambda: [*lines[:place], _flipped(line, cut), *lines[place + 1 :]],
        "cut": lambda: [*lines[:place], line[:cut], *lines[place + 1 :]],
        "lose": lambda: [*lines[:place], *lines[place + 1 :]],
        "twice": lambda: [*lines[:other], line, *lines[other:]],
        "move": lambda: [*(rest := lines[:place] + lines[place + 1 :])[:other], line, *rest[other:]],
        "tear": lambda: [*lines[:-1], lines[-1][:-1]],
    }
    return choices[data.draw(st.sampled_from(sorted(choices)))]()


def _flipped(line: bytes, at: int) -> bytes:
    return line[:at] + bytes([line[at] ^ 0x10]) + line[at + 1 :]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"idle_ns": [1]}, id="too-few"),
        pytest.param({"idle_ns": "many"}, id="text"),
        pytest.param({"busy_ns": None}, id="nothing"),
        pytest.param({"busy_uj": [1.5, 2]}, id="a-fraction"),
        pytest.param({"busy_uj": ""}, id="an-empty-text"),
        pytest.param({"busy_uj": 1.5}, id="a-fraction-for-all"),
        pytest.param({"busy_uj": [True, 2]}, id="a-truth"),
        pytest.param({"busy_uj": [2**70, 2]}, id="beyond-64-bits"),
        pytest.param({"busy_uj": [-5, 2]}, id="below-nothing"),
        pytest.param({"idle_ns": 2 * MINUTE}, id="longer-than-the-slot"),
        pytest.param({"phase": 7}, id="a-phase-that-is-a-number"),
        pytest.param({"steps": "many"}, id="steps-in-words"),
        pytest.param({"loss": 10**30}, id="a-loss-beyond-64-bits"),
        pytest.param({"phase": "\udc80"}, id="a-phase-that-is-no-text"),
        pytest.param({"standings": {"GPU": [1]}}, id="half-a-standing"),
        pytest.param({"standings": [1]}, id="standings-of-nobody"),
        pytest.param({"counters_mj": {"a": 1}}, id="counters-by-name"),
        pytest.param({"counters_mj": [1, "2"]}, id="counters-in-words"),
        pytest.param({"counters_mj": [5, None]}, id="a-counter-missing"),
        pytest.param({"method": ["counter"]}, id="a-list-of-methods"),
        pytest.param({"rates": "last"}, id="rates-in-words"),
        pytest.param({"rates": 9}, id="rates-that-are-lost"),
        pytest.param({"n": 1.0}, id="half-numbers"),
        pytest.param({"n": -1}, id="numbered-below-nothing"),
        pytest.param({"utc_ns": "noon"}, id="an-instant-in-words"),
        pytest.param({"ns": None}, id="without-length"),
        pytest.param({"type": "weather"}, id="of-another-type"),
        pytest.param({"type": "slot2"}, id="of-a-type-with-a-digit"),
        pytest.param({"method": "counter2"}, id="a-method-with-a-digit"),
        pytest.param({"rates": 2**70}, id="rates-beyond-64-bits"),
        pytest.param({"ns": 2**70}, id="a-length-beyond-64-bits"),
        pytest.param({"utc_ns": 2**70}, id="an-instant-beyond-64-bits"),
        pytest.param({"n": 2**70}, id="numbered-beyond-64-bits"),
        pytest.param({"counters_mj": [2**70, 5]}, id="a-counter-beyond-64-bits"),
        pytest.param({"why": "hang", "idle_ns": 7, "busy_ns": 5}, id="a-reason"),
        pytest.param({"why": "hang2", "idle_ns": 7, "busy_ns": 5}, id="a-reason-of-a-newer-meter"),
        pytest.param({"why": ["hang", None], "idle_ns": 7, "busy_ns": 5}, id="a-reason-for-one"),
        pytest.param({"why": None, "idle_ns": 7, "busy_ns": 5}, id="no-reason"),
        pytest.param({"why": 7}, id="a-reason-that-is-a-number"),
        pytest.param({"why": ["hang"]}, id="too-few-reasons"),
        pytest.param({"why": ["hang", 7]}, id="reasons-in-numbers"),
    ],
)
def test_a_garbled_slot_is_told_the_same(tmp_path: Path, changes: dict[str, object]) -> None:
    """A line whose checksum is right and whose content is not costs itself, in the same words, and no other line."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(4))], ORDER, None))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], seal(unseal(lines[4]) | changes), *lines[5:]]))
    assert slowly(path) == fold_path(path)


@pytest.mark.parametrize("words", [("hang", "hang2"), (["hang", None], ["hang2", None]), ("hang", "checkpoint")])
def test_reasons_that_differ_in_digits_alone_differ(tmp_path: Path, words: tuple[object, object]) -> None:
    """Lines are sorted by what is left of them without digits; a reason of a newer meter may have one."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(4))], ORDER, None))
    head, lines = path.read_bytes().splitlines(keepends=True)[:3], path.read_bytes().splitlines(keepends=True)[3:]
    idle = {"idle_ns": 7, "busy_ns": 5}
    told = [seal(unseal(line) | idle | {"why": words[place % 2]}) for place, line in enumerate(lines)]
    path.write_bytes(b"".join([*head, *told]))
    assert slowly(path) == fold_path(path)
    assert {reason: use.nanoseconds for reason, use in fold_path(path).idle.items()} in (
        {"hang": 28, "unexplained": 28},
        {"hang": 14, "unexplained": 14},
        {"hang": 28, "checkpoint": 28},
    )


@pytest.mark.parametrize("other", range(3, 7))
@pytest.mark.parametrize("key", ["n", "busy_uj", "method", "phase", "rates"])
def test_a_key_with_a_digit_is_another_key(tmp_path: Path, key: str, other: int) -> None:
    """Lines are sorted by what is left of them without digits; `busy_uj2` still says nothing of `busy_uj`."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(4))], ORDER, None))
    lines = path.read_bytes().splitlines(keepends=True)
    body = {f"{name}2" if name == key else name: value for name, value in unseal(lines[other]).items()}
    path.write_bytes(b"".join([*lines[:other], seal(body), *lines[other + 1 :]]))
    assert slowly(path) == fold_path(path)


def test_plain_slots_are_taken_as_columns() -> None:
    """What a meter writes goes the fast way; a test that compares the slow way with itself would prove nothing."""
    lines = [encode(minute(number), ORDER)[:-1] for number in range(3, 6)]
    found = slot_columns(lines, ORDER)
    assert found is not None
    assert (3, 3) == (found.first, len(found))
    assert [[3 * MINUTE] * 2] == [block.sums()["busy_nanoseconds"] for block in found.blocks(0, 3)]
    assert [[MINUTE] * 2] == [block.sums()["busy_nanoseconds"] for block in found.blocks(1, 2)]
    assert slot_columns([lines[0], lines[2]], ORDER) is None  # a number is missing


@pytest.mark.no_cover  # much of the same: others cover the lines
def test_two_days_across_many_stretches(tmp_path: Path) -> None:
    """2,880 slots are read in three goes, with a change of rates, a checkpoint and damage in the middle of them."""
    lines: list[Record] = [*BEGINNING]
    for number in range(2_880):
        lines.append(minute(number))
        if number % 700 == 0:
            lines.append(RatesChange(BEGAN_UTC_NS, rates({uuid: rental(str(number + 1)) for uuid in ORDER})))
        if number % 30 == 0:
            lines.append(Mark(BEGAN_UTC_NS + number * MINUTE, "checkpoint", ""))
    path = write(tmp_path, ([*lines, footer(2_880 * MINUTE)], ORDER, None))
    part = fold_path(path)
    assert (2_880, 96, slowly(path)) == (part.slots, part.checkpoints, part)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:2_000], b"{}\n", *whole[2_001:]]))
    damaged_part = fold_path(path)
    assert (2_879, slowly(path)) == (damaged_part.slots, damaged_part)


@pytest.mark.no_cover  # much of the same: others cover the lines
@pytest.mark.parametrize("every", [250, 511, 512, 700])
def test_the_last_checkpoint_has_what_the_part_had_cost_by_then(tmp_path: Path, every: int) -> None:
    """Long before the end, with phases that turn before and after it, and with steps told or not: as one by one."""
    lines: list[Record] = [*BEGINNING]
    for number in range(1_300):
        entry = minute(number)
        progress = Progress(steps=number) if number < 600 else None
        phase = "training" if number // 260 % 2 else "evaluation"
        lines.append(replace(entry, slot=replace(entry.slot, phase=phase, progress=progress)))
        if number % every == every - 1 and number < 1_100:
            lines.append(Mark(BEGAN_UTC_NS + number * MINUTE, "checkpoint", ""))
    path = write(tmp_path, ([*lines, footer(1_300 * MINUTE)], ORDER, None))
    part = fold_path(path)
    assert part.saved is not None
    assert 0 < part.saved.cost < part.totals.whole.cost
    assert (min(599, 1_100 // every * every - 1), slowly(path)) == (part.saved.steps, part)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "no readable header", id="empty"),
        pytest.param(encode(minute(), ORDER), "no readable header", id="headless"),
        pytest.param(seal({"type": "header", "schema": "costmeter.journal/9"}), "journal of schema", id="newer"),
    ],
)
def test_what_is_no_journal_is_refused_in_the_same_words(tmp_path: Path, content: bytes, said: str) -> None:
    """Without a header there is nothing to fold, however fast."""
    path = tmp_path / "gpu01.1.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=said) as fast:
        fold_path(path)
    with pytest.raises(JournalError) as slow:
        read_journal(path)
    assert (slow.value.message, slow.value.hint) == (fast.value.message, fast.value.hint)


# Under other prices


@examples(25)
@given(runs(), st.data(), st.integers(1, 3))
def test_repricing_is_the_slow_fold_under_the_rates_of_each_minute(
    tmp_path_factory: pytest.TempPathFactory, written: Written, data: st.DataObject, minutes: int
) -> None:
    """Prices are asked for the devices there are, and by the minute; those of the journal do not show."""
    path = write(tmp_path_factory.mktemp("run"), written)
    of = tuple(data.draw(rates_of(uuids(devices(3)))) for _ in range(2))
    asked: list[tuple[int, int]] = []

    def prices(header: Header, devices: tuple[Device, ...], node_gpus: int) -> Every:
        asked.append((len(devices), node_gpus))
        return Every(of, minutes)

    expected = repriced_slowly(path, prices)
    told, asked[:] = list(asked), []
    assert expected == fold_path(path, prices)
    assert told == asked[-len(told) :]  # asked once more where lines had to be put in order


def test_an_hour_repriced_by_hand(tmp_path: Path) -> None:
    """2 GPUs for 60 minutes, $6 an hour in every second half-hour and $3 in the others: 2 × (3 + 1.50) = $9."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(60))], ORDER, None))
    cheap, dear = (rates({uuid: rental(price) for uuid in ORDER}) for price in ("3", "6"))
    part = fold_path(path, lambda *_: Every((cheap, dear), 30))
    assert (Decimal("9"), True) == (part.totals.whole.cost, part.prices_changed)
    assert {Decimal(3), Decimal(6)} == {part.spread.gpus[ORDER[0]].low, part.spread.gpus[ORDER[0]].high}


def test_repricing_under_its_own_rates_changes_nothing(tmp_path: Path) -> None:
    """Identity: the same prices give the same part, in every field."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(3)), footer(3 * MINUTE)], ORDER, None))
    assert fold_path(path) == fold_path(path, lambda *_: Every((RENTED,), 1))


def test_a_date_that_no_calendar_has_is_refused(tmp_path: Path) -> None:
    """A clock gone mad has no tariff: the part is refused in words."""

    class Never:
        def at(self, utc_ns: int) -> Rates:
            raise OverflowError("date value out of range")

    path = write(tmp_path, ([*BEGINNING, minute()], ORDER, None))
    with pytest.raises(JournalError, match="a slot at no date"):
        fold_path(path, lambda *_: Never())


# Two meters at the same time


def record(state: Path, part: int, start_ns: int, slots: Sequence[int], count: int = 2, **changes: Any) -> Path:
    """A part of run r-1: minutes of the run that it metered, with so many of the GPUs."""
    order = uuids(devices(count))
    lines: list[Record] = [
        header(run="r-1", part=part, start_ns=start_ns, **changes),
        held(devices(count), 2),
        RatesChange(BEGAN_UTC_NS, rates({uuid: owned("6") for uuid in order})),
    ]
    for number, minute_of_run in enumerate(slots):
        of = {uuid: measured(MINUTE, 10**9) for uuid in order}
        lines.append(SlotEntry(replace(slot(of, minute_of_run), number=number)))
    host = str(changes.get("host", "gpu01"))
    file = JournalFile(state / "runs" / "r-1", host)
    for line in lines:
        file.write(line, order)
    file.close(finished=True)
    return file.path


def test_two_meters_of_one_run_count_a_device_once(tmp_path: Path) -> None:
    """10 minutes of 2 GPUs, and from minute 6 a second meter of GPU 0 for 8 minutes: its first 4 are not new.

    2 × 10 + 4 minutes at $6 an hour = $2.40.
    """
    record(tmp_path, 1, BEGAN_NS, range(10))
    record(tmp_path, 2, BEGAN_NS + 6 * MINUTE, range(6, 14), count=1)
    run = load_run(tmp_path, "r-1")
    assert Decimal("2.40") == run.totals.whole.cost
    first, second = run.parts
    assert () == first.problems
    assert (f"part 2 of gpu01 also metered {ORDER[0]}: 240.0 s not counted twice",) == second.remarks
    assert (8, 4 * MINUTE) == (second.slots, second.totals.whole.quantities.nanoseconds)


@pytest.mark.parametrize("agent_first", [True, False])
def test_of_wrapper_and_agent_the_wrapper_counts(tmp_path: Path, agent_first: bool) -> None:
    """The agent saw minutes 0 to 20, the wrapper 5 to 10: the agent's time counts before and after it, not in it."""
    parts = [(BEGAN_NS, range(20), "agent"), (BEGAN_NS + 5 * MINUTE, range(5, 10), "wrapper")]
    for number, (start_ns, minutes, meter) in enumerate(parts if agent_first else parts[::-1], start=1):
        record(tmp_path, number, start_ns, minutes, meter=meter)
    run = load_run(tmp_path, "r-1")
    agent, wrapper = run.parts
    assert (15 * 2 * MINUTE, 5 * 2 * MINUTE) == tuple(
        part.totals.whole.quantities.nanoseconds for part in (agent, wrapper)
    )
    assert [2, 0] == [len(part.remarks) for part in run.parts]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"host": "gpu02"}, id="another-host"),
        pytest.param({"boot_id": "another"}, id="another-boot"),
    ],
)
def test_hosts_add_up(tmp_path: Path, changes: dict[str, Any]) -> None:
    """GPUs that are called alike on two hosts are two; and no meter outlives a boot."""
    record(tmp_path, 1, BEGAN_NS, range(10))
    record(tmp_path, 2, BEGAN_NS, range(10), **changes)
    assert Decimal("4") == load_run(tmp_path, "r-1").totals.whole.cost


def test_parts_that_follow_each_other_add_up(tmp_path: Path) -> None:
    """A requeue begins where the part before has ended, even where the wall clock was set back an hour meanwhile."""
    record(tmp_path, 1, BEGAN_NS, range(10))
    late = replace(header().anchor, utc_ns=BEGAN_UTC_NS - HOUR)
    record(tmp_path, 2, BEGAN_NS + 10 * MINUTE, range(-50, -40), anchor=late)
    run = load_run(tmp_path, "r-1")
    assert Decimal("4") == run.totals.whole.cost
    assert [(), ()] == [part.problems for part in run.parts]


def test_a_journal_that_was_copied_beside_itself_counts_once(tmp_path: Path) -> None:
    """A backup in the same folder is no second cost, and it is said."""
    path = record(tmp_path, 1, BEGAN_NS, range(10))
    copy = path.with_name("gpu01.1 (copy).jsonl")
    copy.write_bytes(path.read_bytes())
    run = load_run(tmp_path, "r-1")
    assert Decimal("2") == run.totals.whole.cost
    assert [f"{copy} is a copy of {path.name}: not counted"] == [told for part in run.parts for told in part.remarks]


def test_repriced_parts_that_overlap_count_once_too(tmp_path: Path) -> None:
    """Another price does not bring back what does not count."""
    record(tmp_path, 1, BEGAN_NS, range(10))
    record(tmp_path, 2, BEGAN_NS + 5 * MINUTE, range(5, 15))
    dearer = rates({uuid: owned("12") for uuid in ORDER})
    assert Decimal("6") == load_run(tmp_path, "r-1", lambda *_: Every((dearer,), 1)).totals.whole.cost


def test_a_part_is_the_sum_of_its_slots_again(tmp_path: Path) -> None:
    """Nothing but slots makes money, on the fast path as on the slow: 3 slots charged alone."""
    path = write(tmp_path, ([*BEGINNING, *(minute(number) for number in range(3))], ORDER, None))
    once = totals(minute().slot, RENTED)
    assert once + once + once == fold_path(path).totals
