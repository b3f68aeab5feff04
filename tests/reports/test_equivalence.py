"""Equivalence, against two one-sided tests of scipy, its interval, and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from reports.equivalence import MARGIN, SHARES, default_margin, tost
from sweeps.results import LOWER_IS_BETTER


@pytest.mark.parametrize("n", [2, 3, 6, 10, 25])
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_p_is_the_larger_of_scipy_s_one_sided_tests(n, margin):
    a, b = np.random.default_rng(n).normal(0.1, 0.3, (2, n))
    above = scipy.stats.ttest_1samp(a - b, -margin, alternative="greater").pvalue
    below = scipy.stats.ttest_1samp(a - b, margin, alternative="less").pvalue
    assert tost(a, b, margin).p == pytest.approx(max(above, below), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_p_is_below_five_percent_iff_the_90_percent_interval_is_within_the_margin(seed):
    d = np.random.default_rng(seed).normal(0.05, 0.1, 8)
    found = tost(d, np.zeros(8), 0.1)
    test = scipy.stats.ttest_1samp(d, 0).confidence_interval(0.90)
    assert (found.interval.low, found.interval.high) == pytest.approx((test.low, test.high))
    assert (found.p < 0.05) == (test.low > -0.1 and test.high < 0.1)


def test_both_outcomes_were_seen_above():
    found = [
        tost(np.random.default_rng(s).normal(0.05, 0.1, 8), np.zeros(8), 0.1) for s in range(20)
    ]
    assert 0 < sum(e.p < 0.05 for e in found) < 20


def test_nothing_is_concluded_from_one_seed_or_from_no_spread():
    assert tost([0.5], [0.5], 0.01).p is None
    assert tost([], [], 0.01).p is None
    assert tost([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], 0.01).p is None
    assert tost([0.9, 0.8, 0.7], [0.6, 0.5, 0.4], 0.01).p is None  # 0.3 each, up to rounding


@pytest.mark.parametrize("margin", [0.0, -0.1, math.inf, math.nan])
def test_a_margin_is_a_positive_number(margin):
    with pytest.raises(ValueError, match="expected a positive number"):
        tost([1.0, 2.0], [1.0, 2.5], margin)


def test_the_level_is_kept_at_the_margin_itself():
    """At a true difference of exactly the margin, 5 % are called equivalent."""
    d = np.random.default_rng(5).normal(0.1, 0.02, (4000, 8))
    rate = np.mean([tost(row, np.zeros(8), 0.1).p < 0.05 for row in d])
    assert abs(rate - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_what_is_equal_and_precise_is_found_so():
    d = np.random.default_rng(6).normal(0.0, 0.005, (300, 8))
    assert np.mean([tost(row, np.zeros(8), 0.01).p < 0.05 for row in d]) > 0.9


def test_a_default_is_of_shares_only():
    assert default_margin("accuracy") == MARGIN == 0.01
    assert [default_margin(m) for m in ("loss", "bits", "rmse", "anything")] == [None] * 4
    assert not set(SHARES) & set(LOWER_IS_BETTER)
