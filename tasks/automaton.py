"""State tracking: symbols move the state of a finite automaton; name the state.

    symbols   b a a c b          labels `every`: the state behind each symbol; `last`: behind the
    states    2 0 3 3 1          last one only

Source:  Liu et al. 2023, "Transformers Learn Shortcuts to Automata", arXiv:2210.10749 (automata
         whose states are labelled);  Merrill et al. 2024, arXiv:2404.08819 (groups).
Differs: The automaton is drawn from `machine`, and is the same for all examples, splits and seeds.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.lengths import (
    LONGEST,
    Ranged,
    as_likely,
    chosen,
    inside,
    over_positions,
    pack,
    running,
    unpack,
)
from tasks.rng import Floats, Integers, Words, example_keys, integers, permutation
from tasks.task import Content
from zoo.spec import Context

SYMBOLS, IDLE, RESETS, MOVES = 1, 2, 3, 4
SETTLED = 1e-15  # a law of states that changes by less does not change any more


class StateTracking(Ranged):
    """Symbols that move the state of a machine which all examples share; it starts in state 0."""

    min_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the fewest symbols; 0: always `length`")
    ] = 0
    length: Annotated[int, Field(ge=1, le=LONGEST, description="the most symbols")] = 32
    label: Annotated[
        Literal["every", "last"], Field(description="name the state behind which symbols")
    ] = "every"

    @property
    @abstractmethod
    def table(self) -> Integers:
        """The next state, by state and symbol.                                      (S, K)"""

    @property
    def idle(self) -> float:
        """The extra share of symbol 0."""
        return 0.0

    @property
    def num_drawn(self) -> int:
        """The last symbols, that are drawn uniformly where symbol 0 is not idle."""
        return self.table.shape[1]

    @property
    def law(self) -> Floats:
        """How likely each symbol is.                                                  (K,)"""
        num = self.table.shape[1]
        law = np.zeros(num)
        law[num - self.num_drawn :] = (1 - self.idle) / self.num_drawn
        law[0] += self.idle
        return law

    @property
    def answers_in_ids(self) -> bool:
        return False  # but the number of a class

    @property
    def context(self) -> Context:
        states, symbols = self.table.shape
        return Context(num_inputs=symbols + 1, num_outputs=states, length=self.longest)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"pad": range(1), "symbol": range(1, self.table.shape[1] + 1)}

    @property
    def chance(self) -> float:
        """The share of the most frequent state, by the law of the state at every position."""
        visits = _visits(self)  # pyright: ignore[reportArgumentType]
        return float(visits.sum(axis=0).max() / visits.sum())

    @property
    def floors(self) -> dict[str, float]:
        """The likeliest state, knowing the last symbol."""
        visits = _visits(self)  # pyright: ignore[reportArgumentType]
        floor = float(visits.max(axis=1).sum() / visits.sum())
        return {"last symbol": floor} if floor > self.chance + 1e-3 else {}

    def num_strings(self, length: int) -> int:
        return as_likely(float(self.law.max()), length)

    def draw(self, keys: Words, split: str) -> Content:
        lengths, width = self.lengths(keys, split), self.longest
        num, few = self.table.shape[1], self.num_drawn
        symbols = integers(keys, SYMBOLS, width, few) + (num - few)
        if self.idle:
            symbols[chosen(keys, IDLE, width, self.idle)] = 0
        return {"length": lengths, "symbols": pack(symbols * inside(lengths, width), num)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.automaton import run

        lengths, width = content["length"], self.longest
        table = self.table
        symbols = unpack(content["symbols"], table.shape[1], width)
        here = inside(lengths, width)
        states = np.empty(symbols.shape, np.int64)
        run(table, np.zeros(len(symbols), np.int64), symbols, states)
        scored = here if self.label == "every" else np.arange(width) == lengths - 1
        inputs = np.add(symbols, here, dtype=np.int64)
        targets = np.where(scored, states, IGNORE)
        return Batch.padded(inputs, targets, lengths[:, 0], length=lengths[:, 0])

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        table = self.table.tolist()
        for i, row in running(inputs):
            state = 0
            for t, symbol in enumerate(row):
                state = table[state][symbol]
                answers[i, t] = state
        return answers


@lru_cache(maxsize=64)
def _visits(task: StateTracking) -> Floats:
    """How often a state is due behind a symbol in a test example, on average.         (K, S)"""
    table, law = task.table, task.law
    size, num = table.shape
    cells = (np.arange(num) * size + table).ravel()
    state = np.zeros(size)
    state[0] = 1
    visits = before = np.zeros((num, size))
    weights = over_positions(task.weights(), every=task.label == "every")
    for t, weight in enumerate(weights):
        joint = np.bincount(cells, np.outer(state, law).ravel(), num * size).reshape(num, size)
        if np.abs(joint - before).max() < SETTLED:
            return visits + weights[t:].sum() * joint
        visits = visits + weight * joint
        state, before = joint.sum(axis=0), joint
    return visits


class Automaton(StateTracking, kind="automaton"):
    """Automaton: follow a random finite automaton that all examples share.

    Each symbol is a permutation of the states or a reset, which leads to one state from all of
    them. The permutations alone connect all states, if there is more than one.
    """

    num_states: Annotated[int, Field(ge=2, le=256, description="states")] = 8
    num_symbols: Annotated[int, Field(ge=2, le=256, description="different symbols")] = 4
    permutations: Annotated[
        float, Field(ge=0, le=1, description="share of symbols that permute; the others reset")
    ] = 1.0
    machine: Annotated[int, Field(ge=0, lt=2**63, description="the number of the automaton")] = 0

    @property
    def table(self) -> Integers:
        num = int(self.permutations * self.num_symbols + 0.5)
        return _machine(self.num_states, self.num_symbols, num, self.machine)


@lru_cache(maxsize=64)
def _machine(size: int, num: int, permuting: int, number: int) -> Integers:
    """A random automaton; its first symbols permute the states, the others reset."""
    table = np.empty((size, num), np.int64)
    key = example_keys(0, np.array([number], np.uint64))
    table[:, permuting:] = integers(key, RESETS, num - permuting, size)
    attempt = 0
    while True:
        for j in range(permuting):
            table[:, j] = permutation(key, MOVES + attempt * num + j, size)[0]
        attempt += 1
        if permuting < 2 or _connected(table[:, :permuting]):
            table.setflags(write=False)
            return table


def _connected(moves: Integers) -> bool:
    """Whether every state is reached from state 0."""
    reached = np.zeros(len(moves), np.bool_)
    reached[0] = True
    before = 0
    while before < reached.sum():
        before = int(reached.sum())
        reached[moves[reached].ravel()] = True
    return bool(reached.all())
