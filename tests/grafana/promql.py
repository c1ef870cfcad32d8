"""What is inside a PromQL expression: its selectors, and the calls and ranges that each of them stands in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: its metric, its matchers as text by label, its range if it has one, and the call around that."""

    metric: str
    matchers: dict[str, str]
    range: timedelta | None
    call: str


def selectors(expression: str) -> list[Selector]:
    """All selectors of an expression. Raises ValueError where it is none."""
    return list(_inside(promql_parser.parse(expression), ""))


def _inside(node: Any, call: str) -> Iterator[Selector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield _selector(node, None, call)
    elif isinstance(node, promql_parser.MatrixSelector):
        yield _selector(node.vector_selector, node.range, call)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _inside(argument, node.func.name)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _inside(node.lhs, "")
        yield from _inside(node.rhs, "")
    elif hasattr(node, "expr"):
        yield from _inside(node.expr, "")


def _selector(node: Any, range_: timedelta | None, call: str) -> Selector:
    operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    matchers = {
        each.name: operators[str(each.op).removeprefix("MatchOp.")] + each.value for each in node.matchers.matchers
    }
    return Selector(node.name, matchers, range_, call)
