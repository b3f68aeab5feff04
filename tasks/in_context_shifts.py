"""Other laws of the points of a regression: what a model that learned the plain one is tested on.

scaled      points are three times as large
skewed      deviations 1, 1/2, 1/3, ... along random axes
half-space  points of a random half of all dimensions
orthogonal  every point is orthogonal to those before it, d at a time: they tell nothing about it

The mean square of points is d as without a shift, but where they are scaled.

Source:  Garg et al. 2022, "What can Transformers learn in-context?", arXiv:2208.01066, section 4;
         dtsip/in-context-learning@main src/eval.py.
Differs: axes are drawn for each example, upstream's once.  Upstream asks for one orthogonal point
         behind points that are not.  Sizes as recalled; not checked against the paper.

Axes: B examples, P points, d coordinates.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from tasks.normals import normals
from tasks.rng import Floats, Words

Shift = Literal["none", "scaled", "skewed", "half-space", "orthogonal"]
SHIFTS: tuple[Shift, ...] = get_args(Shift)[1:]
SCALE = 3.0


def shifted(x: Floats, shift: Shift, keys: Words, field: int) -> Floats:
    """Standard normal points, moved; axes are drawn from the field.             (B, P, d)"""
    dim = x.shape[2]
    if shift == "none":
        return x
    if shift == "scaled":
        return SCALE * x
    if shift == "orthogonal":
        blocks = [orthogonal(x[:, i : i + dim]) for i in range(0, x.shape[1], dim)]
        return np.concatenate(blocks, axis=1)
    axes = orthogonal(normals(keys, field, dim * dim).reshape(-1, dim, dim))
    axes /= np.sqrt((axes**2).sum(axis=2, keepdims=True))
    return (x * deviations(dim, shift)) @ axes


def deviations(dim: int, shift: Shift) -> Floats:
    """Along each axis; their squares add up to d.                                    (d,)"""
    rank = np.arange(1, dim + 1)
    sizes = 1.0 / rank if shift == "skewed" else (rank <= dim // 2).astype(np.float64)
    return sizes * (dim / (sizes**2).sum()) ** 0.5


def orthogonal(x: Floats) -> Floats:
    """Rows of which each is orthogonal to those before it and as long as it was.   (B, n, d)

    Gram and Schmidt, twice: once leaves an error where little is left of a row.
    """
    found = np.zeros_like(x)
    for i in range(x.shape[1]):
        rest = x[:, i]
        for _ in range(2):
            parts = (found[:, :i] * rest[:, None]).sum(axis=2)
            rest = rest - (parts[..., None] * found[:, :i]).sum(axis=1)
        found[:, i] = rest / np.sqrt((rest**2).sum(axis=1, keepdims=True))
    return found * np.sqrt((x**2).sum(axis=2, keepdims=True))
