"""Why a node's GPUs were idle: whose spend that was, exact over shares, days and restarts; and nobody's is none."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.node.journal import fold_node_path, restored
from costmeter.ledger.node.query import NodePart, opening
from costmeter.ledger.node.record import Holders, IdleNoted, Line, Opening, RunSeen
from costmeter.ledger.node.run import node_run
from costmeter.ledger.record import RatesChange, SlotEntry
from costmeter.meter.idlememory import HolderMemory, IdleMemory
from costmeter.meter.idling import IdleSpell, IdleUse, Reason
from costmeter.meter.totals import net
from tests.ledger.node.test_journal import FIRST, GPUS, LEE, MAYA, SECOND_GPU, again, written
from tests.ledger.nodedays import facts, node_day
from tests.samples import BEGAN_NS, BEGAN_UTC_NS, MINUTE, SECOND, held, measured, rates, rental, slot

#: 30 s of a minute idle: at $12/h that is 10 cents.
HALF = measured(busy_ns=30 * SECOND, busy_uj=60_000_000, idle_ns=30 * SECOND, idle_uj=6_000_000)
WAITING: Reason = "waiting-for-data"


def entry(minute: int, **why: Reason) -> SlotEntry:
    """A minute of both GPUs, each idle for half of it: `first` and `second` say why."""
    named: Mapping[str, str] = {"first": FIRST, "second": SECOND_GPU}
    of = slot({FIRST: HALF, SECOND_GPU: HALF}, minute)
    return SlotEntry(replace(of, reasons={named[name]: reason for name, reason in why.items()}))


def day() -> list[Line]:
    """Maya's run has the first GPU; then shares it with lee, and nobody has the second at any time."""
    return [
        Opening(BEGAN_UTC_NS),
        held(GPUS),
        RatesChange(BEGAN_UTC_NS, rates({FIRST: rental("12"), SECOND_GPU: rental("12")})),
        RunSeen(BEGAN_UTC_NS, facts(MAYA)),
        Holders(BEGAN_UTC_NS, {FIRST: (MAYA,)}),
        entry(0, first=WAITING, second="no-process"),
        entry(1, second="no-process"),
        Holders(BEGAN_UTC_NS + 2 * MINUTE, {FIRST: (MAYA, LEE)}),
        entry(2, first="checkpoint"),
    ]


WHOLE = {FIRST: {WAITING: IdleUse(30 * SECOND, Decimal("0.10")), "checkpoint": IdleUse(30 * SECOND, Decimal("0.10"))}}
HERS = {WAITING: IdleUse(30 * SECOND, Decimal("0.10")), "checkpoint": IdleUse(15 * SECOND, Decimal("0.05"))}


def test_a_day_worked_out_by_hand(tmp_path: Path) -> None:
    """A minute has 10 cents of idle time: one waited, one nobody can explain, one saved, whose money two share."""
    part = fold_node_path(written(tmp_path, day()))
    assert WHOLE == part.idle
    assert HERS == part.accounts[MAYA.key].idle


def test_a_run_has_its_share_in_its_receipt(tmp_path: Path) -> None:
    """What the agent knows of a run without a wrapper is what its account says."""
    written(tmp_path / "node", day())
    run = node_run(tmp_path, MAYA.run)
    assert run is not None
    assert [HERS] == [part.idle for part in run.parts]


def test_counters_by_reason_go_on_after_a_restart(tmp_path: Path) -> None:
    """The opening of the next agent has them to the last digit, by GPU and by run."""
    written(tmp_path, day(), opened=True)
    found = restored(tmp_path, again())
    assert "" == found.why_zero
    assert WHOLE == found.opening.idle
    assert [HERS] == [account.idle for account in found.opening.accounts]


@pytest.mark.parametrize(
    ("pid", "ticks", "still_holds"),
    [
        pytest.param(4_243_001, 0, True, id="nobody-knows-when-it-began"),
        pytest.param(4_243_001, 5, False, id="it-has-ended"),
    ],
)
def test_what_is_known_of_a_run_waits_for_it(tmp_path: Path, pid: int, ticks: int, still_holds: bool) -> None:
    """A run of a scenario holds its GPU until somebody looks; what is known of it is kept though its root has ended."""
    spell = IdleSpell("hang", BEGAN_UTC_NS, Decimal("0.10"))
    memory = IdleMemory(BEGAN_NS + 3 * MINUTE, BEGAN_NS, BEGAN_NS, spins_from_ns=BEGAN_NS, spell=spell)
    records = [*day()[:4], Holders(BEGAN_UTC_NS, {FIRST: (MAYA,)}), *(entry(at, first="hang") for at in range(3))]
    records[3] = RunSeen(BEGAN_UTC_NS, replace(facts(MAYA), pid=pid, pid_start_ticks=ticks))
    written(tmp_path, [*records, IdleNoted(BEGAN_UTC_NS + 3 * MINUTE, FIRST, memory)], opened=False)
    found = restored(tmp_path, again())
    assert ({FIRST: (MAYA,)} if still_holds else {}) == {uuid: held for uuid, held in found.holders.items() if held}
    assert {FIRST: replace(memory, runs=frozenset({MAYA.key}))} == found.idle


@pytest.mark.parametrize("is_idle", [True, False])
def test_who_came_after_what_was_written_came_then(tmp_path: Path, is_idle: bool) -> None:
    """Maya's GPU is idle, or has worked, and noted so; lee comes after two minutes, when its idle time cost 20 cents.

    Each minute idles for 30 s at $12/h, which is 10 cents. What works is noted once, and works for lee as well.
    """
    spell = IdleSpell(WAITING, BEGAN_UTC_NS, Decimal(0)) if is_idle else None
    memory = IdleMemory(BEGAN_NS + MINUTE, BEGAN_NS, BEGAN_NS, True, spell=spell)
    *records, maya_and_lee, last = day()
    records.insert(-1, IdleNoted(BEGAN_UTC_NS + MINUTE, FIRST, memory))
    written(tmp_path, [*records, maya_and_lee, last], opened=True)
    known = restored(tmp_path, again()).idle[FIRST]
    assert known.holders == {
        MAYA.key: HolderMemory(BEGAN_NS, Decimal(0), True),
        LEE.key: HolderMemory(BEGAN_NS + 2 * MINUTE, Decimal("0.20"), not is_idle),
    }
    assert (known.spell, known.since_ns) == (spell, BEGAN_NS)


@given(st.integers(0, 10**6))
def test_a_new_day_takes_nothing_away(seed: int) -> None:
    """A file that begins with where the last one ended has its counters, and what comes then is added."""
    with TemporaryDirectory() as folder:
        first = fold_node_path(written(Path(folder, "1"), node_day(seed)))
        begins = opening(first, BEGAN_UTC_NS)
        alone = fold_node_path(written(Path(folder, "2"), node_day(seed + 1)))
        both = fold_node_path(written(Path(folder, "3"), [begins, *node_day(seed + 1)[1:]]))
    assert first.idle == begins.idle
    for part in (first, alone, both):
        _check_sums(part)
    for uuid in both.idle:
        for reason, use in both.idle[uuid].items():
            before, more = (each.idle.get(uuid, {}).get(reason, IdleUse()) for each in (first, alone))
            assert use == before + more


def _check_sums(part: NodePart) -> None:
    """No reason has more than there was of idle time, and of runs no more than of GPUs."""
    for uuid, uses in part.idle.items():
        whole = part.held.devices[uuid]
        assert sum(use.nanoseconds for use in uses.values()) <= whole.quantities.idle_nanoseconds
        idle = {key: paid for key, paid in net(whole.charges, {}).items() if key[1] == "idle"}
        assert sum(use.charges for use in uses.values()) <= sum(idle.values())
    by_gpu = sum(use.nanoseconds for uses in part.idle.values() for use in uses.values())
    assert sum(use.nanoseconds for each in part.accounts.values() for use in each.idle.values()) <= by_gpu
