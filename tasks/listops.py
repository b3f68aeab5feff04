"""ListOps: what is a nested expression of minima, maxima, medians and sums modulo 10 worth?

    [MAX 2 [MIN 8 3 ] 1 ] . . .        3, one label for the sequence
    12   3 11   9 4 15 2 15 0 0 0      ids

MED of an even number of values is the mean of the middle two, cut off; SM is the sum modulo 10.

Source:  Nangia and Bowman 2018, arXiv:1804.06028;  Tay et al. 2021, "Long Range Arena",
         arXiv:2011.04006;  google-research/long-range-arena lra_benchmarks/data/listops.py.
Differs: the parentheses that group each operator with one argument at a time are not written:
         loaders drop them, too.  Upstream's random numbers are not seeded, and its splits are
         cut from a set in an order that changes from run to run.  Its loaders cut the longest
         sequences off or add an end token; here every length fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks import listops_law
from tasks.batch import IGNORE, Batch
from tasks.counting import MANY
from tasks.listops_law import Law
from tasks.published import Preset
from tasks.rng import Words
from tasks.task import Content, Task
from zoo.spec import Context

Operator = Literal["MIN", "MAX", "MED", "SM"]
OPERATORS: tuple[Operator, ...] = ("MIN", "MAX", "MED", "SM")
DIGIT, OPERATOR, CLOSE = 1, 11, 15
TREES, VALUE = 1, 2  # fields of the draws
RARE = 1e-6  # expressions are drawn until one will do: rarer ones would take too long
SURELY_MANY = 58  # such an expression has 20 digits or more


class ListOps(Task, kind="listops"):
    """ListOps: the value of a nested expression of MIN, MAX, MED and SM over digits.

    A node is an operator with probability p_op, of 2 to max_args arguments, else a digit; at
    max_depth it is a digit.  Expressions are kept if min_length < tokens < length, and padded to
    `length`.  The answer is one digit for the sequence, read from the mean over its positions.

    The first token alone is worth 36 % at the published setting; `root_ops=SM` leaves no such
    shortcut.  `balance` makes all ten values equally frequent, at ten times the cost.
    """

    factors: ClassVar[dict[str, str]] = {
        "length": "tokens of the expression",
        "depth": "levels of the tree, digits included",
        "num_operators": "operators in the expression",
        "root": "operator in front: 0 MIN, 1 MAX, 2 MED, 3 SM; -1 none",
    }

    max_depth: Annotated[
        int, Field(ge=2, le=100, description="levels of the tree, digits included")
    ] = 10
    max_args: Annotated[int, Field(ge=2, le=32, description="most arguments of an operator")] = 10
    min_length: Annotated[int, Field(ge=0, description="expressions have more tokens")] = 500
    length: Annotated[
        int, Field(ge=2, le=2**14, description="positions; expressions have fewer tokens")
    ] = 2000
    p_op: Annotated[float, Field(gt=0, le=1, description="chance of a node to be an operator")] = (
        0.25
    )
    ops: Annotated[
        tuple[Operator, ...], Field(min_length=1, description="operators to draw from")
    ] = OPERATORS
    root_ops: Annotated[
        tuple[Operator, ...], Field(description="operators for the root; empty: as `ops`")
    ] = ()
    balance: Annotated[bool, Field(description="draw all ten values equally often")] = False

    def problems(self) -> Iterator[str]:
        for name, ops in (("ops", self.ops), ("root_ops", self.root_ops)):
            if len(set(ops)) < len(ops):
                yield f"{name}={','.join(ops)} names an operator twice: name each once"
        share = listops_law.window(self.law, *self.window)
        if share <= RARE:
            yield (
                f"min_length={self.min_length} and length={self.length}: an expression has a "
                f"length between them with probability {max(share, 0):.1e}; needs > {RARE:g}: "
                "move them apart, or change p_op, max_args or max_depth"
            )
        elif self.balance and share * self.values.min() <= RARE:
            yield (
                f"balance=True: an expression has an allowed length and the value "
                f"{self.values.argmin()} with probability {share * self.values.min():.1e}; needs > "
                f"{RARE:g}: use balance=False, other lengths or more ops"
            )

    @property
    def window(self) -> tuple[int, int]:
        """The shortest and the longest expression."""
        return max(1, self.min_length + 1), self.length - 1

    @property
    def law(self) -> Law:
        ops = tuple(OPERATORS.index(op) for op in self.ops)
        roots = tuple(OPERATORS.index(op) for op in self.root_ops) or ops
        return Law(self.p_op, self.max_depth, self.max_args, ops, roots)

    @property
    def outcomes(self) -> NDArray[np.float64]:
        """P(root, value); the last row: the expression is a digit.                   (5, 10)"""
        joint = listops_law.outcomes(self.law, *self.window)
        return joint / joint.sum(axis=0) / 10 if self.balance else joint

    @property
    def values(self) -> NDArray[np.float64]:
        """How frequent the values are, before they are balanced.                       (10,)"""
        return listops_law.outcomes(self.law, *self.window).sum(axis=0)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {
            "pad": range(1),
            "digit": range(DIGIT, OPERATOR),
            "operator": range(OPERATOR, CLOSE),
            "close": range(CLOSE, CLOSE + 1),
        }

    def spell(self, token: int) -> str | None:
        if token in self.vocabulary["operator"]:
            return f"[{OPERATORS[token - OPERATOR]}"
        return "]" if token == CLOSE else str(token - DIGIT) if token else None

    @property
    def context(self) -> Context:
        return Context(num_inputs=CLOSE + 1, num_outputs=10, length=self.length, head="mean")

    @property
    def chance(self) -> float:
        """The most frequent value."""
        return float(self.outcomes.sum(axis=0).max())

    @property
    def floors(self) -> dict[str, float]:
        """The likeliest value given the first token, and given nothing."""
        joint = self.outcomes
        first = joint[:4].max(axis=1).sum() + joint[4].sum()
        return {"root operator": float(first), "majority": self.chance}

    @property
    def num_contents(self) -> int:
        shortest, longest = self.window
        if listops_law.window(self.law, max(shortest, SURELY_MANY), longest) > RARE / 2:
            return MANY
        return listops_law.count(self.law, shortest, min(longest, SURELY_MANY))

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops import listops as loops

        law = self.law
        numbers = (round(law.p_op * 2**32), law.max_depth, law.max_args, *self.window)
        ops, roots = np.array(law.ops), np.array(law.roots)
        return {"tokens": loops.draw(keys, (TREES, VALUE), numbers, ops, roots, self.balance)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops import listops as loops

        tokens = content["tokens"]
        values, lengths, depth, num_operators = loops.measure_all(tokens, self.max_depth)
        return Batch.padded(
            tokens,
            values,
            lengths,
            length=lengths,
            depth=depth,
            num_operators=num_operators,
            root=np.where(num_operators > 0, tokens[:, 0] - OPERATOR, -1),
        )

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        values = [evaluate(row) for row in inputs.tolist()]
        return np.array([IGNORE if x is None else x for x in values], np.int64)


def evaluate(tokens: list[int]) -> int | None:
    """The value of the expression in front, with a stack; None where there is none."""
    waiting: list[tuple[int, list[int]]] = []  # operators, and the arguments they have so far
    for token in tokens:
        if OPERATOR <= token < CLOSE:
            waiting.append((token - OPERATOR, []))
            continue
        if DIGIT <= token < OPERATOR:
            value = token - DIGIT
        elif token == CLOSE and waiting and len(waiting[-1][1]) > 1:
            value = apply(*waiting.pop())
        else:
            return None
        if not waiting:
            return value
        waiting[-1][1].append(value)
    return None


def apply(op: int, values: list[int]) -> int:
    """MIN, MAX, MED or SM of the values."""
    ordered, num = sorted(values), len(values)
    median = (ordered[(num - 1) // 2] + ordered[num // 2]) // 2
    return (ordered[0], ordered[-1], median, sum(values) % 10)[op]


PUBLISHED = (
    Preset(
        name="lra-listops",
        paper="Tay et al. 2021, Long Range Arena, arXiv:2011.04006",
        section="Long ListOps",
        upstream="google-research/long-range-arena@29833a1 lra_benchmarks/data/listops.py",
        differs=(
            "every length from 501 to 1999 fits; upstream's loaders cut at 2,000 or add an end",
            "splits are separate streams; upstream's depend on the order of a set",
        ),
        value=ListOps(),
    ),
)
