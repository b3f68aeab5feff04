"""Stacks and queues: items are pushed and popped; at every pop, name the item that comes out.

    push 3   push 5   pop   push 1   pop   pop
    stack             5              1     3
    queue             3              5     1

One token is one operation.  With several stores each has its own tokens, and a store that is drawn
uniformly is the one that the next operation is for.

Source:  seqzoo's own.
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
from tasks.rng import Words
from tasks.task import Content, Task
from zoo.spec import Context

OPERATIONS = 1


class StackQueue(Task, kind="stack-queue"):
    """Stack or queue: name the item at every pop.

    An empty store is pushed to, a full one popped from; else a push has probability p_push. The
    items are uniform. There is at least one pop. lifo: the last in is the first out (a stack).
    """

    factors: ClassVar[dict[str, str]] = {
        "num_pops": "pops, the positions scored",
        "longest_wait": "positions from a push to its pop, the longest",
    }

    discipline: Annotated[Literal["lifo", "fifo"], Field(description="a stack, or a queue")] = (
        "lifo"
    )
    num_stacks: Annotated[int, Field(ge=1, le=1024, description="stores, each with own ids")] = 1
    vocab_size: Annotated[int, Field(ge=2, le=1024, description="different items")] = 8
    length: Annotated[int, Field(ge=2, le=2**16, description="operations")] = 64
    max_depth: Annotated[int, Field(ge=1, le=2**10, description="the most items in a store")] = 8
    p_push: Annotated[
        float, Field(ge=0.01, le=0.99, description="probability to push, where both are possible")
    ] = 0.5

    def problems(self) -> Iterator[str]:
        if self.num_stacks * (self.vocab_size + 1) > 2**16:
            yield (
                f"num_stacks={self.num_stacks} with vocab_size={self.vocab_size} needs "
                f"{self.num_stacks * (self.vocab_size + 1)} ids: needs <= {2**16}"
            )
        if self.length < self.num_stacks // 2:
            yield (
                f"num_stacks={self.num_stacks} leaves hardly any pop in length={self.length}: "
                f"needs length >= {self.num_stacks // 2}"
            )

    @property
    def num_pushes(self) -> int:
        """Different tokens that push."""
        return self.num_stacks * self.vocab_size

    @property
    def vocabulary(self) -> dict[str, range]:
        num = self.num_pushes
        return {"push": range(num), "pop": range(num, num + self.num_stacks)}

    @property
    def context(self) -> Context:
        size = self.num_pushes + self.num_stacks
        return Context(num_inputs=size, num_outputs=self.vocab_size, length=self.length)

    @property
    def chance(self) -> float:
        """Items are equally likely."""
        return 1 / self.vocab_size

    @property
    def floors(self) -> dict[str, float]:
        """The item that was pushed to the store last: top of the stack if no pop came since, and
        front of the queue if it is alone.
        """
        beside, alone, pops = _pops(self)  # pyright: ignore[reportArgumentType]
        share = (beside if self.discipline == "lifo" else alone) / pops
        if share >= 1 - 1e-9:
            return {}  # one item at a time: that is the whole task
        return {"item pushed last": share + (1 - share) / self.vocab_size}

    @property
    def num_contents(self) -> int:
        """At least half of the operations push, and items are uniform."""
        return power(self.vocab_size, (self.length + 1) // 2)

    @property
    def tokens(self) -> str:
        """The type of tokens while they are made."""
        return "<u1" if self.num_pushes + self.num_stacks <= 2**8 else "<u2"

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.stack_queue import operations

        tokens = np.empty((len(keys), self.length), self.tokens)
        options = (self.num_stacks, self.vocab_size, self.max_depth, OPERATIONS)
        operations(keys, options, int(self.p_push * 2**32), tokens)
        return {"operations": pack(tokens, self.num_pushes + self.num_stacks)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.stack_queue import popped_items

        size = self.num_pushes + self.num_stacks
        inputs = unpack(content["operations"], size, self.length).astype(np.int64)
        targets, waits = np.full(inputs.shape, IGNORE), np.zeros(len(inputs), np.int64)
        options = (self.num_stacks, self.vocab_size, self.discipline == "lifo")
        popped_items(inputs, options, targets, waits)
        pops = (inputs >= self.num_pushes).sum(axis=1)
        return Batch.of(inputs, targets, num_pops=pops, longest_wait=waits)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        first = 0 if self.discipline == "fifo" else -1
        for i, row in enumerate(inputs.tolist()):
            stores: list[list[int]] = [[] for _ in range(self.num_stacks)]
            for t, token in enumerate(row):
                store, item = divmod(token, self.vocab_size)
                if token < self.num_pushes:
                    stores[store].append(item)
                elif stores[token - self.num_pushes]:
                    answers[i, t] = stores[token - self.num_pushes].pop(first)
        return answers


@lru_cache(maxsize=32)
def _pops(task: StackQueue) -> tuple[float, float, float]:
    """Of one store, on average: pops right behind its push, pops of an only item, and all pops.

    Examples without a pop add nothing to any of them, so that their ratios need no correction.
    """
    most, share = task.max_depth, 1 / task.num_stacks
    push = np.full(most + 1, task.p_push)
    push[0], push[most] = 1, 0
    law = np.zeros((2, most + 1))  # the store's last operation (0 a pop), items in it
    law[0, 0] = 1
    beside = alone = pops = 0.0
    for _ in range(task.length):
        out, more = law * (1 - push) * share, law * push * share
        beside += float(out[1].sum())
        alone += float(out[:, 1].sum())
        pops += float(out.sum())
        law *= 1 - share
        law[0, :-1] += out.sum(axis=0)[1:]
        law[1, 1:] += more.sum(axis=0)[:-1]
    return beside, alone, pops
