"""A journal cut by GPU model and day is what its slots are, charged one by one and put together by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.cutting import cut
from costmeter.ledger.grouping import groups, pieces
from costmeter.ledger.listing import list_runs
from costmeter.ledger.overlap import metered_elsewhere
from costmeter.ledger.record import RatesChange, Record, SlotEntry
from costmeter.ledger.use import priced_slots
from costmeter.meter.totals import DeviceTotals, totals
from tests.depth import examples
from tests.ledger.written import write
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
    JOULE,
    MINUTE,
    SECOND,
    device,
    footer,
    header,
    held,
    measured,
    owned,
    quantities,
    rates,
    rates_of,
    rental,
    slot,
    uuids,
)

#: The run begins at 14:03 UTC; its first UTC midnight is 597 minutes later.
TO_MIDNIGHT = 597
MIXED = (device(0), device(1), device(2, "NVIDIA A100-SXM4-80GB"))
DAY_NS = 24 * HOUR


def utc_day(utc_ns: int) -> str:
    return str(utc_ns // DAY_NS)


def one_by_one(path: Path, day_of: Callable[[int], str]) -> dict[tuple[str, str, str], tuple[DeviceTotals, Decimal]]:
    """The same by the plain way: every slot charged by itself."""
    found: dict[tuple[str, str, str], tuple[DeviceTotals, Decimal]] = {}
    for priced in priced_slots(path, []):
        for uuid, booked in totals(priced.slot, priced.rates).devices.items():
            key = priced.devices[uuid].name, day_of(priced.slot.start_utc_ns), priced.rates.currency
            before, redone = found.get(key, (DeviceTotals(), Decimal(0)))
            found[key] = before + booked, redone + (booked.cost if priced.slot.redone else 0)
    return found


def agrees(path: Path, day_of: Callable[[int], str] = utc_day) -> int:
    """How many pieces there are; they are those of the plain way, to the last digit."""
    at_once: dict[tuple[str, str, str], tuple[DeviceTotals, Decimal]] = {}
    for model, day, currency, whole, redone in cut(path, day_of):  # owned and rented GPUs of one model are two
        before = at_once.get((model, day, currency), (DeviceTotals(), Decimal(0)))
        at_once[model, day, currency] = before[0] + whole, before[1] + redone
    assert one_by_one(path, day_of) == at_once
    return len(at_once)


def minutes(first: int, after: int, step: int = 97) -> list[Record]:
    """Minutes on three GPUs of two models, each with an idle share and an energy of its own."""
    return [
        SlotEntry(
            slot(
                {
                    uuid: measured(MINUTE - (n % 7) * SECOND, 40_000 * JOULE + step * n + at, (n % 7) * SECOND, 31 * n)
                    for at, uuid in enumerate(uuids(MIXED))
                },
                n,
            )
        )
        for n in range(first, after)
    ]


PRICED = rates(
    {uuid: owned("0.7705", embodied="4.68") for uuid in uuids(MIXED)},
    electricity_per_kwh=Decimal("0.16853"),
    pue=Decimal("1.2"),
    carbon_grams_per_kwh=Decimal(380),
)
BEGAN: list[Record] = [held(MIXED), RatesChange(BEGAN_UTC_NS, PRICED)]


@pytest.mark.parametrize("count", [1, TO_MIDNIGHT, TO_MIDNIGHT + 1, 1_300])
def test_days_end_at_midnight(tmp_path: Path, count: int) -> None:
    """Two models on one day, and twice as many pieces from the first minute of the next on."""
    path = write(tmp_path, header(), [*BEGAN, *minutes(0, count), footer(count * MINUTE)])
    assert (2 if count <= TO_MIDNIGHT else 4) == agrees(path)


def test_a_price_that_changes_within_a_day_holds_from_then_on(tmp_path: Path) -> None:
    """$2.49, then $3.10 for 3 GPUs from 30 minutes before midnight on: 3 × (567 × 2.49 + 30 × 3.10) / 60, by hand."""
    of = [rates(dict.fromkeys(uuids(MIXED), rental(price))) for price in ("2.49", "3.10")]
    change = TO_MIDNIGHT - 30
    records = [held(MIXED), RatesChange(BEGAN_UTC_NS, of[0]), *minutes(0, change)]
    path = write(tmp_path, header(), [*records, RatesChange(BEGAN_UTC_NS, of[1]), *minutes(change, 800)])
    assert 4 == agrees(path)
    first = min(day for _, day, *_ in cut(path, utc_day))
    on_first = sum(whole.cost for _, day, _, whole, _ in cut(path, utc_day) if day == first)
    assert on_first == pytest.approx(Decimal("75.2415"), abs=Decimal("1e-8"))


def test_work_done_again_is_told_by_day(tmp_path: Path) -> None:
    """Phases and repeated work on both sides of midnight."""
    told: list[Record] = []
    for record in minutes(0, 700):
        assert isinstance(record, SlotEntry)
        number = record.slot.number
        told.append(SlotEntry(replace(record.slot, phase="training", redone=550 <= number < 650)))
    path = write(tmp_path, header(), [*BEGAN, *told, footer(700 * MINUTE)])
    assert 4 == agrees(path)
    assert fold_path(path).redone.cost == sum(redone for *_, redone in cut(path, utc_day)) > 0


def test_without_days_there_are_only_models(tmp_path: Path) -> None:
    """A piece for each model, whatever days it ran on."""
    path = write(tmp_path, header(), [*BEGAN, *minutes(0, 1_300)])
    found = [(model, day) for model, day, *_ in cut(path)]
    assert [("NVIDIA H100 80GB HBM3", ""), ("NVIDIA A100-SXM4-80GB", "")] == found


@pytest.mark.no_cover  # much of the same: others cover the lines
@examples(8)
@given(st.data())
def test_whatever_prices_and_quantities_the_pieces_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any rates, credits among them, any quantities, over midnight, with the open slot of a meter that was killed."""
    order = uuids(MIXED)
    drawn = [{uuid: data.draw(quantities()) for uuid in order} for _ in range(data.draw(st.integers(1, 6)))]
    records: list[Record] = [held(MIXED), RatesChange(BEGAN_UTC_NS, data.draw(rates_of(order)))]
    first = TO_MIDNIGHT - 3
    records += minutes(0, first) + [SlotEntry(slot(each, first + n)) for n, each in enumerate(drawn)]
    path = write(tmp_path_factory.mktemp("run"), header(), records, slot(drawn[0], first + len(drawn)))
    agrees(path)
    whole = sum((each for _, _, _, each, _ in cut(path, utc_day)), DeviceTotals())
    assert fold_path(path).totals.whole == whole


@pytest.mark.parametrize("line", [1, 2, 40, 600])
def test_a_damaged_journal_is_cut_as_far_as_it_is_read(tmp_path: Path, line: int) -> None:
    """A line with a flipped bit, be it devices, prices or a slot: what is left is cut as it is folded."""
    path = write(tmp_path, header(), [*BEGAN, *minutes(0, 700), footer(700 * MINUTE)])
    sound = sum((each for _, _, _, each, _ in cut(path, utc_day)), DeviceTotals())
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:line], whole[line].replace(b'"', b"'", 1), *whole[line + 1 :]]))
    pieces = agrees(path)
    left = sum((each for _, _, _, each, _ in cut(path, utc_day)), DeviceTotals())
    assert fold_path(path).totals.whole == left
    lost_ns = sound.quantities.nanoseconds - left.quantities.nanoseconds
    # Without its devices or prices nothing of a journal counts; without one of its minutes the other 699 do.
    assert (pieces, lost_ns) == ((4, 3 * MINUTE) if line > 2 else (0, 3 * 700 * MINUTE))


def test_a_journal_out_of_its_order_is_cut_in_order(tmp_path: Path) -> None:
    """The second day's slots stand before the first's: what each costs hangs on no line before it."""
    path = write(tmp_path, header(), [*BEGAN, *minutes(0, 700), footer(700 * MINUTE)])
    sound = sorted(cut(path, utc_day))
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:3], *whole[400:], *whole[3:400]]))
    assert 4 == agrees(path)
    assert sound == sorted(cut(path, utc_day))


def test_what_two_meters_saw_counts_once_and_on_its_day(tmp_path: Path) -> None:
    """The second began an hour before midnight and saw 600 minutes after the first had ended: three pieces more."""
    first = [*BEGAN, *minutes(0, TO_MIDNIGHT + 5), footer((TO_MIDNIGHT + 5) * MINUTE)]
    began_ns = header().start_ns + (TO_MIDNIGHT - 60) * MINUTE
    late = header(part=2, pid=7, start_ns=began_ns)
    second = [*BEGAN, *minutes(TO_MIDNIGHT - 60, TO_MIDNIGHT + 605), footer(665 * MINUTE)]
    folder = tmp_path / "runs" / header().run
    paths = [write(folder, header(), first), write(folder, late, second)]
    (run,) = list_runs(tmp_path)
    whole = load_run(tmp_path, run.id).totals.whole
    found = list(pieces(tmp_path, run, utc_day))
    assert whole == sum((each for _, _, _, each, _ in found), DeviceTotals())
    windows = metered_elsewhere([fold_path(path) for path in paths])
    days = {day for _, day, *_ in cut(paths[1], utc_day, windows[1])}
    assert {utc_day(BEGAN_UTC_NS + DAY_NS)} == days  # what it saw on the first day, the first meter had seen
    (only, after) = groups(tmp_path, [run], "day", timezone.utc)
    assert whole.cost == only.spending.cost + after.spending.cost == run.spendings[0].cost
