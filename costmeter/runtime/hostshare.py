"""What each device is booked of the host: the node's host energy divided by its GPUs, and by slices within a board."""

from dataclasses import replace

from costmeter.meter.account import LONGEST_HEAD_NS
from costmeter.meter.host import HostAccount, advance, microjoules_at
from costmeter.meter.interval import Interval
from costmeter.readings import Device, HostReading, Missing
from costmeter.units import microjoules_from_power, portion


class HostShare:
    """The host's energy as a constant power from the run's start, or as its counters say. Shares telescope in time.

    What the host used from the start to the first reading of its counters is estimated from the first two, and booked
    with the second.
    """

    def __init__(self, start_ns: int, watts: float) -> None:
        self._start_ns, self._watts = start_ns, watts
        self._account = HostAccount()
        self._first_ns = self._head_uj = 0
        self._booked: dict[str, tuple[int, int, int]] = {}
        self._said: set[str] = set()
        self.node_gpus = 0

    def draw(self, watts: float) -> None:
        """Take another constant power for what is booked from now on."""
        self._watts = watts

    def read(self, said: HostReading | Missing) -> tuple[str, ...]:
        """Take what the host's counters say. What is wrong with them, in words, each time it begins."""
        before = self._account
        if isinstance(said, HostReading):
            self._account = advance(before, said)
            if not before.answers:
                self._first_ns = said.at_ns
            elif before.at_ns == self._first_ns:
                self._head_uj = self._head()
        wrong = _wrong(said, before, self._account)
        told = tuple(text for text in wrong if text not in self._said)
        self._said = set(wrong)
        return told

    def shared(self, interval: Interval, device: Device) -> Interval:
        """The interval with its device's share of what the host used meanwhile.

        Counters that are read cover the CPU; where the device's own counter does so already, it has none on top.
        """
        if not self.node_gpus:
            return interval
        if self._watts:
            share_uj = self._constant(interval.end_ns, device) - self._constant(interval.start_ns, device)
        elif self._account.answers and device.scope == "gpu":
            share_uj = self._counted(interval, device)
        else:
            return interval
        return replace(interval, host_microjoules=share_uj)

    def _head(self) -> int:
        head_ns, account = self._first_ns - self._start_ns, self._account
        return (
            portion(account.microjoules, head_ns, account.at_ns - self._first_ns) if head_ns <= LONGEST_HEAD_NS else 0
        )

    def _constant(self, at_ns: int, device: Device) -> int:
        """Energy of the device's share of a constant power since the run's start, so that cutting changes no sum."""
        part, whole = _slices(device)
        return microjoules_from_power(self._watts * part / (whole * self.node_gpus), at_ns - self._start_ns)

    def _counted(self, interval: Interval, device: Device) -> int:
        """The device's share of what was counted since it was last booked. What a share leaves over goes to the next.

        A node that turns out to have more GPUs divides what comes by them all, and takes nothing back.
        """
        part, whole = _slices(device)
        denominator = whole * self.node_gpus
        upto_uj = self._upto(interval.end_ns)
        before_uj, left, of = self._booked.get(device.uuid) or (self._upto(interval.start_ns), 0, denominator)
        share_uj, left = divmod((upto_uj - before_uj) * part + (left if of == denominator else 0), denominator)
        self._booked[device.uuid] = upto_uj, left, denominator
        return share_uj

    def _upto(self, at_ns: int) -> int:
        return self._head_uj + microjoules_at(self._account, at_ns)


def _wrong(said: HostReading | Missing, before: HostAccount, now: HostAccount) -> list[str]:
    if isinstance(said, Missing):
        return [f"host energy is not counted: {said.reason}"]
    answering = {zone.name for zone in said.zones}
    silent = [name for name in now.answers if name not in answering]
    wrong = [f"host energy lacks {', '.join(silent)}, which does not answer"] if silent else []
    if now.dropped > before.dropped:
        wrong.append("a host counter moved by more than a host can draw; not counted")
    if now.understated > before.understated:
        wrong.append("host counters were unread for longer than they can be followed; the least they prove is counted")
    return wrong


def _slices(device: Device) -> tuple[int, int]:
    return (1, 1) if device.mig is None else (device.mig.width, device.mig.slices)
