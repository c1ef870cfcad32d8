"""Values made into settings: the one place where dotted names become typed objects, and are checked together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.items import Item, PerInstance
from costmeter.config.parse import Value, Values
from costmeter.config.settings import Budget, HostPower, Settings
from costmeter.config.windows import Windows
from costmeter.config.yamlfile import Fault
from costmeter.meter.activity import IdleRule
from costmeter.meter.calendar import Calendar
from costmeter.meter.calendar import Place as LocalPlace
from costmeter.meter.charge import Origin
from costmeter.meter.schedule import Constant
from costmeter.rates.book import Book, GpuPlan, Instance, Owned, Sourced
from costmeter.rates.match import Match


@dataclass(frozen=True, slots=True)
class Merged:
    """All layers as one. `blocks` are the GPU blocks in force; `values` under `gpu.` hold for every GPU, above them."""

    values: Values
    blocks: tuple[Values, ...] = ()


def build(merged: Merged) -> tuple[Settings, tuple[Fault, ...]]:
    """The settings, and the faults that only show when values stand side by side; what is faulty is left out."""
    builder = _Builder(merged)
    settings = builder.settings()
    return settings, tuple(builder.faults)


@dataclass(slots=True)
class _Builder:
    merged: Merged
    faults: list[Fault] = field(default_factory=list)

    def settings(self) -> Settings:
        values = self.merged.values
        labels = {name[len("labels.") :]: value.text for name, value in values.items() if name.startswith("labels.")}
        idle = IdleRule()
        return Settings(
            _text(values, "currency") or "USD",
            self._zone(),
            self._book(),
            IdleRule(
                float(_number(values, "idle.utilization_below", Decimal(str(idle.utilization_below)))),
                float(_number(values, "idle.spin_power_below", Decimal(str(idle.spin_power_below)))),
            ),
            self._host(),
            labels,
            self._budget(),
        )

    def _zone(self) -> tzinfo | None:
        value = self.merged.values.get("timezone")
        return value.item if value and isinstance(value.item, tzinfo) else None

    def _book(self) -> Book:
        values, default = self.merged.values, Book()
        return Book(
            _text(values, "currency") or default.currency,
            tuple(self._plans()),
            self._sourced(values.get("electricity.price"), "electricity.price"),
            self._sourced(values.get("electricity.pue"), "electricity.pue") or default.pue,
            self._sourced(values.get("carbon.intensity"), "carbon.intensity") or default.carbon,
            self._sourced_or_none(values.get("carbon.embodied"), "carbon.embodied"),
            _host_origin(values.get("host.power")) or default.host,
        )

    def _plans(self) -> list[GpuPlan]:
        """One plan per block; settings for every GPU go over each of them, and over the GPUs that no block fits."""
        everywhere = {name: value for name, value in self.merged.values.items() if name.startswith("gpu.")}
        plans = [self._plan({**block, **everywhere}) for block in self.merged.blocks]
        rest = self._plan(everywhere)
        return plans if rest.price is None and rest.owned is None else [*plans, rest]

    def _plan(self, values: Values) -> GpuPlan:
        match = _match(values)
        owned = self._owned(values) if _text(values, "gpu.billing") == "owned" else None
        price = values.get("gpu.price")
        if price is not None and isinstance(price.item, PerInstance):
            instance = Instance(price.item.price_per_hour, price.item.gpus, _origin(price))
            return GpuPlan(match, instance, owned)
        return GpuPlan(match, self._sourced(price, "gpu.price"), owned)

    def _owned(self, values: Values) -> Owned | None:
        billing, purchase = values["gpu.billing"], values.get("gpu.owned.purchase")
        if purchase is None:
            self._fault(billing, "gpu.billing: owned needs gpu.owned.purchase; rented until it is there")
            return None
        price, residual = _number(values, "gpu.owned.purchase"), _number(values, "gpu.owned.residual")
        if residual > price:
            self._fault(
                values["gpu.owned.residual"], f"gpu.owned.residual: {residual} is more than the purchase, {price}"
            )
            residual = price
        default = Owned(price, _origin(purchase))
        use = values.get("gpu.owned.expected_use")
        return Owned(
            price,
            _origin(purchase),
            residual,
            _number(values, "gpu.owned.life_years", default.life_years),
            _number(values, "gpu.owned.maintenance_per_year"),
            None if use is None else _number(values, "gpu.owned.expected_use"),
        )

    def _sourced(self, value: Value | None, name: str) -> Sourced | None:
        if value is None:
            return None
        if isinstance(value.item, Decimal):
            return Sourced(Constant(value.item), _origin(value))
        if not isinstance(value.item, Windows):
            return None
        zone = value.item.zone or self._zone()
        if zone is None:
            self._fault(value, f"{name}: windows need a zone; add  timezone: America/Los_Angeles  or the like")
            return None
        return Sourced(Calendar(LocalPlace(zone), value.item.windows), _origin(value))

    def _sourced_or_none(self, value: Value | None, name: str) -> Sourced | None:
        """The word `none` is a constant nothing; `auto` leaves it to the book."""
        if value is not None and value.item == "none":
            return Sourced(Constant(Decimal(0)), _origin(value))
        return self._sourced(value, name)

    def _host(self) -> HostPower:
        value = self.merged.values.get("host.power")
        if value is None or value.item == "auto":
            return HostPower()
        return HostPower("watts", value.item) if isinstance(value.item, Decimal) else HostPower("none")

    def _budget(self) -> Budget | None:
        values = self.merged.values
        set_here = [value for name, value in values.items() if name.startswith("budget.")]
        if "budget.amount" not in values:
            if set_here:
                self._fault(set_here[0], "budget: an amount is missing; add  amount: 500  or the like")
            return None
        default = Budget(_number(values, "budget.amount"))
        warn_at = values.get("budget.warn_at")
        return Budget(
            default.amount,
            warn_at.item if warn_at and isinstance(warn_at.item, tuple) else default.warn_at,
            "stop" if _text(values, "budget.on_exceed") == "stop" else default.on_exceed,
        )

    def _fault(self, value: Value, what: str) -> None:
        """Note a fault once, though several blocks may have it from the same place."""
        fault = Fault(value.place, what)
        if fault not in self.faults:
            self.faults.append(fault)


def _origin(value: Value) -> Origin:
    return Origin("configured", value.place.brief)


def _host_origin(value: Value | None) -> Origin | None:
    """Configured watts or none are a choice; `auto`, written or not, is what the book says of it."""
    return None if value is None or value.item == "auto" else _origin(value)


def _text(values: Mapping[str, Value], name: str) -> str | None:
    value = values.get(name)
    return value.text if value else None


def _number(values: Mapping[str, Value], name: str, default: Decimal = Decimal(0)) -> Decimal:
    value = values.get(name)
    return value.item if value and isinstance(value.item, Decimal) else default


def _match(values: Mapping[str, Value]) -> Match:
    item: Item | None = values["gpu.match.index"].item if "gpu.match.index" in values else None
    indexes = item if isinstance(item, frozenset) else None
    return Match(_text(values, "gpu.match.name"), _text(values, "gpu.match.uuid"), indexes)
