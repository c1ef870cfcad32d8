"""What is wrong with a board that answers: values it refuses for a while, and power readings that do not move.

Its energy has an account of its own, which tells what is wrong with the counter. Here is what only a row of readings
shows, so that a receipt can say why time is `unknown`, or what energy by power is worth.
"""

from dataclasses import dataclass, field

from costmeter.meter.account import Entry
from costmeter.readings import NOT_ASKED, Device, Missing, Reading, how_found
from costmeter.units import NANOSECONDS_PER_SECOND

#: A value that was refused so often in a row is worth a word; one refusal passes.
REFUSALS = 4
#: Power that stays the same to the milliwatt for so long, while utilization goes up and down by so much, is stuck.
STUCK_AFTER_NS, STUCK_SWING = 10 * NANOSECONDS_PER_SECOND, 0.3


@dataclass(slots=True)
class Ailments:
    """What ails one board. `see` takes its readings in order and says what is new, in words."""

    _refused: dict[str, int] = field(default_factory=dict)
    _has_power: bool = False
    _power_watts: float = -1.0
    _stands_since_ns: int = 0
    _lowest: float = 1.0
    _highest: float = 0.0
    _is_stuck: bool = False

    def see(self, reading: Reading, entry: Entry, device: Device) -> tuple[str, ...]:
        """What this reading shows for the first time: each ailment once, until it has passed and comes back."""
        power, utilization = reading.power_watts, reading.utilization_ratio
        if not (isinstance(power, Missing) or isinstance(utilization, Missing)):
            self._refused.clear()
            return self._standstill(reading.at_ns, power, utilization, entry)
        how = "" if entry.method == "counter" else f"; {how_found(entry.method)}"
        told = []
        if device.mig is None:  # of an instance nobody ever tells it
            told.append(self._refusal("utilization", utilization, "; busy or idle is not known"))
        if power != NOT_ASKED and (self._has_power or not isinstance(power, Missing)):
            self._has_power = True
            told.append(self._refusal("power", power, how))
        return tuple(text for text in told if text)

    def _refusal(self, name: str, value: float | Missing, consequence: str) -> str:
        if not isinstance(value, Missing):
            self._refused.pop(name, None)
            return ""
        self._refused[name] = times = self._refused.get(name, 0) + 1
        return f"{name} cannot be read ({value.reason}){consequence}" if times == REFUSALS else ""

    def _standstill(self, at_ns: int, power_watts: float, utilization: float, entry: Entry) -> tuple[str, ...]:
        self._has_power = True
        if power_watts != self._power_watts:
            self._power_watts, self._stands_since_ns, self._is_stuck = power_watts, at_ns, False
            self._lowest = self._highest = utilization
            return ()
        self._lowest, self._highest = min(self._lowest, utilization), max(self._highest, utilization)
        is_stuck = self._highest - self._lowest >= STUCK_SWING and at_ns - self._stands_since_ns >= STUCK_AFTER_NS
        if self._is_stuck or not is_stuck:
            return ()
        self._is_stuck = True
        how = "" if entry.method == "counter" else f"; {how_found(entry.method)}"
        return (f"power readings stand still while utilization changes{how}",)
