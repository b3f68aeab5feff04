"""Scores of a model on held-out batches: overall, and by the task's factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

    Args: outputs (M, V) and labels (M,); or both (M, K), or (M, 1) and (M,).
    """
    if labels.is_floating_point():
        return F.mse_loss(outputs.reshape(labels.shape), labels, reduction=reduction)
    return F.cross_entropy(outputs, labels, reduction=reduction)


def outputs_of(model: Model, batch: Labelled) -> Tensor:
    """The model's answers at the labels. (M, V)"""
    return model(batch.inputs, rows=batch.rows, lengths=batch.lengths)


@dataclass(frozen=True)
class Answers:
    """What a model said at M labels, beside what was right."""

    losses: np.ndarray  # (M,)
    labels: np.ndarray  # (M,) or (M, K)
    right: np.ndarray | None  # (M,); None for real targets
    owners: np.ndarray  # (M,) which example
    spans: np.ndarray | None  # (M,) which answer of several tokens, -1 for none

    def of(self, keep: np.ndarray) -> Answers:
        """Those of some labels. keep: (M,) bool."""
        parts = (self.losses, self.labels, self.right, self.owners, self.spans)
        return Answers(*(None if x is None else x[keep] for x in parts))  # pyright: ignore


@torch.no_grad()
def score(
    model: Model, batches: Sequence[Held], split: str, device: str, part: str = "all"
) -> list[Score]:
    """Loss and accuracies in eval mode; of the test split also by factor.

    part        the name of these batches as a slice: others than "all" are not sliced further

    loss        nats a label, or the mean squared error of real targets
    accuracy    share of labels               exact       share of examples, all labels right
    span_exact  share of answers of several tokens that are right in all
    bits              loss / ln 2             example_accuracy  mean over examples
    macro_accuracy    mean over classes, as MAD counts
    rmse, nrmse       root of the loss, and that over the deviation of the targets
    """
    was_training = model.training
    model.eval()
    answers = _joined([_answers(model, held.batch, device) for held in batches], batches)
    model.train(was_training)
    if not len(answers.losses):
        return []
    found = [Score(split, part, *one) for one in _main(answers)]
    if split == "test":
        found += [Score(split, part, *one) for one in _further(answers)]
    if split == "test" and part == "all":
        for name, values in _concatenated(batches).items():
            for label, chosen in _slices(name, values):
                some = answers.of(chosen[answers.owners])
                if len(some.losses):
                    found += [Score(split, label, *one) for one in _main(some)]
    return found


def _answers(model: Model, batch: Labelled, device: str) -> Answers:
    outputs = outputs_of(model, batch.to(device))
    labels = batch.labels.to(device)
    losses = loss_of(outputs, labels, reduction="none")
    right = None if labels.is_floating_point() else outputs.argmax(-1) == labels
    return Answers(
        losses=(losses.flatten(1).mean(1) if losses.dim() > 1 else losses).double().cpu().numpy(),
        labels=batch.labels.numpy(),
        right=None if right is None else right.cpu().numpy(),
        owners=batch.owners.numpy(),
        spans=None if batch.spans is None else batch.spans.numpy(),
    )


def _joined(parts: Sequence[Answers], batches: Sequence[Held]) -> Answers:
    """The answers of all batches, examples and spans numbered through."""
    first, owners, spans, span = 0, [], [], 0
    for part, held in zip(parts, batches, strict=True):
        owners.append(part.owners + first)
        first += len(held.batch.inputs)
        if part.spans is not None:
            spans.append(np.where(part.spans < 0, -1, part.spans + span))
            span += int(part.spans.max(initial=-1)) + 1
    right = [part.right for part in parts if part.right is not None]
    return Answers(
        losses=np.concatenate([part.losses for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        right=np.concatenate(right) if right else None,
        owners=np.concatenate(owners),
        spans=np.concatenate(spans) if spans else None,
    )


def _main(a: Answers) -> Iterator[tuple[str, float]]:
    yield "loss", float(a.losses.mean())
    if a.right is None:
        return
    yield "accuracy", float(a.right.mean())
    yield "exact", _share_of_groups(a.right, a.owners)
    if a.spans is not None and (inside := a.spans >= 0).any():
        yield "span_exact", _share_of_groups(a.right[inside], a.spans[inside])


def _further(a: Answers) -> Iterator[tuple[str, float]]:
    loss = float(a.losses.mean())
    if a.right is None:
        yield "rmse", loss**0.5
        if (deviation := float(a.labels.std(dtype=np.float64))) > 0:
            yield "nrmse", loss**0.5 / deviation
        return
    yield "bits", loss / math.log(2)
    yield "example_accuracy", _mean_of_groups(a.right, a.owners)
    yield "macro_accuracy", _mean_of_groups(a.right, a.labels)


def _share_of_groups(right: np.ndarray, groups: np.ndarray) -> float:
    """The share of groups without a wrong member."""
    members, wrong = np.bincount(groups), np.bincount(groups, ~right)
    return float((wrong[members > 0] == 0).mean())


def _mean_of_groups(right: np.ndarray, groups: np.ndarray) -> float:
    """The mean over groups of the share that is right in each."""
    members, hits = np.bincount(groups), np.bincount(groups, right)
    return float((hits[members > 0] / members[members > 0]).mean())


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
