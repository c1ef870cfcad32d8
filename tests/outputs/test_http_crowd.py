"""Who may stay when there are too many clients, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmeter.outputs.httpcrowd import Crowd, State
from costmeter.outputs.httpmemory import Tide

MOST = 8


class Guest:
    """A client that notes that it was sent away."""

    def __init__(self) -> None:
        self.has_left = False

    def leave(self) -> None:
        self.has_left = True


def come(crowd: Crowd, peer: str) -> Guest:
    """One more."""
    guest = Guest()
    crowd.add(guest, peer)
    return guest


def test_who_stood_still_longest_makes_room() -> None:
    """Each step on is a reason to stay; whoever waits for us stays while anybody else can go."""
    crowd = Crowd(MOST)
    guests = [come(crowd, f"10.0.0.{number}") for number in range(MOST)]
    crowd.move(guests[0], "waiting")
    crowd.move(guests[1], "busy")
    come(crowd, "10.0.1.1")
    assert [False, False, True, False] == [each.has_left for each in guests[:4]]


def test_where_all_wait_for_us_the_longest_goes() -> None:
    """Nobody is refused because many wait for one page at the same time."""
    crowd = Crowd(MOST)
    guests = [come(crowd, f"10.0.0.{number}") for number in range(MOST)]
    for guest in reversed(guests):
        crowd.move(guest, "busy")
    assert not come(crowd, "10.0.1.1").has_left
    assert [guests[-1]] == [each for each in guests if each.has_left]


@pytest.mark.parametrize(
    "peers",
    [
        pytest.param(["10.0.0.1"], id="one-address"),
        pytest.param([f"2001:db8::{number:x}" for number in range(1, 40)], id="one-network-of-ipv6"),
        pytest.param(["fe80::1%eth0"], id="with-a-zone"),
    ],
)
def test_one_address_has_half_of_the_places(peers: list[str]) -> None:
    """However many come from one address, they push out each other and nobody else."""
    crowd = Crowd(MOST)
    others = [come(crowd, f"10.9.0.{number}") for number in range(MOST // 2)]
    for number in range(40):
        come(crowd, peers[number % len(peers)])
    assert MOST == len(crowd)
    assert not any(each.has_left for each in others)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["come", "busy", "waiting", "gone"])), max_size=60))
def test_there_are_never_too_many(steps: list[tuple[int, str]]) -> None:
    """Whatever clients do, bounds hold, and who left is counted no more."""
    crowd, there = Crowd(MOST), list[tuple[Guest, str]]()
    for number, step in steps:
        peer = f"10.0.0.{number}"
        if step == "come":
            there.append((come(crowd, peer), peer))
        elif there:
            told: dict[str, State] = {"busy": "busy", "waiting": "waiting", "gone": "gone"}
            crowd.move(there[number % len(there)][0], told[step])
            if step == "gone":
                del there[number % len(there)]
        there = [each for each in there if not each[0].has_left]
        assert len(crowd) == len(there) <= MOST
        assert all(sum(each == origin for _, each in there) <= MOST // 2 for _, origin in there)


def test_memory_is_given_back_when_many_have_gone() -> None:
    """Once for each time that there were a hundred or more and less than a tenth is left; few clients are no matter."""
    tide = Tide()
    assert [False] * 4 == [tide.has_gone_out(count) for count in (50, 1, 0, 99)]
    assert [False, False, True, False] == [tide.has_gone_out(count) for count in (200, 20, 19, 0)]
    assert [False, True] == [tide.has_gone_out(count) for count in (100, 9)]
