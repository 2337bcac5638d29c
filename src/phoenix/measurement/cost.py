"""What an arm would cost in a month under a rate card. One model, four kinds of meter (D-21).

    gb_ingested            bytes before compression
    active_series          max(95th percentile of series active in 20 min,
                               95th percentile of points per minute / included ones)
    hourly_custom_metrics  mean over hours of the distinct series of an hour
    samples_ingested       data points

Every cost is extrapolated from a window to a month of 30 days, says so, and shows its inputs. Where
the window is shorter than what a meter looks at (20 minutes, an hour), there is no cost but a lower
bound: a longer window cannot hold fewer series. Rates are decimals, amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import Any, Literal, get_args

from phoenix.base.errors import Invalid
from phoenix.base.money import Money
from phoenix.measurement.model import ArmTick

MeterKind = Literal["gb_ingested", "active_series", "hourly_custom_metrics", "samples_ingested"]
MONTH_S = 30 * 24 * 3600
"""Seconds of the month that costs are extrapolated to."""
INSUFFICIENT = "insufficient data"


class BadRateCard(Invalid):
    """A rate card that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """`rate` is in whole units of `currency` for every `per` of what the kind counts.

    `source` and `on` say where the rate is from and when it was so; `included_dpm` belongs to
    active_series alone: points per minute that the price of a series includes.
    """

    name: str
    title: str
    kind: MeterKind
    currency: str
    rate: Decimal
    per: int
    unit: str
    source: str
    on: date
    note: str = ""
    included_dpm: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an arm used in a window.

    series_20m_p95 and series_1h_mean are None while that much time was not measured; series_least
    is a number of distinct series that a window of that length cannot fall below.
    """

    window_s: float
    raw_bytes: int
    points: int
    points_per_minute_p95: Decimal
    series_20m_p95: int | None
    series_1h_mean: Decimal | None
    series_least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One number that a cost was computed from, as text that a person reads."""

    name: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A month's cost, or None with the reason in `missing` and perhaps a lower bound."""

    card: RateCard
    month: Money | None
    at_least: Money | None
    missing: str | None
    inputs: tuple[Input, ...]
    extrapolated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """Baseline minus candidate (F22); `percent` of the baseline, None where that costs nothing."""

    month: Money
    year: Money
    percent: Decimal | None
    extrapolated: bool = True


def usage_of(ticks: Sequence[ArmTick], interval_s: float) -> Usage | None:
    """The usage of one arm over ticks in order; None without any."""
    if not ticks:
        return None
    per_minute = Decimal(60) / Decimal(str(interval_s))
    twenty = [tick.series_20m for tick in ticks if tick.series_20m is not None]
    hour = [tick.series_1h for tick in ticks if tick.series_1h is not None]
    last = ticks[-1]
    # Before an hour has passed, all series of the run lie in it. A run that went on from a sketch
    # may be longer than its windows, so it bounds nothing.
    whole_run = last.series_1h is None and not last.series_error
    least = last.series_run if whole_run else max(last.series, last.series_20m or 0)
    return Usage(
        window_s=len(ticks) * interval_s,
        raw_bytes=sum(tick.raw_bytes for tick in ticks),
        points=sum(tick.points for tick in ticks),
        points_per_minute_p95=_p95([tick.points for tick in ticks]) * per_minute,
        series_20m_p95=_p95(twenty) if twenty else None,
        series_1h_mean=Decimal(sum(hour)) / len(hour) if hour else None,
        series_least=least,
    )


def cost(usage: Usage | None, card: RateCard) -> Cost:
    """The cost of a month like the window."""
    if usage is None:
        return Cost(card=card, month=None, at_least=None, missing=INSUFFICIENT, inputs=())
    window = Input(name="window", value=_text(Decimal(str(usage.window_s))), unit="s")
    months = Decimal(MONTH_S) / Decimal(str(usage.window_s))
    match card.kind:
        case "gb_ingested":
            counted = Input(
                name="raw bytes", value=f"{usage.raw_bytes}", unit="bytes in the window"
            )
            return _priced(card, usage.raw_bytes * months, (window, counted))
        case "samples_ingested":
            counted = Input(name="points", value=f"{usage.points}", unit="points in the window")
            return _priced(card, usage.points * months, (window, counted))
        case "active_series":
            return _active_series(usage, card, window)
        case "hourly_custom_metrics":
            return _hourly(usage, card, window)


def savings(baseline: Cost, candidate: Cost) -> Savings | None:
    """What the candidate saves; None unless both costs are known under the same card."""
    assert baseline.card == candidate.card, "costs of two cards do not compare"
    if baseline.month is None or candidate.month is None:
        return None
    month = baseline.month - candidate.month
    whole = baseline.month.minor
    percent = Decimal(100) * month.minor / whole if whole else None
    return Savings(
        month=month,
        year=Money(minor=12 * month.minor, currency=month.currency),
        percent=None if percent is None else percent.quantize(Decimal("0.1")),
    )


def rate_card(value: Mapping[str, Any]) -> RateCard:
    """The rate card that parsed JSON states; `rate` is decimal text.

    Raises:
        BadRateCard: a field is missing or cannot be what it is.
    """
    try:
        card = RateCard(
            name=str(value["name"]),
            title=str(value["title"]),
            kind=value["kind"],
            currency=str(value["currency"]),
            rate=Decimal(value["rate"]) if isinstance(value["rate"], str) else Decimal("NaN"),
            per=int(value["per"]),
            unit=str(value["unit"]),
            source=str(value["source"]),
            on=date.fromisoformat(value["date"]),
            note=str(value.get("note", "")),
            included_dpm=int(value.get("included_dpm", 1)),
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as reason:
        raise BadRateCard(
            f"The rate card lacks or misstates a field: {reason}.", remedy=_FORM
        ) from reason
    usable = card.rate.is_finite() and card.rate >= 0 and card.per > 0 and card.included_dpm > 0
    if card.kind not in get_args(MeterKind) or not usable or not card.source:
        raise BadRateCard(f"The rate card {card.name[:60]!r} cannot be used.", remedy=_FORM)
    return card


_FORM = (
    "It needs name, title, kind (" + ", ".join(get_args(MeterKind)) + "), currency, rate as "
    "decimal text, per, unit, source and date; see docs/reference/meter.md."
)


def _active_series(usage: Usage, card: RateCard, window: Input) -> Cost:
    dpm = usage.points_per_minute_p95
    by_points = dpm / card.included_dpm
    inputs = (
        window,
        Input(name="points per minute, 95th percentile", value=_text(dpm), unit="points/min"),
        Input(name="included", value=str(card.included_dpm), unit="points/min for each series"),
    )
    if usage.series_20m_p95 is not None:
        series = Input(
            name="series active in 20 min, 95th percentile",
            value=str(usage.series_20m_p95),
            unit="series",
        )
        return _priced(card, max(Decimal(usage.series_20m_p95), by_points), (*inputs, series))
    least = Input(name="series in the window", value=str(usage.series_least), unit="series")
    return _bounded(
        card, max(Decimal(usage.series_least), by_points), (*inputs, least), "20 minutes"
    )


def _hourly(usage: Usage, card: RateCard, window: Input) -> Cost:
    if usage.series_1h_mean is not None:
        series = Input(
            name="distinct series of an hour, mean",
            value=_text(usage.series_1h_mean),
            unit="series",
        )
        return _priced(card, usage.series_1h_mean, (window, series))
    least = Input(name="series in the window", value=str(usage.series_least), unit="series")
    return _bounded(card, Decimal(usage.series_least), (window, least), "an hour")


def _priced(card: RateCard, quantity: Decimal, inputs: tuple[Input, ...]) -> Cost:
    return Cost(
        card=card,
        month=_amount(card, quantity),
        at_least=None,
        missing=None,
        inputs=(*inputs, Input(name="billed", value=_text(quantity), unit=_COUNTED[card.kind])),
    )


def _bounded(card: RateCard, quantity: Decimal, inputs: tuple[Input, ...], needs: str) -> Cost:
    return Cost(
        card=card,
        month=None,
        at_least=_amount(card, quantity),
        missing=f"{INSUFFICIENT}: this meter looks at {needs}, the window is shorter",
        inputs=(*inputs, Input(name="at least", value=_text(quantity), unit=_COUNTED[card.kind])),
    )


_COUNTED: Mapping[MeterKind, str] = {
    "gb_ingested": "bytes a month",
    "active_series": "series",
    "hourly_custom_metrics": "series",
    "samples_ingested": "points a month",
}


def _amount(card: RateCard, quantity: Decimal) -> Money:
    return Money.of(quantity * card.rate / card.per, card.currency)


def _p95(values: Sequence[int]) -> int:
    """The 95th percentile by nearest rank."""
    return sorted(values)[ceil(0.95 * len(values)) - 1]


def _text(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.1')).normalize():f}"
