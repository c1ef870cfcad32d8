"""Who metered a run, and how it ended, as far as its hosts tell."""

from decimal import Decimal

import pytest

from costmeter.feeds.promcounters import Whose
from costmeter.feeds.promruns import _Facts, once

A, A_WRAPPER, B = ("", "r", "a", "agent"), ("", "r", "a", "wrapper"), ("", "r", "b", "agent")


def test_a_host_counts_once_by_its_agent() -> None:
    """Another host, and the same host of another cluster, count beside it."""
    elsewhere = ("c2", "r", "a", "wrapper")
    assert {A, B, elsewhere} == {*once([A_WRAPPER, A, B, elsewhere])}


def facts(
    spans: dict[Whose, tuple[int, int | None, int | None]],
    active: frozenset[Whose] = frozenset(),
    users: dict[Whose, str] | None = None,
) -> _Facts:
    """Of hosts that began, ended and exited so."""
    return _Facts(
        {whose: {"user": user} for whose, user in (users or {}).items()},
        {whose: Decimal(start) for whose, (start, _, _) in spans.items()},
        {whose: Decimal(end) for whose, (_, end, _) in spans.items() if end is not None},
        {whose: Decimal(code) for whose, (_, _, code) in spans.items() if code is not None},
        active,
        frozenset(),
    )


@pytest.mark.parametrize(
    ("spans", "end", "code"),
    [
        pytest.param({A: (0, 100, 1), B: (0, 110, 143)}, 110, 143, id="ended-together"),
        pytest.param({A: (0, 100, 1), B: (5000, 9000, 0)}, 9000, 0, id="failed-moved-and-finished"),
        pytest.param({A: (0, 100, 1), B: (101, 120, 0)}, 120, 0, id="moved-at-once"),
        pytest.param({A: (0, 9000, 0), B: (0, 100, 1)}, 9000, 0, id="went-on-without-one"),
        pytest.param({A: (0, 100, 1), B: (5000, None, None)}, None, None, id="moved-and-vanished"),
        pytest.param({A: (0, 100, None), A_WRAPPER: (0, 100, 7)}, 100, 7, id="the-wrapper-knows"),
        pytest.param({A: (0, None, 3)}, None, 3, id="no-end-told"),
        pytest.param({A: (0, None, None)}, None, None, id="nothing-told"),
    ],
)
def test_a_run_ended_as_the_hosts_did_that_ended_last(
    spans: dict[Whose, tuple[int, int | None, int | None]], end: int | None, code: int | None
) -> None:
    """The worst of those; a host that was left before does not count, and one that goes on ends nothing."""
    assert (end, code) == facts(spans).end([*spans])
    assert (None, None) == facts(spans, frozenset([A])).end([*spans])


def test_the_user_of_a_host_is_whom_its_agent_names() -> None:
    """Else its wrapper; else the only user there is, of two users nobody."""
    other = ("", "r", "c", "agent")
    one = facts({}, users={A: "maya", A_WRAPPER: "root"})
    assert "maya" == one.users([A])[A[:3]]
    assert "lee" == facts({}, users={A: "lee"}).users([A, other])[other[:3]]
    assert "" == facts({}, users={A: "lee", B: "maya"}).users([A, B, other])[other[:3]]
