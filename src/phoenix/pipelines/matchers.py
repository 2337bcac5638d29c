"""Rules about processes in the words of the `process_budget` processor.

Its matchers are mappings; all fields of one must hold, and any one of a list is enough. Patterns
are RE2 and searched, as everywhere in Phoenix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from phoenix.pipelines.model import CriticalKind, CriticalRule
from phoenix.pipelines.ottl import dollars
from phoenix.pipelines.parameters import pairs

_FIELDS: Mapping[CriticalKind, str] = {
    "name": "name",
    "regex": "name_regex",
    "path": "path",
    "owner": "owner",
}


def of_rules(rules: Sequence[CriticalRule]) -> str:
    """The matchers of `rules` as a YAML flow sequence."""
    return _flow([{_FIELDS[rule.kind]: rule.value} for rule in rules])


def of_names(patterns: Sequence[str]) -> str:
    """Matchers of executables' names."""
    return _flow([{"name_regex": pattern} for pattern in patterns])


def of_categories(categories: Sequence[str]) -> str:
    """`category=pattern` as the processor's categories."""
    return _flow([{"category": name, "name_regex": pattern} for name, pattern in pairs(categories)])


def _flow(entries: Sequence[Mapping[str, str]]) -> str:
    """JSON is YAML; the dollars are for the configuration's resolver."""
    return dollars(json.dumps(entries, ensure_ascii=False))
