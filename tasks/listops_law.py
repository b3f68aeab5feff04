"""The law of ListOps: how long an expression is and what it is worth, exactly.

With V_d(z, c) = sum over n of P(a node at depth d has length n and value c) z^n,

    V_D = z / 10      V_d = (1 - p) z / 10 + p z^2 mean over operators f and a of f_a(V_{d+1})

with a arguments each.  Each f_a is elementary: all of them are >= c with (V_c + ... + V_9)^a, and
so on.  The recursion runs at points of a circle, and one Fourier transform gives the lengths: no
truncation, errors near 1e-12.  Axes: 10 values, K points.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.complex128]
ALIAS = 1e-12  # weight of what wraps around the circle


class Law(NamedTuple):
    """How trees are drawn; operators are 0 MIN, 1 MAX, 2 MED, 3 SM."""

    p_op: float
    max_depth: int
    max_args: int
    ops: tuple[int, ...]
    roots: tuple[int, ...]


def _circle(longest: int) -> tuple[Series, int]:
    num = 1 << max(6, (4 * longest).bit_length())
    turn = np.arange(num // 2 + 1) / num
    return ALIAS ** (1 / num) * np.exp(-2j * np.pi * turn), num


def _window(series: Series, num: int, shortest: int, longest: int) -> NDArray[np.float64]:
    """The sum of the coefficients of z^shortest to z^longest.        (..., K) -> (...)"""
    lengths = np.arange(shortest, longest + 1)
    weights = ALIAS ** (-lengths / num)
    return np.fft.irfft(series, num)[..., shortest : longest + 1] @ weights


def _mean_power(series: Series, max_args: int) -> Series:
    """The mean of V^2, ..., V^max_args."""
    total = np.ones_like(series)
    for _ in range(max_args - 2):
        total = total * series + 1
    return total * series**2 / (max_args - 1)


@lru_cache(maxsize=64)
def window(law: Law, shortest: int, longest: int) -> float:
    """The probability that a tree has a length in [shortest, longest]."""
    if shortest > longest:
        return 0.0
    z, num = _circle(longest)
    node = z
    for _ in range(law.max_depth - 1):
        node = (1 - law.p_op) * z + law.p_op * z**2 * _mean_power(node, law.max_args)
    return float(_window(node, num, shortest, longest))


def _steps(below: Series) -> Series:
    """P(value = c) from P(value <= c)."""
    return np.diff(below, axis=0, prepend=0)


def _minimum(values: Series, max_args: int) -> Series:
    return _maximum(values[::-1], max_args)[::-1]


def _maximum(values: Series, max_args: int) -> Series:
    return _steps(_mean_power(np.cumsum(values, axis=0), max_args))


def _sum(values: Series, max_args: int) -> Series:
    """The transform over the ten values turns sums modulo 10 into products."""
    return np.fft.ifft(_mean_power(np.fft.fft(values, axis=0), max_args), axis=0)


def _median(values: Series, max_args: int) -> Series:
    """floor((x_k + x_{k+1}) / 2) of 2 k values, x_k of 2 k - 1."""
    up_to = np.cumsum(values, axis=0)  # values <= c
    beyond = up_to[-1] - up_to  # values > c
    total = np.zeros_like(values)
    for num in range(2, max_args + 1):
        k = (num + 1) // 2
        at_least = [comb(num, j) * up_to**j * beyond ** (num - j) for j in range(k, num + 1)]
        middle = _steps(sum(at_least, np.zeros_like(values)))  # the k-th smallest
        if num % 2 == 0:  # x_k = u < v = x_{k+1}: k values reach up to u, and k from v on
            low = comb(num, k) * _steps(up_to**k)
            high = -np.diff(beyond**k, axis=0, prepend=up_to[-1:] ** k)
            for u in range(10):
                for v in range(u + 1, 10):
                    middle[(u + v) // 2] += low[u] * high[v]
                middle[u] -= low[u] * beyond[u] ** k
        total += middle
    return total / (max_args - 1)


OPERATORS: tuple[Callable[[Series, int], Series], ...] = (_minimum, _maximum, _median, _sum)


@lru_cache(maxsize=16)
def outcomes(law: Law, shortest: int, longest: int) -> NDArray[np.float64]:
    """P(root, value | length in [shortest, longest]); last row: the root is a digit.  (5, 10)"""
    z, num = _circle(longest)
    digit = np.tile(z / 10, (10, 1))
    node = digit
    for _ in range(law.max_depth - 2):
        results = [OPERATORS[op](node, law.max_args) for op in law.ops]
        node = (1 - law.p_op) * digit + law.p_op * z**2 * sum(results) / len(results)
    joint = np.zeros((5, 10))
    for op in law.roots:
        result = law.p_op * z**2 * OPERATORS[op](node, law.max_args) / len(law.roots)
        joint[op] = _window(result, num, shortest, longest)
    joint[4] = (1 - law.p_op) / 10 if shortest <= 1 else 0
    joint = np.maximum(joint, 0) / joint.sum()
    joint.setflags(write=False)
    return joint


@lru_cache(maxsize=64)
def count(law: Law, shortest: int, longest: int) -> int:
    """How many different expressions have a length in [shortest, longest]."""
    digits = [0, 10, *[0] * (longest - 1)]
    node = digits
    for depth in range(law.max_depth - 1, 0, -1):
        several = _series_power_sum(node, law.max_args, longest)
        num_ops = len(law.roots if depth == 1 else law.ops)
        node = [a + num_ops * b for a, b in zip(digits, [0, 0, *several[:-2]], strict=True)]
    return sum(node[shortest : longest + 1])


def _series_power_sum(node: list[int], max_args: int, longest: int) -> list[int]:
    """The sum of the powers 2 to max_args of a series, up to z^longest."""
    power = node
    total = [0] * (longest + 1)
    for _ in range(max_args - 1):
        product = [0] * (longest + 1)
        for i, a in enumerate(power):
            for j in range(longest + 1 - i if a else 0):
                product[i + j] += a * node[j]
        power = product
        total = [a + b for a, b in zip(total, power, strict=True)]
    return total
