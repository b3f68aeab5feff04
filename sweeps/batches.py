"""Task batches as tensors, made ahead of the training step in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sweeps.experiment import Experiment
from tasks import rng
from tasks.batch import Batch
from tasks.cache import source_of
from tasks.task import STREAM, Task

AHEAD = 8  # batches


@dataclass(frozen=True)
class Labelled:
    """A batch, with its M labels gathered: logits are needed at `rows` only."""

    inputs: Tensor  # (B, L) int64 or (B, L, C) float32
    lengths: Tensor | None  # (B,); None where no sequence is padded
    rows: Tensor | None  # (M,) places in the flat B * L; None where there is a label a sequence
    labels: Tensor  # (M,) int64, or (M, K) float32
    owners: Tensor  # (M,) which example each label belongs to
    spans: Tensor | None = None  # (M,) which answer of the batch, -1 for none

    def to(self, device: str) -> Labelled:
        """The same batch on another device."""
        if device == "cpu":
            return self
        return Labelled(
            inputs=self.inputs.to(device, non_blocking=True),
            lengths=None if self.lengths is None else self.lengths.to(device),
            rows=None if self.rows is None else self.rows.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            owners=self.owners,  # read where scores are counted, on the CPU
            spans=self.spans,
        )


def gather(batch: Batch) -> Labelled:
    """The labels that are scored, and where they are."""
    batch = _cut(batch)
    targets, mask = batch.targets, batch.mask
    is_real = targets.dtype.kind == "f"
    if is_real:  # K numbers are one answer
        mask = mask.all(-1)
    places = np.flatnonzero(mask)
    padded = bool((batch.lengths < batch.inputs.shape[1]).any())
    owners = places // (mask.shape[1] if mask.ndim == 2 else 1)
    labels = targets.reshape(-1, targets.shape[-1]) if is_real else targets.reshape(-1)
    return Labelled(
        inputs=torch.from_numpy(batch.inputs),
        lengths=torch.from_numpy(batch.lengths) if padded else None,
        rows=torch.from_numpy(places) if mask.ndim == 2 else None,
        labels=torch.from_numpy(labels[places]),
        owners=torch.from_numpy(owners),
        spans=None if batch.spans is None else torch.from_numpy(_numbered(batch.spans, places)),
    )


def _cut(batch: Batch) -> Batch:
    """Without the positions that are padding in every example."""
    longest = int(batch.lengths.max(initial=1))
    length = batch.inputs.shape[1]
    if longest == length:
        return batch
    at_positions = batch.targets.shape[1:2] == (length,)  # and not one answer a sequence
    return Batch(
        inputs=np.ascontiguousarray(batch.inputs[:, :longest]),
        targets=batch.targets[:, :longest] if at_positions else batch.targets,
        mask=batch.mask[:, :longest] if at_positions else batch.mask,
        lengths=batch.lengths,
        factors=batch.factors,
        spans=None if batch.spans is None else batch.spans[:, :longest],
    )


def _numbered(spans: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The answers of a batch by number, -1 for what is none: (B, L) to (M,)."""
    most = int(spans.max(initial=0)) + 1
    here = spans.reshape(-1)[places].astype(np.int64)
    return np.where(here < 0, -1, here + places // spans.shape[1] * most)


def training_indices(experiment: Experiment, step: int) -> np.ndarray:
    """The examples of one step: a stream of each seed's own, or epochs of a fixed set.

    Every epoch shows the same `num_train` examples in an order of its own, drawn from the seed.
    """
    train, seed = experiment.train, experiment.seed
    places = np.arange(step * train.batch_size, (step + 1) * train.batch_size, dtype=np.int64)
    if train.num_train is None:
        return places + seed * STREAM
    epochs, within = places // train.num_train, places % train.num_train
    found = np.empty_like(places)
    for epoch in np.unique(epochs).tolist():
        here = epochs == epoch
        found[here] = _order(train.num_train, seed, epoch)[within[here]]
    return found


@lru_cache(maxsize=4)
def _order(num: int, seed: int, epoch: int) -> np.ndarray:
    key = np.array([rng.stream_key(["epoch", seed, epoch])], rng.U)
    return rng.permutation(key, 1, num)[0]


def training_batches(experiment: Experiment, start: int) -> Iterator[Labelled]:
    """The batches of steps `start`, ... in order, made ahead in a thread."""
    steps, source = range(start, experiment.train.steps), source_of(experiment.task)

    def make(step: int) -> Labelled:
        return gather(source.generate(training_indices(experiment, step), "train"))

    return _ahead(make, steps)


def _ahead(make: Callable[[int], Labelled], steps: range) -> Iterator[Labelled]:
    """`map(make, steps)`, computed up to `AHEAD` items early; ends with its consumer."""
    made: queue.Queue[Labelled | BaseException | None] = queue.Queue(AHEAD)
    closed = threading.Event()

    def put(item: Labelled | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for step in steps:
                if not put(make(step)):
                    return
            put(None)
        except BaseException as error:  # raised again where the batch was wanted
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()


@dataclass(frozen=True)
class Held:
    """A held-out batch: what is scored, and the factors to slice by."""

    batch: Labelled
    factors: dict[str, np.ndarray]


def held_out(task: Task, split: str, num: int, batch_size: int) -> list[Held]:
    """The first `num` examples of a split: the same for every seed and arm."""
    found, source = [], source_of(task)
    for first in range(0, num, batch_size):
        indices = np.arange(first, min(num, first + batch_size), dtype=np.int64)
        batch = source.generate(indices, split)
        found.append(Held(gather(batch), batch.factors))
    return found
