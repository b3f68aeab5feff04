"""Capo: how many bits of facts do a model's weights hold?

    BOS first middle last  A2 v  A1 v v v  A3 v ...      a biography; every value is a target,
                                                         and so are the parts of the name
Source:  Allen-Zhu and Li 2024, "Physics of Language Models: part 3.3", arXiv:2404.05405 (bits per
         parameter), and part 4.1, arXiv:2512.17351;  facebookresearch/PhysicsLM4, its field files.
Differs: tokens instead of English: an attribute is one of `templates` markers and its value, where
         upstream has sentences.  No attribute is a function of another (upstream's employers have
         a city of their own).  The world comes from `world_seed` alone.  The last token of a
         biography is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.memorization import dealt, numbers_of
from tasks.people import NAME, Bits, World, world_of
from tasks.published import Preset
from tasks.rng import (
    Floats,
    Integers,
    Words,
    integers,
    permutation,
)
from tasks.task import Content, Task, stream_of
from zoo.spec import Context

ORDER, TEMPLATES = 1, 2
PHYSICS = (2, 12, 28, 200, 200, 300, 100, 263)


class Capo(Task, kind="capo"):
    """Capo: biographies of people who do not exist; facts must be learned by heart.

    Example i is about one person: every num_people examples from a multiple of num_people on are
    about all of them, in an order of their own, so that E num_people training examples are E
    exposures.  The splits share the people; markers, and with permute=yes the order of attributes,
    are drawn anew for each example.  The result is `bits`, from log-probabilities.
    """

    by_number = True

    shared: ClassVar[bool] = True
    sees_all: ClassVar[bool] = False  # the oracle reads the task's own table: that is the question
    factors: ClassVar[dict[str, str]] = {"first_attribute": "the attribute behind the name, from 0"}

    num_people: Annotated[int, Field(ge=2, le=2**24, description="people N")] = 1000
    name_parts: Annotated[
        tuple[Annotated[int, Field(ge=2, le=2**16)], ...],
        Field(min_length=NAME, max_length=NAME, description="first, middle and last names"),
    ] = (64, 64, 64)
    domains: Annotated[
        tuple[Annotated[int, Field(ge=2, le=2**16)], ...],
        Field(min_length=1, max_length=64, description="values of each token of the attributes"),
    ] = (64, 64, 32)
    value_tokens: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...],
        Field(description="tokens of each attribute's value; none: one each"),
    ] = ()
    templates: Annotated[int, Field(ge=1, le=1024, description="markers of an attribute")] = 4
    permute: Annotated[bool, Field(description="attributes in random order")] = True
    name_loss: Annotated[bool, Field(description="the parts of names are targets, too")] = True
    world_seed: Annotated[int, Field(ge=0, lt=2**63, description="fixes names and values")] = 0

    def problems(self) -> Iterator[str]:
        if self.value_tokens and sum(self.value_tokens) != len(self.domains):
            yield (
                f"value_tokens={self.value_tokens} has {sum(self.value_tokens)} tokens for the "
                f"{len(self.domains)} of domains: needs as many"
            )
        if 4 * self.num_people > self.num_names:
            yield (
                f"num_people={self.num_people} is more than a quarter of the {self.num_names} "
                f"names: needs <= {self.num_names // 4}"
            )
        if self.num_names > 2**32:
            yield f"name_parts={self.name_parts} makes more than 2^32 names: needs fewer"

    @property
    def num_names(self) -> int:
        """Names there are, N0."""
        return math.prod(self.name_parts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tokens of each attribute's value."""
        return self.value_tokens or (1,) * len(self.domains)

    @property
    def vocabulary(self) -> dict[str, range]:
        counts = {"begin": 1, "attribute": len(self.sizes) * self.templates}
        parts = ("first name", "middle name", "last name")
        counts |= dict(zip(parts, self.name_parts, strict=True))
        counts |= {f"value {i + 1}": size for i, size in enumerate(self.domains)}
        stops = list(accumulate(counts.values()))
        spans = zip(counts, [0, *stops], stops, strict=False)
        return {name: range(start, stop) for name, start, stop in spans}

    @property
    def context(self) -> Context:
        size = sum(len(ids) for ids in self.vocabulary.values())
        length = NAME + len(self.sizes) + len(self.domains)
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def num_contents(self) -> int:
        return self.num_people

    @property
    def answers_follow(self) -> bool:
        return True  # names, and values of several tokens

    def determined(self, split: str) -> bool:
        return not self.name_loss

    @property
    def world(self) -> World:
        """Who there is, and what is true of them."""
        ids = [ids.start for ids in self.vocabulary.values()][2:]
        law = (self.num_people, self.name_parts, self.domains, self.world_seed)
        return world_of(law, tuple(ids))

    @property
    def _scored(self) -> Integers:
        facts = self.world.facts
        return facts if self.name_loss else facts[:, NAME:]

    @property
    def chance(self) -> float:
        """Always the commonest id of all."""
        facts = self._scored
        return float(np.bincount(facts.ravel()).max() / facts.size)

    @property
    def floors(self) -> dict[str, float]:
        """Knowing what is asked for, and no person."""
        counts = [np.bincount(column).max() for column in self._scored.T]
        return {"commonest value of each attribute": float(sum(counts)) / self._scored.size}

    @property
    def ceiling(self) -> float:
        """Values are certain, names are as likely as what of them is known."""
        if not self.name_loss:
            return 1.0
        names = sum(max(law.values()) for t in self.world.name_laws for law in t.values())
        return (names + self.num_people * len(self.domains)) / self._scored.size

    def draw(self, keys: Words, split: str) -> Content:
        stream = stream_of(self, split)
        return {"people": dealt(stream, numbers_of(keys, stream), 1, self.num_people)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.capo import write

        people, count = content["people"][:, 0], len(self.sizes)
        order = np.tile(np.arange(count), (len(keys), 1))
        if self.permute:
            order = permutation(keys, ORDER, count)
        markers = 1 + order * self.templates + integers(keys, TEMPLATES, count, self.templates)
        columns = np.array([*accumulate(self.sizes, initial=NAME)])
        inputs = np.zeros((len(keys), self.context.length), np.int64)
        targets, spans = np.full(inputs.shape, IGNORE), np.full(inputs.shape, -1, np.int32)
        attributes, arrays = (order, markers, columns), (inputs, targets, spans)
        write(people, self.world.facts, attributes, 0 if self.name_loss else NAME, arrays)
        return replace(Batch.of(inputs, targets, first_attribute=order[:, 0]), spans=spans)

    def bits(self, batch: Batch, log_probs: NDArray[Any], *, base: str = "uniform") -> Bits:
        """What log-probabilities say that is known: over all people, each of them once.

        An attribute: sum over people of max(0, log2 D - NLL), D its values; names together:
        max(0, N log2 N0 - NLL), which is N log2(N0 / N) for one who knows all of them.

        Args:    log_probs  ln of the probability of the right token at every place    (B, L)
                 base       empirical: log2 D is replaced by what the frequency of the value
                            among all people gives, so that knowing frequencies is no knowledge
        """
        assert batch.spans is not None
        if base not in ("uniform", "empirical"):
            raise ValueError(f"base={base!r}: choose from uniform, empirical")
        nll = np.where(batch.mask, -np.asarray(log_probs, np.float64) / math.log(2), 0.0)
        found, people = [], self.world.named(batch.inputs[:, 1 : NAME + 1])
        for k, prior in enumerate(self._priors(base), start=1):
            known = prior[people] - np.where(batch.spans == k, nll, 0.0).sum(axis=1)
            found.append(float(np.maximum(known, 0.0).sum()))
        names = np.where(batch.spans == 0, nll, 0.0).sum()
        most = len(batch) * math.log2(self.num_names) if self.name_loss else 0.0
        return Bits(attributes=tuple(found), names=max(0.0, most - float(names)))

    def _priors(self, base: str) -> Iterator[Floats]:
        """Of each attribute the bits of everyone's value.                    (N,) each"""
        stops = list(accumulate(self.sizes))
        for start, stop in zip([0, *stops], stops, strict=False):
            if base == "uniform":
                bits = sum(math.log2(size) for size in self.domains[start:stop])
                yield np.full(self.num_people, bits)
            else:
                yield self.world.surprise[:, start:stop].sum(axis=1)

    def true_probs(self, batch: Batch) -> Floats:
        """The law of each target: parts of names as often as those before allow.         (M, V)"""
        probs = np.zeros((*batch.targets.shape, self.context.num_outputs))
        rows, places = np.nonzero(batch.mask)
        probs[rows, places, batch.targets[rows, places]] = 1.0
        if self.name_loss:
            for b, row in enumerate(batch.inputs.tolist()):
                for part, table in enumerate(self.world.name_laws):
                    law = table[tuple(row[1 : 1 + part])]
                    probs[b, part] = 0.0
                    probs[b, part, list(law)] = np.array([*law.values()]) / sum(law.values())
        return probs[batch.mask]

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """Values, from the table; names are nobody's to know."""
        answers = np.full(inputs.shape, IGNORE)
        columns = [NAME, *accumulate(self.sizes, initial=NAME)][1:]
        markers, facts = self.vocabulary["attribute"], self.world.facts
        people = self.world.named(inputs[:, 1 : NAME + 1])
        for row, out, person in zip(inputs.tolist(), answers, people, strict=True):
            due: list[int] = []
            for t in range(NAME + 1, len(row)) if person >= 0 else ():
                if row[t] in markers:
                    k = (row[t] - markers.start) // self.templates
                    due = facts[person, columns[k] : columns[k + 1]].tolist()
                if due:
                    out[t] = due.pop(0)
        return answers


def _physics(name: str, num_people: int) -> Preset:
    return Preset(
        name=name,
        paper="Allen-Zhu and Li 2024, Physics of Language Models: part 3.3, arXiv:2404.05405",
        section=f"bioS, N = {num_people}",
        upstream="facebookresearch/PhysicsLM4, synthetic playground (its field files)",
        differs=(
            "tokens instead of English sentences; about 50 templates as one marker each",
            "no city of the employer, which is a function of the employer",
            "number of people, days (28) and years (200) as recalled; not checked",
        ),
        value=Capo(
            num_people=num_people,
            name_parts=(400, 400, 1000),
            domains=PHYSICS,
            value_tokens=(1, 3, 1, 1, 1, 1),
            templates=50,
        ),
    )


PUBLISHED = (
    _physics("physics-capo-50k", 50_000),
    Preset(
        name="physics-capo-1k",
        paper="seqzoo",
        section="the people of part 3.3, a thousand of them",
        upstream="-",
        value=Capo(name_parts=(400, 400, 1000), domains=PHYSICS, value_tokens=(1, 3, 1, 1, 1, 1)),
    ),
    Preset(
        name="capo-cpu",
        paper="seqzoo",
        section="1,000 people of three attributes: 17,000 bits of values",
        upstream="-",
        value=Capo(),
    ),
)
