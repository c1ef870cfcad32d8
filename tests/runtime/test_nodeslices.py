"""A node's divided boards: what no MIG instance has is counted too, whatever comes and goes."""

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from costmeter.ledger.node.query import NodePart
from costmeter.ledger.node.record import Opening
from costmeter.ledger.record import SlotEntry
from costmeter.ledger.resume import earlier
from costmeter.meter.division import UNALLOCATED
from costmeter.readings import Device
from costmeter.runtime.events import Opened
from tests.runtime.heldnode import MAYA_1, HeldNode, held_node
from tests.runtime.metered import SECOND
from tests.runtime.test_recorder import TWO_GPUS, owned_book

BOARD = """
seed: 3
devices:
  - name: NVIDIA H100 80GB HBM3
    power_limit: 700 W
    idle_power: 70 W
    memory: 80 GiB
    energy_counter: {start: 5 J}
    load: [{shape: constant, power: 140 W}]
    architecture: ampere
"""
DIVIDED = BOARD + "    mig: [{profile: 1g.10gb}, {profile: 2g.20gb}]\n"
ONE = BOARD + "    mig: [{profile: 1g.10gb}]\n"


def whole(run: HeldNode) -> tuple[int, Decimal]:
    """Energy and cost of all devices by the latest snapshot."""
    found = run.snapshot.node.totals.whole
    return found.quantities.microjoules, found.cost


def rest(run: HeldNode) -> list[Device]:
    """The devices that stand for slices which no instance has, of the latest snapshot."""
    return [device for device in run.snapshot.part.devices.values() if device.name.endswith(UNALLOCATED)]


def test_slices_that_no_instance_has_are_a_device_that_nobody_holds() -> None:
    """By hand: of a board, one slice of seven is a run's and six are nobody's: together they are the board.

    At 140 W it draws 8,400 J a minute, 1,200 of them the run's; $35,040 over four years of 8,760 h are $1 an hour.
    """
    with held_node(ONE, owned_book()) as run, held_node(BOARD, owned_book()) as undivided:
        for each in (run, undivided):
            each.begin()
            each.hold([MAYA_1])
            each.tick(60 * SECOND)
        (free,) = rest(run)
        assert free.mig is not None
        assert (6, 7, f"{free.board}/rest-1-7") == (free.mig.width, free.mig.slices, free.uuid)
        held, unheld = run.snapshot.node.held.whole, run.snapshot.node.unheld.whole
        assert (1_200, 7_200) == tuple(round(each.quantities.microjoules / 1e6) for each in (held, unheld))
        assert [free.uuid] == list(run.snapshot.node.unheld.devices)
        assert whole(run)[0] == whole(undivided)[0]
        assert abs(whole(run)[1] - whole(undivided)[1]) < Decimal("1e-9")


def test_a_board_that_is_not_divided_has_no_rest() -> None:
    """Its devices are as the driver lists them."""
    with held_node(TWO_GPUS) as run:
        run.begin()
        assert [] == rest(run)


DIVISIONS = st.lists(st.tuples(st.sampled_from([(), (0,), (1,), (0, 1)]), st.integers(1, 90)), min_size=1, max_size=6)


def _lengths_ns(part: NodePart, opened: Opening) -> Mapping[str, int]:
    before = (opened.held + opened.unheld).devices
    return {
        uuid: each.quantities.nanoseconds - (before[uuid].quantities.nanoseconds if uuid in before else 0)
        for uuid, each in part.totals.devices.items()
    }


@settings(max_examples=40, deadline=None)
@given(DIVISIONS)
def test_instances_may_come_and_go(divisions: list[tuple[tuple[int, ...], int]]) -> None:
    """However a board is divided anew while the agent runs, and back again, its parts are the board.

    And whoever goes on from the journal, at any tick, goes on from where the board was booked up to.
    """
    with held_node(DIVIDED) as run, held_node(BOARD) as undivided:
        for each in (run, undivided):
            each.begin()
        boards = {device.board for device in run.devices}
        for places, seconds in divisions:
            listed = tuple(run.devices[place] for place in places) or run.devices
            run.recorder.handle(Opened(listed, 1, run.source.facts()))
            for each in (run, undivided):
                each.tick(seconds * SECOND)
            assert whole(run)[0] == whole(undivided)[0]
            part = run.snapshot.node
            (opened,) = [record for record in run.files[-1] if isinstance(record, Opening)]
            left = earlier(part, _lengths_ns(part, opened), run.clock.boottime_ns())
            assert dict.fromkeys(boards, run.clock.boottime_ns()) == {
                board: resume.booked_ns for board, resume in left.boards.items()
            }
            assert all(resume.standing is not None for resume in left.boards.values())
        assert any(isinstance(record, SlotEntry) for record in run.files[-1]) or sum(s for _, s in divisions) < 61
