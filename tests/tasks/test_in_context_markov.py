"""In-context Markov chains: rows, walks, Bayes and its floors, what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.in_context_markov import InContextMarkov

# Nats a target over 1e5 chains: counts behind 0, 1, ... tokens, the chain itself
STORED = {
    (3, 1, 100): (1.0086, 0.8872, 0.8201),
    (2, 2, 100): (0.6231, 0.5782, 0.5173, 0.4718),
}


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_rows_are_uniform_on_the_simplex() -> None:
    task = InContextMarkov(num_states=3)
    ends = task.chains(keys(3000)) / 2**32
    shares = np.stack([ends[..., 0], ends[..., 1] - ends[..., 0], 1 - ends[..., 1]], -1)
    assert shares.min() >= 0
    for j in range(3):  # Dirichlet(1, 1, 1): each share is Beta(1, 2)
        assert stats.kstest(shares[:, 0, j], stats.beta(1, 2).cdf).pvalue > 1e-4
    ends = InContextMarkov(num_states=2, alpha=3).chains(keys(3000))[:, 0, 0] / 2**32
    assert stats.kstest(ends, stats.beta(3, 3).cdf).pvalue > 1e-4


def test_the_loop_is_its_plain_statement() -> None:
    task = InContextMarkov(num_states=4, order=2, length=30)
    some = keys(20)
    limits = task.chains(some)
    tokens = task.walks(some)[1]
    assert np.array_equal(task.draw(some, "train")["tokens"], tokens[:, :-1])
    first, steps = rng.words(some, 2, 31), rng.words(some, 3, 31)
    for b in range(20):
        walk: list[int] = []
        for t in range(31):
            if t < 2:
                walk.append(int((int(first[b, t]) >> 32) * 4 >> 32))
            else:
                row = limits[b, walk[-2] * 4 + walk[-1]].tolist()
                walk.append(sum((int(steps[b, t]) >> 32) >= end for end in row))
        assert tokens[b].tolist() == walk


def solved(task: InContextMarkov, limits: np.ndarray) -> np.ndarray:
    """The stationary law of one chain's contexts, by least squares.                 (R,)"""
    num, rows = task.num_states, task.num_rows
    ends = np.concatenate([np.zeros((rows, 1)), limits / 2**32, np.ones((rows, 1))], axis=1)
    steps = np.zeros((rows, rows))
    for row in range(rows):
        for token in range(num):
            steps[row, (row * num + token) % rows] += ends[row, token + 1] - ends[row, token]
    equations = np.concatenate([steps.T - np.eye(rows), np.ones((1, rows))])
    return np.linalg.lstsq(equations, np.eye(rows + 1)[-1])[0]


@pytest.mark.parametrize(("num", "order"), [(3, 1), (2, 3), (4, 2)])
def test_the_stationary_law(num: int, order: int) -> None:
    from tasks._loops.in_context_markov import start, stationary

    task = InContextMarkov(num_states=num, order=order, init="stationary")
    for limits in task.chains(keys(20)):
        law = np.empty(task.num_rows)
        stationary(limits, law)
        assert law == pytest.approx(solved(task, limits), abs=1e-6)
    many, rows = keys(6000), np.empty(6000, np.int64)
    one = task.chains(keys(1))
    start(many, np.repeat(one, 6000, axis=0), rows)
    law = solved(task, one[0])
    counts = np.bincount(rows, minlength=len(law))
    assert stats.chisquare(counts, 6000 * law / law.sum()).pvalue > 1e-4


def test_a_stationary_walk_begins_as_it_goes_on() -> None:
    """Under its own chain a first token is as likely as any later one; a uniform one is not."""
    for init, low, high in (("stationary", -0.015, 0.015), ("uniform", 0.04, 0.12)):
        task = InContextMarkov(init=init, length=60)
        some = keys(6000)
        tokens = task.walks(some)[1]
        first, later = ((tokens[:, t, None] == tokens[:, 40:]).mean() for t in (0, 20))
        assert low < later - first < high
        limits = task.chains(some)
        for b in range(20):  # every other step follows the rows, as ever
            steps = rng.words(some[b : b + 1], 3, 61)[0]
            for t in range(1, 61):
                row = limits[b, tokens[b, t - 1]].tolist()
                assert tokens[b, t] == sum((int(steps[t]) >> 32) >= end for end in row)


def test_certain_chains_have_a_stationary_law() -> None:
    """Shares of 0: two states that hold on to themselves, and one that is left at once."""
    from tasks._loops.in_context_markov import stationary

    whole, law = 2**32, np.empty(3)
    limits = np.array([[whole, whole], [0, whole], [whole // 2, whole]], np.uint64)
    stationary(limits, law)
    assert law == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)


@pytest.mark.parametrize(("num", "order", "alpha"), [(3, 1, 1), (2, 3, 1), (4, 2, 2)])
def test_bayes_counts(num: int, order: int, alpha: int) -> None:
    """(count(c, y) + alpha) / (count(c) + k alpha), counted again from scratch at every place."""
    task = InContextMarkov(num_states=num, order=order, alpha=alpha, length=25)
    batch = task.generate(range(10))
    probs = task.counted(batch.inputs)
    for row, found in zip(batch.inputs.tolist(), probs, strict=True):
        for t in range(order - 1, 25):
            context = row[t - order + 1 : t + 1]
            after = [row[i + order] for i in range(t - order + 1) if row[i : i + order] == context]
            expected = [(after.count(y) + alpha) / (len(after) + num * alpha) for y in range(num)]
            assert found[t] == pytest.approx(expected, abs=1e-15)
    law = task.true_probs(batch)
    assert law.shape == (10 * (25 - order + 1), num)
    assert np.abs(law.sum(axis=1) - 1).max() < 1e-12
    assert np.array_equal(task.oracle(batch.inputs)[batch.mask], law.argmax(axis=1))
    assert (batch.mask.sum(axis=0) == [0] * (order - 1) + [10] * (26 - order)).all()


def test_the_chain_rule() -> None:
    """Products of predictions are the probability of a walk: Dirichlet-multinomial by rows."""
    from math import exp, lgamma

    task = InContextMarkov(num_states=3, length=12)
    batch = task.generate(range(20))
    law = task.counted(batch.inputs)
    for b in range(20):
        walk = [*batch.inputs[b].tolist(), int(batch.targets[b, -1])]
        product = np.prod([law[b, t, walk[t + 1]] for t in range(12)])
        exact = 0.0
        for state in range(3):
            after = [y for x, y in pairwise(walk) if x == state]
            exact += lgamma(3) - lgamma(3 + len(after))
            exact += sum(lgamma(1 + after.count(y)) for y in range(3))
        assert product == pytest.approx(exp(exact), rel=1e-10)


def test_splits_share_nothing_although_some_sequences_are_likely() -> None:
    """One state in a row for 99 steps has probability 2 / (100 * 101)."""
    task = InContextMarkov()
    assert task.num_contents == int(3 / (2 / (100 * 101)) ** 2)
    assert task.partitioned
    assert not InContextMarkov(num_states=8, length=256).partitioned
    batches = (task.generate(range(30_000), split) for split in ("train", "test"))
    train, test = ({row.tobytes() for row in batch.inputs} for batch in batches)
    assert len(train) < 30_000, "some return"
    assert not train & test


@pytest.mark.parametrize("init", ["uniform", "stationary"])
def test_the_last_token_is_not_read(init: str) -> None:
    """Equal inputs are one content, whichever token is due at the end."""
    for order in (1, 2):
        fields = {"length": 3, "order": order, "init": init}
        task = tasks.make_task("in-context-markov", **fields)
        assert task.partitioned
        train, test = (
            {row.tobytes() for row in task.generate(range(3000), split).inputs}
            for split in ("train", "test")
        )
        assert test
        assert not train & test


@pytest.mark.parametrize(("shape", "stored"), STORED.items(), ids=str)
def test_losses(shape: tuple[int, int, int], stored: tuple[float, ...]) -> None:
    num, order, length = shape
    losses = InContextMarkov(num_states=num, order=order, length=length).losses
    assert losses.pop("uniform") == pytest.approx(np.log(num))
    assert [*losses.values()] == pytest.approx(stored, abs=0.008)
    assert [*losses.values()] == sorted(losses.values(), reverse=True)


def test_floors_are_attained() -> None:
    task = InContextMarkov(num_states=4, order=2, length=256)
    batch = task.generate(range(400), "test")
    right = {}
    for order in range(3):
        guess = task.counted(batch.inputs, order).argmax(axis=-1)
        right[order] = (guess == batch.targets)[batch.mask].mean()
    commonest, shorter = task.floors.values()
    assert right[0] == pytest.approx(commonest, abs=0.01)
    assert right[1] == pytest.approx(shorter, abs=0.01)
    assert right[2] == pytest.approx(task.ceiling, abs=0.01)
    assert task.chance == 1 / 4 < commonest < shorter < task.ceiling
    assert list(InContextMarkov().floors) == ["commonest token"]


def test_published_settings() -> None:
    task = tasks.preset("edelman-markov")
    assert task == InContextMarkov(num_states=3, order=1, length=100, alpha=1)
    assert tasks.preset("in-context-markov-cpu") == task
    stationary = tasks.preset("edelman-markov-stationary")
    assert stationary == InContextMarkov(init="stationary")
    assert stationary.num_contents < task.num_contents


REFUSED = [
    ({"num_states": 300, "order": 2}, "order=2 with num_states=300 makes more than 65536 rows"),
    ({"length": 3, "order": 3}, "length=3 is no more than order=3: needs >= 4"),
    (
        {"num_states": 17, "order": 2, "init": "stationary"},
        "order=2 with num_states=17 makes 289 rows: init=stationary needs <= 256, or use init=uni",
    ),
    ({"num_states": 1}, "num_states: .*greater than or equal to 2, got 1"),
    ({"alpha": 0.5}, "alpha=0.5: expected a whole number"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-markov", **fields)
