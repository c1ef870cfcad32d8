"""What the runs of a node are called on its pages: by their id, with the user's number behind it where that is taken.

Two runs must not share a series, and a series must not pass from one run to another: so what a run is called once it is
called for as long as it is known, by the journal also after a restart.
"""

from collections.abc import Collection, Mapping

from costmeter.ledger.node.record import RunAccount
from costmeter.meter.holder import RunKey, of_user


class RunCalls:
    """The names of runs that have no account yet; who has one says in it what it is called."""

    def __init__(self) -> None:
        self._called: dict[RunKey, str] = {}

    def called(self, key: RunKey, accounts: Mapping[RunKey, RunAccount]) -> str:
        """What a run is called; nothing where that is its id."""
        if key in accounts:
            return accounts[key].called
        if key not in self._called:
            uid, name = key
            while self._is_taken(name, key, accounts):
                name = of_user((uid, name))
            self._called[key] = "" if name == key[1] else name
        return self._called[key]

    def keep(self, known: Collection[RunKey]) -> None:
        """Forget all others."""
        self._called = {key: name for key, name in self._called.items() if key in known}

    def _is_taken(self, name: str, key: RunKey, accounts: Mapping[RunKey, RunAccount]) -> bool:
        waiting = ((other, called or other[1]) for other, called in self._called.items() if other not in accounts)
        by_account = any(account.name == name for account in accounts.values())
        return by_account or any(called == name and other != key for other, called in waiting)
