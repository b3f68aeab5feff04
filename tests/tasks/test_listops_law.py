"""ListOps: the exact law of values, lengths and contents, and what follows from it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tasks import listops_law, rng
from tasks.batch import Batch
from tasks.counting import MANY
from tasks.listops import ListOps

SMALL: dict[str, Any] = {"min_length": 3, "length": 12, "max_depth": 4, "max_args": 3}


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


# 60,000 examples of the published law, made by another program
PUBLISHED_VALUES = [0.170, 0.092, 0.077, 0.083, 0.087, 0.088, 0.077, 0.071, 0.087, 0.168]
PUBLISHED_MIN = [0.565, 0.219, 0.101, 0.055, 0.029, 0.015, 0.008, 0.004, 0.002, 0.001]
PUBLISHED_MED = [0.012, 0.046, 0.103, 0.165, 0.209, 0.203, 0.146, 0.078, 0.030, 0.008]


def drawn(num: int, **fields: Any) -> tuple[ListOps, Batch]:
    """Examples of the law that the splits share out."""
    task = ListOps(**fields)
    return task, task.render(task.draw(keys(num), "test"), keys(num), "test")


def test_the_published_law() -> None:
    """Exact numbers against 60,000 examples of another program, and against our own."""
    task, batch = drawn(6000)
    assert listops_law.window(task.law, *task.window) == pytest.approx(0.083, abs=0.0015)
    assert task.chance == pytest.approx(0.170, abs=5e-4)
    assert task.floors["root operator"] == pytest.approx(0.361, abs=5e-4)
    assert task.floors["majority"] == task.chance
    joint = task.outcomes
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert joint[:4].sum(axis=1) == pytest.approx([0.25] * 4, abs=1e-9)
    for law, published in (
        (joint.sum(axis=0), PUBLISHED_VALUES),
        (4 * joint[0], PUBLISHED_MIN),
        (4 * joint[1], PUBLISHED_MIN[::-1]),
        (4 * joint[2], PUBLISHED_MED),
        (4 * joint[3], [0.1] * 10),
    ):
        num = 60_000 if published is PUBLISHED_VALUES else 15_000
        sigma = np.sqrt(law * (1 - law) / num)
        assert (np.abs(law - published) < 4 * sigma + 5e-4).all()
    observed = np.bincount(10 * batch.factors["root"] + batch.targets, minlength=40)
    assert stats.chisquare(observed, 6000 * joint[:4].reshape(-1)).pvalue > 1e-4
    assert batch.lengths.mean() == pytest.approx(1037, abs=4 * 400 / 6000**0.5)
    assert np.median(batch.lengths) == pytest.approx(958, abs=30)


def test_the_floor_is_what_the_first_token_is_worth() -> None:
    """The likeliest value of each first token, learnt from one split and scored on another."""
    task, batch = drawn(6000)
    train = task.generate(range(6000), "train")
    table = np.zeros((4, 10))
    np.add.at(table, (train.factors["root"], train.targets), 1)
    answers = table.argmax(axis=1)[batch.inputs[:, 0] - 11]
    share, floor = (answers == batch.targets).mean(), task.floors["root operator"]
    assert abs(share - floor) < 4 * (floor * (1 - floor) / 6000) ** 0.5


SETTINGS: list[dict[str, Any]] = [
    SMALL,
    {**SMALL, "min_length": 0, "p_op": 0.6},
    {**SMALL, "ops": ("MED",), "max_args": 5, "length": 30},
    {**SMALL, "ops": ("MED", "SM"), "root_ops": ("MAX",), "max_args": 2},
    {**SMALL, "root_ops": ("MED",), "max_args": 6, "max_depth": 2, "length": 9},
    {**SMALL, "balance": True, "length": 20},
]


@pytest.mark.parametrize("fields", SETTINGS, ids=lambda x: "-".join(map(str, x.values())))
def test_the_exact_law_of_other_settings(fields: dict[str, Any]) -> None:
    task, batch = drawn(20_000, **fields)
    observed = np.zeros((5, 10))
    np.add.at(observed, (batch.factors["root"], batch.targets), 1)  # -1: the last row
    expected = task.outcomes * 20_000
    assert (observed[expected < 1e-6] == 0).all()
    many = expected > 5
    assert (
        stats.chisquare(
            np.append(observed[many], observed[~many].sum() + 1e-9),
            np.append(expected[many], expected[~many].sum() + 1e-9),
        ).pvalue
        > 1e-4
    )
    guess = task.outcomes.argmax(axis=1)
    first = batch.inputs[:, 0]
    answers = np.where(first > 10, guess[(first - 11).clip(0)], first - 1)
    share, floor = (answers == batch.targets).mean(), task.floors["root operator"]
    assert abs(share - floor) < 4 * (floor * (1 - floor) / 20_000) ** 0.5 + 1e-9


def test_the_law_of_lengths() -> None:
    """Lengths of small trees, against the law got by enumeration."""

    def law(depth: int) -> Counter[int]:
        if depth == 3:
            return Counter({1: 1.0})
        child, found = law(depth + 1), Counter({1: 0.7})
        for num in (2, 3):
            for lengths in itertools.product(child, repeat=num):
                found[2 + sum(lengths)] += 0.3 / 2 * float(np.prod([child[n] for n in lengths]))
        return found

    exact = law(1)
    trees = listops_law.Law(0.3, 3, 3, (0, 1, 2, 3), (0, 1, 2, 3))
    for n in range(1, 20):
        assert listops_law.window(trees, n, n) == pytest.approx(exact[n], abs=1e-11)
    assert listops_law.window(trees, 5, 4) == 0


def test_balance_makes_values_equally_frequent() -> None:
    task, batch = drawn(3000, balance=True, max_depth=6, min_length=20, length=100)
    assert task.chance == pytest.approx(0.1)
    assert stats.chisquare(np.bincount(batch.targets, minlength=10)).pvalue > 1e-4


def test_roots_without_a_shortcut() -> None:
    task, batch = drawn(300, root_ops=("SM",), max_depth=6, min_length=20, length=100)
    assert set(batch.inputs[:, 0].tolist()) == {14}
    assert task.floor == pytest.approx(0.1, abs=1e-3)
    assert {11, 12, 13} <= set(batch.inputs.reshape(-1).tolist())


def every_expression(task: ListOps) -> set[tuple[int, ...]]:
    def below(depth: int) -> list[tuple[int, ...]]:
        digits = [(i,) for i in range(1, 11)]
        if depth == task.max_depth:
            return digits
        children, found = below(depth + 1), digits
        for num in range(2, task.max_args + 1):
            for chosen in itertools.product(children, repeat=num):
                inner = tuple(itertools.chain(*chosen))
                if len(inner) + 2 < task.length:
                    found = found + [(11 + op, *inner, 15) for op in (0, 3)]
        return found

    return {x for x in below(1) if task.min_length < len(x) < task.length}


@pytest.mark.parametrize("fields", [{"max_args": 2, "length": 5}, {"max_args": 3, "length": 6}])
def test_contents_are_counted_and_shared_out(fields: dict[str, Any]) -> None:
    task = ListOps(min_length=1, max_depth=2, ops=("MIN", "SM"), p_op=0.5, **fields)
    every = every_expression(task)
    assert task.num_contents == len(every)
    assert task.partitioned
    found = {
        split: {
            tuple(filter(None, row)) for row in task.generate(range(4000), split).inputs.tolist()
        }
        for split in ("train", "validation", "test")
    }
    assert set().union(*found.values()) <= every
    assert not found["train"] & found["test"]
    assert len(found["train"]) > 0.6 * len(every) * (len(every) < 500)


def test_deeper_contents_are_counted() -> None:
    trees = listops_law.Law(0.5, 3, 2, (0, 3), (0, 3))
    # [op a b]: 2 * 100; one argument nested: 2 * 2 * 10 * 200; both: 2 * 200 * 200
    assert [listops_law.count(trees, n, n) for n in (1, 4, 7, 10)] == [10, 200, 8000, 80_000]
    assert ListOps().num_contents == MANY
    assert ListOps(min_length=50, length=64, max_depth=5).num_contents >= 2**48
