"""Batch: examples as arrays.

Axes: B examples, L positions, C features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

IGNORE = -100  # target of a position that is not scored: cross_entropy's default
ARRAYS = ("inputs", "targets", "mask", "lengths")


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples. `targets[b, t]` is what to answer at position t, having read inputs[b, :t + 1].

    inputs   ids int64, or reals float32                              (B, L) or (B, L, C)
    targets  ids int64, IGNORE where nothing is scored; or one label  (B, L) or (B,)
             reals float32: at every position, or for the sequence    (B, L, K) or (B, K)
    mask     True where scored, of targets' shape
    lengths  positions that count, int64; behind them inputs are 0    (B,)
    factors  what to slice results by: name -> array                  (B,)
    spans    answers of several tokens by number, -1 outside, int32   (B, L)
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    mask: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    factors: dict[str, NDArray[Any]]
    spans: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def of(cls, inputs: NDArray[Any], targets: NDArray[Any], **factors: Any) -> Self:
        """Sequences of full length; a factor may be one number for all of them."""
        return cls.padded(inputs, targets, np.full(len(inputs), inputs.shape[1]), **factors)

    @classmethod
    def padded(
        cls, inputs: NDArray[Any], targets: NDArray[Any], lengths: NDArray[Any], **factors: Any
    ) -> Self:
        """Sequences of which the first `lengths` (B,) positions count."""
        num = len(inputs)
        columns = {name: np.array(np.broadcast_to(x, num)) for name, x in factors.items()}
        mask = np.ones(targets.shape, np.bool_) if targets.dtype.kind == "f" else targets != IGNORE
        return cls(inputs, targets, mask, lengths.astype(np.int64), columns)

    @classmethod
    def answered(
        cls, inputs: NDArray[Any], at: NDArray[Any], answers: NDArray[Any], **factors: Any
    ) -> Self:
        """Scored at the positions `at` only, (M,) or (B, M), with `answers` (B, M)."""
        targets = np.full(inputs.shape, IGNORE)
        scatter(targets, at, answers)
        return cls.of(inputs, targets, **factors)

    @classmethod
    def next_tokens(cls, inputs: NDArray[Any], last: NDArray[Any], **factors: Any) -> Self:
        """Scored everywhere: the token that follows, and `last` (B,) at the end."""
        targets = np.concatenate([inputs[:, 1:], last[:, None]], axis=1)
        return cls.of(inputs, targets, **factors)

    def at(self, rows: slice | NDArray[Any]) -> Self:
        """Some of the examples: numbers (M,) or a mask (B,)."""
        columns = {name: column[rows] for name, column in self.factors.items()}
        arrays = [getattr(self, name)[rows] for name in ARRAYS]
        spans = None if self.spans is None else self.spans[rows]
        return type(self)(arrays[0], arrays[1], arrays[2], arrays[3], columns, spans)

    def room(self, num: int) -> Self:
        """Space for `num` examples of this kind."""

        def empty(array: NDArray[Any]) -> NDArray[Any]:
            return np.empty((num, *array.shape[1:]), array.dtype)

        columns = {name: empty(column) for name, column in self.factors.items()}
        arrays = [empty(getattr(self, name)) for name in ARRAYS]
        spans = None if self.spans is None else empty(self.spans)
        return type(self)(arrays[0], arrays[1], arrays[2], arrays[3], columns, spans)

    def put(self, here: slice | NDArray[np.intp], part: Self) -> None:
        """Copy the part's examples to these places."""
        for name in ARRAYS:
            getattr(self, name)[here] = getattr(part, name)
        for name, column in self.factors.items():
            column[here] = part.factors[name]
        if self.spans is not None and part.spans is not None:
            self.spans[here] = part.spans


def scatter(array: NDArray[Any], at: NDArray[Any], values: NDArray[Any] | int) -> None:
    """array[b, at[b, m]] = values[b, m], in place; `at` is (M,) or (B, M)."""
    rows = np.arange(len(array))[:, None] * array.shape[1]
    array.reshape(-1)[rows + at] = values
