"""Processes that rules and dashboards ask for by name: who asks for one would miss it.

An equality (`process_executable_name="nginx"`) or a list (`=~"nginx|envoy"`) names executables; any
other pattern becomes a pattern. A label that holds a path (`exe="/usr/sbin/nginx"`) names a path.
Each rule that comes of it says where it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from phoenix.guard import matching, names, promql
from phoenix.guard.backend import Backend
from phoenix.guard.model import Query
from phoenix.guard.promql import Matcher
from phoenix.guard.variables import OPEN
from phoenix.pipelines import critical
from phoenix.pipelines.errors import BadCriticalRule
from phoenix.pipelines.model import CriticalRule

NAME: Final = "process.executable.name"
PATH: Final = "process.executable.path"
#: As other exporters of process metrics call an executable: process-exporter, procstat, cAdvisor.
OTHER_LABELS: Final = ("groupname", "exe", "comm", "process_name", "executable")


def named_by(queries: Iterable[Query], backend: Backend) -> list[CriticalRule]:
    """The processes that queries name, in the order of the queries, each with its first source."""
    labels = {names.label_name(backend, NAME), names.label_name(backend, PATH), *OTHER_LABELS}
    found: dict[tuple[str, str], CriticalRule] = {}
    for query in queries:
        for matcher in _matchers(query):
            if matcher.label not in labels:
                continue
            for rule in _rules(matcher, f"{query.source}, {query.name}"[:200]):
                found.setdefault((rule.kind, rule.value), rule)
    return list(found.values())


def added_to(
    rules: Sequence[CriticalRule], more: Iterable[CriticalRule]
) -> tuple[CriticalRule, ...]:
    """The rules with those that say something new."""
    known = {(rule.kind, rule.value) for rule in rules}
    return (*rules, *(rule for rule in more if (rule.kind, rule.value) not in known))


def _matchers(query: Query) -> Iterator[Matcher]:
    if query.unreadable:
        return
    try:
        tree = promql.parse(query.expr)
    except promql.Unparsable:
        return
    for selector in promql.selectors(tree):
        for group in promql.matchers_of(selector):
            yield from (m for m in group if m.operator in ("=", "=~") and OPEN not in m.value)


def _rules(matcher: Matcher, source: str) -> Iterator[CriticalRule]:
    listed: tuple[str, ...] | None = (matcher.value,)
    if matcher.operator == "=~":
        listed = matching.literals(matcher.value)
    try:
        if listed is not None:
            for text in listed:
                if text:
                    kind = "path" if text.startswith("/") else "name"
                    yield critical.parse(f"{kind}:{text}", source=source)
        elif not _is_about_everything(matcher.value):
            yield critical.parse(f"regex:^(?:{matcher.value})$", source=source)
    except BadCriticalRule:
        return  # a pattern that the collector would not read alike names nobody for sure


def _is_about_everything(pattern: str) -> bool:
    """Whether a pattern fits names that nobody can have meant by it."""
    try:
        fits = matching.compiled(pattern)
    except matching.CannotJudge:
        return True
    return all(fits.fullmatch(text) for text in ("a", "zzz-0_9", "X.y"))
