"""Joint recall: the worked example, orders, and majorities over contexts or keys."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.joint_recall import JointRecall

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """BOS C1 K1 V3 K2 V0 C2 K2 V1 K1 V3 SEP C2 K1 V3 ..."""
    task = JointRecall(min_contexts=2, max_contexts=2, min_keys=2, max_keys=2, num_values=4)
    given = {
        "sizes": np.array([[2, 2]]),
        "contexts": np.array([[0, 1]]),
        "names": np.array([[0, 1]]),
        "values": np.array([[3, 0, 3, 1]]),
        "blocks": np.array([[1, 0]]),
        "before": np.array([[0, 1, 1, 0]]),
        "after": np.array([[1, 0, 0, 1]]),
    }
    batch = task.render(given, keys(1), "train")
    v, k, c = 3, 7, 9  # first ids
    first = [1, c, k, v + 3, k + 1, v, c + 1, k + 1, v + 1, k, v + 3, 2]
    second = [c + 1, k, v + 3, k + 1, v + 1, c, k + 1, v, k, v + 3]
    assert batch.inputs.tolist() == [first + second]
    due = [NO, v + 3, NO, v + 1, NO, NO, v, NO, v + 3, NO]
    assert batch.targets.tolist() == [[NO] * 12 + due]


SMALL = JointRecall(min_contexts=2, max_contexts=5, min_keys=1, max_keys=4, num_values=5)


def test_every_pair_is_asked_once() -> None:
    batch = SMALL.generate(range(400))
    ids = SMALL.vocabulary
    for i, row in enumerate(batch.inputs.tolist()):
        row = row[: batch.lengths[i]]
        assert not any(batch.inputs[i, batch.lengths[i] :])
        contexts, names = int(batch.factors["num_contexts"][i]), int(batch.factors["num_keys"][i])
        halves = row[1 : row.index(2)], row[row.index(2) + 1 :]
        read = []
        for half in halves:
            width = 2 * names + 1
            blocks = [half[j : j + width] for j in range(0, len(half), width)]
            assert len(blocks) == contexts
            assert all(block[0] in ids["context"] for block in blocks)
            cells = [(b[0], b[j], b[j + 1]) for b in blocks for j in range(1, width, 2)]
            assert len({cell[:2] for cell in cells}) == contexts * names
            read.append(set(cells))
        assert read[0] == read[1]
        at = np.flatnonzero(batch.mask[i])
        assert [row[t] in ids["key"] for t in at] == [True] * (contexts * names)
        assert [row[t + 1] for t in at] == batch.targets[i, at].tolist()
        assert at.min() > row.index(2)


def test_sizes_are_uniform() -> None:
    factors = SMALL.generate(range(5000)).factors
    cells = factors["num_contexts"] * 10 + factors["num_keys"]
    counts = Counter(cells.tolist())
    assert len(counts) == 16
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_orders_are_uniform() -> None:
    drawn = rng.words(keys(6000), 1, 5).reshape(6000, 1, 5)
    found = rng.orders(drawn, np.full((6000, 1), 3))[:, 0]
    assert (found[:, 3:] == [3, 4]).all()
    counts = Counter(map(tuple, found[:, :3].tolist()))
    assert set(counts) == set(permutations(range(3)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4
    assert (rng.orders(drawn, np.zeros((6000, 1))) == np.arange(5)).all()


def test_values_and_names_are_uniform() -> None:
    batch = SMALL.generate(range(3000))
    first = np.where(batch.lengths[:, None] > np.arange(batch.inputs.shape[1]), batch.inputs, 0)
    counts = np.bincount(first.reshape(-1), minlength=17)
    for name in ("value", "key", "context"):
        span = SMALL.vocabulary[name]
        shares = counts[span.start : span.stop]
        assert np.abs(shares / shares.mean() - 1).max() < 0.06, name


@pytest.mark.parametrize("by", ["key", "context"])
@pytest.mark.parametrize("task", [JointRecall(), SMALL], ids=["fixed", "ranges"])
def test_majorities_attain_the_floors(task: JointRecall, by: str) -> None:
    batch = task.generate(range(1500), "test")
    ids, right = task.vocabulary, 0
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        middle = row.index(2)
        seen: dict[int, list[int]] = {}
        context = 0
        for t, token in enumerate(row):
            context = token if token in ids["context"] else context
            if token in ids["key"] and t < middle:
                seen.setdefault(token if by == "key" else context, []).append(row[t + 1])
            if out[t] != NO:
                name = token if by == "key" else context
                right += Counter(seen[name]).most_common(1)[0][0] == out[t]
    total = int(batch.mask.sum())
    sigma = (0.25 / total) ** 0.5 * 2  # answers of a key hang together
    assert abs(right / total - task.floors[f"value by {by}"]) < 4 * sigma


def test_published_settings() -> None:
    task = tasks.preset("hax-joint-recall")
    assert (task.context.length, task.chance) == (1058, 1 / 16)
    batch = task.generate(range(300))
    assert batch.lengths.mean() == pytest.approx(464, abs=60)
    only = JointRecall(min_contexts=8, max_contexts=8, min_keys=8, max_keys=8, num_values=16)
    assert only.floors["value by key"] == pytest.approx(0.259, abs=0.002)


def test_the_plain_statement_of_the_loop() -> None:
    """The same text, block by block, in Python."""
    drawn = SMALL.draw(keys(60), "train")
    batch = SMALL.render(drawn, keys(60), "train")
    first = {name: SMALL.vocabulary[name].start for name in ("value", "key", "context")}
    for i in range(60):
        contexts, names = drawn["sizes"][i].tolist()
        cell = {n: drawn[n][i].reshape(5, 4) for n in ("values", "before", "after")}
        text = [1]
        for half, order in enumerate((range(contexts), drawn["blocks"][i, :contexts].tolist())):
            for c in order:
                text.append(first["context"] + drawn["contexts"][i, c])
                for k in cell["after" if half else "before"][c, :names].tolist():
                    text += [
                        first["key"] + drawn["names"][i, k],
                        first["value"] + cell["values"][c, k],
                    ]
            text += [2] * (1 - half)
        assert batch.inputs[i, : batch.lengths[i]].tolist() == text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_contexts": 5}, "min_contexts=5 exceeds max_contexts=4: needs <= 4"),
        ({"max_keys": 3}, "min_keys=4 exceeds max_keys=3: needs <= 3"),
        ({"num_values": 1}, "num_values: .*greater than or equal to 2, got 1"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("joint-recall", **fields)
