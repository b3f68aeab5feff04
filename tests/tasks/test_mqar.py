"""MQAR: the published example, the laws of slots and filler, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.batch import Batch
from tasks.mqar import Mqar
from tasks.task import Content

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(99, np.arange(num, dtype=rng.U))


def content(task: Mqar, num: int) -> Content:
    return task.draw(keys(num), "train")


@pytest.mark.parametrize("variant", ["canonical", "zoology"])
def test_the_worked_example(variant: str) -> None:
    """V=12, K=2, L=16, fill 0: zoology's docstring, continued to 16 positions."""
    fields = {"vocab_size": 17 if variant == "zoology" else 12, "length": 16, "num_pairs": 2}
    task = Mqar.model_validate({"variant": variant, "random_fill": False, **fields})
    given = {"keys": np.array([[2, 4]]), "values": np.array([[8, 7]]), "slots": np.array([[4, 1]])}
    batch = task.render(given, keys(1), "train")
    assert batch.inputs.tolist() == [[2, 8, 4, 7, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0]]
    assert batch.targets.tolist() == [[NO] * 6 + [7] + [NO] * 5 + [8] + [NO] * 3]
    assert {name: x.tolist() for name, x in batch.factors.items()} == {
        "num_pairs": [2],
        "longest_gap": [11],
    }
    answers = task.oracle(batch.inputs)
    assert answers[0, [6, 12]].tolist() == [7, 8]


def test_defaults() -> None:
    task = Mqar()
    assert (task.vocab_size, task.length, task.num_pairs, task.power_a) == (8192, 64, 4, 0.01)
    assert (task.variant, task.random_fill) == ("canonical", True)
    assert task.chance == 1 / 4096
    assert task.floor == 1 / 4
    assert task.vocabulary == {
        "filler": range(1),
        "key": range(1, 4096),
        "value": range(4096, 8192),
    }


@pytest.mark.parametrize(("length", "pairs", "size"), [(64, 4, 8192), (40, 10, 23), (256, 16, 99)])
def test_the_layout_of_every_example(length: int, pairs: int, size: int) -> None:
    task = Mqar(length=length, num_pairs=pairs, vocab_size=size)
    batch = task.generate(range(300))
    context = batch.inputs[:, : 2 * pairs]
    assert (batch.mask.sum(axis=1) == pairs).all()
    assert not batch.mask[:, 1::2].any()
    assert not batch.mask[:, : 2 * pairs].any()
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        names, values = row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2]
        assert len(set(names)) == len(set(values)) == pairs
        asked = [row[t] for t in range(length) if targets[t] != NO]
        assert sorted(asked) == sorted(names)
        later = row[2 * pairs :]
        assert all(later.count(name) == 1 for name in names), "a key occurs exactly twice"
        assert not set(values) & set(later)
        assert 0 not in row
    assert context[:, ::2].max() < size // 2 <= context[:, 1::2].min()


def test_gaps_are_measured() -> None:
    batch = Mqar().generate(range(50))
    for i in range(50):
        row = batch.inputs[i].tolist()
        gaps = [t - row.index(batch.targets[i, t]) for t in np.flatnonzero(batch.mask[i])]
        assert batch.factors["longest_gap"][i] == max(gaps)


def first_slots(power_a: float, num: int) -> np.ndarray:
    task = Mqar(power_a=power_a)
    return content(task, num)["slots"]


def test_the_first_key_takes_slots_by_the_power_law() -> None:
    drawn = first_slots(0.01, 8000)[:, 0]
    weights = 0.01 * np.arange(1, 29.0) ** (0.01 - 1)
    assert drawn.max() < 28
    counts = np.bincount(drawn, minlength=28)
    assert stats.chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 1e-4


def test_power_one_is_uniform() -> None:
    counts = np.bincount(first_slots(1.0, 8000).reshape(-1), minlength=28)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.slow
def test_slots_follow_numpys_weighted_choice() -> None:
    """Every key's slot, against the formula that zoology calls: only sampling noise is between."""
    mine = first_slots(0.01, 40_000)
    weights = np.arange(1, 29.0) ** -0.99
    numpy = np.random.default_rng(3)
    theirs = np.array(
        [numpy.choice(28, 4, replace=False, p=weights / weights.sum()) for _ in range(20_000)]
    )
    for i in range(4):
        a, b = (np.bincount(x[:, i], minlength=28) / len(x) for x in (mine, theirs))
        assert 0.5 * np.abs(a - b).sum() < 0.025


def test_keys_and_values_are_uniform() -> None:
    drawn = content(Mqar(vocab_size=50, num_pairs=3), 6000)
    for name, low, high in (("keys", 1, 25), ("values", 25, 50)):
        for i in range(3):
            counts = np.bincount(drawn[name][:, i] - low, minlength=high - low)
            assert counts.size == high - low
            assert stats.chisquare(counts).pvalue > 1e-4


def filler(batch: Batch, pairs: int) -> np.ndarray:
    """The ids behind the context that are not queries."""
    free = ~batch.mask
    free[:, : 2 * pairs] = False
    return batch.inputs[free]


def test_canonical_filler_is_uniform_over_what_is_free() -> None:
    """By symmetry every id but 0 is equally likely over all examples, keys apart from values."""
    task = Mqar(vocab_size=20, length=40, num_pairs=2)
    counts = np.bincount(filler(task.generate(range(3000)), 2), minlength=20)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:10]).pvalue > 1e-4
    assert stats.chisquare(counts[10:]).pvalue > 1e-4
    # 7 of 9 keys and 8 of 10 values are free in an example, each with probability 1 / 15
    share = counts[1:10].sum() / counts.sum()
    assert share == pytest.approx(7 / 15, abs=0.01)


def test_zoology_filler_is_uniform_over_all_ids() -> None:
    task = Mqar(variant="zoology", vocab_size=50, length=40, num_pairs=2)
    counts = np.bincount(filler(task.generate(range(2000)), 2), minlength=50)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_zoology_repeats_keys_by_accident() -> None:
    """V=8192, L=256, K=16: 0.41 unlabelled returns of a key per example (208 * 16 / 8192)."""
    batch = Mqar(variant="zoology", length=256, num_pairs=16).generate(range(3000))
    names = batch.inputs[:, 0:32:2]
    later = np.where(batch.mask, 0, batch.inputs)[:, 32:]
    again = (later[:, :, None] == names[:, None, :]).sum(axis=(1, 2))
    assert again.mean() == pytest.approx(208 * 16 / 8192, abs=5 * (0.41 / 3000) ** 0.5)


def test_without_fill_the_rest_is_zero() -> None:
    for variant in ("canonical", "zoology"):
        task = tasks.make_task("mqar", variant=variant, random_fill=False)
        assert not filler(task.generate(range(40)), 4).any()


def test_naming_a_value_of_the_context_scores_the_floor() -> None:
    task = Mqar(num_pairs=8)
    batch = task.generate(range(300))
    guess = np.broadcast_to(batch.inputs[:, 3:4], batch.targets.shape)
    assert (guess == batch.targets)[batch.mask].mean() == task.floor


REFUSED = [
    ({"length": 60, "num_pairs": 16}, "length=60 is too short for num_pairs=16: needs >= 64"),
    ({"length": 63}, "length=63 is odd: pairs need an even one, such as 64"),
    ({"vocab_size": 16, "num_pairs": 8}, r"num_pairs=8 exceeds the 7 keys .* vocab_size >= 18"),
    (
        {"variant": "zoology", "vocab_size": 64},
        "vocab_size=64 with variant=zoology must exceed length=64: needs >= 65",
    ),
    ({"power_a": 0.0}, r"power_a: .*greater than 0, got 0.0"),
    ({"power_a": float("nan")}, "power_a"),
    ({"num_pairs": 0}, r"num_pairs: .*greater than or equal to 1, got 0"),
    ({"vocab_size": 2**31 + 1}, r"vocab_size: .*less than or equal to 2147483648"),
    ({"length": 2}, r"length: .*greater than or equal to 4, got 2"),
    ({"variant": "zoo"}, r"variant: .*'canonical' or 'zoology', got 'zoo'"),
    ({"random_fill": "perhaps"}, "random_fill"),
    ({"seed": -1}, r"seed: .*greater than or equal to 0, got -1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        tasks.make_task("mqar", **fields)
    assert "\n" not in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"odd.*too short.*exceeds"):
        tasks.make_task("mqar", length=9, num_pairs=4, vocab_size=8)


def test_limits_are_reached() -> None:
    for fields in (
        {"length": 64, "num_pairs": 16},
        {"vocab_size": 18, "num_pairs": 8},
        {"vocab_size": 4, "num_pairs": 1, "length": 4},
        {"vocab_size": 5, "num_pairs": 1, "length": 400},
    ):
        task = tasks.make_task("mqar", **fields)
        batch = task.generate(range(20))
        assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def test_published_cells() -> None:
    every = {name: tasks.preset(name) for name in tasks.presets.names() if "mqar" in name}
    names = [name for name, task in every.items() if isinstance(task, Mqar)]
    for name in names:
        task = tasks.preset(name)
        assert isinstance(task, Mqar)
        assert task.vocab_size == 8192
        assert task.variant == "zoology"
        assert task.random_fill == name.startswith("based")
    cells = {(64, 4), (64, 8), (64, 16), (128, 8), (128, 32), (256, 16), (256, 32), (256, 64)}
    for length, pairs in {*cells, (512, 128), (1024, 256)}:
        task = tasks.preset(f"based-mqar-{length}-{pairs}")
        assert isinstance(task, Mqar)
        assert (task.length, task.num_pairs) == (length, pairs)
    assert len(names) == 14
    grids = {(64, 4), (64, 9), (128, 16), (256, 36), (512, 64), (1024, 144), (2048, 256)}
    for length, pairs in grids:
        for name, updates in (("forgetting", 4), ("compositional", 0)):
            task = tasks.preset(f"zoology-{name}-{length}-{pairs}")
            assert isinstance(task, Mqar)
            assert (task.length, task.num_pairs, task.num_updates) == (length, pairs, updates)
            assert task.compound_keys == (name == "compositional")
