"""The adding problem: the worked example, where marks are, and the best constant."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.adding import Adding


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """values .1 .7 .4 .2, marks 0 1 0 1 -> .9."""
    inputs = np.array([[[0.1, 0], [0.7, 1], [0.4, 0], [0.2, 1]]], np.float32)
    assert Adding(length=4).oracle(inputs) == np.float32(0.7) + np.float32(0.2)


@pytest.mark.parametrize(("length", "marks"), [(2, 2), (7, 2), (100, 2), (9, 4), (5, 5), (6, 1)])
def test_one_number_of_each_part_is_marked(length: int, marks: int) -> None:
    task = Adding(length=length, num_marks=marks)
    batch = task.generate(range(3000), "test")
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    assert batch.targets.shape == (3000, 1)
    rows, places = np.nonzero(batch.inputs[..., 1])
    assert np.array_equal(rows, np.repeat(np.arange(3000), marks))
    places = places.reshape(-1, marks)
    for i in range(marks):
        low, high = i * length // marks, (i + 1) * length // marks
        counts = np.bincount(places[:, i], minlength=high)
        assert counts[:low].sum() == 0
        assert counts.size == high
        assert high - low == 1 or stats.chisquare(counts[low:]).pvalue > 1e-4
    exact = np.where(batch.inputs[..., 1] == 1, batch.inputs[..., 0].astype(np.float64), 0).sum(1)
    assert np.abs(exact - batch.targets[:, 0]).max() < 1e-6 * marks
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert batch.factors["first_mark"].tolist() == places[:, 0].tolist()
    assert batch.factors["last_gap"].tolist() == (length - 1 - places[:, -1]).tolist()


def test_numbers_are_uniform() -> None:
    numbers = Adding(length=10).generate(range(3000)).inputs[..., 0]
    assert stats.kstest(numbers.reshape(-1), "uniform").pvalue > 1e-4
    assert 0 <= numbers.min() < numbers.max() < 1


@pytest.mark.parametrize("marks", [1, 2, 5])
def test_chance_is_the_variance(marks: int) -> None:
    task = Adding(num_marks=marks)
    y = task.generate(range(20_000), "test").targets.astype(np.float64)
    errors = (y - marks / 2) ** 2
    assert abs(errors.mean() - task.chance) < 4 * errors.std() / 20_000**0.5
    assert Adding().chance == pytest.approx(1 / 6)


def test_the_numbers_marked_are_the_contents() -> None:
    task = Adding(length=8)
    batch, drawn = task.generate(range(40)), task.draw(keys(40), "train")
    assert drawn["values"].max() < 2**24
    assert tasks.preset("s4-adding").context.length == 1000
    assert batch.inputs.shape == (40, 8, 2)


REFUSED = [
    ({"length": 4, "num_marks": 5}, "num_marks=5 exceeds length=4"),
    ({"length": 1}, "length: .*greater than or equal to 2, got 1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("adding", **fields)
