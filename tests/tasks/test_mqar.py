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


def test_the_latest_value_counts() -> None:
    """Two passes in different orders, then a new value for key 4."""
    task = Mqar(
        vocab_size=12,
        length=20,
        num_pairs=2,
        random_fill=False,
        num_passes=2,
        permute_passes=True,
        num_updates=1,
    )
    given = {
        "keys": np.array([[2, 4]]),
        "values": np.array([[8, 7]]),
        "slots": np.array([[3, 1]]),
        "updated": np.array([[1]]),
        "new": np.array([[10]]),
        "orders": np.array([[1, 0]]),
    }
    batch = task.render(given, keys(1), "train")
    context = [2, 8, 4, 7, 4, 7, 2, 8, 4, 10]
    assert batch.inputs.tolist() == [[*context, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0]]
    assert batch.targets.tolist() == [[NO] * 12 + [10] + [NO] * 3 + [8] + [NO] * 3]
    assert batch.factors["longest_gap"].tolist() == [9]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_compound_keys_are_answered_behind_both_tokens() -> None:
    """V=15: first tokens 1-4, second 5-9, values 10-14."""
    task = Mqar(vocab_size=15, length=28, num_pairs=4, random_fill=False, compound_keys=True)
    assert list(task.vocabulary.items()) == [
        ("filler", range(1)),
        ("first", range(1, 5)),
        ("second", range(5, 10)),
        ("value", range(10, 15)),
    ]
    given = {
        "keys": np.array([[3, 1, 3, 1]]),
        "seconds": np.array([[6, 6, 9, 9]]),
        "values": np.array([[12, 10, 14, 11]]),
        "slots": np.array([[1, 0, 4, 3]]),
    }
    batch = task.render(given, keys(1), "train")
    context = [3, 6, 12, 1, 6, 10, 3, 9, 14, 1, 9, 11]
    queries = [1, 6, 0, 3, 6, 0, 0, 0, 0, 1, 9, 0, 3, 9, 0, 0]
    assert batch.inputs.tolist() == [context + queries]
    due = [NO, 10, NO, NO, 12, NO, NO, NO, NO, NO, 11, NO, NO, 14, NO, NO]
    assert batch.targets.tolist() == [[NO] * 12 + due]
    assert batch.factors["longest_gap"].tolist() == [17]
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def read(task: Mqar, row: list[int]) -> dict[tuple[int, ...], list[int]]:
    """Every value that a key is told, in order; a second reading of the layout."""
    told: dict[tuple[int, ...], list[int]] = {}
    width = 3 if task.compound_keys else 2
    num = task.num_pairs * task.num_passes + task.num_updates
    for i in range(num):
        *key, value = row[width * i : width * (i + 1)]
        told.setdefault(tuple(key), []).append(value)
    return told


HARDER = [
    {"num_passes": 3},
    {"num_passes": 3, "permute_passes": True},
    {"num_updates": 4},
    {"num_updates": 2, "num_passes": 2, "permute_passes": True},
    {"compound_keys": True},
    {"compound_keys": True, "num_updates": 3, "num_passes": 2, "permute_passes": True},
]


@pytest.mark.parametrize("variant", ["canonical", "zoology"])
@pytest.mark.parametrize("fields", HARDER, ids=str)
def test_harder_forms(fields: dict, variant: str) -> None:
    """Keys are all different, told as often as they should be, and answered by their last value."""
    task = Mqar.model_validate({"length": 80, "vocab_size": 99, "variant": variant, **fields})
    width, span = (3, 2) if task.compound_keys else (2, 1)
    batch = task.generate(range(200), "validation")
    starts = task.num_pairs * task.num_passes + task.num_updates
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        assert len(told) == 4
        counts = sorted(len(values) - task.num_passes for values in told.values())
        assert counts == [0] * (4 - task.num_updates) + [1] * task.num_updates
        assert all(len(set(values[: task.num_passes])) == 1 for values in told.values())
        due = [t for t in range(80) if targets[t] != NO]
        assert len(due) == 4
        assert min(due) >= width * starts + span - 1
        asked = {tuple(row[t - span + 1 : t + 1]): targets[t] for t in due}
        assert asked == {key: values[-1] for key, values in told.items()}
        if task.compound_keys:
            assert len({a for a, _ in told}) == len({b for _, b in told}) == 2
        if variant == "canonical":
            later = row[width * starts :]
            tokens = {x for key in told for x in key} | {x for v in told.values() for x in v}
            shown = sum(later.count(x) for x in tokens)
            assert shown == 4 * span, "filler repeats no key and no value"
            values = [x for v in told.values() for x in set(v)]
            assert len(set(values)) == len(values) == 4 + task.num_updates
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def test_passes_are_in_the_same_order_or_in_any() -> None:
    same = Mqar(num_passes=3, vocab_size=99).generate(range(300)).inputs[:, :24]
    assert np.array_equal(same[:, :8], same[:, 8:16])
    assert np.array_equal(same[:, :8], same[:, 16:])
    drawn = content(Mqar(num_passes=3, permute_passes=True, num_pairs=3), 4000)["orders"]
    for orders in (drawn[:, :3], drawn[:, 3:]):
        counts = np.bincount(orders @ np.array([16, 4, 1]))
        assert stats.chisquare(counts[counts > 0]).pvalue > 1e-4
        assert (counts > 0).sum() == 6
    assert not np.array_equal(drawn[:, :3], drawn[:, 3:])


def test_updates_choose_keys_uniformly_and_values_that_are_new() -> None:
    task = Mqar(num_updates=2, vocab_size=30)
    drawn = content(task, 6000)
    pairs = np.bincount(drawn["updated"] @ np.array([4, 1]), minlength=16)
    assert stats.chisquare(pairs[[1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn["new"][:, 1] - 15, minlength=15)).pvalue > 1e-4


def test_upstreams_updates_may_keep_the_old_value() -> None:
    """The j-th update avoids the value of pair j, whichever key it updates."""
    task = Mqar(variant="zoology", num_updates=2, vocab_size=65)
    drawn = content(task, 20_000)
    assert (drawn["new"] != drawn["values"][:, :2]).all()
    old = np.take_along_axis(drawn["values"], drawn["updated"], axis=1)
    kept = (drawn["new"] == old).mean()
    assert kept == pytest.approx(3 / 4 / 32, abs=4 * (0.024 / 40_000) ** 0.5)
    others = drawn["new"][:, 0] - 32 - (drawn["new"][:, 0] > drawn["values"][:, 0])
    assert stats.chisquare(np.bincount(others, minlength=32)).pvalue > 1e-4


@pytest.mark.parametrize("variant", ["canonical", "zoology"])
def test_the_value_before_the_update_scores_its_floor(variant: str) -> None:
    task = Mqar.model_validate({"variant": variant, "num_updates": 3, "vocab_size": 65})
    batch = task.generate(range(4000), "test")
    right = 0
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        right += sum(told[(row[t],)][0] == targets[t] for t in range(64) if targets[t] != NO)
    expected = task.floors["value before the update"]
    assert right / 16_000 == pytest.approx(expected, abs=4 * (0.02 / 16_000) ** 0.5 + 1e-9)
    assert task.floor == max(expected, 1 / 4)


def test_half_a_key_scores_its_floor() -> None:
    task = Mqar(length=64, num_pairs=9, compound_keys=True)
    batch = task.generate(range(2000), "test")
    assert task.floor == task.floors["value of the same first token"] == 1 / 3
    right = 0
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        for t in np.flatnonzero(np.array(targets) != NO):
            same = [values[0] for key, values in told.items() if key[0] == row[t - 1]]
            assert len(same) == 3
            right += same[0] == targets[t]
    assert right / 18_000 == pytest.approx(1 / 3, abs=4 * (0.23 / 18_000) ** 0.5)


def test_the_grid_is_in_any_order() -> None:
    task = Mqar(num_pairs=4, compound_keys=True, vocab_size=30)
    drawn = content(task, 5000)
    first, second = drawn["keys"], drawn["seconds"]
    orders = [(a == a[0], b == b[0]) for a, b in zip(first, second, strict=True)]
    codes = [int(np.concatenate(pair) @ 2 ** np.arange(8)) for pair in orders]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 6, "the cells behind the first one, up to names of rows and columns"
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.chisquare(np.bincount(first[:, 0] - 1, minlength=9)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(second[:, 0] - 10, minlength=10)).pvalue > 1e-4


MORE_REFUSED = [
    (
        {"num_passes": 8},
        "length=64 is too short for num_pairs=4, num_passes=8: needs >= 72",
    ),
    (
        {"num_pairs": 15, "num_updates": 4},
        "length=64 is too short for num_pairs=15, num_updates=4: needs >= 68",
    ),
    (
        {"num_pairs": 16, "compound_keys": True},
        "num_pairs=16, compound_keys=True: needs >= 96",
    ),
    ({"num_updates": 5}, "num_updates=5 exceeds num_pairs: needs <= 4"),
    ({"permute_passes": True}, "permute_passes=True with num_passes=1: needs num_passes >= 2"),
    (
        {"num_pairs": 5, "compound_keys": True},
        "num_pairs=5 with compound_keys=True is no grid: needs a square, such as 4 or 9",
    ),
    (
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 11},
        "num_pairs=9 exceeds the 2 keys of vocab_size=11: needs vocab_size >= 12",
    ),
    (
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 12},
        "num_pairs=9 with num_updates=0 exceeds the values of vocab_size=12: .* >= 27",
    ),
    (
        {"num_updates": 4, "vocab_size": 12},
        "num_updates=4 exceeds the values of vocab_size=12: needs vocab_size >= 16",
    ),
    ({"num_updates": -1}, r"num_updates: .*greater than or equal to 0, got -1"),
    ({"num_passes": 0}, r"num_passes: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), MORE_REFUSED, ids=lambda x: str(x)[:40])
def test_what_harder_forms_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("mqar", **fields)


def test_what_was_refused_fits_at_the_stated_limit() -> None:
    for fields in (
        {"num_passes": 8, "length": 72},
        {"num_pairs": 15, "num_updates": 4, "length": 68},
        {"num_pairs": 16, "compound_keys": True, "length": 96},
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 27},
        {"num_updates": 4, "vocab_size": 16},
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
