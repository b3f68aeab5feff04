"""Scores against sums written out: loss, accuracy, exact match, and slices by factor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sweeps.batches import Held, gather
from sweeps.scores import loss_of, score
from tasks.batch import Batch

VOCABULARY, LENGTH, COUNT = 5, 7, 60


class Table(nn.Module):
    """Answers with fixed logits, whatever it is asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.asked = 0

    def forward(self, inputs: Tensor, *, rows=None, lengths=None) -> Tensor:
        first = self.asked
        self.asked += len(inputs)
        mine = self.logits[first : self.asked]
        return mine if rows is None else mine.flatten(0, 1)[rows]


@pytest.fixture
def made():
    rng = np.random.default_rng()
    logits = rng.normal(size=(COUNT, LENGTH, VOCABULARY))
    targets = rng.integers(0, VOCABULARY, (COUNT, LENGTH))
    mask = rng.random((COUNT, LENGTH)) < 0.4
    mask[0] = False  # an example without any label
    factors = {"kind": rng.integers(0, 3, COUNT), "gap": rng.integers(0, 40, COUNT)}
    targets = np.where(mask, targets, -100)
    return logits, targets, mask, factors


def batches(targets, mask, factors, size):
    for i in range(0, COUNT, size):
        part = slice(i, i + size)
        batch = Batch(
            inputs=np.zeros((len(targets[part]), LENGTH), np.int64),
            targets=targets[part],
            mask=mask[part],
            lengths=np.full(len(targets[part]), LENGTH, np.int64),
            factors={},
        )
        yield Held(gather(batch), {k: v[part] for k, v in factors.items()})


def expected(logits, targets, mask, keep):
    logits, targets, mask = logits[keep], targets[keep], mask[keep]
    shifted = logits - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., None], -1)[..., 0]
    right = logits.argmax(-1) == targets
    asked = mask.any(1)
    return {
        "loss": losses[mask].mean(),
        "accuracy": right[mask].mean(),
        "exact": (right | ~mask).all(1)[asked].mean(),
    }


@pytest.mark.parametrize("size", [60, 7, 1])
def test_scores_are_sums_written_out(made, size):
    logits, targets, mask, factors = made
    model = Table(torch.from_numpy(logits))
    found = score(model, list(batches(targets, mask, factors, size)), "test", "cpu")
    values = {(s.slice, s.metric): s.value for s in found}
    slices = {"all": np.ones(COUNT, bool)}
    slices |= {f"kind={k}": factors["kind"] == k for k in range(3)}
    edges = [(0, 1), (2, 3), (4, 7), (8, 15), (16, 31), (32, 63)]
    slices |= {f"gap={a}..{b}": (factors["gap"] >= a) & (factors["gap"] <= b) for a, b in edges}
    for name, keep in slices.items():
        if not mask[keep].any():
            assert (name, "loss") not in values
            continue
        for metric, value in expected(logits, targets, mask, keep).items():
            assert values[name, metric] == pytest.approx(value, rel=1e-9), (name, metric)
    assert {part for part, _ in values} <= set(slices)


def test_other_splits_are_not_sliced(made):
    logits, targets, mask, factors = made
    model = Table(torch.from_numpy(logits))
    found = score(model, list(batches(targets, mask, factors, 10)), "validation", "cpu")
    assert {s.slice for s in found} == {"all"}


def test_the_mode_of_the_model_is_as_before(made):
    logits, targets, mask, factors = made
    for training in (True, False):
        model = Table(torch.from_numpy(logits)).train(training)
        score(model, list(batches(targets, mask, factors, 10)), "test", "cpu")
        assert model.training is training


def test_real_targets_have_a_squared_error():
    outputs, labels = torch.randn(9, 1), torch.randn(9)
    expected = ((outputs[:, 0] - labels) ** 2).mean()
    assert torch.allclose(loss_of(outputs, labels), expected)


def test_lengths_are_given_only_where_a_sequence_is_padded():
    batch = Batch(
        inputs=np.zeros((2, 4), np.int64),
        targets=np.zeros((2, 4), np.int64),
        mask=np.ones((2, 4), bool),
        lengths=np.array([4, 4]),
        factors={},
    )
    assert gather(batch).lengths is None
    shorter = Batch(batch.inputs, batch.targets, batch.mask, np.array([4, 3]), {})
    lengths = gather(shorter).lengths
    assert lengths is not None
    assert lengths.tolist() == [4, 3]


@pytest.mark.parametrize("size", [60, 7])
def test_further_metrics_are_loops_written_out(made, size):
    logits, targets, mask, _ = made
    spans = np.full((COUNT, LENGTH), -1, np.int32)
    spans[:, 2:4], spans[:, 4:] = 0, 1
    held = []
    for i in range(0, COUNT, size):
        part = slice(i, i + size)
        full = np.full(len(targets[part]), LENGTH, np.int64)
        inputs = np.zeros((len(full), LENGTH), np.int64)
        batch = Batch(inputs, targets[part], mask[part], full, {}, spans[part])
        held.append(Held(gather(batch), {}))
    found = {s.metric: s.value for s in score(Table(torch.from_numpy(logits)), held, "test", "cpu")}
    guess = logits.argmax(-1)
    whole, of_examples, of_classes = [], [], {}
    for b in range(COUNT):
        hits = [guess[b, t] == targets[b, t] for t in range(LENGTH) if mask[b, t]]
        if hits:
            of_examples.append(np.mean(hits))
        for low, high in ((2, 4), (4, LENGTH)):
            inside = [t for t in range(low, high) if mask[b, t]]
            if inside:
                whole.append(all(guess[b, t] == targets[b, t] for t in inside))
        for t in range(LENGTH):
            if mask[b, t]:
                of_classes.setdefault(targets[b, t], []).append(guess[b, t] == targets[b, t])
    assert found["span_exact"] == pytest.approx(np.mean(whole))
    assert found["example_accuracy"] == pytest.approx(np.mean(of_examples))
    by_class = [np.mean(hits) for hits in of_classes.values()]
    assert found["macro_accuracy"] == pytest.approx(np.mean(by_class))
    assert found["bits"] == pytest.approx(found["loss"] / np.log(2))


def test_real_targets_at_positions():
    """K numbers at a position are one answer; positions that are left out do not count."""
    targets = np.random.default_rng().normal(size=(3, 4, 2)).astype(np.float32)
    mask = np.ones((3, 4, 2), bool)
    mask[1, 2:] = False
    full = np.full(3, 4, np.int64)
    batch = Batch(np.zeros((3, 4, 1), np.float32), targets, mask, full, {})
    labelled = gather(batch)
    assert labelled.rows is not None
    assert labelled.rows.tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]
    assert labelled.owners.tolist() == [0] * 4 + [1] * 2 + [2] * 4
    outputs = torch.randn(3, 4, 2)
    found = score(Table(outputs), [Held(labelled, {})], "test", "cpu")
    errors = (outputs.numpy() - targets)[mask.all(-1)]
    values = {s.metric: s.value for s in found}
    assert values["loss"] == pytest.approx((errors**2).mean(), rel=1e-5)
    assert values["rmse"] == pytest.approx((errors**2).mean() ** 0.5, rel=1e-5)
    scale = targets[mask.all(-1)].std()
    assert values["nrmse"] == pytest.approx((errors**2).mean() ** 0.5 / scale, rel=1e-4)
    assert "accuracy" not in values
