"""Words of brackets. With k types, i opens and k + i closes, i = 0, ..., k - 1."""

from __future__ import annotations

import numpy as np
from numba import njit

from tasks._loops.rng import S32, below, field_start, word


@njit(cache=True)
def words(
    keys: np.ndarray,
    limits: np.ndarray,
    options: tuple[int, int, bool],
    tokens: np.ndarray,
) -> None:
    """Balanced words.

    Args:    limits   2^32 times the probability to open, by depth and symbols left   (D + 1, L + 1)
             options  types; field of the draws; whether all types may not be the same
             tokens   written here                                                    (B, L)
    """
    num_types, field, mixed = options
    length = tokens.shape[1]
    stack = np.empty(length, np.int64)
    for b in range(len(keys)):
        start = field_start(keys[b], field, 0)
        attempt = 0
        same = True
        while same:
            types = field_start(keys[b], field + 1, attempt)
            depth, opened = 0, 0
            same = mixed
            for t in range(length):
                if word(start, t) >> S32 < limits[depth, length - t]:
                    stack[depth] = below(word(types, opened), num_types)
                    same = same and stack[depth] == stack[0]
                    tokens[b, t] = stack[depth]
                    opened += 1
                    depth += 1
                else:
                    depth -= 1
                    tokens[b, t] = num_types + stack[depth]
                    same = same and stack[depth] == tokens[b, 0]
            attempt += 1


@njit(cache=True)
def exchange(keys: np.ndarray, num_types: int, field: int, tokens: np.ndarray) -> None:
    """Exchange a random closing bracket with a random one of another type."""
    length = tokens.shape[1]
    for b in range(len(keys)):
        start = field_start(keys[b], field, 0)
        first = _closing(tokens[b], num_types, -1, np.int64(below(word(start, 0), length // 2)))
        others = 0
        for t in range(length):
            if tokens[b, t] >= num_types and tokens[b, t] != tokens[b, first]:
                others += 1
        place = np.int64(below(word(start, 1), others))
        second = _closing(tokens[b], num_types, tokens[b, first], place)
        tokens[b, first], tokens[b, second] = tokens[b, second], tokens[b, first]


@njit(cache=True)
def _closing(row: np.ndarray, num_types: int, other_than: int, place: np.int64) -> int:
    """Where the closing bracket of this number is, not counting those of one type."""
    passed = 0
    for t in range(len(row)):
        if row[t] >= num_types and row[t] != other_than:
            if passed == place:
                return t
            passed += 1
    return -1


@njit(cache=True)
def legal(tokens: np.ndarray, num_types: int, max_depth: int, found: np.ndarray) -> None:
    """What may follow, by class.                                                    found (B, L)

    0 only opening ones; 1 + i those or the closing i; 1 + k + i only the closing i
    """
    stack = np.empty(tokens.shape[1] + 1, np.int64)
    for b in range(len(tokens)):
        depth = 0
        for t in range(tokens.shape[1]):
            token = tokens[b, t]
            if token < num_types:
                stack[depth] = token
                depth += 1
            else:
                depth -= 1
            found[b, t] = 0
            if depth:
                found[b, t] = 1 + stack[depth - 1] + (num_types if depth == max_depth else 0)
