"""Joint recall: a value depends on a context and a key together.

    BOS C1 K1 v3 K2 v0  C2 K2 v1 K1 v3  SEP  C2 K1 v3 K2 v1  C1 K2 v0 K1 v3
    targets                                     v3    v1        v0    v3

Source:  Zhan et al. 2025, arXiv:2507.00449 (joint recall, HAX).
Differs: numbers of contexts and keys are drawn for each example, uniformly over all pairs, where
         upstream makes equally many examples of each; which of the context and key ids are used
         is drawn, too.  Splits share no example.  Two levels, asking a part of the keys, and keys
         of a context's own are not upstream's.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
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
GROUPS, GROUP_ORDER, FIRST_BLOCKS = range(8, 11)
SEPARATOR, FIRST = 2, 3  # ids: 0 padding, 1 begin, 2, then values, keys, contexts, groups


class JointRecall(Task, kind="joint-recall"):
    """Joint recall: the value of a key differs by context; both halves list all, in new orders.

    C contexts and K keys are drawn uniformly from their ranges; every context has the same keys,
    with values of its own.  The value is due at each key of the second half, and stands behind it.
    levels=2: the contexts stand in C groups, and a value depends on group, context and key.
    num_queries: the second half has so many keys of each context.  shared_keys=no: each context
    has ids of its own for its keys, which leaves no more than plain recall.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_contexts": "contexts C of the example (and groups)",
        "num_keys": "keys K of each context",
    }

    min_contexts: Annotated[int, Field(ge=1, le=2**12, description="fewest contexts")] = 4
    max_contexts: Annotated[int, Field(ge=1, le=2**12, description="most contexts, and ids")] = 4
    min_keys: Annotated[int, Field(ge=1, le=2**12, description="fewest keys of a context")] = 4
    max_keys: Annotated[int, Field(ge=1, le=2**12, description="most keys, and ids")] = 4
    num_values: Annotated[int, Field(ge=2, le=2**30, description="different values")] = 8
    levels: Annotated[int, Field(ge=1, le=2, description="2: contexts of contexts")] = 1
    num_queries: Annotated[
        int, Field(ge=0, le=2**12, description="keys asked of each context; 0: all")
    ] = 0
    shared_keys: Annotated[bool, Field(description="contexts have the same keys")] = True

    def problems(self) -> Iterator[str]:
        for name in ("contexts", "keys"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                yield f"min_{name}={low} exceeds max_{name}={high}: needs <= {high}"
        if self.num_queries > self.min_keys:
            yield (
                f"num_queries={self.num_queries} exceeds min_keys={self.min_keys}: needs <= "
                f"{self.min_keys}"
            )

    @property
    def numbers(self) -> tuple[range, range]:
        """How many contexts and keys there may be."""
        contexts = range(self.min_contexts, self.max_contexts + 1)
        return contexts, range(self.min_keys, self.max_keys + 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The most groups, contexts of a group, keys of a context."""
        return self.max_contexts if self.levels == 2 else 1, self.max_contexts, self.max_keys

    @property
    def vocabulary(self) -> dict[str, range]:
        sizes = {
            "value": self.num_values,
            "key": self.max_keys * (1 if self.shared_keys else self.max_contexts),
            "context": self.max_contexts,
            "group": self.max_contexts * (self.levels - 1),
        }
        ids = {"pad": range(1), "begin": range(1, 2), "separator": range(SEPARATOR, FIRST)}
        start = FIRST
        for name, num in sizes.items():
            if num:
                ids[name] = range(start, start + num)
                start += num
        return ids

    def positions(self, contexts: Any, names: Any) -> Any:
        """Positions of an example of so many contexts and keys."""
        groups = contexts if self.levels == 2 else 1
        blocks = 2 * groups * (self.levels - 1)  # the groups' ids
        return 2 + blocks + groups * contexts * (2 * names + 2 * (self.num_queries or names) + 2)

    @property
    def context(self) -> Context:
        size = max(ids.stop for ids in self.vocabulary.values())
        length = self.positions(self.max_contexts, self.max_keys)
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each value is uniform."""
        return 1 / self.num_values

    @property
    def floors(self) -> dict[str, float]:
        """The commonest value of those that are left, if one of the names is not looked at."""
        contexts, keys = (
            sum(n**weight * majority(n, self.num_values) for n in numbers)
            / sum(n**weight for n in numbers)
            for numbers, weight in zip(
                self.numbers, (self.levels, 0 if self.num_queries else 1), strict=True
            )
        )
        if self.levels == 2:
            found = {"value by context and key": contexts, "value by group and context": keys}
            return {**found, "value by group and key": contexts} if self.shared_keys else found
        found = {"value by context": keys}
        return {"value by key": contexts, **found} if self.shared_keys else found

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
            * power(self.num_values, contexts**self.levels * keys)
        )

    def chosen(self, keys: Words) -> Content:
        """What is drawn: ids in use, values, and orders of the blocks and keys of either half.

        Several choices can show the same text, of which only the order of the names differs.
        """
        contexts, names = self.numbers
        shape = (len(keys), *self.shape)
        num_blocks, num_cells = shape[1] * shape[2], prod(self.shape)
        drawn = integers(keys, SIZES, 1, len(contexts) * len(names))
        sizes = np.concatenate(
            [contexts.start + drawn // len(names), names.start + drawn % len(names)], axis=1
        )
        blocks, columns = sizes[:, :1], sizes[:, 1:]
        groups = np.arange(shape[1]) < (blocks if self.levels == 2 else 1)  # that are in use
        used = groups[..., None] & (np.arange(shape[2]) < blocks[..., None])

        def of_contexts(field: int) -> Integers:
            cells = words(keys, field, num_blocks).reshape(shape[:3])
            found = orders(cells, np.broadcast_to(blocks, shape[:2]))
            return np.where(groups[..., None], found, 0).reshape(len(keys), num_blocks)

        def of_keys(field: int, most: int) -> Integers:
            cells = words(keys, field, num_cells).reshape(shape)
            found = orders(cells, np.broadcast_to(columns[..., None], shape[:3]))
            shown = used[..., None] & (np.arange(shape[3]) < most)
            return np.where(shown, found, 0).reshape(len(keys), num_cells)

        known = used[..., None] & (np.arange(shape[3]) < columns[..., None, None])
        values = integers(keys, VALUES, num_cells, self.num_values)
        drawn = {
            "sizes": sizes,
            "contexts": _cut(permutation(keys, CONTEXTS, shape[2]), blocks),
            "names": _cut(permutation(keys, NAMES, shape[3]), columns),
            "values": np.where(known.reshape(values.shape), values, 0),
            "blocks": of_contexts(BLOCKS),
            "before": of_keys(BEFORE, shape[3]),
            "after": of_keys(AFTER, self.num_queries or shape[3]),
        }
        if self.levels == 2:
            drawn["first_blocks"] = of_contexts(FIRST_BLOCKS)
            drawn["groups"] = _cut(permutation(keys, GROUPS, shape[1]), blocks)
            drawn["group_order"] = orders(words(keys, GROUP_ORDER, shape[1]), sizes[:, 0])
        return drawn

    def written(self, drawn: Content) -> Content:
        """The text of these choices, and its sizes: text (B, L), sizes (B, 2)."""
        from tasks._loops.joint_recall import write

        shape, sizes = self.shape, drawn["sizes"]
        text = np.zeros((len(sizes), self.context.length), np.int64)
        one = np.zeros((len(sizes), 1), np.int64)  # group, if there are none
        as_written = np.tile(np.arange(shape[1]), (len(sizes), shape[0]))
        of_contexts = [drawn.get("first_blocks", as_written), drawn["blocks"]]
        used = [sizes, drawn.get("groups", one), drawn["contexts"], drawn["names"]]
        turned = (
            drawn.get("group_order", one),
            np.stack(of_contexts, axis=1).reshape(-1, 2, *shape[:2]),
            np.stack([drawn["before"], drawn["after"]], axis=1).reshape(-1, 2, *shape),
        )
        ids = self.vocabulary
        first = [
            ids[name].start if name in ids else 0 for name in ("value", "key", "context", "group")
        ]
        own = 0 if self.shared_keys else self.max_keys
        law = (*first, self.levels == 2, self.num_queries, own)
        write((*used, drawn["values"].reshape(-1, *shape)), turned, law, text)
        return {"text": text, "sizes": sizes}

    def draw(self, keys: Words, split: str) -> Content:
        """The text itself: all of it is shown, and what is not shown tells nothing apart."""
        return self.written(self.chosen(keys))

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        inputs, ids = content["text"].copy(), self.vocabulary["key"]
        again = np.logical_or.accumulate(inputs == SEPARATOR, axis=1)
        due = again & (inputs >= ids.start) & (inputs < ids.stop)
        targets = np.where(due, np.roll(inputs, -1, axis=1), IGNORE)  # the value stands behind
        num, names = content["sizes"].T
        factors = {"num_contexts": num, "num_keys": names}
        return Batch.padded(inputs, targets, self.positions(num, names), **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        ids = self.vocabulary
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            value: dict[tuple[int, int, int], int] = {}
            again, group, context, key = False, -1, -1, -1
            for t, token in enumerate(row):
                if token in ids.get("group", ()):
                    group = token
                elif token in ids["context"]:
                    context = token
                elif token in ids["key"]:
                    key = token
                    out[t] = value.get((group, context, key), IGNORE) if again else IGNORE
                elif token in ids["value"] and not again:
                    value[group, context, key] = token
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
