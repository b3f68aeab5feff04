"""Copying and selective copying: worked examples, where the data lies, what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb, factorial, prod

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.copying import Copying, SelectiveCopying

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def given(positions: list[int]) -> dict[str, np.ndarray]:
    return {"data": np.array([[1, 3, 2]]), "positions": np.array([positions])}


def test_the_worked_example_of_copying() -> None:
    """A=5, M=3, N=2 blanks."""
    task = Copying(vocab_size=5, num_tokens=3, length=5)
    batch = task.render(given([0, 1, 2]), keys(1), "train")
    assert batch.inputs.tolist() == [[1, 3, 2, 0, 0, 4, 4, 4]]
    assert batch.targets.tolist() == [[NO] * 5 + [1, 3, 2]]


def test_the_worked_example_of_selective_copying() -> None:
    """A=5, M=3, ctx_len=6."""
    task = SelectiveCopying(vocab_size=5, num_tokens=3, length=6)
    batch = task.render(given([1, 3, 4]), keys(1), "train")
    assert batch.inputs.tolist() == [[0, 1, 0, 3, 2, 0, 4, 4, 4]]
    assert batch.targets.tolist() == [[NO] * 6 + [1, 3, 2]]
    assert batch.factors["longest_gap"].tolist() == [5]
    assert batch.factors["num_tokens"].tolist() == [3]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_the_layout_of_mad() -> None:
    """V=6: data 0-3, blank 4, marker 5; data, blanks, one marker, then blanks to write on."""
    batch = tasks.make_task(
        "selective-copying", variant="mad", vocab_size=6, num_tokens=3, length=10
    ).render(given([1, 3, 5]), keys(1), "test")
    assert batch.inputs.tolist() == [[4, 1, 4, 3, 4, 2, 5, 4, 4, 4]]
    assert batch.targets.tolist() == [[NO] * 7 + [1, 3, 2]]


def test_defaults_are_small_and_presets_are_published() -> None:
    task = SelectiveCopying()
    assert (task.vocab_size, task.length, task.num_tokens) == (12, 32, 6)
    assert task.context.length == 38
    assert task.chance == 1 / 10
    mamba = tasks.preset("mamba-selective-copying")
    assert mamba.to_dict() | {"seed": 0} == {
        "kind": "selective-copying",
        "seed": 0,
        "variant": "canonical",
        "vocab_size": 16,
        "length": 4096,
        "num_tokens": 16,
        "reverse": False,
        "lag": False,
    }
    assert mamba.context.length == 4112
    assert tasks.preset("mad-selective-copying").context.length == 256
    assert Copying().context.length == 120


def test_every_example_keeps_the_order() -> None:
    for variant in ("canonical", "mad"):
        task = tasks.make_task("selective-copying", variant=variant, vocab_size=7, length=30)
        batch = task.generate(range(300))
        data = set(task.vocabulary["data"])
        region = batch.inputs[:, :-6] if variant == "canonical" else batch.inputs[:, :23]
        for row, targets in zip(region.tolist(), batch.targets.tolist(), strict=True):
            assert [x for x in row if x in data] == [y for y in targets if y != NO]
        due = batch.mask.sum(axis=0)
        assert due.tolist() == [0] * (task.context.length - 6) + [300] * 6


def test_data_is_uniform() -> None:
    drawn = SelectiveCopying(vocab_size=9).draw(keys(3000), "train")["data"]
    for i in range(6):
        assert stats.chisquare(np.bincount(drawn[:, i] - 1, minlength=7)).pvalue > 1e-4


@pytest.mark.parametrize(("num", "length"), [(2, 6), (3, 6), (5, 6), (1, 9)])
def test_every_choice_of_positions_is_equally_likely(num: int, length: int) -> None:
    task = SelectiveCopying(num_tokens=num, length=length)
    counts = Counter(map(tuple, task.draw(keys(4000), "train")["positions"].tolist()))
    every = list(combinations(range(length), num))
    assert set(counts) <= set(every)
    assert stats.chisquare([counts[x] for x in every]).pvalue > 1e-4


def test_pairs_of_positions() -> None:
    """Two given positions both hold data with probability C(62, 4) / C(64, 6)."""
    positions = SelectiveCopying(length=64).draw(keys(6000), "train")["positions"]
    held = np.zeros((6000, 64))
    np.put_along_axis(held, positions, 1, axis=1)
    together = held.T @ held
    assert np.diag(together).mean() == 6000 * 6 / 64
    pairs = together[np.triu_indices(64, 1)]
    expected = 6000 * comb(62, 4) / comb(64, 6)
    assert np.abs(pairs - expected).max() < 6 * expected**0.5
    assert pairs.var() == pytest.approx(expected, rel=0.15)


def test_mad_puts_each_blank_before_a_uniform_item() -> None:
    """Blanks before the items are multinomial: against every outcome's exact probability."""
    task = SelectiveCopying(variant="mad", num_tokens=3, length=11)
    positions = task.draw(keys(8000), "train")["positions"]
    assert (positions[:, -1] == 6).all(), "the last item touches the marker"
    blanks = np.diff(positions, axis=1, prepend=-1) - 1
    counts = Counter(map(tuple, blanks.tolist()))
    every = [(a, b, 4 - a - b) for a in range(5) for b in range(5 - a)]
    law = [factorial(4) / prod(map(factorial, x)) / 3**4 for x in every]
    assert set(counts) <= set(every)
    observed = [counts[x] for x in every]
    assert stats.chisquare(observed, np.array(law) * 8000).pvalue > 1e-4


REFUSED = [
    ("copying", {"num_tokens": 111}, "length=110 is too short for num_tokens=111: needs >= 111"),
    ("selective-copying", {"length": 5}, "length=5 is too short for num_tokens=6: needs >= 6"),
    (
        "selective-copying",
        {"length": 13, "variant": "mad"},
        "length=13 is too short for num_tokens=6: needs >= 14",
    ),
    ("copying", {"vocab_size": 3}, r"vocab_size: .*greater than or equal to 4, got 3"),
    ("copying", {"num_tokens": 0}, r"num_tokens: .*greater than or equal to 1, got 0"),
    ("selective-copying", {"variant": "s4"}, r"variant: .*'delimiter' or 'mad', got 's4'"),
    (
        "copying",
        {"lag": True, "length": 10},
        "length=10 is too short for num_tokens=10: needs >= 11",
    ),
    ("copying", {"lag": True, "reverse": True}, "lag=True with reverse=True: needs lag=no, or"),
    ("copying", {"lag": True, "variant": "mad"}, "lag=True with variant=mad: needs lag=no, or"),
    ("selective-copying", {"lag": True}, "lag=True in selective-copying, .*: needs lag=no"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(kind: str, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task(kind, **fields)


@pytest.mark.parametrize("fields", [{"length": 6}, {"length": 14, "variant": "mad"}], ids=str)
def test_the_shortest_lengths_work(fields: dict) -> None:
    task = tasks.make_task("selective-copying", **fields)
    batch = task.generate(range(50), "test")
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_reversed_copying() -> None:
    task = Copying(vocab_size=5, num_tokens=3, length=5, reverse=True)
    batch = task.render(given([0, 1, 2]), keys(1), "train")
    assert batch.inputs.tolist() == [[1, 3, 2, 0, 0, 4, 4, 4]]
    assert batch.targets.tolist() == [[NO] * 5 + [2, 3, 1]]
    assert batch.factors["longest_gap"].tolist() == [7]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_copying_with_a_lag() -> None:
    """A stream of data ids; each is due three positions later."""
    task = Copying(vocab_size=8, num_tokens=3, length=8, lag=True)
    data = np.array([[3, 5, 2, 2, 4, 1, 6, 3]])
    batch = task.render({"data": data}, keys(1), "train")
    assert batch.inputs.tolist() == data.tolist()
    assert batch.targets.tolist() == [[NO, NO, NO, 3, 5, 2, 2, 4]]
    assert batch.factors["longest_gap"].tolist() == [3]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert task.context.length == 8
    drawn = task.generate(range(2000)).inputs
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=8)[1:7]).pvalue > 1e-4
    assert drawn.min() == 1
    assert drawn.max() == 6


def test_one_delimiter_and_then_blanks() -> None:
    """The canonical ids, and as many blanks to write on as there is data."""
    for task in (
        Copying(variant="delimiter", vocab_size=5, num_tokens=3, length=6),
        SelectiveCopying(variant="delimiter", vocab_size=5, num_tokens=3, length=6),
    ):
        batch = task.render(given([1, 3, 4]), keys(1), "train")
        assert batch.inputs.tolist() == [[0, 1, 0, 3, 2, 0, 4, 0, 0, 0]]
        assert batch.targets.tolist() == [[NO] * 7 + [1, 3, 2]]
        assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_denoising_places_data_uniformly() -> None:
    task = tasks.preset("goru-denoise")
    assert isinstance(task, SelectiveCopying)
    assert task.context.length == 211
    positions = task.draw(keys(3000), "train")["positions"]
    counts = np.bincount(positions.ravel(), minlength=200).reshape(20, 10).sum(axis=1)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_mads_ladder() -> None:
    """The baseline, and one knob at a time."""
    base = {"vocab_size": 16, "length": 256, "num_tokens": 16}
    for name, changed in (
        ("", {}),
        ("-vocab-32", {"vocab_size": 32}),
        ("-vocab-64", {"vocab_size": 64}),
        ("-vocab-128", {"vocab_size": 128}),
        ("-length-512", {"length": 512}),
        ("-length-1024", {"length": 1024}),
        ("-tokens-32", {"num_tokens": 32}),
        ("-tokens-64", {"num_tokens": 64}),
        ("-tokens-96", {"num_tokens": 96}),
    ):
        task = tasks.preset(f"mad-selective-copying{name}")
        assert isinstance(task, SelectiveCopying)
        assert task.variant == "mad"
        sizes = {field: getattr(task, field) for field in base}
        assert sizes == {**base, **changed}
