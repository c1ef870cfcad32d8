"""What all settings come to: one frozen object. After it is built nobody reads the environment or a file again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from costmeter.meter.activity import IdleRule
from costmeter.meter.budget import Budget
from costmeter.meter.charge import Origin
from costmeter.meter.item import LineItem
from costmeter.rates.book import Book
from costmeter.rates.commitment import Commitment

if TYPE_CHECKING:
    from costmeter.meter.tariff import Tariff

#: `auto` measures where it can, `watts` is a constant, `none` counts no host energy.
HostSource = Literal["auto", "watts", "none"]


@dataclass(frozen=True, slots=True)
class HostPower:
    """How the host's energy is found. `watts` is set exactly when the source is `watts`."""

    source: HostSource = "auto"
    watts: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. The settings of somebody who configured nothing are `Settings()`.

    `timezone` None is the machine's own. `labels` name the run for reports. `tariffs` are the price sheets of the
    electricity, in the order written: empty where its price is not a tariff's. `commitments` are the GPUs paid for a
    term. Both are for bills: no live total is made of them. `budgets_set_in` is where each budget was written.
    """

    currency: str = "USD"
    timezone: tzinfo | None = None
    book: Book = field(default_factory=Book)
    idle: IdleRule = field(default_factory=IdleRule)
    host: HostPower = field(default_factory=HostPower)
    labels: Mapping[str, str] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    tariffs: "tuple[Tariff, ...]" = ()
    commitments: tuple[Commitment, ...] = ()
    items: tuple[LineItem, ...] = ()
    budgets_set_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it came out: its dotted name, its value as text, and where it was written."""

    value: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each of them came from, and the faults that were found and worked around.

    `effective` has every setting by dotted name, those nobody set as well: their origin's word is `built-in`.
    """

    settings: Settings
    effective: Mapping[str, Effective]
    faults: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where every setting came from, by dotted name."""
        return {name: setting.origin for name, setting in self.effective.items()}
