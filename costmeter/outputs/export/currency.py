"""The exported files in another currency: names of series, units of panels, and the words. No amount is converted."""

import re

#: Units that Grafana 13 has of its own (@grafana/data, valueFormats/categories); others are written before the number.
_GRAFANA = frozenset(
    {
        "BGN", "BRL", "CHF", "CZK", "DKK", "EUR", "GBP", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "MYR", "NOK", "PHP",
        "PLN", "PYG", "RUB", "SEK", "TRY", "UAH", "USD", "UYU", "VND", "XPF", "ZAR",
    }
)  # fmt: skip
_SYMBOLS = {"EUR": "€", "GBP": "£"}
_IN_NAMES = re.compile(r"_usd(?![a-z])")
_UNIT = re.compile(r"\bcurrencyUSD\b|\bcurrency:\$")
_FULL_UNIT = re.compile(r"\bcurrency:financial:\$")
_WORD = re.compile(r"\b(?:USD|[Uu][Ss]-?[Dd]ollars?|[Dd]ollars?)\b")
#: A sign before an amount: not `$__interval` or `$labels`, and not the group `$1` of a label that is rewritten.
_SIGN = re.compile(r"(?<!replacement: )\$(?=\{\{|\d(?!\\?[\"']))")


def in_currency(text: str, currency: str) -> str:
    """A file that is in USD as it reads where `currency` (ISO 4217, in capitals) is paid. USD changes nothing."""
    if currency == "USD":
        return text
    sign = _SYMBOLS.get(currency, f"{currency} ")
    text = _IN_NAMES.sub(f"_{currency.lower()}", text)
    text = _FULL_UNIT.sub(f"currency:financial:{sign}", text)
    text = _UNIT.sub(f"currency{currency}" if currency in _GRAFANA else f"currency:{sign}", text)
    text = _SIGN.sub(sign, text)
    return _WORD.sub(currency, text)
