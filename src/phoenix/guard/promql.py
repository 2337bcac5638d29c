"""PromQL, parsed: the one home of the parser (PyPI `promql-parser`), and how its refusals read.

It reads Prometheus 3's grammar with quoted UTF-8 names; the experimental range modifiers `smoothed`
and `anchored` it does not know, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

__all__ = [
    "AggregateExpr",
    "BinaryExpr",
    "Call",
    "MatrixSelector",
    "NumberLiteral",
    "ParenExpr",
    "StringLiteral",
    "SubqueryExpr",
    "UnaryExpr",
    "VectorSelector",
]

Operator = Literal["=", "!=", "=~", "!~"]
_OPERATORS: dict[str, Operator] = {
    "MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~",
}  # fmt: skip
_NAME = "__name__"

LONGEST = 20_000  # characters; what is longer is no expression that somebody wrote
#: The parser recurses on the machine's stack and would take the process with it, so that what is
#: nested deeper, or chained longer, never reaches it. It bears some 2,000 of either.
DEEPEST = 100
OPERATORS_MAX = 400
_TEXTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*", re.DOTALL)
_OPERATOR = re.compile(r"[-+*/%^<>=!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


class Unparsable(Exception):
    """It is not PromQL that we can read; the message says why."""


def parse(text: str) -> Any:
    """The tree of an expression.

    Raises:
        Unparsable: it is none.
    """
    if len(text) > LONGEST:
        raise Unparsable(f"it is longer than {LONGEST} characters")
    _refuse_deep(text)
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise Unparsable(_one_line(error)) from error
    except RecursionError as error:
        raise Unparsable("it is nested too deeply") from error


def _refuse_deep(text: str) -> None:
    code = _TEXTS.sub("", text)
    depth = deepest = 0
    for char in code:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    if deepest > DEEPEST:
        raise Unparsable(f"it is nested more than {DEEPEST} deep")
    if len(_OPERATOR.findall(code)) > OPERATORS_MAX:
        raise Unparsable(f"it has more than {OPERATORS_MAX} operators")


def why_not(text: str) -> str:
    """Why `text` cannot be read as PromQL, or "" when it can."""
    try:
        parse(text)
    except Unparsable as error:
        return f"not PromQL that can be read: {error}"
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "no reason given"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: Operator
    value: str


def matchers_of(selector: VectorSelector) -> tuple[tuple[Matcher, ...], ...]:
    """The conditions of a selector: one group of them has to hold as a whole."""
    name = [Matcher(_NAME, "=", selector.name)] if selector.name else []
    groups = selector.matchers.or_matchers or [selector.matchers.matchers]
    return tuple(
        (*name, *(Matcher(m.name, _OPERATORS[str(m.op)], m.value) for m in group))
        for group in groups
    )


def children(node: Any) -> tuple[Any, ...]:
    """The expressions that a node is made of."""
    match node:
        case AggregateExpr():
            return (node.expr,) if node.param is None else (node.param, node.expr)
        case BinaryExpr():
            return (node.lhs, node.rhs)
        case Call():
            return tuple(node.args)
        case ParenExpr() | SubqueryExpr() | UnaryExpr():
            return (node.expr,)
        case MatrixSelector():
            return (node.vector_selector,)
    return ()


def selectors(node: Any) -> Iterator[VectorSelector]:
    """Every selector of a tree, from left to right."""
    if isinstance(node, VectorSelector):
        yield node
    for child in children(node):
        yield from selectors(child)
