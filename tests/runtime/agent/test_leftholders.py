"""Who held what before a restart: until when it stands, and which runs are as good as announced."""

import os
from dataclasses import replace

import pytest

from costmeter.ledger.identity import start_ticks
from costmeter.ledger.node.record import RunFacts
from costmeter.meter.holder import UNKNOWN_UID, Holder, RunKey
from costmeter.runtime.agent.leftholders import GRACE_NS, LeftHolders, announced_before
from tests.samples import BEGAN_NS, BEGAN_UTC_NS

RUN, POD = Holder(7, "r-1", "ada", "announced", "eval", True), Holder(UNKNOWN_UID, "k8s-a.b", "", "kubernetes")
BY_NAME, USER, UNSEEN = Holder(7, "r-2", "ada", "environment"), Holder(8, "", "bob", "user"), Holder(-1, "", "", "user")
OTHER, AGAIN = Holder(9, "r-9", "eve", "announced"), Holder(9, "", "eve", "user")
FACTS = RunFacts(7, "r-1", "ada", "announced", BEGAN_UTC_NS, BEGAN_UTC_NS - 5, "sft", {"a": "b"}, "", 50, 500)


@pytest.mark.parametrize(
    ("expected", "left", "found"),
    [
        pytest.param((RUN, USER), (RUN, USER), (), id="nobody-is-found"),
        pytest.param((BY_NAME, USER), (BY_NAME, USER), (AGAIN,), id="a-first-guess"),
        pytest.param((OTHER,), (RUN, USER), (OTHER,), id="who-announces-himself"),
    ],
)
def test_before_the_first_list_of_processes_everybody_stays(
    expected: tuple[Holder, ...], left: tuple[Holder, ...], found: tuple[Holder, ...]
) -> None:
    """Runs and users: nothing has been seen that speaks against them but another's own word."""
    holders = LeftHolders({"GPU-a": left}, [FACTS], lambda identity: True)
    by_device = {"GPU-a": found} if found else {}
    assert {"GPU-a": expected} == holders.still(by_device, {each.key for each in found}, BEGAN_NS)


@pytest.mark.parametrize(
    ("expected", "after_ns", "found", "is_alive"),
    [
        pytest.param((RUN, POD), 0, [], True, id="claims-need-no-process"),
        pytest.param((POD,), 0, [], False, id="a-first-process-that-has-ended"),
        pytest.param((POD,), 0, [RUN.key], True, id="found-elsewhere"),
        pytest.param((RUN, POD), GRACE_NS - 1, [], True, id="within-the-grace"),
        pytest.param((), GRACE_NS, [], True, id="after-it"),
    ],
)
def test_from_the_first_list_on_claims_stay_for_a_grace(
    expected: tuple[Holder, ...], after_ns: int, found: list[RunKey], is_alive: bool
) -> None:
    """Who only computed is on the list or gone; who announced himself may be about to come again."""
    left = LeftHolders({"GPU-a": (RUN, BY_NAME, POD, USER)}, [FACTS], lambda identity: is_alive)
    left.listed(BEGAN_NS)
    assert ({"GPU-a": expected} if expected else {}) == left.still({}, found, BEGAN_NS + after_ns)


def test_who_is_found_on_a_listed_device_has_it() -> None:
    """What was left stands nowhere where somebody is seen."""
    left = LeftHolders({"GPU-a": (RUN,), "GPU-b": (RUN,)}, [FACTS], lambda identity: True)
    left.listed(BEGAN_NS)
    assert {"GPU-a": (USER,), "GPU-b": (RUN,)} == left.still({"GPU-a": (USER,)}, [], BEGAN_NS)


def test_an_unseen_user_was_asked_for_once() -> None:
    """Until the first list; a pod is no unseen user."""
    left = LeftHolders({"GPU-a": (UNSEEN,), "GPU-b": (POD, USER)}, [], lambda identity: True)
    assert {"GPU-a"} == left.asked_once()
    left.listed(BEGAN_NS)
    assert frozenset() == left.asked_once()


def test_announced_runs_are_as_they_were() -> None:
    """One whose first process lives, with its GPUs and what it did; one that held none, with those it computes on."""
    here = replace(FACTS, pid=os.getpid(), pid_start_ticks=start_ticks(os.getpid()) or 0)
    runs = [
        here,
        replace(here, run="r-nothing"),
        replace(FACTS, run="r-dead", pid=os.getpid(), pid_start_ticks=1),
        replace(FACTS, run="r-rootless", pid=0, pid_start_ticks=0),
        replace(here, run="r-found", source="slurm"),
    ]
    found = {each.run: each for each in announced_before({"GPU-a": (USER, RUN), "GPU-b": (RUN,)}, runs)}
    assert ["r-1", "r-nothing", "r-rootless"] == sorted(found)
    first = found["r-1"]
    assert (frozenset({"GPU-a", "GPU-b"}), "eval", True) == (first.uuids, first.phase, first.redone)
    assert (7, "ada", "sft", {"a": "b"}, os.getpid()) == (
        first.uid, first.user, first.name, first.labels, first.root_pid,
    )  # fmt: skip
    assert (BEGAN_UTC_NS, BEGAN_UTC_NS - 5) == (first.seen_utc_ns, first.started_utc_ns)
    assert (None, "", None) == (found["r-nothing"].uuids, found["r-nothing"].phase, found["r-rootless"].uuids)


def test_a_device_whose_list_is_refused_keeps_its_holder() -> None:
    """That other devices were listed says nothing of it: its user stays until its own list is read, and no longer."""
    left = LeftHolders({"GPU-a": (USER,), "GPU-b": (USER,), "GPU-c": (UNSEEN,)}, [], lambda identity: True)
    left.listed(BEGAN_NS, refused={"GPU-b", "GPU-c"})
    assert {"GPU-b": (USER,), "GPU-c": (UNSEEN,)} == left.still({}, [], BEGAN_NS)
    later_ns = BEGAN_NS + 2 * GRACE_NS
    assert {"GPU-b": (USER,), "GPU-c": (UNSEEN,)} == left.still({}, [], later_ns)
    assert {"GPU-c"} == left.asked_once()
    left.listed(later_ns, refused={"GPU-c"})
    assert {"GPU-c": (UNSEEN,)} == left.still({}, [], later_ns)
