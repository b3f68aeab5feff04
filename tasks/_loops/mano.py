"""Random prefix expressions and their values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

TREES, ZEROS, ALIASES = 2, 3, 5  # fields
Ids = NDArray[np.int64]


@njit(cache=True)
def value_of(symbols: Ids, num_operators: int, inverses: Ids, stack: Ids) -> int:
    """The value of a prefix expression, -1 if it divides by 0: operators, then digits.

    Args:    inverses  of every digit, 0 where there is none; as many as there are digits
    """
    modulus = len(inverses)
    top = 0
    for i in range(len(symbols) - 1, -1, -1):
        symbol = symbols[i]
        if symbol >= num_operators:
            stack[top] = symbol - num_operators
            top += 1
            continue
        left, right = stack[top - 1], stack[top - 2]
        top -= 1
        if symbol == 0:
            stack[top - 1] = (left + right) % modulus
        elif symbol == 1:
            stack[top - 1] = (left - right) % modulus
        elif symbol == 2:
            stack[top - 1] = left * right % modulus
        elif right == 0:
            return -1
        else:
            stack[top - 1] = left * inverses[right] % modulus
    return stack[0]


@njit(cache=True)
def grow(start: Any, slot: int, law: Any, symbols: Ids, pending: Ids) -> int:
    """A tree: operator and size of the left subtree are uniform. Returns the next free slot.

    Args:    law  operators of this tree, kinds of operator, digits
    """
    size, num_operators, modulus = law
    pending[0] = size
    top, at = 1, 0
    while top:
        top -= 1
        inside = pending[top]
        if inside == 0:
            symbols[at] = num_operators + below(word(start, slot), modulus)
            slot += 1
        else:
            symbols[at] = below(word(start, slot), num_operators)
            left = below(word(start, slot + 1), inside)
            slot += 2
            pending[top] = inside - 1 - left
            pending[top + 1] = left
            top += 2
        at += 1
    return slot


@njit(cache=True)
def draw(keys: Any, sizes: Ids, law: Any, arrays: Any) -> None:
    """Expressions of sizes[b] operators: drawn again, whole, where 0 is divided by or not wanted.

    Args:    law     kinds of operator, inverses of the digits, of every size how often in 2^32 an
                     expression of value 0 is kept
             arrays  symbols (B, 2 L + 1), filled from the left, values (B,)
    """
    num_operators, inverses, kept_zeros = law
    symbols, values = arrays
    scratch = np.empty(symbols.shape[1] + 1, np.int64)
    for b in range(len(keys)):
        start, zeros = field_start(keys[b], TREES, 0), field_start(keys[b], ZEROS, 0)
        slot = tries = 0
        num = 2 * sizes[b] + 1
        while True:
            tree = (sizes[b], num_operators, len(inverses))
            slot = grow(start, slot, tree, symbols[b], scratch)
            value = value_of(symbols[b, :num], num_operators, inverses, scratch)
            tries += 1
            if value > 0:
                break
            if value == 0 and below(word(zeros, tries), 1 << 32) < kept_zeros[sizes[b]]:
                break
        values[b] = value


@njit(cache=True)
def render(keys: Any, symbols: Ids, values: Ids, law: Any, arrays: Any) -> None:
    """BOS LEN expression EQ, the value due at EQ; and what the expression is like.

    Args:    law     first ids of BOS, LEN_1, EQ and operators, kinds of operator, first digit's
                     id, whether all but digits have two ids
             arrays  inputs, targets (B, L), factors (3, B): operators, depth, root operator
    """
    firsts, num_operators, digit, aliases = law
    inputs, targets, factors = arrays
    copies = 2 if aliases else 1
    heights = np.empty(symbols.shape[1] + 1, np.int64)
    for b in range(len(keys)):
        start = field_start(keys[b], ALIASES, 0)
        size = 0
        while size < symbols.shape[1] and symbols[b, size] >= 0:
            size += 1
        row = inputs[b]
        row[0], row[1], row[size + 2] = firsts[0], firsts[1] + (size // 2 - 1) * copies, firsts[2]
        top = 0
        for i in range(size - 1, -1, -1):
            symbol = symbols[b, i]
            if symbol >= num_operators:
                row[i + 2] = digit + symbol - num_operators
                heights[top] = 0
                top += 1
            else:
                row[i + 2] = firsts[3] + symbol * copies
                top -= 1
                heights[top - 1] = max(heights[top], heights[top - 1]) + 1
        if aliases:
            for i in range(size + 3):
                row[i] += below(word(start, i), 2) if row[i] < digit else 0
        targets[b, size + 2] = digit + values[b]
        factors[0, b], factors[1, b], factors[2, b] = size // 2, heights[0], symbols[b, 0]
