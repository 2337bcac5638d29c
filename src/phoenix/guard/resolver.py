"""An expression against one arm: from its selectors up to the label sets that it yields.

What was resolved once is remembered, since rules and dashboards repeat themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from phoenix.guard import aggregations, functions, operators, promql, variables
from phoenix.guard.columns import Arm, mix
from phoenix.guard.lookup import Found, Groups, Lookup, Recorded
from phoenix.guard.matching import CannotJudge, Choices
from phoenix.guard.operators import hash_of
from phoenix.guard.results import (
    Result,
    Scalar,
    Text,
    as_scalar,
    as_vector,
    matching_of,
    moved,
    negated,
    origin_of,
)
from phoenix.guard.vectors import Vector

REMEMBERED_MAX: Final = 4_000_000
"""Elements held in memory for repeated parts; beyond that all are forgotten at once."""
_DEEPEST: Final = 200


class Resolver:
    """Resolves expressions against one arm.

    Args:
        names: every metric that either arm emits; others come from elsewhere.
        conserved: metrics whose totals both arms agree about.
    """

    def __init__(
        self,
        arm: Arm,
        names: frozenset[str],
        recorded: Mapping[str, Sequence[Recorded]],
        conserved: frozenset[str],
    ) -> None:
        self._arm = arm
        self._lookup = Lookup(arm, names, recorded, self._of_rule)
        self._conserved = frozenset(arm.words.code(name) for name in conserved)
        self._remembered: dict[str, Result] = {}
        self._held = 0

    def resolve(self, tree: Any, choices: Choices) -> Result:
        """What the expression yields in this arm.

        Raises:
            CannotJudge: something in it cannot be resolved.
            EngineRefuses: Prometheus would answer with an error.
        """
        return self._node(tree, choices, _DEEPEST)

    def selectors(self, tree: Any, choices: Choices) -> list[Found]:
        """What each selector of an expression finds; `resolve` of the same one uses it again.

        Raises:
            CannotJudge: as `resolve`.
        """
        self._lookup.forget()
        return [self._lookup.find(node, choices) for node in promql.selectors(tree)]

    def values(self, selector: str, label: str, choices: Choices) -> list[str]:
        """The values that a label has in what a selector finds, or in all series for "".

        Raises:
            CannotJudge: as `resolve`; also where the selector cannot be read.
        """
        self._lookup.forget()
        labels = self._arm.labels
        if selector:
            try:
                tree = promql.parse(selector)
            except promql.Unparsable as reason:
                raise CannotJudge(f"the choices of a variable: {reason}") from reason
            labels = self._vector_of(tree, choices, _DEEPEST).labels
        if label not in labels:
            return []
        codes = np.unique(labels[label])
        return sorted(self._arm.words.texts[int(code)] for code in codes if code)

    def _of_rule(self, tree: Any) -> Result:
        """What a recording rule records; it knows no variables."""
        return self._node(tree, {}, _DEEPEST)

    def _node(self, node: Any, choices: Choices, depth: int) -> Result:
        if depth == 0:
            raise CannotJudge("it is nested too deeply")
        key = _key(node, choices)
        if key is not None and key in self._remembered:
            return self._remembered[key]
        result = self._resolved(node, choices, depth - 1)
        if key is not None and not self._lookup.is_following:
            self._remember(key, result)
        return result

    def _resolved(self, node: Any, choices: Choices, depth: int) -> Result:
        match node:
            case promql.NumberLiteral():
                return Scalar(node.val, 0)
            case promql.StringLiteral():
                return Text(_first_choice(node.val, choices))
            case promql.ParenExpr():
                return self._node(node.expr, choices, depth)
            case promql.UnaryExpr():
                return negated(self._node(node.expr, choices, depth))
            case promql.VectorSelector():
                return moved(self._lookup.find(node, choices).vector, node)
            case promql.MatrixSelector():
                inner = node.vector_selector
                return moved(self._lookup.find(inner, choices).vector, inner)
            case promql.SubqueryExpr():
                return moved(self._vector_of(node.expr, choices, depth), node)
            case promql.AggregateExpr():
                return self._aggregated(node, choices, depth)
            case promql.BinaryExpr():
                return self._binary(node, choices, depth)
            case promql.Call():
                return self._call(node, choices, depth)
        raise CannotJudge(f"a {type(node).__name__} is not known here")

    def _vector_of(self, node: Any, choices: Choices, depth: int) -> Vector:
        result = self._node(node, choices, depth)
        if isinstance(result, Vector):
            return result
        raise CannotJudge("a number stands where series are expected")

    def _aggregated(self, node: Any, choices: Choices, depth: int) -> Vector:
        vector = self._vector_of(node.expr, choices, depth)
        parameter: Result = Scalar(math.nan, 0)
        if node.param is not None:
            parameter = self._node(node.param, choices, depth)
        modifier = node.modifier
        how = aggregations.Aggregation(
            op=str(node.op),
            labels=tuple(modifier.labels) if modifier else (),
            without=modifier is not None and str(modifier.type).endswith("Without"),
            parameter=parameter.value if isinstance(parameter, Scalar) else math.nan,
            text=parameter.value if isinstance(parameter, Text) else "",
            origin=origin_of(parameter),
        )
        return aggregations.aggregate(vector, how, self._conserved)

    def _binary(self, node: Any, choices: Choices, depth: int) -> Result:
        op = str(node.op)
        left = self._node(node.lhs, choices, depth)
        right = self._node(node.rhs, choices, depth)
        how = matching_of(node.modifier)
        if isinstance(left, Text) or isinstance(right, Text):
            raise CannotJudge("a text stands where a number is expected")
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            value = operators.number(op, left.value, right.value)
            return Scalar(value, mix(hash_of(op), origin_of(left), origin_of(right)))
        if isinstance(left, Vector) and isinstance(right, Vector):
            match op:
                case "and":
                    return operators.both(left, right, how)
                case "or":
                    return operators.either(left, right, how)
                case "unless":
                    return operators.unless(left, right, how)
            return operators.compute(op, left, right, how)
        vector, other = (left, right) if isinstance(left, Vector) else (right, left)
        assert isinstance(vector, Vector)
        assert isinstance(other, Scalar)
        return operators.with_number(
            op,
            vector,
            other.value,
            origin_of(other),
            on_left=other is left,
            returns_bool=how.returns_bool,
        )

    def _call(self, node: Any, choices: Choices, depth: int) -> Result:
        name = node.func.name
        if name in functions.SCALARS:
            return Scalar(math.pi if name == "pi" else math.nan, hash_of(name))
        if name == "info":
            raise CannotJudge("info() joins what is asked of the backend at that moment")
        arguments = [self._node(argument, choices, depth) for argument in node.args]
        step = mix(hash_of(name), *(origin_of(a) for a in arguments if not isinstance(a, Vector)))
        vectors = [argument for argument in arguments if isinstance(argument, Vector)]
        if name == "vector":
            return as_vector(self._arm.words, arguments[0])
        if not vectors:
            # `hour()` and its kin, without an argument, are about the time of the evaluation.
            if name in functions.OF_TIME:
                return as_vector(self._arm.words, Scalar(math.nan, step))
            raise CannotJudge(f"{name}() without a series is not known here")
        vector = vectors[0]
        if name in ("absent", "absent_over_time"):
            return functions.absent(vector, self._groups_of(node.args[0], choices))
        if name == "scalar":
            return as_scalar(vector, step)
        if functions.is_of_buckets(name):
            return functions.of_buckets(vector, step)
        if name in ("label_replace", "label_join"):
            texts = [a.value for a in arguments if isinstance(a, Text)]
            return _labelled(name, vector, texts)
        return functions.on_each(name, vector, step)

    def _groups_of(self, node: Any, choices: Choices) -> Groups:
        """What a selector inside `absent` demands; nothing of any other expression."""
        while isinstance(node, promql.ParenExpr):
            node = node.expr
        if isinstance(node, promql.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql.VectorSelector):
            return self._lookup.find(node, choices).groups
        return ()

    def _remember(self, key: str, result: Result) -> None:
        if isinstance(result, Vector):
            self._held += result.size * (len(result.labels) + 3)
            if self._held > REMEMBERED_MAX:
                self._remembered.clear()
                self._held = result.size
        self._remembered[key] = result


def _key(node: Any, choices: Choices) -> str | None:
    """Under what a part is remembered; None for what is not worth it."""
    if isinstance(node, promql.NumberLiteral | promql.StringLiteral | promql.ParenExpr):
        return None
    text = str(node.prettify())
    if choices and variables.OPEN in text:
        used = sorted(set(variables.MARK.findall(text)))
        text += repr([(name, choices.get(name)) for name in used])
    return text


def _first_choice(text: str, choices: Choices) -> str:
    return variables.MARK.sub(lambda use: (choices.get(use[1]) or ("",))[0], text)


def _labelled(name: str, vector: Vector, texts: Sequence[str]) -> Vector:
    if name == "label_join" and len(texts) >= 2:
        return functions.label_join(vector, texts[0], texts[1], texts[2:])
    if name == "label_replace" and len(texts) == 4:
        target, template, source, pattern = texts
        return functions.label_replace(vector, target, template, source, pattern)
    raise CannotJudge(f"{name}() without its texts")
