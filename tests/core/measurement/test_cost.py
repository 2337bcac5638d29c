"""Costs: exact decimals, every input shown, and nothing said of what was not measured."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from phoenix.base.money import Money
from phoenix.measurement import cards
from phoenix.measurement.cost import (
    BadRateCard,
    RateCard,
    Usage,
    cost,
    rate_card,
    savings,
    usage_of,
)
from phoenix.measurement.model import ArmTick
from phoenix.measurement.unobserved import unobserved


def card(kind: str, rate: str, per: int, **more: object) -> RateCard:
    known = {"name": kind, "title": kind, "currency": "USD", "unit": "u", "source": "a test",
             "on": date(2026, 1, 1)}  # fmt: skip
    return RateCard(kind=kind, rate=Decimal(rate), per=per, **{**known, **more})  # type: ignore[arg-type]


def arm_tick(**changes: object) -> ArmTick:
    values: dict[str, object] = {
        "points": 1400, "series": 1400, "series_run": 1600, "series_20m": None, "series_1h": None,
        "raw_bytes": 200_000, "wire_bytes": 20_000, "requests": 1, "processes": 200, "levels": {},
        "increments": None, "delay_p50_ms": 1.0, "delay_p95_ms": 1.0, "delay_max_ms": 1.0,
        "duplicates": 0, "late": 0, "lone": 0,
    }  # fmt: skip
    return ArmTick(**{**values, **changes})  # type: ignore[arg-type]


def usage(**changes: object) -> Usage:
    found = usage_of([arm_tick()] * 60, 10.0)
    assert found is not None
    return replace(found, **changes)  # type: ignore[arg-type]


def test_the_golden_figure_of_the_legacy_card() -> None:
    """10,000 samples a second: 25,920 million a month, at (0.10 + 0.05) * 1.2 for a million."""
    legacy = card("samples_ingested", "0.18", 1_000_000)
    found = cost(usage(window_s=1.0, points=10_000), legacy)
    assert found.month == Money(minor=466_560, currency="USD")
    assert found.inputs[-1].value == "25920000000"
    assert found.extrapolated


def test_bytes_are_those_before_compression() -> None:
    found = cost(usage(), card("gb_ingested", "0.40", 10**9))
    # 60 ticks of 200,000 bytes in 600 s are 51.84 GB in 30 days
    assert found.month == Money(minor=2074, currency="USD")
    assert [(i.name, i.value) for i in found.inputs] == [
        ("window", "600"), ("raw bytes", "12000000"), ("billed", "51840000000"),
    ]  # fmt: skip


def test_active_series_are_the_larger_of_series_and_points() -> None:
    rates = card("active_series", "6.50", 1000)
    measured = usage(series_20m_p95=3000)
    assert measured.points_per_minute_p95 == 8400
    assert cost(measured, rates).month == Money(minor=5460, currency="USD")
    included = replace(rates, included_dpm=6)
    assert cost(measured, included).month == Money(minor=1950, currency="USD")


def test_a_short_window_gives_a_lower_bound_and_no_cost() -> None:
    for kind, needs in (("active_series", "20 minutes"), ("hourly_custom_metrics", "an hour")):
        found = cost(usage(), card(kind, "5", 100, included_dpm=100))
        assert found.month is None
        assert found.at_least == Money(minor=8000, currency="USD")  # 1600 series
        assert found.missing is not None and needs in found.missing
        assert "insufficient data" in found.missing
        assert savings(found, found) is None


def test_hourly_custom_metrics_are_a_mean_of_distinct_series() -> None:
    ticks = [arm_tick(series_20m=1, series_1h=n) for n in (1000, 1101)]
    found = usage_of(ticks, 10.0)
    assert found is not None and found.series_1h_mean == Decimal("1050.5")
    assert cost(found, card("hourly_custom_metrics", "5", 100)).month == Money(
        minor=5252, currency="USD"
    )


def test_the_95th_percentile_forgives_the_top_twentieth() -> None:
    ticks = [arm_tick(series_20m=100)] * 95 + [arm_tick(series_20m=9_999)] * 5
    found = usage_of(ticks, 10.0)
    assert found is not None and found.series_20m_p95 == 100


def test_savings_are_the_difference_times_twelve_and_a_share() -> None:
    rates = card("gb_ingested", "0.40", 10**9)
    found = savings(cost(usage(), rates), cost(usage(raw_bytes=3_000_000), rates))
    assert found is not None
    assert (found.month.minor, found.year.minor, found.percent) == (1556, 18672, Decimal("75.0"))
    nothing = savings(cost(usage(raw_bytes=0), rates), cost(usage(raw_bytes=0), rates))
    assert nothing is not None and nothing.percent is None


def test_no_measurement_is_no_cost() -> None:
    assert usage_of([], 1.0) is None
    found = cost(None, card("gb_ingested", "1", 1))
    assert (found.month, found.at_least, found.missing) == (None, None, "insufficient data")


def test_the_shipped_cards_are_four_kinds_with_source_and_date() -> None:
    shipped = cards.load()
    assert sorted(one.kind for one in shipped) == [
        "active_series", "gb_ingested", "hourly_custom_metrics", "samples_ingested",
    ]  # fmt: skip
    for one in shipped:
        assert one.source and one.on.year >= 2025 and one.rate > 0 and "own contract" in one.note


@pytest.mark.parametrize(
    "changes",
    [{"kind": "per_host"}, {"rate": 0.4}, {"rate": "NaN"}, {"rate": "-1"}, {"per": 0},
     {"source": ""}, {"date": "yesterday"}, {"rate": None}, {"currency": None, "per": "x"}],
)  # fmt: skip
def test_a_card_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    good = json.loads((cards.default_directory() / "gb-ingested.json").read_text())
    with pytest.raises(BadRateCard):
        rate_card({**good, **changes})


def test_a_file_that_is_no_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{")
    with pytest.raises(BadRateCard, match=r"mine\.json"):
        cards.load(tmp_path)
    assert cards.load(tmp_path / "nowhere") == []


def test_unobserved_is_what_no_process_accounts_for_or_unknown() -> None:
    assert unobserved(10.0, 7.0, 1.0) == pytest.approx(2.0)
    assert unobserved(10.0, 10.005, 0.0) == 0.0
    assert unobserved(None, 1.0, 0.0) is None
    assert unobserved(1.0, None, 0.0) is None
