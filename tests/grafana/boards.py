"""The committed boards as the tests read them: panels, queries, and queries as Grafana would send them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.grafana.stack import FILES

NAMES = ("run", "fleet", "spend")
#: What Grafana puts in for what a board leaves open: built-in names first, the longest first.
OPEN = {
    "$__interval_ms": "5000",
    "$__rate_interval": "1m",
    "$__interval": "5s",
    "$__range": "10m",
    "$instance": ".+",
    "$job": ".+",
    "$cluster": ".*",
    "$project": ".*",
    "$purchase": "30000",
    "$held_on": ".+",
}
#: For how long before now queries look back that name the edges of their range.
LOOKED_BACK_SECONDS = 600
#: Steps in which the past is looked at, and what they are where there is a minute of it.
SHORTER = {
    "[7d:1h]": "[10m:5s]",
    "[1430m:1h]": "[10m:5s]",
    ":1m]": ":1s]",
    ":1h]": ":5s]",
    ":15m]": ":5s]",
    ":5m]": ":5s]",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a board: whose it is, and what is asked."""

    board: str
    panel: str
    letter: str
    expression: str
    is_instant: bool

    @property
    def name(self) -> str:
        return f"{self.board}: {self.panel}: {self.letter}"


def load(name: str) -> dict[str, Any]:
    """A committed board."""
    loaded: dict[str, Any] = json.loads((FILES / "grafana" / "dashboards" / f"{name}.json").read_text())
    return loaded


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """What shows something; headings of rows do not."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def asked(name: str) -> Iterator[Asked]:
    """Every query of a board's panels and annotations."""
    board = load(name)
    for panel in panels(board):
        for target in panel["targets"]:
            yield Asked(name, panel["title"], target["refId"], target["expr"], bool(target.get("instant")))
    for mark in board["annotations"]["list"]:
        yield Asked(name, f"mark {mark['name']}", "Anno", mark["target"]["expr"], False)


def filled(expression: str, now: float, **chosen: str) -> str:
    """A query with everything put in that the board leaves open."""
    for edge, at in (("from", now - LOOKED_BACK_SECONDS), ("to", now)):
        expression = expression.replace(f"${{__{edge}:date:seconds}}", f"{at:.0f}")
    for name, value in {**{f"${name}": value for name, value in chosen.items()}, **OPEN, **SHORTER}.items():
        expression = expression.replace(name, value)
    return expression
