"""Scores that the targets alone do not give: of what a model writes, and against the true law.

Source: of validity by writing, the divergence from a known law and its kin:
        "Physics of Language Models", arXiv:2305.13673, and "RegBench", arXiv:2401.12973.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from sweeps.batches import gather
from sweeps.experiment import TrainSpec
from sweeps.scores import outputs_of
from sweeps.writing import write
from tasks.batch import Batch
from tasks.nested import longer
from tasks.task import Task
from zoo.model import Model

Found = Iterator[tuple[str, float]]
AT_ONCE = 256  # examples that are written together: each token takes a pass of the model


def beyond(model: Model, task: Task, split: str, train: TrainSpec) -> Found:
    """The scores, by name: of the test split all, of others what the task leads with.

    valid, ...        how right, 0 to 1, answers are that the model writes itself
    distinct@...      of drawn answers, without what was given: how many different ones, a draw
    admissible        share of scored places where the likeliest token could stand
    kl_bits           divergence of the model's law from the true one, a label
    total_variation   half the sum of absolute differences, a label
    excess_loss       nats a label above what the true law loses on these labels
    """
    was_training = model.training
    model.eval()
    if split == "test" or task.metric in task.writings:
        yield from _written(model, task, split, train)
    if split == "test" and not task.context.is_real:
        yield from _against_the_law(model, task, train)
    model.train(was_training)


def _written(model: Model, task: Task, split: str, train: TrainSpec) -> Found:
    for name, writing in task.writings.items():
        if split != "test" and name != task.metric:
            continue
        generator, accepted, texts = torch.Generator().manual_seed(0), [], []
        for batch in _batches(task, split, train.num_eval, AT_ONCE):
            some = batch.at(batch.mask.sum(1) > writing.given)
            if len(some):
                answers = write(model, some, writing, generator)
                accepted.append(task.accepts(some, answers))
                own = answers[:, writing.given :]
                texts += [tuple(np.trim_zeros(text, "b").tolist()) for text in own]
        if accepted:
            yield name, float(np.concatenate(accepted).mean())
        if writing.sampled and texts:
            yield name.replace("valid", "distinct"), len(set(texts)) / len(texts)


@torch.no_grad()
def _against_the_law(model: Model, task: Task, train: TrainSpec) -> Found:
    device = str(next(model.parameters()).device)
    right, kl, variation, excess = [], [], [], []
    batches = _laws(task, train.num_eval, train.batch_size)  # pyright: ignore[reportArgumentType]
    for batch, law, some in batches:
        if some is None:
            return  # one right answer each
        here = gather(batch).to(device)
        logs = outputs_of(model, here).double().log_softmax(-1).cpu().numpy()
        places = np.arange(len(logs))
        right.append(longer(some, logs.shape[1], value=False)[places, logs.argmax(-1)])
        if law is None:
            continue
        law = longer(law, logs.shape[1], 0.0)  # a longer slice may have more classes
        labels = here.labels.cpu().numpy()
        true = np.log(np.where(law > 0, law, 1.0))
        kl.append((law * np.where(law > 0, true - logs, 0.0)).sum(-1))
        variation.append(np.abs(law - np.exp(logs)).sum(-1) / 2)
        excess.append(true[places, labels] - logs[places, labels])
    if not all(some.all() for _, _, some in batches if some is not None):
        yield "admissible", float(np.concatenate(right).mean())
    if kl:
        yield "kl_bits", float(np.concatenate(kl).mean()) / math.log(2)
        yield "total_variation", float(np.concatenate(variation).mean())
        yield "excess_loss", float(np.concatenate(excess).mean())


Law = np.ndarray | None


@lru_cache(maxsize=2)
def _laws(task: Task, num: int, batch_size: int) -> list[tuple[Batch, Law, Law]]:
    """Batches of the test split with their law and what is admissible: the same for all models."""
    found = []
    for batch in _batches(task, "test", num, batch_size):
        found.append((batch, task.true_probs(batch), task.admissible(batch)))
        if found[0][2] is None:
            break
    return found


def _batches(task: Task, split: str, num: int, batch_size: int) -> Iterator[Batch]:
    for first in range(0, num, batch_size):
        yield task.generate(np.arange(first, min(num, first + batch_size)), split)
