"""Compression: read a sequence, then give every token of it back from the last state alone.

    inputs    5 2 2 9 0 #        # is the id that asks for the summary
    targets   5 2 2 9 0 .        all answered from the state at #

Source:  Poli et al. 2024, "MAD", arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py,
         mad/model/auto_encoder.py, configs/tasks/compression.yml.
Differs: `canonical` scores the data alone.  `mad` scores what upstream does: the last id too,
         which is the same in all examples, and noise, as upstream masks noise in the targets
         and then returns the inputs in their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.ladders import ladder
from tasks.noise import as_if, chosen
from tasks.rng import Words, integers
from tasks.task import Content, Task
from zoo.spec import Context

DATA, NOISY, NOISE = 1, 2, 3


class Compression(Task, kind="compression"):
    """Compression: every token of the sequence is due from the state at its last position.

    length - 1 random data ids and the compression id. Each data id is a noise id instead with
    probability frac_noise. A decoder gets the last state and a position, nothing else.
    """

    factors: ClassVar[dict[str, str]] = {"num_noise": "positions that hold noise"}

    variant: Literal["canonical", "mad"] = "canonical"
    vocab_size: Annotated[
        int, Field(ge=3, le=2**31, description="ids: data, noise, the compression id")
    ] = 16
    length: Annotated[
        int, Field(ge=2, le=2**24, description="positions L, the compression id included")
    ] = 32
    noise_vocab_size: Annotated[int, Field(ge=0, description="ids that are noise")] = 0
    frac_noise: Annotated[
        float, Field(ge=0, lt=1, description="the probability that a position is noise")
    ] = 0.0

    def problems(self) -> Iterator[str]:
        if self.num_data < 2:
            yield (
                f"vocab_size={self.vocab_size} leaves no two data ids beside "
                f"noise_vocab_size={self.noise_vocab_size}: needs >= {self.noise_vocab_size + 3}"
            )
        if self.frac_noise > 0 and not self.noise_vocab_size:
            yield f"frac_noise={self.frac_noise} with noise_vocab_size=0: needs >= 1 noise ids"

    @property
    def num_data(self) -> int:
        """Different data ids."""
        return self.vocab_size - 1 - self.noise_vocab_size

    @property
    def vocabulary(self) -> dict[str, range]:
        last = self.vocab_size - 1
        ids = {"data": range(self.num_data)}
        if self.noise_vocab_size:
            ids["noise"] = range(self.num_data, last)
        return {**ids, "compression": range(last, self.vocab_size)}

    @property
    def context(self) -> Context:
        size = self.vocab_size
        return Context(num_inputs=size, num_outputs=size, length=self.length, head="unfold")

    @property
    def chance(self) -> float:
        """Always the same id; in `mad` perhaps the last one, at one position of `length`."""
        if self.variant == "canonical":
            return 1 / self.num_data
        data = (1 - self.frac_noise) / self.num_data
        noise = self.frac_noise / max(self.noise_vocab_size, 1)
        return max(max(data, noise) * (self.length - 1), 1.0) / self.length

    @property
    def num_contents(self) -> int:
        """As many equally likely ones would meet by chance as often."""
        if not self.frac_noise:
            return power(self.num_data, self.length - 1)
        same = self.frac_noise**2 + (1 - self.frac_noise) ** 2 / self.num_data
        return as_if(same, self.length - 1)

    def draw(self, keys: Words, split: str) -> Content:
        """Noise is one more number: which of its ids stands there tells nothing apart."""
        num = self.length - 1
        data = integers(keys, DATA, num, self.num_data)
        if self.frac_noise > 0:
            data[chosen(keys, NOISY, num, self.frac_noise)] = self.num_data
        return {"data": data}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        data = content["data"]
        noisy = data == self.num_data
        inputs = np.full((len(keys), self.length), self.vocab_size - 1)
        inputs[:, :-1] = data
        if self.frac_noise > 0:
            noise = integers(keys, NOISE, data.shape[1], self.noise_vocab_size) + self.num_data
            inputs[:, :-1] = np.where(noisy, noise, data)
        targets = inputs.copy()
        if self.variant == "canonical":
            targets[:, -1] = IGNORE
            targets[:, :-1][noisy] = IGNORE
        return Batch.of(inputs, targets, num_noise=noisy.sum(axis=1))

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The inputs: what the last state has to hold."""
        answers = inputs.astype(np.int64)
        if self.variant == "canonical":
            answers[answers >= self.num_data] = IGNORE
        return answers


PUBLISHED = ladder(
    "mad-compression",
    Compression(variant="mad"),
    {"vocab_size": (32, 64, 128), "length": (64, 128, 256)},
)
