"""The deterministic context-free tasks of the Chomsky hierarchy on expressions with brackets.

    modular-arithmetic-brackets   ( 1 - ( - 2 ) ) e      3     modulo 5
    solve-equation                ( x + 3 ) = 1 e        3

Source, Differs: see tasks/chomsky.py.  An equation has three symbols or more; upstream answers 0 to
         shorter ones.  statetrack-modarith-brackets: Grazzi et al. 2025, arXiv:2411.12537.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.chomsky import CHOICE, OPERATORS, Rewriting, published
from tasks.chomsky_regular import Modulus
from tasks.counting import MANY
from tasks.lengths import LONGEST
from tasks.published import Preset
from tasks.rng import Floats, Integers, Words, integers


class Expressions(Rewriting):
    """Strings made of expressions with brackets."""

    most: ClassVar[int] = 2**12
    operators: ClassVar[int] = 3  # that have a symbol

    modulus: Modulus = 5

    @property
    def symbols(self) -> dict[str, int]:
        return {"digit": self.modulus, "operator": self.operators, "bracket": 2}

    @property
    def num_classes(self) -> int:
        return self.modulus

    @property
    def num_operators(self) -> int:
        """Operators that are drawn."""
        return 2

    def expressions(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        """Expressions of these lengths, 0 behind.                                   (B, N)"""
        from tasks._loops.chomsky import expressions

        strings = np.zeros((len(keys), self.longest), np.uint8)
        limits = (self.modulus, self.num_operators, self.modulus + self.operators)
        expressions(keys, lengths[:, 0], limits, OPERATORS, strings)
        return strings

    def values(self, strings: NDArray[Any], lengths: Integers, unknown: int = 0) -> Integers:
        """Their values, with this number for x.                                     (B, 1)"""
        from tasks._loops.chomsky import values

        found = np.zeros(len(strings), np.int64)
        limits = (self.modulus, unknown, self.modulus + self.operators)
        values(strings, lengths[:, 0], limits, found)
        return found[:, None]

    def evaluate(self, string: list[int], unknown: int = 0) -> int | None:
        """The value of one expression; None if it is none. Brackets are closed from inside."""
        names = [*range(self.modulus), *"+-*"[: self.operators], "(", ")", unknown]
        open_: list[list[Any]] = [[]]
        for symbol in string:
            item = names[symbol] if symbol < len(names) else "="
            if item == "(":
                open_.append([])
            elif item == ")":
                value = _pair(open_.pop())
                if value is None or not open_:
                    return None
                open_[-1].append(value)
            else:
                open_[-1].append(item)
        value = _pair(open_.pop())
        return None if value is None or open_ else value % self.modulus


def _pair(items: list[Any]) -> int | None:
    """The value of numbers (perhaps behind a -) joined by operators, from left to right."""
    total, operator, sign = 0, "+", 1
    for item in items:
        if isinstance(item, int) and operator:
            value = sign * item
            steps = {"+": total + value, "-": total - value, "*": total * value}
            total, operator, sign = steps[operator], "", 1
        elif isinstance(item, str) and item in "+-*" and not operator:
            operator = item
        elif item == "-" and sign == 1:
            sign = -1
        else:
            return None
    return None if operator else total


class ModularArithmeticBrackets(Expressions, kind="modular-arithmetic-brackets"):
    """Modular arithmetic with brackets: the value of an expression of random shape.

    Of n symbols: 1 is d, 2 is -d, 3 is (d), 4 is (-d); more is (left operator right), with a
    uniform length of left.
    """

    multiply: Annotated[bool, Field(description="with *, beside + and -")] = False

    @property
    def num_operators(self) -> int:
        return 2 + self.multiply

    @property
    def chance(self) -> float:
        """Sums are uniform; a product is 0 more often than not."""
        if not self.multiply:
            return 1 / self.modulus
        laws = _laws(self.modulus, max(self.weights()))
        return self.best_constant(lambda n: laws[n])

    def num_strings(self, length: int) -> int:
        return _different(self.modulus, self.num_operators, length)

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        return self.expressions(keys, lengths)

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        return self.values(strings, lengths)

    def solve(self, string: list[int]) -> list[int] | None:
        value = self.evaluate(string)
        return None if value is None else [value]


@lru_cache(maxsize=16)
def _laws(size: int, length: int) -> Floats:
    """The law of the value of expressions of 0, 1, ..., length symbols, with + - *.   (N, V)"""
    a, b = np.divmod(np.arange(size * size), size)
    laws = np.full((length + 1, size), 1 / size)
    for n in range(5, length + 1):
        both = (laws[1 : n - 3].T @ laws[n - 4 : 0 : -1]).ravel() / (3 * (n - 4))
        values = [np.bincount(v % size, both, size) for v in (a + b, a - b, a * b)]
        laws[n] = sum(values)
    return laws


@lru_cache(maxsize=256)
def _different(size: int, operators: int, length: int) -> int:
    """Expressions, as if all were equally likely: 1 over the probability that two are the same."""
    if length > 300:
        return MANY
    same = np.full(length + 1, 1 / size)
    for n in range(5, length + 1):
        same[n] = same[1 : n - 3] @ same[n - 4 : 0 : -1] / operators / (n - 4) ** 2
    return int(min(1 / same[length] + 0.5, MANY))


class SolveEquation(Expressions, kind="solve-equation"):
    """Solve equation: expression = value, where one digit is x; which?

    The expression has two symbols less than the string, with + and - only, so that x is unique. A
    place in it is uniform; the next digit from there, going round, becomes x.
    """

    least: ClassVar[int] = 3
    operators: ClassVar[int] = 2

    min_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the fewest symbols; 0: always `length`")
    ] = 3

    @property
    def symbols(self) -> dict[str, int]:
        return {**super().symbols, "x": 1, "equals": 1}

    @property
    def x(self) -> int:
        return self.modulus + 4

    def num_strings(self, length: int) -> int:
        """Those of the expressions; the place of x is not counted."""
        return _different(self.modulus, 2, length - 2)

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import hide_a_digit

        inner = lengths - 2
        strings = self.expressions(keys, inner)
        value = self.values(strings, inner)
        place = integers(keys, CHOICE, 1, 2**32) * inner // 2**32
        hide_a_digit(strings, inner[:, 0], place[:, 0], (self.modulus, self.x))
        np.put_along_axis(strings, inner, self.x + 1, axis=1)
        np.put_along_axis(strings, inner + 1, value.astype(np.uint8), axis=1)
        return strings

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        """The left side is c + x or c - x."""
        inner = lengths - 2
        value = np.take_along_axis(strings, lengths - 1, axis=1).astype(np.int64)
        at_0, at_1 = (self.values(strings, inner, x) for x in (0, 1))
        slope = np.where((at_1 - at_0) % self.modulus == 1, 1, -1)
        return (value - at_0) * slope % self.modulus

    def solve(self, string: list[int]) -> list[int] | None:
        if len(string) < 3 or string[-2] != self.x + 1 or string.count(self.x) != 1:
            return None
        right = [d for d in range(self.modulus) if self.evaluate(string[:-2], d) == string[-1]]
        return right if len(right) == 1 else None


PUBLISHED = (
    published(ModularArithmeticBrackets(multiply=True)),
    published(SolveEquation(), "strings of 3 symbols or more"),
    Preset(
        name="statetrack-modarith-brackets",
        paper="Grazzi et al. 2025, arXiv:2411.12537",
        section="state tracking: modular arithmetic with brackets",
        upstream="automl/unlocking_state_tracking, as copied in adankow/unlocking_state_tracking"
        "@ef8aaa3 xlstm/experiments/data/formal_language/tasks/modular_arithmetic_with_brackets.py",
        differs=(
            "lengths 3-40 and 40-256 count `= value pad`: expressions of 2-37 and 37-253 symbols",
            "upstream raises lengths 3 and 4 to 5, so that 2 symbols are three times as likely",
            "the answer is due at the id `empty`, which stands for =",
        ),
        value=ModularArithmeticBrackets(
            multiply=True, min_length=2, length=37, test_min_length=37, test_length=253
        ),
    ),
)
