"""Processes that rules and dashboards name belong to the critical list, with their source."""

from __future__ import annotations

import pytest

from phoenix.guard.backend import Backend, preset_of
from phoenix.guard.critical import added_to, named_by
from phoenix.guard.variables import CLOSE, OPEN
from phoenix.pipelines import critical
from phoenix.testing.arms import alert, panel

NAME = "process_executable_name"


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (f'x{{{NAME}="nginx"}}', ["name:nginx"]),
        (f'x{{{NAME}=~"nginx|envoy"}}', ["name:nginx", "name:envoy"]),
        (f'x{{{NAME}=~"^(nginx|php-fpm8\\\\.2)$"}}', ["name:nginx", "name:php-fpm8.2"]),
        (f'x{{{NAME}=~"postgres.*"}}', ["regex:^(?:postgres.*)$"]),
        ('namedprocess_namegroup_num_procs{groupname="sshd"} == 0', ["name:sshd"]),
        ('x{exe="/usr/sbin/nginx"}', ["path:/usr/sbin/nginx"]),
        ('x{process_executable_path="/opt/app/run"}', ["path:/opt/app/run"]),
        (
            f'sum(rate(x{{{NAME}="a"}}[5m])) / sum(y{{{NAME}="b"}}) or absent(z{{comm="c"}})',
            ["name:a", "name:b", "name:c"],
        ),
        # Nobody is meant by these.
        (f'x{{{NAME}!="nginx",{NAME}!~"a.*"}}', []),
        (f'x{{{NAME}=~".*"}} or x{{{NAME}=~".+"}} or x{{{NAME}=~"[^-]+.*"}}', []),
        (f'x{{{NAME}=""}}', []),
        (f'x{{{NAME}=~"\\\\p{{L}}+"}}', []),
        ('x{host_name="web1"}', []),
        (f'x{{{NAME}=~"{OPEN}p{CLOSE}"}}', []),
        ("sum(", []),
    ],
)
def test_names_in_matchers_are_critical(expr: str, expected: list[str]) -> None:
    assert [str(rule) for rule in named_by([alert(expr)], Backend())] == expected


def test_rule_says_who_asks_for_it_first() -> None:
    queries = [alert(f'x{{{NAME}="nginx"}}'), panel(f'y{{{NAME}="nginx"}}')]
    [rule] = named_by(queries, Backend())
    assert rule.source == "rules.yaml: g, A"


def test_label_is_the_one_of_the_backend() -> None:
    query = alert('{"x", "process.executable.name"="nginx"}')
    assert named_by([query], Backend()) == []
    assert len(named_by([query], preset_of("prometheus_otlp_utf8"))) == 1


def test_only_what_is_new_is_added_to_a_list() -> None:
    given = (critical.parse("nginx"), critical.parse("regex:^kafka"))
    more = named_by([alert(f'x{{{NAME}=~"nginx|etcd"}}')], Backend())
    assert [str(rule) for rule in added_to(given, more)] == [
        "name:nginx",
        "regex:^kafka",
        "name:etcd",
    ]
