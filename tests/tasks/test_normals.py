"""Normal variates: their law, and that they need no mathematical library."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from tasks import rng
from tasks.normals import directions, normals


def keys(num: int) -> rng.Words:
    return rng.example_keys(12, np.arange(num, dtype=rng.U))


def test_directions_are_those_of_the_library() -> None:
    drawn = rng.words(keys(500), 1, 8)
    cosine, sine = directions(drawn)
    angle = np.arctan2(np.abs(sine), np.abs(cosine))
    assert np.abs(np.cos(angle) - np.abs(cosine)).max() < 1e-11
    assert np.abs(cosine**2 + sine**2 - 1).max() < 1e-11
    assert (cosine != 0).all()
    assert (sine != 0).all()
    octants = np.bincount((drawn >> rng.U(61)).astype(np.int64).reshape(-1), minlength=8)
    assert stats.chisquare(octants).pvalue > 1e-4
    signs = 2 * (cosine < 0) + (sine < 0)
    assert stats.chisquare(np.bincount(signs.reshape(-1), minlength=4)).pvalue > 1e-4


def test_angles_are_uniform() -> None:
    cosine, sine = directions(rng.words(keys(20_000), 3, 1))
    turns = np.arctan2(sine, cosine)[:, 0] / (2 * math.pi) + 0.5
    assert stats.kstest(turns, "uniform").pvalue > 1e-4


def test_normals_are_normal_and_independent() -> None:
    drawn = normals(keys(20_000), 1, 5)
    assert drawn.shape == (20_000, 5)
    for column in drawn.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    off = ~np.eye(5, dtype=bool)
    for power in (1, 2):
        assert np.abs(np.corrcoef(drawn.T**power)[off]).max() < 5 / 20_000**0.5


def test_a_field_more_moves_nothing() -> None:
    assert np.array_equal(normals(keys(4), 1, 6), normals(keys(9), 1, 6)[:4])
    assert not np.array_equal(normals(keys(4), 1, 6), normals(keys(4), 2, 6))
    assert normals(keys(0), 1, 6).shape == (0, 6)
