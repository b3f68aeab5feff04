"""Copying: remember the data, wait, write it down.  Selective: the data lies among blanks.

    canonical   . 3 . . 5 2 . | > > >            mad   . 3 . . 5 . 2 > . . .
    targets                     3 5 2                                  3 5 2
    lag=yes     3 5 2 2 4 1 6 3 (num_tokens=3)
    targets           3 5 2 2 4

Source:  Arjovsky et al. 2016, arXiv:1511.06464 (copying);  Gu and Dao 2023, "Mamba",
         arXiv:2312.00752, section 4.1.1 (selective);  state-spaces/s4@d27bdf9
         src/dataloaders/datasets/copying.py;  Poli et al. 2024, "MAD", arXiv:2403.17844,
         athms/mad-lab@0f49a45 mad/data/instances.py;  Jing et al. 2019, "GORU", arXiv:1706.02761
         (denoise).
Differs: Mamba's generator was never released: here its 4,096 positions hold data and blanks, and
         the markers follow them, as in S4.  MAD inserts blanks before one of the items, so that
         the last item always touches the marker and positions are not uniform (`variant=mad`
         does the same, but reproducibly: upstream uses numpy's global generator).  With lag=yes
         the first positions are not scored; state-spaces/s4 expects 0 there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import power, subsets
from tasks.ladders import ladder
from tasks.published import Preset, mamba
from tasks.rng import Integers, Words, distinct, integers
from tasks.task import Content, Task
from zoo.spec import Context

DATA, POSITIONS = 1, 2


class Copying(Task, kind="copying"):
    """Copying: num_tokens data ids, blanks, then as many places to write them.

    `canonical` has a marker at each place to write; its `length` counts data and blanks, so
    that the inputs have length + num_tokens positions.  `delimiter` has one marker, and then
    blanks to write on: one position more.  `mad` is that with other ids, and its `length` counts
    everything.  With lag=yes data comes without end, and each id is due num_tokens later.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_tokens": "data ids to remember",
        "longest_gap": "positions from an id to the place where it is due, the longest",
    }

    variant: Literal["canonical", "delimiter", "mad"] = "canonical"
    vocab_size: Annotated[
        int, Field(ge=4, le=2**31, description="ids: the data, a blank and a marker")
    ] = 10
    length: Annotated[
        int,
        Field(ge=1, le=2**24, description="data and blanks; in variant mad all positions"),
    ] = 110
    num_tokens: Annotated[int, Field(ge=1, description="data ids to remember")] = 10
    reverse: Annotated[bool, Field(description="write the data backwards")] = False
    lag: Annotated[
        bool, Field(description="only data: each id is due num_tokens later (copying, canonical)")
    ] = False

    def problems(self) -> Iterator[str]:
        num = self.num_tokens
        needed = 2 * num + 2 if self.variant == "mad" else num + self.lag
        if self.length < needed:
            yield f"length={self.length} is too short for num_tokens={num}: needs >= {needed}"
        if self.lag and (self.variant != "canonical" or self.reverse):
            other = "reverse=True" if self.reverse else f"variant={self.variant}"
            yield f"lag=True with {other}: needs lag=no, or reverse=no and variant=canonical"

    @property
    def num_data(self) -> int:
        """Different data ids."""
        return self.vocab_size - 2

    @property
    def blank(self) -> int:
        return self.num_data if self.variant == "mad" else 0

    @property
    def marker(self) -> int:
        return self.vocab_size - 1

    @property
    def region(self) -> int:
        """Positions that hold data and blanks, ahead of any marker."""
        return self.length - self.num_tokens - 1 if self.variant == "mad" else self.length

    @property
    def waiting(self) -> int:
        """Positions up to the first place to write."""
        return self.num_tokens if self.lag else self.region + (self.variant != "canonical")

    @property
    def vocabulary(self) -> dict[str, range]:
        marker = range(self.marker, self.vocab_size)
        if self.variant == "mad":
            blank = range(self.blank, self.blank + 1)
            return {"data": range(self.num_data), "blank": blank, "marker": marker}
        return {"blank": range(1), "data": range(1, self.marker), "marker": marker}

    @property
    def context(self) -> Context:
        size, written = self.vocab_size, 0 if self.lag else self.num_tokens
        length = self.region + (self.variant != "canonical") + written
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each target is uniform over the data ids."""
        return 1 / self.num_data

    @property
    def num_contents(self) -> int:
        return power(self.num_data, self.length if self.lag else self.num_tokens)

    def positions(self, keys: Words) -> Integers:
        """Where the data lies in the region, rising.                       (B, num_tokens)"""
        return np.tile(np.arange(self.num_tokens), (len(keys), 1))

    def draw(self, keys: Words, split: str) -> Content:
        first = self.vocabulary["data"].start
        if self.lag:
            return {"data": integers(keys, DATA, self.length, self.num_data) + first}
        return {
            "data": integers(keys, DATA, self.num_tokens, self.num_data) + first,
            "positions": self.positions(keys),
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num, data = self.num_tokens, content["data"]
        if self.lag:
            due, answers = np.arange(num, self.length), data[:, :-num]
            return Batch.answered(data.copy(), due, answers, num_tokens=num, longest_gap=num)
        inputs = np.full((len(keys), self.context.length), self.blank)
        scatter(inputs, content["positions"], data)
        inputs[:, self.region : self.waiting] = self.marker
        if self.variant == "canonical":
            inputs[:, self.waiting :] = self.marker
        due = self.waiting + np.arange(num)
        order = slice(None, None, -1 if self.reverse else 1)
        return Batch.answered(
            inputs,
            due,
            data[:, order],
            num_tokens=num,
            longest_gap=(due - content["positions"][:, order]).max(axis=1),
        )

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        if self.lag:
            answers[:, self.num_tokens :] = inputs[:, : -self.num_tokens]
            return answers
        for row, out in zip(inputs, answers, strict=True):
            seen = row[: self.region]
            data = seen[seen != self.blank][: self.num_tokens]
            if self.reverse:
                data = data[::-1]
            out[self.waiting : self.waiting + len(data)] = data
        return answers


class SelectiveCopying(Copying, kind="selective-copying"):
    """Selective copying: the data lies at random places among blanks, its order is kept.

    `canonical` and `delimiter` place it uniformly: every choice of num_tokens of the `length`
    positions is equally likely.  `mad` puts each blank before a uniformly chosen item.
    """

    vocab_size: Annotated[
        int, Field(ge=4, le=2**31, description="ids: the data, a blank and a marker")
    ] = 12
    length: Annotated[
        int,
        Field(ge=1, le=2**24, description="data and blanks; in variant mad all positions"),
    ] = 32
    num_tokens: Annotated[int, Field(ge=1, description="data ids to remember")] = 6

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.lag:
            yield "lag=True in selective-copying, where data has blanks between: needs lag=no"

    @property
    def num_contents(self) -> int:
        if self.variant == "mad":
            return super().num_contents  # positions differ too, but some are far likelier
        return super().num_contents * subsets(self.length, self.num_tokens)

    def positions(self, keys: Words) -> Integers:
        num = self.num_tokens
        if self.variant != "mad":
            return np.sort(distinct(keys, POSITIONS, num, self.length), axis=1)
        before = integers(keys, POSITIONS, self.region - num, num)
        cells = (before + num * np.arange(len(keys))[:, None]).reshape(-1)
        blanks = np.bincount(cells, minlength=num * len(keys)).reshape(-1, num)
        return np.arange(num) + np.cumsum(blanks, axis=1)


PUBLISHED = (
    *ladder(
        "mad-selective-copying",
        SelectiveCopying(variant="mad", vocab_size=16, length=256, num_tokens=16),
        {"vocab_size": (32, 64, 128), "length": (512, 1024), "num_tokens": (32, 64, 96)},
        "blanks are drawn reproducibly; upstream uses numpy's global generator",
    ),
    mamba(
        "mamba-selective-copying",
        "section 4.1.1",
        SelectiveCopying(vocab_size=16, length=4096, num_tokens=16),
        "4,096 positions of data and blanks, then 16 markers, as state-spaces/s4 lays it out",
    ),
    Preset(
        name="s4-copying",
        paper="Arjovsky et al. 2016, arXiv:1511.06464",
        section="copying memory problem, sizes of state-spaces/s4",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/datasets/copying.py",
        differs=("100 blanks and 10 data ids are length=110",),
        value=Copying(vocab_size=10, length=110, num_tokens=10),
    ),
    Preset(
        name="goru-denoise",
        paper="Jing et al. 2019, GORU, arXiv:1706.02761",
        section="denoise task, T = 200",
        upstream="not released",
        differs=(
            "sizes as recalled; not checked against the source",
            "10 ids, as in the copying problem: 8 for data, a blank and a marker",
        ),
        value=SelectiveCopying(variant="delimiter", vocab_size=10, length=200, num_tokens=10),
    ),
)
