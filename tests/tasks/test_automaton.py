"""Automata: what is drawn, the loop against plain Python, chance and floor, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks import rng
from tasks._loops.automaton import run
from tasks.automaton import Automaton
from tasks.batch import Batch
from tasks.lengths import pack

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def sample(task: Automaton, num: int) -> Batch:
    some = keys(num)
    return task.render(task.draw(some, "test"), some, "test")


def test_the_layout() -> None:
    task = Automaton(num_states=3, num_symbols=2, min_length=1, length=4)
    content = {"length": np.array([[3]]), "symbols": pack(np.array([[1, 0, 1, 0]]), 2)}
    batch = task.render(content, keys(1), "train")
    state, right = 0, []
    for symbol in (1, 0, 1):
        state = int(task.table[state, symbol])
        right.append(state)
    assert batch.inputs.tolist() == [[2, 1, 2, 0]]
    assert batch.targets.tolist() == [[*right, NO]]
    assert batch.lengths.tolist() == [3]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_permutations_and_resets(share: float) -> None:
    task = Automaton(permutations=share, num_states=9)
    kinds = [len(set(column)) for column in task.table.T.tolist()]
    permuting = round(4 * share)
    assert kinds == [9] * permuting + [1] * (4 - permuting)


def test_permutations_connect_all_states() -> None:
    for machine in range(30):
        table = Automaton(num_states=5, num_symbols=2, machine=machine).table
        reached = {0}
        for _ in range(5):
            reached |= {int(y) for x in reached for y in table[x]}
        assert len(reached) == 5


def test_machines_differ_and_are_the_same_for_every_seed() -> None:
    tables = [Automaton(machine=m).table for m in range(5)]
    assert len({t.tobytes() for t in tables}) == 5
    assert np.array_equal(Automaton(machine=3, seed=8).table, tables[3])
    assert not np.array_equal(
        Automaton(seed=8).generate(range(5)).inputs, Automaton().generate(range(5)).inputs
    )


def test_the_compiled_loop_is_its_plain_statement() -> None:
    fresh = np.random.default_rng(2)
    table = fresh.integers(0, 7, (7, 5))
    symbols, starts = fresh.integers(0, 5, (20, 30)).astype(np.uint8), fresh.integers(0, 7, 20)
    states = np.empty(symbols.shape, np.int64)
    run(table, starts, symbols, states)
    for b in range(20):
        state = int(starts[b])
        for t in range(30):
            state = int(table[state, symbols[b, t]])
            assert states[b, t] == state


LAWS = [
    {"permutations": 0.0, "num_symbols": 3},
    {"permutations": 0.5, "length": 12},
    {"permutations": 0.5, "length": 6, "label": "last"},
    {"num_states": 4, "length": 3, "label": "last", "machine": 2},
    {"num_states": 30, "num_symbols": 6, "permutations": 0.8, "length": 20, "min_length": 5},
]


@pytest.mark.parametrize("fields", LAWS, ids=str)
def test_chance_and_floor(fields: dict) -> None:
    task = Automaton(**fields)
    batch = sample(task, 20_000)
    symbols, states = batch.inputs[batch.mask] - 1, batch.targets[batch.mask]
    counts = np.zeros((task.num_symbols, task.num_states))
    np.add.at(counts, (symbols, states), 1)
    allowed = 4.5 * (0.25 / len(batch)) ** 0.5  # positions of an example may agree
    assert counts.sum(axis=0).max() / states.size == pytest.approx(task.chance, abs=allowed)
    best = counts.max(axis=1).sum() / states.size
    assert best == pytest.approx(task.floors.get("last symbol", task.chance), abs=allowed)


def test_resets_are_solved_by_the_last_symbol() -> None:
    assert Automaton(permutations=0.0).floor == pytest.approx(1.0)
    assert (Automaton(length=200).floor or 0) < 0.15


REFUSED = [
    ({"num_states": 1}, "num_states: .*greater than or equal to 2, got 1"),
    ({"num_symbols": 1}, "num_symbols: .*greater than or equal to 2, got 1"),
    ({"permutations": 1.5}, "permutations: .*less than or equal to 1, got 1.5"),
    ({"machine": -1}, "machine: .*greater than or equal to 0, got -1"),
    ({"label": "all"}, "label: .*'every' or 'last', got 'all'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("automaton", **fields)
