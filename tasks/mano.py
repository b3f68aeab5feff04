"""Mano: work out an expression over the numbers modulo p, in the head.

    BOS LEN2 - * 5 6 + 9 3 EQ         (p = 23: 30 - 12 = 18, the target at EQ)

Source:  Allen-Zhu 2025, "Physics of Language Models: part 4.1", arXiv:2512.17351;
         facebookresearch/PhysicsLM4, the synthetic playground's generator of Mano.
Differs: one EQ; upstream has one for each number of operators.  The answer alone is a target;
         upstream trains on every token.  The two ids that upstream gives to each word that is not
         a digit are a knob (`aliases`).  Expressions of one or two operators are facts to be
         memorised and occur in every split; longer ones are in one split only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import MANY, power
from tasks.published import Preset
from tasks.rng import Floats, Words, integers, words
from tasks.task import Content, Task
from zoo.spec import Context

SIZES, SALT = 1, 4  # fields; 2, 3 and 5 are those of the compiled loops
SMALL = 2  # operators up to which an expression is a fact


class Mano(Task, kind="mano"):
    """Mano: the value modulo p of an expression in prefix notation, without working space.

    The operators number 1 to max_operators in training, uniformly, and max_operators in test
    (test_operators=all: as in training, so that memory and recursion can be told apart: one
    operator asks whether the tables are stored).  Each operator and each size of a left subtree
    are uniform.  Products make zeros: answering 0 always is `chance`, unless balance_zero=yes.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_operators": "operators of the expression",
        "depth": "operators on the longest way down",
        "root": "the first operator: 0 +, 1 -, 2 *, 3 /",
    }

    max_operators: Annotated[int, Field(ge=1, le=4096, description="operators, at most")] = 3
    modulus: Annotated[int, Field(ge=2, le=4096, description="digits, p")] = 11
    operators: Annotated[Literal["asm", "asmd"], Field(description="+ - * and perhaps /")] = "asm"
    balance_zero: Annotated[bool, Field(description="make the value 0 as rare as others")] = False
    aliases: Annotated[bool, Field(description="two ids for all but digits, at random")] = False
    test_operators: Annotated[
        Literal["most", "all"], Field(description="operators in validation and test")
    ] = "most"

    def problems(self) -> Iterator[str]:
        if self.operators == "asmd" and not _is_prime(self.modulus):
            yield f"modulus={self.modulus} with operators=asmd: needs a prime, such as 11 or 23"
        if self.balance_zero and not _is_prime(self.modulus):
            yield f"modulus={self.modulus} with balance_zero=yes: needs a prime, such as 11 or 23"

    @property
    def copies(self) -> int:
        """Ids of a word that is not a digit."""
        return 2 if self.aliases else 1

    @property
    def vocabulary(self) -> dict[str, range]:
        counts = {"begin": 1, "equals": 1, "length": self.max_operators}
        counts["operator"] = len(self.operators)
        found, start = {"pad": range(1)}, 1
        for name, count in counts.items():
            found[name] = range(start, start + count * self.copies)
            start = found[name].stop
        return {**found, "digit": range(start, start + self.modulus)}

    def spell(self, token: int) -> str | None:
        """As the paper does; the other id of a word has a prime."""
        ids = self.vocabulary
        use = next(name for name, span in ids.items() if token in span)
        place = token - ids[use].start
        if use in ("pad", "digit"):
            return str(place) if use == "digit" else None
        word, copy = divmod(place, self.copies)
        written = {"begin": ["BOS"], "equals": ["EQ"], "operator": "+-*/"}
        return (written[use][word] if use in written else f"LEN{word + 1}") + "'" * copy

    @property
    def context(self) -> Context:
        size = self.vocabulary["digit"].stop
        return Context(num_inputs=size, num_outputs=size, length=2 * self.max_operators + 4)

    def sizes_of(self, split: str) -> range:
        """How many operators an expression of the split may have."""
        first = self.max_operators if split != "train" and self.test_operators == "most" else 1
        return range(first, self.max_operators + 1)

    def values(self, split: str = "test") -> Floats:
        """The joint law of root operator and value, exactly.                        (O, p)"""
        sizes = self.sizes_of(split)
        laws = [_settled(law, balanced=self.balance_zero) for law in self._laws]
        return np.mean([laws[n] for n in sizes], axis=0)

    @property
    def _laws(self) -> tuple[Floats, ...]:
        return _laws(self)  # pyright: ignore[reportArgumentType]

    @property
    def chance(self) -> float:
        """Always the likeliest value, 0."""
        return float(self.values().sum(axis=0).max())

    @property
    def floors(self) -> dict[str, float]:
        """The likeliest value of the root operator, where that is not 0 for all of them."""
        floor = float(self.values().max(axis=1).sum())
        return {"the first operator": floor} if floor > self.chance + 1e-9 else {}

    @property
    def num_contents(self) -> int:
        """Expressions of max_operators operators."""
        num, shapes = self.max_operators, 1
        for i in range(num):
            shapes = min(shapes * 2 * (2 * i + 1) // (i + 2), MANY)  # Catalan numbers
        return min(shapes * power(len(self.operators), num) * power(self.modulus, num + 1), MANY)

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.mano import draw

        spread = self.sizes_of(split)
        sizes = integers(keys, SIZES, 1, len(spread)) + spread.start
        symbols = np.full((len(keys), 2 * self.max_operators + 1), -1)
        values = np.empty(len(keys), np.int64)
        draw(keys, sizes[:, 0], (len(self.operators), *self._tables()), (symbols, values))
        # facts may be in every split: a word of their own decides where one belongs
        salt = np.where(sizes <= SMALL, words(keys, SALT, 1).view(np.int64), 0)
        return {"symbols": symbols, "values": values[:, None], "salt": salt}

    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inverses of the digits; of every size how often in 2^32 a zero is kept."""
        modulus = self.modulus
        has_inverse = self.operators == "asmd"
        inverses = [pow(v, -1, modulus) if has_inverse and v else 0 for v in range(modulus)]
        kept = np.full(self.max_operators + 1, 2**32)
        if self.balance_zero:
            zero = np.array([law[:, 0].sum() for law in self._laws])
            kept = np.floor((1 - zero) / ((modulus - 1) * zero) * 2.0**32).astype(np.int64)
        return np.array(inverses), kept

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.mano import render

        ids = self.vocabulary
        inputs = np.zeros((len(keys), self.context.length), np.int64)
        targets = np.full(inputs.shape, IGNORE)
        factors = np.empty((3, len(keys)), np.int64)
        firsts = np.array([ids[name].start for name in ("begin", "length", "equals", "operator")])
        law = (firsts, len(self.operators), ids["digit"].start, self.aliases)
        drawn = (keys, content["symbols"], content["values"][:, 0])
        render(*drawn, law, (inputs, targets, factors))
        num, depth, root = factors
        return Batch.padded(inputs, targets, 2 * num + 4, num_operators=num, depth=depth, root=root)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        ids = self.vocabulary
        for row, out in zip(inputs.tolist(), answers, strict=True):
            for t, token in enumerate(row):
                if token in ids["equals"]:
                    value = self._value(row[2:t])
                    out[t] = IGNORE if value is None else value + ids["digit"].start
        return answers

    def _value(self, tokens: list[int]) -> int | None:
        """Of an expression, None where it is none."""
        ids, stack = self.vocabulary, []
        for token in reversed(tokens):
            if token in ids["digit"]:
                stack.append(token - ids["digit"].start)
            elif token not in ids["operator"] or len(stack) < 2:
                return None
            else:
                left, right = stack.pop(), stack.pop()
                kind = (token - ids["operator"].start) // self.copies
                if kind == 3 and right == 0:
                    return None
                inverse = pow(right, -1, self.modulus) if kind == 3 else 0
                found = (left + right, left - right, left * right, left * inverse)
                stack.append(found[kind] % self.modulus)
        return stack[0] if len(stack) == 1 else None


def _is_prime(number: int) -> bool:
    return all(number % d for d in range(2, int(number**0.5) + 1))


@lru_cache(maxsize=32)
def _laws(task: Mano) -> tuple[Floats, ...]:
    """Of every number of operators the joint law of root operator and value.         (O, p)

    Trees that divide by 0 are left out, for they are drawn again.
    """
    most, modulus, num_operators = task.max_operators, task.modulus, len(task.operators)
    digits = np.arange(modulus)
    sums = (digits[None, :] - digits[:, None]) % modulus  # what is added to i to make j
    of_value = [np.full(modulus, 1 / modulus)]
    laws = [np.full((num_operators, modulus), 1 / (num_operators * modulus))]
    for size in range(1, most + 1):
        law = np.zeros((num_operators, modulus))
        for left in range(size):
            a, b = of_value[left], of_value[size - 1 - left]
            law[0] += a @ b[sums]
            law[1] += a @ b[(-sums) % modulus]
            products = np.multiply.outer(digits, digits) % modulus
            law[2] += np.bincount(products.ravel(), np.outer(a, b).ravel(), modulus)
            if num_operators > 3:  # the quotient q of divisor d and dividend q d
                law[3] += (a[products] * b)[:, 1:].sum(axis=1)
        law /= size * num_operators
        of_value.append(law.sum(axis=0))
        laws.append(law)
    return tuple(law / law.sum() for law in laws)


def _settled(law: Floats, *, balanced: bool) -> Floats:
    """The law of what is kept, if zeros are to be as rare as other values."""
    kept = law.copy()
    if balanced:
        zero = kept[:, 0].sum()
        kept[:, 0] *= (1 - zero) / ((law.shape[1] - 1) * zero)
    return kept / kept.sum()


def _physics(num: int) -> Preset:
    return Preset(
        name=f"physics-mano-{num}",
        paper="Allen-Zhu 2025, Physics of Language Models: part 4.1, arXiv:2512.17351",
        section=f"Mano, L = {num}",
        upstream="facebookresearch/PhysicsLM4, synthetic playground",
        differs=(
            "only the value is a target; upstream trains on every token",
            "one id for each word and one EQ; upstream has aliases, and an EQ for each length",
        ),
        value=Mano(max_operators=num, modulus=23),
    )


PUBLISHED = (
    *(_physics(num) for num in (10, 13, 16)),
    Preset(
        name="mano-cpu",
        paper="seqzoo",
        section="three operators modulo 11",
        upstream="-",
        value=Mano(),
    ),
)
