"""The guard's claims about somebody else's program, put to that program: a real Prometheus 3 holds
what each arm emitted, and answers the same expressions.

- The series that we say a backend makes are those that it has.
- Label sets that we call sure are in its answer, and its answer holds no other than those we know.
- Queries that are silent there with the candidate, and not with the baseline, are those that we say
  go silent; alerts that fire with the candidate only are those that we say would.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from phoenix.guard import promql, series
from phoenix.guard.backend import Backend
from phoenix.guard.columns import arms
from phoenix.guard.judging import Judge
from phoenix.guard.operators import EngineRefuses
from phoenix.guard.resolver import Resolver
from phoenix.guard.results import Scalar
from phoenix.guard.vectors import Vector
from phoenix.measurement.emitted import Emitted
from phoenix.testing.arms import ALL, alert, folded, lacking, process
from phoenix.testing.prometheus import Prometheus, QueryRefused

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(1200)]

BEGIN_S, STEP_S, SCRAPES = 1_790_000_000, 15, 21
END_S = BEGIN_S + STEP_S * (SCRAPES - 1)
BACKEND = Backend(resource_labels="all", target_info=True)
NGINX, ETCD, BASH, BASH2 = ALL
BASELINE = (*ALL, process("java", 9, owner="app"))
CANDIDATES = {
    "without etcd": (NGINX, BASH, BASH2),
    "without owners": tuple(lacking(each, "process.owner") for each in BASELINE),
    "folded": (NGINX, folded("other")),
    "nothing": (),
}
MEM, CPU, UP = (
    "process_memory_usage_bytes",
    "process_cpu_time_seconds_total",
    "process_uptime_seconds",
)
NAME = "process_executable_name"


def request(emitted: Sequence[Emitted]) -> ExportMetricsServiceRequest:
    """Five minutes of scrapes; each series has values of its own, all of them above zero."""
    made = ExportMetricsServiceRequest()
    for place, each in enumerate(emitted):
        block = made.resource_metrics.add()
        for key, text in each.resource:
            block.resource.attributes.add(key=key).value.string_value = text
        scope = block.scope_metrics.add()
        for at, point in enumerate(each.points):
            metric = scope.metrics.add(name=point.metric, unit=point.unit)
            data = metric.gauge if point.kind == "gauge" else metric.sum
            if point.kind != "gauge":
                metric.sum.aggregation_temporality = 2
                metric.sum.is_monotonic = point.kind == "counter"
            for scrape in range(SCRAPES):
                sample = data.data_points.add(
                    time_unix_nano=(BEGIN_S + scrape * STEP_S) * 10**9,
                    as_double=1.0 + place + 0.25 * at + scrape * (1 + place),
                )
                if point.kind == "counter":
                    sample.start_time_unix_nano = (BEGIN_S - 60) * 10**9
                for key, text in point.attributes:
                    sample.attributes.add(key=key).value.string_value = text
    return made


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Prometheus]]:
    """One Prometheus for the baseline and one for each candidate."""
    running: dict[str, Prometheus] = {}
    data_dir = Path(__file__).parents[2] / ".phoenix"
    for name, emitted in {"baseline": BASELINE, **CANDIDATES}.items():
        running[name] = Prometheus(data_dir).__enter__()
        if emitted:
            running[name].take(request(emitted))
    yield running
    for each in running.values():
        each.__exit__(None, None, None)


def key(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def sets_of(vector: Vector, *, only_sure: bool) -> list[tuple[tuple[str, str], ...]]:
    """The label sets of a vector."""
    texts = vector.words.texts
    return [
        key(
            {name: texts[int(column[row])] for name, column in vector.labels.items() if column[row]}
        )
        for row in range(vector.size)
        if vector.sure[row] or not only_sure
    ]


def expressions(count: int, seed: int) -> Iterator[str]:
    """Expressions over what the arms have, and a little that they have not."""
    dice = random.Random(seed)

    def selector() -> str:
        metric = dice.choice((MEM, CPU, UP, MEM))
        who = dice.choice(("nginx", "etcd", "bash", "java", "postgres", "nginx|etcd", "e.*"))
        op = dice.choice(("=~", "=~", "!~"))
        more = dice.choice(("", "", ',process_owner="root"', ',process_owner!=""', ',state="user"'))
        return f'{metric}{{{NAME}{op}"{who}"{more}}}'

    def vector(depth: int) -> str:
        if depth == 0:
            return selector()
        inner = vector(depth - 1)
        labels = dice.choice(("host_name", NAME, f"{NAME}, process_owner", "process_pid"))
        other = dice.choice((selector(), vector(depth - 1)))
        return dice.choice(
            (
                f"sum by ({labels}) ({inner})",
                f"max without ({labels}) ({inner})",
                f"count by ({labels}) ({inner})",
                f"count({inner}) < {dice.randrange(1, 5)}",
                f"rate({selector()}[5m])",
                f"max_over_time({selector()}[2m])",
                f"absent({inner})",
                f"absent_over_time({selector()}[5m])",
                f"({inner}) or vector(0)",
                f"(sum({inner}) or vector(0)) < 1",
                f"({inner}) > 0",
                f"({inner}) and on ({labels}) ({other})",
                f"({inner}) unless on ({labels}) ({other})",
                f"({inner}) or ({other})",
                f"({inner}) / on ({NAME}, process_pid) group_left () ({selector()})",
                f"({inner}) * on ({NAME}) group_left (process_owner)"
                f" group by ({NAME}, process_owner) ({selector()})",
                f"({inner}) - ignoring (state) ({other})",
                f"topk(2, {inner})",
                f'label_replace({inner}, "short", "$1", "{NAME}", "(..).*")',
                f"-({inner})",
                f"group({inner})",
                f"({inner}) >= bool 1",
            )
        )

    for _ in range(count):
        yield vector(dice.randrange(1, 4))


EXPRESSIONS = tuple(dict.fromkeys(expressions(400, 7)))


def test_series_of_a_backend_are_those_that_prometheus_has(
    engines: dict[str, Prometheus],
) -> None:
    for name, emitted in {"baseline": BASELINE, **CANDIDATES}.items():
        ours = {key(labels) for each in emitted for labels in series.of(each, BACKEND)}
        theirs = {
            key(dict(one.labels)) for one in engines[name].ask('{__name__=~".+"}', at_s=END_S)
        }
        assert ours == theirs, name


@pytest.mark.parametrize("arm", ["baseline", *CANDIDATES])
def test_answers_of_prometheus_are_among_the_label_sets_that_are_resolved(
    engines: dict[str, Prometheus], arm: str
) -> None:
    emitted = {"baseline": BASELINE, **CANDIDATES}[arm]
    rows = [(labels, 1) for each in emitted for labels in series.of(each, BACKEND)]
    mine, _ = arms(rows, [])
    resolver = Resolver(mine, frozenset({MEM, CPU, UP, "process_count"}), {}, frozenset())
    wrong = []
    for expr in EXPRESSIONS:
        try:
            theirs = [key(dict(one.labels)) for one in engines[arm].ask(expr, at_s=END_S)]
        except QueryRefused as refusal:
            theirs = str(refusal)  # type: ignore[assignment]
        try:
            ours = resolver.resolve(promql.parse(expr), {})
        except EngineRefuses as refusal:
            if not isinstance(theirs, str):
                wrong.append(f"{expr}: we say {refusal}, it answers {theirs}")
            continue
        assert not isinstance(ours, Scalar)
        assert isinstance(ours, Vector)
        if isinstance(theirs, str):
            wrong.append(f"{expr}: it says {theirs}, we {sets_of(ours, only_sure=False)}")
            continue
        sure, known = set(sets_of(ours, only_sure=True)), set(sets_of(ours, only_sure=False))
        if not sure <= set(theirs) or not set(theirs) <= known:
            wrong.append(f"{expr}: it has {theirs}, we have {sure} for sure of {known}")
    assert not wrong, f"{len(wrong)} of {len(EXPRESSIONS)}:\n" + "\n".join(wrong[:8])


def test_what_goes_silent_or_fires_in_prometheus_is_said_to(
    engines: dict[str, Prometheus],
) -> None:
    """At least 99 % of what its answers show; at most 2 % of what is said is not so there.

    What is missed and what is wrong depend on values, which are not looked at.
    """
    shown = said = blocks = 0
    wrong, missed = [], []
    for name, emitted in CANDIDATES.items():
        findings = Judge(BASELINE, emitted, BACKEND).judge([alert(expr) for expr in EXPRESSIONS])
        for expr, finding in zip(EXPRESSIONS, findings, strict=True):
            try:
                before = engines["baseline"].ask(expr, at_s=END_S)
                after = engines[name].ask(expr, at_s=END_S)
            except QueryRefused:
                continue
            answer = finding.answer.value
            if bool(before) != bool(after):
                shown += 1
                expected = "goes silent" if before else "would fire"
                if answer == expected:
                    said += 1
                else:
                    missed.append(f"{name}: {expr}: {answer}, not {expected}")
            if finding.answer.blocks:
                blocks += 1
                # Silence for a process asked for by name leaves the others' answers.
                silent = not after or bool(finding.lost)
                fires = bool(after) and not before
                is_so = silent if answer == "goes silent" else fires
                if not is_so:
                    wrong.append(f"{name}: {expr}: {answer}")
    assert shown > 300
    assert said >= 0.99 * shown, "\n".join([f"{said} of {shown}", *missed])
    assert len(wrong) <= 0.02 * blocks, "\n".join([f"{len(wrong)} of {blocks}", *wrong])
