"""Dated series with what stands beside them: the unit, the source, and for emissions what they count.

Units of the wild (EUR/MWh, pence, cents) become the ones everything else uses: a currency or gCO2e per kWh, a currency
per hour. Factors are powers of ten, so nothing is rounded.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from costmeter.meter.series import Series

#: The unit of every emission factor: grams of CO2 equivalent per kWh of electricity.
GRAMS_PER_KWH: Final = "gCO2e/kWh"


@dataclass(frozen=True, slots=True)
class DatedSeries:
    """A series in a normal unit: "GBP/kWh", "gCO2e/kWh" or "USD/h".

    `fetched` is the ISO date or instant of the fetch; `scope` is "lifecycle" or "direct", and `method` says how
    emissions are attributed. Each is empty where nobody said.
    """

    series: Series
    unit: str
    source: str = ""
    fetched: str = ""
    scope: str = ""
    method: str = ""


_MONEY = re.compile(r"([A-Z]{3})/(kWh|MWh|h)", re.ASCII)
_HOUR_WORDS = {"hour": "h", "hr": "h", "gpu-h": "h", "gpu-hour": "h", "instance-hour": "h"}
#: Hundredths of a currency. Pence are British; a bare cent is nobody's. Case tells GBp from GBP.
_PENCE = {"GBp", "GBX", "p", "pence"}
_CENTS = {"c", "ct", "cent", "cents"}
_GRAMS = {"g": 0, "gco2": 0, "gco2e": 0, "gco2eq": 0, "kg": 3, "kgco2e": 3, "kgco2eq": 3}
#: Grams per kWh of a pound per MWh: 453.59237 g / 1000 kWh, by the definition of the pound.
_POUND_HINT = "multiply by 0.45359237 and call it gCO2e/kWh"


def normal_unit(unit: str, currency: str = "") -> tuple[str, Decimal]:
    """The normal unit of a unit as people write it, and what its values are multiplied by.

    `currency` is the one that bare cents are of. Raises ValueError with what is wrong and what to write.
    """
    compact = re.sub(r"\s", "", unit)
    amount, _, per = compact.partition("/")
    per = _HOUR_WORDS.get(per.casefold(), {"kwh": "kWh", "mwh": "MWh"}.get(per.casefold(), per))
    if amount.casefold().startswith("lb"):
        raise ValueError(f'"{unit}" is in pounds: {_POUND_HINT}')
    if amount in _PENCE:
        amount, exponent = "GBP", -2
    elif amount.casefold() in _CENTS:
        if not currency:
            raise ValueError(f'"{unit}" does not say of which currency; write the unit as EUR/kWh or EUR/MWh')
        amount, exponent = currency, -2
    elif amount.casefold() in _GRAMS and per in ("kWh", "MWh"):
        mega = -3 if per == "MWh" else 0
        return GRAMS_PER_KWH, Decimal(1).scaleb(_GRAMS[amount.casefold()] + mega)
    else:
        amount, exponent = amount.upper(), 0
    match = _MONEY.fullmatch(f"{amount}/{per}")
    if match is None:
        raise ValueError(f'"{unit}" is no unit known here; known are EUR/kWh, EUR/MWh, p/kWh, gCO2e/kWh and USD/h')
    if match[2] == "MWh":
        return f"{amount}/kWh", Decimal(1).scaleb(exponent - 3)
    return match[0], Decimal(1).scaleb(exponent)
