"""Exact accuracies of guesses by majority."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np

EPSILON = 1e-15


@lru_cache(maxsize=4096)
def majority(num: int, classes: int) -> float:
    """How often the commonest of `num` uniform draws is right about one of them.

    E[max_j n_j] / num of the multinomial counts n_j, by their maximum's distribution:
    P(max <= m) = P(no Poisson count exceeds m | their sum is num), for independent counts.
    """
    if num <= 1 or classes == 1:
        return 1.0
    pmf = np.exp(_log_poisson(num, num / classes))
    whole = np.exp(_log_poisson(num, float(num)))[num]
    total = 0.0  # E[max] is the sum of P(max > m) over m = 0, 1, ...
    for high in range(num):
        up_to = _power(np.where(np.arange(num + 1) <= high, pmf, 0.0), classes)[num] / whole
        total += 1 - min(up_to, 1.0)
        if 1 - up_to < EPSILON * num:
            break
    return total / num


def _log_poisson(num: int, mean: float) -> np.ndarray:
    counts = np.arange(num + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num + 1)))])
    return counts * np.log(mean) - mean - log_factorial


def _power(series: np.ndarray, exponent: int) -> np.ndarray:
    """The series' power, cut at its length."""
    size = len(series)
    result, base = None, series
    while exponent:
        if exponent & 1:
            result = base if result is None else np.convolve(result, base)[:size]
        exponent >>= 1
        if exponent:
            base = np.convolve(base, base)[:size]
    assert result is not None
    return result


@lru_cache(maxsize=256)
def binomial(num: int, probability: float) -> tuple[float, ...]:
    """P(Bin(num, probability) = 0, 1, ..., num)."""
    law = np.zeros(num + 1)
    law[0] = 1.0
    for _ in range(num):
        law[1:] = law[1:] * (1 - probability) + law[:-1] * probability
        law[0] *= 1 - probability
    return tuple(law.tolist())


@lru_cache(maxsize=256)
def hypergeometric(total: int, marked: int, drawn: int) -> tuple[float, ...]:
    """P(0, 1, ..., drawn of `drawn` are marked), drawn from `total` without replacement."""
    whole = comb(total, drawn)
    return tuple(
        comb(marked, n) * comb(total - marked, drawn - n) / whole for n in range(drawn + 1)
    )
