"""Which devices the driver lists, and in which order: it changes when the driver is loaded again."""

from costmeter.sources.simulated.scenario import Scenario


def listed(scenario: Scenario, at_ns: int) -> tuple[int, ...]:
    """The devices that a session opened at an instant knows for its whole life, by their place in the scenario.

    A reload without `then_devices` leaves the list as it was.
    """
    order: tuple[int, ...] = tuple(range(len(scenario.gpus)))
    for fault in sorted(scenario.node_faults, key=lambda fault: fault.end_ns):
        if fault.then_devices is not None and fault.end_ns <= at_ns:
            order = fault.then_devices
    return tuple(index for index in order if scenario.gpus[index].absent_until_ns <= at_ns)
