"""The order of a journal's lines: one that is lost, moved or there twice is told, and never counted twice."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode
from costmeter.ledger.node.record import Line
from costmeter.ledger.order import PUT_BACK
from costmeter.ledger.query import Part
from costmeter.ledger.record import Devices, RatesChange, Record, SlotEntry
from costmeter.ledger.sequence import MISPLACED, MISPRICED, MISSING, REPEATED, SHRUNK, STALE, Numbering
from costmeter.ledger.use import priced_slots
from tests.ledger.slowly import fold_journal, read_journal
from tests.ledger.test_query import BEGINNING, ORDER, minute
from tests.samples import BEGAN_UTC_NS, KWH, MINUTE, devices, footer, held, measured, rates, rental, slot, uuids

MINUTES = 4


def dearer(number: int, gpus: tuple[str, ...] = ORDER) -> RatesChange:
    """A price of its own for each minute: 1, 2, 3 … an hour."""
    return RatesChange(BEGAN_UTC_NS + number * MINUTE, rates(dict.fromkeys(gpus, rental(str(number + 1)))))


#: Header, devices, then rates and slot of each minute, and the footer.
RUN: list[Record] = [
    *BEGINNING[:2],
    *(record for number in range(MINUTES) for record in (dearer(number), minute(number))),
    footer(MINUTES * MINUTE),
]
MORE = devices(4)
ALL = uuids(MORE)


def minute_of_all(number: int) -> SlotEntry:
    return SlotEntry(slot(dict.fromkeys(ALL, measured(MINUTE, KWH)), number))


#: Two more GPUs appear after the first minute.
GROWING: list[Record] = [*BEGINNING[:2], dearer(0), minute(0), held(MORE), dearer(1, ALL)]
GROWING += [minute_of_all(1), minute_of_all(2), dearer(3, ALL), minute_of_all(3), footer(MINUTES * MINUTE)]
#: Where the third minute's lines are.
RATES_AT, SLOT_AT = 6, 7


def lines_of(folder: Path, records: Sequence[Line] = RUN) -> list[bytes]:
    """The lines of a journal as a meter writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    file, order = JournalFile(folder, "written"), ORDER
    for record in records:
        order = uuids(record.devices) if isinstance(record, Devices) else order
        file.write(record, order)
    file.close(finished=True)
    return file.path.read_bytes().splitlines(keepends=True)


def folded(folder: Path, lines: list[bytes], still_open: bytes | None = None) -> Part:
    """A journal of these lines, read; the report and the bill find the same in it."""
    path = folder / "gpu01.1.jsonl"
    path.write_bytes(b"".join(lines))
    if still_open is not None:
        path.with_suffix(".open").write_bytes(still_open.ljust(4_096, b"\0") * 2)
    part = fold_journal(read_journal(path))
    problems: list[str] = []
    billed = [held.nanoseconds for each in priced_slots(path, problems) for held in each.slot.devices.values()]
    assert sum(billed) == sum(each.quantities.nanoseconds for each in part.totals.devices.values())
    assert sorted(f"{path}: {problem}" for problem in part.problems) == sorted(problems)
    return part


def moved(lines: list[bytes], place: int, to: int) -> list[bytes]:
    left = [*lines[:place], *lines[place + 1 :]]
    return [*left[:to], lines[place], *left[to:]]


def joined(lines: list[bytes], place: int) -> list[bytes]:
    return [*lines[: place - 1], lines[place - 1][:-1] + lines[place], *lines[place + 1 :]]


def spoiled(lines: list[bytes], place: int, at: int) -> list[bytes]:
    line = lines[place]
    return [*lines[:place], line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :], *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("damage", "cents", "said"),
    [
        pytest.param(lambda run: run, 200, [], id="none"),
        pytest.param(lambda run: run[:6] + run[7:], 180, [MISPRICED.format(1)], id="rates-lost"),
        pytest.param(lambda run: run[:8] + run[9:], 180, [MISPRICED.format(1)], id="last-rates-lost"),
        pytest.param(lambda run: moved(run, 6, 7), 200, [PUT_BACK.format(1)], id="rates-after-their-slot"),
        pytest.param(lambda run: moved(run, 6, 9), 200, [PUT_BACK.format(1)], id="rates-after-later"),
        pytest.param(lambda run: [*run[:9], run[6], *run[9:]], 200, [STALE.format(1)], id="rates-again"),
        pytest.param(lambda run: [*run[:9], run[7], *run[9:]], 200, [REPEATED.format(1)], id="slot-again"),
        pytest.param(lambda run: [*run, *run[2:10]], 200, [REPEATED.format(4), STALE.format(4)], id="all-again"),
        pytest.param(lambda run: run[:7] + run[8:], 140, [MISSING.format(1)], id="slot-lost"),
        pytest.param(lambda run: run[:9] + run[10:], 120, [MISSING.format(1)], id="last-slot-lost"),
        pytest.param(
            lambda run: moved(run[:6] + run[7:], 6, 8),
            180,
            [PUT_BACK.format(1), MISPRICED.format(1)],
            id="slot-too-late-and-rates-lost",
        ),
        pytest.param(lambda run: moved(run, 7, 8), 200, [PUT_BACK.format(1)], id="slot-under-later-rates"),
        pytest.param(lambda run: moved(run, 7, 9), 200, [PUT_BACK.format(1)], id="slot-too-late"),
    ],
)
def test_a_line_out_of_its_place_is_told(
    damage: Callable[[list[bytes]], list[bytes]], cents: int, said: list[str], tmp_path: Path
) -> None:
    """Two GPUs at 1, 2, 3 and 4 an hour for 6 minutes each come to 2; what is lost or too dear is said."""
    longer = [
        SlotEntry(replace(record.slot, devices=dict.fromkeys(ORDER, measured(6 * MINUTE, KWH))))
        if isinstance(record, SlotEntry)
        else record
        for record in RUN
    ]
    part = folded(tmp_path, damage(lines_of(tmp_path / "whole", longer)))
    assert (Decimal(cents) / 100, tuple(said)) == (part.totals.whole.cost, part.problems)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda run: spoiled(run, RATES_AT, 40), id="further-on"),
        pytest.param(lambda run: spoiled(run, RATES_AT, 3), id="at-its-beginning"),
        pytest.param(lambda run: joined(run, RATES_AT), id="joined-to-the-line-before"),
    ],
)
def test_a_damaged_line_that_may_have_had_prices_says_so(
    damage: Callable[[list[bytes]], list[bytes]], tmp_path: Path
) -> None:
    """Wherever rates are damaged, their line is told with what it costs; and the slots that it cost their prices."""
    said = folded(tmp_path, damage(lines_of(tmp_path / "whole"))).problems
    assert "unreadable" in said[0]
    assert "before it" in said[0]
    assert MISPRICED.format(1) == said[-1]


@pytest.mark.parametrize("place", [1, SLOT_AT, len(RUN) - 1])
def test_a_damaged_line_without_prices_does_not_speak_of_them(place: int, tmp_path: Path) -> None:
    """Of devices, a slot or a footer that is damaged further on nobody need ask for prices."""
    (said, *_) = folded(tmp_path, spoiled(lines_of(tmp_path / "whole"), place, 40)).problems
    assert "prices" not in said


def test_a_journal_without_numbers_is_read_as_before(tmp_path: Path) -> None:
    """Its rates have no number and its slots name none: the same records, the same totals, and nothing to say."""
    numbered = folded(tmp_path, lines_of(tmp_path / "whole"))
    plain = [encode(record, ORDER) for record in RUN]
    assert not any(b'"rates":' in line or b'"slots":' in line for line in plain)
    assert numbered == folded(tmp_path, plain)


def test_moved_slots_of_a_journal_without_numbers_stay_where_they_are(tmp_path: Path) -> None:
    """Nobody can say which rates were theirs: they have those before them, and are told."""
    plain = [encode(record, ORDER) for record in RUN]
    assert (MISPLACED.format(1),) == folded(tmp_path, moved(plain, 7, 9)).problems


def test_what_a_meter_lost_before_it_wrote_shows(tmp_path: Path) -> None:
    """Rates and slots are numbered when they are posted, so that a disk that refused for long leaves no silent gap."""
    numbering = Numbering()
    posted = [numbering.numbered(record) for record in RUN]
    part = folded(tmp_path, lines_of(tmp_path / "whole", [*posted[:5], *posted[7:]]))
    assert (MISSING.format(1), MISPRICED.format(1)) == part.problems


@pytest.mark.parametrize(
    ("rates_number", "said"),
    [
        pytest.param(3, (), id="its-own"),
        pytest.param(2, (), id="killed-between-new-rates-and-the-next-tick"),
        pytest.param(4, (MISPRICED.format(1),), id="rates-lost"),
        pytest.param(None, (), id="of-before"),
    ],
)
def test_the_open_slot_of_a_killed_meter_names_its_rates(
    rates_number: int | None, said: tuple[str, ...], tmp_path: Path
) -> None:
    """Only where its rates are later than any in the journal were they lost."""
    still_open = encode_open(minute(MINUTES).slot, ORDER, 1, rates_number)
    part = folded(tmp_path, lines_of(tmp_path / "whole")[:-1], still_open)
    assert said == part.problems
    assert (MINUTES + 1) * MINUTE == part.totals.devices[ORDER[0]].quantities.nanoseconds


@given(seed=st.integers(0, 2**32), count=st.integers(1, 3))
def test_no_damage_is_silent(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    """Lines dropped, repeated, moved, spoiled and joined at random: all is counted right, or something is said.

    Without its footer a journal is that of a meter that was killed, and is shown as such.
    """
    folder = tmp_path_factory.mktemp("run")
    whole = lines_of(folder / "whole", GROWING)
    lines, chance = whole, random.Random(seed)
    for _ in range(count):
        place = chance.randrange(1, len(lines))
        damaged = [
            lines[:place] + lines[place + 1 :],
            [*lines[:place], lines[chance.randrange(1, len(lines))], *lines[place:]],
            moved(lines, place, chance.randrange(1, len(lines))),
            spoiled(lines, place, chance.randrange(len(lines[place]) - 1)),
            joined(lines, place) if place > 1 else lines,
        ]
        lines = chance.choice(damaged)
    part = folded(folder, lines)
    assert part.problems or part.footer is None or part.totals == folded(folder, whole).totals


def test_gpus_whose_rates_are_damaged_are_not_counted(tmp_path: Path) -> None:
    """Two more GPUs appear and the line with their rates is damaged: the first two have the rates before, and cost on.

    Two GPUs for three minutes at 1 an hour, and four for one at 4.
    """
    part = folded(tmp_path, spoiled(lines_of(tmp_path / "whole", GROWING), 5, 40))
    assert abs(Decimal(2 * 3 + 4 * 4) / 60 - part.totals.whole.cost) < Decimal("1e-9")
    assert 4 * MINUTE == part.totals.devices[ORDER[0]].quantities.nanoseconds
    assert MINUTE == part.totals.devices[ALL[3]].quantities.nanoseconds
    assert MISPRICED.format(2) in part.problems
    assert "GPUs not counted for a time: 2, no readable rates" == part.problems[-1]


def test_devices_that_stand_there_again_take_no_gpu_away(tmp_path: Path) -> None:
    """The line of the first two GPUs, repeated after two more appeared, is skipped, and all four are counted."""
    whole = lines_of(tmp_path / "whole", GROWING)
    part = folded(tmp_path, [*whole[:7], whole[1], *whole[7:]])
    assert (folded(tmp_path, whole).totals, (SHRUNK.format(1),)) == (part.totals, part.problems)
