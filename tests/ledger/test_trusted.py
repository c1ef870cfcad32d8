"""The trusted path: to the last digit what the fold of every line makes of a journal, and that fold where in doubt."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import JournalError
from costmeter.ledger.bulk import fold_each, fold_path
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode, seal, unseal
from costmeter.ledger.pricing import PricesFor, Unpriceable
from costmeter.ledger.query import Part
from costmeter.ledger.record import Devices, Footer, Record, SlotEntry, Summary
from costmeter.ledger.trusted import fold_whole
from costmeter.meter.charge import Rates
from costmeter.meter.slot import Quantities
from costmeter.meter.totals import DeviceTotals
from tests.depth import examples
from tests.ledger.slowly import fold_journal, read_journal
from tests.ledger.test_bulk import Every, Written, damaged, runs
from tests.ledger.test_query import BEGINNING, ORDER, minute
from tests.samples import (
    MINUTE,
    devices,
    footer,
    header,
    held,
    owned,
    rates,
    rates_from_start,
    rates_of,
    rental,
    slot,
    uuids,
)

#: Under what name a part has its totals where they were not told apart by GPU.
TOGETHER = {""}


def vouched_for(
    folder: Path, lines: Sequence[Record], told: Callable[[Summary], Summary | None] = lambda summary: summary
) -> Path:
    """A journal of these lines and, as a meter leaves it, a footer with what they come to; or another one."""
    file, order = JournalFile(folder, "gpu01"), tuple[str, ...]()
    for line in lines:
        if isinstance(line, Devices):
            order = uuids(line.devices)
        file.write(line, order)
    part = fold_journal(read_journal(file.path))
    file.write(replace(footer(part.slots * MINUTE), summary=told(part.summary)), order)
    file.close(finished=True)
    return file.path


def is_trusted(path: Path) -> bool:
    """Whether its footer was enough."""
    (part,) = fold_whole(path, (None,))
    assert isinstance(part, Part)
    return set(part.totals.devices) == TOGETHER


def shown(part: Part) -> list[object]:
    """All of a part that a table of scenarios has in it."""
    alone = (part.header, part.devices, part.node_gpus, part.length_ns, part.ended_utc_ns, part.slots, part.progress)
    prices = (part.first_rates, part.rates, part.prices_changed, part.spread)
    return [*alone, *prices, part.totals.whole, bool(part.phases), part.footer]


@st.composite
def plain_runs(draw: st.DrawFn) -> list[Record]:
    """Lines as any meter may write them, all slots there and none of them done again."""
    written: Written = draw(runs())
    lines: list[Record] = []
    number = 0
    for line in written[0]:
        if isinstance(line, SlotEntry):
            line = SlotEntry(replace(line.slot, number=number, redone=False))
            number += 1
        if not isinstance(line, Footer):
            lines.append(line)
    return lines


def every(of: Sequence[Rates], minutes: int) -> PricesFor:
    """Prices that take turns."""
    return lambda *_: Every(tuple(of), minutes)


@examples(60)
@given(plain_runs(), st.data(), st.integers(1, 3))
def test_it_comes_to_what_every_line_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Record], data: st.DataObject, minutes: int
) -> None:
    """Under its own prices and under two others at once: all that a table of scenarios shows.

    Why it was idle is in that under its own prices alone.
    """
    path = vouched_for(tmp_path_factory.mktemp("run"), lines)
    of = [data.draw(rates_of(uuids(devices(3)))) for _ in range(3)]
    prices = (None, every(of, minutes), every(of[:1], 1))
    for found, expected in zip(fold_whole(path, prices), fold_each(path, prices), strict=True):
        assert isinstance(found, Part)
        assert isinstance(expected, Part)
        assert shown(expected) == shown(found)
    own, expected = (each(path, (None,))[0] for each in (fold_whole, fold_each))
    assert isinstance(own, Part)
    assert isinstance(expected, Part)
    assert expected.idle == own.idle


@examples(40)
@given(plain_runs(), st.data())
def test_of_a_damaged_journal_it_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Record], data: st.DataObject
) -> None:
    """Whatever happened to a file since it was written, every field and word is that of reading line by line."""
    path = vouched_for(tmp_path_factory.mktemp("run"), lines)
    whole = path.read_bytes()
    path.write_bytes(b"\n".join(damaged(whole.split(b"\n"), data)))
    if path.read_bytes() == whole:
        return
    assert _said(lambda: [fold_path(path)]) == _said(lambda: fold_whole(path, (None,)))


def _said(fold: Callable[[], object]) -> object:
    """What came of it: parts, or the words of a refusal."""
    try:
        return fold()
    except JournalError as refusal:
        return refusal.message


def test_an_hour_priced_by_hand(tmp_path: Path) -> None:
    """2 GPUs for 60 minutes, $6 an hour in every second half-hour and $3 in the others: 2 × (3 + 1.50) = $9."""
    path = vouched_for(tmp_path, [*BEGINNING, *(minute(number) for number in range(60))])
    cheap, dear = (rates({uuid: rental(price) for uuid in ORDER}) for price in ("3", "6"))
    (part,) = fold_whole(path, (every((cheap, dear), 30),))
    assert isinstance(part, Part)
    assert TOGETHER == set(part.totals.devices)
    assert Decimal(9) == part.totals.whole.cost
    assert {("rental", "busy"): Decimal(9)} == part.totals.whole.charges


def test_gpus_that_come_later_are_charged_from_then_on(tmp_path: Path) -> None:
    """One GPU for 30 minutes, then two for 30: 90 GPU-minutes at $6 an hour are $9.

    At $3 for the first and $6 for the other they are $3 × 1 h + $6 × 0.5 h = $6.
    """
    one, two = uuids(devices(1)), uuids(devices(2))
    own = rates({uuid: rental("1") for uuid in two})
    busy = Quantities(busy_nanoseconds=MINUTE, observed_nanoseconds=MINUTE)
    lines: list[Record] = [BEGINNING[0], held(devices(1)), rates_from_start(own)]
    lines += [SlotEntry(slot(dict.fromkeys(one, busy), number)) for number in range(30)]
    lines += [held(devices(2)), rates_from_start(own)]
    lines += [SlotEntry(slot(dict.fromkeys(two, busy), number)) for number in range(30, 60)]
    alike = rates({uuid: rental("6") for uuid in two})
    apart = rates(dict(zip(two, (rental("3"), rental("6")), strict=True)))
    found = fold_whole(vouched_for(tmp_path, lines), [every((each,), 1) for each in (alike, apart)])
    assert [TOGETHER, TOGETHER] == [set(part.totals.devices) for part in found if isinstance(part, Part)]
    assert [Decimal(9), Decimal(6)] == [part.totals.whole.cost for part in found if isinstance(part, Part)]


def test_thousands_of_slots_are_charged_as_one_by_one(tmp_path: Path) -> None:
    """More than are charged at once, under prices that take turns and pay back, states and prices by GPU mixed."""
    lines: list[Record] = [BEGINNING[0], held(devices(2)), rates_from_start(rates({u: rental("1") for u in ORDER}))]
    for number in range(9_000):
        idle_ns, uj = number * 7_919 % MINUTE if number % 3 else 0, number * 104_729 % 10**11
        each = Quantities(
            busy_nanoseconds=MINUTE - idle_ns,
            idle_nanoseconds=idle_ns,
            busy_microjoules=uj,
            counter_microjoules=uj,
            busy_host_microjoules=uj // 7,
        )
        of = dict(zip(ORDER, (each, Quantities(busy_nanoseconds=MINUTE)), strict=True))
        lines.append(SlotEntry(slot(of, number)))
    path = vouched_for(tmp_path, lines)
    priced = [
        rates(
            dict(zip(ORDER, (owned("0.77054794520547945205", "4.68"), owned("0.5", "4.68")), strict=True)),
            electricity_per_kwh=Decimal(price),
            pue=Decimal("1.2"),
            carbon_grams_per_kwh=Decimal(380),
        )
        for price in ("0.14", "-0.0213", "0.31417")
    ]
    prices = (None, every(priced, 37), every(priced[:2], 1))
    found, expected = fold_whole(path, prices), fold_each(path, prices)
    for part, slow in zip(found, expected, strict=True):
        assert isinstance(part, Part)
        assert isinstance(slow, Part)
        assert TOGETHER == set(part.totals.devices)
        assert shown(slow) == shown(part)
        assert list(slow.totals.whole.charges) == list(part.totals.whole.charges)  # in the order of the table


def _others(summary: Summary) -> Summary:
    """Of which the time is another."""
    quantities = replace(summary.whole.quantities, busy_nanoseconds=1)
    return replace(summary, whole=replace(summary.whole, quantities=quantities))


@pytest.mark.parametrize(
    ("told", "is_enough"),
    [
        (lambda summary: summary, True),
        (lambda summary: None, False),
        (lambda summary: replace(summary, slots=2), False),
    ],
    ids=["as-a-meter-writes-it", "none", "of-fewer-slots"],
)
def test_a_footer_says_what_its_journal_comes_to(
    tmp_path: Path, told: Callable[[Summary], Summary | None], is_enough: bool
) -> None:
    """Where it does not, every line is read."""
    assert is_enough == is_trusted(vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))], told))


def test_a_footer_of_other_slots_is_not_believed(tmp_path: Path) -> None:
    """What was charged is held against it: where its time is another, every line is read."""
    path = vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))], _others)
    prices = every((rates({uuid: rental("3") for uuid in ORDER}),), 1)
    assert [fold_path(path, prices)] == fold_whole(path, (prices,))


def test_slots_done_again_are_read_line_by_line(tmp_path: Path) -> None:
    """A summary has what they cost, and not how long they took."""
    again = [SlotEntry(replace(minute(number).slot, redone=number == 1)) for number in range(3)]
    path = vouched_for(tmp_path, [*BEGINNING, *again])
    (part,) = fold_whole(path, (None,))
    assert fold_path(path) == part


@pytest.mark.parametrize("number", [0, 3], ids=["that-was-closed", "that-was-not"])
def test_an_open_slot_beside_a_footer_is_looked_at(tmp_path: Path, number: int) -> None:
    """Whether it counts is for the reader of lines to say."""
    path = vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))])
    record = encode_open(minute(number).slot, ORDER, 1)
    path.with_suffix(".open").write_bytes(record.ljust(1_024) * 2)
    assert [fold_path(path)] == fold_whole(path, (None,))


def test_a_journal_of_before_is_read_line_by_line(tmp_path: Path) -> None:
    """Its footer has no checksum of what precedes it."""
    path = vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))])
    *lines, last, end = path.read_bytes().split(b"\n")
    body = unseal(last)
    body["summary"]["place"] = body["summary"]["place"][:3]
    path.write_bytes(b"\n".join([*lines, seal(body).rstrip(b"\n"), end]))
    assert not is_trusted(path)


def test_two_journals_in_one_file_are_two(tmp_path: Path) -> None:
    """The last footer is of the second alone."""
    first, second = (vouched_for(tmp_path / name, [header(run=name), *BEGINNING[1:], minute(0)]) for name in "ab")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert [fold_path(first)] == fold_whole(first, (None,))


def test_what_follows_a_footer_is_told(tmp_path: Path) -> None:
    """A line more that is whole, or is none."""
    path = vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))])
    whole = path.read_bytes()
    for more in (encode(minute(3), ORDER), b'{"type":'):
        path.write_bytes(whole + more)
        assert [fold_path(path)] == fold_whole(path, (None,))


def test_prices_without_an_answer_are_told_beside_those_with_one(tmp_path: Path) -> None:
    """One row's refusal takes nothing from another."""

    class Nothing:
        def at(self, utc_ns: int) -> Rates:
            raise Unpriceable("no price of these GPUs")

    path = vouched_for(tmp_path, [*BEGINNING, *map(minute, range(3))])
    own, refused = fold_whole(path, (None, lambda *_: Nothing()))
    assert isinstance(own, Part)
    assert fold_path(path).totals.whole == own.totals.whole
    assert isinstance(refused, Unpriceable)


def test_a_run_without_slots_came_to_nothing(tmp_path: Path) -> None:
    """A part with GPUs that ended at once."""
    (part,) = fold_whole(vouched_for(tmp_path, BEGINNING), (every((rates({u: rental("3") for u in ORDER}),), 1),))
    assert isinstance(part, Part)
    assert DeviceTotals() == part.totals.whole


@pytest.mark.parametrize("content", [b"", b"\n", b"nonsense", b"nonsense\n"])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    """In the words of the reader of lines."""
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(JournalError, match="no readable header line"):
        fold_whole(tmp_path / "x.jsonl", (None,))
