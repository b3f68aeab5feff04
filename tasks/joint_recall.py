"""Joint recall: a value depends on a context and a key together.

    BOS C1 K1 v3 K2 v0  C2 K2 v1 K1 v3  SEP  C2 K1 v3 K2 v1  C1 K2 v0 K1 v3
    targets                                     v3    v1        v0    v3

Source:  Zhan et al. 2025, arXiv:2507.00449 (joint recall, HAX).
Differs: numbers of contexts and keys are drawn for each example, uniformly over all pairs, where
         upstream makes equally many examples of each; which of the context and key ids are used
         is drawn, too.  Splits share no example.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements, power
from tasks.floors import majority
from tasks.published import STREAMS, Preset
from tasks.rng import Integers, Words, integers, orders, permutation, words
from tasks.task import Content, Task
from zoo.spec import Context

SIZES, CONTEXTS, NAMES, VALUES, BLOCKS, BEFORE, AFTER = range(1, 8)
FIRST = 3  # ids: 0 padding, 1 begin, 2 separator, then values, keys, contexts


class JointRecall(Task, kind="joint-recall"):
    """Joint recall: the value of a key differs by context; both halves list all, in new orders.

    C contexts and K keys are drawn uniformly from their ranges; every context has the same keys,
    with values of its own.  The value is due at each key of the second half, and stands behind it.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_contexts": "contexts C of the example",
        "num_keys": "keys K of each context",
    }

    min_contexts: Annotated[int, Field(ge=1, le=2**12, description="fewest contexts")] = 4
    max_contexts: Annotated[int, Field(ge=1, le=2**12, description="most contexts, and ids")] = 4
    min_keys: Annotated[int, Field(ge=1, le=2**12, description="fewest keys of a context")] = 4
    max_keys: Annotated[int, Field(ge=1, le=2**12, description="most keys, and ids")] = 4
    num_values: Annotated[int, Field(ge=2, le=2**30, description="different values")] = 8

    def problems(self) -> Iterator[str]:
        for name in ("contexts", "keys"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                yield f"min_{name}={low} exceeds max_{name}={high}: needs <= {high}"

    @property
    def numbers(self) -> tuple[range, range]:
        """How many contexts and keys there may be."""
        contexts = range(self.min_contexts, self.max_contexts + 1)
        return contexts, range(self.min_keys, self.max_keys + 1)

    @property
    def vocabulary(self) -> dict[str, range]:
        keys = FIRST + self.num_values
        contexts = keys + self.max_keys
        return {
            "pad": range(1),
            "begin": range(1, 2),
            "separator": range(2, 3),
            "value": range(FIRST, keys),
            "key": range(keys, contexts),
            "context": range(contexts, contexts + self.max_contexts),
        }

    @property
    def context(self) -> Context:
        size = FIRST + self.num_values + self.max_keys + self.max_contexts
        length = 2 * self.max_contexts * (2 * self.max_keys + 1) + 2
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each value is uniform."""
        return 1 / self.num_values

    @property
    def floors(self) -> dict[str, float]:
        """The commonest value of the key in all contexts; or of the context, over its keys."""
        contexts, keys = (
            sum(n * majority(n, self.num_values) for n in numbers) / sum(numbers)
            for numbers in self.numbers
        )
        return {"value by key": float(contexts), "value by context": float(keys)}

    @property
    def answers_follow(self) -> bool:
        return True  # behind each key

    @property
    def num_contents(self) -> int:
        """Contexts and keys in their first order, and values; of the smallest size."""
        contexts, keys = self.min_contexts, self.min_keys
        return (
            arrangements(self.max_contexts, contexts)
            * arrangements(self.max_keys, keys)
            * power(self.num_values, contexts * keys)
        )

    def draw(self, keys: Words, split: str) -> Content:
        contexts, names = self.numbers
        shape = (len(keys), self.max_contexts, self.max_keys)
        flat = (shape[0], shape[1] * shape[2])
        drawn = integers(keys, SIZES, 1, len(contexts) * len(names))
        sizes = np.concatenate(
            [contexts.start + drawn // len(names), names.start + drawn % len(names)], axis=1
        )
        block, column = sizes[:, :1], sizes[:, 1:]

        def shuffled(field: int) -> Integers:
            cells = words(keys, field, flat[1]).reshape(shape)
            found = orders(cells, np.broadcast_to(column, shape[:2]))
            unused = np.arange(shape[1])[:, None] >= block[..., None]
            return np.where(unused, 0, found).reshape(flat)

        used = (np.arange(shape[1])[:, None] < block[..., None]) & (
            np.arange(shape[2]) < column[..., None]
        )
        values = integers(keys, VALUES, flat[1], self.num_values)
        return {
            "sizes": sizes,
            "contexts": _cut(permutation(keys, CONTEXTS, shape[1]), block),
            "names": _cut(permutation(keys, NAMES, shape[2]), column),
            "values": np.where(used.reshape(flat), values, 0),
            "blocks": orders(words(keys, BLOCKS, shape[1]), sizes[:, 0]),
            "before": shuffled(BEFORE),
            "after": shuffled(AFTER),
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.joint_recall import write

        shape = (len(keys), self.max_contexts, self.max_keys)
        inputs = np.zeros((len(keys), self.context.length), np.int64)
        targets = np.full(inputs.shape, IGNORE)
        square = ("values", "before", "after")
        parts = tuple(
            array.reshape(shape) if name in square else array for name, array in content.items()
        )
        first = tuple(self.vocabulary[name].start for name in ("value", "key", "context"))
        write(parts, first, (inputs, targets))
        contexts, names = content["sizes"].T
        used = 2 * contexts * (2 * names + 1) + 2
        return Batch.padded(inputs, targets, used, num_contexts=contexts, num_keys=names)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        ids = self.vocabulary
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            value: dict[tuple[int, int], int] = {}
            again, context, key = False, -1, -1
            for t, token in enumerate(row):
                if token in ids["context"]:
                    context = token
                elif token in ids["key"]:
                    key = token
                    out[t] = value.get((context, key), IGNORE) if again else IGNORE
                elif token in ids["value"] and not again:
                    value[context, key] = token
                again = again or token in ids["separator"]
        return answers


def _cut(order: Integers, sizes: NDArray[Any]) -> Integers:
    """The first `size` of an order, which tells which ids are in use; 0 behind.      (B, N)"""
    return np.where(np.arange(order.shape[1]) < sizes, order, 0)


PUBLISHED = (
    Preset(
        name="hax-joint-recall",
        paper="Zhan et al. 2025, arXiv:2507.00449",
        section="multi-query joint recall, 5 to 16 contexts and keys",
        upstream="the paper's code (Joint Recall and HAX)",
        differs=(STREAMS, "ids are numbered differently", "sizes are drawn for each example"),
        value=JointRecall(min_contexts=5, max_contexts=16, min_keys=5, max_keys=16, num_values=16),
    ),
    Preset(
        name="joint-recall-cpu",
        paper="seqzoo",
        section="4 contexts of 4 keys, 8 values",
        upstream="-",
        value=JointRecall(),
    ),
)
