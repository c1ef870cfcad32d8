"""How a run's end is called, from the child's fate and the signals that came before it."""

from costmeter.ledger.record import Outcome
from costmeter.runtime.events import Ended

#: INT and TERM, whose numbers are the same on every Linux.
_CANCELS, _PREEMPTS = 2, 15


def outcome(ended: Ended) -> Outcome:
    """INT is a person who cancelled, TERM a preemption.

    A command that ends well after INT was `ok`, as it chose to be. One that ends well after TERM was preempted all the
    same: it saved its work and left, and did not reach its end. What a budget stopped was stopped, however it ended.
    Of a run without a fate, as an imported one, nothing says that it went wrong.
    """
    if ended.stopped:
        return "stopped by budget"
    seen = ended.heard if ended.signal is None else ended.heard | {ended.signal}
    if _PREEMPTS in seen or ended.exit_code == 128 + _PREEMPTS:
        return "preempted"
    if ended.exit_code == 0 or (ended.exit_code is None and not seen):
        return "ok"
    return "cancelled" if _CANCELS in seen or ended.exit_code == 128 + _CANCELS else "failed"
