"""Continuous recall: the layout of vectors, the table, gaps, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.continuous_recall import ContinuousRecall

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(41, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """Two passes over two pairs, then both keys."""
    task = ContinuousRecall(num_pairs=2, num_passes=2, num_keys=5, num_values=4, dim=3)
    content = {
        "keys": np.array([[4, 1]]),
        "values": np.array([[0, 2]]),
        "orders": np.array([[1, 0, 1, 0]]),
    }
    batch = task.render(content, keys(1), "train")
    names, values = task.tables
    assert batch.inputs.shape == (1, 6, 6)
    assert batch.inputs.dtype == np.float32
    assert np.array_equal(batch.inputs[0, :, :3], names[[4, 1, 1, 4, 1, 4]])
    assert np.array_equal(batch.inputs[0, :4, 3:], values[[0, 2, 2, 0]])
    assert not batch.inputs[0, 4:, 3:].any()
    assert batch.targets.tolist() == [[NO] * 4 + [2, 0]]
    assert batch.factors["longest_gap"].tolist() == [2]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert task.context.input_dim == 6
    assert task.context.num_outputs == 4
    assert task.context.length == 6


def test_the_table_is_on_the_sphere() -> None:
    names, values = ContinuousRecall(num_keys=900, num_values=700, dim=24).tables
    every = np.concatenate([names, values])
    assert every.shape == (1600, 24)
    assert np.abs((every.astype(float) ** 2).sum(axis=1) - 1).max() < 1e-6
    assert len({row.tobytes() for row in every}) == 1600
    assert abs(every.mean()) < 4 * (1 / 24 / every.size) ** 0.5
    products = (every @ every.T)[np.triu_indices(1600, 1)] * 24**0.5
    assert products.mean() == pytest.approx(0, abs=0.01)
    assert products.std() == pytest.approx(1, abs=0.01)
    again = ContinuousRecall(num_keys=900, num_values=700, dim=24, seed=8).tables[0]
    assert np.array_equal(again, names), "the seed of the examples does not move the table"
    other = ContinuousRecall(num_keys=900, num_values=700, dim=24, table_seed=1).tables[0]
    assert not np.array_equal(other, names)


def test_pairs_orders_and_queries_are_uniform() -> None:
    task = ContinuousRecall(num_pairs=3, num_keys=7, num_values=5, num_passes=3)
    drawn = task.draw(keys(6000), "train")
    for i in range(3):
        assert stats.chisquare(np.bincount(drawn["keys"][:, i], minlength=7)).pvalue > 1e-4
        assert stats.chisquare(np.bincount(drawn["values"][:, i], minlength=5)).pvalue > 1e-4
    for order in drawn["orders"].reshape(-1, 3, 3).swapaxes(0, 1):
        counts = np.unique(order @ np.array([9, 3, 1]), return_counts=True)[1]
        assert len(counts) == 6
        assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("fields", [{}, {"num_passes": 3}, {"num_pairs": 64, "dim": 5}], ids=str)
def test_every_query_is_answered_by_its_pair(fields: dict[str, Any]) -> None:
    """By the nearest vector, pair by pair, and with gaps counted by hand."""
    task = ContinuousRecall.model_validate(fields)
    batch = task.generate(range(60), "test")
    names, values = task.tables
    seen = task.length - task.num_pairs
    who = (batch.inputs[:, :, : task.dim] @ names.T).argmax(axis=2)
    what = (batch.inputs[:, :seen, task.dim :] @ values.T).argmax(axis=2)
    for i in range(60):
        gaps = []
        for t in range(seen, task.length):
            at = np.flatnonzero(who[i, :seen] == who[i, t])
            assert len(at) == task.num_passes
            assert set(what[i, at].tolist()) == {batch.targets[i, t]}
            gaps.append(t - at[-1])
        assert batch.factors["longest_gap"][i] == max(gaps)
    assert (batch.mask.sum(axis=1) == task.num_pairs).all()


@pytest.mark.parametrize("num_passes", [1, 2])
def test_no_text_is_in_two_splits(num_passes: int) -> None:
    """However the pairs were numbered, the same vectors are one content."""
    fields = {"num_pairs": 2, "num_keys": 4, "num_values": 3, "dim": 4, "num_passes": num_passes}
    task = tasks.make_task("continuous-recall", **fields)
    assert task.partitioned
    train, test = (
        {row.tobytes() for row in task.generate(range(5000), split).inputs}
        for split in ("train", "test")
    )
    assert test
    assert not train & test
    assert len(train) > 50


def test_naming_a_value_shown_scores_the_floor() -> None:
    task = ContinuousRecall(num_pairs=5)
    batch = task.generate(range(500), "test")
    _, values = task.tables
    first = (batch.inputs[:, 0, task.dim :] @ values.T).argmax(axis=1)
    assert (batch.targets == first[:, None])[batch.mask].mean() == task.floor == 1 / 5


def test_the_published_cells() -> None:
    for num in (4, 8, 16, 32, 64, 128, 256):
        task = tasks.preset(f"zoology-continuous-{num}")
        assert isinstance(task, ContinuousRecall)
        assert (task.num_pairs, task.num_passes) == (num, 1)
        assert task.num_keys == task.num_values == 4096


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_pairs": 65}, "num_pairs=65 exceeds num_keys=64: needs num_keys >= 65"),
    (
        {"num_pairs": 9, "num_values": 8},
        "num_pairs=9 exceeds num_values=8: needs num_values >= 9",
    ),
    ({"num_pairs": 0}, r"num_pairs: .*greater than or equal to 1, got 0"),
    ({"num_passes": 0}, r"num_passes: .*greater than or equal to 1, got 0"),
    ({"dim": 1}, r"dim: .*greater than or equal to 2, got 1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("continuous-recall", **fields)


def test_limits_are_reached() -> None:
    for fields in ({"num_pairs": 64}, {"num_pairs": 1, "num_keys": 1, "num_values": 99}):
        task = tasks.make_task("continuous-recall", **fields)
        batch = task.generate(range(9), "test")
        assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
