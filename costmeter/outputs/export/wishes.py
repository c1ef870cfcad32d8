"""What whoever exports may choose."""

from collections.abc import Sequence
from dataclasses import dataclass

from costmeter import __version__


@dataclass(frozen=True, slots=True)
class Wishes:
    """Choices of an export, all checked already; amounts are in `currency`, as they were typed, "" where none is.

    The empty target, URL or command is the kind's own default.
    """

    currency: str = "USD"
    price: str = ""
    idle_above: str = ""
    unheld_above: str = ""
    held_above: str = ""
    sunk_above: str = ""
    month_budget: str = ""
    targets: Sequence[str] = ()
    prometheus_url: str = ""
    alertmanager_url: str = ""
    grafana_url: str = ""
    runbooks: str = ""
    namespace: str = "costmeter"
    prometheus_namespace: str = "monitoring"
    image: str = f"costmeter:{__version__}"
    command: str = "/opt/costmeter/bin/costmeter"
