"""What a run's processes say, made into one state: the largest count, the first phase, steps back, whatever is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.progress import Progress
from costmeter.runtime.progress import LONGEST_DATAGRAM, OTHER, PHASES_KEPT, SENDERS_KEPT, Sender, Tracker

A, B, C = (101, 1), (102, 2), (103, 3)


class Told:
    """A tracker and the processes that live."""

    def __init__(self, before: int | None = None) -> None:
        self.dead: set[Sender] = set()
        self.tracker = Tracker(lambda sender: sender not in self.dead, before)

    def say(self, sender: Sender, text: str | bytes) -> None:
        self.tracker.hear(sender, text if isinstance(text, bytes) else text.replace(" ", "\n").encode())

    @property
    def steps(self) -> int | None:
        return self.tracker.state.progress.steps


def test_everything_a_process_says_is_kept() -> None:
    """One datagram with everything in it."""
    told = Told()
    told.say(A, "STEP=1200 TOKENS=98304000 LOSS=2.31 PHASE=eval OF=12400 STOPS=1 NEW=unknown")

    assert told.tracker.state.progress == Progress(1200, 98_304_000, 2.31, 12_400, 1200, 98_304_000)
    assert told.tracker.state.phase == "eval"
    assert told.tracker.can_stop
    assert told.tracker.bad_values == 0


def test_of_several_the_most_counts() -> None:
    """Steps, tokens and the target are the largest of all; the loss is of the one with the most steps.

    10 and 12 are the first two counts: it began at 8; and at 450 tokens, 50 before the first 500.
    """
    told = Told()
    told.say(A, "STEP=10 TOKENS=500 LOSS=3")
    told.say(B, "STEP=12 TOKENS=400 LOSS=2 OF=100")
    told.say(A, "STEP=11 TOKENS=550 LOSS=2.5")

    assert told.tracker.state.progress == Progress(12, 550, 2.0, 100, 8, 450)
    assert not told.tracker.state.redone


@pytest.mark.parametrize("successor", [A, B])
def test_a_step_backwards_is_work_done_again(successor: Sender) -> None:
    """The process, or the one after it, goes on from 1,000 after 1,200: redone until 1,200 are reached again."""
    told = Told()
    told.say(A, "STEP=1200")
    if successor != A:
        told.dead.add(A)
    told.say(successor, "STEP=1000")
    state = told.tracker.state
    assert (state.resumes, state.resumed, state.redone, told.steps) == (1, (1000, 1200), True, 1000)

    told.say(successor, "STEP=1199")
    almost = told.tracker.state
    told.say(successor, "STEP=1200")
    again = told.tracker.state

    assert [(each.redone, each.resumes) for each in (almost, again)] == [(True, 1), (False, 1)]


def test_a_rank_that_lags_takes_nothing_back() -> None:
    """Of two ranks the one that was further dies; the other, a step behind, goes on: nothing is done again."""
    told = Told()
    told.say(A, "STEP=1200")
    told.say(B, "STEP=1199")
    told.dead.add(A)
    told.tracker.sweep()
    told.say(B, "STEP=1199")
    assert told.steps == 1200
    told.say(B, "STEP=1201")

    assert (told.tracker.state.resumes, told.tracker.state.redone, told.steps) == (0, False, 1201)


def test_a_late_process_takes_nothing_back() -> None:
    """A process that begins to tell while another, further one lives is behind it and no step backwards."""
    told = Told()
    told.say(A, "STEP=10")
    told.say(B, "STEP=1")

    assert (told.tracker.state.resumes, told.steps) == (0, 10)


def test_an_earlier_part_was_further() -> None:
    """A part that begins at 1,000 after one that got to 1,200 does 200 again; one that begins at 1,200 does none."""
    behind, level = Told(before=1200), Told(before=1200)
    behind.say(A, "PHASE=setup")
    before_any_step = behind.tracker.state
    behind.say(A, "STEP=1000")
    level.say(A, "STEP=1200")

    assert not before_any_step.redone
    assert (behind.tracker.state.redone, behind.tracker.state.resumed) == (True, (1000, 1200))
    assert (level.tracker.state.redone, level.tracker.state.resumes) == (False, 0)


@pytest.mark.parametrize(
    ("messages", "steps", "tokens"),
    [
        pytest.param(["STEP=1200 TOKENS=98"], 1200, 98, id="one-count"),
        pytest.param(["STEP=1", "STEP=11"], None, None, id="from-nothing"),
        pytest.param(["STEP=1100 TOKENS=50", "STEP=1100 TOKENS=60", "STEP=1200"], 1000, 40, id="from-a-checkpoint"),
        pytest.param(["STEP=1100", "STEP=1200", "STEP=1900", "STEP=1000", "STEP=1001"], 1000, None, id="kept"),
        pytest.param(["STEP=1200", "STEP=1000", "STEP=1010"], 990, None, id="back-before-the-second"),
        pytest.param(["STEP=500", "STEP=550 FROM=0"], None, None, id="said-to-be-nothing"),
        pytest.param(["STEP=1500", "STEP=1550", "STEP=1600 FROM=1000 FROM_TOKENS=9"], 1000, 9, id="said"),
        pytest.param(["STEP=1101 FROM=1100", "STEP=1 FROM=0", "STEP=2"], 1100, None, id="said-first"),
    ],
)
def test_where_a_part_began_is_told_or_seen(messages: list[str], steps: int | None, tokens: int | None) -> None:
    """As the first process says; else as far before the first as the second is after it, at the first till then."""
    told = Told()
    for text in messages:
        told.say(A, text)
    found = told.tracker.state.progress

    assert (found.from_steps, found.from_tokens) == (steps, tokens)


def test_the_phase_is_of_the_first_that_named_one() -> None:
    """As long as it lives; then of the next. One that names none is training."""
    told = Told()
    told.say(A, "STEP=1")
    assert told.tracker.state.phase == "training"
    told.say(B, "STEP=1 PHASE=eval")
    told.say(C, "STEP=1 PHASE=checkpoint")
    assert told.tracker.state.phase == "eval"
    told.say(B, "STEP=2 PHASE=")
    assert told.tracker.state.phase == "training"
    told.dead.add(B)
    told.tracker.sweep()

    assert told.tracker.state.phase == "checkpoint"


def test_processes_of_a_moment_count() -> None:
    """A shell tells with a new process each time, dead when it is heard: counts, phase and steps back are the same."""
    told = Told()
    for pid, text in enumerate(["STEP=1 PHASE=load", "STEP=2 PHASE=train", "STEP=1 PHASE=train"]):
        told.dead.add((pid, None))
        told.say((pid, None), text)
        told.tracker.sweep()

    state = told.tracker.state
    assert (told.steps, state.phase, state.resumes, state.redone) == (1, "train", 1, True)


def test_a_checkpoint_is_told_once() -> None:
    """By eight ranks or by one, repeated or not; the next one is another; none before the first."""
    told = Told()
    told.say(A, "CHECKPOINT=none PHASE=checkpoint")
    assert told.tracker.state.checkpoints == 0
    for _ in range(2):
        for sender in (A, B, C):
            told.say(sender, "CHECKPOINT=1200")
    assert told.tracker.state.checkpoints == 1
    told.say(A, "CHECKPOINT=1400")

    assert told.tracker.state.checkpoints == 2


def test_leaving_its_phase_is_a_checkpoint() -> None:
    """For who does not tell of checkpoints by themselves; one that does and fails has saved none."""
    told, failing = Told(), Told()
    for text in ("STEP=1 PHASE=checkpoint", "STEP=1 PHASE=checkpoint", "STEP=2"):
        told.say(A, text)
        failing.say(A, f"{text} CHECKPOINT=none")

    assert (told.tracker.state.checkpoints, failing.tracker.state.checkpoints) == (1, 0)


def test_the_same_checkpoint_after_a_step_back_is_another() -> None:
    """Saved at 1,200, gone back to 1,000 and saved at 1,200 again: two."""
    told = Told()
    for text in ("STEP=1200 CHECKPOINT=1200", "STEP=1000", "STEP=1200 CHECKPOINT=1200"):
        told.say(A, text)

    assert told.tracker.state.checkpoints == 2


@pytest.mark.parametrize(
    ("datagram", "bad"),
    [
        pytest.param(b"STEP=-1", 1, id="negative"),
        pytest.param(b"STEP=1" + 30 * b"0", 1, id="10^30"),
        pytest.param(b"STEP=9223372036854775807", 1, id="2^63-1"),
        pytest.param(b"TOKENS=1000000000000001\nFROM=-1", 2, id="beyond-10^15"),
        pytest.param("STEP=١٢".encode(), 1, id="other-digits"),
        pytest.param(b"STEP=1_000\nTOKENS=1e9\nOF=", 3, id="no-integers"),
        pytest.param(b"LOSS=nan\nSTEP=x", 2, id="nan"),
        pytest.param(b"LOSS=-inf", 1, id="infinite"),
        pytest.param(b"LOSS=" + 200 * b"1", 1, id="long-loss"),
        pytest.param(b"PHASE=a\x1b[31mb", 1, id="control"),
        pytest.param(b"CHECKPOINT=soon", 1, id="checkpoint"),
        pytest.param(b"STEP=\xff", 1, id="no-utf-8"),
        pytest.param(b"", 1, id="empty"),
        pytest.param(b"hello", 1, id="no-pair"),
        pytest.param(b"PHASE=" + LONGEST_DATAGRAM * b"x", 1, id="long"),
    ],
)
def test_what_cannot_be_meant_is_counted(datagram: bytes, bad: int) -> None:
    """A value that cannot be meant changes nothing and is counted."""
    told = Told()
    told.say(A, datagram)

    assert told.tracker.state.progress == Progress()
    assert told.tracker.state.phase in ("", "training")
    assert told.tracker.bad_values == bad


def test_phases_without_end_are_one() -> None:
    """Thousands of names: the first are kept, cut to 64 characters, and the others are told as one."""
    told = Told()
    seen = set()
    for number in range(5_000):
        told.say(A, f"PHASE={number}{'x' * 100}")
        seen.add(told.tracker.state.phase)

    assert len(seen) == PHASES_KEPT + 1
    assert OTHER in seen
    assert max(map(len, seen)) == 64


def test_processes_without_end_take_no_room() -> None:
    """Of thousands of processes some are kept, and one that was known is still heard."""
    told = Told()
    for pid in range(5_000):
        told.say((pid, 1), f"STEP={pid}")
    told.say((0, 1), "STEP=70000")

    assert told.steps == 70_000
    assert len(told.tracker._senders) == SENDERS_KEPT  # memory is what this is about


MESSAGE = st.tuples(
    st.sampled_from([A, B, C]),
    st.one_of(
        st.binary(max_size=40),
        st.lists(
            st.tuples(
                st.sampled_from(["STEP", "TOKENS", "OF", "LOSS", "PHASE", "CHECKPOINT", "STOPS"]),
                st.one_of(st.integers(-5, 30).map(str), st.text(max_size=8), st.sampled_from(["eval", "checkpoint"])),
            ),
            max_size=5,
        ).map(lambda pairs: "\n".join(f"{key}={value}" for key, value in pairs).encode("utf-8", "replace")),
    ),
    st.booleans(),
)


@given(st.lists(MESSAGE, max_size=30), st.one_of(st.none(), st.integers(0, 30)))
def test_whatever_is_sent_the_state_makes_sense(messages: list[tuple[Sender, bytes, bool]], before: int | None) -> None:
    """Nothing raises; counts of events never fall; what is redone is behind what was reached."""
    told, furthest, last = Told(before), before, Tracker(lambda _: True).state
    for sender, datagram, dies in messages:
        told.say(sender, datagram)
        if dies:
            told.dead.add(sender)
            told.tracker.sweep()
        state = told.tracker.state
        assert state.checkpoints >= last.checkpoints
        assert state.resumes >= last.resumes
        if told.steps is not None:
            furthest = max(told.steps, furthest or 0)
            assert state.redone == (told.steps < furthest)
        if state.resumes > last.resumes:
            assert state.resumed[0] < state.resumed[1]
        assert state.phase.isprintable()
        last = state
