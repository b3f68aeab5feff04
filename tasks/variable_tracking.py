"""Variable tracking: chains of assignments hidden in a text; follow one of them.

    . . S x = 4 2 ; . . S y = x ; . . . S z = y ; . .   ? 4 2 = x y
    targets                                                   x y z       (the names of a value)
    ? z = 4                                        targets    4 2         (the value of a name)

Source:  Hsieh et al. 2024, "RULER", arXiv:2404.06654, NVIDIA/RULER: the task variable_tracking.
Differs: ids instead of English.  The names are due in the order of the chain; RULER looks for
         them anywhere in free text.  As each name is given once it is due, the next one is one
         step away; `ask=value` asks the last name's value, which takes all steps at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import arrangements
from tasks.haystack import different, flat, placed, prefix, straw
from tasks.ids import in_turn
from tasks.published import Preset
from tasks.rng import Integers, Words, distinct, integers, permutation
from tasks.task import Content, Task
from zoo.spec import Context

NAMES, ORDER, GAPS, ASKED, STRAW, VALUES = 1, 2, 3, 4, 5, 8
SET, IS, END, ASK = range(4)  # ids that mark a statement's start, its right side, its end


class VariableTracking(Task, kind="variable-tracking"):
    """Variable tracking: which names have this value, or which value this name has, in the end.

    num_chains chains: a first name gets a value, and num_hops more names get one the name before
    it. Statements of a chain keep their order; all lie at random depths of the text. ask=names
    gives a value and expects the names of its chain; ask=value gives the last name of a chain.
    """

    metric = "span_exact"
    factors: ClassVar[dict[str, str]] = {
        "gap": "positions from the end of the asked chain's first statement to the question",
    }

    length: Annotated[int, Field(ge=8, le=2**24, description="positions L, answers included")] = 128
    haystack: Annotated[
        Literal["filler", "random"], Field(description="what surrounds the statements")
    ] = "filler"
    num_chains: Annotated[int, Field(ge=1, description="chains of assignments")] = 2
    num_hops: Annotated[int, Field(ge=0, description="names that get another name's value")] = 4
    ask: Annotated[
        Literal["names", "value"], Field(description="what is due: a chain's names, or its value")
    ] = "names"
    num_names: Annotated[int, Field(ge=2, le=2**20, description="ids of names")] = 32
    num_value_tokens: Annotated[int, Field(ge=1, le=64, description="tokens of a value")] = 2
    num_value_ids: Annotated[int, Field(ge=2, le=2**20, description="ids of values")] = 10
    num_hay_ids: Annotated[int, Field(ge=1, le=2**12, description="ids of the haystack")] = 16
    zipf: Annotated[float, Field(ge=0, le=8, description="exponent of random hay")] = 1.0

    def problems(self) -> Iterator[str]:
        if self.room < self.stated:
            yield (
                f"length={self.length} is too short for its statements and question: "
                f"needs >= {self.length - self.room + self.stated}"
            )
        if self.num_statements > self.num_names:
            yield (
                f"num_names={self.num_names} is too few for num_chains={self.num_chains} of "
                f"num_hops={self.num_hops}: needs >= {self.num_statements}"
            )
        if self.num_value_ids**self.num_value_tokens < 2 * self.num_chains:
            yield (
                f"num_value_ids={self.num_value_ids} and num_value_tokens={self.num_value_tokens} "
                f"make too few values for num_chains={self.num_chains}: "
                f"needs >= {2 * self.num_chains}"
            )

    @property
    def num_statements(self) -> int:
        return self.num_chains * (self.num_hops + 1)

    @property
    def widths(self) -> Integers:
        """Positions of each statement, SET name IS value END, chain by chain.      (N,)"""
        one = [4 + self.num_value_tokens] + self.num_hops * [5]
        return np.array(self.num_chains * one)

    @property
    def stated(self) -> int:
        return int(self.widths.sum())

    @property
    def answer(self) -> int:
        """Tokens that are due."""
        return self.num_hops + 1 if self.ask == "names" else self.num_value_tokens

    @property
    def room(self) -> int:
        """Positions ahead of the question; the last answer is not read."""
        given = self.num_value_tokens if self.ask == "names" else 1
        return self.length + 1 - (2 + given + self.answer)

    @property
    def vocabulary(self) -> dict[str, range]:
        words = {"name": self.num_names, "value": self.num_value_ids, "hay": self.num_hay_ids}
        return in_turn({"set": 1, "is": 1, "end": 1, "ask": 1, **words})

    @property
    def context(self) -> Context:
        size = self.vocabulary["hay"].stop
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def chance(self) -> float:
        """Names are uniform over all names, tokens of values over theirs."""
        return 1 / (self.num_names if self.ask == "names" else self.num_value_ids)

    @property
    def floors(self) -> dict[str, float]:
        """Following a chain at random; the tokens of two chains' values may agree by chance."""
        mine = 1 / self.num_chains
        if self.ask == "names":
            return {"names of any chain": mine}
        num, first = self.num_value_ids, prefix(self.num_value_ids, self.num_value_tokens)
        others = num**first - 1
        same = first * (num ** (first - 1) - 1) / others + (self.num_value_tokens - first) / num
        return {"value of any chain": mine + (1 - mine) * same / self.num_value_tokens}

    @property
    def num_contents(self) -> int:
        """Names, and the place of one statement."""
        places = self.room - self.stated + 1
        return arrangements(self.num_names, self.num_statements) * places

    @property
    def answers_follow(self) -> bool:
        return self.answer > 1

    def draw(self, keys: Words, split: str) -> Content:
        num, size = self.num_statements, len(keys)
        places = permutation(keys, ORDER, num).reshape(size, self.num_chains, self.num_hops + 1)
        places.sort(axis=2)  # a chain keeps its order
        gaps = integers(keys, GAPS, num, self.room - self.stated + 1)
        gaps.sort(axis=1)
        values = different(keys, VALUES, self.num_chains, self.num_value_tokens, self.num_value_ids)
        return {
            "names": distinct(keys, NAMES, num, self.num_names),
            "values": flat(values),
            "places": flat(places),
            "gaps": gaps,
            "asked": integers(keys, ASKED, 1, self.num_chains),
        }

    def _statements(self, names: Integers, values: Integers) -> Integers:
        """The tokens of each, END behind the last one that counts.                (B, N, W)"""
        size, chains, links = names.shape
        last = 3 + self.num_value_tokens
        found = np.full((size, chains, links, max(last + 1, 5)), END)
        found[..., 0], found[..., 1], found[..., 2] = SET, names, IS
        found[:, :, 0, 3:last] = values
        found[:, :, 1:, 3] = names[:, :, :-1]
        return found.reshape(size, chains * links, found.shape[3])

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        ids, size = self.vocabulary, len(keys)
        names = content["names"].reshape(size, self.num_chains, self.num_hops + 1)
        values = content["values"].reshape(size, self.num_chains, self.num_value_tokens)
        names, values = names + ids["name"].start, values + ids["value"].start
        statements = self._statements(names, values)
        order = np.argsort(content["places"], axis=1)
        widths = self.widths
        starts = np.empty_like(order)  # of each statement, however they are ordered
        np.put_along_axis(starts, order, placed(content["gaps"], widths[order]), axis=1)
        zipf = self.zipf if self.haystack == "random" else None
        row = straw(keys, STRAW, self.length + 1, ids["hay"], zipf=zipf)
        reach = np.arange(statements.shape[2])
        at = np.where(reach < widths[:, None], starts[:, :, None] + reach, self.length)
        scatter(row, flat(at), flat(statements))
        rows, asked = np.arange(size), content["asked"][:, 0]
        known, due = values[rows, asked], names[rows, asked]
        if self.ask == "value":
            known, due = due[:, -1:], known
        begin = self.room + 1 + known.shape[1]
        row[:, self.room], row[:, begin] = ASK, IS
        row[:, self.room + 1 : begin] = known
        row[:, begin + 1 : self.length] = due[:, :-1]
        first = asked * (self.num_hops + 1)
        gap = self.room - (starts[rows, first] + widths[0] - 1)
        batch = Batch.answered(
            row[:, : self.length].copy(), begin + np.arange(self.answer), due, gap=gap
        )
        spans = np.full(batch.targets.shape, -1, np.int32)
        spans[:, begin:] = np.arange(self.answer) if self.ask == "names" else 0
        return replace(batch, spans=spans)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        given = self.num_value_tokens if self.ask == "names" else 1
        for row, out in zip(inputs.tolist(), answers, strict=True):
            known = tuple(row[self.room + 1 : self.room + 1 + given])
            due = self._chain(row[: self.room], known)[: self.answer]
            out[self.room + 1 + given :][: len(due)] = due
        return answers

    def _chain(self, text: list[int], known: tuple[int, ...]) -> tuple[int, ...]:
        """The names that get a value, one from the other; or the value that a name has."""
        ids, tokens = self.vocabulary, self.num_value_tokens
        holds: dict[int, tuple[int, ...]] = {}
        chain: dict[tuple[int, ...], tuple[int, ...]] = {}
        for t in range(len(text) - 4):
            if text[t] != SET:
                continue
            name, source = text[t + 1], text[t + 3]
            if source in ids["value"]:
                value = tuple(text[t + 3 : t + 3 + tokens])
            else:
                value = holds.get(source, ())
            holds[name] = value
            chain[value] = (*chain.get(value, ()), name)
        return chain.get(known, ()) if self.ask == "names" else holds.get(known[0], ())


PUBLISHED = (
    Preset(
        name="ruler-variable-tracking",
        paper="Hsieh et al. 2024, RULER, arXiv:2404.06654",
        section="variable_tracking at 4,096 tokens: 1 chain, 4 hops",
        upstream="NVIDIA/RULER scripts/synthetic.yaml",
        differs=(
            "the path, and values of 5 digits, are as recalled; not checked against the source",
            "ids instead of text and its tokenizer; a name is one of 512 ids",
        ),
        value=VariableTracking(length=4096, num_chains=1, num_names=512, num_value_tokens=5),
    ),
)
