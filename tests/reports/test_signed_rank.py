"""Signed ranks, against scipy.stats, every sign flip in whole numbers, and tables."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.signed_rank import rank_biserial, signed_ranks, wilcoxon_p

WHOLE = st.lists(st.integers(-5, 5), min_size=1, max_size=9)


def ranks_by_hand(d):
    """Average ranks of the sizes, doubled: whole numbers. Zeros have their rank, and no sign."""
    sizes = [abs(x) for x in d]
    doubled = [sum(2 * (y < x) + (y == x) for y in sizes) + 1 for x in sizes]
    return [r * ((x > 0) - (x < 0)) for r, x in zip(doubled, d, strict=True)]


@given(WHOLE)
@settings(max_examples=150, deadline=None)
def test_p_counts_every_sign_flip_of_the_ranks(d):
    ranks = ranks_by_hand(d)
    flips = itertools.product((-1, 1), repeat=len(d))
    hits = [
        abs(sum(s * r for s, r in zip(f, ranks, strict=True))) >= abs(sum(ranks)) for f in flips
    ]
    assert (2 * signed_ranks(d, [0] * len(d))).tolist() == ranks
    assert wilcoxon_p(d, [0] * len(d)) == sum(hits) / 2 ** len(d)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 20, 41, 60])
def test_p_without_ties_is_scipy_s_exact_one(n):
    a, b = np.random.default_rng(n).normal(0.2, 1, (2, n))
    expected = scipy.stats.wilcoxon(a, b, method="exact").pvalue
    assert wilcoxon_p(a, b) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("d", [[0, 0, 1, -2, 3, 3, 4], [1, 1, 1, -1, 2, 2], [0, 5, 5, -5, 0, 7, 7]])
def test_p_with_ties_and_zeros_is_scipy_s_permutation_of_pratt_s_ranks(d):
    every_flip = scipy.stats.PermutationMethod(n_resamples=math.inf)
    expected = scipy.stats.wilcoxon(d, zero_method="pratt", method=every_flip).pvalue
    assert wilcoxon_p(d, [0] * len(d)) == pytest.approx(expected, rel=1e-12)


def test_ranks_that_only_rounding_tells_apart_are_tied():
    a, b = [0.3, 0.1 + 0.2, 0.7, 0.4], [0.2, 0.2, 0.4, 0.4]
    assert signed_ranks(a, b).tolist() == [2.5, 2.5, 4.0, 0.0]
    assert signed_ranks([], []).tolist() == []


def test_p_of_very_many_seeds_is_drawn_and_near_the_normal_one():
    d = np.random.default_rng(3).normal(0.1, 1, 250)
    found = wilcoxon_p(d, np.zeros(250))
    assert found == wilcoxon_p(d, np.zeros(250))
    assert found == pytest.approx(scipy.stats.wilcoxon(d, method="approx").pvalue, abs=0.01)


def test_no_difference_and_no_values():
    assert wilcoxon_p([0.1, 0.2], [0.1, 0.2]) == 1.0
    assert wilcoxon_p([], []) is None
    assert rank_biserial([], []) is None
    assert rank_biserial([0.1, 0.2], [0.1, 0.2]) == 0.0


def test_the_test_keeps_its_level():
    d = np.random.default_rng(8).standard_t(2, size=(3000, 6))
    p = np.array([wilcoxon_p(row, np.zeros(6)) for row in d])
    for alpha in (0.05, 0.25, 0.5):
        assert abs((p <= alpha).mean() - reached(alpha)) < 4 * math.sqrt(alpha / 3000)


def reached(alpha):
    """The largest level up to alpha that a two-sided test of six ranks can have."""
    flips = itertools.product((-1, 1), repeat=6)
    sums = [abs(sum(s * r for s, r in zip(f, range(1, 7), strict=True))) for f in flips]
    shares = [sum(other >= each for other in sums) / 64 for each in sums]
    return max(share for share in shares if share <= alpha)


@given(WHOLE)
@settings(max_examples=100, deadline=None)
def test_rank_biserial_is_the_share_for_minus_the_share_against(d):
    ranks, n = ranks_by_hand(d), len(d)
    won, lost = (sum(abs(r) for r in ranks if sign * r > 0) / 2 for sign in (1, -1))
    total = n * (n + 1) / 2
    found = rank_biserial(d, [0] * n)
    assert found == pytest.approx(won / total - lost / total, abs=1e-12)
    assert found == pytest.approx(-rank_biserial([0] * n, d), abs=1e-12)


def test_rank_biserial_of_one_sign_is_one_and_follows_scipy_s_statistic():
    assert rank_biserial([1, 2, 3], [0, 0, 0]) == 1.0
    d = np.random.default_rng(2).normal(size=9)
    won = scipy.stats.wilcoxon(d, alternative="greater").statistic
    assert rank_biserial(d, np.zeros(9)) == pytest.approx(2 * won / 45 - 1)
