"""What has to be remembered of a held GPU, so that who goes on watching it says what was said before."""

from dataclasses import dataclass

from costmeter.meter.holder import RunKey
from costmeter.meter.idling import IdleSpell


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """What was known of a held device at `seen_ns`. Instants are CLOCK_BOOTTIME, and mean something in one boot only.

    It is held since `since_ns` and was seen to compute nothing since `quiet_from_ns`, whatever it did before
    (`has_computed`). It has spun since `spins_from_ns`, None where it does not, and its holders say what they say since
    `said_from_ns`, None where nobody remembers. `hides_processes`: it computed while none was listed. `spell` None: it
    is not idle. `runs` are those who held it, where that is not said elsewhere.
    """

    seen_ns: int
    since_ns: int
    quiet_from_ns: int
    has_computed: bool = False
    spins_from_ns: int | None = None
    said_from_ns: int | None = None
    hides_processes: bool = False
    spell: IdleSpell | None = None
    runs: frozenset[RunKey] = frozenset()
