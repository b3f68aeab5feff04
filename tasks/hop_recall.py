"""Hop recall: follow edges that were listed in disorder, several at once.

    a b  c a  b c   HOP2 a  HOP2 c           edges, then questions
    targets              c       b           at each name asked

Source:  the k=1, 2, ... slices of multi-hop retrieval in Allen-Zhu 2025, "Physics of Language
         Models 4.1" (Depo), with names of one token; paths and functions are ours.
Differs: the number of hops is the same for all questions of an example, so that results can be
         sliced by it; hop counts are uniform in every split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements
from tasks.published import Preset
from tasks.rng import Integers, Words, distinct, integers, permutation
from tasks.task import Content, Task
from zoo.spec import Context

NAMES, EDGES, HOPS, SOURCES, TARGETS = range(1, 6)


class HopRecall(Task, kind="hop-recall"):
    """Hop recall: edges a -> f(a) in random order; name what h steps from a lead to.

    cycle     one ring through all nodes.
    paths     num_paths separate paths of equal length; every question has max_hops nodes ahead.
    function  f(a) is any node, uniformly and independently: paths merge, and nodes may map to
              themselves.
    """

    factors: ClassVar[dict[str, str]] = {"num_hops": "hops of the questions"}

    graph: Annotated[
        Literal["cycle", "paths", "function"], Field(description="what the edges make")
    ] = "cycle"
    num_nodes: Annotated[int, Field(ge=2, le=2**20, description="nodes of the graph")] = 16
    num_names: Annotated[int, Field(ge=2, le=2**30, description="ids that nodes are named by")] = 32
    num_paths: Annotated[int, Field(ge=1, description="paths; for graph=paths")] = 1
    min_hops: Annotated[int, Field(ge=1, description="fewest hops")] = 1
    max_hops: Annotated[int, Field(ge=1, le=2**20, description="most hops")] = 2
    num_queries: Annotated[int, Field(ge=1, description="questions, about different nodes")] = 4

    def problems(self) -> Iterator[str]:
        if self.num_nodes > self.num_names:
            yield f"num_nodes={self.num_nodes} exceeds num_names={self.num_names}: needs as many"
        if self.min_hops > self.max_hops:
            yield f"min_hops={self.min_hops} exceeds max_hops={self.max_hops}: needs <= it"
        if self.graph != "paths" and self.num_paths != 1:
            yield f"num_paths={self.num_paths} with graph={self.graph}: needs graph=paths"
        if self.num_nodes % self.num_paths:
            yield f"num_paths={self.num_paths} does not divide num_nodes={self.num_nodes}"
        elif self.graph != "function" and self.max_hops >= self.path:
            yield (
                f"max_hops={self.max_hops} leads round or off the {self.path} nodes of a "
                f"{'cycle' if self.graph == 'cycle' else 'path'}: needs <= {self.path - 1}"
            )
        elif self.num_queries > self.num_sources:
            yield (
                f"num_queries={self.num_queries} exceeds the {self.num_sources} nodes that can "
                f"be asked for: needs <= {self.num_sources}"
            )

    @property
    def path(self) -> int:
        """Nodes of a path."""
        return self.num_nodes // self.num_paths

    @property
    def num_sources(self) -> int:
        """Nodes that a question may begin at."""
        ahead = self.max_hops if self.graph == "paths" else 0
        return self.num_nodes - self.num_paths * ahead

    @property
    def num_edges(self) -> int:
        return self.num_nodes - (self.num_paths if self.graph == "paths" else 0)

    @property
    def vocabulary(self) -> dict[str, range]:
        names = range(self.num_names)
        return {"name": names, "hops": range(names.stop, names.stop + self.max_hops)}

    @property
    def context(self) -> Context:
        size = self.num_names + self.max_hops
        length = 2 * (self.num_edges + self.num_queries)
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each name is as likely."""
        return 1 / self.num_names

    @property
    def floors(self) -> dict[str, float]:
        """Another node that is not the one asked; or as many hops always."""
        if self.graph == "function":
            return {}
        named = {
            f"{h} hops, whatever is asked": 1 / (self.max_hops - self.min_hops + 1)
            for h in range(self.min_hops, self.max_hops + 1)
        }
        return {"any other node": 1 / (self.num_nodes - 1), **named}

    @property
    def num_contents(self) -> int:
        """Where the edges begin, as they are listed."""
        return arrangements(self.num_names, self.num_edges)

    def draw(self, keys: Words, split: str) -> Content:
        rows, num, path = np.arange(len(keys))[:, None], self.num_nodes, self.path
        names = distinct(keys, NAMES, num, self.num_names)
        place = np.arange(num)
        if self.graph == "function":
            after = integers(keys, TARGETS, num, num)
        else:  # a path's last node leads to the first, an edge that only the cycle has
            after = np.tile(
                np.where((place + 1) % path, place + 1, place + 1 - path), (len(keys), 1)
            )
        inner = place if self.graph != "paths" else place[(place + 1) % path > 0]
        listed = inner[permutation(keys, EDGES, len(inner))]
        hops = integers(keys, HOPS, 1, self.max_hops - self.min_hops + 1) + self.min_hops
        start = distinct(keys, SOURCES, self.num_queries, self.num_sources)
        if self.graph == "paths":
            ahead = path - self.max_hops
            start = start // ahead * path + start % ahead
        ends = self._follow(after, start, hops)
        return {
            "from": names[rows, listed],
            "to": names[rows, after[rows, listed]],
            "hops": hops,
            "asked": names[rows, start],
            "answers": names[rows, ends],
        }

    def _follow(self, after: Integers, start: Integers, hops: Integers) -> Integers:
        """Where `hops` (B, 1) steps lead.                                            (B, M)"""
        if self.graph != "function":
            return start // self.path * self.path + (start % self.path + hops) % self.path
        here = start
        for h in range(self.max_hops):
            here = np.where(h < hops, np.take_along_axis(after, here, axis=1), here)
        return here

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        edges, hops = self.num_edges, content["hops"]
        inputs = np.empty((len(keys), self.context.length), np.int64)
        inputs[:, 0 : 2 * edges : 2] = content["from"]
        inputs[:, 1 : 2 * edges : 2] = content["to"]
        inputs[:, 2 * edges :: 2] = self.num_names + hops - 1
        inputs[:, 2 * edges + 1 :: 2] = content["asked"]
        at = 2 * edges + 1 + 2 * np.arange(self.num_queries)
        return Batch.answered(inputs, at, content["answers"], num_hops=hops[:, 0])

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        first = 2 * self.num_edges
        for row, out in zip(inputs.tolist(), answers, strict=True):
            after = dict(zip(row[0:first:2], row[1:first:2], strict=True))
            for t in range(first + 1, len(row), 2):
                here = row[t]
                for _ in range(row[t - 1] - self.num_names + 1):
                    here = after.get(here, IGNORE)
                out[t] = here
        return answers


PUBLISHED = (
    Preset(
        name="hop-recall-cpu",
        paper="seqzoo",
        section="a cycle of 8 nodes, one or two hops",
        upstream="-",
        value=HopRecall(num_nodes=8),
    ),
)
