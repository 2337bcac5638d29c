"""What the lint knows of process_budget is what its Go code says, and what an experiment asks."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.collectors import distribution
from phoenix.pipelines import catalog, components, ottl_parse, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL, parse
from phoenix.pipelines.lint import lint
from phoenix.pipelines.lint_rules import budget

SOURCES = distribution.sources_dir() / "processor" / "processbudget"
CONFIG = (SOURCES / "config.go").read_text()
FACTORY = (SOURCES / "factory.go").read_text()
PIPELINE = """\
receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:4317}}}}
processors:
  process_budget:
    critical: CRITICAL
exporters: {nop: {}}
service: {pipelines: {metrics: {receivers: [otlp], processors: [process_budget], exporters: [nop]}}}
"""


def keys_of(struct: str) -> set[str]:
    body = CONFIG.split(f"type {struct} struct {{")[1].split("\n}")[0]
    return set(re.findall(r'mapstructure:"(\w+)"', body))


def test_every_nested_key_is_one_of_the_processor() -> None:
    structs = {
        "top": "TopConfig",
        "hysteresis": "HysteresisConfig",
        "hog": "HogConfig",
        "anomaly": "AnomalyConfig",
        "adaptive": "AdaptiveConfig",
        "slots": "SlotsConfig",
    }
    assert {name: keys_of(struct) for name, struct in structs.items()} == budget.SECTIONS
    assert keys_of("RankConfig") == budget.RANK
    assert keys_of("Matcher") == budget.MATCHER
    assert keys_of("Tier") == budget.TIER


def test_the_defaults_are_those_of_the_processor() -> None:
    names = {
        "max_processes": "MaxProcesses",
        "max_tracked": "MaxTracked",
        "other_category": "OtherCategory",
        "category_attribute": "CategoryAttribute",
        "temporality": "Temporality",
    }
    given = {
        key: re.search(rf"\b{name}:\s+\"?([\w.]+)\"?,", FACTORY) for key, name in names.items()
    }
    said = {key: found[1].replace("_", "") for key, found in given.items() if found}
    assert said == {key: str(value).replace("_", "") for key, value in budget.DEFAULTS.items()}
    shares = re.findall(r"(CPU|Memory|IO):\s+RankConfig\{Share: ([\d.]+)", FACTORY)
    assert {name.lower(): float(share) for name, share in shares} == budget.SHARES


def missed(critical: str, *rules: str) -> list[str]:
    text = PIPELINE.replace("CRITICAL", critical)
    found = lint(text, "given.yaml", critical=[parse(rule) for rule in rules])
    assert {finding.rule for finding in found} <= {"budget-misses-critical"}
    return [finding.message for finding in found]


@pytest.mark.parametrize(
    ("critical", "rule"),
    [
        ("[{name: nginx}]", "nginx"),
        ("[{name: a}, {name_regex: '^(nginx|httpd)$$'}]", "nginx"),
        ("[{name_regex: '^php-fpm'}]", "regex:^php-fpm"),
        ("[{path: /usr/sbin/}]", "path:/usr/sbin/nginx"),
        ("[{path_regex: ^/usr}]", "path:/usr/sbin/nginx"),
        ("[{owner: postgres}]", "owner:postgres"),
    ],
)
def test_a_critical_list_that_covers_the_experiments_is_sound(critical: str, rule: str) -> None:
    assert missed(critical, rule) == []


@pytest.mark.parametrize(
    ("critical", "rule"),
    [
        ("[]", "nginx"),
        ("[{name: nginx, owner: root}]", "nginx"),
        ("[{name_regex: '^httpd$$'}]", "nginx"),
        ("[{name_regex: '^php'}]", "regex:fpm$"),
        ("[{path: /usr/sbin}]", "path:/usr/sbin/nginx"),
        ("[{name: postgres}]", "owner:postgres"),
    ],
)
def test_a_critical_process_that_the_budget_does_not_put_first_is_named(
    critical: str, rule: str
) -> None:
    (message,) = missed(critical, rule)
    assert str(parse(rule)) in message


def test_a_long_list_of_missed_processes_is_cut() -> None:
    (message,) = missed("[]", *(f"name:p{i}" for i in range(8)))
    assert "name:p4 and 3 more" in message


@pytest.mark.parametrize(
    "name", [n for n in catalog.names() if "process_budget" in catalog.load(n).template]
)
def test_pipelines_with_a_budget_put_the_experiments_critical_processes_first(name: str) -> None:
    rules = (*DEFAULT_CRITICAL, parse("path:/opt/acme/"), parse("owner:acme"))
    config = render.production(catalog.load(name), None, rules, 60).config
    found = lint(config, name, environment=render.ENVIRONMENT, critical=rules)
    assert [finding for finding in found if finding.rule == "budget-misses-critical"] == []


KEYS = sorted({*components.FIELDS["process_budget"], *budget.MATCHER, *budget.TIER, *budget.RANK})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_whatever_a_budget_says_is_judged(said: object, scrapers: object) -> None:
    config = {
        "receivers": {"host_metrics": {"scrapers": scrapers}},
        "processors": {"process_budget": said, "filter": said, "transform": said},
        "exporters": {"nop": {}},
        "service": {
            "pipelines": {
                "metrics": {
                    "receivers": ["host_metrics"],
                    "processors": ["filter", "process_budget", "transform", "filter"],
                    "exporters": ["nop"],
                }
            }
        },
    }
    for finding in lint(json.dumps(config), critical=DEFAULT_CRITICAL):
        assert finding.remedy


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ('resource.attributes["a"] == nil', True),
        ('resource.attributes["a"] != nil', False),
        ('resource.attributes["a"] == "x"', False),
        ('resource.attributes["a"] != "x"', True),
        ('not IsMatch(resource.attributes["a"], "x")', True),
        ('IsMatch(resource.attributes["a"], ".*")', False),
        ('IsMatch(resource.attributes["b"], ".*")', None),
    ],
)
def test_what_is_absent_matches_nothing(condition: str, answer: bool | None) -> None:
    known = {'resource.attributes["a"]': None}
    assert ottl_parse.decide(ottl_parse.condition(condition), known) is answer
