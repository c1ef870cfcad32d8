"""What an agent's log says of the node, each thing once: what is metered, at which price, and what does not answer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from costmeter.ledger.node.query import NodePart
from costmeter.outputs.start import start_line
from costmeter.rates.book import Book
from costmeter.runtime.agent.events import NodeEvent
from costmeter.runtime.events import Opened, OpenFailed
from costmeter.runtime.pricewarnings import price_warnings


class AgentTeller:
    """Tells it by `say` and `warn`; the journal is in `folder`."""

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None], folder: Path) -> None:
        self._say, self._warn, self._folder = say, warn, folder
        self._refusal = self._told = ""

    def see(self, event: NodeEvent, part: NodePart, book: Book, refusal: str) -> None:
        """Take one event as it has been recorded, and why the disk refuses the journal, if it does."""
        if isinstance(event, OpenFailed):
            self._warn(f"{event.error.message}. It is looked for again. Check: costmeter doctor")
        if isinstance(event, Opened):
            self._announce(part, book)
        if bool(refusal) != bool(self._refusal):
            told = f"the journal is not being saved: {refusal}; saving resumes when it can"
            self._warn(told if refusal else "the journal is being saved again")
        self._refusal = refusal

    def _announce(self, part: NodePart, book: Book) -> None:
        devices, rates = tuple(part.devices.values()), part.rates
        if rates is None:
            told = "no GPU to meter; they are looked for again"
        else:
            told = start_line(part.header.host, devices, rates, part.header.simulated)
            if told != self._told:
                for warning in price_warnings(book, devices, rates):
                    fix = warning.fix.removeprefix("--price P, or ")  # an agent has no such option
                    self._warn(str(replace(warning, fix=fix)))
        if told != self._told:
            self._say(f"{told}; journal: {self._folder}")
        self._told = told
