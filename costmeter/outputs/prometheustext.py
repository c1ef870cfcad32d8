"""The text of a metrics page, in Prometheus's form or in OpenMetrics's: families, their series, label values.

It is written here and not by a library because it is most of what a scrape costs: a node of 1,024 GPUs has 23,000
series, and label texts that are made once and joined take an eighth of the time.
"""

import re
from collections.abc import Callable, Iterable

from costmeter.outputs.families import FAMILIES, Family

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LABEL_CHARACTERS = 256
#: What is no text (halves of characters, from bytes that are not UTF-8) or nothing to see, the end of a line apart.
_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_AS_IT_IS = re.compile(r"[ !#-\[\]-~]*")
#: How floats that are no numbers are written, at the end of a line; every other float is written as Python does.
_NO_NUMBERS = {" inf\n": " +Inf\n", " -inf\n": " -Inf\n", " nan\n": " NaN\n"}

#: The labels of a series as text, and its value.
Rows = Iterable[tuple[str, float]]


def prefers_openmetrics(accept: str) -> bool:
    """Whether an `Accept` header asks for OpenMetrics at least as much as for Prometheus's own text."""
    wanted = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in accept.split(","):
        media, *parameters = (part.strip().lower() for part in each.split(";"))
        if media in wanted:
            wanted[media] = max(wanted[media], _quality(parameters))
    openmetrics, text = wanted.values()
    return openmetrics > 0 and openmetrics >= text


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def fit(value: str) -> str:
    """A label value that every parser takes, without its quotes: text, escaped, and not endless."""
    value = value[:_LABEL_CHARACTERS]
    if _AS_IT_IS.fullmatch(value):
        return value
    value = _NO_TEXT.sub("?", value)
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def labels(**values: str) -> str:
    """Labels as they stand behind the name of a series, in alphabetical order, so that a page is the same each time."""
    return "{" + ",".join([f'{name}="{fit(values[name])}"' for name in sorted(values)]) + "}"


class Sheet:
    """A page as it is written. A family without series leaves no trace."""

    def __init__(self, currency: str, accept: str, shows: Callable[[Family], bool] = lambda _: True) -> None:
        """`shows` says which families are on it; the others are left out as they are added."""
        self._currency, self._shows = currency.lower(), shows
        self._is_openmetrics = prefers_openmetrics(accept)
        self._pieces: list[str] = []

    def add(self, name: str, rows: Rows) -> None:
        """The series of a family of `FAMILIES`; no two of them may have the same labels."""
        if not self._shows(FAMILIES[name]):
            return
        series = FAMILIES[name].series_name(self._currency)
        text = "".join([f"{series}{of} {value!r}\n" for of, value in rows])
        if FAMILIES[name].kind == "gauge":  # counters are made of integers and decimals, which are always numbers
            for python, prometheus in _NO_NUMBERS.items():
                text = text.replace(python, prometheus)  # a line ends nowhere else: in labels its end is escaped
        if text:
            self._pieces += (self._head(name), text)

    def add_merged(self, name: str, rows: Rows) -> None:
        """As `add`, of labels that somebody else chose: those that are cut or cleaned to the same text are one series.

        Its value is their sum, so that a counter never falls.
        """
        merged: dict[str, float] = {}
        for of, value in rows:
            merged[of] = merged.get(of, 0.0) + value
        self.add(name, merged.items())

    def add_info(self, name: str, rows: Iterable[str]) -> None:
        """Facts as labels, each a series of value 1; the same facts twice are one."""
        self.add(name, [(of, 1.0) for of in dict.fromkeys(rows)])

    def page(self) -> tuple[bytes, str]:
        """The whole page and its content type."""
        if self._is_openmetrics:
            return "".join([*self._pieces, "# EOF\n"]).encode(), OPENMETRICS
        return "".join(self._pieces).encode(), TEXT

    def _head(self, name: str) -> str:
        """Before OpenMetrics, a family had the name of its series, and facts were gauges."""
        family = FAMILIES[name]
        if self._is_openmetrics:
            full, kind = family.full_name(self._currency), family.kind
        else:
            full, kind = family.series_name(self._currency), "gauge" if family.kind == "info" else family.kind
        return f"# HELP {full} {family.help}\n# TYPE {full} {kind}\n"
