"""A grammar with gaps: tokens that mean nothing stand between the symbols that matter.

    b - - d a - c ...       targets  . . d a . c ...      where a symbol follows: which one may
                                                          that depends on the last symbol, not on
                                                          the gaps behind it
Source:  SelectivBench, arXiv:2601.12598.
Differs: written anew from its description: a grammar is fixed by `grammar_seed` and shared by all
         splits; a walk starts in a fixed state, so that without noise the state is always known.
         Noise is ours: the walk goes on, a symbol drawn from all is shown (now and then the
         true one), and it is no target.
         Upstream seeds each example with seed times number, which makes example 0 the same
         for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import Floats, Integers, U, Words, example_keys, integers, permutation, stream_key
from tasks.task import Content, Task
from zoo.spec import Context

SYMBOLS, SUCCESSORS = 1, 2
MOST_TRIES = 1000
PROBED = 2**16  # positions from which the ceiling with noise is estimated


class GapGrammar(Task, kind="gap-grammar"):
    """Gap grammar: follow a grammar over gaps that must be ignored.

    A state shows one symbol and has num_out successors with different symbols, equally likely.
    There are num_symbols states with a symbol each, and `ambiguity` more that share symbols with
    them: then the last symbol is not enough.  Each position is a gap with probability gap_rate.
    Targets are random: accuracy ends at 1 / num_out; see `allowed`.  noise > 0: with
    this probability one of all symbols is shown in a symbol's place, now and then the true one,
    so that the state must be inferred; see `true_probs`.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_targets": "places of the example before which a symbol stands",
        "longest_gap": "gap tokens in a row, the most",
    }

    num_symbols: Annotated[int, Field(ge=2, le=4096, description="symbols")] = 16
    num_out: Annotated[int, Field(ge=1, le=4096, description="successors of a state")] = 3
    ambiguity: Annotated[int, Field(ge=0, le=4096, description="states that share a symbol")] = 0
    gap_rate: Annotated[float, Field(ge=0, lt=1, description="probability of a gap token")] = 0.5
    noise: Annotated[float, Field(ge=0, lt=1, description="share of symbols shown as any")] = 0.0
    num_gaps: Annotated[int, Field(ge=1, le=2**20, description="ids of gap tokens")] = 8
    length: Annotated[int, Field(ge=2, le=2**20, description="positions")] = 200
    grammar_seed: Annotated[int, Field(ge=0, lt=2**63, description="fixes the grammar")] = 0

    def problems(self) -> Iterator[str]:
        if self.num_out > self.num_symbols:
            yield (
                f"num_out={self.num_out} exceeds num_symbols={self.num_symbols}: needs <= "
                f"{self.num_symbols}"
            )
        if self.num_out == 1 and self.num_symbols > 1:
            yield "num_out=1 leaves one walk only: needs >= 2"
        scored = (1 - self.gap_rate) * (1 - self.noise)
        if self.length * scored < 4:
            rates = f"gap_rate={self.gap_rate}" + (f" with noise={self.noise}" * (self.noise > 0))
            yield (
                f"{rates} leaves hardly a symbol in length={self.length}: needs "
                f"length >= {int(4 / scored) + 1}"
            )

    @property
    def vocabulary(self) -> dict[str, range]:
        size = self.num_symbols
        return {"symbol": range(size), "gap": range(size, size + self.num_gaps)}

    @property
    def context(self) -> Context:
        size = self.num_symbols + self.num_gaps
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def grammar(self) -> tuple[Integers, Integers]:
        """Successors of every state, the first symbols of states rising; symbols. (S, m), (S,)"""
        return _grammar(self.num_symbols, self.ambiguity, self.num_out, self.grammar_seed)

    @property
    def chance(self) -> float:
        return float(self._places[:, 0].sum(axis=0).max())

    @property
    def floors(self) -> dict[str, float]:
        """The best answer to the last token alone: behind a gap, that is a constant."""
        return {"last token": float(self._places[:, 0].max(axis=1).sum())}

    @property
    def allowed_floor(self) -> float:
        """How often the last token alone leads to a symbol that is allowed, at best."""
        return float(self._places[:, 1].max(axis=1).sum())

    @property
    def _places(self) -> Floats:
        return _places(self)  # pyright: ignore[reportArgumentType]

    @property
    def ceiling(self) -> float:
        """All successors are equally likely; with noise, estimated."""
        return _seen_through(self) if self.noise else 1 / self.num_out  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # each symbol is a target, then read

    @property
    def num_contents(self) -> int:
        """Walks of a mean number of symbols."""
        return power(self.num_out, int(self.length * (1 - self.gap_rate)))

    def determined(self, split: str) -> bool:
        return False

    def walks(self, keys: Words) -> tuple[Integers, Integers]:
        """What is read and one symbol more, and targets.                   (B, L + 1), (B, L)"""
        from tasks._loops.gap_grammar import walk

        tokens = np.empty((len(keys), self.length + 1), np.int64)
        targets = np.empty((len(keys), self.length), np.int64)
        limit, noise = (U(int(share * 2**32)) for share in (self.gap_rate, self.noise))
        walk(keys, (*self.grammar, limit, noise, self.num_gaps, IGNORE), (tokens, targets))
        return tokens, targets

    def draw(self, keys: Words, split: str) -> Content:
        tokens, targets = self.walks(keys)
        return {"tokens": tokens[:, :-1], "_targets": targets}  # not read: which symbols are noise

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        tokens, targets = content["tokens"], content["_targets"]
        gap = tokens >= self.num_symbols
        places = np.arange(1, self.length + 1)
        since = places - np.maximum.accumulate(np.where(gap, 0, places), axis=1)
        scored = (targets != IGNORE).sum(axis=1)
        return Batch.of(tokens.copy(), targets, num_targets=scored, longest_gap=since.max(axis=1))

    def states(self, inputs: NDArray[Any]) -> Integers:
        """The state behind each position, -1 where there is none; without noise.     (B, L)"""
        from tasks._loops.gap_grammar import follow

        states = np.empty(inputs.shape, np.int64)
        follow(np.ascontiguousarray(inputs, np.int64), *self.grammar, states)
        return states

    def true_probs(self, batch: Batch) -> Floats:
        """Equal shares for the symbols of the successors, of all states there may be. (M, V)"""
        if self.noise:
            return self._believed(batch.inputs)[batch.mask]
        successors, symbols = self.grammar
        states = self.states(batch.inputs)[batch.mask]
        probs = np.zeros((len(states), self.context.num_outputs))
        follows = symbols[successors[states]]
        probs[np.arange(len(states))[:, None], follows] = 1 / self.num_out
        return probs

    def _believed(self, inputs: NDArray[Any]) -> Floats:
        """The law of the next symbol behind each position.                         (B, L, V)"""
        from tasks._loops.gap_grammar import believe

        size = self.context.num_outputs
        probs = np.zeros((*inputs.shape, self.num_symbols))
        believe(np.ascontiguousarray(inputs, np.int64), self.grammar, self.noise, probs)
        return np.pad(probs, ((0, 0), (0, 0), (0, size - self.num_symbols)))

    def allowed(self, batch: Batch, answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each answer at a scored place can follow there: answers (M,).           (M,)

        Raises: ValueError with noise, for then any symbol can.
        """
        if self.noise:
            raise ValueError(f"noise={self.noise}: any symbol is allowed; compare with true_probs")
        return self.true_probs(batch)[np.arange(len(answers)), answers] > 0

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The lowest symbol that may follow, at every position: a grammar is no secret.

        With noise, the likeliest one.
        """
        if self.noise:
            return self._believed(inputs).argmax(axis=-1)
        successors, symbols = self.grammar
        states = self.states(inputs)
        return np.where(states >= 0, symbols[successors].min(axis=1)[states], IGNORE)


@lru_cache(maxsize=64)
def _grammar(
    num_symbols: int, ambiguity: int, num_out: int, grammar_seed: int
) -> tuple[Integers, Integers]:
    """Drawn again until every state can be reached."""
    stream = stream_key(["gap grammar", num_symbols, ambiguity, num_out, grammar_seed])
    num = num_symbols + ambiguity
    for key in example_keys(stream, np.arange(MOST_TRIES, dtype=U))[:, None]:
        shared = integers(key, SYMBOLS, ambiguity, num_symbols)[0]
        symbols = np.concatenate([np.arange(num_symbols), shared])
        rows = example_keys(int(key[0]), np.arange(num, dtype=U))
        order = permutation(rows, SUCCESSORS, num)
        successors = np.empty((num, num_out), np.int64)
        for state, candidates in enumerate(order):
            _, first = np.unique(symbols[candidates], return_index=True)
            successors[state] = candidates[np.sort(first)[:num_out]]
        known = {0}
        while (more := known | set(successors[list(known)].ravel().tolist())) != known:
            known = more
        if len(known) == num:
            for array in (successors, symbols):
                array.setflags(write=False)
            return successors, symbols
    raise ValueError(f"num_out={num_out} does not connect {num} states: needs more")


@lru_cache(maxsize=64)
def _places(task: GapGrammar) -> Floats:
    """Of every last token (gaps are the last row): expected shares of the scored places at which
    each symbol is the target, and at which it is allowed.                       (V + 1, 2, V)
    """
    successors, symbols = task.grammar
    num, size = len(symbols), task.num_symbols
    chain = np.zeros((num, num))
    np.add.at(chain, (np.arange(num)[:, None], successors), 1 / task.num_out)
    shows = np.eye(size)[symbols]
    law, at_symbol, at_gap = np.eye(num)[0], np.zeros(num), np.zeros(num)
    for _ in range(task.length):  # of the states behind a position, and what stands there
        moved = (1 - task.gap_rate) * law @ chain
        at_symbol += moved
        at_gap += task.gap_rate * law
        law = moved + task.gap_rate * law
    shown = (1 - task.noise) * shows + task.noise / size
    last = np.concatenate([(at_symbol[:, None] * shown).T, at_gap[None]]) / task.length
    share = chain @ shows
    return np.stack([last @ share, last @ (share > 0)], axis=1)


@lru_cache(maxsize=32)
def _seen_through(task: GapGrammar) -> float:
    """The mean probability of the likeliest symbol, in some sequences."""
    keys = example_keys(SYMBOLS, np.arange(1 + PROBED // task.length, dtype=U))
    law = task.true_probs(task.render(task.draw(keys, "test"), keys, "test"))
    return float(law.max(axis=1).mean())


PUBLISHED = (
    Preset(
        name="gap-grammar-cpu",
        paper="seqzoo",
        section="16 symbols, half of the positions are gaps",
        upstream="-",
        value=GapGrammar(),
    ),
    Preset(
        name="selectivbench",
        paper="SelectivBench, arXiv:2601.12598",
        section="41 symbols, ambiguity 24, gap rate 0.1: one corner of its sweep",
        upstream="not used: written anew",
        differs=(
            "ambiguity counts states that share a symbol",
            "no noise; gap ids and successors of a state are as in the default",
        ),
        value=GapGrammar(num_symbols=41, ambiguity=24, gap_rate=0.1),
    ),
    Preset(
        name="selectivbench-noise",
        paper="SelectivBench, arXiv:2601.12598",
        section="41 symbols, ambiguity 24, gap rate 0.1, noise 0.2: the noisy end of its sweep",
        upstream="not used: written anew",
        differs=(
            "ambiguity counts states that share a symbol",
            "noise shows a symbol drawn from all, now and then the true one",
            "gap ids and successors of a state are as in the default",
        ),
        value=GapGrammar(num_symbols=41, ambiguity=24, gap_rate=0.1, noise=0.2),
    ),
)
