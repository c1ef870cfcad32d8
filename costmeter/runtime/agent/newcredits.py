"""When credits begin to be shown: a new series stands at 0 for a minute, so that somebody has read its 0."""

from costmeter.outputs.nodesnapshot import AT_ZERO_NS


class NewCredits:
    """Credits on a node's page. Those of the agent before this one `were_shown` on its page."""

    def __init__(self, were_shown: bool) -> None:
        self._were_shown = were_shown
        self._until_ns: int | None = None

    def are_at_zero(self, can_be: bool, now_ns: int) -> bool:
        """Whether they have been on the page for so short a time that nobody may have read their 0 yet.

        `can_be` says whether any price is below 0 now; `now_ns` is CLOCK_BOOTTIME.
        """
        if not can_be or self._were_shown:
            return False
        if self._until_ns is None:
            self._until_ns = now_ns + AT_ZERO_NS
        return now_ns < self._until_ns
