"""What is wrong with a collector configuration, with the line and the remedy of each.

The collector's own `validate` builds the pipelines and so finds what does not parse. A dozen
classes of mistake pass it and are silent at run time: an inverted filter, a condition on the wrong
context, a metric that does not exist, a sum that sums nothing. Those are what this is for; what
`validate` finds is found here as well, without a collector and with a remedy. What neither can know
(an endpoint that nobody listens at, a name that no process has) is for `phoenix pipeline check`,
which runs it.

`docs/reference/lint.md` lists every rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from phoenix.pipelines import documents
from phoenix.pipelines.errors import BadConfiguration
from phoenix.pipelines.lint_rules import (
    budget,
    budget_flow,
    coverage,
    delivery,
    flow,
    scraper,
    statements,
    structure,
)
from phoenix.pipelines.lint_rules.view import Finding, View, pipes_of
from phoenix.pipelines.model import CriticalRule

__all__ = ["Finding", "lint"]


def lint(
    text: str,
    file: str = "configuration",
    *,
    environment: Collection[str] | None = None,
    critical: Sequence[CriticalRule] = (),
) -> list[Finding]:
    """The findings about the configuration `text`, by line; an empty list is a clean one.

    Args:
        file: what to call it in the findings.
        environment: names of the variables that will be set when the collector starts; None when
            that is not known, and then none is called unset.
        critical: which processes must stay visible by name, where that has been decided.
    """
    try:
        located = documents.locate(text, file)
    except BadConfiguration as refusal:
        return [_unreadable(refusal, file)]
    if not isinstance(located.data, Mapping):
        no_mapping = BadConfiguration(
            f"{file} holds no collector configuration: its top level is no mapping.",
            remedy="At its top level are receivers, exporters and service.",
        )
        return [_unreadable(no_mapping, file)]
    view = View(
        file=file,
        data=located.data,
        lines=located.lines,
        duplicates=located.duplicates,
        environment=None if environment is None else frozenset(environment),
        critical=tuple(critical),
    )
    view = replace(view, pipes=pipes_of(located.data))
    rules = (structure, scraper, statements, flow, delivery, budget, budget_flow, coverage)
    found = {finding for module in rules for finding in module.check(view)}
    return sorted(found, key=lambda f: (f.line, f.rule, f.message))


def _unreadable(refusal: BadConfiguration, file: str) -> Finding:
    line = refusal.context.get("line", 1)
    return Finding(
        rule="not-yaml",
        severity="error",
        file=file,
        line=line if isinstance(line, int) else 1,
        message=refusal.message,
        remedy=refusal.remedy or "",
    )
