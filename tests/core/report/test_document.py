"""The report as plain values: counted from ticks, priced honestly, nothing invented."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from phoenix.collectors.model import Sample
from phoenix.experiments.model import Guardrail
from phoenix.experiments.report.document import SCHEMA, build
from phoenix.experiments.report.reading import SCHEMA as DRAWN
from phoenix.experiments.report.reading import checked
from phoenix.testing.evidence import START, arm, spec, tick
from phoenix.testing.report import document, healthy, losing, material, sampled


def test_it_is_json_and_the_same_material_gives_the_same_bytes() -> None:
    first, second = document(), document()
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert checked(first)["schema"] == SCHEMA == DRAWN


def test_only_evidence_ticks_are_counted() -> None:
    asked = spec()
    counted = document()["series"]["ticks"]
    excluded = next(t.tick for t in healthy(150 + asked.warmup_ticks, 7) if t.excluded)
    numbers = [row["tick"] for row in counted]
    assert numbers[0] == asked.warmup_ticks
    assert excluded not in numbers
    assert len(numbers) == document()["ticks"]["evidence"] == 149
    assert document()["ticks"]["excluded"] == {"meter_restarted": 1}


def test_four_numbers_are_means_per_scrape_and_series_over_the_run_stand_beside() -> None:
    ticks = [tick(n) for n in range(10)]
    reduction = document(ticks=ticks)["reduction"]
    assert reduction["series"] == {"baseline": 1000, "candidate": 150, "saved": 0.85}
    assert reduction["raw_bytes"]["baseline"] == 100_000
    assert reduction["wire_bytes"]["candidate"] == 1_500
    assert set(reduction) == {"series", "points", "raw_bytes", "wire_bytes", "series_over_the_run"}


def test_a_silent_candidate_counts_as_zero_not_as_missing() -> None:
    ticks = [tick(n) for n in range(12)]
    ticks[5] = replace(ticks[5], candidate=None, excluded="unpaired:candidate")
    made = document(ticks=ticks)
    rows = {row["tick"]: row for row in made["series"]["ticks"]}
    assert made["ticks"]["silent"] == 1
    assert rows[5]["series"] == [1000, 0]
    assert made["reduction"]["series"]["candidate"] == pytest.approx(150 * 9 / 10)


def test_ticks_around_a_pause_are_left_out_and_no_other() -> None:
    begin, end = START + timedelta(seconds=20), START + timedelta(seconds=30)
    samples = [
        replace(s, state="paused") if s.member == "candidate" and begin <= s.at < end else s
        for s in sampled(62, 7)
    ]
    made = document(ticks=[tick(n) for n in range(62)], samples=samples)
    numbers = [row["tick"] for row in made["series"]["ticks"]]
    assert numbers == [*range(2, 19), *range(30, 62)]
    assert made["ticks"]["evidence"] == len(numbers)
    assert made["ticks"]["excluded"] == {"paused": 11}


def test_lost_critical_names_come_first_and_are_named_apart() -> None:
    seen = material().names
    nginx = next(n for n in seen if n.name == "nginx")
    lost = [*(n for n in seen if n is not nginx), replace(nginx, candidate_ticks=0)]
    processes = document(names=lost)["processes"]
    assert processes["critical_lost"] == ["nginx"]
    assert processes["hidden"][0]["name"] == "nginx"
    assert processes["hidden_count"] == 31


def test_costs_say_what_was_measured_and_as_what_it_is_priced() -> None:
    costs = document()["costs"]
    assert costs["priced_interval_s"] == 60
    for card in costs["cards"]:
        assert card["extrapolated"] is True
        for side in ("baseline", "candidate"):
            assert card[side]["inputs"][0] == "window: 149 scrapes, priced as one every 60 s"
            assert (card[side]["month"] is None) == (card[side]["missing"] is not None)


def test_an_interval_longer_than_a_minute_is_priced_as_it_is() -> None:
    asked = spec(interval_s=120.0)
    assert document(asked=asked)["costs"]["priced_interval_s"] == 120


def test_a_rate_can_be_read_by_a_person() -> None:
    rates = {card["card"]: card["rate"] for card in document()["costs"]["cards"]}
    assert rates["gb-ingested"] == "0.40 USD per 1,000,000,000 bytes (1 GB) of uncompressed OTLP"


def test_without_samples_nothing_about_the_host_is_claimed() -> None:
    made = document(samples=[])
    for use in made["overhead"].values():
        assert use == {"cores": None, "rss_max_bytes": None}
    assert made["unobserved"]["unobserved_cpu_s"] is None


def test_unobserved_is_what_the_host_used_beyond_shown_and_own() -> None:
    unobserved = document()["unobserved"]
    assert unobserved["unobserved_cpu_s"] == pytest.approx(
        unobserved["host_cpu_s"] - unobserved["shown_cpu_s"] - unobserved["own_cpu_s"]
    )


def test_an_abort_is_reported_with_the_ticks_until_then() -> None:
    made = document(ticks=losing(30))
    assert made["verdict"]["aborted"] is True
    assert made["series"]["ticks"][-1]["coverage"] == pytest.approx(2 / 3)
    assert "nginx[41]" in made["verdict"]["sentence"]


def test_use_is_known_whenever_in_the_interval_the_samples_were_taken() -> None:
    ticks = [replace(tick(n), at=START + timedelta(seconds=10 * n)) for n in range(30)]
    samples = [
        replace(s, at=START + (s.at - START) * 10 + timedelta(seconds=3.4)) for s in sampled(31, 7)
    ]
    made = document(asked=spec(interval_s=10.0), ticks=ticks, samples=samples)
    rows = made["series"]["ticks"]
    assert rows
    assert all(None not in (*row["cores"], *row["rss"]) for row in rows)


def test_what_is_left_out_is_not_called_unobserved() -> None:
    ticks = [tick(n) for n in range(62)]
    gap = [replace(t, excluded="meter_restarted") if 20 <= t.tick < 50 else t for t in ticks]
    whole, part = (document(ticks=t, samples=_idle(62))["unobserved"] for t in (ticks, gap))
    assert (whole["ticks"], part["ticks"]) == (60, 30)
    assert whole["host_cpu_s"] == pytest.approx(60 * 3.0)
    assert whole["unobserved_cpu_s"] == pytest.approx(60 * 0.5)
    assert part["unobserved_cpu_s"] == pytest.approx(30 * 0.5)


def test_unobserved_is_in_every_tick_and_unknown_without_the_processes_cpu() -> None:
    ticks = [tick(n) for n in range(20)]
    ticks[9] = tick(9, baseline=arm(1000, increments={}))
    rows = document(ticks=ticks, samples=_idle(20))["series"]["ticks"]
    for row in rows:
        if row["tick"] == 9:
            assert row["cpu_s"] is None
        else:
            assert row["cpu_s"]["unobserved"] == pytest.approx(0.5)


def test_what_the_linter_says_of_the_configuration_to_deploy_is_told() -> None:
    misspelt = (
        "receivers:\n  nop: {}\nprocessors:\n  filter/rest:\n    metrics:\n      metric:\n"
        "      - 'name == \"procss.cpu.time\"'\nexporters:\n  nop: {}\nservice:\n"
        "  pipelines:\n    metrics:\n      receivers: [nop]\n      exporters: [nop]\n"
    )
    roles = material().revisions
    deployed = replace(roles["production_candidate"], config=misspelt)
    made = document(revisions={**roles, "production_candidate": deployed})
    findings = made["configurations"]["findings"]
    assert findings
    assert all(f["line"] > 0 and f["message"] and f["remedy"] for f in findings)
    assert document(revisions={})["configurations"]["findings"] == []


def _idle(count: int) -> list[Sample]:
    """A host that is busy for 3 cores while members use nothing; processes show 2.5."""
    return [
        Sample(
            experiment_id="exp-a1b2c3d4",
            member=member,
            at=START + timedelta(seconds=n),
            state="running",
            cpu_s=busy * n,
            rss_bytes=2**20,
        )
        for n in range(count)
        for member, busy in (("host", 3.0), ("scraper", 0.0), ("baseline", 0.0), ("candidate", 0.0))
    ]


@pytest.mark.parametrize(
    ("passed", "enforced", "fate"),
    [(True, True, "folded"), (False, True, "lost"), (None, True, None), (True, False, None)],
)
def test_names_are_folded_or_lost_by_what_the_totals_say(
    passed: bool | None, enforced: bool, fate: str | None
) -> None:
    given = material()
    assert given.experiment.verdict is not None
    guardrail = Guardrail(
        name="conservation", required="", measured="", passed=passed, sentence="", enforced=enforced
    )
    verdict = replace(given.experiment.verdict, guardrails=(guardrail,))
    told = build(replace(given, experiment=replace(given.experiment, verdict=verdict)))
    assert told["processes"]["hidden"]
    assert told["processes"]["fate"] == fate
