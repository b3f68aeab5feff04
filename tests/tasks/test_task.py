"""Splits, exhaustion, counting: what all tasks share, at its edges."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks import counting, rng
from tasks.copying import Copying, SelectiveCopying
from tasks.mqar import Mqar
from tasks.task import MANY_ENOUGH, SPLITS, DataSpaceExhausted, Task


def test_a_field_at_its_default_does_not_move_the_data() -> None:
    plain = Mqar().generate(range(9))
    assert np.array_equal(Mqar(power_a=0.01, length=64).generate(range(9)).inputs, plain.inputs)
    other = Mqar(power_a=0.02).generate(range(9))
    assert not np.array_equal(other.inputs[:, :8], plain.inputs[:, :8]), "the same stream"


def test_a_new_version_moves_the_data() -> None:
    class Newer(Copying):
        generator_version = 2

    class Same(Copying):
        pass

    same, newer = Same().generate(range(9)), Newer().generate(range(9))
    assert not np.array_equal(same.inputs, newer.inputs)
    assert np.array_equal(same.inputs, Same().generate(range(9)).inputs)


@pytest.mark.parametrize(
    ("task", "num"),
    [
        (Copying(vocab_size=4, num_tokens=8, length=9), 256),
        (SelectiveCopying(vocab_size=4, num_tokens=3, length=7), 8 * 35),
        (Mqar(vocab_size=16, num_pairs=1, length=4, random_fill=False), 56),
        (tasks.make_task("induction", variant="bigram", vocab_size=2, length=16), 256),
        (tasks.make_task("assoc-recall", num_pairs=1, num_keys=9, num_values=30), 270),
    ],
    ids=lambda x: getattr(x, "kind", None),
)
def test_splits_share_out_a_tiny_space(task: Task, num: int) -> None:
    """Every content is in one split, and all are found: none is lost, none is in two."""
    assert task.num_contents == num
    assert task.partitioned
    rows = [{r.tobytes() for r in task.generate(range(4000), s).inputs} for s in SPLITS]
    assert sum(map(len, rows)) == num == len(set().union(*rows))
    if num > 200:
        assert [len(r) / num for r in rows] == pytest.approx([12 / 16, 2 / 16, 2 / 16], abs=0.08)


def test_a_partition_is_the_same_for_all_seeds() -> None:
    """A test example of one seed is a training example of no other."""
    fields: dict[str, Any] = {"vocab_size": 4, "num_tokens": 8, "length": 9}
    rows = [
        {r.tobytes() for r in Copying(seed=i, **fields).generate(range(1500), split).inputs}
        for i, split in enumerate(SPLITS)
    ]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_an_empty_split_says_so() -> None:
    """Two contents for three splits."""
    task = Copying(vocab_size=4, num_tokens=1, length=4)
    assert task.num_contents == 2
    empty = []
    for split in SPLITS:
        try:
            batch = task.generate(range(3), split)
        except DataSpaceExhausted:
            empty.append(split)
        else:
            assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
    assert 1 <= len(empty) <= 2
    for split in empty:
        message = f"copying: 4096 attempts gave no {split} example; .* about 2 different"
        with pytest.raises(ValueError, match=message):
            task.generate([0], split)
        assert len(task.generate([], split)) == 0


def test_equal_contents_have_equal_keys() -> None:
    task = Copying(vocab_size=4, num_tokens=8, length=9)
    rows = task.generate(range(600)).inputs
    keys = task.content_key(range(600))
    pairs = {(row.tobytes(), key) for row, key in zip(rows, keys.tolist(), strict=True)}
    assert len(pairs) == len({row for row, _ in pairs}) == len({key for _, key in pairs})


def test_partition_follows_the_number_of_contents() -> None:
    for kind in ("assoc-recall", "copying", "in-context-recall", "induction", "mqar"):
        task = tasks.make_task(kind)
        assert task.partitioned == (task.num_contents < MANY_ENOUGH)
    assert Mqar(vocab_size=256).partitioned is False
    assert SelectiveCopying().num_contents == math.comb(32, 6) * 10**6
    assert SelectiveCopying().partitioned


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_counting(number: int, chosen: int) -> None:
    assert counting.power(number, chosen) == min(number**chosen, counting.MANY)
    chosen = min(chosen, number)
    assert counting.arrangements(number, chosen) == min(math.perm(number, chosen), counting.MANY)
    assert counting.subsets(number, chosen) == min(math.comb(number, chosen), counting.MANY)


def test_counting_stops_early() -> None:
    assert counting.power(2, 10**12) == counting.MANY
    assert counting.power(1, 10**12) == 1
    assert counting.arrangements(2**32, 2**22) == counting.MANY
    assert counting.subsets(2**24, 2**23) == counting.MANY


def test_a_batch_is_frozen_and_has_no_shared_arrays() -> None:
    task = Mqar()
    batch = task.generate(range(3))
    with pytest.raises(AttributeError):
        batch.inputs = batch.targets  # pyright: ignore[reportAttributeAccessIssue]
    batch.inputs.fill(7)
    batch.factors["num_pairs"].fill(7)
    assert task.generate(range(3)).inputs.max() > 7


small: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "mqar": st.builds(
        dict,
        variant=st.sampled_from(["canonical", "zoology"]),
        vocab_size=st.integers(40, 90),
        length=st.integers(8, 19).map(lambda n: 2 * n),
        num_pairs=st.integers(1, 4),
        power_a=st.floats(0.01, 3),
        random_fill=st.booleans(),
    ),
    "assoc-recall": st.builds(
        dict,
        num_pairs=st.integers(1, 6),
        num_keys=st.integers(6, 9),
        num_values=st.integers(2, 9),
        num_key_tokens=st.integers(1, 3),
        allow_missing=st.booleans(),
        unique_keys=st.booleans(),
    ),
    "in-context-recall": st.builds(
        dict,
        vocab_size=st.integers(5, 20),
        length=st.integers(4, 20).map(lambda n: 2 * n),
        multi_query=st.booleans(),
    ),
    "copying": st.builds(
        dict,
        variant=st.sampled_from(["canonical", "mad"]),
        vocab_size=st.integers(5, 20),
        length=st.integers(20, 31),
        num_tokens=st.integers(4, 9),
    ),
    "induction": st.one_of(
        st.builds(
            dict,
            variant=st.sampled_from(["canonical", "bigram"]),
            vocab_size=st.integers(2, 9),
            length=st.integers(5, 20).map(lambda n: 2 * n),
        ),
        st.builds(
            dict,
            variant=st.just("safari"),
            vocab_size=st.integers(4, 9),
            length=st.integers(9, 31),
            num_copied=st.integers(1, 4),
            num_triggers=st.integers(1, 5),
        ),
    ),
}
small["selective-copying"] = small["copying"]


@pytest.mark.parametrize("kind", small)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_sizes(kind: str, data: st.DataObject) -> None:
    """Ids in range, the oracle right, each example by its number, at any size."""
    task = tasks.make_task(
        kind, seed=data.draw(st.integers(0, 2**63 - 1)), **data.draw(small[kind])
    )
    for split in ("validation", "test"):
        try:
            batch = task.generate(range(12), split)
        except DataSpaceExhausted:
            assert task.num_contents < 400
            continue
        assert batch.inputs.shape == (12, task.context.length)
        assert 0 <= batch.inputs.min() <= batch.inputs.max() < (task.context.num_inputs or 0)
        assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
        assert np.array_equal(task.generate([11, 3], split).targets, batch.targets[[11, 3]])


def test_padding_is_no_content() -> None:
    """The same string among longer ones is the same content, and belongs to the same split."""
    from tasks.task import _content_hash

    lengths, words = np.array([[2], [3]]), np.array([[5, 1, 0], [5, 0, 7]])
    wide = np.pad(words, ((0, 0), (0, 4)))
    narrow = _content_hash({"lengths": lengths, "words": words})
    assert np.array_equal(_content_hash({"lengths": lengths, "words": wide}), narrow)
    assert narrow[0] != narrow[1]
    moved = np.pad(words, ((0, 0), (1, 0)))
    assert not np.isin(_content_hash({"lengths": lengths, "words": moved}), narrow).any()


def test_hashing_separates_order_and_places() -> None:
    from tasks.task import _content_hash

    rows = np.array(list(itertools.permutations(range(6))))
    assert len(set(_content_hash({"a": rows}).tolist())) == 720
    split = _content_hash({"a": rows[:, :2], "b": rows[:, 2:]})
    assert len(set(split.tolist())) == 720
    assert not set(split.tolist()) & set(_content_hash({"a": rows}).tolist())
    buckets = np.bincount(_content_hash({"a": rows}) % rng.U(16), minlength=16)
    assert buckets.min() > 20
