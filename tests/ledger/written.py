"""Journals on disk as a meter writes them, from records: with their hourly subtotals, and a summary in the footer."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from costmeter.ledger.journal import JournalFile, encode_open
from costmeter.ledger.line import encode
from costmeter.ledger.query import begin, fold
from costmeter.ledger.record import Devices, Footer, Header, Record, SlotEntry, Subtotal
from costmeter.meter.slot import Slot
from costmeter.runtime.recorder import SLOTS_PER_SUBTOTAL


def write(folder: Path, header: Header, records: Iterable[Record], still_open: Slot | None = None) -> Path:
    """A journal of these records in a folder; `still_open` is the slot of a meter that was killed in it."""
    file = JournalFile(folder, header.host)
    file.append(encode(header))
    order: tuple[str, ...] = ()
    part = begin(header)
    for record in records:
        if isinstance(record, Devices):
            order = tuple(device.uuid for device in record.devices)
        if isinstance(record, Footer):
            record = replace(record, summary=part.summary)
        part = fold(part, record)
        file.write(record, order)
        if isinstance(record, SlotEntry) and part.slots % SLOTS_PER_SUBTOTAL == 0:
            file.write(Subtotal(part.summary), order)
    if still_open is not None:
        file.write_open(encode_open(still_open, order, 1), len(order))
    file.close(finished=part.footer is not None)
    return file.path
