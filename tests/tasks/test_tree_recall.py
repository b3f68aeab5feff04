"""Tree recall: unique parses, uniform trees, and the symbol before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.tree_recall import COUNTED, PILOT, TreeRecall, counted

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """f(g(a, b), h(c)); b's parent is g."""
    task = TreeRecall(
        num_leaves=3, num_unary=1, num_binary=2, num_ternary=0, min_nodes=6, max_nodes=8
    )
    a, b, c, h, f, g = range(6)
    given = {"symbols": np.array([[f, g, a, b, h, c, 0, 0]]), "answer": np.array([[6, 3, 1]])}
    batch = task.render(given, keys(1), "test")
    assert batch.inputs.tolist() == [[6, 7, 2, 3, 5, 4, 1, 3, 0, 0]]
    assert batch.targets.tolist() == [[NO] * 7 + [7, NO, NO]]
    assert batch.lengths.tolist() == [8]
    assert {n: x.tolist() for n, x in batch.factors.items()} == {"distance": [2], "num_nodes": [6]}


def parents(tokens: list[int], arity: list[int]) -> list[int]:
    """Read recursively; every token's parent's place."""
    found = [-1] * len(tokens)

    def read(t: int) -> int:
        after = t + 1
        for _ in range(arity[tokens[t]]):
            found[after] = t
            after = read(after)
        return after

    assert read(0) == len(tokens), "one whole tree"
    return found


@pytest.mark.parametrize("distance", [1, 4])
def test_answers_by_a_recursive_reader(distance: int) -> None:
    task = TreeRecall(min_nodes=12, max_nodes=30, min_distance=distance)
    arity = [0, 0, *[0] * 8, *[1] * 3, *[2] * 3, *[3] * 2]
    batch = task.generate(range(400), "test")
    for i, row in enumerate(batch.inputs.tolist()):
        size = row.index(1)
        text, asked = row[:size], row[size + 1]
        place = size - 1 - text[::-1].index(asked)
        parent = parents(text, arity)[place]
        assert batch.targets[i, size + 1] == text[parent]
        assert batch.factors["distance"][i] == place - parent >= distance
        assert batch.factors["num_nodes"][i] == size


def test_trees_are_uniform() -> None:
    """All pre-orders of 4 nodes of one leaf a, one unary u and one binary b."""
    task = TreeRecall(
        num_leaves=1, num_unary=1, num_binary=1, num_ternary=0, min_nodes=4, max_nodes=4
    )
    drawn = task.draw(keys(9000), "train")["symbols"]
    counts = Counter(map(tuple, drawn.tolist()))
    a, u, b = range(3)
    every = {(u, u, u, a), (u, b, a, a), (b, u, a, a), (b, a, u, a)}
    assert set(counts) == every
    assert task.num_contents == 4
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_sizes_are_uniform_where_trees_exist() -> None:
    task = TreeRecall(num_unary=0, num_ternary=0, min_nodes=4, max_nodes=11)
    assert task.sizes == [5, 7, 9, 11]
    counts = Counter(task.draw(keys(4000), "train")["answer"][:, 0].tolist())
    assert sorted(counts) == task.sizes
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_questions_are_uniform_over_last_places() -> None:
    """Two symbols can be asked for in u(b(a, a)): b at 1, and the last a."""
    task = TreeRecall(
        num_leaves=1, num_unary=1, num_binary=1, num_ternary=0, min_nodes=4, max_nodes=4
    )
    drawn = task.draw(keys(9000), "train")
    rows = (drawn["symbols"] == [1, 2, 0, 0]).all(axis=1)
    asked = Counter(drawn["answer"][rows, 1].tolist())
    assert set(asked) == {1, 3}
    assert stats.chisquare(list(asked.values())).pvalue > 1e-4


@pytest.mark.parametrize("law", COUNTED, ids=str)
def test_stored_numbers_are_those_counted(law: tuple) -> None:
    """And other examples agree within 3 standard errors."""
    assert counted(*law) == COUNTED[law]
    arities, (low, high), distance = law
    task = TreeRecall(min_nodes=low, max_nodes=high, min_distance=distance)
    assert task.arities == arities
    batch = task.generate(range(20_000), "validation")
    due, before, (_, ends) = batch.targets[batch.mask], [], np.nonzero(batch.mask)
    for row, end in zip(batch.inputs.tolist(), ends.tolist(), strict=True):
        place = max(t for t in range(end - 1) if row[t] == row[end])
        before.append(row[place - 1])
    share = (np.array(before) == due).mean()
    chance, floor = COUNTED[law]
    for value, one in ((floor, share), (chance, np.bincount(due)[-2:].mean() / 20_000)):
        sigma = (value * (1 - value) * (1 / PILOT + 1 / 20_000)) ** 0.5
        assert abs(one - value) <= 3 * sigma + 1e-4


REFUSED = [
    ({"min_nodes": 41}, "min_nodes=41 exceeds max_nodes=40"),
    (
        {"num_unary": 0, "num_ternary": 0, "min_nodes": 10, "max_nodes": 10},
        "no tree of these symbols has so many nodes: needs num_unary >= 1",
    ),
    ({"min_distance": 9}, "min_distance=9 is rare .*min_nodes=10: needs min_nodes >= 11"),
    (
        {"num_binary": 0, "num_ternary": 0, "min_distance": 2},
        "min_distance=2 needs num_binary or num_ternary >= 1",
    ),
    ({"max_nodes": 513}, "max_nodes: .*less than or equal to 512, got 513"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("tree-recall", **fields)
