"""Guesses by majority, against counting every case."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from math import comb

import pytest

from tasks.floors import binomial, by_majority, hypergeometric, majorities, majority, thinned


@pytest.mark.parametrize(("num", "classes"), [(1, 5), (2, 2), (3, 2), (4, 3), (6, 4), (7, 1)])
def test_majority_is_the_mean_over_all_outcomes(num: int, classes: int) -> None:
    most = [max(Counter(x).values()) for x in product(range(classes), repeat=num)]
    assert majority(num, classes) == pytest.approx(sum(most) / len(most) / num, abs=1e-12)


def test_majority_of_many() -> None:
    assert majority(1000, 2) == pytest.approx(0.5 + 0.5 * (2 / 3.14159265 / 1000) ** 0.5, abs=1e-4)
    assert [round(majority(n, 16), 3) for n in (5, 8, 16)] == [0.307, 0.258, 0.192]


def test_binomial() -> None:
    law = binomial(9, 0.3)
    assert law == pytest.approx([comb(9, n) * 0.3**n * 0.7 ** (9 - n) for n in range(10)])
    assert sum(law) == pytest.approx(1)


def test_hypergeometric() -> None:
    """All choices of three of seven, of which the first four are marked."""
    counts = Counter(sum(i < 4 for i in chosen) for chosen in combinations(range(7), 3))
    assert hypergeometric(7, 4, 3) == pytest.approx([counts[n] / 35 for n in range(4)])
    assert hypergeometric(5, 0, 2).tolist() == [1, 0, 0]
    assert sum(hypergeometric(3, 2, 3)) == 1
    assert hypergeometric(9, 8, 9).tolist() == [0] * 8 + [1, 0]
    with pytest.raises(ValueError, match="drawn=2 of total=0: needs <= 0"):
        hypergeometric(0, 0, 2)


@pytest.mark.parametrize(("low", "high"), [(0, 3), (1, 40), (90, 140)])
def test_majorities_are_those_of_each_number(low: int, high: int) -> None:
    expected = [majority(n, 10) for n in range(low, high + 1)]
    assert majorities(low, high, 10) == pytest.approx(expected, abs=1e-12)


def test_thinned_laws() -> None:
    """Each of seven stays with 0.3, and again with 0.5."""
    law = thinned(binomial(7, 0.3), 0.5)
    assert law == pytest.approx(binomial(7, 0.15), abs=1e-11)
    expected = sum(p * majority(1 + n, 4) for n, p in enumerate(law.tolist()))
    assert by_majority(law, 4) == pytest.approx(expected, abs=1e-10)
