"""Bounds that hold at every time for sums with a known variance process, and for a rate.

`s` is a sum, `v` its variance process (for sign-symmetric terms, the sum of their squares: then the
normal mixture is exact whatever the tails and the memory of the data). `rho` tunes where a bound is
tightest and must be fixed beforehand.

Source: Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49(2); checked against the unit tests of
github.com/gostevehoward/confseq, test/uniform_boundaries_unittest.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.special import betainc, betaln, log_ndtr

_TOLERANCE = 1e-12


def normal_rho(v: float, alpha: float) -> float:
    """Tuning of the two-sided normal mixture for variance `v`; one-sided: pass 2 alpha."""
    square = 2 * math.log(1 / alpha)
    return v / (square + math.log1p(square))


def log_normal(s: float, v: float, rho: float) -> float:
    """Two-sided normal mixture: log e-value of a sum."""
    return math.log(rho / (v + rho)) / 2 + s * s / (2 * (v + rho))


def normal_bound(v: float, alpha: float, rho: float) -> float:
    """|s| stays under this at all times with probability 1 - alpha."""
    return math.sqrt((v + rho) * (math.log1p(v / rho) + 2 * math.log(1 / alpha)))


def log_normal_one_sided(s: float, v: float, rho: float) -> float:
    """Mixture over positive means only."""
    both = math.log(4 * rho / (v + rho)) / 2 + s * s / (2 * (v + rho))
    return both + float(log_ndtr(s / math.sqrt(v + rho)))


def normal_bound_one_sided(v: float, alpha: float, rho: float) -> float:
    """s stays under this at all times with probability 1 - alpha."""
    return _crossing(lambda s: log_normal_one_sided(s, v, rho) + math.log(alpha), v)


def log_beta_binomial(
    s: float, v: float, v_best: float, alpha: float, *, g: float, h: float, one_sided: bool
) -> float:
    """Mixture for sums of terms between -g and h: log e-value, tuned for `v_best` and `alpha`."""
    tuned = normal_rho(v_best, 2 * alpha if one_sided else alpha)
    r = max(tuned - g * h, 1e-3 * g * h)
    x = h / (g + h) if one_sided else 1.0
    return (
        v / (g * h) * math.log(g + h)
        - (v + h * s) / (h * (g + h)) * math.log(g)
        - (v - g * s) / (g * (g + h)) * math.log(h)
        + _log_incomplete_beta((r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h)), x)
        - _log_incomplete_beta(r / (g * (g + h)), r / (h * (g + h)), x)
    )


def beta_binomial_bound(
    v: float, alpha: float, v_best: float, *, g: float, h: float, one_sided: bool
) -> float:
    """s stays under this at all times with probability 1 - alpha."""

    def excess(s: float) -> float:
        value = log_beta_binomial(s, v, v_best, alpha, g=g, h=h, one_sided=one_sided)
        return value + math.log(alpha)

    return v / g if excess(v / g) < 0 else float(brentq(excess, 0.0, v / g, xtol=_TOLERANCE))


def rate_band(hits: int, trials: int, alpha: float, best_at: float) -> tuple[float, float]:
    """Confidence sequence of a probability, tightest after `best_at` trials (propositions 6, 7)."""
    seen = hits / trials

    def excess(p: float) -> float:
        variance = p * (1 - p)
        value = log_beta_binomial(
            (seen - p) * trials,
            variance * trials,
            variance * best_at,
            alpha,
            g=p,
            h=1 - p,
            one_sided=False,
        )
        return value + math.log(alpha)

    edge = 1e-9
    low, high = 0.0, 1.0
    if seen > 0 and excess(edge) > 0:
        low = float(brentq(excess, edge, min(seen, 1 - edge), xtol=_TOLERANCE))
    if seen < 1 and excess(1 - edge) > 0:
        high = float(brentq(excess, max(seen, edge), 1 - edge, xtol=_TOLERANCE))
    return low, high


def _log_incomplete_beta(a: float, b: float, x: float) -> float:
    return float(betaln(a, b)) + (math.log(float(betainc(a, b, x))) if x < 1 else 0.0)


def _crossing(excess: Callable[[float], float], first: float) -> float:
    high = max(first, 1.0)
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=_TOLERANCE))
