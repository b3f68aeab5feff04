"""Normal variates by the method of Box and Muller, of basic operations and square roots only.

No function of a machine's mathematical library is called, so the data are the same bits
everywhere, and so is every sign and every order of two of them.
"""

from __future__ import annotations

import numpy as np

from tasks.rng import Floats, U, Words, exponentials, words

PI_4 = 0.7853981633974483


def normals(keys: Words, field: int, num: int) -> Floats:
    """Independent standard normals, to 1e-9.                                         (B, N)"""
    half = (num + 1) // 2
    drawn = words(keys, field, 2 * half)
    radius = np.sqrt(2 * exponentials(drawn[:, :half]))
    cosine, sine = directions(drawn[:, half:])
    return np.concatenate([radius * cosine, radius * sine], axis=1)[:, :num]


def directions(drawn: Words) -> tuple[Floats, Floats]:
    """Cosine and sine of uniform angles, to 1e-12.

    Three bits choose one of eight sectors, the others an angle in (0, pi / 4): there the series
    to the 12th and 13th powers are exact to 1e-13, and never 0, so that signs come from bits.
    """
    angle = ((drawn >> U(12)) & U(2**49 - 1)).astype(np.float64)
    angle += 0.5
    angle *= PI_4 / 2**49
    square = angle * angle
    sine = _series(square, (6, 20, 42, 72, 110, 156)) * angle
    cosine = _series(square, (2, 12, 30, 56, 90, 132))
    sector = (drawn >> U(61)).astype(np.int64)
    swapped = sector & 1 == 1
    x, y = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return np.where(sector & 2, -x, x), np.where(sector & 4, -y, y)


def _series(square: Floats, steps: tuple[int, ...]) -> Floats:
    """1 - x / s1 (1 - x / s2 (1 - ...))."""
    total = np.ones_like(square)
    for step in reversed(steps):
        total *= square
        total /= -step
        total += 1.0
    return total
