"""Brevo: write down all that a node depends on, dependencies first.

    BOS 1 3 2 3 3 4 5 6 ASK 4 ANS 1 2 3 4 END         edges 1->3, 2->3, 3->4, 5->6
                                                      2 1 3 4 END is right, too
Source:  Allen-Zhu 2025, "Physics of Language Models: part 4.1", arXiv:2512.17351;
         facebookresearch/PhysicsLM4, the synthetic playground's generator of Brevo.
Differs: an answer that repeats a node is wrong; the released checker accepts it, and expects an end
         token that the generator never writes.  `query=uniform` asks for any node that has
         dependencies; upstream always for the last one.  An example that does not fit into
         max_length is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import MANY, arrangements
from tasks.dependencies import Dependencies
from tasks.named_nodes import Names, inverse_sizes
from tasks.published import Preset
from tasks.rng import U, Words, example_keys
from tasks.task import Content, DataSpaceExhausted, Task
from tasks.writing import Writing
from zoo.spec import Context

BOS, ASK, ANS, END, FIRST = 1, 2, 3, 4, 5  # ids; 0 is padding
SIZES = 1
PROBED = 20_000  # graphs from which averages are estimated


class Brevo(Task, kind="brevo"):
    """Brevo: the ancestors of a node of a graph whose edges stand in disorder, dependencies first.

    n ordered nodes, of which the first few are sources; each other one depends on 1..max_degree
    earlier ones with fewer than max_degree users.  Training: p(n) ~ 1 / (n + sqrt(max_nodes));
    validation and test: n = max_nodes.  Many orders are right (`accepts`); the targets hold a
    random one, and the oracle answers only where one continuation is left.  The first token says
    little: see `valid_first`.
    """

    metric = "valid"
    factors: ClassVar[dict[str, str]] = {
        "num_written": "nodes of the answer",
        "depth": "edges of the longest chain of dependencies",
        "num_edges": "edges of the graph",
    }

    max_nodes: Annotated[int, Field(ge=3, le=2**12, description="nodes N of the largest")] = 12
    max_degree: Annotated[int, Field(ge=1, le=64, description="dependencies and users, most")] = 4
    query: Annotated[
        Literal["last", "uniform"], Field(description="the node asked for; uniform: no source")
    ] = "last"
    num_letters: Annotated[
        int, Field(ge=1, le=2**18, description="letters of names; names, of one token")
    ] = 12
    min_name_tokens: Annotated[int, Field(ge=1, le=32, description="tokens of a name, least")] = 1
    max_name_tokens: Annotated[int, Field(ge=1, le=32, description="tokens of a name, most")] = 1
    size_law: Annotated[
        Literal["inverse", "fixed"], Field(description="of n in training; fixed: max_nodes")
    ] = "inverse"
    max_length: Annotated[int, Field(ge=8, le=2**24, description="positions, at most")] = 1024

    def problems(self) -> Iterator[str]:
        yield from self.names.problems(self.max_nodes)
        least = 4 + 2 * max(1, self.max_nodes - 1 - (self.max_nodes - 1) // self.max_degree)
        if self.max_length < least * self.min_name_tokens:
            yield (
                f"max_length={self.max_length} holds no graph of max_nodes={self.max_nodes}: "
                f"needs >= {least * self.min_name_tokens}, or far more"
            )

    @property
    def names(self) -> Names:
        """The names that nodes can have."""
        return Names(self.num_letters, self.min_name_tokens, self.max_name_tokens, FIRST)

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"pad": 0, "begin": BOS, "ask": ASK, "answer": ANS, "end": END}
        return {**{name: range(i, i + 1) for name, i in ids.items()}, **self.names.ids}

    @property
    def most_edges(self) -> int:
        return sum(min(self.max_degree, i) for i in range(1, self.max_nodes))

    @property
    def context(self) -> Context:
        size, tokens = self.names.closing.stop, self.max_name_tokens
        longest = 3 + tokens * (2 * self.most_edges + 1 + self.max_nodes)
        return Context(num_inputs=size, num_outputs=size, length=min(longest, self.max_length))

    @property
    def chance(self) -> float:
        """Always END, or always one letter; the mean number of nodes to write is estimated."""
        written, tokens = self._estimates[0], self.names.mean_tokens(self.max_nodes)
        letters = max(written, written * (tokens - 1)) / self.num_letters
        return max(1.0, letters) / (written * tokens + 1)

    @property
    def valid_first(self) -> float:
        """How often a random source of the graph may stand first: no skill. Estimated."""
        return self._estimates[1]

    @property
    def _estimates(self) -> tuple[float, float]:
        return _averages(self)  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # what is written is read again

    @property
    def num_contents(self) -> int:
        """The orders of the edges of the paths through max_nodes names; few of all graphs."""
        num = self.max_nodes
        many = arrangements(self.names.count, num) * arrangements(num - 1, num - 1)
        return min(many, MANY)

    def determined(self, split: str) -> bool:
        return False

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.brevo import draw

        num, most = len(keys), self.max_nodes
        if split == "train" and self.size_law == "inverse":
            sizes = inverse_sizes(keys, SIZES, 3, most)
        else:
            sizes = np.full(num, most)
        edges = np.full((num, self.most_edges, 2), -1)
        queries = np.empty(num, np.int64)
        law = (self.max_degree, self.query == "uniform", self.names.offsets())
        room = (self.names.tables()[1], self.context.length)
        if not draw(keys, sizes, (*law, *room), (edges, queries)):
            raise DataSpaceExhausted(
                f"max_length={self.max_length}: hardly any example of max_nodes={most} fits; "
                "needs more"
            )
        return {"edges": edges.reshape(num, 2 * self.most_edges), "queries": queries[:, None]}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.brevo import render

        num, length = len(keys), self.context.length
        tokens = np.zeros((num, length + 1), np.int64)
        due, lengths = np.empty(num, np.int64), np.empty(num, np.int64)
        factors = np.empty((3, num), np.int64)
        graphs = (content["edges"].reshape(num, self.most_edges, 2), content["queries"][:, 0])
        render(keys, graphs, self.names.tables(), (tokens, due, lengths, factors))
        places = np.arange(length)
        answers = (places >= due[:, None]) & (places < lengths[:, None])
        targets = np.where(answers, tokens[:, 1:], IGNORE)
        scatter(tokens, lengths[:, None], 0)  # END is written, never read
        named = dict(zip(self.factors, factors, strict=True))
        return Batch.padded(tokens[:, :-1], targets, lengths, **named)

    def _asked(self, prompt: list[int]) -> Dependencies:
        return Dependencies.read(prompt, self.names.closing, ASK)

    def admissible(self, batch: Batch) -> NDArray[np.bool_]:
        """Which tokens can go on with each answer of the batch, place by place.       (M, V)"""
        found = np.zeros((int(batch.mask.sum()), self.context.num_outputs), np.bool_)
        at = 0
        for row, mask in zip(batch.inputs.tolist(), batch.mask, strict=True):
            places = np.flatnonzero(mask)
            asked = self._asked(row[1 : places[0]])
            for t in places:
                found[at, list(asked.next_tokens(END))] = True
                asked.read_on(row[t + 1] if t + 1 < len(row) else END)
                at += 1
        return found

    def mistakes(self, batch: Batch, answers: NDArray[Any]) -> list[str]:
        """What is wrong with what was written behind ANS, END included; "" where it is right."""
        found = []
        for row, mask, answer in zip(batch.inputs.tolist(), batch.mask, answers, strict=True):
            asked = self._asked(row[1 : int(mask.argmax())])
            found.append(asked.mistake(answer.tolist(), END))
        return found

    @property
    def writings(self) -> dict[str, Writing]:
        return {"valid": Writing(stop=END)}

    def accepts(self, batch: Batch, answers: NDArray[Any]) -> NDArray[np.bool_]:
        return np.array([not m for m in self.mistakes(batch, answers)], np.bool_)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The next token where there is but one."""
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            asked: Dependencies | None = None
            for t, token in enumerate(row):
                if asked is not None:
                    asked.read_on(token)
                elif token == ANS:
                    asked = self._asked(row[1:t])
                if asked is not None and len(left := asked.next_tokens(END)) == 1:
                    out[t] = left.pop()
        return answers


@lru_cache(maxsize=32)
def _averages(task: Brevo) -> tuple[float, float]:
    """Nodes of an answer of the largest size; how often a random source is among them."""
    from tasks._loops.brevo import averages

    keys = example_keys(SIZES, np.arange(PROBED, dtype=U))
    found = averages(keys, (task.max_nodes, task.max_degree, task.query == "uniform"))
    return float(found[0].mean()), float(found[1].mean())


def _brevo(num_nodes: int, version: int) -> Preset:
    letters = (num_nodes, 1, 1) if version == 1 else (4, 2, 4)
    names = ("num_letters", "min_name_tokens", "max_name_tokens")
    fields = {"max_nodes": num_nodes, **dict(zip(names, letters, strict=True))}
    return Preset(
        name=f"physics-brevo{version}-{num_nodes}",
        paper="Allen-Zhu 2025, Physics of Language Models: part 4.1, arXiv:2512.17351",
        section=f"Brevo{version}, N = {num_nodes}",
        upstream="facebookresearch/PhysicsLM4, synthetic playground",
        differs=(
            "only the answer and END are targets",
            "the context of 1024 as recalled; not checked against the source",
        ),
        value=Brevo.model_validate(fields),
    )


PUBLISHED = (
    *(_brevo(num, 1) for num in (70, 90, 110)),
    *(_brevo(num, 2) for num in (30, 40, 50)),
    Preset(
        name="brevo-cpu",
        paper="seqzoo",
        section="12 nodes, names of one token",
        upstream="-",
        value=Brevo(),
    ),
)
