"""Exact accuracies of guesses by majority."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-15
RARE = 1e-12  # of the cases of a law: left out


Law = NDArray[np.float64]  # probabilities of 0, 1, 2, ...


@lru_cache(maxsize=4096)
def majority(num: int, classes: int) -> float:
    """How often the commonest of `num` uniform draws is right about one of them."""
    return float(majorities(num, num, classes)[0])


def majorities(low: int, high: int, classes: int) -> Law:
    """`majority` of low, low + 1, ..., high draws, all at once.

    E[max_j n_j] / num of the multinomial counts n_j, by their maximum's distribution:
    P(max <= m) = P(no Poisson count exceeds m | their sum is num), for independent counts.
    """
    nums = np.arange(low, high + 1)
    if high <= 1 or classes == 1:
        return np.ones(len(nums))
    mean = max(low + high, 2) / 2
    pmf = np.exp(_log_poisson(high, mean / classes))
    whole = np.exp(_log_poisson(high, mean))[low:]
    first = low // classes if low % classes == 0 else low // classes + 1  # some count reaches it
    total = np.full(len(nums), float(first))  # E[max] is the sum of P(max > m) over m = 0, 1, ...
    for most in range(first, high):
        up_to = np.zeros(high + 1)
        power = _power(pmf[: most + 1], classes, high + 1)
        up_to[: len(power)] = power
        missing = 1 - np.minimum(up_to[low:] / whole, 1.0)
        missing[nums <= most] = 0.0
        total += missing
        if missing.max() < EPSILON * high:
            break
    return total / np.maximum(nums, 1) + (nums == 0)


def _log_poisson(num: int, mean: float) -> Law:
    counts = np.arange(num + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num + 1)))])
    return counts * np.log(mean) - mean - log_factorial


def _power(series: Law, exponent: int, size: int) -> Law:
    """The first `size` terms of the series' power."""
    result, base = None, series
    while exponent:
        if exponent & 1:
            result = base if result is None else np.convolve(result, base)[:size]
        exponent >>= 1
        if exponent:
            base = np.convolve(base, base)[:size]
    assert result is not None
    return result


def binomial(num: int, probability: float) -> Law:
    """P(Bin(num, probability) = 0, 1, ..., num)."""
    counts = np.arange(num)
    return _by_ratios((num - counts) / (counts + 1) * (probability / (1 - probability)))


def hypergeometric(total: int, marked: int, drawn: int) -> Law:
    """P(0, 1, ..., drawn of `drawn` are marked), drawn from `total` without replacement."""
    if drawn > total:
        raise ValueError(f"drawn={drawn} of total={total}: needs <= {total}")
    plain = total - marked
    low, high = max(0, drawn - plain), min(drawn, marked)
    n = np.arange(low, high)
    law = np.zeros(drawn + 1)
    law[low : high + 1] = _by_ratios(
        (marked - n) / (n + 1) * ((drawn - n) / (plain - drawn + n + 1))
    )
    return law


def thinned(law: Law, probability: float) -> Law:
    """The law of how many are left if each stays with this probability; 1e-12 is left out."""
    found = np.zeros(len(law))
    for num in np.flatnonzero(law > RARE):
        found[: num + 1] += law[num] * binomial(int(num), probability)
    return found


def by_majority(law: Law, classes: int) -> float:
    """`majority` of one draw and as many others as the law says; 1e-12 is left out."""
    likely = np.flatnonzero(law > RARE)
    low, high = int(likely[0]), int(likely[-1])
    return float(law[low : high + 1] @ majorities(1 + low, 1 + high, classes))


def _by_ratios(ratios: Law) -> Law:
    """Probabilities, each one `ratios` times the one before."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    law = np.exp(logs - logs.max())
    return law / law.sum()
