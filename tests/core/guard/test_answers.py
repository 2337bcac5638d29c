"""What becomes of alerts, panels and recording rules when the candidate replaces the baseline."""

from __future__ import annotations

import pytest

from phoenix.guard.backend import Backend, preset_of
from phoenix.testing.arms import (
    ALL,
    COUNT,
    CPU,
    MEMORY,
    UPTIME,
    alert,
    answer,
    folded,
    found,
    lacking,
    panel,
    process,
    recording,
)

NGINX, ETCD, BASH, BASH2 = ALL
WITHOUT_ETCD = (NGINX, BASH, BASH2)
NGINX_ONLY = (NGINX,)
FOLDED = (NGINX, folded("other"))
MEM = "process_memory_usage_bytes"
NAME = "process_executable_name"
TOTALS = ("process.cpu.time", "process.memory.usage")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        # A process that is asked for by name and is gone.
        (f'{MEM}{{{NAME}="etcd"}} > 1e9', "goes silent"),
        (f'{MEM}{{{NAME}=~"etcd.*"}} > 1e9', "goes silent"),
        (f'rate(process_cpu_time_seconds_total{{{NAME}="etcd"}}[5m]) > 0.5', "goes silent"),
        (f'min by (host_name) ({MEM}{{{NAME}="etcd"}}) == 0', "goes silent"),
        (f'{MEM}{{{NAME}=~"nginx|etcd"}} > 1e9', "goes silent"),
        (f'{MEM}{{{NAME}="etcd"}} > 1 or {MEM}{{{NAME}="nginx"}} > 1', "goes silent"),
        # One that stays.
        (f'{MEM}{{{NAME}="nginx"}} > 1e9', "same"),
        (f'{MEM}{{{NAME}!="etcd"}} > 1e9', "same"),
        (f'{MEM}{{{NAME}=~"nginx|bash"}} > 1e9', "same"),
        # All of them.
        (f"{MEM} > 1e9", "answer changes"),
        (f"sum({MEM}) > 1e9", "answer changes"),
        (f"max by (host_name) ({MEM}) > 1e9", "answer changes"),
        (f"topk(1, {MEM}) > 1e9", "answer changes"),
        # Absence.
        (f'absent({MEM}{{{NAME}="etcd"}})', "would fire"),
        (f'absent_over_time({MEM}{{{NAME}="etcd"}}[10m])', "would fire"),
        (f'absent({MEM}{{{NAME}="nginx"}})', "same"),
        (f'absent({MEM}{{{NAME}="etcd"}} > 0)', "would fire"),
        # One of four is chosen, whichever it is: it fires today.
        (f'topk(1, {MEM}{{{NAME}!="bash"}})', "answer changes"),
        (f"absent(topk(1, {MEM}))", "fewer series, same answer"),
        (f'absent(max(topk(1, {MEM}{{{NAME}="etcd"}})))', "would fire"),
        (f'absent({MEM}{{{NAME}=~"etcd|nginx"}})', "fewer series, same answer"),
        (f"absent({MEM})", "fewer series, same answer"),
        # Counting.
        (f'count({MEM}{{{NAME}=~"nginx|etcd"}}) < 2', "would fire"),
        (f'count({MEM}{{{NAME}=~"nginx|etcd"}}) < 1', "fewer series, same answer"),
        (f"count({MEM}) > 3", "goes silent"),
        (f"group({MEM}) == 1", "fewer series, same answer"),
        # A number in place of what is not there.
        (f'(sum({MEM}{{{NAME}="etcd"}}) or vector(0)) < 1', "would fire"),
        (f'(sum({MEM}{{{NAME}="etcd"}}) or vector(0)) > 5', "goes silent"),
        (f'(count({MEM}{{{NAME}="etcd"}}) or vector(0)) == 0', "would fire"),
        # Others.
        (f'{MEM}{{{NAME}="nginx"}} unless on (host_name) {MEM}{{{NAME}="etcd"}}', "would fire"),
        (f'{MEM}{{{NAME}="nginx"}} and on (host_name) {MEM}{{{NAME}="etcd"}}', "goes silent"),
        (f'{MEM}{{{NAME}="nginx"}} unless on (host_name) {MEM}{{{NAME}="bash"}}', "same"),
        (
            f'{MEM}{{{NAME}="nginx"}} / on (host_name) {MEM}{{{NAME}="etcd"}} > 2',
            "goes silent",
        ),
        # Nothing to do with either.
        ("node_load1 > 5", "matches nothing today"),
        ("absent(node_load1)", "matches nothing today"),
        (f'{MEM}{{{NAME}="postgres"}} > 1', "matches nothing today"),
        (f'absent({MEM}{{{NAME}="postgres"}})', "matches nothing today"),
        ("vector(1) > 0", "matches nothing today"),
        # Together with series from elsewhere.
        (f'{MEM}{{{NAME}="etcd"}} / on (host_name) node_memory_bytes > 0.5', "goes silent"),
        (f'{MEM}{{{NAME}="nginx"}} / on (host_name) node_memory_bytes > 0.5', "same"),
        (f'node_load1 > 5 and on (host_name) {MEM}{{{NAME}="etcd"}}', "goes silent"),
        (f'node_load1 > 5 unless on (host_name) {MEM}{{{NAME}="etcd"}}', "answer changes"),
        (f'node_load1 > 5 or {MEM}{{{NAME}="nginx"}}', "same"),
    ],
)
def test_candidate_that_loses_etcd(expr: str, expected: str) -> None:
    assert answer(expr, WITHOUT_ETCD) == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (f'{MEM}{{process_owner="root"}} > 1e9', "goes silent"),
        (f'{MEM}{{process_owner!="root"}} > 1e9', "answer changes"),
        (f'{MEM}{{process_owner=~".*"}} > 1e9', "answer changes"),
        (f"sum by (process_owner) ({MEM}) > 1", "answer changes"),
        (f"sum by (host_name) ({MEM}) > 1", "answer changes"),
        (f"sum without (process_owner) ({MEM}) > 1", "answer changes"),
        (
            f"process_uptime_seconds * on (process_pid) group_left (process_owner) {MEM}",
            "answer changes",
        ),
        (f"{MEM} and on (process_owner) {MEM}", "answer changes"),
    ],
)
def test_candidate_that_loses_a_label(expr: str, expected: str) -> None:
    assert answer(expr, [lacking(each, "process.owner") for each in ALL]) == expected


def test_label_that_is_joined_on_makes_everything_go_silent() -> None:
    expr = (
        f'{MEM}{{{NAME}="nginx"}} * on (process_owner) process_uptime_seconds{{{NAME}="etcd"}} > 1'
    )
    candidate = (NGINX, lacking(ETCD, "process.owner"))
    assert answer(expr, candidate) == "goes silent"


@pytest.mark.parametrize(
    ("expr", "conserved", "expected"),
    [
        (f"sum({MEM}) > 1e9", TOTALS, "fewer series, same answer"),
        (f"sum by (host_name) ({MEM}) > 1e9", TOTALS, "fewer series, same answer"),
        (
            "sum(rate(process_cpu_time_seconds_total[5m])) > 3",
            TOTALS,
            "fewer series, same answer",
        ),
        (f"sum({MEM}) / 2 > 1e9", TOTALS, "fewer series, same answer"),
        (f"sum({MEM}) > 1e9", (), "answer changes"),
        (f"avg({MEM}) > 1e9", TOTALS, "answer changes"),
        (f"sum(sqrt({MEM})) > 1e9", TOTALS, "answer changes"),
        (f'sum({MEM}{{{NAME}=~".+"}}) > 1e9', TOTALS, "answer changes"),
        (f"sum by ({NAME}) ({MEM}) > 1e9", TOTALS, "answer changes"),
        (f'sum by ({NAME}) ({MEM}{{{NAME}="etcd"}}) > 1e9', TOTALS, "goes silent"),
    ],
)
def test_candidate_that_folds_all_but_nginx(
    expr: str, conserved: tuple[str, ...], expected: str
) -> None:
    assert answer(expr, FOLDED, conserved=conserved) == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (f'{MEM}{{{NAME}="etcd"}}', "goes silent"),
        (f'sum({MEM}{{{NAME}="etcd"}}) or vector(0)', "goes silent"),
        (f'count({MEM}{{{NAME}="etcd"}}) or vector(0)', "goes silent"),
        (f"topk(10, {MEM})", "answer changes"),
        (f"sort_desc({MEM})", "answer changes"),
        (f'absent({MEM}{{{NAME}="etcd"}})', "answer changes"),
        (f'topk(10, {MEM}{{{NAME}="nginx"}})', "same"),
        (f'time() - process_uptime_seconds{{{NAME}="nginx"}}', "same"),
        (f'scalar({MEM}{{{NAME}="etcd"}})', "answer changes"),
        (f'scalar({MEM}{{{NAME}="nginx"}})', "same"),
    ],
)
def test_panels(expr: str, expected: str) -> None:
    assert answer(panel(expr), WITHOUT_ETCD) == expected


def test_metric_that_is_gone_is_silent() -> None:
    candidate = [process("nginx", 1, points=(MEMORY,))]
    assert answer("process_uptime_seconds < 60", candidate, baseline=(NGINX,)) == "goes silent"


def test_renamed_metric_is_silent() -> None:
    renamed = CPU[0].__class__("process.cpu.seconds", "s", "counter", ())
    candidate = [process("nginx", 1, points=(renamed, MEMORY, UPTIME))]
    expr = "rate(process_cpu_time_seconds_total[5m]) > 0.9"
    assert answer(expr, candidate, baseline=(NGINX,)) == "goes silent"


def test_every_state_of_a_grafana_alert_without_data_is_its_own_case() -> None:
    expr = f'min({MEM}{{{NAME}="etcd"}})'
    states = {
        state: answer(alert(expr, thresholded=True, no_data=state), WITHOUT_ETCD)
        for state in ("ok", "keep_last", "no_data", "alerting")
    }
    assert states == {
        "ok": "goes silent",
        "keep_last": "goes silent",
        "no_data": "would fire",
        "alerting": "would fire",
    }


def test_silence_says_how_long_an_alert_goes_on() -> None:
    query = alert(f'{MEM}{{{NAME}="etcd"}} > 1', keep_firing_for="10m")
    finding = found(query, WITHOUT_ETCD)
    assert finding.reason == (
        "nothing would answer any more: process_memory_usage_bytes"
        '{process_executable_name="etcd"} finds 1 series today, 0 with the candidate '
        "(one that fires goes on for 10m)"
    )


def test_change_tells_both_answers_and_what_is_lost() -> None:
    finding = found(panel(f"count by ({NAME}) ({MEM})"), (NGINX, BASH))
    assert (finding.baseline, finding.candidate) == ("3 label sets", "2 label sets")
    assert finding.lost == ({NAME: "etcd"},)
    assert finding.reason.startswith("1 label sets go, 1 are computed from other series: ")
    counts = found(panel(f"count({MEM})"), NGINX_ONLY)
    assert (counts.baseline, counts.candidate) == ("4", "1")


# Recording rules


def test_rules_are_followed_through_what_they_record() -> None:
    others = (
        recording("process:mem", f"sum by ({NAME}) ({MEM})", team="sre"),
        recording("team:mem", f'sum by (team, {NAME}) ({{__name__="process:mem"}})'),
    )

    def of(expr: str) -> str:
        return answer(expr, WITHOUT_ETCD, others=others)

    assert of(f'team:mem{{team="sre",{NAME}="etcd"}} > 1') == "goes silent"
    assert of(f'team:mem{{team="sre",{NAME}="nginx"}} > 1') == "same"
    assert of('team:mem{team="other"} > 1') == "matches nothing today"
    assert of(f'absent(process:mem{{{NAME}="etcd"}})') == "would fire"
    assert of('{__name__=~"process:.*"} > 1') == "answer changes"


def test_recording_rule_is_judged_itself() -> None:
    query = recording("etcd:mem", f'sum({MEM}{{{NAME}="etcd"}})')
    assert answer(query, WITHOUT_ETCD) == "goes silent"


def test_rule_that_records_itself_cannot_be_judged() -> None:
    loop = recording("a:b", "sum(a:b)")
    finding = found(alert("a:b > 1"), WITHOUT_ETCD, others=(loop,))
    assert finding.answer == "cannot be judged"
    assert "recorded from itself" in finding.reason


def test_reason_of_an_unreadable_recording_rule_reaches_those_that_ask_for_it() -> None:
    broken = recording("a:b", "sum(")
    finding = found(alert("a:b > 1"), WITHOUT_ETCD, others=(broken,))
    assert finding.answer == "cannot be judged"
    assert finding.reason.startswith("it asks for a:b, which is not PromQL")


def test_rule_that_records_series_from_elsewhere_is_from_elsewhere() -> None:
    other = recording("node:load", "sum by (instance) (node_load1)")
    assert answer("node:load > 1", WITHOUT_ETCD, others=(other,)) == "matches nothing today"


# What cannot be judged


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        (f'{MEM}{{{NAME}=~"\\\\p{{L}}+"}}', "cannot be tried here"),
        (f"info({MEM})", "info()"),
        (f"{MEM} * on (host_name) {MEM}", "several series"),
        (f'{MEM} * on (host_name) group_left () {MEM}{{{NAME}="bash"}}', "several series"),
        ("sum(", "not PromQL"),
        ("x[5m] smoothed", "not PromQL"),
    ],
)
def test_what_cannot_be_judged_has_its_reason(expr: str, why: str) -> None:
    finding = found(alert(expr), WITHOUT_ETCD)
    assert finding.answer == "cannot be judged"
    assert why in finding.reason


def test_values_that_are_not_kept_are_not_guessed() -> None:
    from dataclasses import replace

    hidden = replace(NGINX, withheld=frozenset({"process.command_line"}))
    other = process("envoy", 9)

    def of(expr: str) -> str:
        return answer(expr, (other,), baseline=(hidden, other))

    assert of(f'{MEM}{{process_command_line=~".*--port.*"}}') == "cannot be judged"
    assert of(f'{MEM}{{process_command_line!=""}}') == "goes silent"
    assert of(f'{MEM}{{{NAME}="envoy"}}') == "same"


def test_candidate_that_makes_a_join_ambiguous_is_silent() -> None:
    expr = f'{MEM}{{{NAME}="nginx"}} * on (host_name, process_owner) process_uptime_seconds > 1'
    baseline = (NGINX, process("other", 7, points=(MEMORY,)))
    candidate = (NGINX, process("other", 7))
    finding = found(alert(expr), candidate, baseline=baseline)
    assert finding.answer == "goes silent"
    assert "error" in finding.reason


# Steadiness


def test_series_that_hardly_comes_counts_as_gone() -> None:
    rare = process("etcd", 2, ticks=10)
    judged = found(alert(f'{MEM}{{{NAME}="etcd"}} > 1'), (NGINX, rare, BASH, BASH2))
    assert judged.answer == "goes silent"


def test_series_that_comes_less_often_changes_the_answer() -> None:
    rarer = process("etcd", 2, ticks=70)
    assert answer(f'{MEM}{{{NAME}="etcd"}} > 1', (NGINX, rarer, BASH, BASH2)) == "answer changes"


def test_two_ticks_less_are_nobodys_fault() -> None:
    late = process("etcd", 2, ticks=3)
    baseline = (NGINX, process("etcd", 2, ticks=5))
    assert answer(f'{MEM}{{{NAME}="etcd"}} > 1', (NGINX, late), baseline=baseline) == "same"


# Backends


def test_names_are_those_of_the_backend() -> None:
    utf8 = preset_of("prometheus_otlp_utf8")
    expr = '{"process.memory.usage", "process.executable.name"="etcd"} > 1'
    assert answer(expr, WITHOUT_ETCD, backend=utf8) == "goes silent"
    assert answer(f'{MEM}{{{NAME}="etcd"}} > 1', WITHOUT_ETCD, backend=utf8) == (
        "matches nothing today"
    )


def test_processes_of_a_backend_without_their_labels_are_one_series() -> None:
    plain = preset_of("remote_write_plain")
    assert answer(f"{MEM} > 1", NGINX_ONLY, backend=plain) == "same"
    expr = f'target_info{{{NAME}="etcd"}}'
    assert answer(expr, WITHOUT_ETCD, backend=plain) == "goes silent"


def test_external_labels_are_matched_on() -> None:
    backend = Backend(external_labels={"cluster": "eu"})
    expr = f'{MEM}{{cluster="eu",{NAME}="etcd"}} > 1'
    assert answer(expr, WITHOUT_ETCD, backend=backend) == "goes silent"


def test_both_arms_alike_change_nothing() -> None:
    exprs = [
        f"{MEM} > 1", f"topk(3, {MEM})", f"absent({MEM})", f"count by ({NAME}) ({MEM}) > 1",
        f'label_replace({MEM}, "short", "$1", "{NAME}", "(..).*")',
        f'label_join({MEM}, "j", "-", "{NAME}", "host_name")',
        f"max_over_time(sum({MEM})[1h:5m] offset 1d)", f"-{MEM}", f"{MEM} > bool 5",
        f"quantile(0.9, {MEM})", f'count_values("v", {MEM})', f"{MEM} @ end()",
        f"histogram_quantile(0.9, {MEM})", f"{MEM} or {MEM}", f"hour() > 5 and on () {MEM}",
        f"clamp_max({MEM}, 5)", f"5 < {MEM}", f"{MEM} % 2 ^ 3", f"limitk(1, {MEM})",
    ]  # fmt: skip
    assert {expr: answer(expr, ALL) for expr in exprs} == dict.fromkeys(exprs, "same")


def test_aggregated_metric_that_only_the_candidate_has_is_a_change() -> None:
    assert answer("process_count > 5", (NGINX, process("x", points=(COUNT,)))) == "answer changes"
