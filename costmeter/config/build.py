"""Values made into settings: the one place where dotted names become typed objects, and are checked together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from decimal import Decimal

from costmeter.config.budgets import budgets
from costmeter.config.parse import Value, Values
from costmeter.config.schedules import Schedules, origin
from costmeter.config.settings import HostPower, Settings
from costmeter.config.values import Item
from costmeter.config.yamlfile import Fault
from costmeter.meter.activity import IdleRule
from costmeter.meter.budget import Budget
from costmeter.meter.charge import Origin
from costmeter.meter.item import LineItem
from costmeter.meter.schedule import Constant
from costmeter.rates.book import Book, GpuPlan, Owned, Sourced
from costmeter.rates.commitment import Commitment
from costmeter.rates.match import Match
from costmeter.rates.prices import WORLD_SCOPE

_COMMITMENT = "gpu.commitment."


@dataclass(frozen=True, slots=True)
class Merged:
    """All layers as one. `blocks` are the GPU blocks in force; `values` under `gpu.` hold for every GPU, above them.

    `budgets` are those in force, and `values` under `budget.` hold for every one of them.
    """

    values: Values
    blocks: tuple[Values, ...] = ()
    budgets: tuple[Values, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The settings, and the faults that only show when values stand side by side or files are read.

    `named_by` has the sources that name each file with faults.
    """

    settings: Settings
    faults: tuple[Fault, ...]
    named_by: Mapping[str, set[str]]


def build(merged: Merged, cwd: str = "") -> Built:
    """The settings; what is faulty is left out. Relative sources, and the files they name, begin at `cwd`."""
    values = merged.values
    zone = values["timezone"].item if "timezone" in values else None
    currency = _text(values, "currency") or Settings().currency
    schedules = Schedules(currency, zone if isinstance(zone, tzinfo) else None, cwd)
    settings = _Builder(merged, schedules).settings()
    return Built(settings, tuple(schedules.faults), schedules.named_by)


@dataclass(slots=True)
class _Builder:
    merged: Merged
    schedules: Schedules

    def settings(self) -> Settings:
        values = self.merged.values
        labels = {name[len("labels.") :]: value.text for name, value in values.items() if name.startswith("labels.")}
        idle = IdleRule()
        in_force, set_in = self._budgets()
        return Settings(
            self.schedules.currency,
            self.schedules.zone,
            self._book(),
            IdleRule(
                float(_number(values, "idle.utilization_below", Decimal(str(idle.utilization_below)))),
                float(_number(values, "idle.spin_power_below", Decimal(str(idle.spin_power_below)))),
            ),
            self._host(),
            labels,
            in_force,
            self.schedules.tariffs,
            tuple(self._commitments()),
            self._items(),
            set_in,
        )

    def _book(self) -> Book:
        values, default, sourced = self.merged.values, Book(), self.schedules.sourced
        plans = tuple(self._plans())
        electricity = sourced(values.get("electricity.price"), "electricity.price")
        return Book(
            self.schedules.currency,
            plans,
            electricity,
            sourced(values.get("electricity.pue"), "electricity.pue") or default.pue,
            sourced(values.get("carbon.intensity"), "carbon.intensity") or default.carbon,
            self._sourced_or_none(values.get("carbon.embodied"), "carbon.embodied"),
            _host_origin(values.get("host.power")) or default.host,
            self._market(),
        )

    def _market(self) -> Sourced | None:
        """The market-based factor, unless it counts other emissions than the grid's: the two are shown side by side."""
        value = self.merged.values.get("carbon.market")
        market = self.schedules.sourced(value, "carbon.market")
        is_default = "carbon.intensity" not in self.merged.values
        grid = WORLD_SCOPE if is_default else self.schedules.scopes.get("carbon.intensity", "")
        own = self.schedules.scopes.get("carbon.market", "")
        if value is None or market is None or (grid and grid == own):
            return market
        if not grid or not own:
            unsaid = "carbon.market" if not own else "carbon.intensity"
            said = f"{market.origin.detail}; {unsaid} does not say whether it counts lifecycle or direct emissions"
            return replace(market, origin=Origin(market.origin.word, said))
        what = f"counts {own} emissions, carbon.intensity {grid} ones: they cannot stand side by side"
        self._fault(value, f"carbon.market: {what}; set both of one scope")
        return None

    def _plans(self) -> list[GpuPlan]:
        """One plan per block; settings for every GPU go over each of them, and over the GPUs that no block fits."""
        everywhere = {name: value for name, value in self.merged.values.items() if name.startswith("gpu.")}
        plans = [self._plan({**block, **everywhere}) for block in self.merged.blocks]
        rest = self._plan(everywhere)
        return plans if rest.price is None and rest.owned is None else [*plans, rest]

    def _plan(self, values: Values) -> GpuPlan:
        match = _match(values)
        owned = self._owned(values) if _text(values, "gpu.billing") == "owned" else None
        written = (value for name, value in values.items() if name.startswith("gpu.owned.") and value.place.line)
        unused = None if "gpu.billing" in values else next(written, None)
        if unused is not None:
            self._fault(unused, "gpu.owned is set and gpu.billing is not owned, so it is not used; add  billing: owned")
        price = values.get("gpu.price")
        return GpuPlan(match, self.schedules.price(price, "gpu.price"), owned)

    def _owned(self, values: Values) -> Owned | None:
        billing, purchase = values["gpu.billing"], values.get("gpu.owned.purchase")
        if purchase is None:
            self._fault(billing, "gpu.billing: owned needs gpu.owned.purchase; rented until it is there")
            return None
        price = _number(values, "gpu.owned.purchase") + _number(values, "gpu.owned.server_share")
        residual = _number(values, "gpu.owned.residual")
        if residual > price:
            self._fault(
                values["gpu.owned.residual"], f"gpu.owned.residual: {residual} is more than the purchase, {price}"
            )
            residual = price
        default = Owned(price, origin(purchase))
        use = values.get("gpu.owned.expected_use")
        return Owned(
            price,
            origin(purchase),
            residual,
            _number(values, "gpu.owned.life_years", default.life_years),
            _number(values, "gpu.owned.maintenance_per_year"),
            None if use is None else _number(values, "gpu.owned.expected_use"),
        )

    def _commitments(self) -> list[Commitment]:
        """Each is for the GPUs of the block that it stands in; one that stands above the blocks is for every GPU."""
        everywhere = {name: value for name, value in self.merged.values.items() if name.startswith(_COMMITMENT)}
        found: list[Commitment | None] = [] if self.merged.blocks else [self._commitment(everywhere)]
        before: list[Match] = []
        for block in self.merged.blocks:
            own = {name: value for name, value in block.items() if name.startswith(_COMMITMENT)}
            made, match = self._commitment({**own, **everywhere}), _match(block)
            if made is not None and own:
                made = replace(made, match=match, others=tuple(other for other in before if other != match))
            found.append(made)
            before.append(match)
        return list(dict.fromkeys(commitment for commitment in found if commitment is not None))

    def _commitment(self, values: Values) -> Commitment | None:
        if not values:
            return None
        missing = [key for key in ("gpus", "price", "from", "to") if _COMMITMENT + key not in values]
        if missing:
            needs = f"gpu.commitment: needs gpus, price, from and to; missing: {', '.join(missing)}"
            self._fault(next(iter(values.values())), needs)
            return None
        start, end = (_date(values, _COMMITMENT + key) for key in ("from", "to"))
        if start is None or end is None or end <= start:
            self._fault(values[_COMMITMENT + "to"], f"gpu.commitment.to: {end} is not after {start}")
            return None
        gpus, price, upfront = (_number(values, _COMMITMENT + key) for key in ("gpus", "price", "upfront"))
        return Commitment(int(gpus), price, start, end, upfront, origin(values[_COMMITMENT + "gpus"]))

    def _sourced_or_none(self, value: Value | None, name: str) -> Sourced | None:
        """The word `none` is a constant nothing; `auto` leaves it to the book."""
        if value is not None and value.item == "none":
            return Sourced(Constant(Decimal(0)), origin(value))
        return self.schedules.sourced(value, name)

    def _host(self) -> HostPower:
        value = self.merged.values.get("host.power")
        if value is None or value.item == "auto":
            return HostPower()
        return HostPower("watts", value.item) if isinstance(value.item, Decimal) else HostPower("none")

    def _budgets(self) -> tuple[tuple[Budget, ...], tuple[str, ...]]:
        everywhere = {name: value for name, value in self.merged.values.items() if name.startswith("budget.")}
        return budgets(self.merged.budgets, everywhere, self.schedules.currency, self._fault)

    def _items(self) -> tuple[LineItem, ...]:
        value = self.merged.values.get("items")
        items = value.item if value is not None and isinstance(value.item, tuple) else ()
        return tuple(item for item in items if isinstance(item, LineItem))

    def _fault(self, value: Value, what: str) -> None:
        self.schedules.fault(value, what)


def _host_origin(value: Value | None) -> Origin | None:
    """Configured watts or none are a choice; `auto`, written or not, is what the book says of it."""
    return None if value is None or value.item == "auto" else origin(value)


def _text(values: Mapping[str, Value], name: str) -> str | None:
    value = values.get(name)
    return value.text if value else None


def _number(values: Mapping[str, Value], name: str, default: Decimal = Decimal(0)) -> Decimal:
    value = values.get(name)
    return value.item if value and isinstance(value.item, Decimal) else default


def _date(values: Mapping[str, Value], name: str) -> date | None:
    value = values.get(name)
    return value.item if value and isinstance(value.item, date) else None


def _match(values: Mapping[str, Value]) -> Match:
    item: Item | None = values["gpu.match.index"].item if "gpu.match.index" in values else None
    indexes = item if isinstance(item, frozenset) else None
    return Match(_text(values, "gpu.match.name"), _text(values, "gpu.match.uuid"), indexes)
