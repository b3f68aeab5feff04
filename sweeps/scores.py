"""Scores of a model on held-out batches: overall, and by the task's factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sweeps.batches import Held, Labelled
from sweeps.experiment import Score
from zoo.model import Model

MANY = 8  # distinct values of a factor; above, slices are powers of two


def loss_of(outputs: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy for classes, mean squared error for real targets.

    Args: outputs (M, V) or (M, 1) or (M,); labels (M,).
    """
    if labels.is_floating_point():
        return F.mse_loss(outputs.reshape(labels.shape), labels, reduction=reduction)
    return F.cross_entropy(outputs, labels, reduction=reduction)


def outputs_of(model: Model, batch: Labelled) -> Tensor:
    """The model's answers at the labels. (M, V)"""
    return model(batch.inputs, rows=batch.rows, lengths=batch.lengths)


@torch.no_grad()
def score(model: Model, batches: Sequence[Held], split: str, device: str) -> list[Score]:
    """Loss, accuracy over labels and exact match over sequences, in eval mode."""
    was_training = model.training
    model.eval()
    parts = [_answers(model, held.batch.to(device)) for held in batches]
    model.train(was_training)
    losses, right, owners = (np.concatenate(p) for p in _columns(parts, batches))
    found = list(_metrics(split, "all", losses, right, owners))
    if split == "test":
        factors = _concatenated(batches)
        for name, values in factors.items():
            for label, chosen in _slices(name, values):
                keep = chosen[owners]
                found += _metrics(split, label, losses[keep], right[keep], owners[keep])
    return found


def _answers(model: Model, batch: Labelled) -> tuple[Tensor, Tensor | None]:
    outputs = outputs_of(model, batch)
    losses = loss_of(outputs, batch.labels, reduction="none")
    right = None if batch.labels.is_floating_point() else outputs.argmax(-1) == batch.labels
    return losses, right


def _columns(
    parts: Sequence[tuple[Tensor, Tensor | None]], batches: Sequence[Held]
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    losses = [loss.double().cpu().numpy() for loss, _ in parts]
    right = [np.zeros(0, bool) if r is None else r.cpu().numpy() for _, r in parts]
    owners, first = [], 0
    for held in batches:
        owners.append(held.batch.owners.numpy() + first)
        first += len(held.batch.inputs)
    return losses, right, owners


def _metrics(
    split: str, part: str, losses: np.ndarray, right: np.ndarray, owners: np.ndarray
) -> Iterator[Score]:
    if not len(losses):
        return
    yield Score(split, part, "loss", float(losses.mean()))
    if len(right):
        yield Score(split, part, "accuracy", float(right.mean()))
        labels, wrong = np.bincount(owners), np.bincount(owners, ~right)
        yield Score(split, part, "exact", float((wrong[labels > 0] == 0).mean()))


def _concatenated(batches: Sequence[Held]) -> dict[str, np.ndarray]:
    names = batches[0].factors if batches else {}
    return {name: np.concatenate([b.factors[name] for b in batches]) for name in names}


def _slices(name: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(`gap=3`, which examples), or `gap=4..7` where there are many values."""
    distinct = np.unique(values)
    if len(distinct) < 2:
        return
    if len(distinct) <= MANY:
        for value in distinct:
            yield f"{name}={value}", values == value
        return
    bins = np.floor(np.log2(np.maximum(values, 1))).astype(int)
    for b in np.unique(bins):
        low = 0 if b == 0 else 2**b
        yield f"{name}={low}..{2 ** (b + 1) - 1}", bins == b
