"""What each may cost the others: saved up to a limit, and never more in all than what comes again."""

from hypothesis import given
from hypothesis import strategies as st

from costmeter.runtime.agent.allowance import Allowance, Savings
from costmeter.units import NANOSECONDS_PER_SECOND as SECOND

EACH, ALL = Allowance(10, SECOND), Allowance(15, SECOND // 2)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8), st.integers(0, 5 * SECOND)), max_size=200))
def test_nobody_spends_more_than_was_saved_and_came_again(asked: list[tuple[int, int, int]]) -> None:
    """Each and all together, but for the one thing with which they ran into debt."""
    savings, now_ns = Savings(EACH, ALL), 0
    spent = dict.fromkeys(range(4), 0)
    for uid, units, after_ns in asked:
        now_ns += after_ns
        if savings.may(uid, now_ns):
            savings.spend((uid,), units, now_ns)
            spent[uid] += units
        assert spent[uid] <= EACH.most + now_ns / EACH.every_ns + 8
        assert sum(spent.values()) <= ALL.most + now_ns / ALL.every_ns + 8


def test_one_who_takes_all_he_can_leaves_others_theirs() -> None:
    """While one asks at every instant, another who asks seldom is never told to wait."""
    savings = Savings(EACH, ALL)
    for tenth in range(1_000):
        now_ns = tenth * SECOND // 10
        while savings.may(1, now_ns):
            savings.spend((1,), 1, now_ns)
        if tenth % 20 == 0:
            assert savings.may(2, now_ns)
            savings.spend((2,), 1, now_ns)


def test_what_was_spent_comes_again() -> None:
    """Ten at once, and one more each second."""
    savings = Savings(EACH)
    savings.spend((1,), 10, 5)
    assert (False, False, True) == tuple(savings.may(1, ns) for ns in (5, 4 + 0 * SECOND, 6))
    savings.spend((1,), 3, 6)
    assert (False, True) == (savings.may(1, 2 * SECOND + 5), savings.may(1, 3 * SECOND + 6))
