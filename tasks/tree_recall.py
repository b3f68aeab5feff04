"""Tree recall: read a tree in pre-order, then name the parent of a symbol.

    f g a b h c ASK b     f(g(a, b), h(c)): b's parent is g, with which b does not touch
    target          g

Source:  after "associative treecall" of Arora et al. 2025, "Mechanistic evaluation of
         Transformers and state space models", arXiv:2505.15105.
Differs: there the trees are of a random grammar and their text does not settle who is whose
         parent; here each symbol has a fixed number of children, so that the text does.  Trees of
         a size are equally likely, the size is uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.published import Preset
from tasks.rng import Floats, U, Words, example_keys
from tasks.task import Content, DataSpaceExhausted, Task
from zoo.spec import Context

SHAPES, SYMBOLS, QUESTION = 1, 2, 3
ASK, FIRST = 1, 2  # ids; 0 is padding
PILOT = 2**16  # examples that chance and floor are counted in
PILOT_STREAM = 7
COUNTED: dict[Any, tuple[float, float]] = {  # what `counted` gives, for lists of tasks
    ((8, 3, 3, 2), (10, 40), 1): (0.1946, 0.4751),
    ((8, 3, 3, 2), (20, 40), 4): (0.3127, 0.0),
}


class TreeRecall(Task, kind="tree-recall"):
    """Tree recall: symbols of fixed numbers of children, in pre-order; name a symbol's parent.

    The symbol asked for counts where it stands last; it is uniform over the symbols whose last
    place is at least min_distance behind its parent (the root has none).  chance and floors are
    counted in 65,536 examples of a fixed stream.
    """

    factors: ClassVar[dict[str, str]] = {
        "distance": "positions from the parent to the node asked for",
        "num_nodes": "nodes of the tree",
    }

    num_leaves: Annotated[int, Field(ge=1, le=2**12, description="symbols without children")] = 8
    num_unary: Annotated[int, Field(ge=0, le=2**12, description="symbols with one child")] = 3
    num_binary: Annotated[int, Field(ge=0, le=2**12, description="symbols with two children")] = 3
    num_ternary: Annotated[int, Field(ge=0, le=2**12, description="with three children")] = 2
    min_nodes: Annotated[int, Field(ge=2, description="fewest nodes of a tree")] = 10
    max_nodes: Annotated[int, Field(ge=2, le=512, description="most nodes of a tree")] = 40
    min_distance: Annotated[
        int, Field(ge=1, description="positions at least from a parent to the node asked for")
    ] = 1

    def problems(self) -> Iterator[str]:
        if self.min_nodes > self.max_nodes:
            yield f"min_nodes={self.min_nodes} exceeds max_nodes={self.max_nodes}: needs <= it"
        elif not self.sizes:
            yield (
                f"min_nodes={self.min_nodes} to max_nodes={self.max_nodes}: no tree of these "
                "symbols has so many nodes: needs num_unary >= 1, or a wider range"
            )
        elif self.min_distance > 1 and self.min_distance > self.min_nodes - 2:
            yield (
                f"min_distance={self.min_distance} is rare in trees of min_nodes="
                f"{self.min_nodes}: needs min_nodes >= {self.min_distance + 2}"
            )
        elif self.min_distance > 1 and not self.num_binary + self.num_ternary:
            yield f"min_distance={self.min_distance} needs num_binary or num_ternary >= 1"

    @property
    def arities(self) -> tuple[int, ...]:
        """Symbols with 0, 1, 2, 3 children."""
        return self.num_leaves, self.num_unary, self.num_binary, self.num_ternary

    @property
    def sizes(self) -> list[int]:
        """How many nodes a tree can have."""
        found = _ways(self.arities, self.max_nodes)
        return [m for m in range(self.min_nodes, self.max_nodes + 1) if found[m][1]]

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"pad": range(1), "ask": range(ASK, FIRST)}
        start = FIRST
        for name, num in zip(("leaf", "unary", "binary", "ternary"), self.arities, strict=True):
            ids[name] = range(start, start + num)
            start += num
        return {name: span for name, span in ids.items() if len(span)}

    @property
    def context(self) -> Context:
        size = FIRST + sum(self.arities)
        return Context(num_inputs=size, num_outputs=size, length=self.max_nodes + 2)

    @property
    def chance(self) -> float:
        """The commonest parent: one of the symbols of its number of children, all alike."""
        return self._counted()[0]

    @property
    def floors(self) -> dict[str, float]:
        """The symbol before the one asked for, which often is its parent."""
        floor = self._counted()[1]
        return {"symbol before the one asked for": floor} if floor > self.chance else {}

    def _counted(self) -> tuple[float, float]:
        law = (self.arities, (self.min_nodes, self.max_nodes), self.min_distance)
        return COUNTED.get(law) or counted(*law)

    @property
    def num_contents(self) -> int:
        """Trees of the smallest size."""
        return min(2**64, _ways(self.arities, self.max_nodes)[self.sizes[0]][1])

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.tree_recall import grow

        symbols = np.zeros((len(keys), self.max_nodes), np.int64)
        answer = np.zeros((len(keys), 3), np.int64)
        first = np.cumsum([0, *self.arities])
        tables = (first, *_tables(self.arities, self.max_nodes), np.array(self.sizes))
        law = (SHAPES, SYMBOLS, QUESTION, self.min_distance)
        grow(keys, law, tables, (symbols, answer))
        if not answer[:, 0].all():
            raise DataSpaceExhausted(
                f"tree-recall: 4096 trees had no node {self.min_distance} behind its parent: "
                "needs a smaller min_distance or larger trees"
            )
        return {"symbols": symbols, "answer": answer}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        symbols, rows = content["symbols"] + FIRST, np.arange(len(keys))
        size, node, parent = content["answer"].T
        inputs = np.zeros((len(keys), self.context.length), np.int64)
        inputs[:, :-2] = np.where(np.arange(self.max_nodes) < size[:, None], symbols, 0)
        scatter(inputs, size[:, None], ASK)
        scatter(inputs, size[:, None] + 1, symbols[rows, node][:, None])
        targets = np.full(inputs.shape, IGNORE)
        scatter(targets, size[:, None] + 1, symbols[rows, parent][:, None])
        factors = {"distance": node - parent, "num_nodes": size}
        return Batch.padded(inputs, targets, size + 2, **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        children = [0] * FIRST + [n for n, num in enumerate(self.arities) for _ in range(num)]
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            parent: dict[int, int] = {}
            places: list[int] = []  # to fill, by the symbol that they are below
            for t, token in enumerate(row):
                if t and row[t - 1] == ASK:
                    out[t] = parent.get(token, IGNORE)
                    break
                parent[token] = places.pop() if places else IGNORE
                places += [token] * children[token]
        return answers


@lru_cache(maxsize=64)
def _ways(arities: tuple[int, ...], most: int) -> list[list[int]]:
    """How many ways m nodes fill s places, for m = 0, ..., most and s = 0, ..., most."""
    ways = [[1] + [0] * most]
    for m in range(1, most + 1):
        before = ways[-1]
        row = [0] * (most + 1)
        for s in range(1, m + 1):
            row[s] = sum(
                num * before[s - 1 + n] for n, num in enumerate(arities) if s - 1 + n <= m - 1
            )
        ways.append(row)
    return ways


@lru_cache(maxsize=64)
def _tables(arities: tuple[int, ...], most: int) -> tuple[Floats, Floats]:
    """`_ways` of m nodes over (number of symbols)^m: probabilities; and the parts of those, times
    the number of symbols, whose first node has n children.       (M + 1, M + 1), (M + 1, M + 1, A)
    """
    total = sum(arities)
    ways = np.array([[n / total**m for n in row] for m, row in enumerate(_ways(arities, most))])
    after = np.pad(ways, ((1, 0), (1, len(arities))))[:-1]  # of one node and one place less
    parts = [num * after[:, n : n + most + 1] for n, num in enumerate(arities)]
    return ways, np.stack(parts, axis=2)


@lru_cache(maxsize=256)
def counted(arities: tuple[int, ...], nodes: tuple[int, int], distance: int) -> tuple[float, float]:
    """Chance, and how often the symbol before is right, of PILOT examples."""
    leaves, unary, binary, ternary = arities
    task = TreeRecall(
        num_leaves=leaves,
        num_unary=unary,
        num_binary=binary,
        num_ternary=ternary,
        min_nodes=nodes[0],
        max_nodes=nodes[1],
        min_distance=distance,
    )
    content = task.draw(example_keys(PILOT_STREAM, np.arange(PILOT, dtype=U)), "test")
    rows, (_, node, parent) = np.arange(PILOT), content["answer"].T
    symbols = content["symbols"]
    answers = symbols[rows, parent]
    counts = np.bincount(answers, minlength=sum(arities))
    alike = np.split(counts, np.cumsum(arities)[:-1])  # symbols of as many children
    before = symbols[rows, node - 1] == answers
    commonest = max(group.mean() for group in alike if len(group))
    return round(float(commonest / PILOT), 4), round(float(before.mean()), 4)


PUBLISHED = (
    Preset(
        name="tree-recall-far",
        paper="seqzoo",
        section="parents at least 4 positions away: the symbol before says nothing",
        upstream="-",
        value=TreeRecall(min_nodes=20, min_distance=4),
    ),
)
