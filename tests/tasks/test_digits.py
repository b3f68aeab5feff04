"""The digits of scikit-learn: the true pictures, and one line where they are missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tasks.digits import Digits
from tasks.files import FilesMissing
from tasks.records import read_once


def test_every_picture_is_there_once() -> None:
    task = Digits()
    pictures, labels = load_digits(return_X_y=True)
    expected = sorted(
        (p.astype(int).tobytes(), int(y)) for p, y in zip(pictures, labels, strict=True)
    )
    found = []
    for split, own in task.records.splits.items():
        batch = task.generate(range(len(own)), split)
        found += [(r.tobytes(), int(y)) for r, y in zip(batch.inputs, batch.targets, strict=True)]
    assert sorted(found) == expected
    assert len(found) == 1797


def test_what_a_model_knows() -> None:
    task = Digits()
    assert (task.context.num_inputs, task.context.num_outputs, task.context.length) == (17, 10, 64)
    assert (task.context.head, Digits(readout="last").context.head) == ("mean", "last")
    assert task.picture == (8, 8)
    assert 0.05 < task.chance < 0.15
    batch = task.generate(range(200))
    assert 0 <= batch.inputs.min() < batch.inputs.max() == 16
    assert (batch.lengths == 64).all()


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    read_once.cache_clear()
    with pytest.raises(FilesMissing, match="pip install scikit-learn"):
        Digits().generate([0])
    assert Digits().context.length == 64


def test_splits_share_no_picture() -> None:
    task = Digits(seed=3)
    keys = [set(task.content_key(range(400), s).tolist()) for s in ("train", "validation", "test")]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    assert np.array_equal(task.generate([3]).inputs, task.generate(range(9)).inputs[3:4])
