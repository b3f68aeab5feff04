"""Arithmetic on strings of symbols: expressions, stacks and binary numbers.

Digits are the symbols below `size`, operators + - * follow them.  Strings are unsigned and narrow,
one in each row; `lengths` (B,) says how much of it counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from tasks._loops.rng import ONE, below, field_start, word

MINUS, TIMES = 1, 2
BITS = 30  # of a limb
LOW = (1 << BITS) - 1
END = 2  # behind the last symbol of an answer, and between two numbers


@njit(cache=True)
def flat_values(strings: np.ndarray, lengths: np.ndarray, size: int, values: np.ndarray) -> None:
    """The values of digits joined by operators, modulo size; * binds closer.        values (B,)"""
    for b in range(len(strings)):
        total, product = 0, np.int64(strings[b, 0])
        for t in range(1, lengths[b] - 1, 2):
            digit = np.int64(strings[b, t + 1])
            operator = strings[b, t] - size
            if operator == TIMES:
                product = product * digit % size
            else:
                total += product
                product = -digit if operator == MINUS else digit
        values[b] = (total + product) % size


@njit(cache=True)
def expressions(
    keys: np.ndarray,
    lengths: np.ndarray,
    limits: tuple[int, int, int],
    field: int,
    strings: np.ndarray,
) -> None:
    """Expressions of exactly these lengths, with brackets around every pair.

    1: d   2: -d   3: (d)   4: (-d)   longer: (left operator right), the length of left uniform

    Args:    limits  digits, operators to choose from, symbol of the opening bracket
    """
    size, operators, opening = limits
    pending = np.empty(strings.shape[1] + 8, np.int64)  # a length, or -1 - symbol
    for b in range(len(keys)):
        start = field_start(keys[b], field, 0)
        pending[0] = lengths[b]
        top, t, slot = 0, 0, 0
        while top >= 0:
            item = pending[top]
            if item < 0:
                strings[b, t] = -1 - item
                t += 1
                top -= 1
                continue
            if item > 2:
                strings[b, t] = opening
                t += 1
            if item > 4:
                left = 1 + below(word(start, slot), item - 4)
                pending[top] = -2 - opening
                pending[top + 1] = item - 3 - left
                pending[top + 2] = -1 - size - below(word(start, slot + 1), operators)
                pending[top + 3] = left
                top += 3
                slot += 2
                continue
            if item % 2 == 0:
                strings[b, t] = size + MINUS
                t += 1
            strings[b, t] = below(word(start, slot), size)
            slot += 1
            t += 1
            if item > 2:
                strings[b, t] = opening + 1
                t += 1
            top -= 1


@njit(cache=True, inline="always")
def _joined(left: Any, operator: Any, right: Any) -> Any:
    if operator == TIMES:
        return left * right
    return left - right if operator == MINUS else left + right


@njit(cache=True)
def values(
    strings: np.ndarray, lengths: np.ndarray, limits: tuple[int, int, int], found: np.ndarray
) -> None:
    """The values of such expressions, modulo the number of digits.                   found (B,)

    The symbol behind the closing bracket, if there is one, counts as limits[1].
    """
    size, unknown, opening = limits
    total = np.zeros(strings.shape[1] + 2, np.int64)
    operator = np.zeros(strings.shape[1] + 2, np.int64)
    for b in range(len(strings)):
        depth = 0
        total[0], operator[0] = 0, 0
        operand, negative = True, False  # whether an operand comes next, and its sign
        for t in range(lengths[b]):
            symbol = np.int64(strings[b, t])
            if symbol == opening:
                depth += 1
                total[depth], operator[depth] = 0, 0
                operand = True
                continue
            if size <= symbol < opening:
                if operand:
                    negative = True
                else:
                    operator[depth] = symbol - size
                    operand = True
                continue
            value = symbol
            if symbol == opening + 1:
                value = total[depth]
                depth -= 1
            elif symbol == opening + 2:
                value = unknown
            if negative:
                value = -value
            total[depth] = _joined(total[depth], operator[depth], value) % size
            operand, negative = False, False
        found[b] = total[0] % size


@njit(cache=True)
def hide_a_digit(
    strings: np.ndarray, lengths: np.ndarray, places: np.ndarray, limits: tuple[int, int]
) -> None:
    """Replace the first digit from a place on, going round, by another symbol.

    Args:    places  in the string    (B,)
             limits  digits, the symbol to write
    """
    for b in range(len(strings)):
        t = places[b]
        while strings[b, t] >= limits[0]:
            t = (t + 1) % lengths[b]
        strings[b, t] = limits[1]


@njit(cache=True)
def final_stacks(strings: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> None:
    """The stack that 0 1 (its first symbols), then pop 2, push 3 4 leave, top first, and END.

    Args:    answers  as long as the string and one more       (B, N + 1)
    """
    stack = np.zeros(strings.shape[1], np.int64)
    for b in range(len(strings)):
        num = 0
        for t in range(lengths[b]):
            symbol = np.int64(strings[b, t])
            if symbol == END:
                num = max(0, num - 1)
            else:
                stack[num] = symbol % 3
                num += 1
        for j in range(num):
            answers[b, j] = stack[num - 1 - j]
        answers[b, num] = END


@njit(cache=True)
def two_numbers(keys: np.ndarray, lengths: np.ndarray, field: int, strings: np.ndarray) -> None:
    """Two positive numbers with END between them, at a uniform place; below 3 symbols one number.

    A number of zeros is drawn again: attempt after attempt, of the field for the first number and
    of the next field for the second.
    """
    for b in range(len(keys)):
        num = lengths[b]
        place = num
        if num > 2:
            place = 1 + below(word(field_start(keys[b], field + 2, 0), 0), num - 2)
            strings[b, place] = END
        first, last = 0, place
        for number in range(2):
            attempt, empty, bits = 0, True, ONE
            while empty and first < last:
                start = field_start(keys[b], field + number, attempt)
                for t in range(first, last):
                    slot = t - first
                    if slot % 64 == 0:
                        bits = word(start, slot // 64)
                    strings[b, t] = bits & ONE
                    empty = empty and bits & ONE == 0
                    bits >>= ONE
                empty = empty and num > 2
                attempt += 1
            first, last = place + 1, num


@njit(cache=True)
def _carried(total: np.ndarray, num: int, answer: np.ndarray) -> None:
    """Counts of the powers of two as bits, without the highest zeros, and END."""
    carry, used = 0, 1
    for j in range(num):
        carry += total[j]
        answer[j] = carry & 1
        if carry & 1:
            used = j + 1
        carry >>= 1
    for j in range(used, num):
        answer[j] = -100
    answer[used] = END


@njit(cache=True)
def sums(strings: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> None:
    """Of `a END b`: a + b, lowest bit first; of a number alone: itself.      answers (B, N + 1)"""
    total = np.zeros(strings.shape[1] + 1, np.int64)
    for b in range(len(strings)):
        total[:] = 0
        place, most = 0, 1
        for t in range(lengths[b]):
            if strings[b, t] == END:
                place = 0
            else:
                total[place] += strings[b, t]
                place += 1
                most = max(most, place)
        alone = lengths[b] < 3  # where no carry is
        _carried(total, most if alone else most + 1, answers[b])


@njit(cache=True)
def products(strings: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> None:
    """Of `a END b`: a b, lowest bit first; below 3 symbols: n - 1 zeros.          answers (B, N)"""
    total = np.zeros(strings.shape[1] + 1, np.int64)
    for b in range(len(strings)):
        num = lengths[b]
        if num < 3:
            answers[b, 0] = 0
            answers[b, num - 1] = END
            continue
        first = 0
        while strings[b, first] != END:
            first += 1
        total[:num] = 0
        for i in range(first):
            if strings[b, i]:
                for j in range(first + 1, num):
                    total[i + j - first - 1] += strings[b, j]
        _carried(total, num - 1, answers[b])


@njit(cache=True)
def roots(strings: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> None:
    """The integer square root, highest bit first, of as many bits as pairs.

    Digit by digit: rest = 4 rest + next pair; if rest >= 4 root + 1, the next bit is a one.
    """
    limbs = strings.shape[1] // (2 * BITS) + 2
    root, rest, trial = (
        np.zeros(limbs, np.int64),
        np.zeros(limbs, np.int64),
        np.zeros(limbs, np.int64),
    )
    for b in range(len(strings)):
        root[:], rest[:] = 0, 0
        odd = lengths[b] % 2
        for j in range((lengths[b] + 1) // 2):
            t = 2 * j - odd
            pair = np.int64(strings[b, t + 1])
            if t >= 0:
                pair += 2 * np.int64(strings[b, t])
            more, one = pair, 1
            for i in range(limbs):
                x = (rest[i] << 2) + more
                rest[i], more = x & LOW, x >> BITS
                x = (root[i] << 2) + one
                trial[i], one = x & LOW, x >> BITS
            i = limbs - 1
            while i > 0 and rest[i] == trial[i]:
                i -= 1
            bit = 1 if rest[i] >= trial[i] else 0
            borrow, carry = 0, bit
            for i in range(limbs):
                x = rest[i] - bit * trial[i] - borrow
                borrow = 1 if x < 0 else 0
                rest[i] = x + (borrow << BITS)
                x = (root[i] << 1) + carry
                root[i], carry = x & LOW, x >> BITS
            answers[b, j] = bit
