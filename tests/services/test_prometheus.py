"""A real Prometheus 3 takes our series, and its `increase` does with them what our pages say."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from phoenix.host import proc
from phoenix.testing import prometheus_build
from phoenix.testing.prometheus import (
    Prometheus,
    PrometheusFailed,
    QueryRefused,
    SamplesRefused,
    counter,
)
from phoenix.testing.prometheus_build import PrometheusNotBuilt, PrometheusTampered
from phoenix.testing.streams import Streams

DATA_DIR = Path(__file__).parents[2] / ".phoenix"
BEGIN, STEP, END = 1_790_000_000.0, 10.0, 1_790_003_600.0
HOUR = "[3601s]"  # a range leaves out what lies at its left end

# The first test of them builds Prometheus unless it is there.
pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with Prometheus(DATA_DIR) as running:
        yield running


def stream(first: float, count: int, *, after_s: float = 600.0) -> list[tuple[float, float]]:
    """`count` samples that rise by 5 each, from `after_s` on."""
    return [(BEGIN + after_s + STEP * n, first + 5.0 * n) for n in range(count)]


def test_a_counter_over_the_whole_range_is_counted_to_the_last_digit(
    prometheus: Prometheus,
) -> None:
    prometheus.take(
        counter("whole", {"process.pid": "7"}, stream(0.0, 361, after_s=0.0), unit="By")
    )
    (answer,) = prometheus.ask(f"increase(whole_bytes_total{HOUR})", at_s=END)
    assert answer.labels["process_pid"] == "7"
    assert answer.value == pytest.approx(1800.0, rel=1e-12)


@pytest.mark.parametrize("count", [2, 3, 6, 31])
def test_a_stream_that_ends_inside_the_range_is_given_half_an_interval_more(
    prometheus: Prometheus, count: int
) -> None:
    name = f"ended_{count}"
    prometheus.take(counter(name, {}, stream(0.0, count)))
    true = 5.0 * (count - 1)
    got = prometheus.total(f"increase({name}_total{HOUR})", at_s=END)
    assert got == pytest.approx(true * (1 + 0.5 / (count - 1)))


def test_a_stream_that_begins_inside_with_a_value_loses_all_of_it_but_half_an_interval(
    prometheus: Prometheus,
) -> None:
    last_300_s = stream(400.0, 31, after_s=3300.0)
    prometheus.take(counter("begun", {}, last_300_s))
    got = prometheus.total(f"increase(begun_total{HOUR})", at_s=END)
    assert got == pytest.approx(150.0 + 2.5)


def test_a_single_sample_is_lost_and_with_start_times_it_is_not(prometheus: Prometheus) -> None:
    single = counter("single", {}, stream(400.0, 1), start_s=BEGIN + 595)
    prometheus.take(single)
    assert prometheus.ask(f"increase(single_total{HOUR})", at_s=END) == []
    with Prometheus(DATA_DIR, features=("st-storage", "use-start-timestamps")) as newer:
        newer.take(single)
        assert newer.total(f"increase(single_total{HOUR})", at_s=END) == 400.0


def test_our_reckoning_of_increase_agrees_with_prometheus(prometheus: Prometheus) -> None:
    dice = random.Random(3)
    streams = Streams(["reckoned"])
    for number in range(60):
        value, samples = dice.choice([0.0, dice.uniform(0, 90)]), []
        first = dice.randrange(0, 300)
        for step in range(first, first + dice.randrange(1, 360 - first)):
            value = 0.5 if dice.random() < 0.02 else value + dice.choice([0.0, 1.25, 7.0])
            if dice.random() < 0.9:
                samples.append((BEGIN + step * STEP + dice.random(), value))
        request = counter("reckoned", {"stream": str(number)}, samples)
        prometheus.take(request)
        streams.fold(request)
    for begin_s, end_s in ((BEGIN - 1, END), (BEGIN + 900, BEGIN + 1800.5), (BEGIN, BEGIN + 60)):
        ours = streams.increase("reckoned", round(begin_s * 1e3), round(end_s * 1e3))
        range_ms = round((end_s - begin_s) * 1e3)
        theirs = prometheus.total(f"sum(increase(reckoned_total[{range_ms}ms]))", at_s=end_s)
        assert ours.total == pytest.approx(theirs, rel=1e-9)
        assert ours.end > 0


def test_two_values_for_one_series_and_time_are_refused(prometheus: Prometheus) -> None:
    prometheus.take(counter("twice", {}, [(BEGIN, 1.0)]))
    with pytest.raises(SamplesRefused, match="duplicate sample"):
        prometheus.take(counter("twice", {}, [(BEGIN, 2.0)]))


def test_what_is_not_promql_is_refused_in_prometheus_words(prometheus: Prometheus) -> None:
    with pytest.raises(QueryRefused, match="parse error"):
        prometheus.ask("sum(", at_s=END)


def test_nothing_of_it_is_left() -> None:
    with Prometheus(DATA_DIR) as running:
        pid = running.pid
        assert proc.rss_bytes(pid)
        (log,) = Path(f"/proc/{pid}/cwd").readlink().glob("log")
    assert proc.rss_bytes(pid) is None
    assert not log.parent.exists()


def test_one_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(PrometheusFailed, match="cannot enable"),
        Prometheus(DATA_DIR, features=("otlp-deltatocumulative", "otlp-native-delta-ingestion")),
    ):
        raise AssertionError("it has started")


def test_a_module_that_is_not_the_pinned_one_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOENIX_GO_CACHE", os.environ.get("PHOENIX_GO_CACHE", str(DATA_DIR / "go")))
    monkeypatch.setattr(prometheus_build, "SUM", "h1:of=another")
    with pytest.raises(PrometheusTampered, match="not h1:of=another"):
        prometheus_build.program("prometheus", tmp_path)


def test_without_a_network_the_refusal_names_the_mirror(tmp_path: Path) -> None:
    variables = {**os.environ, "GOPROXY": "off", "PHOENIX_GO_CACHE": str(tmp_path / "empty")}
    with pytest.raises(PrometheusNotBuilt, match="GOPROXY"):
        prometheus_build.program("prometheus", tmp_path, environment=variables)
