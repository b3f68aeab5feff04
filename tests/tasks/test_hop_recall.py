"""Hop recall: every graph is what it says, and the guesses that follow from it."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.hop_recall import HopRecall

NO = -100
CYCLE = HopRecall(num_nodes=9, num_names=20, max_hops=4)
PATHS = HopRecall(graph="paths", num_nodes=12, num_names=20, num_paths=3, max_hops=2)
FUNCTION = HopRecall(graph="function", num_nodes=6, num_names=8, max_hops=5)
each = pytest.mark.parametrize("task", [CYCLE, PATHS, FUNCTION], ids=lambda t: t.graph)


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """a -> b -> c -> a, listed in disorder; two hops from a and from c."""
    task = HopRecall(num_nodes=3, num_names=5, num_queries=2)
    given = {
        "from": np.array([[0, 2, 1]]),
        "to": np.array([[1, 0, 2]]),
        "hops": np.array([[2]]),
        "asked": np.array([[0, 2]]),
        "answers": np.array([[2, 1]]),
    }
    batch = task.render(given, keys(1), "test")
    assert batch.inputs.tolist() == [[0, 1, 2, 0, 1, 2, 6, 0, 6, 2]]
    assert batch.targets.tolist() == [[NO] * 7 + [2, NO, 1]]
    assert batch.factors["num_hops"].tolist() == [2]


def edges(task: HopRecall, row: list[int]) -> dict[int, int]:
    end = 2 * task.num_edges
    return dict(zip(row[0:end:2], row[1:end:2], strict=True))


@each
def test_answers_by_walking(task: HopRecall) -> None:
    batch = task.generate(range(400), "test")
    for row, out, hops in zip(
        batch.inputs.tolist(), batch.targets.tolist(), batch.factors["num_hops"], strict=True
    ):
        after = edges(task, row)
        assert len(after) == task.num_edges
        asked = []
        for t in range(2 * task.num_edges + 1, len(row), 2):
            here = row[t]
            asked.append(here)
            for _ in range(hops):
                here = after[here]
            assert out[t] == here
            assert row[t - 1] - task.num_names + 1 == hops
        assert len(set(asked)) == task.num_queries


def test_a_cycle_is_one_ring() -> None:
    for row in CYCLE.generate(range(200)).inputs.tolist():
        after = edges(CYCLE, row)
        here, seen = next(iter(after)), 0
        while seen == 0 or here != next(iter(after)):
            here, seen = after[here], seen + 1
        assert seen == 9


def test_paths_are_separate_and_long_enough() -> None:
    for row in PATHS.generate(range(200)).inputs.tolist():
        after = edges(PATHS, row)
        starts = set(after) - set(after.values())
        assert len(starts) == 3
        for here in starts:
            steps = 0
            while here in after:
                here, steps = after[here], steps + 1
            assert steps == 3


def onto(num: int, size: int) -> int:
    """Maps of `num` things onto all of `size`."""
    return sum((-1) ** i * comb(size, i) * (size - i) ** num for i in range(size + 1))


def test_functions_merge() -> None:
    counts = Counter()
    for row in FUNCTION.generate(range(3000)).inputs.tolist():
        after = edges(FUNCTION, row)
        counts[len(set(after.values()))] += 1
    images = np.array([comb(6, k) * onto(6, k) for k in range(2, 7)])  # one is too rare
    observed = [counts[k] for k in range(2, 7)]
    assert sum(counts.values()) - sum(observed) < 5
    assert stats.chisquare(observed, images / images.sum() * sum(observed)).pvalue > 1e-4


@each
def test_names_hops_and_order_are_uniform(task: HopRecall) -> None:
    batch = task.generate(range(4000))
    due = batch.targets[batch.mask]
    assert (
        np.abs(np.bincount(due, minlength=task.num_names) / due.size * task.num_names - 1).max()
        < 0.12
    )
    assert stats.chisquare(np.bincount(batch.factors["num_hops"])[1:]).pvalue > 1e-4
    first = batch.inputs[:, 0]
    assert stats.chisquare(np.bincount(first, minlength=task.num_names)).pvalue > 1e-4


@pytest.mark.parametrize("task", [CYCLE, PATHS], ids=lambda t: t.graph)
def test_guesses_attain_the_floors(task: HopRecall) -> None:
    batch = task.generate(range(2000), "test")
    fresh = np.random.default_rng(3)
    right = Counter()
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        after = edges(task, row)
        nodes = sorted({*after, *after.values()})
        for t in range(2 * task.num_edges + 1, len(row), 2):
            others = [n for n in nodes if n != row[t]]
            right["any other node"] += others[fresh.integers(len(others))] == out[t]
            here = row[t]
            for h in range(1, task.max_hops + 1):
                here = after[here]
                right[f"{h} hops, whatever is asked"] += here == out[t]
    total = 2000 * task.num_queries
    assert set(right) == set(task.floors)
    for name, value in task.floors.items():
        assert abs(right[name] / total - value) < 8 * (value * (1 - value) / total) ** 0.5


REFUSED = [
    ({"num_nodes": 40}, "num_nodes=40 exceeds num_names=32"),
    ({"max_hops": 16}, "max_hops=16 leads round or off the 16 nodes of a cycle: needs <= 15"),
    ({"min_hops": 3}, "min_hops=3 exceeds max_hops=2"),
    ({"num_paths": 2}, "num_paths=2 with graph=cycle: needs graph=paths"),
    ({"graph": "paths", "num_paths": 3}, "num_paths=3 does not divide num_nodes=16"),
    (
        {"graph": "paths", "num_paths": 8},
        "max_hops=2 leads .* off the 2 nodes of a path: needs <= 1",
    ),
    ({"num_queries": 17}, "num_queries=17 exceeds the 16 nodes .*needs <= 16"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("hop-recall", **fields)
