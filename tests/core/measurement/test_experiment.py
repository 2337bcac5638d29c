"""Ticks: which one a scrape belongs to, when it closes, what it says, and why it is excluded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from phoenix.measurement.experiment import ExperimentMeter, Resume
from phoenix.measurement.model import METER_RESTARTED, Arm, Subscription, Tick
from phoenix.measurement.ticks import TickClock
from phoenix.pipelines.critical import parse
from phoenix.testing.otlp import FakeProcess, collector_bytes

SECOND = 1_000_000_000
T0 = 1_800_000_000 * SECOND + 300_000_000
CPU = "process.cpu.time"
MEMORY = "process.memory.usage"


def meter(*, resume: Resume | None = None, **changes: object) -> ExperimentMeter:
    subscription = Subscription(
        experiment_id="exp-a1b2c3d4",
        interval_s=1.0,
        critical=(parse("nginx"),),
        token_sha256={},
        states={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return ExperimentMeter(replace(subscription, **changes), now_ns=T0, resume=resume)  # type: ignore[arg-type]


def process(name: str, pid: int, cpu_s: float = 3.0, **more: object) -> FakeProcess:
    known = {"started_ns": T0 - 3600 * SECOND, "cpu_s": cpu_s, "memory_bytes": 1000, **more}
    return FakeProcess(name=name, pid=pid, **known)  # type: ignore[arg-type]


def send(
    to: ExperimentMeter, arm: Arm, host: Sequence[FakeProcess], at_ns: int,
    arrived_ns: int | None = None,
) -> None:  # fmt: skip
    body = collector_bytes(host, at_ns)
    to.accept(
        arm,
        to.decoders[arm].protobuf(body),
        raw_bytes=len(body),
        wire_bytes=len(body) // 10,
        arrived_ns=at_ns + 50_000_000 if arrived_ns is None else arrived_ns,
    )


def both(to: ExperimentMeter, host: Sequence[FakeProcess], at_ns: int) -> None:
    send(to, "baseline", host, at_ns)
    send(to, "candidate", host, at_ns)


def closed(of: ExperimentMeter, at_ns: int) -> list[Tick]:
    return of.close_due(at_ns)


HOST = (process("nginx", 10), process("bash", 11), process("bash", 12))


@given(jitter=st.lists(st.integers(-200_000_000, 200_000_000), min_size=2, max_size=40))
def test_scrapes_that_jitter_less_than_a_quarter_keep_their_numbers(jitter: list[int]) -> None:
    clock = TickClock(1.0)
    jitter[0] = 0
    numbers = [clock.number("baseline", T0 + i * SECOND + j) for i, j in enumerate(jitter)]
    assert numbers == list(range(1_800_000_000, 1_800_000_000 + len(jitter)))


def test_a_restarted_scraper_gets_a_new_phase_and_never_a_used_number() -> None:
    clock = TickClock(1.0)
    first = [clock.number("baseline", T0 + i * SECOND) for i in range(3)]
    moved = [clock.number("baseline", T0 + (2 + i) * SECOND + 450_000_000) for i in range(4)]
    assert moved == [first[-1] + 1 + i for i in range(4)]
    assert clock.phase_changes == 1


def test_one_scrape_off_its_place_moves_no_phase() -> None:
    clock = TickClock(1.0)
    at = [0, 1, 2.4, 3, 4]
    numbers = [clock.number("baseline", T0 + round(s * SECOND)) for s in at]
    assert [n - numbers[0] for n in numbers] == [0, 1, 2, 3, 4]
    assert clock.phase_changes == 0


@given(
    parts=st.lists(st.integers(0, 700_000_000), min_size=1, max_size=40),
    first=st.sampled_from(["baseline", "candidate"]),
)
def test_the_parts_of_a_long_scrape_have_its_number_whichever_arm_came_first(
    parts: list[int], first: str
) -> None:
    clock = TickClock(1.0)
    for i, late in enumerate(parts):
        begin = T0 + i * SECOND
        order = [("baseline", begin), ("candidate", begin + late)]
        if first == "candidate":
            order.reverse()
        numbers = {clock.number(arm, at_ns) for arm, at_ns in order}
        if i or first == "baseline":
            assert len(numbers) == 1


def test_a_candidate_that_scrapes_for_itself_has_its_own_place_in_the_same_interval() -> None:
    clock = TickClock(1.0, shared=False)
    base = [clock.number("baseline", T0 + i * SECOND) for i in range(5)]
    wobble = (0, 30_000_000, -30_000_000, 10_000_000, -10_000_000)
    own = [
        clock.number("candidate", T0 + i * SECOND + 500_000_000 + w) for i, w in enumerate(wobble)
    ]
    assert own == base


def test_a_tick_closes_one_interval_after_its_scrape_and_not_before() -> None:
    m = meter()
    both(m, HOST, T0)
    assert closed(m, T0 + SECOND - 1) == []
    [tick] = closed(m, T0 + SECOND + 50_000_000)
    assert tick.excluded is None
    assert tick.tick == 1_800_000_000
    assert tick.at.timestamp() == pytest.approx(T0 / 1e9)


def test_what_comes_after_closing_is_late_and_told_in_the_next_tick() -> None:
    m = meter()
    both(m, HOST, T0)
    closed(m, T0 + 2 * SECOND)
    send(m, "candidate", HOST, T0, arrived_ns=T0 + 2 * SECOND)
    both(m, HOST, T0 + SECOND)
    [tick] = closed(m, T0 + 3 * SECOND)
    assert tick.candidate and tick.baseline
    assert (tick.candidate.late, tick.baseline.late) == (21, 0)
    assert tick.candidate.points == 21


def test_the_same_request_twice_is_counted_as_duplicates_and_adds_no_totals() -> None:
    m = meter()
    for second in (0, 1):
        host = [replace(p, cpu_s=3.0 + second) for p in HOST]
        both(m, host, T0 + second * SECOND)
        send(m, "candidate", host, T0 + second * SECOND)
    *_, tick = closed(m, T0 + 5 * SECOND)
    assert tick.candidate and tick.baseline
    assert (tick.candidate.points, tick.candidate.duplicates) == (42, 21)
    assert tick.candidate.series == tick.baseline.series == 21
    assert tick.candidate.levels == tick.baseline.levels
    assert tick.candidate.increments == tick.baseline.increments


def test_a_series_twice_in_a_tick_counts_its_latest_level_once() -> None:
    m = meter()
    send(m, "baseline", [process("a", 1, memory_bytes=1000)], T0)
    send(m, "baseline", [process("a", 1, memory_bytes=1500)], T0 + 100_000_000)
    [tick] = closed(m, T0 + 2 * SECOND)
    assert tick.baseline and tick.baseline.levels[MEMORY] == 1500
    assert (tick.baseline.points, tick.baseline.series, tick.baseline.duplicates) == (14, 7, 0)


def test_a_live_arm_that_sends_nothing_is_a_tick_with_zero_output() -> None:
    m = meter()
    both(m, HOST, T0)
    send(m, "baseline", HOST, T0 + SECOND)
    [_, tick] = closed(m, T0 + 3 * SECOND)
    assert tick.excluded is None
    assert tick.candidate and tick.baseline
    assert (tick.candidate.points, tick.candidate.levels["process.count"]) == (0, 0.0)
    assert (tick.critical_baseline, tick.critical_candidate) == (1, 0)
    assert tick.missing == ("nginx[10]",)
    assert (tick.recall_memory, tick.hidden_names, tick.baseline.lone) == (0.0, 2, 21)


def test_a_dead_arm_makes_the_tick_unpaired_and_the_next_one_a_gap() -> None:
    m = meter()
    both(m, HOST, T0)
    m.states = {"candidate": "dead"}
    send(m, "baseline", HOST, T0 + SECOND)
    dead = closed(m, T0 + 3 * SECOND)[-1]
    m.states = {"candidate": "alive"}
    both(m, HOST, T0 + 2 * SECOND)
    both(m, HOST, T0 + 3 * SECOND)
    gap, good = closed(m, T0 + 6 * SECOND)
    assert (dead.excluded, dead.candidate) == ("unpaired:candidate", None)
    assert gap.excluded == "gap_before:candidate"
    assert gap.candidate and gap.candidate.span_ticks == 2
    assert good.excluded is None


def test_a_missing_baseline_is_never_evidence_and_a_hole_is_told_tick_by_tick() -> None:
    m = meter()
    both(m, HOST, T0)
    send(m, "candidate", HOST, T0 + SECOND)
    both(m, HOST, T0 + 4 * SECOND)
    ticks = closed(m, T0 + 7 * SECOND)
    assert [t.excluded for t in ticks] == [None, *["unpaired:baseline"] * 3, None]
    assert [t.baseline for t in ticks[1:4]] == [None] * 3
    assert [t.tick - ticks[0].tick for t in ticks] == [0, 1, 2, 3, 4]


def restarted() -> ExperimentMeter:
    return meter(resume=Resume(last_tick=1_799_999_990, sketches={}, names=()))


def test_after_a_restart_ticks_wait_for_the_arm_whose_queue_comes_later() -> None:
    m = restarted()
    for second in range(8):  # the baseline's back-off ends first, and brings what had waited
        send(m, "baseline", HOST, T0 + second * SECOND, arrived_ns=T0 + 8 * SECOND)
    assert closed(m, T0 + 12 * SECOND) == []
    for second in range(12):
        send(m, "candidate", HOST, T0 + second * SECOND, arrived_ns=T0 + 12 * SECOND)
    for second in range(8, 12):
        send(m, "baseline", HOST, T0 + second * SECOND, arrived_ns=T0 + 12 * SECOND)
    ticks = closed(m, T0 + 14 * SECOND)
    assert [t.excluded for t in ticks] == [METER_RESTARTED, *[None] * 11]


def test_what_never_came_back_from_a_queue_is_held_against_nobody() -> None:
    m = restarted()
    for second in range(3):
        send(m, "baseline", HOST, T0 + second * SECOND)
    send(m, "candidate", HOST, T0 + 2 * SECOND)
    send(m, "baseline", HOST, T0 + 3 * SECOND)
    ticks = closed(m, T0 + 6 * SECOND)
    assert [t.excluded for t in ticks] == [
        "catching_up:candidate", "catching_up:candidate", "gap_before:candidate", None,
    ]  # fmt: skip
    assert [t.candidate is None for t in ticks] == [True, True, False, False]


def test_an_arm_that_does_not_come_back_is_waited_for_one_minute() -> None:
    m = restarted()
    for second in range(62):
        send(m, "baseline", HOST, T0 + second * SECOND)
    assert closed(m, T0 + 59 * SECOND) == []
    ticks = closed(m, T0 + 64 * SECOND)
    assert {t.excluded for t in ticks[:60]} == {"catching_up:candidate"}
    assert ticks[-1].excluded is None
    assert ticks[-1].candidate is not None and ticks[-1].candidate.points == 0


def test_the_first_tick_after_a_restart_is_excluded() -> None:
    m = meter(resume=Resume(last_tick=1_799_999_990, sketches={}, names=()))
    both(m, HOST, T0)
    both(m, HOST, T0 + SECOND)
    first, second = closed(m, T0 + 4 * SECOND)
    assert (first.excluded, second.excluded) == (METER_RESTARTED, None)
    assert first.baseline and first.baseline.increments is None


def test_counters_rise_by_the_rule() -> None:
    m = meter()
    born = T0 + SECOND // 2
    hosts = [
        [process("bash", 1, cpu_s=3.0), process("old", 2, cpu_s=50.0)],
        # bash becomes python by exec; a new process; one that was there but hidden before
        [process("python", 1, cpu_s=6.0), process("old", 2, cpu_s=50.0),
         process("new", 3, cpu_s=0.3, started_ns=born), process("hidden", 4, cpu_s=900.0)],
        # pid 2 is another process now
        [process("python", 1, cpu_s=6.0), process("two", 2, cpu_s=0.6, started_ns=born + SECOND),
         process("new", 3, cpu_s=0.3, started_ns=born), process("hidden", 4, cpu_s=903.0)],
    ]  # fmt: skip
    for second, host in enumerate(hosts):
        both(m, host, T0 + second * SECOND)
    one, two, three = closed(m, T0 + 9 * SECOND)
    assert one.baseline and two.baseline and three.baseline
    assert one.baseline.increments is None
    assert two.baseline.increments and three.baseline.increments
    # user time and a third of it as system time: every rise counts four thirds
    assert two.baseline.increments[CPU] == pytest.approx((3.0 + 0.3) * 4 / 3)
    assert three.baseline.increments[CPU] == pytest.approx((0.6 + 3.0) * 4 / 3)
    assert [(t.name, t.shown) for t in three.top_cpu] == [("hidden", True), ("two", True)]


def aggregated(at_ns: int, *, cpu_s: float, start_ns: int, delta: bool) -> bytes:
    """The rest, folded: one resource without a name, CPU time and count by category."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    cpu = metrics.add(name=CPU).sum
    cpu.is_monotonic = True
    cpu.aggregation_temporality = 1 if delta else 2  # type: ignore[assignment]
    count = metrics.add(name="process.count").sum
    count.aggregation_temporality = 2  # type: ignore[assignment]
    cpu.data_points.add(as_double=cpu_s, time_unix_nano=at_ns, start_time_unix_nano=start_ns)
    count.data_points.add(as_int=2, time_unix_nano=at_ns)
    return request.SerializeToString()


@pytest.mark.parametrize("delta", [True, False])
def test_sums_over_processes_rise_by_the_same_rule(delta: bool) -> None:
    m = meter()
    for second in range(4):
        at = T0 + second * SECOND
        send(
            m,
            "baseline",
            [process("nginx", 10, cpu_s=0.0), process("x", 1, cpu_s=3.0 * second)],
            at,
        )
        send(m, "candidate", [process("nginx", 10, cpu_s=0.0)], at)
        if second:  # the collector's own conversion to increments drops the first scrape
            cpu_s = 4.0 if delta else 4.0 * second
            start = at - SECOND if delta else T0 - 3_000_000
            body = aggregated(at, cpu_s=cpu_s, start_ns=start, delta=delta)
            blocks = m.decoders["candidate"].protobuf(body)
            m.accept("candidate", blocks, raw_bytes=1, wire_bytes=1, arrived_ns=at)
    ticks = closed(m, T0 + 9 * SECOND)
    for tick in ticks[1:]:
        assert tick.baseline and tick.candidate and tick.candidate.increments
        assert tick.candidate.increments[CPU] == pytest.approx(4.0)
        assert tick.baseline.increments == {**tick.candidate.increments, "process.disk.io": 0.0}
        assert tick.candidate.levels["process.count"] == 3
        assert tick.candidate.processes == 1
        assert tick.missing == ()
        assert tick.hidden_names == 1
        assert tick.recall_cpu == 0.0


def test_a_candidate_without_pids_is_compared_by_name() -> None:
    m = meter()
    request = ExportMetricsServiceRequest()
    rm = request.resource_metrics.add()
    rm.resource.attributes.add(key="process.executable.name").value.string_value = "nginx"
    point = rm.scope_metrics.add().metrics.add(name=MEMORY).sum.data_points.add(as_int=5)
    point.time_unix_nano = T0
    send(m, "baseline", [process("nginx", 1), process("nginx", 2)], T0)
    blocks = m.decoders["candidate"].protobuf(request.SerializeToString())
    m.accept("candidate", blocks, raw_bytes=1, wire_bytes=1, arrived_ns=T0)
    [tick] = closed(m, T0 + 2 * SECOND)
    assert (tick.critical_baseline, tick.critical_candidate, tick.missing) == (1, 1, ())
    assert [top.shown for top in tick.top_memory] == [True, True]


def test_a_request_that_holds_several_scrapes_is_cut_by_scrape() -> None:
    m = meter()
    body = b"".join(collector_bytes(HOST, T0 + i * SECOND) for i in range(3))
    for arm in ("baseline", "candidate"):
        blocks = m.decoders[arm].protobuf(body)  # type: ignore[index]
        m.accept(arm, blocks, raw_bytes=9, wire_bytes=3, arrived_ns=T0 + 2 * SECOND)  # type: ignore[arg-type]
    ticks = closed(m, T0 + 9 * SECOND)
    assert [t.baseline.points for t in ticks if t.baseline] == [21, 21, 21]
    assert [t.baseline.raw_bytes for t in ticks if t.baseline] == [9, 0, 0]


def test_points_without_a_usable_time_are_counted_apart() -> None:
    m = meter()
    both(m, HOST, T0)
    body = collector_bytes(HOST[:1], 0) + collector_bytes(HOST, T0 + SECOND)
    m.accept(
        "baseline", m.decoders["baseline"].protobuf(body), raw_bytes=1, wire_bytes=1,
        arrived_ns=T0 + SECOND,
    )  # fmt: skip
    *_, tick = closed(m, T0 + 9 * SECOND)
    assert tick.baseline and (tick.baseline.untimed, tick.baseline.points) == (7, 21)


def test_delays_are_from_the_points_time_to_its_arrival() -> None:
    m = meter()
    send(m, "baseline", HOST, T0, arrived_ns=T0 + 250_000_000)
    [tick] = closed(m, T0 + 3 * SECOND)
    assert tick.baseline and tick.baseline.delay_p50_ms == pytest.approx(249.94)
    assert tick.baseline.delay_max_ms == pytest.approx(250.0)


def test_names_add_up_over_the_experiment() -> None:
    m = meter()
    for second in range(3):
        at = T0 + second * SECOND
        send(m, "baseline", [process("nginx", 1), process("x", 2, cpu_s=3.0 * second)], at)
        send(m, "candidate", [process("nginx", 1)], at)
    closed(m, T0 + 9 * SECOND)
    nginx, x = m.changed_names()
    assert (nginx.name, nginx.critical, nginx.baseline_ticks, nginx.candidate_ticks) == (
        "nginx", True, 3, 3,
    )  # fmt: skip
    assert (x.candidate_ticks, x.critical, x.memory_bytes) == (0, False, 1000)
    assert x.cpu_s == pytest.approx(8.0)
    assert m.changed_names() == []


def test_a_tick_survives_its_journey_through_json() -> None:
    m = meter()
    both(m, HOST, T0)
    [tick] = closed(m, T0 + 3 * SECOND)
    assert Tick.from_dict(tick.to_dict()) == tick


def test_no_command_line_is_in_a_tick_or_a_name() -> None:
    m = meter()
    both(m, [process("x", 1, command_line=" --password=hunter2")], T0)
    [tick] = closed(m, T0 + 3 * SECOND)
    assert "hunter2" not in repr(tick.to_dict()) + repr(m.changed_names())
