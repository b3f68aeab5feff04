"""Which examples a step sees, and what of a batch reaches the model."""

from __future__ import annotations

import numpy as np
import torch

from sweeps.batches import gather, training_batches, training_indices
from sweeps.experiment import Experiment, TrainSpec
from sweeps.train import run_experiment
from tasks.batch import Batch
from tasks.induction import Induction
from tasks.length_suite import LengthSuite
from tasks.mqar import Mqar
from tasks.task import STREAM
from zoo.model import ModelSpec

TASK = Mqar(vocab_size=16, length=16, num_pairs=2)


def experiment(seed: int = 0, **train: object) -> Experiment:
    spec = TrainSpec.model_validate({"steps": 50, "batch_size": 8} | train)
    return Experiment(task=TASK, model=ModelSpec(width=8), train=spec, seed=seed)


def test_a_stream_never_repeats() -> None:
    for seed in (0, 3):
        seen = np.concatenate([training_indices(experiment(seed), step) for step in range(50)])
        assert np.array_equal(seen, seed * STREAM + np.arange(400))


def test_epochs_of_a_fixed_set() -> None:
    """20 examples, 8 a step: every epoch shows each once, in another order, for any seed."""
    orders = []
    for seed in (0, 3):
        one = experiment(seed, num_train=20)
        seen = np.concatenate([training_indices(one, step) for step in range(50)])
        epochs = seen.reshape(20, 20)
        assert (np.sort(epochs, axis=1) == np.arange(20)).all()
        assert len({tuple(epoch) for epoch in epochs}) == 20
        orders.append(seen)
        assert np.array_equal(training_indices(one, 31), seen[31 * 8 : 32 * 8]), "by step alone"
    assert not np.array_equal(*orders)


def test_runs_read_the_cache(tmp_path, monkeypatch) -> None:
    from tasks import cache

    list(cache.write(TASK, "train", 400, tmp_path))
    read = []
    plain = cache.Cached.generate
    monkeypatch.setattr(cache.Cached, "generate", lambda *words: read.append(1) or plain(*words))
    made = [batch.inputs for batch in training_batches(experiment(), 0)]
    assert not read
    monkeypatch.setenv("SEQZOO_TASKS", str(tmp_path))
    again = [batch.inputs for batch in training_batches(experiment(), 0)]
    assert len(read) == 50
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))


def test_common_padding_is_cut_off() -> None:
    lengths = np.array([3, 5])
    inputs = np.where(np.arange(9) < lengths[:, None], 7, 0)
    targets = np.where(np.arange(9) == lengths[:, None] - 1, 4, -100)
    spans = np.where(targets == 4, 0, -1).astype(np.int32)
    made = gather(Batch(inputs, targets, targets == 4, lengths, {}, spans))
    assert made.inputs.tolist() == [[7, 7, 7, 0, 0], [7] * 5]
    assert made.rows is not None
    assert made.rows.tolist() == [2, 9]
    assert made.labels.tolist() == [4, 4]
    assert made.owners.tolist() == [0, 1]
    assert made.spans is not None
    assert made.spans.tolist() == [0, 1]
    label = gather(Batch(inputs, np.array([1, 0]), np.ones(2, bool), lengths, {}))
    assert label.inputs.shape == (2, 5)
    assert label.labels.tolist() == [1, 0]


def test_a_run_is_tested_at_every_length_of_a_suite(tmp_path) -> None:
    suite = LengthSuite(inner=Induction(length=8, vocab_size=4), lengths=(16, 32))
    train = TrainSpec(steps=3, batch_size=4, num_eval=40, eval_every=3)
    one = Experiment(task=suite, model=ModelSpec(width=8), train=train)
    result = run_experiment(one, root=tmp_path, device="cpu")
    found = {(s.slice, s.metric) for s in result.scores if s.split == "test"}
    assert {("length=16", "accuracy"), ("length=32", "loss"), ("all", "accuracy")} <= found
    assert not any("length=" in s.slice for s in result.scores if s.split == "validation")
    assert all(torch.isfinite(torch.tensor(s.value)) for s in result.scores)
