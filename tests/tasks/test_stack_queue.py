"""Stacks and queues: the order of items, laws, the floor, the loops, what is refused."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks._loops.stack_queue import operations
from tasks.batch import Batch
from tasks.lengths import pack
from tasks.stack_queue import StackQueue

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def sample(task: StackQueue, num: int) -> Batch:
    some = keys(num)
    return task.render(task.draw(some, "test"), some, "test")


@pytest.mark.parametrize(
    ("discipline", "out"), [("lifo", [NO, NO, 5, NO, 1, 3]), ("fifo", [NO, NO, 3, NO, 5, 1])]
)
def test_the_worked_example(discipline: str, out: list[int]) -> None:
    """Push 3, push 5, pop, push 1, pop, pop; 8 is the pop."""
    task = StackQueue.model_validate({"discipline": discipline, "length": 6})
    content = {"operations": pack(np.array([[3, 5, 8, 1, 8, 8]]), 9)}
    batch = task.render(content, keys(1), "train")
    assert batch.inputs.tolist() == [[3, 5, 8, 1, 8, 8]]
    assert batch.targets.tolist() == [out]
    assert batch.factors["num_pops"].tolist() == [3]
    assert batch.factors["longest_wait"].tolist() == [5 if discipline == "lifo" else 3]


@pytest.mark.parametrize("discipline", ["lifo", "fifo"])
@pytest.mark.parametrize("stores", [1, 5])
def test_items_come_out_in_order(discipline: str, stores: int) -> None:
    task = StackQueue.model_validate(
        {"discipline": discipline, "num_stacks": stores, "max_depth": 3, "vocab_size": 4}
    )
    batch = sample(task, 200)
    deepest = 0
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        held: dict[int, deque[int]] = defaultdict(deque)
        for token, target in zip(row, targets, strict=True):
            if token < 4 * stores:
                held[token // 4].append(token % 4)
                assert target == NO
            else:
                store = held[token - 4 * stores]
                assert target == (store.pop() if discipline == "lifo" else store.popleft())
            deepest = max(deepest, *map(len, held.values()))
    assert deepest == 3


def test_every_example_has_a_pop() -> None:
    for fields in ({"length": 2}, {"length": 40, "num_stacks": 64}, {"length": 3, "p_push": 0.99}):
        batch = sample(StackQueue(**fields), 500)
        assert batch.mask.any(axis=1).all()


def test_the_law_of_operations() -> None:
    task = StackQueue(num_stacks=3, vocab_size=5, p_push=0.3, max_depth=2, length=30)
    rows = sample(task, 1500).inputs
    store = np.where(rows < 15, rows // 5, rows - 15)
    assert stats.chisquare(np.bincount(store.ravel())).pvalue > 1e-4
    assert stats.chisquare(np.bincount(rows[rows < 15])).pvalue > 1e-4
    free = pushed = 0
    held = np.zeros((1500, 3), int)
    for t in range(30):
        now, push = held[np.arange(1500), store[:, t]], rows[:, t] < 15
        assert push[now == 0].all()
        assert not push[now == 2].any()
        free += (now == 1).sum()
        pushed += push[now == 1].sum()
        held[np.arange(1500), store[:, t]] += np.where(push, 1, -1)
    assert stats.binomtest(int(pushed), int(free), 0.3).pvalue > 1e-4


FLOORS = [
    {},
    {"discipline": "fifo"},
    {"num_stacks": 8, "max_depth": 4},
    {"discipline": "fifo", "num_stacks": 6, "max_depth": 3, "p_push": 0.7, "vocab_size": 3},
]


@pytest.mark.parametrize("fields", FLOORS, ids=str)
def test_the_item_pushed_last_scores_the_floor(fields: dict) -> None:
    task = StackQueue.model_validate(fields)
    batch = sample(task, 3000)
    rows, first = np.arange(3000), task.num_pushes
    last = np.zeros((3000, task.num_stacks), int)
    hits = np.zeros(3000)
    for t in range(task.length):
        token = batch.inputs[:, t]
        push = token < first
        last[rows[push], token[push] // task.vocab_size] = token[push] % task.vocab_size
        pops = rows[~push]
        hits[pops] += last[pops, token[pops] - first] == batch.targets[pops, t]
    scored = batch.mask.sum(axis=1)
    floor = task.floors["item pushed last"]
    error = (hits - floor * scored).std() / scored.mean() / 3000**0.5
    assert abs(hits.sum() / scored.sum() - floor) < 4 * error


def test_one_item_at_a_time_has_no_floor() -> None:
    assert StackQueue(max_depth=1).floors == {}


def test_the_compiled_operations_are_the_plain_ones() -> None:
    some, push = keys(60), int(0.6 * 2**32)
    compiled = np.zeros((60, 6), np.uint8)
    operations(some, (3, 4, 2, 9), push, compiled)
    for b in range(60):
        attempt, row = 0, [0]
        while max(row) < 12:
            key, row, held = some[b : b + 1], [], [0, 0, 0]
            drawn = rng.words(key, 9, 18, attempt)[0].tolist()
            for t in range(6):
                store, choice, item = (x >> 32 for x in drawn[3 * t : 3 * t + 3])
                j = store * 3 >> 32
                if held[j] == 0 or (held[j] < 2 and choice < push):
                    row.append(4 * j + (item * 4 >> 32))
                    held[j] += 1
                else:
                    row.append(12 + j)
                    held[j] -= 1
            attempt += 1
        assert compiled[b].tolist() == row


REFUSED = [
    (
        {"num_stacks": 1024, "vocab_size": 1024},
        "num_stacks=1024 with vocab_size=1024 needs 1049600 ids: needs <= 65536",
    ),
    (
        {"num_stacks": 200, "length": 64},
        "num_stacks=200 leaves hardly any pop in length=64: needs length >= 100",
    ),
    ({"vocab_size": 1}, "vocab_size: .*greater than or equal to 2, got 1"),
    ({"length": 1}, "length: .*greater than or equal to 2, got 1"),
    ({"p_push": 0.0}, "p_push: .*greater than or equal to 0.01, got 0.0"),
    ({"discipline": "deque"}, "discipline: .*'lifo' or 'fifo', got 'deque'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("stack-queue", **fields)
