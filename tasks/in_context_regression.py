"""In-context regression: a new function in every example, to be read off its own points.

    x1  (y1, 0, ..., 0)  x2  (y2, 0, ..., 0)  ...  xP        y_i is due at x_i

Source:  Garg et al. 2022, "What can Transformers learn in-context?", arXiv:2208.01066;
         dtsip/in-context-learning@main src/tasks.py.
Differs: the growing numbers of dimensions and points of the published training are not here, they
         belong to a run.  Shifted points: see `in_context_shifts`.  Signs come from bits and sums
         have an order: data are equal everywhere; relu and shifted points are to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.in_context_shifts import SCALE, SHIFTS, Shift, shifted
from tasks.normals import normals
from tasks.published import Preset
from tasks.rng import Floats, Words, distinct, integers
from tasks.task import Content, Task
from zoo.spec import Context

POINTS, WEIGHTS, CHOICE, NOISE, LEAVES, AXES = range(1, 7)
SPARSE, HIDDEN, DEPTH = 3, 100, 4  # coordinates, units, decisions
SETTLED = 1e-6  # of a column's size: below it, it adds nothing to those before
Family = Literal["linear", "sparse", "noisy", "quadratic", "relu", "tree", "sign"]


class InContextRegression(Task, kind="in-context-regression"):
    """In-context regression: predict y at each new x from the pairs (x, y) before it.

    linear     y = w x            sparse  w has three coordinates     noisy  y = w x + noise
    quadratic  y = w x^2 / sqrt 3         sign    y = +1 or -1, the sign of w x
    relu       two layers of 100 units    tree    four decisions on signs of coordinates
    x and w are standard normal.  The oracle solves least squares, for quadratic in the squares,
    with noise by the ridge of its variance; for sign, relu and tree a ridge stands in.
    shift: points of another law.  test_shifts=yes: tested on each of these besides, and on noise.
    """

    metric: ClassVar[Any] = "loss"
    factors: ClassVar[dict[str, str]] = {}

    family: Annotated[Family, Field(description="what the function is")] = "linear"
    dim: Annotated[int, Field(ge=1, le=2**12, description="coordinates d of x")] = 5
    num_points: Annotated[int, Field(ge=1, le=2**16, description="points P")] = 11
    noise: Annotated[float, Field(ge=0, le=100, description="its size; for family=noisy")] = 0.0

    shift: Annotated[Shift, Field(description="another law of the points x")] = "none"
    test_shifts: Annotated[bool, Field(description="test besides on shifted points")] = False

    def problems(self) -> Iterator[str]:
        if self.family == "sparse" and self.dim < SPARSE:
            yield f"dim={self.dim} with family=sparse: needs >= {SPARSE}"
        if (self.noise > 0) != (self.family == "noisy"):
            yield f"noise={self.noise} with family={self.family}: noise > 0 needs family=noisy"
        if self.shift != "none" and self.family != "linear":
            yield f"shift={self.shift} with family={self.family}: needs family=linear"
        if self.test_shifts and (self.family != "linear" or self.shift != "none"):
            yield (
                f"test_shifts=yes with family={self.family} and shift={self.shift}: needs "
                "family=linear and shift=none"
            )
        if self.dim < 2 and (self.shift == "half-space" or self.test_shifts):
            yield f"dim={self.dim} has no half of its dimensions: shifts need >= 2"

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    @property
    def context(self) -> Context:
        length = 2 * self.num_points - 1
        return Context(input_dim=self.dim, num_outputs=1, length=length, head="trace")

    @property
    def chance(self) -> float:
        """The mean of y^2: its mean is 0."""
        if self.family in ("tree", "sign"):
            return 1.0
        size = SCALE**2 if self.shift == "scaled" else 1.0
        return float(SPARSE if self.family == "sparse" else size * self.dim + self.noise**2)

    def test_slices(self) -> dict[str, Task]:
        if not self.test_shifts:
            return {}
        plain = {n: getattr(self, n) for n in type(self).model_fields} | {"test_shifts": False}
        others: dict[str, dict[str, Any]] = {f"shift={shift}": {"shift": shift} for shift in SHIFTS}
        others["noise=1"] = {"family": "noisy", "noise": 1.0}
        return {n: InContextRegression.model_validate(plain | f) for n, f in others.items()}

    @property
    def least_squares(self) -> float:
        """The mean squared error of least squares: i points leave the share 1 - i / d of w
        unknown; for the other families, and skewed points, a bound, the noise.
        """
        if self.family not in ("linear", "sparse") or self.shift == "skewed":
            return self.noise**2
        rank = self.dim // 2 if self.shift == "half-space" else self.dim
        unknown = np.maximum(0, 1 - np.arange(self.num_points) / rank)
        if self.shift == "orthogonal":
            unknown = np.ceil(unknown)  # none of the weights that count, then all of them
        return float(self.chance * unknown.mean())

    @property
    def num_contents(self) -> int:
        return 2**64  # real numbers

    @property
    def ridge(self) -> float:
        """The weight of |w|^2 in the oracle's sum of squares."""
        return float(self.dim) if self.family in ("sign", "relu", "tree") else self.noise**2

    def determined(self, split: str) -> bool:
        return False  # before there are d points

    def draw(self, keys: Words, split: str) -> Content:
        return {"key": keys.view(np.int64)[:, None].copy()}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num, shape = len(keys), (len(keys), self.num_points, self.dim)
        x = normals(keys, POINTS, self.num_points * self.dim).reshape(shape)
        x = shifted(x, self.shift, keys, AXES)
        y = self._values(keys, x)
        inputs = np.zeros((num, self.context.length, self.dim), np.float32)
        inputs[:, ::2] = x
        inputs[:, 1::2, 0] = y[:, :-1]
        targets = np.zeros((num, self.context.length, 1), np.float32)
        targets[:, ::2, 0] = y
        batch = Batch.of(inputs, targets)
        batch.mask[:, 1::2] = False
        return batch

    def _values(self, keys: Words, x: Floats) -> Floats:
        """What is y at each x (B, P, d).                                             (B, P)"""
        if self.family == "tree":
            return self._tree(keys, x)
        if self.family == "relu":
            return self._relu(keys, x)
        weights = normals(keys, WEIGHTS, self.dim)
        if self.family == "sparse":
            kept = np.zeros(weights.shape, np.bool_)
            np.put_along_axis(kept, distinct(keys, CHOICE, SPARSE, self.dim), True, axis=1)
            weights = np.where(kept, weights, 0.0)
        if self.family == "quadratic":
            return _product(x * x, weights) / 3**0.5
        y = _product(x, weights)
        if self.family == "noisy":
            y += self.noise * normals(keys, NOISE, self.num_points)
        return np.where(y < 0, -1.0, 1.0) if self.family == "sign" else y

    def _relu(self, keys: Words, x: Floats) -> Floats:
        inner = normals(keys, WEIGHTS, self.dim * HIDDEN).reshape(-1, self.dim, HIDDEN)
        outer = normals(keys, LEAVES, HIDDEN)
        return (np.maximum(x @ inner, 0) @ outer[:, :, None])[..., 0] * (2 / HIDDEN) ** 0.5

    def _tree(self, keys: Words, x: Floats) -> Floats:
        """Node n asks for a coordinate's sign, and leads to node 2n or 2n + 1."""
        asked = integers(keys, CHOICE, 2**DEPTH, self.dim)
        node = np.ones(x.shape[:2], np.int64)
        for _ in range(DEPTH):
            coordinate = np.take_along_axis(asked, node, axis=1)
            chosen = np.take_along_axis(x, coordinate[..., None], axis=2)[..., 0]
            node = 2 * node + (chosen > 0)
        return np.take_along_axis(normals(keys, LEAVES, 2**DEPTH), node - 2**DEPTH, axis=1)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        """Least squares on the points before; 0 at the places that are not scored."""
        x, y = inputs[:, ::2].astype(np.float64), inputs[:, 1::2, 0].astype(np.float64)
        if self.family == "quadratic":
            x = x * x
        answers = np.zeros((*inputs.shape[:2], 1), np.float32)
        for i in range(1, x.shape[1]):
            weights = _least_squares(x[:, :i], y[:, :i], self.ridge)
            answers[:, 2 * i, 0] = (x[:, i] * weights).sum(axis=1)
        return answers


def _product(x: Floats, weights: Floats) -> Floats:
    """The sums x w, in the order of the coordinates.                                (B, P)"""
    total = np.zeros(x.shape[:2])
    for j in range(x.shape[2]):
        total += x[..., j] * weights[:, j, None]
    return total


def _least_squares(x: Floats, y: Floats, ridge: float) -> NDArray[Any]:
    """The smallest w with the least |x w - y|^2 + ridge |w|^2.                      (B, d)"""
    across = x.swapaxes(1, 2)
    if ridge:
        weights = np.linalg.solve(across @ x + ridge * np.eye(x.shape[2]), across @ y[..., None])
        return weights[..., 0]
    weights = np.linalg.pinv(x, rcond=SETTLED) @ y[..., None]
    return weights[..., 0]


def _garg(family: Family, num_points: int, noise: float = 0.0) -> Preset:
    name = {"relu": "two-layer ReLU networks", "tree": "decision trees"}.get(family, family)
    return Preset(
        name=f"garg-{family}",
        paper="Garg et al. 2022, arXiv:2208.01066",
        section=f"{name}, 20 dimensions",
        upstream="dtsip/in-context-learning src/tasks.py",
        differs=("all dimensions and points from the start, no curriculum",),
        value=InContextRegression(family=family, dim=20, num_points=num_points, noise=noise),
    )


PUBLISHED = (
    _garg("linear", 41),
    _garg("sparse", 41),
    _garg("relu", 101),
    _garg("tree", 101),
    Preset(
        name="garg-linear-shifts",
        paper="Garg et al. 2022, arXiv:2208.01066",
        section="linear, 20 dimensions, tested on shifted points and noisy values",
        upstream="dtsip/in-context-learning src/eval.py",
        differs=(
            "all dimensions and points from the start, no curriculum",
            "one scale, 3; all points are orthogonal, not the last one alone",
        ),
        value=InContextRegression(dim=20, num_points=41, test_shifts=True),
    ),
    Preset(
        name="in-context-regression-cpu",
        paper="seqzoo",
        section="linear, 5 dimensions, 11 points",
        upstream="-",
        value=InContextRegression(),
    ),
)
