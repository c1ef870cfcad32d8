"""The runs of a user that go on now, from their journals alone: what each has cost, and what its GPUs did last."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from costmeter.errors import JournalError
from costmeter.ledger.brief import Brief, brief
from costmeter.ledger.bulk import fold_path
from costmeter.ledger.finding import JOURNAL
from costmeter.ledger.listing import of_part
from costmeter.ledger.query import Part
from costmeter.ledger.reading import open_slot
from costmeter.meter.slot import Slot

_OPEN = ".open"


@dataclass(frozen=True, slots=True)
class LiveRun:
    """One meter at work: who it is, what it came to by its last tick, and its open slot, None before the first."""

    part: Part
    so_far: Brief
    open_slot: Slot | None


class LiveRuns:
    """Looks for them again and again. A journal is folded once for as long as it does not grow: once a minute."""

    def __init__(self, state: Path) -> None:
        self._runs = state / "runs"
        self._folded: dict[str, tuple[int, Part]] = {}

    def now(self) -> list[LiveRun]:
        """Those of this moment, by when they began; what cannot be read is none of them."""
        found = [run for path in self._open_journals() if (run := self._look(path)) is not None]
        self._folded = {path: kept for path, kept in self._folded.items() if os.path.exists(path)}
        return sorted(found, key=lambda run: run.part.header.anchor.utc(run.part.start_ns))

    def _open_journals(self) -> Iterator[Path]:
        """Journals that have an open slot beside them: those of meters at work, and of killed ones."""
        try:
            folders = [entry.path for entry in os.scandir(self._runs)]
        except OSError:
            return
        for folder in folders:
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            yield from (Path(folder, name).with_suffix(JOURNAL) for name in names if name.endswith(_OPEN))

    def _look(self, path: Path) -> LiveRun | None:
        try:
            size = path.stat().st_size
            kept, part = self._folded.get(str(path), (-1, None))
            if part is None or size != kept:
                part = fold_path(path)
                self._folded[str(path)] = size, part
            told = brief(str(path)) or of_part(fold_path(path), path.name)
            if told.ending.outcome != "running":
                return None
            entry = open_slot(path, tuple(part.devices))
        except (JournalError, OSError, ValueError):
            return None
        return LiveRun(part, told, None if entry is None else entry.slot)
