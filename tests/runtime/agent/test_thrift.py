"""What the users of a node may make its journal grow by: a flood is slow, and what is usual does not wait."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from costmeter.ledger.line import encode
from costmeter.ledger.node.record import Holders, RunEnded, RunFacts, RunSeen
from costmeter.meter.holder import Holder
from costmeter.runtime.agent.announceline import LONGEST_TEXT, MOST_LABELS
from costmeter.runtime.agent.thrift import LONGEST_FACTS, OF_A_NODE, OF_A_USER, Thrift, cut_short
from tests.runtime.heldnode import HeldNode, held_node
from tests.samples import BEGAN_UTC_NS, MINUTE, SECOND
from tests.sources.nodes import STEADY

DAY = 24 * 60 * MINUTE
BOARDS = [f"GPU-{place:08}-2ae3-619b-47c7-ae46-5894e80e87e8" for place in range(8)]
#: A slot of eight boards on disk, as a journal of such a node has it: 399 to 575 bytes.
SLOT_BYTES = 600
Held = dict[str, tuple[Holder, ...]]


class Node:
    """The journal of a node of eight boards, by the bytes of its lines; what waits is tried again every second."""

    def __init__(self) -> None:
        self.thrift = Thrift()
        self.held: Held = {}
        self.bytes = self.waited = 0

    def run(self, uid: int, name: str, text: str, at_ns: int) -> bool:
        """A new run, whose end is written, too; whether it was taken."""
        facts = RunFacts(uid, name, "mallory", "announced", BEGAN_UTC_NS, BEGAN_UTC_NS, text, {"project": text})
        if not self.thrift.may_write(facts, True, self.held, at_ns):
            return False
        self.bytes += len(encode(RunSeen(BEGAN_UTC_NS, facts))) + len(encode(RunEnded(BEGAN_UTC_NS, facts.key, "ok")))
        return True

    def hold(self, wanted: Held, at_ns: int, is_free: bool = False) -> None:
        """Others hold the devices; an end is paid for when the run begins."""
        now = wanted if is_free else dict(self.thrift.changed(wanted, self.held, 8, at_ns))
        if now != self.held:
            self.bytes += len(encode(Holders(BEGAN_UTC_NS, now))) + SLOT_BYTES
        self.waited += now != wanted
        self.held = now


def everywhere(holders: Sequence[Holder]) -> Held:
    return {board: tuple(holders) for board in BOARDS} if holders else {}


def announce_and_end(node: Node, at_ns: int) -> None:
    """As fast as one may greet, with all eight boards and long words."""
    name = f"z{at_ns // SECOND}"
    if node.run(9, name, "n" * 128, at_ns):
        node.hold(everywhere([Holder(9, name, "mallory", "announced")]), at_ns)
        node.hold({}, at_ns, is_free=True)


def change_phases(node: Node, at_ns: int) -> None:
    """Sixty-four runs on all eight boards, all in another phase every second."""
    phase = str(at_ns // SECOND % 8)
    node.hold(everywhere([Holder(9, f"p{place}", "mallory", "announced", phase) for place in range(64)]), at_ns)


@pytest.mark.parametrize("flood", [announce_and_end, change_phases])
def test_a_users_flood_is_less_than_20_megabytes_a_day(flood: Callable[[Node, int], None]) -> None:
    """By the bytes of the lines of the second of two hours, when nothing is left of what was saved before.

    1.5 MB saved, and 10.5 kB a minute: 16.6 MB a day, and all users together 2 MB and 15.8 MB a day.
    """
    node, before = Node(), 0
    for second in range(2 * 3_600):
        before = node.bytes if second == 3_600 else before
        flood(node, second * SECOND)
    assert 0 < before < OF_A_USER.most + 60 * MINUTE // OF_A_USER.every_ns
    assert OF_A_USER.most + (node.bytes - before) * 24 < 20_000_000
    assert OF_A_NODE.most + DAY // OF_A_NODE.every_ns < 20_000_000


def test_many_users_are_one_flood() -> None:
    """Twenty who change their phases all the time make no more lines than all of them may."""
    node = Node()
    for second in range(3_600):
        phase = str(second % 8)
        node.hold(everywhere([Holder(uid, "r", "u", "announced", phase) for uid in range(20)]), second * SECOND)
    assert node.bytes < OF_A_NODE.most + 60 * MINUTE // OF_A_NODE.every_ns + 20_000


def test_eight_runs_that_change_their_phase_each_minute_do_not_wait() -> None:
    """For two hours, each on a board of its own, and at seconds of their own."""
    node = Node()
    phases = [0] * 8
    for second in range(2 * 3_600):
        place = second % 60 // 7
        if second % 60 % 7 == 0 and place < 8:
            phases[place] += 1
        runs = [Holder(1_000, f"r{n}", "maya", "announced", f"phase {phase % 5}") for n, phase in enumerate(phases)]
        node.hold({board: (run,) for board, run in zip(BOARDS, runs, strict=True)}, second * SECOND)
    assert node.waited == 0


def test_a_new_run_every_five_seconds_does_not_wait() -> None:
    """For a quarter of an hour: 180 runs of one user, one after the other."""
    node = Node()
    for number in range(180):
        at_ns = number * 5 * SECOND
        assert node.run(1_000, f"sweep-{number}", "a sweep over learning rates", at_ns)
        node.hold(everywhere([Holder(1_000, f"sweep-{number}", "maya", "announced")]), at_ns)
        node.hold({}, at_ns + 4 * SECOND, is_free=True)
    assert node.waited == 0


def test_beside_a_flood_others_do_not_wait() -> None:
    """One user changes 64 runs every second for two hours; another's run begins every minute, and is taken at once."""
    node = Node()
    mine: Holder | None = None
    for second in range(2 * 3_600):
        at_ns = second * SECOND
        if second % 60 == 30:
            mine = Holder(1_000, f"r-{second}", "maya", "announced")
            assert node.run(1_000, mine.run, "", at_ns)
        flood = [Holder(9, f"p{place}", "mallory", "announced", str(second % 8)) for place in range(64)]
        node.hold({BOARDS[0]: tuple(flood), BOARDS[1]: (mine,) if mine else ()}, at_ns)
        assert mine is None or node.held[BOARDS[1]] == (mine,)


def test_what_waited_is_taken_as_it_stands_then() -> None:
    """A run that is not written yet is its user's; when there is something left again it has what it holds."""
    with held_node(STEADY) as run:
        run.begin()
        spend_all(run)
        late = Holder(9, "late", "mallory", "announced")
        run.hold([late])
        run.tick()
        assert late.key not in run.snapshot.node.accounts
        assert run.snapshot.refused >= 1
        for _ in range(3):
            run.tick(MINUTE)
        assert run.snapshot.node.accounts[late.key].totals.whole.quantities.nanoseconds > 0


def test_who_ended_makes_room_on_a_full_node() -> None:
    """A thousand accounts, of which 250 ended of one user: another's run has an account all the same."""
    crowd = [Holder(uid, f"r-{place}", "u", "announced") for uid in range(20, 35) for place in range(50)]
    ended = [Holder(9, f"e-{place}", "mallory", "announced") for place in range(250)]
    with held_node(STEADY) as run:
        run.begin()
        run.hold([], runs=[*crowd, *ended])
        for each in ended:
            run.gone(each)
        run.tick()
        assert len(run.snapshot.node.accounts) == 1_000
        mine = Holder(1_000, "mine", "maya", "announced")
        run.hold([mine], runs=[*crowd, mine])
        run.tick()
        run.tick()
        assert run.snapshot.node.accounts[mine.key].totals.whole.quantities.nanoseconds == 2 * SECOND
        assert len(run.snapshot.node.accounts) == 1_000
        assert run.snapshot.refused == 0


def spend_all(run: HeldNode) -> None:
    """One user changes his run's name until nothing of it is written any more."""
    for place in range(3_000):
        told = Holder(9, f"f-{place}", "mallory" * 30, "announced")
        run.hold([told])
        run.gone(told)
        if run.snapshot.refused:
            return


@pytest.mark.parametrize("letter", ["x", "\N{SMILING FACE WITH OPEN MOUTH}", "\\", "\x00"])
def test_one_line_of_a_run_is_not_too_long(letter: str) -> None:
    """Whoever it was that told of it: a line has room for the most that may be announced, and is never longer."""
    longest = letter * LONGEST_TEXT
    labels = {f"{number:02}{longest[2:]}": longest for number in range(MOST_LABELS)}
    usual = RunFacts(1, "r-1", "ann", "announced", BEGAN_UTC_NS, BEGAN_UTC_NS, longest, labels)
    many = {f"{number}{longest}": longest for number in range(9 * MOST_LABELS)}
    texts = [letter * LONGEST_FACTS] * 2
    worst = RunFacts(1, "r-1", texts[0], "kubernetes", BEGAN_UTC_NS, BEGAN_UTC_NS, texts[0], many, texts[1])
    for facts in (usual, worst):
        assert len(encode(RunSeen(BEGAN_UTC_NS, cut_short(facts)))) <= LONGEST_FACTS
    assert cut_short(usual) == usual
    assert cut_short(replace(usual, labels=many)).labels
