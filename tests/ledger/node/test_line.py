"""What only a node's journal keeps comes back as it was written, and nothing that is garbled does."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.ledger.line import decode, encode, seal, unseal
from costmeter.ledger.node.line import apart
from costmeter.ledger.node.record import (
    Holders,
    IdleNoted,
    Line,
    Opening,
    ReasonRisen,
    RunAccount,
    RunEnded,
    RunFacts,
    RunRisen,
    RunSeen,
)
from costmeter.ledger.record import Outcome
from costmeter.meter.holder import Holder, HolderSource
from costmeter.meter.idlememory import HolderMemory, IdleMemory
from costmeter.meter.idletimes import IdleTimes
from costmeter.meter.idling import REASONS, UNEXPLAINED, IdleSpell, IdleUse, Reason
from costmeter.meter.progress import Progress
from costmeter.meter.totals import Totals, totals
from tests.depth import examples
from tests.samples import BEGAN_UTC_NS, devices, prices, rates_of, slots, uuids, words

SOURCES = get_args(HolderSource)
instants = st.integers(0, 2**60)
uids = st.integers(-1, 2**32)
facts = st.builds(
    RunFacts,
    uids,
    words,
    words,
    st.sampled_from(SOURCES),
    instants,
    instants,
    words,
    st.dictionaries(words, words, max_size=2),
    words,
    st.integers(0, 2**22),
    st.integers(0, 2**40),
)
progress = st.none() | st.builds(Progress, st.none() | st.integers(0, 2**40), loss=st.none() | st.floats(0, 9))
signals = st.none() | st.integers(0, 255)
ends = st.builds(
    RunEnded, instants, st.tuples(uids, words), st.sampled_from(get_args(Outcome)), signals, signals, progress
)
holders = st.builds(Holder, uids, words, words, st.sampled_from(SOURCES), words, st.booleans())


@st.composite
def all_totals(draw: st.DrawFn) -> Totals:
    """What two devices came to under some rates."""
    order = uuids(devices(2))
    return totals(draw(slots(order)), draw(rates_of(order)))


idle = st.dictionaries(
    st.sampled_from(REASONS), st.builds(IdleUse, st.integers(0, 2**60), prices, prices).filter(bool), max_size=3
)


@st.composite
def accounts(draw: st.DrawFn) -> RunAccount:
    whole = draw(all_totals())
    phases = {phase: draw(all_totals()).whole for phase in draw(st.lists(words, max_size=2, unique=True))}
    account = RunAccount(draw(facts), whole, phases, draw(all_totals()).whole, draw(st.none() | ends))
    told = replace(account, sunk=draw(st.decimals(0, 99, places=3)), at_zero=draw(st.booleans()))
    return replace(told, called=draw(words), idle=draw(idle))


@given(
    st.builds(RunSeen, instants, facts, words, st.booleans())
    | ends
    | st.builds(RunRisen, instants, st.tuples(uids, words))
)
def test_runs_are_read_as_they_were_written(record: Line) -> None:
    """Every fact of a run and of its end survives a round trip."""
    assert record == decode(encode(record))


reasons = st.sampled_from(REASONS)
maybe_instants = st.none() | st.integers(-(2**50), 2**60)
spells = st.none() | st.builds(IdleSpell, reasons, instants, prices)
kept_by = st.builds(HolderMemory, st.integers(-(2**50), 2**60), prices, st.booleans(), maybe_instants)
memories = st.builds(
    IdleMemory,
    instants,
    st.integers(-(2**50), 2**60),
    instants,
    st.booleans(),
    maybe_instants,
    maybe_instants,
    st.booleans(),
    spells,
    st.just(frozenset()),
    st.dictionaries(st.tuples(uids, words), kept_by, max_size=3),
    maybe_instants,
    st.none() | st.builds(IdleTimes, st.integers(0, 2**60), st.integers(0, 2**60)),
)


@given(st.builds(IdleNoted, instants, words, memories) | st.builds(ReasonRisen, instants, words, reasons))
def test_what_is_known_of_idle_devices_is_read_as_it_was_written(record: Line) -> None:
    """Every instant, the spell and its money come back, of each holder too; so does a reason that has risen."""
    assert record == decode(encode(record))


def test_an_opening_of_an_older_agent_has_shown_all_its_reasons() -> None:
    """It had no word for those at 0: what it came to was on its page, and must not go back."""
    uses: dict[str, dict[Reason, IdleUse]] = {"GPU-a": {"hang": IdleUse(5, Decimal(2))}}
    body = unseal(encode(Opening(BEGAN_UTC_NS, idle=uses)))
    assert {} == body.pop("risen")
    read = decode(seal(body))
    assert isinstance(read, Opening)
    assert {"GPU-a": {"hang"}} == read.risen


@given(accounts())
def test_accounts_of_older_agents_say_what_was_sunk_by_their_end(account: RunAccount) -> None:
    """They had no word for it: all that the run had cost was counted where it did not end well."""
    body = unseal(encode(account))
    body.pop("sunk", None)
    read = decode(seal(body))
    assert isinstance(read, RunAccount)
    is_lost = account.ended is not None and account.ended.outcome not in ("ok", "running", "unknown")
    assert read.sunk == (max(Decimal(0), account.totals.whole.cost) if is_lost else 0)


@given(st.dictionaries(words, st.lists(holders, min_size=1, max_size=3).map(tuple), max_size=3), st.integers(0, 99))
def test_holders_are_read_as_they_were_written(by_device: dict[str, tuple[Holder, ...]], number: int) -> None:
    """Who holds what, in their order, with the number that slots name."""
    read = decode(encode(Holders(BEGAN_UTC_NS, by_device, number)))
    assert isinstance(read, Holders)
    assert (Holders(BEGAN_UTC_NS, by_device), number) == (read, read.number)


def test_a_device_that_nobody_holds_is_not_named() -> None:
    """No holders and an empty list of them are the same."""
    read = decode(encode(Holders(BEGAN_UTC_NS, {"GPU-a": (), "GPU-b": (Holder(0, "r", "u", "user"),)}, 0)))
    assert isinstance(read, Holders)
    assert ["GPU-b"] == list(read.by_device)


@examples(25)
@given(
    accounts(),
    all_totals(),
    all_totals(),
    st.dictionaries(words, st.integers(0, 9), max_size=2),
    st.dictionaries(words, idle, max_size=2),
)
def test_an_opening_is_read_as_it_was_written(
    account: RunAccount,
    held: Totals,
    unheld: Totals,
    ended: dict[str, int],
    uses: dict[str, dict[Reason, IdleUse]],
) -> None:
    """Integers and money come back to the last digit, the accounts as lines of their own before it."""
    sunk = dict.fromkeys(ended, held.whole.cost)
    risen = {uuid: frozenset(found) for uuid, found in uses.items() if found}
    whole = Opening(BEGAN_UTC_NS, held, unheld, (account,), ended, sunk, None, uses, risen)
    *before, last = [decode(encode(line)) for line in apart(whole)]
    assert [account] == before
    assert replace(whole, accounts=()) == last


def test_a_reason_of_a_newer_agent_is_unexplained() -> None:
    """What it counted for that goes on under a name that is known here, and nothing of it is lost."""
    uses: dict[Reason, IdleUse] = {"hang": IdleUse(5, Decimal(2)), UNEXPLAINED: IdleUse(3, Decimal(1), Decimal("0.5"))}
    body = unseal(encode(Opening(BEGAN_UTC_NS, idle={"GPU-a": uses})))
    body["idle"]["GPU-a"]["solar-flare"] = body["idle"]["GPU-a"].pop("hang")
    read = decode(seal(body))
    assert isinstance(read, Opening)
    assert {"GPU-a": {UNEXPLAINED: IdleUse(8, Decimal(3), Decimal("0.5"))}} == read.idle


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            {"type": "opening", "utc_ns": 0, "held": {}, "unheld": {}, "idle": {"GPU-a": []}}, id="no-reasons"
        ),
        pytest.param(
            {"type": "opening", "utc_ns": 0, "held": {}, "unheld": {}, "idle": {"GPU-a": {"hang": [1, 2, 3]}}},
            id="money-of-a-reason-a-number",
        ),
        pytest.param({"type": "run", "utc_ns": 0}, id="run-of-nobody"),
        pytest.param({"type": "run", "utc_ns": "0", "uid": 1, "run": "r", "user": "u"}, id="instant-a-text"),
        pytest.param({"type": "ended", "utc_ns": 0, "uid": "1", "run": "r", "outcome": "ok"}, id="uid-a-text"),
        pytest.param({"type": "holders", "utc_ns": 0, "holders": [], "devices": {"GPU-a": [0]}}, id="nobody-named"),
        pytest.param({"type": "holders", "utc_ns": 0, "n": -1, "holders": [], "devices": {}}, id="number-below-0"),
        pytest.param({"type": "account", "facts": {}, "devices": {}}, id="account-of-nobody"),
        pytest.param({"type": "opening", "utc_ns": 0, "held": {"GPU-a": {"charges": {"x": 1.0}}}}, id="money-a-float"),
        pytest.param(
            {"type": "opening", "utc_ns": 0, "held": {}, "unheld": {}, "ended": {"ok": -1}}, id="count-below-0"
        ),
    ],
)
def test_a_line_of_another_kind_is_unreadable(body: dict[str, Any]) -> None:
    """A checksum says that a line is as it was written, not that a meter wrote it."""
    with pytest.raises(ValueError, match=r"record lacks or garbles"):
        decode(seal(body))
