"""A whole check: what blocks, what would lift it, and when it is not said."""

from __future__ import annotations

import json

from phoenix.guard.answers import Answer
from phoenix.guard.backend import Backend
from phoenix.guard.outcome import Outcome, check
from phoenix.measurement.emitted import Catalogue, Emitted, Point
from phoenix.measurement.model import Arm
from phoenix.pipelines import catalog
from phoenix.pipelines.model import Pipeline
from phoenix.testing.arms import ALL, POINTS, alert, panel, process, recording

MEM = "process_memory_usage_bytes"
NAME = "process_executable_name"
NGINX, ETCD, BASH, BASH2 = ALL
FOLDING = catalog.load("process-aggregated-v1")
SLIM = catalog.load("process-slim-v1")
VIRTUAL = Point("process.memory.virtual", "By", "sum", ())


def checked(
    queries: list[object],
    candidate: tuple[Emitted, ...],
    *,
    baseline: tuple[Emitted, ...] = ALL,
    pipeline: Pipeline | None = FOLDING,
    unlisted: int = 0,
) -> Outcome:
    emitted: dict[Arm, Catalogue] = {
        "baseline": Catalogue(baseline, unlisted=unlisted),
        "candidate": Catalogue(candidate),
    }
    return check(queries, emitted, Backend(), pipeline=pipeline)  # type: ignore[arg-type]


def test_outcome_counts_answers_and_says_how_it_knows() -> None:
    queries = [
        alert(f'{MEM}{{{NAME}="etcd"}} > 1'),
        alert(f'absent({MEM}{{{NAME}="etcd"}})'),
        panel(f'{MEM}{{{NAME}="nginx"}}'),
        panel("node_load1"),
        panel("sum("),
    ]
    outcome = checked(list(queries), (NGINX,))
    assert outcome.counts == {
        "same": 1,
        "goes silent": 1,
        "would fire": 1,
        "matches nothing today": 1,
        "cannot be judged": 1,
    }
    assert outcome.sentence == (
        "Of 5 queries 1 go silent and 1 would fire (resolved, not evaluated)."
    )
    assert json.loads(json.dumps(outcome.to_dict()))["blocks"] == 2


def test_nothing_that_blocks_needs_no_suggestion() -> None:
    outcome = checked([panel(f'{MEM}{{{NAME}="nginx"}}')], (NGINX,))
    assert outcome.suggestion is None
    assert outcome.sentence == (
        "None of 1 queries goes silent or would fire (resolved, not evaluated)."
    )


def test_smallest_patch_names_only_what_the_blocked_queries_miss() -> None:
    queries = [
        alert(f'{MEM}{{{NAME}="etcd"}} > 1'),
        alert(f'absent({MEM}{{{NAME}="etcd"}})'),
        panel(f"topk(5, {MEM})"),  # changes, and blocks nothing: bash is not needed
    ]
    suggestion = checked(list(queries), (NGINX,)).suggestion
    assert suggestion is not None
    assert suggestion.patch.to_dict() == {"critical": ["name:etcd"], "parameters": {}}
    assert (suggestion.lifts, suggestion.leaves) == (2, 0)
    assert suggestion.sentence == "To lift 2 of 2: keep etcd by name."


def test_patch_is_tried_through_recording_rules() -> None:
    queries = [
        recording("process:mem", f"sum by ({NAME}) ({MEM})"),
        alert(f'process:mem{{{NAME}="etcd"}} > 1'),
    ]
    suggestion = checked(list(queries), (NGINX,)).suggestion
    assert suggestion is not None
    assert suggestion.patch.critical == ("name:etcd",)


def test_what_no_name_lifts_is_not_helped_by_naming() -> None:
    other = Emitted((("host.name", "web1"),), POINTS, 100)
    outcome = checked(
        [alert(f'{MEM}{{process_owner="root"}} > 1')],
        tuple(Emitted(tuple(p for p in each.resource if p[0] != "process.owner"), each.points, 100)
              for each in (*ALL, other)),
    )  # fmt: skip
    assert outcome.suggestion is not None
    assert outcome.suggestion.patch.is_empty
    assert outcome.suggestion.sentence.startswith("No parameter of the pipeline")


def test_metric_that_a_parameter_keeps_is_asked_for_by_it() -> None:
    baseline = (process("nginx", points=(*POINTS, VIRTUAL)),)
    outcome = checked(
        [alert("process_memory_virtual_bytes > 1e12")],
        (process("nginx"),),
        baseline=baseline,
        pipeline=SLIM,
    )
    assert outcome.suggestion is not None
    assert outcome.suggestion.patch.to_dict() == {
        "critical": [],
        "parameters": {"virtual_memory": True},
    }
    assert outcome.suggestion.sentence == "To lift 1 of 1: set virtual_memory."


def test_configuration_of_ones_own_is_not_patched() -> None:
    outcome = checked([alert(f'{MEM}{{{NAME}="etcd"}} > 1')], (NGINX,), pipeline=None)
    assert outcome.suggestion is not None
    assert outcome.suggestion.patch.is_empty
    assert "of your own" in outcome.suggestion.sentence


def test_incomplete_list_blocks_nothing_and_says_why() -> None:
    outcome = checked([alert(f'{MEM}{{{NAME}="etcd"}} > 1')], (NGINX,), unlisted=3)
    [finding] = outcome.findings
    assert finding.answer is Answer.UNKNOWN
    assert "3 resources more" in finding.reason


def test_processes_that_queries_name_are_told_with_their_source() -> None:
    outcome = checked([alert(f'{MEM}{{{NAME}="postgres"}} > 1')], (NGINX,))
    assert outcome.to_dict()["critical"] == [
        {"kind": "name", "value": "postgres", "source": "rules.yaml: g, A"}
    ]
