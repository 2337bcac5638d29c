"""Conditions and string literals in the collector's transformation language (OTTL), v0.161.

Three readers stand between us and a regular expression: YAML (the dumper's business), the
configuration resolver (`$$` is a dollar sign, `${..}` is replaced) and OTTL (a double-quoted string
with backslash escapes). `literal` serves the last two.

`IsMatch` of something absent is false and a comparison with it is false as well, so every condition
guards against absence first: a negated one would otherwise drop what is no process at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from phoenix.pipelines import re2
from phoenix.pipelines.model import CriticalRule

NAME = 'resource.attributes["process.executable.name"]'
PATH = 'resource.attributes["process.executable.path"]'
OWNER = 'resource.attributes["process.owner"]'
COMMAND_LINE = 'resource.attributes["process.command_line"]'

# Phoenix's own processes are Python programs, so their executable's path says nothing.
_OWN_COMMAND_LINE = r"(^| )-m phoenix( |$)|(^|/)bin/phoenix( |$)"


def dollars(text: str) -> str:
    """`text` as the configuration resolver must read it to give it back."""
    return text.replace("$", "$$")


def literal(text: str) -> str:
    """`text` as an OTTL string in a collector configuration."""
    assert text.isprintable(), "values are checked before they come here"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{dollars(escaped)}"'


def one_of(names: Sequence[str]) -> str:
    """A pattern for exactly these names."""
    return "^(" + "|".join(re2.quote(name) for name in names) + ")$"


def critical(rules: Sequence[CriticalRule]) -> str:
    """The condition that holds for the processes of `rules`; `false` when there are none."""
    of = {
        kind: tuple(dict.fromkeys(rule.value for rule in rules if rule.kind == kind))
        for kind in ("name", "regex", "path", "owner")
    }
    terms: list[str] = []
    patterns = ([one_of(of["name"])] if of["name"] else []) + list(of["regex"])
    terms += [f"{NAME} != nil and IsMatch({NAME}, {literal(pattern)})" for pattern in patterns]
    for path in of["path"]:
        same = f"HasPrefix({PATH}, {literal(path)})"
        terms.append(f"{PATH} != nil and {same if path.endswith('/') else _equals(PATH, path)}")
    terms += [_equals(OWNER, owner) for owner in of["owner"]]
    return "(" + " or ".join(f"({term})" for term in terms) + ")" if terms else "(false)"


def named(patterns: Sequence[str]) -> str:
    """The condition that an executable's name matches any of `patterns`; `false` without any."""
    if not patterns:
        return "(false)"
    joined = "|".join(f"({pattern})" for pattern in patterns)
    return f"({NAME} != nil and IsMatch({NAME}, {literal(joined)}))"


def own(paths: Sequence[str]) -> str:
    """The condition that holds for the processes of Phoenix: by executable path, or as a module."""
    terms = [f"{COMMAND_LINE} != nil and IsMatch({COMMAND_LINE}, {literal(_OWN_COMMAND_LINE)})"]
    if paths:
        prefixes = "^(" + "|".join(re2.quote(path) for path in sorted(set(paths))) + ")"
        terms.append(f"{PATH} != nil and IsMatch({PATH}, {literal(prefixes)})")
    return "(" + " or ".join(f"({term})" for term in terms) + ")"


def _equals(path: str, value: str) -> str:
    return f"{path} == {literal(value)}"
