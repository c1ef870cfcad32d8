"""How quantities read: a unit for each size of them, because no unit of Grafana reads well over all sizes."""

from dataclasses import dataclass

#: Known to every lint; three digits: $0.00420, $12.3K. For axes, and for what is less than a dollar.
MONEY_UNIT = "currencyUSD"
#: The full figure, with separators: $12,345.68.
FULL_MONEY_UNIT = "currency:financial:$"
ENERGY_UNIT = "kwatth"
GRAMS_UNIT = "massg"
TONNES_UNIT = "masst"
RATIO_UNIT = "percentunit"
POWER_UNIT = "watt"
SECONDS_UNIT = "s"
DATE_UNIT = "dateTimeAsIso"
COUNT_UNIT = "locale"


@dataclass(frozen=True, slots=True)
class Size:
    """A unit for values within bounds, None where there is none: `compared` to them, times `factor`."""

    unit: str
    compared: str = ""
    factor: str = ""
    decimals: int | None = None

    def of(self, expression: str) -> str:
        """The expression where its value is of this size; nothing where it is not."""
        return f"(({expression}) {self.compared}){self.factor}" if self.compared else expression


#: Below a dollar three digits say more than cents do; above, every cent is there.
MONEY = (Size(MONEY_UNIT, "< 1"), Size(FULL_MONEY_UNIT, ">= 1", decimals=2))
#: A thousand kilograms are a tonne. Grafana's grams go on to megagrams, and its kilograms do so at once.
MASS = (Size(GRAMS_UNIT, "< 1e6"), Size(TONNES_UNIT, ">= 1e6", " / 1e6"))
ENERGY = (Size(ENERGY_UNIT),)
RATIO = (Size(RATIO_UNIT),)
COUNT = (Size(COUNT_UNIT, decimals=0),)
DATE = (Size(DATE_UNIT),)
AGE = (Size(SECONDS_UNIT),)
