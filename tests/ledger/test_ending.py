"""How a run ends: over parts, over hosts, and what it had not saved."""

from dataclasses import replace
from decimal import Decimal

import pytest

from costmeter.clock import RealClock
from costmeter.ledger.ending import (
    Ending,
    Lost,
    goes_on,
    lost,
    part_ending,
    part_goes_on,
    run_ending,
    run_lost,
    together,
)
from costmeter.ledger.identity import host_name
from costmeter.ledger.query import Part, Run
from costmeter.ledger.record import Outcome, Saved
from tests.outputs.runs import one
from tests.samples import BEGAN_UTC_NS, MINUTE, SECOND


def ended(outcome: Outcome, exit_code: int | None = None, signal: int | None = None, at: int = 10) -> Ending:
    """Something of one minute that ended `at` minutes after the beginning."""
    end = BEGAN_UTC_NS + at * MINUTE
    return Ending(end - MINUTE, end, MINUTE, outcome, exit_code, signal)


@pytest.mark.parametrize(
    ("parts", "outcome", "exit_code", "signal"),
    [
        pytest.param([("a", ended("ok", 0))], "ok", 0, None, id="one"),
        pytest.param([("a", ended("preempted", None, 15)), ("a", ended("ok", 0))], "ok", 0, None, id="requeued"),
        pytest.param([("a", ended("ok", 0)), ("b", ended("failed", 3))], "failed", 3, None, id="one-host-failed"),
        pytest.param(
            [("a", ended("failed", 7, at=20)), ("b", ended("failed", 3, at=19))], "failed", 3, None, id="first-to-end"
        ),
        pytest.param(
            [("a", ended("cancelled", None, 15, at=9)), ("b", ended("failed", 1))], "failed", 1, None, id="code-first"
        ),
        pytest.param([("a", ended("interrupted")), ("b", ended("ok", 0))], "interrupted", None, None, id="killed"),
        pytest.param([("a", ended("running")), ("b", ended("ok", 0))], "running", None, None, id="one-still-runs"),
        pytest.param(
            [("a", ended("stopped by budget", None, 15)), ("b", ended("preempted", None, 15))],
            "stopped by budget",
            None,
            15,
            id="budget-is-worse",
        ),
    ],
)
def test_a_run_ends_as_the_worst_of_its_hosts(
    parts: list[tuple[str, Ending]], outcome: str, exit_code: int | None, signal: int | None
) -> None:
    """The outcome is the worst of the hosts' last, the exit code the first that is not 0."""
    found = together(parts)
    assert (outcome, exit_code, signal) == (found.outcome, found.exit_code, found.signal)


def test_several_hosts_last_from_the_first_start_to_the_last_end() -> None:
    """A host that began an hour later and one that ended earlier: what lies between the outer instants."""
    found = together([("a", ended("ok", 0, at=5)), ("b", ended("ok", 0, at=65))])
    assert (61 * MINUTE, BEGAN_UTC_NS + 4 * MINUTE) == (found.length_ns, found.started_utc_ns)


def test_one_part_is_as_long_as_its_meter_says() -> None:
    """The wall clock was set meanwhile: the length is not what lies between its two readings."""
    part = one("a", "ok", 0)
    assert part.footer is not None
    shifted = replace(part, footer=replace(part.footer, length_ns=61 * SECOND))
    assert 61 * SECOND == run_ending(Run((shifted,))).length_ns


def test_without_a_footer_a_run_goes_on_as_long_as_its_meter_lives() -> None:
    """Running where the meter lives, interrupted where it does not."""
    part = one("a", None)
    assert ("running", "interrupted") == (part_ending(part, True).outcome, part_ending(part, False).outcome)


@pytest.mark.parametrize(
    ("host", "silent_ns", "outcome"),
    [
        pytest.param("gpu07", MINUTE, "running", id="a-minute-ago"),
        pytest.param("gpu07", -MINUTE, "running", id="its-clock-is-ahead"),
        pytest.param("gpu07", 5 * MINUTE, "interrupted", id="silent"),
        pytest.param("gpu07", -5 * MINUTE, "interrupted", id="no-clock-is-so-far-ahead"),
        pytest.param(host_name(), MINUTE, "interrupted", id="this-host-in-another-boot"),
    ],
)
def test_a_run_of_another_host_goes_on_until_it_has_been_silent(host: str, silent_ns: int, outcome: str) -> None:
    """A shared home shows no processes of others: two minutes after the last tick in the record it was interrupted."""
    part = one("a", None)
    then = replace(part, header=replace(part.header, host=host), ended_utc_ns=RealClock().utc_ns() - silent_ns)
    assert outcome == run_ending(Run((then,))).outcome
    assert (outcome == "running") is goes_on(then.header, then.ended_utc_ns)


def test_what_has_a_footer_has_ended() -> None:
    """However lately another host wrote it."""
    part = one("a", "ok", 0)
    assert not part_goes_on(replace(part, ended_utc_ns=RealClock().utc_ns()))


def saving(part: Part, cost: str) -> Part:
    """A part whose last checkpoint was half a minute before its end, when it had cost so much."""
    return replace(part, saved=Saved(part.ended_utc_ns - 30 * SECOND, Decimal(cost)))


def test_what_came_to_nothing_lost_what_it_cost_since_its_last_checkpoint() -> None:
    """Two GPUs at $2.49 for a minute are $0.083; $0.050 of it was saved."""
    part = saving(one("a", "failed", 1), "0.050")
    assert Lost(Decimal("0.033"), 30 * SECOND) == run_lost(Run((part,)))


def test_a_run_that_succeeded_or_told_of_no_checkpoint_lost_nothing_known() -> None:
    """Neither has a figure: 0 would be a claim."""
    assert run_lost(Run((saving(one("a", "ok", 0), "0.05"),))) is None
    assert run_lost(Run((one("a", "failed", 1),))) is None


def test_what_a_later_part_did_again_is_not_lost_twice() -> None:
    """A part that was preempted and went on: only what the last part had not saved is lost."""
    first, second = saving(one("a", "preempted"), "0.01"), saving(one("a", "failed", 1, 5 * MINUTE), "0.08")
    assert Lost(Decimal("0.003"), 30 * SECOND) == run_lost(Run((first, second)))


def test_a_part_without_a_checkpoint_goes_back_to_that_of_the_part_before() -> None:
    """The whole of the last part is lost, and what the one before had not saved."""
    first, second = saving(one("a", "preempted"), "0.05"), one("a", "failed", 1, 5 * MINUTE)
    assert Lost(Decimal("0.033") + Decimal("0.083"), 90 * SECOND) == run_lost(Run((first, second)))


def test_hosts_lose_each_their_own() -> None:
    """Money of two hosts adds up; the time is that of the one that lost most."""
    hosts = Run((saving(one("a", "failed", 1), "0.05"), saving(one("b", "failed", 1), "0.08")))
    assert Lost(Decimal("0.036"), 30 * SECOND) == run_lost(hosts)
    assert lost([]) is None
