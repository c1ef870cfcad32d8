"""Figures that are no plain number: what each form of a price or a grid factor says, read off its node.

A form is a mapping with its name as a key (`{catalog: …}`, `{windows: …}`), or for files their name alone: `spot.csv`
is `{series: spot.csv}`, `b20.yaml` is `{tariff: b20.yaml}`. Files are only named here; who builds the settings reads
those that are in force.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from costmeter.config.faults import shown, shown_node, suggestion, visible
from costmeter.config.grammar import FILE_FORMS, Form, Number, Price
from costmeter.config.number import read_number, wanted
from costmeter.config.windows import WindowParser, Windows
from costmeter.config.yamlfile import Fault, Mapping, Node, Place, Scalar, Sequence
from costmeter.config.zones import nearest, zone
from costmeter.rates.catalog import Kind, Offer
from costmeter.rates.grid import Factor, Scope

GPU_COUNT = Number("a number of GPUs", "8", minimum=Decimal(1), maximum=Decimal(1_024), whole=True)
TIER = Number("a tier", "2", minimum=Decimal(1), maximum=Decimal(99), words=("last",), whole=True)
_MACHINE = Number("a price per hour of the machine", "55.04", minimum=Decimal(0))
#: What may stand beside each form's own key.
_BESIDE: dict[Form, tuple[str, ...]] = {
    "windows": ("timezone",),
    "per_instance_hour": ("gpus",),
    "catalog": (),
    "tariff": ("plan", "tier"),
    "zone": ("scope",),
    "series": ("gpus",),
}
_SCOPES: tuple[Scope, ...] = ("lifecycle", "direct")


@dataclass(frozen=True, slots=True)
class PerInstance:
    """A price for a whole machine per hour; `gpus` None shares it over the node's GPUs."""

    price_per_hour: Decimal
    gpus: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the price catalogue and which of its prices."""

    offer: Offer
    kind: Kind


@dataclass(frozen=True, slots=True)
class Zoned:
    """A zone's factor."""

    factor: Factor


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A file of dated values, as it was written. With `gpus` its values are a whole machine's, shared by so many."""

    name: str
    gpus: int | None


@dataclass(frozen=True, slots=True)
class TariffFiles:
    """Tariff files, as they were written, that follow one another; `tier` counts from 0, None is the last."""

    names: tuple[tuple[str, Place], ...]
    plans: tuple[str, ...]
    tier: int | None


Figure = Windows | PerInstance | Listed | Zoned | SeriesFile | TariffFiles


def form_of(node: Node) -> Form | None:
    """Which form a node has; None for a number, and for what is nothing known. A named file is a form too."""
    if isinstance(node, Mapping):
        return next((form for form in _BESIDE for key, _ in node.entries if key.text == form), None)
    text = node.text.casefold() if isinstance(node, Scalar) else ""
    return next((form for ending, form in FILE_FORMS.items() if text.endswith(ending)), None)


class FormParser:
    """Reads one figure of the setting `name`, collecting faults."""

    def __init__(self, kind: Price, name: str) -> None:
        self.faults: list[Fault] = []
        self._kind = kind
        self._name = name

    def parse(self, node: Node) -> Figure | None:
        """The figure a form describes; None with faults."""
        form = form_of(node)
        if form is None or form not in self._kind.forms:
            self._fault(node.place, f"expected {self._wanted()}, not {self._what(node, form)}")
            return None
        readers: dict[Form, Callable[[dict[str, Node]], Figure | None]] = {
            "windows": self._windows,
            "per_instance_hour": self._per_instance,
            "catalog": self._catalog,
            "tariff": self._tariff,
            "zone": self._zone,
            "series": self._series,
        }
        entries = node.entries if isinstance(node, Mapping) else ((Scalar(form, node.place), node),)
        known = (form, *(key for key in _BESIDE[form] if not (form == "series" and not self._shares)))
        strangers = [key for key, _ in entries if key.text not in known]
        for key in strangers:
            self._fault(key.place, f"unknown key {shown(key.text)}{suggestion(key.text, known)}")
        return None if strangers else readers[form]({key.text: value for key, value in entries})

    @property
    def _shares(self) -> bool:
        """Whether the price of a whole machine makes sense here."""
        return "per_instance_hour" in self._kind.forms

    def _wanted(self) -> str:
        """What may stand there, after "expected"."""
        return " or ".join([wanted(self._kind.number), *(f"{{{form}: …}}" for form in self._kind.forms)])

    def _what(self, node: Node, form: Form | None) -> str:
        if not isinstance(node, Mapping):
            return shown_node(node)
        if form is not None:
            return f"{{{form}: …}}"
        keys = [key.text for key, _ in node.entries]
        return f"{shown(keys[0])}{suggestion(keys[0], self._kind.forms)}" if keys else "an empty mapping"

    def _windows(self, found: dict[str, Node]) -> Windows | None:
        parser = WindowParser(self._name, self._kind.key, self._kind.number)
        windows = parser.parse(found["windows"])
        self.faults.extend(parser.faults)
        node = found.get("timezone")
        if node is None or (isinstance(node, Scalar) and not node.text):
            return Windows(windows, None) if windows else None
        local = self._timezone(node)
        return Windows(windows, local) if windows and local else None

    def _timezone(self, node: Node) -> tzinfo | None:
        text = self._text(node, "timezone", "the name of a zone such as Europe/Berlin")
        local = None if text is None else zone(text)
        if text is not None and local is None:
            hint = nearest(text) or ". Write one such as Europe/Berlin"
            self._fault(node.place, f"no time zone {shown(text)}{hint}", "timezone")
        return local

    def _per_instance(self, found: dict[str, Node]) -> PerInstance | None:
        price = self._number(_MACHINE, found["per_instance_hour"], "per_instance_hour")
        gpus = self._number(GPU_COUNT, found["gpus"], "gpus") if "gpus" in found else None
        if price is None or ("gpus" in found and gpus is None):
            return None
        return PerInstance(price, None if gpus is None else int(gpus))

    def _catalog(self, found: dict[str, Node]) -> Listed | None:
        from costmeter.rates.catalog import find

        text = self._text(found["catalog"], "catalog", "a key such as aws/p5.48xlarge/us-east-1/on_demand")
        try:
            return None if text is None else Listed(*find(text))
        except LookupError as problem:
            self._fault(found["catalog"].place, visible(str(problem.args[0])), "catalog")
            return None

    def _zone(self, found: dict[str, Node]) -> Zoned | None:
        from costmeter.rates import grid

        text = self._text(found["zone"], "zone", "a zone such as DE, US-CA or gcp/us-east1")
        scope = self._text(found["scope"], "scope", " or ".join(_SCOPES)) if "scope" in found else None
        asked = next((known for known in _SCOPES if known == scope), None)
        if scope is not None and asked is None:
            expected = f"expected {' or '.join(_SCOPES)}, not {shown(scope)}{suggestion(scope, _SCOPES)}"
            self._fault(found["scope"].place, expected, "scope")
        if text is None or ("scope" in found and asked is None):
            return None
        try:
            return Zoned((grid.market if self._kind.is_market else grid.zone)(text, asked))
        except LookupError as problem:
            self._fault(found["zone"].place, visible(str(problem.args[0])), "zone")
            return None

    def _series(self, found: dict[str, Node]) -> SeriesFile | None:
        text = self._text(found["series"], "series", "a file such as prices.csv")
        gpus = self._number(GPU_COUNT, found["gpus"], "gpus") if "gpus" in found else None
        if text is None or ("gpus" in found and gpus is None):
            return None
        return SeriesFile(text, None if gpus is None else int(gpus))

    def _tariff(self, found: dict[str, Node]) -> TariffFiles | None:
        names = self._texts(found["tariff"], "tariff", "a file such as b20.yaml, or a list of them")
        plans = self._texts(found["plan"], "plan", "the id of a plan, or a list of them") if "plan" in found else ()
        tier: Decimal | None = None
        if "tier" in found:
            node = found["tier"]
            is_last = isinstance(node, Scalar) and node.text == "last"
            tier = None if is_last else self._number(TIER, node, "tier")
            if tier is None and not is_last:
                return None
        if not names or plans is None:
            return None
        return TariffFiles(names, tuple(plan for plan, _ in plans), None if tier is None else int(tier) - 1)

    def _texts(self, node: Node, key: str, expected: str) -> tuple[tuple[str, Place], ...] | None:
        """One text or several, each with its place; None with a fault."""
        items = node.items if isinstance(node, Sequence) else (node,)
        texts = [self._text(item, key, expected) for item in items]
        if not items:
            self._fault(node.place, f"expected {expected}, not an empty list", key)
        if None in texts or not items:
            return None
        return tuple((text, item.place) for text, item in zip(texts, items, strict=True) if text is not None)

    def _text(self, node: Node, key: str, expected: str) -> str | None:
        if isinstance(node, Scalar) and node.text:
            return node.text
        there = "nothing" if isinstance(node, Scalar) else shown_node(node)
        self._fault(node.place, f"expected {expected}, not {there}", key)
        return None

    def _number(self, kind: Number, node: Node, key: str) -> Decimal | None:
        return read_number(kind, node, lambda at, what: self._fault(at.place, what, key))

    def _fault(self, place: Place, what: str, key: str = "") -> None:
        self.faults.append(Fault(place, f"{self._name}{'.' if key else ''}{key}: {what}"))
