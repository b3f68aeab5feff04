"""Against scipy.stats, closed forms, brute force, and simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.stats import (
    Estimate,
    effect_size,
    holm,
    is_underpowered,
    mean_interval,
    paired_difference,
    permutation_p,
    reachable_p,
    seed_correlation,
    seeds_needed,
    smallest_p,
)

SIXTEENTHS = st.integers(0, 16).map(lambda k: k / 16)


def pairs(max_size=9, min_size=1, values=SIXTEENTHS):
    return st.lists(st.tuples(values, values), min_size=min_size, max_size=max_size)


def columns(rows):
    return [a for a, _ in rows], [b for _, b in rows]


# ------------------------------------------------------------------------------------ intervals


@pytest.mark.parametrize("n", [2, 3, 5, 6, 8, 13])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_interval_is_scipy_s(n, level):
    x = np.random.default_rng(n).normal(0.6, 0.2, n)
    low, high = scipy.stats.t.interval(level, n - 1, loc=x.mean(), scale=scipy.stats.sem(x))
    found = mean_interval(x.tolist(), level)
    assert found.mean == pytest.approx(x.mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_two_values_in_closed_form():
    found = mean_interval([0.25, 0.75])  # t_{1, 0.975} = tan(0.475 pi), s/sqrt(2) = 0.25
    half = math.tan(0.475 * math.pi) * 0.25
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-9)


def test_one_value_has_a_mean_and_no_interval_and_none_has_neither():
    assert mean_interval([0.3]) == Estimate(1, 0.3)
    assert mean_interval([]) == Estimate(0)
    assert mean_interval([0.3]).includes_zero  # nothing says otherwise


def test_equal_values_have_an_interval_of_no_width():
    found = mean_interval([0.1] * 7)
    assert found.low == found.mean == found.high == pytest.approx(0.1)


def test_the_paired_interval_is_scipy_s():
    a, b = np.random.default_rng(0).normal(0.3, 1, size=(2, 6))
    test = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    found = paired_difference(a.tolist(), b.tolist())
    assert (found.low, found.high) == pytest.approx((test.low, test.high), rel=1e-9)
    with pytest.raises(ValueError, match="3 values of the arm, 2 of the baseline: not paired"):
        paired_difference([1, 2, 3], [1, 2])


@pytest.mark.parametrize("n", [3, 5, 10])
def test_95_percent_intervals_cover_95_percent(n):
    trials = 4000
    x = np.random.default_rng(100 + n).normal(0.7, 0.1, (trials, n))
    found = [mean_interval(row) for row in x]
    covered = np.mean([e.low <= 0.7 <= e.high for e in found])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


# ---------------------------------------------------------------------------------- permutation


def brute_force(a, b):
    """Every sign flip, in exact integers (values are sixteenths)."""
    d = [round(16 * (x - y)) for x, y in zip(a, b, strict=True)]
    flips = list(itertools.product((-1, 1), repeat=len(d)))
    hits = [abs(sum(s * v for s, v in zip(f, d, strict=True))) >= abs(sum(d)) for f in flips]
    return sum(hits) / len(flips)


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_p_counts_every_sign_flip_ties_included(rows):
    a, b = columns(rows)
    assert permutation_p(a, b) == brute_force(a, b)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_ties_survive_rounding(rows):
    """Tenths of sixteenths are not exact in binary: equal sums must still count as equal."""
    a, b = columns(rows)
    assert permutation_p([x / 10 + 0.3 for x in a], [x / 10 + 0.3 for x in b]) == brute_force(a, b)


def test_p_is_scipy_s():
    a, b = np.random.default_rng(4).normal(0.4, 1, size=(2, 7))
    test = scipy.stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert permutation_p(a, b) == pytest.approx(test.pvalue, rel=1e-12)


def count_by_sums(d, bar):
    """#{sign flips with |sum| >= bar} for whole numbers, by counting how many reach each sum."""
    reach = {0: 1}
    for value in d:
        new = {}
        for total, ways in reach.items():
            for sign in (-1, 1):
                new[total + sign * value] = new.get(total + sign * value, 0) + ways
        reach = new
    return sum(ways for total, ways in reach.items() if abs(total) >= bar)


@pytest.mark.parametrize("n", [21, 26, 33])
def test_p_stays_exact_beyond_twenty_seeds(n):
    d = np.random.default_rng(n).integers(-6, 10, n).tolist()
    expected = count_by_sums(d, abs(sum(d))) / 2**n
    assert permutation_p(d, [0] * n) == expected


def test_p_of_very_many_seeds_is_sampled_and_the_same_each_time():
    d = np.random.default_rng(1).integers(-6, 8, 64).tolist()
    expected = count_by_sums(d, abs(sum(d))) / 2**64
    found = permutation_p(d, [0] * 64)
    assert found == permutation_p(d, [0] * 64)
    assert abs(found - expected) < 5 * math.sqrt(expected / 100_000)
    assert permutation_p([1.0] * 64, [0.0] * 64) == 1 / 100_001


@pytest.mark.parametrize("n", range(1, 12))
def test_the_smallest_p_is_reached_by_differences_of_one_sign(n):
    a = np.random.default_rng(n).uniform(0.1, 1, n)
    assert permutation_p(a, np.zeros(n)) == smallest_p(n) == 2.0 ** (1 - n)
    assert permutation_p(np.zeros(n), a) == 2.0 ** (1 - n)


def test_p_of_no_difference_is_one_and_of_nothing_is_none():
    assert permutation_p([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == 1.0
    assert permutation_p([0.3], [0.1 + 0.2]) == 1.0
    assert permutation_p([], []) is None


def test_the_test_keeps_its_level():
    d = np.random.default_rng(8).normal(size=(3000, 6))
    p = np.array([permutation_p(row, np.zeros(6)) for row in d])
    for alpha in (1 / 32, 1 / 8, 1 / 2):  # reachable levels are met exactly
        rate = (p <= alpha).mean()
        assert abs(rate - alpha) < 4 * math.sqrt(alpha * (1 - alpha) / len(p))


# ----------------------------------------------------------------------------------------- Holm


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, and the last is raised to .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
@settings(max_examples=200, deadline=None)
def test_adjusted_p_rejects_what_holm_s_steps_reject(p, alpha):
    """The published procedure: compare the sorted p with alpha/m, alpha/(m-1), ... and stop."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    rejected = set()
    for rank, i in enumerate(order):
        if (len(p) - rank) * p[i] > alpha:
            break
        rejected.add(i)
    assert {i for i, q in enumerate(holm(p)) if q <= alpha} == rejected


# -------------------------------------------------------------------------- effect, correlation


@given(pairs(min_size=3))
@settings(max_examples=150, deadline=None)
def test_effect_size_is_t_over_root_n(rows):
    a, b = columns(rows)
    d = np.array(a) - np.array(b)
    if np.ptp(d) == 0:
        assert effect_size(a, b) is None
        return
    t = scipy.stats.ttest_rel(a, b).statistic
    assert effect_size(a, b) == pytest.approx(t / math.sqrt(len(d)), rel=1e-9, abs=1e-12)


def test_no_effect_size_without_spread_even_if_rounded():
    assert effect_size([0.9, 0.8, 0.7], [0.6, 0.5, 0.4]) is None  # 0.3, 0.3, 0.3 up to rounding
    assert effect_size([0.9], [0.6]) is None


@given(pairs(min_size=3))
@settings(max_examples=150, deadline=None)
def test_correlation_is_pearson_s_and_explains_the_paired_variance(rows):
    a, b = columns(rows)
    r = seed_correlation(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert r is None
        return
    assert r == pytest.approx(scipy.stats.pearsonr(a, b).statistic, abs=1e-9)
    spread = np.var(a) + np.var(b) - 2 * r * np.std(a) * np.std(b)
    assert np.var(np.subtract(a, b)) == pytest.approx(spread, abs=1e-12)


def test_two_points_always_correlate_so_they_have_no_correlation():
    assert seed_correlation([0.1, 0.2], [0.3, 0.5]) is None


# ---------------------------------------------------------------------------------------- power


def test_seeds_needed_are_those_of_the_design():
    table = {1: 6, 2: 7, 3: 7, 4: 8, 5: 8, 6: 8, 7: 9, 12: 9}
    assert {m: seeds_needed(m) for m in table} == table


@pytest.mark.parametrize(("n", "arms", "expected"), [(5, 1, True), (6, 1, False), (6, 2, True)])
def test_underpowered_is_when_holm_can_never_reject(n, arms, expected):
    best = holm([smallest_p(n)] * arms)[0]
    assert is_underpowered(n, arms) is expected is (best >= 0.05)


def test_the_least_p_of_each_contrast_is_reached_and_never_undercut():
    """With missing runs the contrasts have other numbers of pairs: each has its own least."""
    assert reachable_p([6, 6]) == [2 * 2**-5] * 2
    assert reachable_p([8, 6]) == [2 * 2**-7, 2**-5]  # the second is compared with 0.05 itself
    assert reachable_p([8, 8, 3]) == [3 * 2**-7, 3 * 2**-7, 2**-2]
    assert reachable_p([0, 1, 9]) == [1.0, 1.0, 3 * 2**-8]
    least = np.min([holm([i / 32, j / 8]) for i in range(1, 33) for j in range(1, 9)], axis=0)
    assert reachable_p([6, 4]) == least.tolist()
