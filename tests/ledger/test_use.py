"""The use of billing periods: the slots of journals one by one, and what they come to in each."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.bulk import load_run
from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode, seal
from costmeter.ledger.record import Devices, Header, Record, SlotEntry
from costmeter.ledger.use import PricedSlot, Sought, Use, priced_slots, use_by_period
from costmeter.meter.charge import Rates
from costmeter.meter.period import Period, billing_month, local_date
from costmeter.meter.schedule import Constant
from costmeter.meter.slot import Quantities, Slot
from costmeter.meter.totals import Totals, totals
from costmeter.rates.commitment import Commitment
from costmeter.rates.committed import Stretch
from costmeter.rates.match import Match
from costmeter.units import portion
from tests.depth import examples
from tests.ledger.test_query import BEGINNING, ORDER, Recording, minute, on_disk
from tests.samples import (
    BEGAN_UTC_NS,
    HOUR,
    KWH,
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
    rates,
    rates_from_start,
    recordings,
    rental,
    slot,
    slots,
    uuids,
)

UTC = timezone.utc
NOVEMBER = billing_month(local_date(BEGAN_UTC_NS, UTC), 1, UTC)
OWNED = rates(dict.fromkeys(ORDER, owned("1")), electricity_per_kwh=Decimal("0.10"), pue=Decimal("1.5"))


def month_of(utc_ns: int) -> Period:
    return billing_month(local_date(utc_ns, UTC), 1, UTC)


def used(*recorded: Slot, under: Rates, price: str | None = None) -> Use:
    """What slots come to, repriced at a constant price where one is given."""
    use = Use(NOVEMBER, under.currency, False)
    for each in recorded:
        known = {held.uuid: held for held in devices(2)}
        use.add(PricedSlot(header(), known, each, under), None if price is None else Constant(Decimal(price)))
    return use


@examples(15)
@given(recordings())
def test_slots_one_by_one_are_the_fold_of_the_journal(recorded: Recording) -> None:
    """Each slot under its rates, summed, is what the report folds; nothing is told of a journal that is whole."""
    with tempfile.TemporaryDirectory() as folder:
        file = on_disk(Path(folder), *recorded)
        file.close(finished=False)
        problems: list[str] = []
        summed = Totals()
        for priced in priced_slots(file.path, problems):
            summed = summed + totals(priced.slot, priced.rates)
        assert load_run(Path(folder), str(file.path)).totals == summed
        assert not problems


def test_the_open_slot_of_a_killed_meter_counts(tmp_path: Path) -> None:
    """A slot that stands only in the `.open` file comes last; one that was closed since comes once."""
    file = on_disk(tmp_path, ORDER, [*BEGINNING, minute(0)])
    file.write_open(encode_open(minute(1).slot, ORDER, 1), 2)
    assert [0, 1] == [priced.slot.number for priced in priced_slots(file.path, [])]
    file.append(encode(minute(1), ORDER))
    assert [0, 1] == [priced.slot.number for priced in priced_slots(file.path, [])]


@pytest.mark.parametrize(
    ("damage", "counted", "said"),
    [
        pytest.param(lambda lines: [*lines[:4], b"{}", *lines[5:]], [0, 2], "line 5 unreadable", id="a-middle-line"),
        pytest.param(lambda lines: [*lines[:-2], lines[-2][:40]], [0, 1], "last line torn", id="a-torn-last-line"),
        pytest.param(lambda lines: [*lines[:2], *lines[3:]], [], "before any readable rates", id="no-rates"),
    ],
)
def test_damage_is_told_and_the_rest_is_read(damage: object, counted: list[int], said: str, tmp_path: Path) -> None:
    """Damaged lines are skipped, slots before any rates are not counted; each is said once, with the journal."""
    file = on_disk(tmp_path, ORDER, [*BEGINNING, *map(minute, range(3))])
    assert callable(damage)
    file.path.write_bytes(b"\n".join(damage(file.path.read_bytes().split(b"\n"))))
    problems: list[str] = []
    assert counted == [priced.slot.number for priced in priced_slots(file.path, problems)]
    problem, *more = problems
    assert said in problem
    assert str(file.path) in problem
    assert ([f"{file.path}: slots missing: 1, not counted"] if counted == [0, 2] else []) == more


@pytest.mark.parametrize("lines", [pytest.param(1, id="no-header"), pytest.param(10, id="empty")])
def test_a_journal_without_its_header_is_not_counted(lines: int, tmp_path: Path) -> None:
    """It is counted as missing, with its name, and the other journal is read."""
    files = [on_disk(tmp_path, ORDER, [*BEGINNING, minute()], host) for host in ("a", "b")]
    files[0].path.write_bytes(b"".join(files[0].path.read_bytes().splitlines(keepends=True)[lines:]))
    found = use_by_period([file.path for file in files], Sought(month_of, "USD"))
    (refusal,) = found.refusals
    assert (2, 1) == (found.journals, len(found.uses))
    assert f"{files[0].path}: no readable header line; not counted" == refusal


def test_a_journal_of_a_newer_costmeter_is_told(tmp_path: Path) -> None:
    """Its schema is not understood, so it is not counted."""
    file = on_disk(tmp_path, ORDER, [*BEGINNING, minute()])
    newer = file.path.read_bytes().split(b"\n", 1)[1]
    file.path.write_bytes(seal({"type": "header", "schema": "costmeter.journal/9"}) + newer)
    (refusal,) = use_by_period([file.path], Sought(month_of, "USD")).refusals
    assert "costmeter.journal/9" in refusal
    assert str(file.path) in refusal


def test_a_folder_in_place_of_a_journal_is_told(tmp_path: Path) -> None:
    """What is no file is not counted, and no traceback."""
    (refusal,) = use_by_period([tmp_path], Sought(month_of, "USD")).refusals
    assert "cannot be read" in refusal


def test_a_slot_that_no_calendar_has_is_told(tmp_path: Path) -> None:
    """An instant beyond the year 9999 is in no month: said, and what came before it counted."""
    far = Slot(10**21, 10**21 + MINUTE, minute().slot.devices, number=1)
    file = on_disk(tmp_path, ORDER, [*BEGINNING, minute(0), SlotEntry(far)])
    found = use_by_period([file.path], Sought(month_of, "USD"))
    assert 2 * MINUTE == found.uses[NOVEMBER, "USD", False].gpu_nanoseconds
    assert "unreadable" in found.problems[0]


def test_owned_gpus_load_the_meter_with_all_their_facility_uses() -> None:
    """A minute of two GPUs: 0.5 kWh each with 0.25 of host, times PUE 1.5, are 2.25 kWh, at 0.10 each 0.225."""
    each = replace(measured(MINUTE, KWH // 2), busy_host_microjoules=KWH // 4)
    use = used(slot(dict.fromkeys(ORDER, each)), under=OWNED)
    assert {BEGAN_UTC_NS: 9 * KWH // 4} == use.drawn
    assert Decimal("0.225") == use.metered["electricity"] == use.electricity
    assert 2 * MINUTE == use.gpu_nanoseconds
    assert not use.rented


def test_rented_gpus_are_on_nobodys_electricity_bill_of_ours() -> None:
    """Their energy is in the rent: of an owned and a rented GPU only the first one's counts."""
    mixed = rates({ORDER[0]: owned("1"), ORDER[1]: rental("3")}, electricity_per_kwh=Decimal("0.10"))
    use = used(slot(dict.fromkeys(ORDER, measured(MINUTE, KWH))), under=mixed)
    assert {BEGAN_UTC_NS: KWH} == use.drawn
    assert {"electricity": Decimal("0.1"), "rental": Decimal("0.05")} == {
        name: amount for name, amount in use.metered.items() if name != "capital"
    }
    assert not use.rented  # nobody has committed to any


def test_energy_that_nobody_knows_is_told() -> None:
    """20 s unmeasured of which 5 were recovered, of a GPU that pays electricity."""
    lost = replace(measured(MINUTE, KWH), unmeasured_nanoseconds=20 * SECOND, recovered_nanoseconds=5 * SECOND)
    assert 15 * SECOND == used(slot({ORDER[0]: lost}), under=OWNED).unmeasured_nanoseconds
    rented = rates({ORDER[0]: rental()})
    assert used(slot({ORDER[0]: lost}), under=rented).unmeasured_nanoseconds == 0


@pytest.mark.parametrize(
    ("price", "expected"), [(None, "0.15"), ("0.10", "0.15"), ("0.30", "0.45"), ("-0.02", "-0.03")]
)
def test_electricity_at_the_price_of_a_schedule(price: str | None, expected: str) -> None:
    """1.5 kWh metered at 0.10 cost what a tariff says; what the receipts charged stays what it was."""
    use = used(slot({ORDER[0]: measured(MINUTE, KWH)}), under=OWNED, price=price)
    assert Decimal(expected) == use.electricity
    assert Decimal("0.15") == use.metered["electricity"]


def test_instances_of_a_board_are_parts_of_one_gpu() -> None:
    """3, 2 and 1 of seven slices for seven minutes are six GPU-minutes."""
    pieces = instances(device(0), 3, 2, 1)
    under = rates({piece.uuid: rental("0.6") for piece in pieces})
    recorded = slot(dict.fromkeys(uuids(pieces), measured(7 * MINUTE, KWH)), length_ns=7 * MINUTE)
    use = Use(NOVEMBER, "USD", False)
    year = Commitment(1, Decimal(1), date(2026, 1, 1), date(2027, 1, 1))
    use.add(PricedSlot(header(), {piece.uuid: piece for piece in pieces}, recorded, under), None, [year])
    (rented,) = use.rented.values()
    assert 6 * MINUTE == use.gpu_nanoseconds == rented.nanoseconds


def test_a_commitment_is_for_the_gpus_of_its_block() -> None:
    """Of an A100 and an H100 at 1 and 4 an hour, a commitment for A100s finds a minute of the one, at 1/60."""
    a100, h100 = replace(device(0), name="NVIDIA A100-SXM4-80GB"), device(1)
    under = rates({a100.uuid: rental("1"), h100.uuid: rental("4")})
    known = {each.uuid: each for each in (a100, h100)}
    recorded = slot(dict.fromkeys(known, measured(MINUTE, KWH)))
    term = Commitment(8, Decimal(1), date(2026, 1, 1), date(2027, 1, 1))
    of = [replace(term, match=Match("*A100*")), replace(term, others=(Match("*A100*"),))]
    use = Use(NOVEMBER, "USD", False)
    use.add(PricedSlot(header(), known, recorded, under), None, of)
    stretches = [Stretch(recorded.start_utc_ns, recorded.end_utc_ns, fitting) for fitting in ((0,), (1,))]
    assert stretches == list(use.rented)
    assert [Decimal("0.016666666667"), Decimal("0.066666666667")] == [each.rental for each in use.rented.values()]


def test_periods_currencies_and_simulations_are_kept_apart(tmp_path: Path) -> None:
    """A slot belongs to the month it begins in; dollars, euros, and what was simulated are never added."""
    last = NOVEMBER.end_utc_ns - BEGAN_UTC_NS
    before, after = (minute(0), replace(minute(1), slot=_moved(minute(1).slot, last)))
    euros = rates_from_start(replace(rates({uuid: rental() for uuid in ORDER}), currency="EUR"))
    first, *rest = BEGINNING
    assert isinstance(first, Header)
    files = [
        on_disk(tmp_path, ORDER, [first, *rest, before, after], "a"),
        on_disk(tmp_path, ORDER, [first, rest[0], euros, before], "b"),
        on_disk(tmp_path, ORDER, [replace(first, simulated=True), *rest, before], "c"),
    ]
    paths = [file.path for file in files]
    found = use_by_period(paths, Sought(month_of, "USD")).uses
    december = month_of(NOVEMBER.end_utc_ns)
    assert [
        (NOVEMBER, "USD", False),
        (december, "USD", False),
        (NOVEMBER, "EUR", False),
        (NOVEMBER, "USD", True),
    ] == list(found)
    assert all(2 * MINUTE == use.gpu_nanoseconds for use in found.values())
    assert not use_by_period(paths, Sought(lambda utc_ns: None, "USD")).uses


def _moved(of: Slot, by_ns: int) -> Slot:
    return replace(of, start_utc_ns=BEGAN_UTC_NS + by_ns, end_utc_ns=BEGAN_UTC_NS + by_ns + MINUTE)


def test_a_schedule_reprices_its_own_currency_only(tmp_path: Path) -> None:
    """A tariff in euros says nothing of electricity that was paid in dollars."""
    lines: Sequence[Record] = [header(), held(devices(2)), rates_from_start(OWNED), minute(), footer(MINUTE)]
    file = on_disk(tmp_path, ORDER, lines)
    (use,) = use_by_period([file.path], Sought(month_of, "EUR", Constant(Decimal(9)))).uses.values()
    assert use.electricity == use.metered["electricity"] > 0


@examples(40)
@given(slots(ORDER), st.data())
def test_cutting_a_slot_changes_no_load(recorded: Slot, data: st.DataObject) -> None:
    """A minute in pieces has the load, GPU time and unmeasured time of the whole, to the last unit."""
    length_ns = MINUTE
    start_ns = recorded.start_utc_ns - recorded.start_utc_ns % MINUTE
    whole = replace(recorded, start_utc_ns=start_ns, end_utc_ns=start_ns + length_ns)
    at_ns = data.draw(st.integers(1, length_ns - 1))
    under = replace(OWNED, pue=Decimal(1))
    pieces = _cut(whole, at_ns)
    one, two = used(whole, under=under), used(*pieces, under=under)
    assert one.drawn == two.drawn
    assert one.gpu_nanoseconds == two.gpu_nanoseconds
    assert all(abs(amount - two.metered[name]) < Decimal("2e-11") for name, amount in one.metered.items())


def _cut(whole: Slot, at_ns: int) -> tuple[Slot, Slot]:
    """Everything divided linearly at an instant."""
    before, after = {}, {}
    for uuid, of in whole.devices.items():
        first = {name: portion(getattr(of, name), at_ns, MINUTE) for name in Quantities.__slots__}
        before[uuid] = Quantities(**first)
        after[uuid] = Quantities(**{name: getattr(of, name) - part for name, part in first.items()})
    middle_ns = whole.start_utc_ns + at_ns
    return (
        replace(whole, end_utc_ns=middle_ns, devices=before),
        replace(whole, start_utc_ns=middle_ns, devices=after),
    )


@given(st.integers(1, 5 * HOUR), st.integers(0, 10**15), st.integers(0, MINUTE - 1))
def test_a_record_longer_than_a_minute_is_spread_over_its_minutes(length_ns: int, energy_uj: int, late_ns: int) -> None:
    """Its load is its energy, to the last microjoule, in the minutes it lasts and no other."""
    start_ns = BEGAN_UTC_NS + late_ns
    of = {ORDER[0]: measured(length_ns, energy_uj)}
    use = used(Slot(start_ns, start_ns + length_ns, of), under=replace(OWNED, pue=Decimal(1)))
    assert energy_uj == sum(use.drawn.values())
    assert all(start_ns - MINUTE < begun < start_ns + length_ns for begun in use.drawn)
    assert all(begun % MINUTE == 0 for begun in use.drawn)


def test_devices_found_later_are_known_from_then_on(tmp_path: Path) -> None:
    """A second devices line adds to the first, and its order is that of the arrays that follow."""
    more = devices(2)
    one: list[Record] = [header(), held(more[:1]), rates_from_start(rates({ORDER[0]: rental()}))]
    file = JournalFile(tmp_path, "gpu01")
    for line in [*one, SlotEntry(slot({ORDER[0]: measured(MINUTE, KWH)}))]:
        file.append(encode(line, ORDER[:1]))
    late: list[Record] = [Devices(more, None, 2), rates_from_start(rates(dict.fromkeys(ORDER, rental()))), minute(1)]
    for line in late:
        file.append(encode(line, ORDER))
    assert [1, 2] == [len(priced.devices) for priced in priced_slots(file.path, [])]
    assert [1, 2] == [len(priced.slot.devices) for priced in priced_slots(file.path, [])]
