"""Dyck languages: brackets of k types, nested at most D deep.

    ( [ ] ( ) ) [ ]        next-close   at each token before a closing one: that closing one
                           legal        at each token: which tokens may follow, as one class
                           acceptance   once, of the word: is it balanced?

The law of a word's shape is a walk: at depth 0 it opens, at depth D it closes, where only the
closing ones still fit it closes, else it opens with probability p_open.  `uniform` makes all words
equally likely.  Types are uniform.

Source:  Hewitt et al. 2020, arXiv:2010.07515 (bounded depth, closing brackets scored);
         Suzgun et al. 2019, arXiv:1911.03329 (sets of legal tokens).
Differs: A set of legal tokens is one of 2 k + 1 classes, instead of one bit for each token; the
         end of the word is not among them.  A word that is not balanced has two closing brackets of
         different types exchanged, so that it has as many of each as a balanced one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.lengths import pack, unpack
from tasks.rng import Floats, Integers, Words, integers
from tasks.task import MANY_ENOUGH, Content, Task
from zoo.spec import Context

SHAPE, LABEL, EXCHANGE = 1, 3, 4  # 2 is that of the types


class Dyck(Task, kind="dyck"):
    """Dyck: brackets of several types; which closes next, what is legal, or is the word balanced?

    next-close  scored where a closing bracket follows: its id
    legal       scored everywhere: class 0, only opening ones; 1 + i, those or the closing i;
                1 + k + i, only the closing i (at the largest depth)
    acceptance  half of the words have two closing brackets exchanged; label 1 is balanced
    """

    factors: ClassVar[dict[str, str]] = {"depth": "the deepest nesting of the word"}

    target: Annotated[
        Literal["next-close", "legal", "acceptance"], Field(description="what is asked")
    ] = "next-close"
    num_types: Annotated[int, Field(ge=1, le=2**14, description="types of brackets k")] = 2
    length: Annotated[int, Field(ge=2, le=2**14, description="brackets of a word, even")] = 64
    max_depth: Annotated[int, Field(ge=1, le=2**8, description="the deepest nesting D")] = 8
    p_open: Annotated[float, Field(ge=0.01, le=0.99, description="probability to open")] = 0.5
    uniform: Annotated[bool, Field(description="all words equally likely; p_open is idle")] = False

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: words need an even one, such as {self.length + 1}"
        if self.max_depth > self.length // 2:
            yield (
                f"max_depth={self.max_depth} is not reached with length={self.length}: needs "
                f"<= {self.length // 2}"
            )
        if self.num_types < 2 and self.target != "legal":
            yield f"num_types=1 leaves nothing to ask with target={self.target}: needs >= 2"
        if self.length < 4 and self.target == "acceptance":
            yield "length=2 with target=acceptance has no two pairs to exchange: needs >= 4"

    @property
    def context(self) -> Context:
        size = 2 * self.num_types
        outputs = {"next-close": size, "legal": size + 1, "acceptance": 2}[self.target]
        head = "last" if self.target == "acceptance" else "token"
        return Context(num_inputs=size, num_outputs=outputs, length=self.length, head=head)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"open": range(self.num_types), "close": range(self.num_types, 2 * self.num_types)}

    @property
    def answers_follow(self) -> bool:
        return self.target != "acceptance"

    @property
    def chance(self) -> float:
        """Types are equally likely; depths are not."""
        if self.target == "acceptance":
            return 0.5
        if self.target == "next-close":
            return 1 / self.num_types
        depths = _shape(self)[2]  # pyright: ignore[reportArgumentType]
        classes = depths[0], depths[1:-1].sum() / self.num_types, depths[-1] / self.num_types
        return float(max(classes) / depths.sum())

    @property
    def floors(self) -> dict[str, float]:
        """What neighbours tell: a closing bracket next to its opening one has the same type."""
        if self.target == "legal":
            return {}
        half = self.length // 2
        first, second, _ = _shape(self)  # pyright: ignore[reportArgumentType]
        if self.target == "next-close":
            share = first / half
            return {"type of the last opening bracket": share + (1 - share) / self.num_types}
        pairs = half * (half - 1)
        hidden = (pairs - (2 * half - 1) * first + second) / pairs
        return {"an opening bracket beside a wrong closing one": 1 - hidden / 2}

    @property
    def num_contents(self) -> int:
        """Types; shapes are not counted beyond 2^48, some are far likelier."""
        types = power(self.num_types, self.length // 2)
        if types >= MANY_ENOUGH:
            return types
        shapes = _count(self.length, self.max_depth)
        return min(types * shapes, MANY_ENOUGH - 1)

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.dyck import exchange, words

        size = 2 * self.num_types
        tokens = np.empty((len(keys), self.length), np.uint8 if size <= 2**8 else np.uint16)
        wanted = self.target == "acceptance"
        limits = opening(self)  # pyright: ignore[reportArgumentType]
        words(keys, limits, (self.num_types, SHAPE, wanted), tokens)
        label = integers(keys, LABEL, 1, 2)
        if wanted:
            wrong = label[:, 0] == 0
            some = tokens[wrong]
            exchange(keys[wrong], self.num_types, EXCHANGE, some)
            tokens[wrong] = some
            return {"tokens": pack(tokens, size), "label": label}
        return {"tokens": pack(tokens, size)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num = self.num_types
        tokens = unpack(content["tokens"], 2 * num, self.length).astype(np.int64)
        steps = np.where(tokens < num, np.int16(1), np.int16(-1))
        depth = np.cumsum(steps, axis=1, dtype=np.int16).max(axis=1).astype(np.int64)
        if self.target == "acceptance":
            return Batch.of(tokens, content["label"][:, 0], depth=depth)
        if self.target == "next-close":
            targets = np.full(tokens.shape, IGNORE)
            targets[:, :-1] = np.where(tokens[:, 1:] >= num, tokens[:, 1:], IGNORE)
            return Batch.of(tokens, targets, depth=depth)
        from tasks._loops.dyck import legal

        targets = np.empty(tokens.shape, np.int64)
        legal(tokens, num, self.max_depth, targets)
        return Batch.of(tokens, targets, depth=depth)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        num = self.num_types
        shape = inputs.shape[:1] if self.target == "acceptance" else inputs.shape
        answers = np.full(shape, IGNORE)
        for i, row in enumerate(inputs.tolist()):
            stack: list[int] = []
            balanced = True
            for t, token in enumerate(row):
                if token < num:
                    stack.append(token)
                else:
                    balanced = balanced and bool(stack) and stack.pop() == token - num
                if not balanced or self.target == "acceptance":
                    continue
                if self.target == "next-close":
                    answers[i, t] = num + stack[-1] if stack else IGNORE
                elif len(stack) <= self.max_depth:
                    full = num if len(stack) == self.max_depth else 0
                    answers[i, t] = 1 + full + stack[-1] if stack else 0
            if self.target == "acceptance":
                answers[i] = balanced and not stack
        return answers


@lru_cache(maxsize=32)
def _count(length: int, max_depth: int) -> int:
    """Shapes of words, counted up to 2^48."""
    ways = [1] + [0] * max_depth  # by depth
    for _ in range(length):
        ways = [a + b for a, b in zip([0, *ways[:-1]], [*ways[1:], 0], strict=True)]
        if ways[0] >= MANY_ENOUGH:
            break
    return min(ways[0], MANY_ENOUGH)


@lru_cache(maxsize=32)
def opening(task: Dyck) -> Integers:
    """2^32 times the probability to open, by depth and symbols left.           (D + 1, L + 1)"""
    length, most = task.length, task.max_depth
    limits = np.zeros((most + 1, length + 1), np.int64)
    if not task.uniform:
        limits[:] = int(task.p_open * 2**32)
        limits[0] = 2**32
        limits[most] = 0
        limits[np.arange(length + 1) <= np.arange(most + 1)[:, None]] = 0
        return limits
    ways = [1] + [0] * most  # of n symbols, from each depth down to 0
    for n in range(1, length + 1):
        more = [*ways[1:], 0]
        ways = [a + b for a, b in zip(more, [0, *ways[:-1]], strict=True)]
        limits[:, n] = [
            (a << 32) // total if total else 0 for a, total in zip(more, ways, strict=True)
        ]
    return limits


@lru_cache(maxsize=32)
def _shape(task: Dyck) -> tuple[float, float, Floats]:
    """E[M] and E[M^2] of the number M of pairs that are neighbours, and how often each depth is
    behind a token.

    By walking all words at once: the moments 0, 1, 2 of M so far, by last step and depth.
    """
    limits = opening(task) / 2**32  # pyright: ignore[reportArgumentType]
    length, most = task.length, task.max_depth
    law = np.zeros((2, 3, most + 1))  # the last step: 0 closed, 1 opened
    law[0, 0, 0] = 1
    one_more = np.array([[1.0, 0, 0], [1, 1, 0], [1, 2, 1]])  # moments of M + 1 from those of M
    depths = np.zeros(most + 1)
    for t in range(length):
        opens = (law.sum(axis=0) * limits[:, length - t])[:, :-1]
        closes = (law * (1 - limits[:, length - t]))[:, :, 1:]
        law = np.zeros_like(law)
        law[1, :, 1:] = opens
        law[0, :, :-1] = closes[0] + one_more @ closes[1]
        depths += law[:, 0].sum(axis=0)
    return float(law[0, 1, 0]), float(law[0, 2, 0]), depths
