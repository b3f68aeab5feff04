"""In-context regression: layout, the law of each family, and what least squares leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks.in_context_regression import InContextRegression

FAMILIES = ["linear", "sparse", "noisy", "quadratic", "relu", "tree", "sign"]


def made(family: str, **fields: Any) -> InContextRegression:
    noise = {"noise": 0.5} if family == "noisy" else {}
    return InContextRegression.model_validate({"family": family, **noise, **fields})


def points(task: InContextRegression, num: int) -> tuple[np.ndarray, np.ndarray]:
    batch = task.generate(range(num), "test")
    return batch.inputs[:, ::2], batch.targets[:, ::2, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layout(family: str) -> None:
    batch = made(family, dim=4, num_points=6).generate(range(50))
    assert batch.inputs.shape == (50, 11, 4)
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    assert batch.targets.shape == batch.mask.shape == (50, 11, 1)
    assert batch.mask[:, ::2].all()
    assert not batch.mask[:, 1::2].any()
    assert np.array_equal(batch.inputs[:, 1::2, 0], batch.targets[:, :-1:2, 0])
    assert not batch.inputs[:, 1::2, 1:].any()
    assert stats.kstest(batch.inputs[:, ::2].reshape(-1), "norm").pvalue > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_chance_is_the_mean_square(family: str) -> None:
    task = made(family, dim=6)
    y = points(task, 20_000)[1].astype(np.float64)
    square = (y**2).mean(axis=1)  # y of an example hang together
    assert abs(square.mean() - task.chance) < 4 * square.std() / 20_000**0.5 + 1e-9
    assert abs(y.mean()) < 4 * y.mean(axis=1).std() / 20_000**0.5


@pytest.mark.parametrize("family", ["linear", "sparse", "quadratic"])
def test_weights_explain_every_point(family: str) -> None:
    x, y = points(made(family, dim=4, num_points=9), 100)
    given = x.astype(np.float64) ** (2 if family == "quadratic" else 1)
    for features, values in zip(given, y, strict=True):
        weights, *_ = np.linalg.lstsq(features[:6], values[:6])
        assert np.abs(features @ weights - values).max() < 1e-3 * (1 + np.abs(values).max())
        if family == "sparse":
            assert (np.abs(weights) > 1e-3).sum() <= 3


def test_noise_has_its_size() -> None:
    x, y = points(made("noisy", dim=2, num_points=60), 300)
    left = [
        np.linalg.lstsq(a.astype(np.float64), b.astype(np.float64))[1][0] / 58
        for a, b in zip(x, y, strict=True)
    ]
    assert np.mean(left) == pytest.approx(0.25, abs=0.01)


def test_a_tree_has_sixteen_leaves_by_signs() -> None:
    x, y = points(made("tree", dim=3, num_points=200), 30)
    for signs, values in zip(x > 0, y, strict=True):
        leaves: dict[bytes, float] = {}
        for s, v in zip(signs, values.tolist(), strict=True):
            assert leaves.setdefault(s.tobytes(), v) == v
        assert 1 < len(set(leaves.values())) <= 8


def test_signs_are_of_a_plane() -> None:
    _, y = points(made("sign"), 500)
    assert set(np.unique(y)) == {-1.0, 1.0}


def test_relu_is_homogeneous_and_not_odd() -> None:
    task = made("relu", dim=2, num_points=30)
    from tasks import rng

    keys = rng.example_keys(3, np.arange(20, dtype=rng.U))
    x = np.random.default_rng(0).normal(size=(20, 30, 2))
    y = task._values(keys, x)
    assert np.allclose(task._values(keys, 3 * x), 3 * y)
    assert not np.allclose(task._values(keys, -x), -y)


@pytest.mark.parametrize("family", ["linear", "sparse"])
def test_least_squares_leaves_its_share(family: str) -> None:
    """1 - i / d of the mean square at point i."""
    task = made(family, dim=6, num_points=10)
    batch = task.generate(range(4000), "test")
    errors = ((task.oracle(batch.inputs) - batch.targets)[:, ::2, 0].astype(np.float64)) ** 2
    law = task.chance * np.maximum(0, 1 - np.arange(10) / 6)
    sigma = errors.std(axis=0) / 4000**0.5
    assert (np.abs(errors.mean(axis=0) - law) < 5 * sigma + 1e-4).all()
    assert abs(errors.mean() - task.least_squares) < 5 * errors.mean(axis=1).std() / 4000**0.5
    assert errors[:, 6:].max() < 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_learns(family: str) -> None:
    task = made(family, dim=3, num_points=20)
    batch = task.generate(range(600), "test")
    errors = ((task.oracle(batch.inputs) - batch.targets)[:, ::2, 0]) ** 2
    assert errors[:, 10:].mean() < 0.95 * task.chance


def test_published_settings() -> None:
    for name, length in (("linear", 81), ("sparse", 81), ("relu", 201), ("tree", 201)):
        task = tasks.preset(f"garg-{name}")
        assert (task.context.length, task.context.input_dim) == (length, 20)
    assert tasks.preset("in-context-regression-cpu").context.length == 21


REFUSED = [
    ({"family": "sparse", "dim": 2}, "dim=2 with family=sparse: needs >= 3"),
    ({"noise": 0.1}, "noise=0.1 with family=linear: noise > 0 needs family=noisy"),
    ({"family": "noisy"}, "noise=0.0 with family=noisy"),
    ({"family": "cubic"}, "family: .*'linear'.*got 'cubic'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-regression", **fields)
