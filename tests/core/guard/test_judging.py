"""Many queries at once: dashboards with variables, whole sets of rules, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.guard import dashboards
from phoenix.guard.answers import Answer
from phoenix.guard.backend import Backend
from phoenix.guard.columns import arms
from phoenix.guard.judging import Judge
from phoenix.guard.model import Query, Variable
from phoenix.guard.variables import CLOSE, OPEN
from phoenix.testing.arms import ALL, UPTIME, alert, found, panel, process, recording

NGINX, ETCD, BASH, BASH2 = ALL
WITHOUT_ETCD = (NGINX, BASH, BASH2)
MEM = "process_memory_usage_bytes"
NAME = "process_executable_name"


def board(expr: str, *variables: dict[str, Any]) -> list[Query]:
    document = {
        "title": "B",
        "templating": {"list": list(variables)},
        "panels": [{"title": "P", "targets": [{"expr": expr}]}],
    }
    found = dashboards.of(document, "b.json")
    assert found is not None
    return found


def by_label(selector: str, **more: Any) -> dict[str, Any]:
    query = f"label_values({selector}, {NAME})"
    return {"name": "p", "type": "query", "query": query, **more}


def answers(queries: list[Query], candidate: Any = WITHOUT_ETCD) -> dict[str, str]:
    judge = Judge(ALL, candidate, Backend())
    return {each.query.name: each.answer.value for each in judge.judge(queries)}


def test_panel_is_judged_for_every_choice_at_once() -> None:
    queries = board(f'{MEM}{{{NAME}=~"$p"}}', by_label(MEM))
    assert answers(queries) == {"$p": "answer changes", "P": "answer changes"}


def test_choices_are_those_of_the_baseline() -> None:
    queries = board(f'{MEM}{{{NAME}="$p"}}', by_label(f'{MEM}{{{NAME}=~"et.*"}}'))
    assert answers(queries) == {"$p": "goes silent", "P": "goes silent"}


def test_pattern_of_a_variable_leaves_some_choices() -> None:
    queries = board(f'{MEM}{{{NAME}="$p"}}', by_label(MEM, regex="/^(ng.*)$/"))
    assert answers(queries)["P"] == "same"


def test_all_value_of_a_variable_is_a_pattern() -> None:
    queries = board(f'{MEM}{{{NAME}=~"$p"}}', by_label(MEM, includeAll=True, allValue="e.*"))
    assert answers(queries)["P"] == "goes silent"


def test_choices_of_the_file_are_texts() -> None:
    custom = {"name": "p", "type": "custom", "query": "etcd,postgres"}
    assert answers(board(f'{MEM}{{{NAME}=~"$p"}}', custom))["P"] == "goes silent"
    assert answers(board(f'{MEM}{{{NAME}!~"$p"}}', custom))["P"] == "same"


def test_variable_of_which_nothing_is_known_may_be_anything() -> None:
    unknown = {"name": "p", "type": "query", "query": "metrics(.*)"}
    assert answers(board(f'{MEM}{{{NAME}=~"$p"}}', unknown))["P"] == "answer changes"
    assert answers(board(f'{MEM}{{{NAME}!="$p",process_pid="1"}}', unknown))["P"] == "same"


def test_variable_that_is_filled_by_another_is_followed() -> None:
    outer = {"name": "h", "type": "query", "query": f"label_values({MEM}, host_name)"}
    inner = by_label(f'{MEM}{{host_name="$h",{NAME}!~"nginx|bash"}}')
    queries = board(f'{MEM}{{{NAME}="$p"}}', outer, inner)
    assert answers(queries)["P"] == "goes silent"


def test_variables_that_fill_each_other_end() -> None:
    one = by_label(f'{MEM}{{{NAME}="$q"}}')
    two = {**by_label(f'{MEM}{{{NAME}="$p"}}'), "name": "q"}
    assert answers(board(f'{MEM}{{{NAME}="$p"}}', one, two))["P"] == "answer changes"


def test_same_variable_of_two_dashboards_is_not_mixed_up() -> None:
    def of(name: str) -> Query:
        variable = Variable(name="p", values=(name,))
        expr = f'{MEM}{{{NAME}="{OPEN}p{CLOSE}"}}'
        return Query(
            kind="panel", source="x", name=name, expr=expr, variables=(variable,)
        )  # fmt: skip

    assert answers([of("nginx"), of("etcd")]) == {"nginx": "same", "etcd": "goes silent"}


def test_text_in_a_function_stands_for_the_first_choice() -> None:
    custom = {"name": "p", "type": "custom", "query": "x,y"}
    expr = f'label_replace({MEM}{{{NAME}="nginx"}}, "kind", "$p", "", "")'
    assert answers(board(expr, custom))["P"] == "same"


def test_findings_keep_the_order_of_the_queries() -> None:
    queries = [alert("a > 1"), panel(MEM), recording("r:x", MEM), alert("sum(")]
    judged = Judge(ALL, WITHOUT_ETCD, Backend()).judge(queries)
    assert [each.query for each in judged] == queries
    assert judged[1].to_dict()["answer"] == "answer changes"
    assert judged[1].to_dict()["blocks"] is False


def test_same_series_from_two_resources_is_one_series() -> None:
    judge = Judge([NGINX, NGINX], [NGINX], Backend())
    assert judge.sizes == (5, 5)  # four points and target_info, which has the job
    [finding] = judge.judge([alert(f"count({MEM}) > 0")])
    assert finding.answer is Answer.SAME


def test_series_that_come_and_go_are_counted() -> None:
    judge = Judge(ALL, [process("nginx", 1, ticks=20), ETCD], Backend())
    assert judge.flapping == 5


def test_arms_without_anything_can_be_asked() -> None:
    judge = Judge([], [], Backend())
    assert [each.answer for each in judge.judge([alert(MEM), alert("absent(x)")])] == [
        Answer.NOTHING,
        Answer.NOTHING,
    ]


def test_candidate_without_anything_silences_everything() -> None:
    judge = Judge(ALL, [], Backend())
    queries = [alert(f"{MEM} > 1"), alert(f"absent({MEM})"), panel(f"sum({MEM})")]
    assert [each.answer.value for each in judge.judge(queries)] == [
        "goes silent",
        "would fire",
        "goes silent",
    ]


def test_alert_that_died_in_public_is_told() -> None:
    """tuist/tuist pull request 12909: labels aggregated away, no data, and no data was fine."""
    leader = (UPTIME,)
    baseline = [process("etcd", 1, points=leader, cluster="a")]
    candidate = [process("other", 2, points=leader)]
    query = alert(
        f'min by (process_cluster, host_name) (process_uptime_seconds{{{NAME}="etcd"}}) == 0',
        no_data="ok",
    )
    finding = found(query, candidate, baseline=baseline)
    assert (finding.answer.value, finding.answer.blocks) == ("goes silent", True)


WHO = st.sampled_from(["nginx", "etcd", "bash", "postgres"])
SELECTOR = st.builds(
    lambda metric, op, who: f'{metric}{{{NAME}{op}"{who}"}}',
    st.sampled_from([MEM, "process_uptime_seconds", "process_threads"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    WHO,
)
EXPRESSION = st.recursive(
    SELECTOR,
    lambda inner: st.one_of(
        st.builds("sum by (host_name) ({})".format, inner),
        st.builds("count({}) < 2".format, inner),
        st.builds("absent({})".format, SELECTOR),
        st.builds("({}) or vector(0)".format, inner),
        st.builds("({}) > 5".format, inner),
        st.builds("({}) unless on (host_name) ({})".format, inner, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("topk(2, {})".format, inner),
    ),
    max_leaves=6,
)


@given(expr=EXPRESSION)
@settings(max_examples=150, deadline=None)
def test_same_arms_never_change_an_answer(expr: str) -> None:
    judged = found(alert(expr), ALL)
    assert judged.answer in (Answer.SAME, Answer.NOTHING), judged.reason


@given(expr=EXPRESSION, kept=st.sets(st.integers(0, 3)))
@settings(max_examples=150, deadline=None)
def test_only_what_the_baseline_has_can_go_silent(expr: str, kept: set[int]) -> None:
    candidate = [ALL[at] for at in sorted(kept)]
    judged = found(alert(expr), candidate)
    if judged.answer is Answer.SILENT:
        assert judged.baseline != "nothing"
    if judged.answer in (Answer.SAME, Answer.FEWER):
        assert judged.baseline == judged.candidate


@pytest.mark.parametrize("label", ["a", "b"])
def test_label_that_is_empty_is_no_label(label: str) -> None:
    first, second = arms([({"__name__": "x", label: ""}, 1)], [({"__name__": "x"}, 1)])
    assert first.keys.tolist() == second.keys.tolist()
