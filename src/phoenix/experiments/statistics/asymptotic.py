"""Confidence sequences that use a normal approximation: what people see, and half of the gate.

Valid at all times from a burn-in on, in the limit of many batches; never intersect them over time.
`t` counts batches, `r` tunes where the sequence is tightest and must be fixed beforehand.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics (arXiv 2103.06476); equation numbers are its.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import lambertw, log_ndtr

#: Batches before the asymptotic e-value counts, and how many when the batches are skewed.
BURN_IN = 30
BURN_IN_SKEWED = 100
SKEWNESS_MAX = 1.0


def tuning(t: float, alpha: float) -> float:
    """r for which the two-sided sequence is tightest near `t` (eq. 161); one-sided: 2 alpha."""
    square = -2 * math.log(alpha)
    return math.sqrt((square + math.log(square + 1)) / t)


def exact_tuning(t: float, alpha: float) -> float:
    """The optimum that `tuning` approximates: x - ln x = 1 + 2 ln(1/alpha), x = t r^2 + 1."""
    x = -float(lambertw(-math.exp(-(1 + 2 * math.log(1 / alpha))), -1).real)
    return math.sqrt((x - 1) / t)


def half_width(t: float, r: float, alpha: float) -> float:
    """Two-sided half-width for unit variance (eq. 9)."""
    x = t * r * r + 1
    return math.sqrt(2 * x / (t * r) ** 2 * math.log(math.sqrt(x) / alpha))


def one_sided_width(t: float, r: float, alpha: float) -> float:
    """Distance of the one-sided limit from the mean for unit variance (eq. 134)."""
    x = t * r * r + 1
    return math.sqrt(2 * x / (t * r) ** 2 * math.log1p(math.sqrt(x) / (2 * alpha)))


def log_e_value(total: float, t: float, r: float) -> float:
    """Two-sided log e-value (eq. 155) of a sum of `t` terms of unit variance."""
    x = t * r * r + 1
    return (r * total) ** 2 / (2 * x) - math.log(x) / 2


def one_sided_log_e_value(total: float, t: float, r: float) -> float:
    """Log e-value against "the mean is at most zero": the mixture over positive means only."""
    x = t * r * r + 1
    return log_e_value(total, t, r) + math.log(2) + float(log_ndtr(r * total / math.sqrt(x)))


def log_saving(
    baseline: Sequence[float], candidate: Sequence[float], bound: float, r: float
) -> float | None:
    """Log e-value against "candidate/baseline is at least `bound`", from batch means.

    Tests the contrast `candidate - bound * baseline`, which needs no ratio of noisy means. None
    before the burn-in (30 batches, 100 when their skewness exceeds 1) and for batches that do not
    vary, of which a normal approximation knows nothing.
    """
    contrast = np.asarray(candidate, dtype=float) - bound * np.asarray(baseline, dtype=float)
    count = len(contrast)
    if count < BURN_IN:
        return None
    spread = float(contrast.std(ddof=1))
    if spread <= 1e-9 * float(np.abs(baseline).mean()):
        return None
    standard = (contrast - contrast.mean()) / spread
    if abs(float((standard**3).mean())) > SKEWNESS_MAX and count < BURN_IN_SKEWED:
        return None
    return one_sided_log_e_value(-float(contrast.sum()) / spread, count, r)


def ratio_band(
    baseline: Sequence[float], candidate: Sequence[float], r: float, alpha: float
) -> tuple[float, float] | None:
    """Two-sided confidence sequence of mean(candidate)/mean(baseline) at the present batch.

    Inverts the test of the contrast (Fieller 1954): all ratios q with
    `(mB - q mA)^2 <= h^2 (sBB - 2 q sAB + q^2 sAA)`. None when that is unbounded: no information
    yet.
    """
    if len(baseline) < 2:
        return None
    a, b = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    covariance = np.cov(a, b)
    square = half_width(len(a), r, alpha) ** 2
    mean_a, mean_b = float(a.mean()), float(b.mean())
    lead = mean_a**2 - square * float(covariance[0, 0])
    middle = mean_a * mean_b - square * float(covariance[0, 1])
    last = mean_b**2 - square * float(covariance[1, 1])
    if lead <= 0:
        return None
    root = math.sqrt(max(middle**2 - lead * last, 0.0))
    return (middle - root) / lead, (middle + root) / lead
