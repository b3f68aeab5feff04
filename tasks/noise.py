"""Noise among data: which positions hold it, and how many contents that leaves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tasks.counting import MANY
from tasks.rng import U, Words, words


def chosen(keys: Words, field: int, num: int, share: float) -> NDArray[np.bool_]:
    """True with probability `share` < 1, independently, to 2^-53.                    (B, N)"""
    return words(keys, field, num) < U(math.ceil(share * 2**53) << 11)


def as_if(same: float, num: int, others: int = 1) -> int:
    """1 / same^num times others: how many equally likely contents meet as often as these.

    Args: same  the probability that two examples agree in one of `num` independent places
    """
    total = float(others)
    for _ in range(num):
        total /= same
        if total >= MANY:
            return MANY
    return int(total)
