"""Why a held GPU is idle: one reason for whatever is known of it, and the reason that a person would give."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.idling import (
    HELD_BYTES,
    OWN_WORD_NS,
    PHASE_WORDS,
    REASONS,
    RECENT_NS,
    SAID_SPIN_GRACE_NS,
    SPIN_GRACE_NS,
    START_UP_NS,
    WORKING_CORES,
    Facts,
    Reason,
    phase_reason,
    reason,
)
from tests.samples import HOUR, MINUTE, SECOND

IDLE_PAGE = Path(__file__).parents[2] / "docs" / "idle.md"

#: Held for an hour by somebody who computed a moment ago and has a process on it.
AT_WORK = Facts(("",), HOUR, SECOND, True, processes=1, memory_bytes=60 * 2**30)
#: Held for an hour by a process that never computed.
NOTEBOOK = Facts(("",), HOUR, HOUR, False, processes=1, memory_bytes=17 * 2**30, cores=0.02)
#: Held for an hour, spinning since this moment.
SPINNING = replace(AT_WORK, quiet_ns=SECOND, spun_ns=SECOND)


@pytest.mark.parametrize(
    ("expected", "facts"),
    [
        pytest.param("no-process", replace(AT_WORK, processes=0), id="its-process-is-gone"),
        pytest.param("no-process", replace(NOTEBOOK, processes=0, cores=4.0), id="gone-and-the-host-at-work"),
        pytest.param("memory-held", NOTEBOOK, id="a-notebook"),
        pytest.param("memory-held", replace(NOTEBOOK, quiet_ns=RECENT_NS, has_computed=True), id="done-5-minutes-ago"),
        pytest.param("memory-held", replace(NOTEBOOK, memory_bytes=None), id="a-process-of-unknown-memory"),
        pytest.param("memory-held", replace(NOTEBOOK, processes=None, memory_bytes=HELD_BYTES), id="nobody-lists-it"),
        pytest.param("waiting-for-data", AT_WORK, id="computed-a-second-ago"),
        pytest.param("waiting-for-data", replace(NOTEBOOK, cores=WORKING_CORES), id="its-host-works"),
        pytest.param("waiting-for-data", replace(NOTEBOOK, step_ns=MINUTE), id="a-step-a-minute-ago"),
        pytest.param("waiting-for-data", replace(NOTEBOOK, phases=("data",)), id="it-says-so"),
        pytest.param("waiting-for-peer", SPINNING, id="a-collective-begins"),
        pytest.param("waiting-for-peer", replace(SPINNING, spun_ns=SPIN_GRACE_NS), id="just-not-too-long"),
        pytest.param("hang", replace(SPINNING, spun_ns=SPIN_GRACE_NS + 1), id="spins-too-long"),
        pytest.param("hang", replace(SPINNING, spun_ns=HOUR, cores=8.0), id="ranks-that-wait-use-cores-too"),
        pytest.param("evaluation", replace(AT_WORK, phases=("eval",)), id="evaluation"),
        pytest.param(
            "checkpoint", replace(SPINNING, spun_ns=SAID_SPIN_GRACE_NS, phases=("save",)), id="a-slow-checkpoint"
        ),
        pytest.param("hang", replace(SPINNING, spun_ns=SAID_SPIN_GRACE_NS + 1, phases=("save",)), id="hangs-saving"),
        pytest.param("start-up", replace(SPINNING, spun_ns=OWN_WORD_NS, phases=("init",)), id="nccl-comes-up"),
        pytest.param("hang", replace(SPINNING, spun_ns=OWN_WORD_NS + 1, phases=("init",)), id="nccl-never-comes-up"),
        pytest.param("hang", replace(SPINNING, spun_ns=SPIN_GRACE_NS + 1, phases=("data",)), id="data-of-a-peer"),
        pytest.param("no-process", replace(AT_WORK, processes=0, phases=("checkpoint",)), id="died-while-saving"),
        pytest.param("memory-held", replace(NOTEBOOK, phases=("init",), said_ns=OWN_WORD_NS), id="never-starts"),
        pytest.param("start-up", replace(NOTEBOOK, phases=("init",), said_ns=OWN_WORD_NS - 1), id="starts-slowly"),
        pytest.param("memory-held", replace(NOTEBOOK, phases=("save",), said_ns=HOUR), id="its-disk-is-gone"),
        pytest.param("waiting-for-data", replace(NOTEBOOK, phases=("load_batch",)), id="loads-no-model"),
        pytest.param(
            "waiting-for-data", replace(NOTEBOOK, step_ns=13 * MINUTE, step_gap_ns=7 * MINUTE), id="steps-of-7-minutes"
        ),
        pytest.param("memory-held", replace(NOTEBOOK, step_ns=OWN_WORD_NS, step_gap_ns=HOUR), id="steps-of-an-hour"),
        pytest.param(
            "waiting-for-peer", replace(SPINNING, spun_ns=14 * MINUTE, step_gap_ns=7 * MINUTE), id="spins-in-long-steps"
        ),
        pytest.param("start-up", replace(NOTEBOOK, held_ns=MINUTE), id="has-just-begun"),
        pytest.param("start-up", replace(NOTEBOOK, held_ns=MINUTE, processes=0), id="has-no-process-yet"),
        pytest.param("start-up", replace(SPINNING, held_ns=MINUTE, has_computed=False), id="first-collective"),
        pytest.param("start-up", replace(NOTEBOOK, phases=("compile",)), id="compiles"),
        pytest.param("unexplained", replace(NOTEBOOK, processes=None, memory_bytes=None), id="nobody-can-say"),
        pytest.param("unexplained", replace(NOTEBOOK, processes=None, memory_bytes=HELD_BYTES - 1), id="a-bare-board"),
        pytest.param("unexplained", replace(NOTEBOOK, quiet_ns=MINUTE), id="held-for-long-watched-for-a-minute"),
    ],
)
def test_the_reason_is_what_a_person_would_say(expected: Reason, facts: Facts) -> None:
    """Each reason is given for the case it is named after."""
    assert reason(facts) == expected


@pytest.mark.parametrize(
    ("expected", "phase"),
    [
        ("evaluation", "eval"),
        ("evaluation", "Evaluate on wikitext"),
        ("evaluation", "validation"),
        ("evaluation", "test"),
        ("checkpoint", "checkpoint"),
        ("checkpoint", "saving"),
        ("checkpoint", "ckpt-write"),
        ("start-up", "startup"),
        ("start-up", "init"),
        ("start-up", "load weights"),
        ("start-up", "warmup"),
        ("start-up", "compilation"),
        ("start-up", "initialization"),
        ("start-up", "loading_model"),
        ("start-up", "load_checkpoint"),
        ("waiting-for-data", "dataloading"),
        ("waiting-for-data", "data_loading"),
        ("waiting-for-data", "load_batch"),
        ("evaluation", "final eval2"),
        ("evaluation", "trainEval"),
        ("evaluation", "evaluator"),
        ("evaluation", "Sanity Checking"),
        ("evaluation", "ＥＶＡＬ"),
        ("evaluation", "éval"),
        ("waiting-for-data", "loadData"),
        ("waiting-for-data", "next_batch"),
        ("checkpoint", "saveCheckpoint"),
        ("checkpoint", "checkpointer"),
        ("start-up", "NCCLInit"),
        ("start-up", "İNIT"),
        ("start-up", "resume"),
        ("start-up", "restart"),
        (None, "train_batch"),
        (None, "train/batch 17"),
        (None, "miniBatch"),
        (None, "latestStep"),
        (None, "initial_training"),
        (None, "saver"),
        (None, "databricks"),
        (None, "train"),
        (None, "contest"),
        (None, ""),
    ],
)
def test_a_phase_is_known_by_its_words(expected: Reason | None, phase: str) -> None:
    """Names of phases are free; whole words in them say which kind they are."""
    assert phase_reason(phase) == expected


@pytest.mark.parametrize(
    ("expected", "phases"),
    [
        pytest.param("evaluation", ("eval", "validation"), id="both-evaluate"),
        pytest.param("waiting-for-data", ("eval", "save"), id="two-kinds"),
        pytest.param("waiting-for-data", ("eval", ""), id="one-says-nothing"),
        pytest.param("waiting-for-data", (), id="nobody-says"),
    ],
)
def test_a_phase_counts_where_all_holders_are_in_it(expected: Reason, phases: tuple[str, ...]) -> None:
    """Of several holders one that evaluates does not explain why the others do nothing."""
    assert reason(replace(AT_WORK, phases=phases)) == expected


LENGTHS = st.one_of(
    st.integers(0, 24 * HOUR),
    st.sampled_from([RECENT_NS, RECENT_NS - 1, START_UP_NS, START_UP_NS - 1, SPIN_GRACE_NS, SPIN_GRACE_NS + 1]),
)
FACTS = st.builds(
    Facts,
    st.lists(st.sampled_from(["", "train", "eval", "save", "init", "data"]), max_size=3).map(tuple),
    LENGTHS,
    LENGTHS,
    st.booleans(),
    st.none() | LENGTHS,
    st.none() | LENGTHS,
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 80 * 2**30),
    st.none() | st.floats(0, 256),
    LENGTHS,
    LENGTHS,
)


@given(FACTS)
def test_there_is_a_reason_whatever_is_known(facts: Facts) -> None:
    """Every set of facts has exactly one reason, the same each time."""
    assert reason(facts) in REASONS
    assert reason(facts) == reason(replace(facts))


@given(FACTS, LENGTHS)
def test_who_spins_on_comes_no_nearer_to_an_excuse(facts: Facts, more_ns: int) -> None:
    """A hang stays a hang however much longer it spins."""
    if facts.spun_ns is not None and reason(facts) == "hang":
        assert reason(replace(facts, spun_ns=facts.spun_ns + more_ns)) == "hang"


@given(FACTS, LENGTHS)
def test_who_does_not_spin_does_not_hang(facts: Facts, quiet_ns: int) -> None:
    """Who does not spin neither hangs nor waits for a peer, and who has a process is not without one."""
    calm = replace(facts, spun_ns=None, quiet_ns=quiet_ns)
    assert reason(calm) not in ("hang", "waiting-for-peer")
    assert reason(replace(facts, processes=1)) != "no-process"


@given(FACTS, st.floats(WORKING_CORES, 256))
def test_a_host_at_work_holds_no_memory_for_nothing(facts: Facts, cores: float) -> None:
    """However long a GPU has computed nothing: while its host works for it, it waits for data."""
    assert reason(replace(facts, cores=cores)) not in ("memory-held", "unexplained")


@given(FACTS, LENGTHS)
def test_longer_quiet_is_no_fresher_work(facts: Facts, more_ns: int) -> None:
    """Who holds memory for nothing goes on doing so while nothing else changes."""
    later = replace(facts, held_ns=facts.held_ns + more_ns, quiet_ns=facts.quiet_ns + more_ns)
    if reason(facts) == "memory-held":
        assert reason(later) == "memory-held"


@given(FACTS)
def test_what_is_new_is_left_alone(facts: Facts) -> None:
    """Nobody who began a moment ago, and has not computed yet, is told that he hangs or holds memory for nothing."""
    new = replace(facts, held_ns=min(facts.held_ns, START_UP_NS - 1), has_computed=False)
    assert reason(new) not in ("hang", "memory-held", "no-process", "unexplained", "waiting-for-peer")


def test_the_page_has_the_reasons_in_the_order_of_the_decision() -> None:
    """Of a GPU that everything is true of at once the first row of docs/idle.md holds; without what it says, the next.

    A phase is one thing at a time: its rows are in the order in which words count.
    """
    table = IDLE_PAGE.read_text(encoding="utf-8").split("| reason |")[1].split("\n\n")[0]
    rows = [re.findall(r"`([a-z-]+)`", line.split("|")[1])[0] for line in table.splitlines()[2:]]
    facts = Facts(("eval load batch checkpoint",), MINUTE, HOUR, False, HOUR, MINUTE, 0, 60 * 2**30, 2.0)
    found = [reason(replace(facts, phases=("",)))]
    for change in (
        {"held_ns": HOUR},
        {"spun_ns": None},
        {"processes": 1},
        {"phases": ("load batch checkpoint",)},
        {"phases": ("load checkpoint",)},
        {"phases": ("checkpoint",)},
        {"phases": ("",), "spun_ns": SECOND},
        {"spun_ns": None},
        {"step_ns": None, "cores": None},
        {"processes": None, "memory_bytes": None},
    ):
        facts = replace(facts, **change)
        found.append(reason(facts))
    assert rows == found
    assert list(PHASE_WORDS) == rows[3:7]
