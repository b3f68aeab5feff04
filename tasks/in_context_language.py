"""In-context languages: words of an automaton that no other example has.

    a b b | a a b a | b a ...       targets: each next symbol; behind a word's end, none

Source:  Akyürek et al. 2024, "In-Context Language Learning: Architectures and Algorithms",
         arXiv:2401.12973 (RegBench);  berlino/seq_icl, its generator of automata.
Differs: automata are minimal and in canonical form, and the splits share no language; upstream
         means to remove doubles, but compares objects, so that none is ever found.  Its ranges
         leave out their upper ends (words, symbols); here all ranges are the numbers that occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import Floats, Integers, U, Words, example_keys
from tasks.task import Content, Task
from zoo.spec import Context

BAR, FIRST = 1, 2  # ids; 0 is padding
PROBED = 4000  # automata from which averages are estimated
GRAMS = (1, 2, 3, 4)


@dataclass(frozen=True, eq=False)
class Languages(Batch):
    """Examples and what they hide: arrows (symbol, next state) of each state, -1 for none."""

    automata: Integers | None = None  # (B, S, E, 2)

    def room(self, num: int) -> Self:
        assert self.automata is not None
        hidden = np.empty((num, *self.automata.shape[1:]), np.int64)
        return replace(super().room(num), automata=hidden)

    def put(self, here: slice | NDArray[np.intp], part: Batch) -> None:
        assert isinstance(part, Languages)
        assert self.automata is not None
        assert part.automata is not None
        super().put(here, part)  # pyright: ignore[reportArgumentType]
        self.automata[here] = part.automata


class InContextLanguage(Task, kind="in-context-language"):
    """In-context language learning: strings of a random automaton; predict each next symbol.

    A state has 1..max_out arrows with different symbols to different other states, all equally
    likely; a word starts in the first state.  Splits share no automaton.  Targets are random:
    accuracy ends at `ceiling`.  Judge answers by `allowed`, and by their margin over n-grams.
    """

    metric: ClassVar[Any] = "accuracy"
    sees_all: ClassVar[bool] = False  # no input tells the automaton: the oracle is an n-gram
    factors: ClassVar[dict[str, str]] = {
        "num_words": "words of the example",
        "num_states": "states of the smallest automaton of its language",
    }

    min_states: Annotated[int, Field(ge=2, le=64, description="states drawn, fewest")] = 4
    max_states: Annotated[int, Field(ge=2, le=64, description="states drawn, most")] = 6
    num_symbols: Annotated[int, Field(ge=2, le=1024, description="symbols there are")] = 8
    min_symbols: Annotated[int, Field(ge=2, le=1024, description="of them in use, fewest")] = 4
    max_out: Annotated[int, Field(ge=1, le=64, description="arrows of a state, most")] = 3
    min_words: Annotated[int, Field(ge=1, le=2**16, description="words, fewest")] = 8
    max_words: Annotated[int, Field(ge=1, le=2**16, description="words, most")] = 8
    min_word_length: Annotated[int, Field(ge=1, le=2**16, description="symbols, fewest")] = 1
    max_word_length: Annotated[int, Field(ge=1, le=2**16, description="symbols, most")] = 15

    def problems(self) -> Iterator[str]:
        for what in ("states", "words", "word_length"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if low > high:
                yield f"min_{what}={low} exceeds max_{what}={high}: needs <= {high}"
        if self.min_symbols > self.num_symbols:
            yield (
                f"min_symbols={self.min_symbols} exceeds num_symbols={self.num_symbols}: needs "
                f"<= {self.num_symbols}"
            )
        most = min(self.min_states - 1, self.min_symbols)
        if self.max_out > most:
            yield (
                f"max_out={self.max_out} exceeds what min_states={self.min_states} and "
                f"min_symbols={self.min_symbols} allow: needs <= {most}"
            )
        if self.min_words * (self.min_word_length + 1) < 3:
            yield "min_words=1 with min_word_length=1 leaves nothing to predict: needs >= 2"

    @property
    def vocabulary(self) -> dict[str, range]:
        symbols = range(FIRST, FIRST + self.num_symbols)
        return {"pad": range(BAR), "bar": range(BAR, FIRST), "symbol": symbols}

    @property
    def context(self) -> Context:
        size, length = FIRST + self.num_symbols, self.max_words * (self.max_word_length + 1) - 2
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """No symbol is preferred."""
        return 1 / self.num_symbols

    @property
    def floors(self) -> dict[str, float]:
        """n-grams that are counted as the example goes on; estimated."""
        return {f"{n}-gram": float(x) for n, x in zip(GRAMS, self._averages[:, 0], strict=False)}

    @property
    def allowed_floors(self) -> dict[str, float]:
        """How often the n-grams' symbols are allowed; estimated."""
        return {f"{n}-gram": float(x) for n, x in zip(GRAMS, self._averages[:, 1], strict=False)}

    @property
    def ceiling(self) -> float:
        """What knowing the automaton gives; estimated."""
        return float(self._averages[-1, 0])

    @property
    def _averages(self) -> Floats:
        return _averages(self)  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # each symbol is a target, then read

    @property
    def num_contents(self) -> int:
        """Automata of the fewest states and symbols with one arrow each; more are rarer."""
        return power(self.min_symbols * (self.min_states - 1), self.min_states)

    def determined(self, split: str) -> bool:
        return False

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.in_context_language import automata

        tables = np.empty((len(keys), self.max_states, self.max_out, 2), np.int64)
        ranges = (self.min_states, self.max_states, self.min_symbols, self.num_symbols)
        automata(keys, (*ranges, self.max_out), self.num_symbols, tables)
        return {"automata": tables.reshape(len(keys), 2 * self.max_states * self.max_out)}

    def render(self, content: Content, keys: Words, split: str) -> Languages:
        from tasks._loops.in_context_language import write

        num, length = len(keys), self.context.length
        tables = content["automata"].reshape(num, self.max_states, self.max_out, 2)
        tokens, targets = np.zeros((num, length + 1), np.int64), np.full((num, length), IGNORE)
        lengths, factors = np.empty(num, np.int64), np.empty((2, num), np.int64)
        law = (self.min_words, self.max_words, self.min_word_length, self.max_word_length)
        write(keys, tables, law, (tokens, targets, lengths, factors))
        scatter(tokens, lengths[:, None], 0)  # the last symbol is due, never read
        named = dict(zip(self.factors, factors, strict=True))
        batch = Batch.padded(tokens[:, :-1], targets, lengths, **named)
        return Languages(**vars(batch), automata=tables)

    def true_probs(self, batch: Batch) -> Floats:
        """The law of each target, of one who knows the automaton: not from the inputs.   (M, V)"""
        from tasks._loops.in_context_language import follow

        if not isinstance(batch, Languages) or batch.automata is None:
            raise ValueError("batch: only what generate made tells the automata of its examples")
        probs = np.empty((*batch.inputs.shape, self.context.num_outputs))
        follow(np.ascontiguousarray(batch.inputs), batch.automata, probs)
        return probs[batch.mask]

    def allowed(self, batch: Batch, answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each answer at a scored place can follow there: answers (M,).           (M,)"""
        return self.true_probs(batch)[np.arange(len(answers)), answers] > 0

    def counted(self, inputs: NDArray[Any], size: int) -> Floats:
        """What symbols followed the longest known context of at most size - 1 tokens.  (B, L, V)

        Shares of the symbols that followed it in this example so far; rows are 0 where none is
        known, not even of the empty context.
        """
        from tasks._loops.in_context_language import count

        probs = np.zeros((*inputs.shape, self.context.num_outputs))
        count(np.ascontiguousarray(inputs, np.int64), size, probs)
        return probs

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The 3-gram's symbol: no better one is known from the inputs alone."""
        probs = self.counted(inputs, 3)
        return np.where(probs.any(axis=-1), probs.argmax(axis=-1), IGNORE)


@lru_cache(maxsize=16)
def _averages(task: InContextLanguage) -> NDArray[np.float64]:
    """How often the n-grams, then one who knows the automaton are right, and allowed.   (5, 2)"""
    found, total = np.zeros((len(GRAMS) + 1, 2)), 0
    for start in range(0, PROBED, 100):
        keys = example_keys(FIRST, np.arange(start, start + 100, dtype=U))
        batch = task.render(task.draw(keys, "test"), keys, "test")
        targets, law = batch.targets[batch.mask], task.true_probs(batch)
        known = [task.counted(batch.inputs, size)[batch.mask] for size in GRAMS]
        for i, probs in enumerate([*known, law]):
            answers = probs.argmax(axis=1)
            found[i, 0] += (answers == targets).sum()
            found[i, 1] += task.allowed(batch, answers).sum()
        total += len(targets)
    return found / total


PUBLISHED = (
    Preset(
        name="regbench",
        paper="Akyürek et al. 2024, arXiv:2401.12973",
        section="RegBench",
        upstream="berlino/seq_icl",
        differs=("no language is in two splits; upstream removes no doubles",),
        value=InContextLanguage(
            max_states=12,
            num_symbols=18,
            min_words=10,
            max_words=19,
            max_word_length=49,
        ),
    ),
    Preset(
        name="in-context-language-cpu",
        paper="seqzoo",
        section="eight words of automata of 4 to 6 states",
        upstream="-",
        value=InContextLanguage(),
    ),
)
