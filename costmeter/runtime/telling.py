"""What a person is told of a run that goes on, each thing once: what is metered, and what does not answer."""

from collections.abc import Callable

from costmeter.ledger.query import Part
from costmeter.meter.charge import Rates
from costmeter.outputs.start import start_line
from costmeter.rates.book import Book
from costmeter.runtime.events import Opened, OpenFailed
from costmeter.runtime.pricewarnings import price_warnings
from costmeter.units import NANOSECONDS_PER_SECOND

#: A driver that has not opened after this long is told of.
_OPENING_NS = 10 * NANOSECONDS_PER_SECOND


class Teller:
    """Tells it. `warn` is kept for the receipt, `warn_person` is not: whether it has changed the receipt says."""

    def __init__(
        self, say: Callable[[str], None], warn: Callable[[str], None], warn_person: Callable[[str], None]
    ) -> None:
        self._say, self._warn, self._warn_person = say, warn, warn_person
        self._told_of_driver = self._told_of_disk = self._has_announced = False

    def see_disk(self, refusal: str) -> None:
        """Tell, once, that the journal is not being saved."""
        if refusal and not self._told_of_disk:
            self._told_of_disk = True
            self._warn_person(f"the run is not being recorded: {refusal}; saving resumes when it can")

    def see_driver(self, waited_ns: int, has_opened: bool) -> None:
        """Tell, once, that the driver has not even opened."""
        if waited_ns > _OPENING_NS and not (has_opened or self._told_of_driver):
            self._told_of_driver = True
            self._warn("the NVIDIA driver does not answer; metering goes on when it does. Check: costmeter doctor")

    def announce(self, event: Opened | OpenFailed, part: Part, book: Book, utc_ns: int) -> None:
        """Say what is metered, and at which price; once more where the driver came late."""
        if self._has_announced:
            return
        self._has_announced = isinstance(event, Opened)
        devices = tuple(part.devices.values())
        if isinstance(event, OpenFailed):
            consequence = "Metering time × price only; energy and CO2 will be missing."
            self._warn(f"{event.error.message}. {consequence} Check: costmeter doctor")
        rates = book.at(utc_ns, devices, part.node_gpus)
        for warning in price_warnings(book, devices, rates):
            self._warn(str(warning))
        self._warn_of_electricity(rates)
        self._say(start_line(part.header.run, devices, rates, part.header.simulated))

    def _warn_of_electricity(self, rates: Rates) -> None:
        if rates.origins["electricity.price"].detail.startswith("missing"):
            advice = "Add to costmeter.yaml:  electricity: {price: 0.30}"
            self._warn(f"no electricity price in {rates.currency}, so electricity is not in the cost. {advice}")
