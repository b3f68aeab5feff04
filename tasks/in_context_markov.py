"""Markov chains in context: every sequence is a walk on a chain of its own.

    2 0 1 0 1 2 0 1 ...       targets  0 1 0 1 2 0 1 ...    best guess: count what followed before

Source:  Edelman et al. 2024, "The Evolution of Statistical Induction Heads", arXiv:2402.11004;
         Rajaraman et al. 2024, arXiv:2407.17686 (orders above 1).
Differs: the first `order` tokens are uniform, so that counting is exactly Bayes; init=stationary
         draws them from the chain's own law, of which counting knows nothing.
         The pseudo-count alpha is a whole number: rows are normalised sums of exponentials, made
         with basic operations only and rounded to parts of 2^32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import Floats, Words, exponentials, words
from tasks.task import Content, Task
from zoo.spec import Context

ROWS = 1
MOST_ROWS = 2**16
MOST_SOLVED = 2**8  # rows of a chain whose stationary law is worked out for each example
PROBED = 2**19  # positions from which averages are estimated


class InContextMarkov(Task, kind="in-context-markov"):
    """In-context Markov chains: the next token, whose law must be inferred from the sequence.

    Each context of `order` tokens has a row of probabilities, Dirichlet(alpha, ..., alpha), drawn
    anew for each sequence.  Targets are random: compare losses with those of `losses`.  Training
    is known to pass from uniform over unigram to bigram predictions.
    """

    metric: ClassVar[Any] = "loss"
    factors: ClassVar[dict[str, str]] = {
        "certainty": "tenths of the chain's mean likeliest probability, rounded down"
    }

    num_states: Annotated[int, Field(ge=2, le=1024, description="different tokens k")] = 3
    order: Annotated[int, Field(ge=1, le=16, description="tokens that settle a row")] = 1
    length: Annotated[int, Field(ge=2, le=2**20, description="positions")] = 100
    alpha: Annotated[int, Field(ge=1, le=16, description="Dirichlet parameter of rows")] = 1

    init: Annotated[
        Literal["uniform", "stationary"], Field(description="the law of the first tokens")
    ] = "uniform"

    def problems(self) -> Iterator[str]:
        if self.num_rows > MOST_ROWS:
            yield (
                f"order={self.order} with num_states={self.num_states} makes more than "
                f"{MOST_ROWS} rows: needs fewer of either"
            )
        elif self.init == "stationary" and self.num_rows > MOST_SOLVED:
            yield (
                f"order={self.order} with num_states={self.num_states} makes {self.num_rows} rows: "
                f"init=stationary needs <= {MOST_SOLVED}, or use init=uniform"
            )
        if self.length <= self.order:
            yield (
                f"length={self.length} is no more than order={self.order}: needs >= "
                f"{self.order + 1}"
            )

    @property
    def num_rows(self) -> int:
        return self.num_states**self.order

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"state": range(self.num_states)}

    @property
    def context(self) -> Context:
        size = self.num_states
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def chance(self) -> float:
        """Chains do not prefer any token."""
        return 1 / self.num_states

    @property
    def floors(self) -> dict[str, float]:
        """The commonest token so far, and shorter contexts than the chain's; estimated."""
        names = ["commonest token", *(f"after {n} of the tokens" for n in range(1, self.order))]
        return dict(zip(names, self._estimates[1], strict=False))

    @property
    def ceiling(self) -> float:
        """What counting gets; estimated."""
        return self._estimates[1][-1]

    @property
    def losses(self) -> dict[str, float]:
        """Nats a target of predictors: uniform, counts behind 0, 1, ... tokens (the last is Bayes),
        and the chain itself.  Estimated.
        """
        *counted, chain = self._estimates[0]
        named = {f"behind {n}": loss for n, loss in enumerate(counted)}
        return {"uniform": float(np.log(self.num_states)), **named, "chain": chain}

    @property
    def _estimates(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _averages(self)  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # every token but the first ones is a target, then read

    @property
    def num_contents(self) -> int:
        """As many equally likely sequences would coincide as often as those of one token do.

        Chains can be nearly certain: P(one token only) = k^(1 - order) prod (a + i) / (k a + i),
        and k^order times as much at most where the first tokens follow their chain.
        """
        num, alpha = self.num_states, self.alpha
        steps = self.length - self.order
        constant = math.prod((alpha + i) / (num * alpha + i) for i in range(steps))
        constant *= num if self.init == "stationary" else num ** (1 - self.order)
        constant = max(constant, 2.0**-40)
        return min(power(num, self.length), int(num / constant**2))

    def determined(self, split: str) -> bool:
        return False

    def chains(self, keys: Words) -> NDArray[np.uint64]:
        """Where the tokens' shares of 2^32 end in every row, but for the last.    (B, R, k - 1)"""
        num, size = self.num_rows, self.num_states
        drawn = exponentials(words(keys, ROWS, num * size * self.alpha))
        shares = drawn.reshape(len(keys), num, size, self.alpha).sum(axis=-1)
        ends = np.cumsum(shares, axis=-1)
        return np.floor(ends[:, :, :-1] / ends[:, :, -1:] * 2.0**32).astype(np.uint64)

    def walks(self, keys: Words) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Chains, and their walks with the last target.               (B, R, k - 1), (B, L + 1)"""
        from tasks._loops.in_context_markov import start, walk

        tokens = np.empty((len(keys), self.length + 1), np.int64)
        limits, rows = self.chains(keys), np.empty(0, np.int64)
        if self.init == "stationary":
            rows = np.empty(len(keys), np.int64)
            start(keys, limits, rows)
        walk(keys, limits, self.order, rows, tokens)
        return limits, tokens

    def draw(self, keys: Words, split: str) -> Content:
        limits, tokens = self.walks(keys)
        certainty = (_shares(limits).max(axis=-1).mean(axis=-1) * 10).astype(np.int64)
        return {
            "tokens": tokens[:, :-1],
            "_last": tokens[:, -1:],
            "_certainty": certainty[:, None],
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        inputs = content["tokens"].copy()
        targets = np.hstack([inputs[:, 1:], content["_last"]])
        targets[:, : self.order - 1] = IGNORE
        return Batch.of(inputs, targets, certainty=content["_certainty"][:, 0])

    def counted(self, inputs: NDArray[Any], order: int | None = None) -> Floats:
        """What counting behind `order` tokens predicts at each position.          (B, L, k)"""
        from tasks._loops.in_context_markov import count

        probs = np.empty((*inputs.shape, self.num_states))
        law = (self.num_states, self.order if order is None else order, self.alpha)
        count(np.ascontiguousarray(inputs, np.int64), law, probs)
        return probs

    def true_probs(self, batch: Batch) -> Floats:
        """The law of each target given what was read: Bayes over all chains.         (M, k)

        With init=stationary, but for what the first tokens tell of their chain.
        """
        return self.counted(batch.inputs)[batch.mask]

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The likeliest token, the lowest of several."""
        answers = self.counted(inputs).argmax(axis=-1)
        answers[:, : self.order - 1] = IGNORE
        return answers


def _shares(limits: NDArray[np.uint64]) -> Floats:
    """Probabilities from where shares end."""
    ends = np.pad(limits / 2.0**32, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)
    return np.diff(ends, axis=-1, prepend=0.0)


@lru_cache(maxsize=32)
def _averages(task: InContextMarkov) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Losses of counts behind 0, ..., order tokens and of the chain; accuracies of the counts."""
    from tasks.rng import U, example_keys

    room = 1 + PROBED // max(task.length, task.num_rows * task.num_states * task.alpha)
    keys = example_keys(ROWS, np.arange(max(room, 16), dtype=U))
    batch = task.render(task.draw(keys, "test"), keys, "test")
    targets = batch.targets[batch.mask]
    losses, rights = [], []
    for order in range(task.order + 1):
        probs = task.counted(batch.inputs, order)[batch.mask]
        losses.append(float(-np.log(probs[np.arange(len(targets)), targets]).mean()))
        rights.append(float((probs.argmax(axis=-1) == targets).mean()))
    rows = np.zeros(batch.inputs.shape, np.int64)
    for back in range(task.order):
        rows[:, back:] += batch.inputs[:, : task.length - back] * task.num_states**back
    chain = _shares(task.chains(keys))[np.arange(len(keys))[:, None], rows][batch.mask]
    losses.append(float(-np.log(chain[np.arange(len(targets)), targets]).mean()))
    return tuple(losses), tuple(rights)


PUBLISHED = (
    Preset(
        name="edelman-markov",
        paper="Edelman et al. 2024, arXiv:2402.11004",
        section="three states, 100 tokens",
        upstream="not released",
        differs=(
            "sizes as recalled; not checked against the source",
            "the first token is uniform",
        ),
        value=InContextMarkov(),
    ),
    Preset(
        name="edelman-markov-stationary",
        paper="Edelman et al. 2024, arXiv:2402.11004",
        section="three states, 100 tokens, the first one stationary",
        upstream="not released",
        differs=("sizes as recalled; not checked against the source",),
        value=InContextMarkov(init="stationary"),
    ),
    Preset(
        name="in-context-markov-cpu",
        paper="seqzoo",
        section="three states, 100 tokens",
        upstream="-",
        value=InContextMarkov(),
    ),
)
