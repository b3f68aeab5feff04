"""The deterministic context-free tasks on bits: one stack is enough.

    stack-manipulation            0 1 1 0 PUSH1 POP POP e e e e e e e e    1 1 0 END
    reverse-string                0 1 1 e e e                              1 1 0

Source, Differs: see tasks/chomsky.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.batch import IGNORE
from tasks.chomsky import SIZE, SYMBOLS, Rewriting, SymbolString, published
from tasks.counting import power
from tasks.rng import Floats, Integers, Words, integers

POP, PUSH, END = 2, 3, 2  # PUSH + bit; END closes an answer


class StackManipulation(Rewriting, kind="stack-manipulation"):
    """Stack manipulation: a stack, then POP and PUSH; write what is left, top first, and END.

    The string is the stack from its bottom (1 to n - 1 bits), then operations, each equally likely.
    A POP of the empty stack does nothing. There are n + 1 places to write; END, the class 2, is the
    last that is scored.
    """

    several: ClassVar[bool] = True
    most: ClassVar[int] = 2**12

    @property
    def symbols(self) -> dict[str, int]:
        return {"bit": 2, "pop": 1, "push": 2}

    @property
    def num_classes(self) -> int:
        return 3

    def room(self, lengths: Any) -> Any:
        return lengths + 1

    def num_strings(self, length: int) -> int:
        """The stack's bits and operations; its height is not counted."""
        return power(2, length)

    @property
    def chance(self) -> float:
        """Always 0: half of the bits of the final stack."""
        height = _heights(max(self.weights()))
        return self.best_constant(lambda n: (height[n] / 2, height[n] / 2, 1))

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        width = self.longest
        height = 1 + integers(keys, SIZE, 1, 2**32) * (lengths - 1) // 2**32
        bits = integers(keys, SYMBOLS, width, 6)  # as a bit: modulo 2; as an operation: modulo 3
        return np.where(np.arange(width) < height, bits & 1, POP + bits % 3)

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import final_stacks

        answers = np.full((len(strings), strings.shape[1] + 1), IGNORE)
        final_stacks(strings, lengths[:, 0], answers)
        return answers

    def solve(self, string: list[int]) -> list[int]:
        stack: list[int] = []
        for symbol in string:
            if symbol == POP:
                stack = stack[:-1]
            else:
                stack.append(symbol if symbol < POP else symbol - PUSH)
        return [*reversed(stack), END]


@lru_cache(maxsize=8)
def _heights(length: int) -> Floats:
    """The expected height of the final stack for strings of 0, 1, ..., length symbols.

    With E_k(s) the height after k operations from s, E_k+1(s) = E_k(s - 1) / 3 + 2 E_k(s + 1) / 3.
    """
    expected = np.arange(2.0 * length + 2)  # E_0
    total = np.zeros(length + 1)
    for k in range(1, length):
        below = np.concatenate([expected[:1], expected[:-2]])
        expected = below / 3 + 2 * expected[1:] / 3
        total[k + 1 :] += expected[1 : length - k + 1]
    total[2:] /= np.arange(1, length)
    total[1] = 1
    return total


class ReverseString(SymbolString, kind="reverse-string"):
    """Reverse string: write the string backwards."""

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        back = np.maximum(lengths - 1 - np.arange(strings.shape[1]), 0)
        return np.take_along_axis(strings, back, axis=1)

    def solve(self, string: list[int]) -> list[int]:
        return string[::-1]


PUBLISHED = (published(StackManipulation()), published(ReverseString()))
