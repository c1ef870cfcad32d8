"""What each device is booked of the host: the node's host energy divided by its GPUs, and by slices within a board."""

from dataclasses import replace

from costmeter.meter.host import HostAccount, advance, microjoules_at
from costmeter.meter.interval import Interval
from costmeter.readings import Device, HostReading
from costmeter.units import microjoules_from_power, portion


class HostShare:
    """The host's energy as a constant power from the run's start, or as its counters say. Shares telescope in time."""

    def __init__(self, start_ns: int, watts: float) -> None:
        self._start_ns, self._watts = start_ns, watts
        self._account = HostAccount()
        self._booked_uj: dict[str, int] = {}
        self.node_gpus = 0

    def read(self, reading: HostReading) -> None:
        """Take what the host's counters say."""
        self._account = advance(self._account, reading)

    def shared(self, interval: Interval, device: Device) -> Interval:
        """The interval with its device's share of what the host used meanwhile.

        Counters that are read cover the CPU; where the device's own counter does so already, it has none on top.
        """
        if not self.node_gpus:
            return interval
        if self._watts:
            before_uj, after_uj = self._constant(interval.start_ns, device), self._constant(interval.end_ns, device)
        elif self._account.answers and device.scope == "gpu":
            booked_uj = self._booked_uj.get(device.uuid)
            before_uj = self._counted(interval.start_ns, device) if booked_uj is None else booked_uj
            after_uj = self._booked_uj[device.uuid] = self._counted(interval.end_ns, device)
        else:
            return interval
        return replace(interval, host_microjoules=after_uj - before_uj)

    def _constant(self, at_ns: int, device: Device) -> int:
        """Energy of the device's share of a constant power since the run's start, so that cutting changes no sum."""
        part, whole = _slices(device)
        return microjoules_from_power(self._watts * part / (whole * self.node_gpus), at_ns - self._start_ns)

    def _counted(self, at_ns: int, device: Device) -> int:
        part, whole = _slices(device)
        return portion(microjoules_at(self._account, at_ns), part, whole * self.node_gpus)


def _slices(device: Device) -> tuple[int, int]:
    return (1, 1) if device.mig is None else (device.mig.end_slice - device.mig.first_slice, device.mig.slices)
