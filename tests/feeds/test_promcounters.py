"""What a counter came to: falls, gaps, and several addresses of one counter."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.feeds.promapi import Stretch
from costmeter.feeds.promcounters import Counter

VALUES = st.lists(st.integers(0, 1_000).map(Decimal), max_size=20)


def stretch(*values: int | Decimal, first: int = 0, step: int = 1, address: str = "a") -> Stretch:
    """One sample every `step` seconds."""
    return Stretch({"instance": address}, [(Decimal(first + step * at), Decimal(v)) for at, v in enumerate(values)])


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        pytest.param((0, 3, 7), 7, id="rises"),
        pytest.param((0, 5, 0, 3), 8, id="began-again-at-zero"),
        pytest.param((0, 5, 2, 3), 8, id="fell-and-had-grown-before-it-was-seen"),
        pytest.param((5, 1, 1, 2, 0), 7, id="twice"),
        pytest.param((4,), 4, id="seen-once"),
        pytest.param((), 0, id="never-seen"),
    ],
)
@pytest.mark.parametrize("step", [1, 3_600])
def test_what_was_counted_before_a_fall_is_kept(values: tuple[int, ...], grown: int, step: int) -> None:
    """A counter that falls began again at zero: 0, 5, 0, 3 counted eight; hours of silence between change nothing."""
    assert Decimal(grown) == Counter().grow([stretch(*values, step=step)])


@given(VALUES, st.integers(0, 20), st.sampled_from([1, 3_600]))
def test_days_add_up_to_the_whole(values: list[Decimal], cut: int, step: int) -> None:
    """Cut anywhere, both parts together are what one look sees."""
    days = Counter()
    first, rest = stretch(*values[:cut], step=step), stretch(*values[cut:], first=step * cut, step=step)
    assert Counter().grow([stretch(*values, step=step)]) == days.grow([first]) + days.grow([rest])


@pytest.mark.parametrize(
    ("stretches", "grown"),
    [
        pytest.param([stretch(0, 4, 9), stretch(0, 4, 8, address="b")], 9, id="at-once"),
        pytest.param([stretch(0, 4), stretch(5, 9, first=10, address="b")], 9, id="went-on"),
        pytest.param([stretch(0, 4), stretch(0, 9, first=10, address="b")], 13, id="began-again"),
        # 0 to 100, a fall, to 50 by the first; the second sees 25 of these 50 too, and goes on to 150.
        pytest.param(
            [stretch(0, 100, 10, 50, step=300), stretch(25, 50, 150, first=700, step=300, address="b")],
            250,
            id="overlap-in-part",
        ),
        # The second is scraped a moment later, and shows what was a moment before.
        pytest.param([stretch(0, 50, 100), stretch(49, 99, 99, 101, first=1, address="b")], 101, id="a-moment-behind"),
        pytest.param([stretch(0, 50, 100), stretch(49, 99, 5, first=1, address="b")], 105, id="behind-and-fell"),
        # Moved to another address, and back hours later.
        pytest.param(
            [
                Stretch({"instance": "a"}, [*stretch(0, 10).points, *stretch(20, 30, first=9_000).points]),
                stretch(10, 20, 3, first=4_000, address="b"),
            ],
            50,
            id="there-and-back",
        ),
    ],
)
def test_one_counter_under_several_addresses_counts_once(stretches: list[Stretch], grown: int) -> None:
    """The first tells it until it ends, the others what came after; whatever order they come in."""
    assert [grown] * 2 == [Counter().grow(stretches), Counter().grow(stretches[::-1])]


def test_an_address_that_is_behind_at_midnight_is_no_fall() -> None:
    """Its own last value of yesterday tells that it did not fall."""
    counter = Counter()
    counter.grow([stretch(0, 50, 100), stretch(0, 49, 98, address="b")])
    assert 3 == counter.grow([stretch(99, 102, first=3, address="b"), stretch(101, 103, first=4)])
