"""The formulas against what others published, and against closed forms.

Origins: confseq = github.com/gostevehoward/confseq, test/uniform_boundaries_unittest.cpp; gbstats =
github.com/growthbook/growthbook, packages/stats/tests/frequentist/test_tests.py; the other values
follow from the papers named beside each function.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from phoenix.experiments.statistics import asymptotic, betting, longrun, mixtures, presence
from phoenix.experiments.statistics.autocorrelation import autocorrelation, lag_one
from phoenix.experiments.statistics.levels import Sprt, attempt_level, shared_level

NEAR = 1e-5


def close(value: float, absolute: float = NEAR) -> object:
    return pytest.approx(value, abs=absolute)


def test_normal_mixtures_agree_with_confseq() -> None:
    rho = mixtures.normal_rho(100, 0.05)
    assert rho == close(12.60056)
    assert mixtures.log_normal(10, 100, rho) == close(-0.6510052)
    assert mixtures.normal_bound(100, 0.05, rho) == close(30.35209)
    rho = mixtures.normal_rho(100, 2 * 0.05)
    assert mixtures.log_normal_one_sided(10, 100, rho) == close(-0.06502391)
    assert mixtures.normal_bound_one_sided(100, 0.05, rho) == close(27.66071)


@pytest.mark.parametrize(
    ("one_sided", "mixture", "bound"),
    [(False, -0.6941012, 31.4308), (True, -0.07134019, 28.41238)],
)
def test_beta_binomial_mixtures_agree_with_confseq(
    one_sided: bool, mixture: float, bound: float
) -> None:
    sides = {"g": 0.2, "h": 0.8, "one_sided": one_sided}
    assert mixtures.log_beta_binomial(10, 100, 100, 0.05, **sides) == close(mixture)
    assert mixtures.beta_binomial_bound(100, 0.05, 100, **sides) == close(bound)


def test_a_bound_never_exceeds_what_is_possible() -> None:
    bound = mixtures.beta_binomial_bound(2 * 0.2 * 0.8, 0.05, 100, g=0.2, h=0.8, one_sided=True)
    assert bound == close(2 * 0.8)


@pytest.mark.parametrize(
    ("hits", "trials", "best_at", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
    ],
)
def test_bands_of_a_rate_agree_with_confseq(
    hits: int, trials: int, best_at: float, low: float, high: float
) -> None:
    assert mixtures.rate_band(hits, trials, 0.05, best_at) == (close(low), close(high))


@pytest.mark.parametrize(
    ("t_best", "r", "widths"),
    [
        (60, 0.363688, (1.09549, 0.56298, 0.39184, 0.27947, 0.12173)),
        (120, 0.257167, (1.27774, 0.59598, 0.39809, 0.27708, 0.11834)),
        (720, 0.104988, (2.47794, 0.91761, 0.52163, 0.31624, 0.11312)),
        (5000, 0.039840, (6.20063, 2.10429, 1.07974, 0.56670, 0.13262)),
    ],
)
def test_widths_of_the_asymptotic_sequence(t_best: int, r: float, widths: tuple[float]) -> None:
    tuned = asymptotic.tuning(t_best, 0.05)
    assert tuned == close(r, 1e-6)
    found = [asymptotic.half_width(t, tuned, 0.05) for t in (10, 30, 60, 120, 720)]
    assert found == [close(width) for width in widths]


@pytest.mark.parametrize(
    ("t_best", "width"), [(60, 0.35878), (120, 0.36660), (720, 0.50024), (5000, 1.07150)]
)
def test_one_sided_widths_of_the_asymptotic_sequence(t_best: int, width: float) -> None:
    r = asymptotic.tuning(t_best, 2 * 0.05)
    assert asymptotic.one_sided_width(60, r, 0.05) == close(width)


def test_the_exact_tuning_is_close_to_its_approximation() -> None:
    assert 60 * asymptotic.exact_tuning(60, 0.05) ** 2 + 1 == close(9.21, 5e-3)
    assert 60 * asymptotic.tuning(60, 0.05) ** 2 + 1 == close(8.94, 5e-3)


def test_sequence_and_e_value_are_the_same_test() -> None:
    r, alpha = 0.25, 0.05
    for t in (10, 60, 500):
        edge = asymptotic.half_width(t, r, alpha) * t
        assert asymptotic.log_e_value(edge, t, r) == close(math.log(1 / alpha), 1e-9)
        edge = asymptotic.one_sided_width(t, r, alpha) * t
        found = asymptotic.one_sided_log_e_value(edge, t, r)
        assert 0 <= found - math.log(1 / alpha) <= 0.1  # the width rounds up


def test_the_sequence_agrees_with_gbstats_on_proportions() -> None:
    """1396 of 3000 against 2422 of 3461, unpaired delta method, tuned for 5000 observations."""
    n_a, n_b = 3000, 3461
    mean_a, mean_b = 1396 / n_a, 2422 / n_b
    var_a, var_b = mean_a * (1 - mean_a), mean_b * (1 - mean_b)
    variance = var_b / (mean_a**2 * n_b) + var_a * mean_b**2 / (mean_a**4 * n_a)
    n = n_a + n_b
    r = asymptotic.tuning(5000, 0.05)
    width = math.sqrt(variance * n) * asymptotic.half_width(n, r, 0.05)
    lift = mean_b / mean_a - 1
    assert (lift, lift - width, lift + width) == (
        close(0.50386),
        close(0.40098, 2e-5),
        close(0.60675, 2e-5),
    )


def test_the_sequence_agrees_with_gbstats_on_means() -> None:
    n_a, n_b = 3000, 3461
    mean_a, mean_b = 1396.87 / n_a, 2422.7 / n_b
    var_a = (52377.9767 - 1396.87**2 / n_a) / (n_a - 1)
    var_b = (134698.29 - 2422.7**2 / n_b) / (n_b - 1)
    variance = var_b / (mean_a**2 * n_b) + var_a * mean_b**2 / (mean_a**4 * n_a)
    n = n_a + n_b
    r = asymptotic.tuning(1000, 0.05)
    width = math.sqrt(variance * n) * asymptotic.half_width(n, r, 0.05)
    lift = mean_b / mean_a - 1
    assert math.sqrt(variance) == close(0.33341)
    assert (lift, lift - width, lift + width) == (
        close(0.50336),
        close(-0.55844, 2e-5),
        close(1.56516, 2e-5),
    )


def test_the_band_of_a_ratio_holds_exactly_the_ratios_that_are_not_rejected() -> None:
    generator = np.random.default_rng(3)
    a = generator.normal(100, 8, 40)
    b = 0.6 * a + generator.normal(0, 4, 40)
    r, alpha = 0.3, 0.05
    band = asymptotic.ratio_band(a.tolist(), b.tolist(), r, alpha)
    assert band is not None
    for edge in band:
        contrast = b - edge * a
        total = float(contrast.sum() / contrast.std(ddof=1))
        assert asymptotic.log_e_value(total, 40, r) == close(math.log(1 / alpha), 1e-9)


def test_a_noisy_baseline_gives_no_band() -> None:
    assert asymptotic.ratio_band([1, 100, 2, 90], [1, 1, 1, 1], 0.3, 0.05) is None
    assert asymptotic.ratio_band([1.0], [1.0], 0.3, 0.05) is None


@pytest.mark.parametrize(
    ("losses", "flat", "nine", "nineteen"),
    [
        (3, 3.75, 5.83, 6.86),
        (5, 10.50, 18.90, 24.76),
        (6, 18.14, 34.01, 47.05),
        (7, 31.875, 61.22, 89.39),
        (8, 56.78, 110.2, 169.8),
        (9, 102.3, 198.4, 322.7),
    ],
)
def test_losses_of_the_candidate_alone(
    losses: int, flat: float, nine: float, nineteen: float
) -> None:
    assert math.exp(presence.discordant(losses, 0)) == pytest.approx(flat, rel=1e-3)
    assert math.exp(presence.fixed_bet(losses, 0, 0.9)) == pytest.approx(nine, rel=1e-3)
    assert math.exp(presence.fixed_bet(losses, 0, 0.95)) == pytest.approx(nineteen, rel=1e-3)


@pytest.mark.parametrize(
    ("baseline", "candidate", "value"),
    [
        (0, 3, 4.83),
        (0, 5, 15.6),
        (0, 6, 28.8),
        (0, 7, 53.5),
        (2, 10, 8.13),
        (5, 15, 4.75),
        (10, 25, 7.37),
        (50, 80, 4.57),
        (100, 130, 0.73),
        (100, 150, 15.5),
        (500, 600, 4.55),
    ],
)
def test_counts_of_both_arms(baseline: int, candidate: int, value: float) -> None:
    assert math.exp(presence.more_often(baseline, candidate)) == pytest.approx(value, rel=4e-3)


@pytest.mark.parametrize(
    ("events", "expected", "value"),
    [
        (3, 0.1, 4.529),
        (5, 1, 5.097),
        (8, 2, 15.136),
        (10, 3, 17.377),
        (15, 5, 68.794),
        (30, 15, 40.772),
    ],
)
def test_counts_against_a_known_rate(events: int, expected: float, value: float) -> None:
    assert math.exp(presence.above_rate(events, expected)) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(("margin", "clean"), [(0.01, 299), (0.001, 2995)])
def test_the_bet_on_no_miss_alone(margin: float, clean: int) -> None:
    """E = (1 - margin)^-n reaches 20 exactly then; the mixture may be half as rich, no less."""
    assert (1 - margin) ** -clean >= 20 > (1 - margin) ** -(clean - 1)
    assert presence.absence(clean, 0, margin) >= math.log(20 / 2)


def test_absence_is_a_supermartingale_at_and_beyond_the_margin() -> None:
    for clean, onsets in ((0, 0), (30, 0), (30, 2), (5, 4)):
        now = presence.absence(clean, onsets, 0.05)
        after_clean = math.exp(presence.absence(clean + 1, onsets, 0.05) - now)
        after_onset = math.exp(presence.absence(clean, onsets + 1, 0.05) - now)
        assert 0.95 * after_clean + 0.05 * after_onset == close(1.0, 1e-9)
        assert 0.80 * after_clean + 0.20 * after_onset < 1


def test_a_discordant_tick_is_a_fair_bet() -> None:
    for b, c in ((0, 0), (4, 1), (3, 9)):
        now = presence.discordant(b, c)
        up = math.exp(presence.discordant(b + 1, c) - now)
        down = math.exp(presence.discordant(b, c + 1) - now)
        assert (up + down) / 2 == close(1.0, 1e-9)


@pytest.mark.parametrize(("ratio", "batches"), [(0.15, 9), (0.3, 12), (0.6, 39)])
def test_bets_decide_savings_against_thirty_percent(ratio: float, batches: int) -> None:
    assert betting.batches_needed(ratio, 0.7, 1.25, 0.01) == batches
    wealth = [betting.log_wealth([ratio] * n, 0.7, 1.25) for n in (batches - 1, batches)]
    assert wealth[0] < math.log(100) <= wealth[1]


def test_no_number_of_batches_shows_a_saving_that_is_not_there() -> None:
    assert betting.batches_needed(0.7, 0.7, 1.25, 0.01) is None
    assert betting.batches_needed(0.9, 0.7, 1.25, 0.01) is None


def test_wealth_follows_the_closed_form() -> None:
    gain = (0.7 - 0.4) / 0.55
    expected = ((1 + gain) ** 51 - 1) / (51 * gain)
    assert betting.log_wealth([0.4] * 50, 0.7, 1.25) == close(math.log(expected), 1e-9)


def test_a_batch_beyond_the_cap_ruins_only_the_boldest_bets() -> None:
    assert betting.log_wealth([1.25], 0.7, 1.25) == close(math.log(0.5), 1e-9)
    assert betting.log_wealth([9.0], 0.7, 1.25) == betting.log_wealth([1.25], 0.7, 1.25)


@pytest.mark.parametrize(
    ("sprt", "h0", "h1", "slope"),
    [
        ((0.01, 0.10, 0.05, 0.20), 0.6498, 1.1563, 0.03975),
        ((0.1, 0.3, 0.02, 0.03), 2.5826, 2.8754, 0.18617),
        ((0.001, 0.05, 0.01, 0.05), 0.7535, 1.1493, 0.01269),
    ],
)
def test_lines_of_walds_test(
    sprt: tuple[float, float, float, float], h0: float, h1: float, slope: float
) -> None:
    good, bad, alpha, beta = sprt
    test = Sprt(good=good, bad=bad, alpha=alpha, beta=beta)
    assert (test.accept, test.reject, test.slope) == (
        close(h0, 1e-4),
        close(h1, 1e-4),
        close(slope, 1e-5),
    )


@pytest.mark.parametrize(
    ("sprt", "broken", "healthy"),
    [
        ((0.001, 0.05, 0.01, 0.05), 28.3, 62.8),
        ((0.01, 0.10, 0.05, 0.20), 13.2, 18.8),
    ],
)
def test_expected_trials_of_walds_test(
    sprt: tuple[float, float, float, float], broken: float, healthy: float
) -> None:
    good, bad, alpha, beta = sprt
    found = Sprt(good=good, bad=bad, alpha=alpha, beta=beta).mean_trials()
    assert found == (close(broken, 0.06), close(healthy, 0.06))


def test_walds_test_as_an_e_process_is_fair() -> None:
    test = Sprt(good=0.01, bad=0.1, alpha=0.05, beta=0.2)
    hit, quiet = math.exp(test.log_e(1, 1)), math.exp(test.log_e(0, 1))
    assert 0.01 * hit + 0.99 * quiet == close(1.0, 1e-12)


def test_levels_never_exceed_their_budget() -> None:
    assert sum(attempt_level(0.01, n) for n in range(1, 50)) < 0.01 + 1e-12
    assert shared_level(0.05, 5) == close(0.01, 1e-12)


def test_an_average_of_e_values_ignores_the_broke() -> None:
    assert presence.log_mean(-math.inf, math.log(8)) == close(math.log(4), 1e-12)
    assert presence.log_mean(-math.inf, -math.inf) == -math.inf


def ar1(phi: float, count: int, seed: int) -> list[float]:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 1, count)
    values = [noise[0] / math.sqrt(1 - phi**2)]
    for one in noise[1:]:
        values.append(phi * values[-1] + one)
    return [float(value) for value in values]


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.5, 0.8])
def test_the_autocorrelation_time_covers_the_truth(phi: float) -> None:
    truth = (1 + phi) / (1 - phi)
    found = [autocorrelation(ar1(phi, 2000, seed)) for seed in range(20)]
    assert all(one is not None for one in found)
    covered = sum(abs(one.time - truth) <= 2 * one.error for one in found if one)
    assert covered >= 17


def test_copies_of_one_number_have_no_autocorrelation() -> None:
    assert autocorrelation([0.15] * 100) is None
    assert autocorrelation([0.1, 0.2] * 5) is None
    assert lag_one([1.0, 1.0, 1.0]) is None
    assert lag_one([1.0, 2.0]) is None


def test_the_long_run_is_withheld_while_batches_are_correlated() -> None:
    drift = [(1000, 150 + n // 4) for n in range(720)]
    state = longrun.assess(drift, 1, bound=0.7, cap=1.25, level=0.01)
    assert state.withheld is not None


def test_the_long_run_is_settled_by_independent_ticks() -> None:
    generator = np.random.default_rng(11)
    blocks = [(1000, int(c)) for c in generator.normal(150, 15, 200)]
    state = longrun.assess(blocks, 1, bound=0.7, cap=1.25, level=0.005)
    assert state.withheld is None
    assert state.log_e is not None
    assert state.log_e >= math.log(200)
    assert state.band is not None
    assert state.band[0] < 0.15 < state.band[1]


def test_a_constant_ratio_says_nothing_about_the_long_run() -> None:
    state = longrun.assess([(1000, 150)] * 500, 1, bound=0.7, cap=1.25, level=0.01)
    assert (state.time, state.batch_ticks, state.log_e) == (None, None, None)
    assert state.withheld is not None


def test_merged_blocks_are_measured_in_ticks() -> None:
    generator = np.random.default_rng(12)
    blocks = [(4000, int(c)) for c in generator.normal(600, 30, 400)]
    state = longrun.assess(blocks, 4, bound=0.7, cap=1.25, level=0.01)
    assert state.ticks == 1600
    assert state.batch_ticks is not None
    assert state.batch_ticks % 4 == 0
