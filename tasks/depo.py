"""Depo: how many look-ups in a row can a model do in its head?

    BOS c b a c b a HOP2 a ANS          edges c->b, a->c, b->a; two steps from a: at ANS, b
    BOS xy z .. HOP3 xy ANS pqz         names of several tokens: the answer is read as it is given

Source:  Allen-Zhu 2025, "Physics of Language Models: part 4.1", arXiv:2512.17351;
         facebookresearch/PhysicsLM4, the synthetic playground's generator of Depo.
Differs: the released file refers to names that it does not define; its walks may go once round the
         cycle, here only with `wrap`.  The marker ANS is no target, for it carries no information.
         Outside training all questions of an example ask for the same number of hops, so that
         results can be sliced by it.  The last token of the last answer is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import MANY, arrangements
from tasks.named_nodes import Names, inverse_sizes
from tasks.published import Preset
from tasks.rng import Words
from tasks.task import Content, Task
from zoo.spec import Context

BOS, ANS, SEP, FIRST_HOP = 1, 2, 3, 4  # ids; 0 is padding
SIZES = 1


class Depo(Task, kind="depo"):
    """Depo: the k-th successor of a name on a cycle whose edges stand in disorder.

    Training: n of max_nodes nodes with p(n) ~ 1 / (n + sqrt(max_nodes)), k uniform up to max_hops.
    Validation and test: n = max_nodes; k is a power of 2 or max_hops (of 32 also 24), all alike.
    A guess among the names of the context is right once in n - 1, though it knows much of each
    later token: read span_exact.
    """

    metric: ClassVar[Any] = "span_exact"
    factors: ClassVar[dict[str, str]] = {
        "num_nodes": "nodes of the cycle",
        "num_hops": "hops asked for, the most of the example (in test all are the same)",
    }

    max_nodes: Annotated[int, Field(ge=3, le=2**14, description="nodes N of the longest cycle")] = 8
    max_hops: Annotated[int, Field(ge=1, le=2**14, description="hops K at most")] = 2
    num_queries: Annotated[int, Field(ge=1, le=2**14, description="questions, at most n")] = 4
    num_letters: Annotated[int, Field(ge=1, le=2**18, description="letters of names")] = 32
    min_name_tokens: Annotated[int, Field(ge=1, le=32, description="tokens of a name, least")] = 1
    max_name_tokens: Annotated[int, Field(ge=1, le=32, description="tokens of a name, most")] = 1
    edge_separator: Annotated[bool, Field(description="a token between edges")] = False
    size_law: Annotated[
        Literal["inverse", "fixed"], Field(description="of n in training; fixed: max_nodes")
    ] = "inverse"
    test_hops: Annotated[
        Literal["powers", "all"], Field(description="hops that are asked for in test")
    ] = "powers"
    wrap: Annotated[bool, Field(description="cycles of no more nodes than hops, too")] = False

    def problems(self) -> Iterator[str]:
        if not self.wrap and self.max_nodes <= self.max_hops:
            yield (
                f"max_nodes={self.max_nodes} is no more than max_hops={self.max_hops}: needs >= "
                f"{self.max_hops + 1}, or wrap=yes"
            )
        yield from self.names.problems(self.max_nodes)

    @property
    def names(self) -> Names:
        """The names that nodes can have."""
        first = FIRST_HOP + self.max_hops
        return Names(self.num_letters, self.min_name_tokens, self.max_name_tokens, first)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {
            "pad": range(1),
            "begin": range(BOS, ANS),
            "answer": range(ANS, SEP),
            "separator": range(SEP, FIRST_HOP),
            "hops": range(FIRST_HOP, self.names.first),
            **self.names.ids,
        }

    @property
    def context(self) -> Context:
        size, tokens = self.names.closing.stop, self.max_name_tokens
        graph = self.max_nodes * 2 * tokens + self.edge_separator * (self.max_nodes - 1)
        questions = min(self.num_queries, self.max_nodes) * (2 + 2 * tokens)
        return Context(num_inputs=size, num_outputs=size, length=graph + questions)

    @property
    def chance(self) -> float:
        """One letter always: each is as likely as any other that stands at such places."""
        last = 1 / self.names.mean_tokens(self.max_nodes)
        return max(last, 1 - last) / self.num_letters

    @property
    def floors(self) -> dict[str, float]:
        """Shares of tokens; of whole names it is 1 / (max_nodes - 1)."""
        if self.max_nodes <= self.max_hops:
            return {}
        return {"another name of the context": self.names.guess(self.max_nodes)}

    @property
    def answers_follow(self) -> bool:
        return self.num_queries > 1 or self.max_name_tokens > 1

    @property
    def num_contents(self) -> int:
        """Orders of the edges of the cycles of max_nodes nodes; questions are not counted."""
        num = self.max_nodes
        many = arrangements(self.names.count, num) * arrangements(num - 1, num - 1)
        return min(many, MANY)

    @property
    def tested_hops(self) -> tuple[int, ...]:
        """What is asked for outside training."""
        if self.test_hops == "all":
            return tuple(range(1, self.max_hops + 1))
        powers = {2**i for i in range(self.max_hops.bit_length())}
        return tuple(sorted(powers | {self.max_hops} | ({24} if self.max_hops == 32 else set())))

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.depo import draw

        num, most, train = len(keys), self.max_nodes, split == "train"
        low = 3 if self.wrap else max(3, self.max_hops + 1)
        if train and self.size_law == "inverse":
            sizes = inverse_sizes(keys, SIZES, low, most)
        else:
            sizes = np.full(num, most)
        edges = np.full((num, most, 2), -1)
        asked = [np.full((num, min(self.num_queries, most)), -1) for _ in range(3)]
        hops = range(1, self.max_hops + 1) if train else self.tested_hops
        law = (self.names.offsets(), np.array(hops), not train)
        draw(keys, sizes, law, (edges, *asked))
        names = ("hops", "sources", "answers")
        return {"edges": edges.reshape(num, 2 * most), **dict(zip(names, asked, strict=True))}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.depo import render

        num, length = len(keys), self.context.length
        tokens, lengths = np.zeros((num, length + 1), np.int64), np.empty(num, np.int64)
        spans = np.full((num, length), -1, np.int32)
        edges = content["edges"].reshape(num, self.max_nodes, 2)
        asked = [content[name] for name in ("hops", "sources", "answers")]
        law = (*self.names.tables(), self.edge_separator)
        render((edges, *asked), law, (tokens, spans, lengths))
        targets = np.where(spans >= 0, tokens[:, 1:], IGNORE)
        scatter(tokens, lengths[:, None], 0)
        sizes = (edges[:, :, 0] >= 0).sum(axis=1)
        factors = {"num_nodes": sizes, "num_hops": asked[0].max(axis=1)}
        batch = Batch.padded(tokens[:, :-1], targets, lengths, **factors)
        return replace(batch, spans=spans)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            self._answer(row, out)
        return answers

    def _answer(self, row: list[int], out: NDArray[np.int64]) -> None:
        """Token by token: edges up to the first hop token, then questions."""
        closing, hops = self.names.closing, self.vocabulary["hops"]
        listed: list[tuple[int, ...]] = []
        successor: dict[tuple[int, ...], tuple[int, ...]] = {}
        word: list[int] = []
        due: list[int] = []
        num_hops = 0
        for t, token in enumerate(row):
            if due and token != due.pop(0):
                due = []
            if token in hops:
                if not num_hops:
                    successor = dict(zip(listed[::2], listed[1::2], strict=False))
                num_hops, word = token - FIRST_HOP + 1, []
            elif token == ANS:
                name: tuple[int, ...] = tuple(word)
                for _ in range(num_hops):
                    name = successor.get(name, ())
                due = list(name)
            elif token >= self.names.first:
                word.append(token)
                if token in closing and not num_hops:
                    listed.append(tuple(word))
                    word = []
            if due:
                out[t] = due[0]


def reach(span_exact: Mapping[int, float], least: float = 0.9) -> int:
    """The most hops up to which all that were tested succeed: number of hops -> span_exact."""
    best = 0
    for hops in sorted(span_exact):
        if span_exact[hops] < least:
            break
        best = hops
    return best


def _physics(name: str, section: str, value: Depo) -> Preset:
    return Preset(
        name=name,
        paper="Allen-Zhu 2025, Physics of Language Models: part 4.1, arXiv:2512.17351",
        section=section,
        upstream="facebookresearch/PhysicsLM4, synthetic playground (its file does not run)",
        differs=(
            "only answers are targets; upstream also trains on the marker before an answer",
            "walks never come round: n > max_hops; upstream lets n be as small as 3",
            "in test all questions of an example have the same number of hops",
        ),
        value=value,
    )


def _depo(num_nodes: int, version: int) -> Preset:
    wide = {"max_hops": 8, "num_letters": 50, "min_name_tokens": 1, "max_name_tokens": 2}
    deep = {"max_hops": 16, "num_letters": 3, "min_name_tokens": 5, "max_name_tokens": 7}
    fields = {"max_nodes": num_nodes, "num_queries": 10, **(wide if version == 1 else deep)}
    name = f"physics-depo{version}-{num_nodes}"
    return _physics(name, f"Depo{version}, N = {num_nodes}", Depo.model_validate(fields))


PUBLISHED = (
    *(_depo(num, 1) for num in (225, 300, 375)),
    *(_depo(num, 2) for num in (75, 100, 125)),
    Preset(
        name="depo-cpu",
        paper="seqzoo",
        section="two hops on 8 nodes: starts to be learned in some thousand steps",
        upstream="-",
        value=Depo(),
    ),
    Preset(
        name="depo-cpu-hard",
        paper="seqzoo",
        section="four hops on 12 nodes",
        upstream="-",
        value=Depo(max_nodes=12, max_hops=4, num_queries=6),
    ),
)
