"""Which runs there is room for, and which of those that ended go for them."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.meter.holder import RunKey
from costmeter.runtime.agent.room import MOST_RUNS, REMEMBERED_OF_A_USER, room

ALICE, BOB, CAROL = 1, 2, 3


def runs(uid: int, count: int, prefix: str = "r") -> list[RunKey]:
    return [(uid, f"{prefix}-{number:04}") for number in range(count)]


def test_where_there_are_places_nobody_is_forgotten() -> None:
    """999 are there and one comes."""
    assert (frozenset(runs(BOB, 1)), frozenset()) == room(runs(BOB, 1), runs(ALICE, 240), runs(CAROL, 200))


def test_on_a_full_node_he_who_has_the_most_makes_room() -> None:
    """His run that ended first goes; those that live stay, though their user has more of them."""
    live = [key for uid in range(10, 15) for key in runs(uid, 64)] + runs(ALICE, MOST_RUNS - 320 - 249 - 10)
    ended = [*runs(BOB, 10, "e"), *runs(CAROL, 249, "e")]
    admitted, forgotten = room([(99, "new")], live, ended)

    assert (frozenset({(99, "new")}), frozenset({(CAROL, "e-0000")})) == (admitted, forgotten)


def test_who_has_many_makes_room_himself() -> None:
    """On a node that is empty otherwise, too."""
    admitted, forgotten = room([(ALICE, "new")], runs(ALICE, 50), runs(ALICE, REMEMBERED_OF_A_USER - 50, "e"))
    assert (frozenset({(ALICE, "new")}), frozenset({(ALICE, "e-0000")})) == (admitted, forgotten)


def test_where_all_live_who_comes_is_refused() -> None:
    """Nothing that lives is forgotten."""
    live = [key for uid in range(20) for key in runs(uid, MOST_RUNS // 20)]
    assert (frozenset(), frozenset()) == room([(99, "new")], live, [])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), max_size=40),
    st.dictionaries(st.integers(0, 5), st.integers(0, 300), max_size=6),
    st.dictionaries(st.integers(0, 5), st.integers(0, 300), max_size=6),
)
def test_memory_is_bounded_and_only_who_ended_goes(
    new: list[tuple[int, int]], live: dict[int, int], ended: dict[int, int]
) -> None:
    """No more are kept than there were or may be; who is refused is so because nobody who ended was left."""
    living = [key for uid, count in live.items() for key in runs(uid, count, "live")]
    over = [key for uid, count in ended.items() for key in runs(uid, count, "over")]
    coming = list(dict.fromkeys((uid, f"new-{number}") for uid, number in new))
    admitted, forgotten = room(coming, living, over)

    assert forgotten <= set(over)
    assert admitted <= set(coming)
    assert len(living) + len(over) + len(admitted) - len(forgotten) <= max(MOST_RUNS, len(living) + len(over))
    assert len(admitted) == len(coming) or len(forgotten) == len(over)
