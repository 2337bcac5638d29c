"""Is the candidate blind to something? Tests on ticks in which a critical process was missing.

Two questions, two directions. To *abort*: does the candidate lose processes more often than the
baseline does (`discordant`)? To *promote*: is the chance of a new miss per tick below the margin
(`absence`)? Both take counts of onsets: a miss that lasts is one event, and its duration is judged
by a hard rule elsewhere, because a bet needs to be fair given the past.
"""

from __future__ import annotations

import math

from scipy.special import betainc, betaincc, betaln


def absence(clean: int, onsets: int, margin: float) -> float:
    """Log e-value against "a miss begins in at least a share `margin` of the ticks at risk".

    Half of the stake bets that no miss ever happens, `(1 - margin)^-n`; the other half is spread
    evenly over all rates below the margin (a beta-binomial mixture truncated at the margin). Each
    is a likelihood ratio against the margin, and a supermartingale for every larger rate.

    Args:
        clean: ticks at risk in which no miss began.
        onsets: ticks at risk in which one did.
        margin: the rate that has to be excluded, between 0 and 1.

    Source: Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
    confidence sequences", propositions 6 and 7 (beta-binomial mixture).
    """
    null = onsets * math.log(margin) + clean * math.log1p(-margin)
    inside = float(betainc(onsets + 1, clean + 1, margin))
    if inside == 0.0:  # far more misses than the margin allows: the stake is lost
        spread = -math.inf
    else:
        spread = float(betaln(onsets + 1, clean + 1)) + math.log(inside / margin) - null
    never = -null if onsets == 0 else -math.inf
    return log_mean(never, spread)


def discordant(against: int, in_favour: int) -> float:
    """Log e-value against "a discordant tick is as likely to be either arm's loss".

    The sequential form of McNemar's test with a flat prior on [1/2, 1]:
    `E = 2^(n+1) B(b+1, c+1) (1 - I_1/2(b+1, c+1))` for b losses of the candidate alone and c of
    the baseline alone, n = b + c. Valid for every chance of at most one half given the past.

    Source: Shafer 2021, "Testing by betting"; the mixture is that of Howard et al. 2021.
    """
    upper = float(betaincc(against + 1, in_favour + 1, 0.5))
    if upper == 0.0:
        return -math.inf
    both = against + in_favour
    return (both + 1) * math.log(2) + float(betaln(against + 1, in_favour + 1)) + math.log(upper)


def fixed_bet(against: int, in_favour: int, share: float) -> float:
    """Log e-value of the same null for one bet: `share` of the discordant ticks are losses."""
    return against * math.log(2 * share) + in_favour * math.log(2 * (1 - share))


def more_often(baseline: int, candidate: int, share: float = 0.5) -> float:
    """Log e-value against "the candidate's events are at most `share` of all events".

    Given the total, the events of two Poisson processes of equal, unknown and changing intensity
    are binomial; the alternative is a Jeffreys prior truncated to shares above `share`. Bursty
    events must be clustered before counting (count intervals with at least one).

    Source: Lindon and Malek 2022, "Anytime-valid inference for multinomial count data", NeurIPS.
    """
    half = 0.5
    upper = float(betaincc(half + candidate, half + baseline, share))
    if upper == 0.0:
        return -math.inf
    prior = math.log(float(betaincc(half, half, share))) + float(betaln(half, half))
    null = candidate * math.log(share) + baseline * math.log1p(-share)
    return float(betaln(half + candidate, half + baseline)) + math.log(upper) - prior - null


def above_rate(events: int, expected: float, a: float = 1.0, b: float = 1.0) -> float:
    """Log e-value against "events come at the known rate" of which `expected` were due by now.

    A Gamma(a, b) mixture over the ratio of the true rate to the known one (Poisson counts).
    """
    prior = a * math.log(b) - math.lgamma(a)
    return expected + prior + math.lgamma(a + events) - (a + events) * math.log(b + expected)


def log_mean(*values: float) -> float:
    """Logarithm of the average of e-values, which is an e-value under any dependence.

    Source: Vovk and Wang 2021, "E-values: calibration, combination and applications".
    """
    highest = max(values)
    if highest in (-math.inf, math.inf):
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in values) / len(values))
