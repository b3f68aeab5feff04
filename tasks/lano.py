"""Lano: sentences of a grammar whose structure no short context gives away.

    BOS x x x x ... x END            a sentence of tens to hundreds of tokens; all are targets

Source:  Allen-Zhu and Li 2023, "Physics of Language Models: part 1", arXiv:2305.13673 (grammars),
         and part 4.1, arXiv:2512.17351;  facebookresearch/PhysicsLM4, generator of Lano.
Differs: the published tables of rules are not here: `grammar=FILE` reads a copy (see `grammars`),
         and the default draws rules of the same law.  Rules are drawn from a key; upstream partly
         from a global generator.  A sentence of more than max_tokens tokens is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.grammars import LONGEST_RULE, Grammar, Rules, grammar_of, random_rules, read
from tasks.published import Preset
from tasks.rng import Floats, Integers, U, Words, example_keys
from tasks.task import Content, Task
from tasks.writing import Writing
from zoo.spec import Context

BOS, END, FIRST = 1, 2, 3  # ids; 0 is padding
PROBED = 2**14  # tokens from which averages are estimated
LEAST_FIT = 1e-3  # of sentences, that max_tokens must leave


def _from_file(value: Any) -> Any:
    return read(value) if isinstance(value, str) and value != "random" else value


class Lano(Task, kind="lano"):
    """Lano: language modelling of a context-free grammar with ambiguous local statistics.

    Level by level, each symbol is replaced by one of its rules; the last level are the tokens.
    Even a perfect model guesses many tokens wrongly (`ceiling`): compare losses with `entropy`,
    or probabilities with `true_probs`; and ask `accepts` whether what it writes is a sentence.
    packed=yes: windows of max_tokens positions filled with sentences, the first and last cut.
    """

    metric: ClassVar[Any] = "loss"
    factors: ClassVar[dict[str, str]] = {"num_tokens": "tokens of the sentence (packed: scored)"}

    grammar: Annotated[
        Literal["random"] | Rules,
        BeforeValidator(_from_file),
        Field(description="random, or a JSON file of rules"),
    ] = "random"
    depth: Annotated[int, Field(ge=1, le=16, description="levels of rules (random)")] = 4
    num_symbols: Annotated[int, Field(ge=2, le=256, description="symbols of a level (random)")] = 3
    min_rules: Annotated[int, Field(ge=2, le=64, description="rules of a symbol, least")] = 2
    max_rules: Annotated[int, Field(ge=2, le=64, description="rules of a symbol, most")] = 3
    min_rule_length: Annotated[
        int, Field(ge=1, le=LONGEST_RULE, description="symbols of a rule, least (random)")
    ] = 2
    max_rule_length: Annotated[
        int, Field(ge=1, le=LONGEST_RULE, description="symbols of a rule, most (random)")
    ] = 3
    grammar_seed: Annotated[int, Field(ge=0, lt=2**63, description="fixes random rules")] = 0
    packed: Annotated[bool, Field(description="windows full of sentences")] = False
    max_tokens: Annotated[
        int, Field(ge=1, le=2**16, description="tokens of a sentence, most; packed: positions")
    ] = 512

    def problems(self) -> Iterator[str]:
        for what in ("rules", "rule_length"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if low > high:
                yield f"min_{what}={low} exceeds max_{what}={high}: needs <= {high}"
                return
        num, lengths = self.num_symbols, range(self.min_rule_length, self.max_rule_length + 1)
        sides = sum(num**n for n in lengths)
        if self.grammar == "random" and 2 * num * self.max_rules > sides:
            yield (
                f"max_rules={self.max_rules} is too many for the {sides} rules that "
                f"num_symbols={num} allows on a level: needs <= {sides // (2 * num)}"
            )
            return
        found = [] if self.grammar == "random" else list(Grammar(self.grammar).problems())
        if found:
            yield from found
        elif self.max_tokens < self.rules.mean_tokens and self._lengths.sum() < LEAST_FIT:
            yield (
                f"max_tokens={self.max_tokens} leaves hardly a sentence: needs about "
                f"{self.rules.longest}"
            )

    @property
    def rules(self) -> Grammar:
        """The grammar."""
        if self.grammar != "random":
            return grammar_of(self.grammar)
        counts, lengths = (
            (self.min_rules, self.max_rules),
            (self.min_rule_length, self.max_rule_length),
        )
        return grammar_of(
            random_rules(self.depth, self.num_symbols, counts, lengths, self.grammar_seed)
        )

    @property
    def most(self) -> int:
        """Tokens of the longest sentence that occurs."""
        return min(self.rules.longest, self.max_tokens)

    @property
    def _lengths(self) -> Floats:
        return _expected(self.rules, self.most)[0]

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"pad": range(BOS), "begin": range(BOS, END), "end": range(END, FIRST)}
        return {**ids, "terminal": range(FIRST, FIRST + self.rules.sizes[-1])}

    @property
    def context(self) -> Context:
        size, length = FIRST + self.rules.sizes[-1], self.most + 1
        length = self.max_tokens if self.packed else length
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Always the commonest token, or END."""
        lengths, counts = _expected(self.rules, self.most)
        ends, total = float(lengths.sum()), counts.sum(axis=0)
        return max(ends, float(total.max())) / (ends + float(total.sum()))

    @property
    def ceiling(self) -> float:
        """The share of targets that are the likeliest token; estimated."""
        return self._estimates[0]

    @property
    def entropy(self) -> float:
        """Nats a target that a perfect model loses; estimated."""
        return self._estimates[1]

    @property
    def _estimates(self) -> tuple[float, float]:
        return _averages(self)  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # each token is a target, then read

    @property
    def num_contents(self) -> int:
        """As many equally likely derivations would coincide as often."""
        return int(min(1 / self.rules.collision, 2.0**64))

    def determined(self, split: str) -> bool:
        return False

    def _drawing(self) -> Any:
        tables, levels = self.rules.tables, self.rules.levels
        return tables.rules, tables.starts, sum(self.rules.sizes[:-1]), len(levels)

    def texts(self, keys: Words) -> tuple[Integers, Integers]:
        """Sentences or windows with the last target, and their lengths.       (B, L + 1), (B,)"""
        from tasks._loops.lano import pack, write

        tokens = np.zeros((len(keys), self.context.length + 1), np.int64)
        lengths = np.full(len(keys), self.context.length)
        if self.packed:
            pack(keys, self._drawing(), self.most, tokens)
        else:
            write(keys, self._drawing(), self.most, tokens, lengths)
        return tokens, lengths

    def draw(self, keys: Words, split: str) -> Content:
        """Of a window what is read: the last target is not.  A sentence's is END."""
        tokens, lengths = self.texts(keys)
        read = tokens[:, :-1] if self.packed else tokens
        return {"tokens": read, "lengths": lengths[:, None], "_whole": tokens}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        tokens = content["_whole"].copy()
        lengths = content["lengths"]
        targets = tokens[:, 1:].copy()
        targets[targets <= BOS] = IGNORE  # BOS says nothing: only a packed window has it inside
        if not self.packed:
            scatter(tokens, lengths, 0)  # END is due, never read
        num = (targets != IGNORE).sum(axis=1) - (not self.packed)
        return Batch.padded(tokens[:, :-1], targets, lengths[:, 0], num_tokens=num)

    def next_law(self, tokens: NDArray[Any]) -> Floats:
        """Behind each prefix of one sentence, ids of terminals (n,): the law of all ids. (n+1, V)

        Rows are 0 behind what begins no sentence.  max_tokens is not taken into account.
        """
        from tasks._loops.lano import next_law

        found = np.zeros((len(tokens) + 1, self.context.num_outputs))
        probs = np.zeros((len(found), 1 + self.rules.sizes[-1]))
        next_law(np.asarray(tokens, np.int64) - FIRST, self._law(), probs)
        found[:, END:] = probs
        return found

    def _law(self) -> Any:
        t = self.rules.tables
        return t.rules, t.starts, t.pairs, t.pair_of, t.spans

    def true_probs(self, batch: Batch) -> Floats | None:
        """The law of each target given what was read; None of windows that begin with a cut."""
        if self.packed:
            return None
        rows = zip(batch.inputs, batch.lengths, strict=True)
        laws = [self.next_law(row[1:num]) for row, num in rows]
        return np.concatenate([np.zeros((0, self.context.num_outputs)), *laws])

    @property
    def writings(self) -> dict[str, Writing]:
        """Completions of nothing and of 50 tokens; packed windows begin anywhere."""
        drawn = {f"valid@{n}": Writing(END, given=n, sampled=True) for n in (0, 50)}
        return {} if self.packed else drawn

    def accepts(self, batch: Batch, answers: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether what stands before END is a sentence; batches of single sentences only.  (B,)"""
        return np.array([self.is_sentence(row) for row in np.asarray(answers)], np.bool_)

    def is_sentence(self, tokens: NDArray[Any]) -> bool:
        """Whether these ids, up to the END that must be there, are a sentence."""
        from tasks._loops.lano import member

        ends = np.flatnonzero(tokens == END)
        sentence = np.asarray(tokens[: ends[0]] if len(ends) else [], np.int64)
        if not len(sentence) or sentence.min() < FIRST or len(sentence) > self.rules.longest:
            return False
        return bool(member(sentence - FIRST, self._law()) > 0)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The likeliest token, the lowest of several, from the last BOS on."""
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs, answers, strict=True):
            begins = [*np.flatnonzero(row == BOS).tolist(), len(row)]
            for start, stop in pairwise(begins):
                inner = row[start + 1 : stop]
                cut = np.flatnonzero(inner < FIRST)
                law = self.next_law(inner[: cut[0]] if len(cut) else inner)[: stop - start]
                known = law.any(axis=1)
                out[start : start + len(law)] = np.where(known, law.argmax(axis=1), IGNORE)
        return answers


@lru_cache(maxsize=32)
def _expected(grammar: Grammar, most: int) -> tuple[Floats, Floats]:
    return grammar.expected_counts(most)


@lru_cache(maxsize=32)
def _averages(task: Lano) -> tuple[float, float]:
    """Mean likeliest probability, mean entropy in nats."""
    single = task.model_copy(update={"packed": False})
    num = 1 + PROBED // int(single._lengths @ np.arange(single.most + 1))
    keys = example_keys(BOS, np.arange(num, dtype=U))
    probs = single.true_probs(single.render(single.draw(keys, "test"), keys, "test"))
    assert probs is not None
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    return float(probs.max(axis=1).mean()), float(-(probs * logs).sum(axis=1).mean())


def _physics(letter: str, depth: int, rules: tuple[int, int], max_tokens: int) -> Preset:
    return Preset(
        name=f"physics-lano-{letter}",
        paper="Allen-Zhu and Li 2023, Physics of Language Models: part 1, arXiv:2305.13673",
        section=f"the law of the grammar cfg{letter}",
        upstream="facebookresearch/PhysicsLM4, synthetic playground",
        differs=(
            f"a random grammar of the law of cfg{letter}, whose own rules are not shipped: "
            "grammar=FILE reads them",
            f"sentences of at most {max_tokens} tokens",
        ),
        value=Lano(depth=depth, min_rules=rules[0], max_rules=rules[1], max_tokens=max_tokens),
    )


PUBLISHED = (
    _physics("3b", 6, (2, 2), 640),
    _physics("3h", 6, (2, 3), 640),
    _physics("3g", 6, (3, 3), 640),
    _physics("3f", 6, (3, 4), 640),
    _physics("3j", 7, (3, 3), 1280),
    _physics("3k", 7, (3, 4), 1280),
    Preset(
        name="lano-cpu",
        paper="seqzoo",
        section="four levels, some 60 tokens",
        upstream="-",
        value=Lano(),
    ),
)
