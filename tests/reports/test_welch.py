import numpy as np
import pytest
from scipy.stats import ttest_ind

from reports.stats import Estimate
from reports.welch import mean_difference


@pytest.mark.parametrize(("n", "m", "spread"), [(3, 3, 1.0), (5, 9, 4.0), (2, 40, 0.1)])
def test_the_interval_is_scipys(n, m, spread):
    rng = np.random.default_rng(n + m)
    x, y = rng.normal(1, 1, n), rng.normal(0, spread, m)
    wanted = ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    found = mean_difference(list(x), list(y))
    assert found.mean == pytest.approx(x.mean() - y.mean())
    assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))
    assert found.n == min(n, m)


def test_nine_of_ten_and_more_intervals_cover():
    """Nominal 95 %: 5 and 7 values, spreads 1 and 3."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        found = mean_difference(list(rng.normal(2, 1, 5)), list(rng.normal(1, 3, 7)))
        covered += found.low <= 1 <= found.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_too_few_values_give_no_interval():
    assert mean_difference([], [1.0, 2.0]) == Estimate(0)
    assert mean_difference([3.0], [1.0, 2.0]) == Estimate(1, 1.5)
    assert mean_difference([1.0, 1.0], [2.0, 2.0]) == Estimate(2, -1.0)
