"""In-context regression: layout, the law of each family, and what least squares leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks.in_context_regression import InContextRegression
from tasks.in_context_shifts import SHIFTS, Shift, orthogonal

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


@pytest.mark.parametrize("shift", SHIFTS)
def test_shifted_points_keep_their_size(shift: Shift) -> None:
    task = made("linear", dim=6, num_points=9, shift=shift)
    x, y = (values.astype(np.float64) for values in points(task, 6000))
    size = 81.0 if shift == "scaled" else 9.0  # of nine points
    square = (x**2).sum(axis=(1, 2)) / 6
    assert abs(square.mean() - size) < 4 * square.std() / 6000**0.5
    error = (y**2).mean(axis=1)
    assert abs(error.mean() - task.chance) < 4 * error.std() / 6000**0.5
    across = np.einsum("bpi,bpj->ij", x, x) / 6000 / 9
    assert np.abs(across / size * 9 - np.eye(6)).max() < 0.1, "no axis is preferred"


def test_shifted_points_have_their_law() -> None:
    rows = {s: made("linear", dim=6, num_points=400, shift=s).generate(range(20)) for s in SHIFTS}
    for shift, batch in rows.items():
        x = batch.inputs[:, ::2].astype(np.float64)
        spread = np.linalg.eigvalsh(x.swapaxes(1, 2) @ x / 400).mean(axis=0)[::-1]
        law = {
            "scaled": 9 * np.ones(6),
            "skewed": np.arange(1.0, 7) ** -2 * 6 / (np.arange(1.0, 7) ** -2).sum(),
            "half-space": np.array([2.0, 2, 2, 0, 0, 0]),
            "orthogonal": np.ones(6),
        }[shift]
        assert spread == pytest.approx(law, rel=0.25, abs=1e-3)
    x = rows["orthogonal"].inputs[:, ::2].astype(np.float64)
    for start in range(0, 396, 6):
        angles = x[:, start : start + 6] @ x[:, start : start + 6].swapaxes(1, 2)
        assert np.abs(angles * (1 - np.eye(6))).max() < 1e-4
    lengths = (x**2).sum(axis=2).reshape(-1)
    assert stats.kstest(lengths, stats.chi2(6).cdf).pvalue > 1e-4


def test_rows_become_orthogonal_without_turning_the_first() -> None:
    x = np.random.default_rng(1).normal(size=(50, 5, 5))
    found = orthogonal(x)
    assert np.allclose(found[:, 0], x[:, 0])
    assert np.allclose((found**2).sum(axis=2), (x**2).sum(axis=2))
    products = found @ found.swapaxes(1, 2)
    assert np.abs(products * (1 - np.eye(5))).max() < 1e-12
    for i in range(5):  # the rows span what they did
        solved = np.linalg.lstsq(found[0, : i + 1].T, x[0, i])[0]
        assert np.allclose(solved @ found[0, : i + 1], x[0, i])


@pytest.mark.parametrize("shift", ["scaled", "half-space", "orthogonal"])
def test_least_squares_of_shifted_points(shift: Shift) -> None:
    task = made("linear", dim=6, num_points=10, shift=shift)
    batch = task.generate(range(4000), "test")
    errors = ((task.oracle(batch.inputs) - batch.targets)[:, ::2, 0].astype(np.float64)) ** 2
    place = np.arange(10)
    law = {
        "scaled": 54 * np.maximum(0, 1 - place / 6),
        "half-space": 6 * np.maximum(0, 1 - place / 3),
        "orthogonal": 6.0 * (place < 6),
    }[shift]
    sigma = errors.std(axis=0) / 4000**0.5
    assert (np.abs(errors.mean(axis=0) - law) < 5 * sigma + 1e-3).all()
    assert law.mean() == pytest.approx(task.least_squares)
    skewed = made("linear", dim=6, num_points=10, shift="skewed")
    assert skewed.least_squares == 0.0


def test_slices_of_shifts() -> None:
    task = tasks.preset("garg-linear-shifts")
    slices = task.test_slices()
    names = [f"shift={s}" for s in ("scaled", "skewed", "half-space", "orthogonal")]
    assert list(slices) == [*names, "noise=1"]
    assert all(other.context == task.context for other in slices.values())
    assert not any(other.test_slices() for other in slices.values())
    assert slices["noise=1"] == InContextRegression(family="noisy", noise=1, dim=20, num_points=41)
    assert [other.chance for other in slices.values()] == [180, 20, 20, 20, 21]
    plain = tasks.preset("garg-linear")
    assert plain.test_slices() == {}


def test_published_settings() -> None:
    for name, length in (("linear", 81), ("sparse", 81), ("relu", 201), ("tree", 201)):
        task = tasks.preset(f"garg-{name}")
        assert (task.context.length, task.context.input_dim) == (length, 20)
    assert tasks.preset("in-context-regression-cpu").context.length == 21


REFUSED = [
    ({"family": "sparse", "dim": 2}, "dim=2 with family=sparse: needs >= 3"),
    ({"noise": 0.1}, "noise=0.1 with family=linear: noise > 0 needs family=noisy"),
    ({"family": "noisy"}, "noise=0.0 with family=noisy"),
    (
        {"family": "tree", "shift": "skewed"},
        "shift=skewed with family=tree: needs family=linear",
    ),
    (
        {"shift": "scaled", "test_shifts": True},
        "test_shifts=yes with family=linear and shift=scaled: needs family=linear and shift=none",
    ),
    ({"dim": 1, "shift": "half-space"}, "dim=1 has no half of its dimensions: shifts need >= 2"),
    ({"family": "cubic"}, "family: .*'linear'.*got 'cubic'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-regression", **fields)
