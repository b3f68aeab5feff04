"""Task batches as tensors, made ahead of the training step in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sweeps.experiment import STREAM, Experiment
from tasks.batch import Batch
from tasks.task import Task

AHEAD = 8  # batches


@dataclass(frozen=True)
class Labelled:
    """A batch, with its M labels gathered: logits are needed at `rows` only."""

    inputs: Tensor  # (B, L) int64 or (B, L, C) float32
    lengths: Tensor | None  # (B,); None where no sequence is padded
    rows: Tensor | None  # (M,) places in the flat B * L; None where there is a label a sequence
    labels: Tensor  # (M,) int64, or float32 for regression
    owners: Tensor  # (M,) which example each label belongs to

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
        )


def gather(batch: Batch) -> Labelled:
    """The labels that are scored, and where they are."""
    targets, mask = batch.targets, batch.mask
    places = np.flatnonzero(mask)
    padded = bool((batch.lengths < batch.inputs.shape[1]).any())
    per_example = int(np.prod(targets.shape[1:], dtype=np.int64))
    return Labelled(
        inputs=torch.from_numpy(batch.inputs),
        lengths=torch.from_numpy(batch.lengths) if padded else None,
        rows=torch.from_numpy(places) if targets.ndim == 2 else None,
        labels=torch.from_numpy(targets.reshape(-1)[places]),
        owners=torch.from_numpy(places // per_example),
    )


def training_indices(experiment: Experiment, step: int) -> np.ndarray:
    """The stream indices of one step: every seed its own stream, no index twice."""
    size = experiment.train.batch_size
    first = experiment.seed * STREAM + step * size
    return np.arange(first, first + size, dtype=np.int64)


def training_batches(experiment: Experiment, start: int) -> Iterator[Labelled]:
    """The batches of steps `start`, ... in order, made ahead in a thread."""
    steps = range(start, experiment.train.steps)

    def make(step: int) -> Labelled:
        return gather(experiment.task.generate(training_indices(experiment, step), "train"))

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
    found = []
    for first in range(0, num, batch_size):
        indices = np.arange(first, min(num, first + batch_size), dtype=np.int64)
        batch = task.generate(indices, split)
        found.append(Held(gather(batch), batch.factors))
    return found
