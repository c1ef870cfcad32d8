"""Which runs there is room for, where others had to end first: one user's many runs leave the others theirs.

Pure: keys in, keys out.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping

from costmeter.meter.holder import RunKey

#: So many runs are remembered of a node, and of one user, those that ended a short while ago included.
MOST_RUNS, REMEMBERED_OF_A_USER = 1_000, 250


def room(
    new: Iterable[RunKey], live: Collection[RunKey], ended: Collection[RunKey]
) -> tuple[frozenset[RunKey], frozenset[RunKey]]:
    """Which of these new runs come in, and which of those that ended are forgotten for them, the first named first.

    A user who has many already makes room himself; on a full node it is he who has the most. Who lives stays.
    """
    of_user = Counter(uid for uid, _ in (*live, *ended))
    leaving: dict[int, deque[RunKey]] = {}
    for key in ended:
        leaving.setdefault(key[0], deque()).append(key)
    places = MOST_RUNS - len(live) - len(ended)
    admitted: set[RunKey] = set()
    forgotten: set[RunKey] = set()
    for key in new:
        while (leaver := _who_makes_room(key[0], places, of_user, leaving)) is not None:
            forgotten.add(leaving[leaver].popleft())
            if not leaving[leaver]:
                del leaving[leaver]
            of_user[leaver] -= 1
            places += 1
        if places > 0:
            admitted.add(key)
            of_user[key[0]] += 1
            places -= 1
    return frozenset(admitted), frozenset(forgotten)


def _who_makes_room(
    uid: int, places: int, of_user: Mapping[int, int], leaving: Mapping[int, deque[RunKey]]
) -> int | None:
    """Of whose runs that ended one is forgotten for a new one of this user; None where none has to be, or can be."""
    if of_user[uid] >= REMEMBERED_OF_A_USER and uid in leaving:
        return uid
    return None if places > 0 else max(leaving, key=lambda each: of_user[each], default=None)
