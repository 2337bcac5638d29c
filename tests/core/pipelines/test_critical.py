"""Critical rules: four kinds, one meaning here and in the collector."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.pipelines import ottl, ottl_parse
from phoenix.pipelines.critical import DEFAULT_CRITICAL, matches, parse
from phoenix.pipelines.errors import BadCriticalRule
from phoenix.pipelines.model import CriticalRule


def rule(text: str) -> CriticalRule:
    return parse(text)


@pytest.mark.parametrize(
    ("text", "name", "path", "owner", "holds"),
    [
        ("nginx", "nginx", None, None, True),
        ("name:nginx", "nginx2", None, None, False),
        ("regex:^worker-[0-9]+$", "worker-12", None, None, True),
        ("regex:^worker-[0-9]+$", "xworker-12", None, None, False),
        ("regex:sql", "mysqld", None, None, True),
        ("path:/usr/sbin/nginx", "x", "/usr/sbin/nginx", None, True),
        ("path:/usr/sbin/nginx", "x", "/usr/sbin/nginx2", None, False),
        ("path:/opt/shop/", "x", "/opt/shop/bin/till", None, True),
        ("path:/opt/shop/", "x", None, None, False),
        ("owner:postgres", "x", None, "postgres", True),
        ("owner:postgres", "x", None, None, False),
        ("a.b+c", "a.b+c", None, None, True),
        ("beam.smp", "beamXsmp", None, None, False),
    ],
)
def test_a_rule_holds_for_the_processes_it_names(
    text: str, name: str, path: str | None, owner: str | None, holds: bool
) -> None:
    assert matches(rule(text), name=name, path=path, owner=owner) is holds


@pytest.mark.parametrize(
    "text",
    ["", "name:", "regex:(", "regex:^(?!nginx)", r"regex:(a)\1", "path:relative", "group:x",
     "regex:a*+", r"regex:\pL", "name:" + "x" * 600, "name:a\nb"],
)  # fmt: skip
def test_a_rule_that_cannot_be_understood_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(BadCriticalRule) as refusal:
        parse(text)
    assert refusal.value.remedy


def test_the_default_list_is_made_of_names_and_patterns_that_parse() -> None:
    for known in DEFAULT_CRITICAL:
        assert known.kind in {"name", "regex"}
        assert parse(str(known)).value == known.value


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(st.lists(NAMES, min_size=1, max_size=5), NAMES)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_printable_name_survives_the_quoting_of_the_collector(
    named: list[str], other: str
) -> None:
    rules = [CriticalRule(kind="name", value=name, source="test") for name in named]
    condition = ottl_parse.condition(ottl.critical(rules).replace("$$", "$"))
    for name in (*named, other, other + named[0]):
        meant = any(matches(rule, name=name, path=None, owner=None) for rule in rules)
        assert ottl_parse.decide(condition, {ottl.NAME: name}) is meant
