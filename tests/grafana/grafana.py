"""Grafana's own formatting and transformations, asked through node: how a panel's numbers and tables really read."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "numbers" / "grafana.cjs"
#: `npm ci` in tests/grafana/numbers brings them: 177 MB, which only whoever changes boards needs.
MODULES = SCRIPT.with_name("node_modules")

needs_grafana = pytest.mark.skipif(
    not MODULES.is_dir() or shutil.which("node") is None,
    reason="Grafana's number formats are not installed: cd tests/grafana/numbers && npm ci",
)

Number = tuple[str, int | None, float]


def _ask(question: dict[str, Any]) -> list[Any]:
    answer = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps(question), capture_output=True, text=True, timeout=60, check=True
    )
    found: list[Any] = json.loads(answer.stdout)
    return found


def texts(numbers: Sequence[Number]) -> list[str]:
    """What a panel shows of values in a unit with so many decimals."""
    named = [{"unit": unit, "decimals": decimals, "value": value} for unit, decimals, value in numbers]
    return _ask({"numbers": named})


def tables(asked: Sequence[dict[str, Any]]) -> list[dict[str, list[Any]]]:
    """What transformations make of frames: for each table its columns by their headers, in their order."""
    return [dict(columns) for columns in _ask({"tables": list(asked)})]


def frame(letter: str, series: list[dict[str, Any]], *, is_only: bool) -> dict[str, Any]:
    """Prometheus's answer to an instant query as Grafana's data source makes a table of it."""
    labels = sorted({name for each in series for name in each["metric"]})
    columns = [{"name": "Time", "type": "time", "values": [1000 * each["value"][0] for each in series]}]
    columns += [
        {"name": name, "type": "string", "values": [each["metric"].get(name, "") for each in series]} for name in labels
    ]
    value = "Value" if is_only else f"Value #{letter}"
    columns.append({"name": value, "type": "number", "values": [float(each["value"][1]) for each in series]})
    return {"refId": letter, "fields": columns}
