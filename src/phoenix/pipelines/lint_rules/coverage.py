"""Which processes must stay visible by name, and are not among those a `process_budget` puts first.

Whoever is not critical to the processor competes for a seat, and is folded when others use more. A
matcher counts as covering a rule only if it holds for every process that the rule is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines import re2
from phoenix.pipelines.lint_rules.budget import matchers
from phoenix.pipelines.lint_rules.view import Finding, Path, View
from phoenix.pipelines.model import CriticalRule

_SHOWN = 5


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module; none where no critical list is given."""
    for identifier, settings in view.of_type("processors", "process_budget"):
        yield from _missed(view, ("processors", identifier), settings)


def _missed(view: View, base: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    given = [m for path, m in matchers(base, settings) if path[-2] == "critical"]
    missed = [rule for rule in view.critical if not any(_covers(m, rule) for m in given)]
    if missed:
        more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
        names = ", ".join(str(rule) for rule in missed[:_SHOWN])
        yield view.finding(
            "budget-misses-critical", "warning", (*base, "critical"),
            f"These must stay visible, and no entry of critical names them: {names}{more}.",
            "Add them to critical; otherwise they compete with all others.",
        )  # fmt: skip


def _covers(matcher: Mapping[str, Any], rule: CriticalRule) -> bool:
    """Does the matcher hold for every process that the rule is about, as far as can be said?"""
    fields = {str(key): str(value) for key, value in matcher.items() if value}
    if len(fields) != 1:
        return False
    ((key, value),) = fields.items()
    pattern = value.replace("$$", "$")
    match rule.kind:
        case "name":
            return (key == "name" and value == rule.value) or (
                key == "name_regex" and _found(pattern, rule.value)
            )
        case "regex":
            return key == "name_regex" and rule.value in pattern
        case "path":
            whole = key == "path" and (
                value == rule.value or (value.endswith("/") and rule.value.startswith(value))
            )
            return whole or (key == "path_regex" and _found(pattern, rule.value))
        case "owner":
            return key == "owner" and value == rule.value


def _found(pattern: str, text: str) -> bool:
    return re2.why_not_both(pattern) is None and re2.compiled(pattern).search(text) is not None
