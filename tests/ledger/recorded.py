"""Runs written as their meters write them: journals under a state directory, from records."""

from collections.abc import Sequence
from pathlib import Path

from costmeter.ledger.journal import JournalFile
from costmeter.ledger.record import Devices, Footer, Header, RatesChange, Record, SlotEntry
from costmeter.meter.charge import Rates
from costmeter.meter.slot import Quantities
from costmeter.readings import Device
from tests.samples import BEGAN_UTC_NS, MINUTE, footer, header, held, slot, uuids


def write(state: Path, records: Sequence[Record], host: str = "gpu01") -> str:
    """A journal of these records, the header first; the run's id."""
    first = records[0]
    assert isinstance(first, Header)
    order: tuple[str, ...] = ()
    file = JournalFile(state / "runs" / first.run, host)
    for record in records:
        if isinstance(record, Devices):
            order = uuids(record.devices)
        file.write(record, order)
    file.close(finished=any(isinstance(record, Footer) for record in records))
    return first.run


def minutes(
    of: Sequence[Device], each: Quantities, under: Sequence[Rates], run: str = "r-0123456789ab"
) -> list[Record]:
    """A run of as many minutes as there are rates, every GPU doing the same in each."""
    lines: list[Record] = [header(run=run), held(of)]
    for minute, rates in enumerate(under):
        if minute == 0 or rates != under[minute - 1]:
            lines.append(RatesChange(BEGAN_UTC_NS + minute * MINUTE, rates))
        lines.append(SlotEntry(slot(dict.fromkeys(uuids(of), each), minute)))
    return [*lines, footer(len(under) * MINUTE)]
