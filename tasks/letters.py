"""Random strings of letters; strings in which no group of g letters returns, or one does.

Axes: B examples, M strings, N letters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.rng import Integers, Words, integers, orders, words

HOPELESS = 1e-3  # share of strings that repeat no group: fewer take too many draws


def repeats_group(letters: Integers, lengths: NDArray[Any], num_letters: int, size: int) -> Any:
    """Whether `size` letters in a row stand twice in a string.                       (...)

    Args:    letters  the strings; what is behind their lengths does not count   (..., N)
             lengths                                                             (...)
    """
    num = letters.shape[-1] - size + 1
    narrow = letters.astype(np.int32) if num_letters**size < 2**31 else letters
    codes = narrow[..., :num].copy()
    for i in range(1, size):
        codes *= num_letters
        codes += narrow[..., i : i + num]
    if lengths.size and lengths.min() < letters.shape[-1]:
        places = np.arange(num, dtype=codes.dtype)  # behind the end no two are equal
        codes = np.where(places <= lengths[..., None] - size, codes, -1 - places)
    codes.sort(axis=-1)
    return (codes[..., 1:] == codes[..., :-1]).any(axis=-1)


def strings(
    keys: Words, field: int, lengths: NDArray[Any], most: int, law: tuple[int, int]
) -> Integers:
    """Uniform strings; where group > 0, uniform over those that repeat no group.  (B, M, most)

    A string that repeats one is drawn again, whole.

    Args:    lengths  of the strings     (B, M)
             law      letters, group
    """
    num_letters, group = law
    shape = (lengths.shape[1], most)
    size = shape[0] * shape[1]
    letters = integers(keys, field, size, num_letters).reshape(-1, *shape)
    if not group or most < group:
        return letters
    bad = repeats_group(letters, lengths, num_letters, group)
    attempt = 0
    while bad.any():
        attempt += 1
        rows = np.flatnonzero(bad.any(axis=1))
        again = integers(keys[rows], field, size, num_letters, attempt).reshape(-1, *shape)
        some = np.where(bad[rows][..., None], again, letters[rows])
        letters[rows] = some
        bad[rows] = repeats_group(some, lengths[rows], num_letters, group)
    return letters


def plant(
    letters: Integers, lengths: NDArray[Any], keys: Words, field: int, law: tuple[int, int]
) -> Integers:
    """Strings in which a group of letters returns: copied to places where it does not overlap.

    The places are uniform over all ways to fit the group and its copies into the string.

    Args:    letters  the strings           (B, M, N)
             lengths  of the strings        (B, M)
             law      copies, letters of the group
    """
    copies, size = law
    num = lengths.shape[1]
    slots = letters.shape[-1] - (copies + 1) * (size - 1)  # were each group a single letter
    drawn = words(keys, field, num * slots).reshape(len(keys), num, slots)
    order = orders(drawn, lengths - (copies + 1) * (size - 1))
    starts = np.sort(order[..., : copies + 1], axis=-1) + np.arange(copies + 1) * (size - 1)
    at = starts[..., None] + np.arange(size)
    planted = letters.copy()
    group = np.take_along_axis(letters, at[..., 0, :], axis=-1)
    for i in range(1, copies + 1):
        np.put_along_axis(planted, at[..., i, :], group, axis=-1)
    return planted


def problems(name: str, group: int, num_letters: int, num_tokens: int) -> Iterator[str]:
    """Why such strings cannot be drawn."""
    groups = num_tokens - group + 1
    if not group or groups < 2:
        return
    if num_letters**group >= 2**62:
        limit = max(g for g in range(1, 63) if num_letters**g < 2**62)
        yield f"{name}={group} with num_letters={num_letters} exceeds 2^62 groups: needs <= {limit}"
        return
    if share_without(groups, num_letters**group) < HOPELESS:
        enough = num_letters
        while share_without(groups, enough**group) < HOPELESS:
            enough += 1
        yield (
            f"{name}={group} with num_letters={num_letters}: hardly any string of {num_tokens} "
            f"letters repeats no {group} in a row: needs num_letters >= {enough}, a larger "
            f"{name} or shorter strings"
        )


def share_without(drawn: int, there_are: int) -> float:
    """The probability that so many independent draws all differ."""
    if drawn > there_are:
        return 0.0
    return math.exp(sum(math.log1p(-i / there_are) for i in range(drawn)))
