"""Rules in the words of the budget processor: one matcher for each, nothing lost on the way."""

from __future__ import annotations

import json

import pytest

from phoenix.pipelines import catalog, documents, matchers, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL, parse

BUDGETED = ("process-topk-v1", "process-adaptive-v1", "process-intelligent-v1")


def test_each_rule_becomes_a_matcher() -> None:
    rules = [
        parse("nginx"),
        parse(r"regex:^kafka\d$"),
        parse("path:/opt/app/"),
        parse("owner:postgres"),
    ]
    # The configuration's resolver reads two dollars as one.
    assert json.loads(matchers.of_rules(rules)) == [
        {"name": "nginx"},
        {"name_regex": r"^kafka\d$$"},
        {"path": "/opt/app/"},
        {"owner": "postgres"},
    ]


def test_categories_and_names_keep_quotes_and_letters_beyond_ascii() -> None:
    assert json.loads(matchers.of_categories(['übung=^"a\\+b']))[0] == {
        "category": "übung",
        "name_regex": '^"a\\+b',
    }
    assert json.loads(matchers.of_names(["^python"])) == [{"name_regex": "^python"}]
    assert json.loads(matchers.of_names([])) == []


@pytest.mark.parametrize("name", BUDGETED)
def test_every_critical_rule_reaches_the_processor(name: str) -> None:
    made = render.arm(catalog.load(name), None, DEFAULT_CRITICAL, 10)
    config = documents.load(made.config, name)
    assert len(config["processors"]["process_budget"]["critical"]) == len(DEFAULT_CRITICAL)
    (pipeline,) = config["service"]["pipelines"].values()
    assert pipeline["processors"].index("process_budget") == 1, "after the memory limiter only"


@pytest.mark.parametrize("name", BUDGETED)
def test_states_and_slots_are_a_choice(name: str) -> None:
    made = render.arm(catalog.load(name), {"by_state": True, "slots": True}, (), 10)
    config = documents.load(made.config, name)
    assert config["processors"]["process_budget"]["slots"] == {"enabled": True}
    assert config["processors"]["process_budget"]["critical"] == []
    assert set(config["processors"]) == {"memory_limiter", "process_budget"}
