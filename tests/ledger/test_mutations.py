"""Journals of a real meter under damage of every kind: no traceback, the worth of what is intact, and the loss said."""

import functools
import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.errors import JournalError
from costmeter.ledger.bulk import fold_path, load_run
from costmeter.ledger.query import Part, Run
from costmeter.ledger.use import priced_slots
from costmeter.meter.charge import Origin
from costmeter.outputs.receipt import receipt
from costmeter.outputs.style import Style
from costmeter.outputs.terminal import render
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.runtime.writer import Writer
from tests.depth import examples
from tests.end_to_end.installed import COSTMETER, own_home
from tests.ledger import damage
from tests.ledger.slowly import fold_journal, read_journal
from tests.runtime.metered import SECOND, metered
from tests.runtime.test_journal_size import Changing
from tests.sources.nodes import STEADY

MINUTES = 6
NODE = f"{STEADY.rstrip()}\n    count: 2\n"
HERE = Origin("configured", "costmeter.yaml:4")


@functools.cache
def recorded(seed: int, finished: bool) -> tuple[bytes, bytes]:
    """A journal as a meter writes it and the open slot beside it: two bought GPUs, a price of electricity a minute."""
    book = Book(
        gpus=(GpuPlan(owned=Owned(Decimal(30_000 + seed), HERE)),),
        electricity=Sourced(Changing(1 + seed), HERE),
        pue=Sourced(_Constant(Decimal("1.2")), HERE),
    )
    with metered(NODE, book, 100.0) as run, tempfile.TemporaryDirectory() as folder:
        run.open()
        for _ in range(3 * (MINUTES + seed)):
            run.tick(20 * SECOND)
        if finished:
            run.end()
        writer = Writer(Path(folder), "gpu01")
        named = replace(run.header, run=f"r-{seed}")
        for post in run.posts:
            writer.write(replace(post, records=tuple(named if r is run.header else r for r in post.records)))
        path = Path(folder, "gpu01.1.jsonl")
        still_open = path.with_suffix(".open")
        return path.read_bytes(), still_open.read_bytes() if still_open.exists() else b""


class _Constant:
    """A value that never changes."""

    def __init__(self, value: Decimal) -> None:
        self._value = value

    def at(self, utc_ns: int) -> Decimal:
        return self._value

    def doubt(self, utc_ns: int) -> str:
        return ""


def written(folder: Path, journal: bytes, still_open: bytes) -> Path:
    path = folder / "gpu01.1.jsonl"
    path.write_bytes(journal)
    if still_open:
        path.with_suffix(".open").write_bytes(still_open)
    return path


def folded(path: Path) -> Part:
    """A journal of this path, read line by line."""
    return fold_journal(read_journal(path))


def loaded(path: Path) -> Part:
    """A journal of this path, read as a report reads it."""
    (part,) = load_run(path.parent, str(path)).parts
    return part


def billed(path: Path) -> tuple[int, int]:
    """Nanoseconds and microjoules of the slots that a bill is made of."""
    held = [each for priced in priced_slots(path, []) for each in priced.slot.devices.values()]
    return sum(each.nanoseconds for each in held), sum(each.microjoules for each in held)


def came_to(part: Part) -> tuple[Fraction, int, int]:
    """Money, nanoseconds and microjoules."""
    whole = part.totals.whole
    return Fraction(whole.cost), whole.quantities.nanoseconds, whole.quantities.microjoules


def shown(part: Part) -> str:
    """The receipt, as a person and as a script get it."""
    of = receipt(Run((part,)))
    return render(of, Style(80, False, False)) + json.dumps(of, default=str)


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "killed"])
def test_an_intact_journal_is_worth_what_the_meter_says(finished: bool, tmp_path: Path) -> None:
    """The arithmetic of these tests agrees with the package on a journal that nothing happened to."""
    journal, still_open = recorded(0, finished)
    path = written(tmp_path, journal, still_open)
    worth = damage.worth(journal, still_open)
    assert worth is not None
    assert (worth.cost, worth.nanoseconds, worth.microjoules) == came_to(folded(path))
    assert worth.cost > 0
    assert finished == worth.has_footer
    assert ((), 0) == (folded(path).problems, worth.misnamed)


@examples(40)
@given(
    finished=st.booleans(),
    kinds=st.lists(st.sampled_from(damage.ALL), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_damage_of_any_kind_costs_what_it_hit_and_is_told(
    finished: bool, kinds: list[damage.Damage], seed: int
) -> None:
    """Damaged up to four times: what is intact is counted exactly, by receipt and bill alike, and the rest is told.

    A journal that ends after a whole line looks like one of a meter that was killed: that, and no more, is told of it.
    """
    journal, still_open = recorded(0, finished)
    whole = damage.worth(journal, still_open)
    chance = random.Random(seed)
    for kind in kinds:
        journal = kind(journal, recorded(1, True)[0], chance)
    worth = damage.worth(journal, still_open)
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), journal, still_open)
        if worth is None:
            with pytest.raises(JournalError, match="no readable header"):
                folded(path)
            return
        part = folded(path)
        expected = worth.cost, worth.nanoseconds, worth.microjoules
        assert (expected, expected[1:]) == (came_to(part), billed(path))
        assert (part.totals, part.problems) == (fold_path(path).totals, fold_path(path).problems)
        assert part.totals == loaded(path).totals
    assert whole is not None
    is_whole = (worth.cost, worth.numbers) == (whole.cost, whole.numbers)
    assert is_whole or part.problems or part.footer is None
    assert not worth.misnamed or any("prices" in problem for problem in part.problems)
    assert all(problem in shown(part) for problem in part.problems)


@examples(50)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), zeros=st.integers(0, 3))
def test_a_damaged_open_slot_costs_the_open_slot_at_most(place: int, bit: int, zeros: int) -> None:
    """Whatever bit of it is wrong, or however many blocks of it are zeros, closed slots are counted."""
    journal, still_open = recorded(0, False)
    damaged = bytearray(still_open)
    damaged[place % len(damaged)] ^= 1 << bit
    damaged[: 512 * zeros] = bytes(min(len(damaged), 512 * zeros))
    worth, closed = damage.worth(journal, bytes(damaged)), damage.worth(journal)
    assert worth is not None
    assert closed is not None
    with tempfile.TemporaryDirectory() as folder:
        part = folded(written(Path(folder), journal, bytes(damaged)))
    assert (worth.cost, worth.nanoseconds, worth.microjoules) == came_to(part)
    assert worth.nanoseconds >= closed.nanoseconds > 0


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        pytest.param(lambda journal: b"", "no readable header", id="empty"),
        pytest.param(lambda journal: bytes(4_096), "no readable header", id="zeros"),
        pytest.param(lambda journal: journal.partition(b"\n")[2], "no readable header", id="without-header"),
        pytest.param(lambda journal: b"x" * 5_000_000, "is longer than any that a meter writes", id="one-long-line"),
    ],
)
def test_a_file_that_is_no_journal_is_refused(damaged: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    """Without a header nobody knows what was metered: a refusal that names the file."""
    path = written(tmp_path, damaged(recorded(0, True)[0]), b"")
    with pytest.raises(JournalError, match=says) as refusal:
        loaded(path)
    assert str(path) in refusal.value.message


@pytest.mark.parametrize(
    ("damaged", "share", "said"),
    [
        pytest.param(lambda lines: lines[:1], 0, [], id="header-only"),
        pytest.param(lambda lines: [*lines, lines[-1]], 1, [], id="footer-twice"),
        pytest.param(lambda lines: [*lines, bytes(3_000)], 1, ["last line torn"], id="zeros-behind"),
        pytest.param(lambda lines: [*lines, *lines], 1, ["counted once", "rates that stand there again"], id="twice"),
        pytest.param(
            lambda lines: [line for line in lines if b'"slot"' not in line], 0, ["slots missing"], id="no-slots"
        ),
        pytest.param(lambda lines: [lines[0], *lines[2:]], 0, ["unreadable"], id="no-devices"),
    ],
)
def test_known_damage_comes_to_what_can_be_said_by_hand(
    damaged: Callable[[list[bytes]], list[bytes]], share: int, said: list[str], tmp_path: Path
) -> None:
    """All of the cost or nothing of it, with the words for what is wrong."""
    lines = recorded(0, True)[0].splitlines(keepends=True)
    whole = folded(written(tmp_path, b"".join(lines), b"")).totals.whole.cost
    part = folded(written(tmp_path, b"".join(damaged(lines)), b""))
    assert whole * share == part.totals.whole.cost
    for words in said:
        assert any(words in problem for problem in part.problems), part.problems
    assert bool(said) == bool(part.problems)


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "killed"])
def test_line_ends_of_another_system_cost_nothing(finished: bool, tmp_path: Path) -> None:
    """A journal that an editor wrote with carriage returns is the same part, with nothing to say."""
    journal, still_open = recorded(0, finished)
    whole = loaded(written(tmp_path, journal, still_open))
    edited = written(tmp_path, journal.replace(b"\n", b"\r\n"), still_open)
    assert whole == loaded(edited) == folded(edited)


def test_another_journal_behind_it_is_not_counted(tmp_path: Path) -> None:
    """Two parts joined to one file: the first is read as if it were alone, and where the other begins is told."""
    journal = recorded(0, True)[0]
    whole = loaded(written(tmp_path, journal, b""))
    part = loaded(written(tmp_path, journal + recorded(1, True)[0], b""))
    said = f"line {journal.count(bytes([10])) + 1} begins another journal; what follows is not counted"
    assert (whole.totals, (said,)) == (part.totals, part.problems)


@pytest.mark.parametrize("kind", damage.ALL, ids=lambda kind: kind.__name__)
def test_the_installed_report_reads_every_damage(kind: damage.Damage, tmp_path: Path) -> None:
    """`costmeter report` of a damaged journal: exact where there is a header, a clear refusal where there is none."""
    journal = kind(recorded(0, True)[0], recorded(1, True)[0], random.Random(7))
    path, worth = written(tmp_path, journal, b""), damage.worth(journal)
    with own_home() as environ:
        command = [COSTMETER, "report", str(path), "--json"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    if worth is None:
        assert (1, "") == (done.returncode, done.stdout)
        assert "no readable header" in done.stderr
        return
    (of,) = json.loads(done.stdout)
    assert worth.cost == Fraction(of["cost"]["total"])
