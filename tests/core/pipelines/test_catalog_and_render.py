"""The catalog renders deterministically, checks its parameters, and holds nothing of a host."""

from __future__ import annotations

import re
from typing import Any

import pytest

from phoenix.pipelines import catalog, documents, parameters, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL, parse
from phoenix.pipelines.errors import BadCriticalRule, BadParameter, UnknownPipeline
from phoenix.pipelines.model import Pipeline, Revision

NAMES = catalog.names()
SIX = {
    "process-baseline-v1",
    "process-slim-v1",
    "process-priority-filter-v1",
    "process-threshold-v1",
    "process-aggregated-v1",
    "process-minimal-v1",
}


def placed(pipeline: Pipeline, place: str, interval_s: float = 1) -> Revision:
    if place == "arm":
        return render.arm(pipeline, None, DEFAULT_CRITICAL, interval_s)
    if place == "production":
        return render.production(pipeline, None, DEFAULT_CRITICAL, interval_s)
    return render.scraper(
        pipeline, None, interval_s, ["baseline", "candidate"], ["/opt/x/"], True, DEFAULT_CRITICAL
    )


def test_the_catalog_has_the_six_pipelines_and_one_marked_demonstration() -> None:
    assert set(NAMES) >= SIX
    assert [name for name in NAMES if catalog.load(name).demonstration] == [
        "process-broken-demo-v1"
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["arm", "scraper", "production"])
def test_the_same_input_renders_the_same_bytes(name: str, place: str) -> None:
    first, second = (placed(catalog.load(name), place) for _ in range(2))
    assert first.config == second.config
    assert re.fullmatch("[0-9a-f]{64}", first.sha256)
    assert documents.load(first.config, "rendered")["service"]["pipelines"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shadow_takes_ports_tokens_and_salt_from_the_environment(name: str) -> None:
    for place in ("arm", "scraper"):
        text = placed(catalog.load(name), place).config
        asked = set(re.findall(r"\$\{env:([A-Z_]+)\}", text))
        assert asked <= set(render.ENVIRONMENT)
        assert "PHOENIX_TELEMETRY_PORT" in asked
        assert not re.search(r"127\.0\.0\.1:\d", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_shadow_never_batches_and_never_blocks(name: str) -> None:
    for place in ("arm", "scraper"):
        document = documents.load(placed(catalog.load(name), place).config, "rendered")
        assert not any(key.startswith("batch") for key in document.get("processors", {}))
        for exporter in document["exporters"].values():
            assert exporter["sending_queue"]["enabled"] is True
            assert exporter["sending_queue"]["block_on_overflow"] is False


@pytest.mark.parametrize("name", sorted(SIX))
def test_production_scrapes_for_itself_batches_last_and_hides_command_lines(name: str) -> None:
    text = placed(catalog.load(name), "production", 60).config
    document = documents.load(text, "rendered")
    assert document["receivers"]["host_metrics"]["collection_interval"] == "60s"
    for pipeline in document["service"]["pipelines"].values():
        if "otlp_http" in pipeline["exporters"]:
            assert pipeline["processors"][-1] == "batch"
    scrape = document["receivers"]["host_metrics"]["scrapers"]["process"]
    off = scrape.get("resource_attributes", {}).get("process.command_line") == {"enabled": False}
    assert off or "SHA256" in text


def test_the_interval_reaches_the_start_of_an_increment() -> None:
    text = render.arm(catalog.load("process-aggregated-v1"), None, (parse("nginx"),), 0.5).config
    assert '"phoenix.t"] - 500000000)' in text


def test_a_threshold_is_per_interval() -> None:
    text = render.arm(
        catalog.load("process-threshold-v1"), {"cpu": "0.05"}, (parse("nginx"),), 10
    ).config
    assert "datapoint.value_double >= 0.50" in text


def test_the_demonstration_differs_from_the_honest_pipeline_by_one_word() -> None:
    rules = (parse("nginx"), parse("postgres"))
    good = render.arm(catalog.load("process-aggregated-v1"), None, rules, 1).config
    bad = render.arm(catalog.load("process-broken-demo-v1"), None, rules, 1).config
    assert bad.splitlines()[1:] == good.replace("nginx", "ngnix").splitlines()[1:]


def test_minimal_reads_only_critical_processes_and_needs_one() -> None:
    minimal = catalog.load("process-minimal-v1")
    by_name = render.production(minimal, None, (parse("nginx"), parse("regex:^w$")), 60).config
    scrape = documents.load(by_name, "r")["receivers"]["host_metrics"]["scrapers"]["process"]
    assert scrape["include"] == {"match_type": "regexp", "names": ["^(nginx)$$", "^w$$"]}
    by_path = render.production(minimal, None, (parse("path:/opt/shop/"),), 60).config
    assert "HasPrefix" in by_path
    with pytest.raises(BadCriticalRule):
        render.production(minimal, None, (), 60)


def test_what_one_pipeline_reads_is_compared_not_guessed() -> None:
    baseline, slim = catalog.load("process-baseline-v1"), catalog.load("process-slim-v1")
    assert render.same_scrape((baseline, None), (catalog.load("process-threshold-v1"), None))
    assert not render.same_scrape((baseline, None), (slim, None))
    assert not render.same_scrape((slim, None), (slim, {"minimum_age": "5s"}))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("process-baseline-v1", {"x": 1}),
        ("process-slim-v1", {"minimum_agee": "1s"}),
        ("process-slim-v1", {"minimum_age": "2h"}),
        ("process-slim-v1", {"minimum_age": "soon"}),
        ("process-slim-v1", {"minimum_age": None}),
        ("process-slim-v1", {"minimum_age": True}),
        ("process-slim-v1", {"minimum_age": "-1s"}),
        ("process-slim-v1", {"minimum_age": "0.0001s"}),
        ("process-slim-v1", {"kernel_threads": "maybe"}),
        ("process-slim-v1", {"kernel_threads": 1}),
        ("process-threshold-v1", {"memory": "1 parsec"}),
        ("process-threshold-v1", {"memory": -1}),
        ("process-threshold-v1", {"cpu": "nan"}),
        ("process-threshold-v1", {"cpu": "inf"}),
        ("process-threshold-v1", {"cpu": 1e400}),
        ("process-threshold-v1", {"cpu": [1]}),
        ("process-priority-filter-v1", {"system": ["("]}),
        ("process-priority-filter-v1", {"system": ["(?=x)"]}),
        ("process-priority-filter-v1", {"system": ["a\nb"]}),
        ("process-priority-filter-v1", {"system": [3]}),
        ("process-aggregated-v1", {"categories": ["nopattern"]}),
        ("process-aggregated-v1", {"categories": ["Bad Name=^x"]}),
        ("process-aggregated-v1", {"max_staleness": "1s"}),
        ("process-broken-demo-v1", {"typos": 0}),
        ("process-broken-demo-v1", {"typos": 1.5}),
    ],
)
def test_a_bad_parameter_is_refused_with_what_would_do(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(BadParameter) as refusal:
        parameters.resolve(catalog.load(name), given)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("name", "key", "given", "checked"),
    [
        ("process-slim-v1", "minimum_age", "1m30s", "90s"),
        ("process-slim-v1", "minimum_age", 10, "10s"),
        ("process-slim-v1", "minimum_age", "1500ms", "1500ms"),
        ("process-slim-v1", "kernel_threads", "TRUE", True),
        ("process-threshold-v1", "memory", "64MiB", 67108864),
        ("process-threshold-v1", "memory", "1.5 GB", 1500000000),
        ("process-threshold-v1", "cpu", 0.1, "0.1"),
        ("process-threshold-v1", "cpu", "2.50", "2.5"),
        ("process-threshold-v1", "cpu", 10, "10"),
        ("process-priority-filter-v1", "system", "^a$, ^b", ("^a$", "^b")),
    ],
)
def test_a_parameter_has_one_spelling(name: str, key: str, given: Any, checked: Any) -> None:
    assert parameters.resolve(catalog.load(name), {key: given})[key] == checked


@pytest.mark.parametrize("interval", [0, 0.01, -1, float("nan"), float("inf"), 1e9, 0.1234567])
def test_an_interval_beyond_use_is_refused(interval: float) -> None:
    with pytest.raises(BadParameter):
        render.arm(catalog.load("process-baseline-v1"), None, (), interval)


def test_an_unknown_pipeline_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownPipeline) as refusal:
        catalog.load("process-agregated-v1")
    assert "process-aggregated-v1" in str(refusal.value)


def test_text_that_yaml_would_read_as_something_else_is_quoted() -> None:
    tricky = ["1_000", "0o7", "yes", "null", "1e3", "12:30:00", "a: b", "", "# x", "~", "-", "a\nb"]
    assert documents.load(documents.dump({"x": tricky}), "t")["x"] == tricky
    assert all(line.strip()[2] in "'\"" for line in documents.dump({"x": tricky}).splitlines()[1:])
