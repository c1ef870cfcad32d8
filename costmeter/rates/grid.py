"""What a kWh emits, by country, state, subregion and cloud region: the factors in `data/grid.csv`.

A factor carries its year, its scope and its method. `lifecycle` counts fuel supply and building the plants, `direct`
the stack alone; they are never mixed. A location average describes the grid; a market-based factor is the residual
mix, what remains when sold certificates are taken out: it is shown beside, never added. The file's header states its
sources and their licences.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal

from costmeter.rates.prices import rows

Scope = Literal["lifecycle", "direct"]
#: The sources of the table by their ids, as a receipt names them.
SOURCES = {
    "C1": "Ember via CO2.js",
    "C2": "US EPA eGRID2023",
    "C3": "US EPA eGRID2022",
    "C4": "Green-e residual mix 2025",
    "C5": "Environment and Climate Change Canada",
    "C6": "Australian National Greenhouse Accounts 2025",
    "C7": "UK DESNZ 2025",
    "C8": "NZ Ministry for the Environment 2026",
    "C9": "European Environment Agency",
    "C10": "AIB residual mixes 2024",
    "C11": "Google Cloud region carbon data 2024",
}
#: Names people use that no table has.
_ALIASES = {"uk": "GBR", "us-cal": "US-CAL-CISO", "usa": "USA", "eu27": "EU"}
_MARKET = "market-based residual mix"


@dataclass(frozen=True, slots=True)
class Factor:
    """Grams of CO2e per kWh of one zone, and what they are of. `notes` may be empty."""

    code: str
    name: str
    kind: str
    grams_per_kwh: Decimal
    year: int
    method: str
    scope: Scope
    source: str
    notes: str
    is_market: bool
    iso2: str = ""
    iso3: str = ""
    em_zone: str = ""

    @property
    def spelling(self) -> str:
        """The zone as people type it, and as it is found again: `DE`, `gcp/us-east1`, `eGRID-CAMX`."""
        if self.kind == "country":
            return self.iso2 or self.code
        return self.code.replace(":", "/", 1) if self.kind == "cloud_region" else self.code

    @property
    def described(self) -> str:
        """`DE 2024, lifecycle, location average (Ember via CO2.js)`, with a doubt where there is one."""
        imports = ", imports ignored" if self._ignores_imports else ""
        return f"{self.spelling} {self.year}, {self.scope}, {self.method}{imports} ({SOURCES[self.source]})"

    @property
    def _ignores_imports(self) -> bool:
        """Whether the figure is of the power stations inside: of no use where most of the power comes from outside."""
        return "(generation)" in self.method or (self.kind == "cloud_region" and self.source == "C2")


@cache
def factors() -> tuple[Factor, ...]:
    """Every row of the table, in its order."""
    return tuple(map(_factor, rows("grid.csv")))


def zone(name: str, scope: Scope | None = None) -> Factor:
    """The location average of a zone; the newest, and lifecycle before direct where both exist and no scope is asked.

    Names, without regard to case: a country's two or three letters, `US-CA`, `CA-ON`, `AU-NSW`, `eGRID-CAMX`, a cloud
    region as `gcp:us-east1` or `gcp/us-east1`, a zone of Electricity Maps (`US-CAL-CISO`), `EU`, or a full name.
    Raises LookupError, with the nearest names, for a name that is none or several.
    """
    return _best(name, scope, lambda factor: not factor.is_market, "location average")


def market(name: str, scope: Scope | None = None) -> Factor:
    """The market-based residual mix of a zone: European countries (AIB) and US subregions (`eGRID-CAMX`, Green-e).

    Raises LookupError as `zone` does.
    """
    return _best(name, scope, lambda factor: factor.is_market, _MARKET)


def _best(name: str, scope: Scope | None, is_asked: Callable[[Factor], bool], method: str) -> Factor:
    offered = [factor for factor in factors() if is_asked(factor)]
    found = _named(name, [factor for factor in offered if scope in (None, factor.scope)])
    if found:
        return max(found, key=lambda factor: (factor.scope == "lifecycle", factor.year))
    other = _named(name, offered)
    if other:
        raise LookupError(f'"{name}" has no {scope} {method}; it has a {other[0].scope} one')
    elsewhere = _named(name, factors())
    if not elsewhere:
        raise LookupError(f'no zone "{name}"{_near(name, offered)}')
    full = ": every kWh there has its certificate" if elsewhere[0].code == "AUT" else ""
    raise LookupError(f'the table has no {method} of "{name}"{full}{_near(name, offered)}')


def _named(name: str, among: Iterable[Factor]) -> list[Factor]:
    """The rows of the one zone that has this name; the first kind of name that leads anywhere decides.

    Raises LookupError where a name is several zones'.
    """
    asked = name.strip().casefold().replace("/", ":")
    asked = _ALIASES.get(asked, asked).casefold()
    for spelled in _SPELLINGS if asked else ():
        found = [factor for factor in among if spelled(factor).casefold() == asked]
        if len({factor.grams_per_kwh for factor in found} if spelled is _em_zone else {f.code for f in found}) > 1:
            spellings = dict.fromkeys(factor.spelling for factor in found)
            raise LookupError(f'"{name}" is several zones; write {" or ".join(spellings)}')
        if found:
            return found
    return []


def _iso2(factor: Factor) -> str:
    return factor.iso2 if factor.kind == "country" else ""


def _iso3(factor: Factor) -> str:
    return factor.iso3 if factor.kind == "country" else ""


def _code(factor: Factor) -> str:
    return factor.code


def _subregion(factor: Factor) -> str:
    return factor.code.removeprefix("eGRID-") if factor.kind == "us_egrid_subregion" else ""


def _em_zone(factor: Factor) -> str:
    """Google's own figure is of the zone; a region's that was borrowed from a state or country is of that."""
    return factor.em_zone if factor.source == "C11" else ""


def _name(factor: Factor) -> str:
    return "" if factor.kind == "cloud_region" else factor.name


#: In order: `US` is the country, whose lifecycle figure goes before eGRID's row of the same code.
_SPELLINGS = (_iso2, _iso3, _code, _subregion, _em_zone, _name)


def _near(name: str, among: list[Factor]) -> str:
    """The end of a refusal: up to three zones that are nearly meant, else what a name looks like."""
    from difflib import get_close_matches

    known: dict[str, str] = {}
    for spelled in _SPELLINGS:
        known.update({spelled(factor).casefold(): factor.spelling for factor in among if spelled(factor)})
    asked = name.strip().casefold().replace("/", ":")
    near = get_close_matches(asked, known, n=3, cutoff=0.7)
    if near:
        spellings = dict.fromkeys(known[word] for word in near)
        return ". Did you mean " + " or ".join(f'"{spelling}"' for spelling in spellings) + "?"
    others = "" if among[0].is_market else ", US-CA, gcp/us-east1"
    return f". Write one such as DE, eGRID-CAMX{others}"


def _factor(row: dict[str, str]) -> Factor:
    scope: Scope = "direct" if row["emission_scope"].startswith("direct") else "lifecycle"
    return Factor(
        row["code"],
        row["name"],
        row["kind"],
        Decimal(row["gco2e_per_kwh"]),
        int(row["year"]),
        row["method"],
        scope,
        row["source"],
        row["notes"],
        row["method"] == _MARKET,
        row["iso2"],
        row["iso3"],
        row["em_zone"],
    )
