"""How many different contents a task has, in whole numbers, counted up to MANY.

Whether a task's splits are partitioned depends on it: a logarithm would leave that to rounding.
"""

from __future__ import annotations

MANY = 2**64


def power(number: int, exponent: int) -> int:
    """Sequences with repetition: number^exponent."""
    total = 1
    for _ in range(exponent):
        total *= number
        if total >= MANY or number < 2:
            break
    return min(total, MANY)


def arrangements(number: int, chosen: int) -> int:
    """Ordered choices without repetition: number (number - 1) ..."""
    total = 1
    for i in range(chosen):
        total *= number - i
        if total >= MANY:
            break
    return min(total, MANY)


def subsets(number: int, chosen: int) -> int:
    """Choices without order: number over chosen."""
    total = 1
    for i in range(min(chosen, number - chosen)):
        total = total * (number - i) // (i + 1)  # exact, and rising up to the middle
        if total >= MANY:
            break
    return min(total, MANY)
