"""The long-run claim: what hosts like this one will save later, from batches of ticks.

Ticks repeat each other, so they are cut into batches of ten autocorrelation times; the gate is an
average of two e-values on the batches (bets on the ratio, and the asymptotic one after its
burn-in), and nothing is concluded while the batches themselves are correlated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phoenix.experiments.statistics import asymptotic, betting
from phoenix.experiments.statistics.autocorrelation import (
    TIMES_PER_BATCH,
    Autocorrelation,
    autocorrelation,
    lag_one,
)

#: Share of the stake on the bets; the rest is on the asymptotic e-value. Bets decide large savings
#: in a dozen batches, the asymptotic e-value small ones after its burn-in: a hundredth is plenty.
BETTING_SHARE = 0.99
#: Correlation of neighbouring batches above which nothing is concluded.
LAG_ONE_MAX = 0.1
#: Fewer batches say nothing about their own correlation.
BATCHES_MIN = 9
#: Relative standard error of the autocorrelation time beyond which batches cannot be sized.
TIME_ERROR_MAX = 0.5
#: Batches at which the band is tightest, and its level.
BAND_BATCHES = 60
BAND_ALPHA = 0.05
#: Size of a batch while the autocorrelation is unknown, for the band only.
DEFAULT_BATCH_TICKS = 10

_UNKNOWN = "the ratio of the arms has hardly moved yet, so how fast it forgets is unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class LongRun:
    """Where the long-run claim stands. Ratios are candidate/baseline."""

    ticks: int
    time: Autocorrelation | None  # in ticks
    batch_ticks: int | None
    batches: int
    lag_one: float | None
    log_e: float | None
    band: tuple[float, float] | None  # 95 % confidence sequence of the ratio
    withheld: str | None  # why nothing may be concluded yet


def assess(
    blocks: Sequence[tuple[int, int]],
    block_ticks: int,
    *,
    bound: float,
    cap: float,
    level: float,
) -> LongRun:
    """Size the batches and evaluate the gate.

    Args:
        blocks: series counts of baseline and candidate, each summed over `block_ticks` ticks.
        bound: the ratio that has to be undercut, `1 - required reduction`.
        cap: the largest ratio that bets must survive.
        level: error rate of the gate; tunes the asymptotic e-value.
    """
    pairs = np.asarray(blocks, dtype=float).reshape(-1, 2)
    time = _time(pairs, bound)
    length = DEFAULT_BATCH_TICKS // block_ticks or 1
    if time is not None:
        length = math.ceil(TIMES_PER_BATCH * time.time)
    baseline, candidate = batch_means(pairs, length)
    r = asymptotic.tuning(BAND_BATCHES, BAND_ALPHA)
    known = LongRun(
        ticks=len(pairs) * block_ticks,
        time=None if time is None else _in_ticks(time, block_ticks),
        batch_ticks=None if time is None else length * block_ticks,
        batches=0 if time is None else len(baseline),
        lag_one=None,
        log_e=None,
        band=asymptotic.ratio_band(baseline, candidate, r, BAND_ALPHA),
        withheld=_UNKNOWN,
    )
    return known if time is None else _gated(known, baseline, candidate, bound, cap, level)


def gate(
    baseline: Sequence[float], candidate: Sequence[float], bound: float, cap: float, level: float
) -> float:
    """Log e-value against "the ratio is at least `bound`": the average of both e-values."""
    ratios = np.asarray(candidate, dtype=float) / np.asarray(baseline, dtype=float)
    bets = math.log(BETTING_SHARE) + betting.log_wealth(ratios.tolist(), bound, cap)
    r = asymptotic.tuning(asymptotic.BURN_IN, 2 * level)
    limit = asymptotic.log_saving(baseline, candidate, bound, r)
    if limit is None:
        return bets
    return float(np.logaddexp(bets, math.log1p(-BETTING_SHARE) + limit))


def batches_needed(ratio: float, bound: float, cap: float, level: float) -> int | None:
    """Batches that would settle a constant ratio; None when it is not under the bound."""
    return betting.batches_needed(ratio, bound, cap, level * BETTING_SHARE)


def batch_means(pairs: NDArray[np.float64], length: int) -> tuple[list[float], list[float]]:
    """Means of complete batches of `length` rows; the rows left over at the end wait."""
    count = len(pairs) // length
    means = pairs[: count * length].reshape(count, length, 2).mean(axis=1)
    return means[:, 0].tolist(), means[:, 1].tolist()


def _gated(
    known: LongRun,
    baseline: list[float],
    candidate: list[float],
    bound: float,
    cap: float,
    level: float,
) -> LongRun:

    ratios = [b / a for a, b in zip(baseline, candidate, strict=True)]
    neighbours = lag_one(ratios)
    known = replace(known, lag_one=neighbours)
    if ratios:
        known = replace(known, log_e=gate(baseline, candidate, bound, cap, level))
    return replace(known, withheld=_withheld(known))


def _withheld(known: LongRun) -> str | None:
    assert known.time is not None
    if known.time.error > TIME_ERROR_MAX * known.time.time:
        return (
            f"the autocorrelation time is known only as {known.time.time:.1f}"
            f" ± {known.time.error:.1f} ticks"
        )
    if known.batches < BATCHES_MIN:
        return f"{known.batches} batches say nothing about their own correlation"
    if known.lag_one is None or known.lag_one > LAG_ONE_MAX:
        seen = "unknown" if known.lag_one is None else f"{known.lag_one:.2f}"
        return f"neighbouring batches are still correlated ({seen}, allowed {LAG_ONE_MAX:g})"
    return None


def _time(pairs: NDArray[np.float64], bound: float) -> Autocorrelation | None:
    """The longer of the memories of the ratio and of the contrast; None if the ratio has none."""
    if len(pairs) == 0 or bool((pairs[:, 0] <= 0).any()):
        return None
    ratio = autocorrelation((pairs[:, 1] / pairs[:, 0]).tolist())
    contrast = autocorrelation((pairs[:, 1] - bound * pairs[:, 0]).tolist())
    if ratio is None or contrast is None:
        return ratio
    return max(ratio, contrast, key=lambda found: found.time)


def _in_ticks(time: Autocorrelation, block_ticks: int) -> Autocorrelation:
    return Autocorrelation(time=time.time * block_ticks, error=time.error * block_ticks)
