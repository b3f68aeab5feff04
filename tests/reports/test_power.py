"""Power: against published values, an integral, closed forms, and simulation."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from reports.power import (
    paired_power,
    permutation_power,
    reached_level,
    seeds_for,
    smallest_difference,
)
from reports.stats import permutation_p, seeds_needed


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_are_those_of_the_tables(effect, pairs):
    """Small, medium, large effect at alpha 0.05 two-sided and power 0.8, as G*Power prints them."""
    assert seeds_for(effect, 1.0) == pairs
    assert seeds_for(0.01 * effect, 0.01) == pairs


@pytest.mark.parametrize("n", [2, 6, 8, 34, 200])
@pytest.mark.parametrize("effect", [0.0, 0.2, 0.7, 2.0])
def test_power_is_that_of_the_noncentral_t(n, effect):
    """The mean over s of what a normal mean reaches: t is that mean over s."""
    bar, shift, spread = (
        scipy.stats.t.ppf(0.975, n - 1),
        effect * math.sqrt(n),
        scipy.stats.chi(n - 1),
    )
    norm = scipy.stats.norm.cdf

    def reached(s):
        edge = bar * s / math.sqrt(n - 1)
        return spread.pdf(s) * (norm(shift - edge) + norm(-shift - edge))

    expected, _ = scipy.integrate.quad(reached, 0, spread.ppf(1 - 1e-13), epsabs=1e-10, limit=200)
    assert paired_power(n, effect) == pytest.approx(expected, abs=1e-8)
    if n < 10 and effect < 1:
        law = scipy.stats.nct(n - 1, shift)
        assert expected == pytest.approx(law.sf(bar) + law.cdf(-bar), abs=1e-8)
    assert paired_power(n, -effect) == paired_power(n, effect)


def test_power_without_an_effect_is_the_level_and_far_out_it_is_one():
    assert paired_power(9, 0.0, 0.01) == pytest.approx(0.01)
    for effect in np.logspace(0.6, 3, 60):
        assert 0.999 < paired_power(12, effect) <= 1.0


@pytest.mark.parametrize(
    ("n", "arms", "level"),
    [(5, 1, 0), (6, 1, 1 / 32), (7, 1, 3 / 64), (8, 3, 2 / 128), (9, 12, 1 / 256), (60, 2, 0.025)],
)
def test_the_level_that_a_permutation_test_reaches(n, arms, level):
    assert reached_level(n, arms) == level
    assert (level > 0) == (n >= seeds_needed(arms))


@pytest.mark.parametrize(
    ("n", "arms", "off"), [(6, 1, 0.025), (7, 2, 0.025), (7, 1, 0.05), (8, 3, 0.09), (12, 1, 0.025)]
)
def test_the_exact_permutation_test_has_about_this_power(n, arms, off):
    """1500 studies at the difference that n seeds are said to show with 80 %."""
    effect = smallest_difference(n, 1.0, num_arms=arms)
    d = np.random.default_rng(n).normal(effect, 1, (1500, n))
    rate = np.mean([arms * permutation_p(row, np.zeros(n)) < 0.05 for row in d])
    noise = 3 * math.sqrt(0.16 / 1500)
    assert 0.8 - off - noise < rate < 0.8 + noise


@pytest.mark.parametrize("arms", [1, 3, 12])
@pytest.mark.parametrize("effect", [0.1, 0.35, 1.0, 3.0])
def test_seeds_are_the_fewest(effect, arms):
    n, least = 2, seeds_needed(arms)
    while n < least or permutation_power(n, effect, reached_level(n, arms)) < 0.8:
        n += 1
    assert seeds_for(effect, 1.0, num_arms=arms) == n


@pytest.mark.parametrize("arms", [1, 4])
@pytest.mark.parametrize("n", [8, 20, 55])
def test_the_smallest_difference_is_the_inverse(n, arms):
    delta = smallest_difference(n, 0.02, num_arms=arms)
    assert seeds_for(delta * (1 + 1e-9), 0.02, num_arms=arms) == n
    assert seeds_for(delta * (1 - 1e-6), 0.02, num_arms=arms) > n
    assert delta == pytest.approx(0.02 * smallest_difference(n, 1.0, num_arms=arms))


def test_where_there_is_nothing_to_say():
    assert seeds_for(0.01, 0.0) is None
    assert seeds_for(0.0, 0.1) is None
    assert seeds_for(1e-6, 1.0) is None  # millions
    assert smallest_difference(5, 1.0) is None
    assert smallest_difference(6, 1.0, num_arms=2) is None
    assert smallest_difference(8, 0.0) is None
