"""Compression: what is due from the last state, noise, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.compression import Compression

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(31, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """V=6: data 0-4, 5 asks for the summary."""
    task = Compression(vocab_size=6, length=5)
    content = {"data": np.array([[4, 0, 0, 3]])}
    batch = task.render(content, keys(1), "train")
    assert batch.inputs.tolist() == [[4, 0, 0, 3, 5]]
    assert batch.targets.tolist() == [[4, 0, 0, 3, NO]]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert task.context.head == "unfold"
    mad = Compression(variant="mad", vocab_size=6, length=5)
    batch = mad.render(content, keys(1), "test")
    assert batch.targets.tolist() == batch.inputs.tolist() == [[4, 0, 0, 3, 5]]
    assert np.array_equal(mad.oracle(batch.inputs), batch.targets)


@pytest.mark.parametrize("variant", ["canonical", "mad"])
def test_noise_is_not_due_but_in_mad(variant: str) -> None:
    task = Compression.model_validate(
        {"variant": variant, "vocab_size": 10, "noise_vocab_size": 4, "frac_noise": 0.3}
    )
    assert list(task.vocabulary.items()) == [
        ("data", range(5)),
        ("noise", range(5, 9)),
        ("compression", range(9, 10)),
    ]
    batch = task.generate(range(2000))
    noise = (batch.inputs >= 5) & (batch.inputs < 9)
    assert np.array_equal(batch.factors["num_noise"], noise.sum(axis=1))
    assert noise.mean() * 32 / 31 == pytest.approx(0.3, abs=0.01)
    assert stats.chisquare(np.bincount(batch.inputs[noise] - 5)).pvalue > 1e-4
    assert np.array_equal(batch.mask[:, :-1], ~noise[:, :-1] | (variant == "mad"))
    assert (batch.targets == batch.inputs)[batch.mask].all()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"variant": "mad"},
        {"variant": "mad", "length": 3, "vocab_size": 9},
        {"variant": "mad", "noise_vocab_size": 2, "frac_noise": 0.5},
        {"noise_vocab_size": 2, "frac_noise": 0.5},
    ],
    ids=str,
)
def test_the_best_constant_scores_chance(fields: dict[str, Any]) -> None:
    task = Compression.model_validate(fields)
    batch = task.generate(range(6000), "test")
    counts = np.bincount(batch.targets[batch.mask], minlength=task.vocab_size)
    assert counts.max() / counts.sum() == pytest.approx(task.chance, rel=0.05)


def test_data_is_uniform_and_independent() -> None:
    drawn = Compression(vocab_size=5, length=3).draw(keys(8000), "train")["data"]
    counts = np.bincount(drawn @ np.array([4, 1]), minlength=16)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_mads_settings() -> None:
    base = {"vocab_size": 16, "length": 32, "variant": "mad"}
    for name, changed in (
        ("", {}),
        ("-vocab-32", {"vocab_size": 32}),
        ("-vocab-64", {"vocab_size": 64}),
        ("-vocab-128", {"vocab_size": 128}),
        ("-length-64", {"length": 64}),
        ("-length-128", {"length": 128}),
        ("-length-256", {"length": 256}),
    ):
        task = tasks.preset(f"mad-compression{name}")
        assert task == Compression.model_validate({**base, **changed})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"vocab_size": 2}, r"vocab_size: .*greater than or equal to 3, got 2"),
    ({"length": 1}, r"length: .*greater than or equal to 2, got 1"),
    ({"noise_vocab_size": 14}, "vocab_size=16 leaves no two data ids .*: needs >= 17"),
    ({"frac_noise": 0.1}, "frac_noise=0.1 with noise_vocab_size=0: needs >= 1 noise ids"),
    ({"frac_noise": 1.0, "noise_vocab_size": 1}, r"frac_noise: .*less than 1, got 1.0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("compression", **fields)


def test_limits_are_reached() -> None:
    task = Compression(vocab_size=3, length=9)
    batch = task.generate(range(30), "test")
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert Compression(vocab_size=17, noise_vocab_size=14).num_data == 2
