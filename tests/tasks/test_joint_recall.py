"""Joint recall: worked examples, orders, and majorities over groups, contexts or keys."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

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
    batch = task.render(task.written(given), keys(1), "train")
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


NESTED = JointRecall(
    min_contexts=2, max_contexts=3, min_keys=2, max_keys=4, num_values=5, levels=2, num_queries=2
)
OWN_KEYS = JointRecall(min_contexts=2, max_contexts=4, shared_keys=False, num_queries=3)


def cells(task: JointRecall, half: list[int]) -> list[tuple[int, int, int, int]]:
    """Group, context, key and value of all keys of a half, in order."""
    ids, group, context, found = task.vocabulary, -1, -1, []
    for token, after in zip(half, [*half[1:], -1], strict=True):
        group = token if token in ids.get("group", ()) else group
        context = token if token in ids["context"] else context
        if token in ids["key"]:
            found.append((group, context, token, after))
    return found


@pytest.mark.parametrize("task", [NESTED, OWN_KEYS], ids=["nested", "own keys"])
def test_a_part_of_the_keys_is_asked(task: JointRecall) -> None:
    """As many of each block; every value of the second half stands in the first."""
    batch = task.generate(range(300), "test")
    for i, row in enumerate(batch.inputs.tolist()):
        middle, end = row.index(2), int(batch.lengths[i])
        contexts, names = (int(batch.factors[f"num_{x}"][i]) for x in ("contexts", "keys"))
        groups = contexts if task.levels == 2 else 1
        told, asked = cells(task, row[1:middle]), cells(task, row[middle + 1 : end])
        assert len({cell[:3] for cell in told}) == len(told) == groups * contexts * names
        assert len(set(asked)) == len(asked) == groups * contexts * task.num_queries
        assert set(asked) <= set(told)
        counts = Counter(cell[:2] for cell in asked)
        assert set(counts.values()) == {task.num_queries}
        assert len({cell[0] for cell in told}) == groups
        assert len({cell[1] for cell in told}) == contexts
        assert len({cell[2] for cell in told}) == names * (1 if task.shared_keys else contexts)
        assert [c[3] for c in asked] == batch.targets[i, batch.mask[i]].tolist()
        assert not any(row[end:])
    assert task.context.length >= batch.inputs.shape[1]
    assert (batch.lengths == task.context.length).any()
    answers = task.oracle(batch.inputs, batch.lengths)
    assert np.array_equal(answers[batch.mask], batch.targets[batch.mask])


def test_orders_of_nested_blocks_are_uniform() -> None:
    """Groups, contexts of each group and keys: every order in either half."""
    task = JointRecall(
        min_contexts=3, max_contexts=3, min_keys=3, max_keys=3, levels=2, num_values=99
    )
    batch = task.generate(range(1500))
    seen: dict[str, Counter] = {name: Counter() for name in ("groups", "contexts", "keys")}
    for row in batch.inputs.tolist():
        middle = row.index(2)
        for half in (row[1:middle], row[middle + 1 :]):
            found = cells(task, half)
            seen["groups"].update([tuple(c[0] for c in found[::9])])
            seen["contexts"].update([tuple(c[1] for c in found[9:18:3])])
            seen["keys"].update([tuple(c[2] for c in found[12:15])])
    for counts in seen.values():
        assert len(counts) == 6
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_the_worked_example_of_two_levels() -> None:
    """BOS G C K v | G C K v SEP ...: one context a group, asked in the other order."""
    task = JointRecall(
        min_contexts=2, max_contexts=2, min_keys=1, max_keys=1, num_values=4, levels=2
    )
    given = {
        "sizes": np.array([[2, 1]]),
        "contexts": np.array([[0, 1]]),
        "names": np.array([[0]]),
        "values": np.array([[3, 0, 1, 2]]),
        "blocks": np.array([[1, 0, 0, 1]]),
        "before": np.zeros((1, 4), np.int64),
        "after": np.zeros((1, 4), np.int64),
        "first_blocks": np.array([[0, 1, 1, 0]]),
        "groups": np.array([[1, 0]]),
        "group_order": np.array([[1, 0]]),
    }
    batch = task.render(task.written(given), keys(1), "train")
    v, k, c, g = 3, 7, 8, 10  # first ids
    first = [1, g + 1, c, k, v + 3, c + 1, k, v, g, c + 1, k, v + 2, c, k, v + 1, 2]
    second = [g, c, k, v + 1, c + 1, k, v + 2, g + 1, c + 1, k, v, c, k, v + 3]
    assert batch.inputs.tolist() == [first + second]
    assert batch.targets[batch.mask].tolist() == [v + 1, v + 2, v, v + 3]


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


LEFT_OUT = {  # what a floor does not look at: group, context or key
    "value by key": 1,
    "value by context": 2,
    "value by context and key": 0,
    "value by group and key": 1,
    "value by group and context": 2,
}


@pytest.mark.parametrize(
    "task", [JointRecall(), SMALL, NESTED, OWN_KEYS], ids=["fixed", "ranges", "nested", "own keys"]
)
def test_majorities_attain_the_floors(task: JointRecall) -> None:
    batch = task.generate(range(1500), "test")
    assert len(task.floors) == (1 if task is OWN_KEYS else 1 + task.levels)
    for floor, blind in LEFT_OUT.items():
        if floor not in task.floors:
            continue
        right = 0
        for row, end in zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True):
            middle, seen = row.index(2), {}
            for cell in cells(task, row[1:middle]):
                seen.setdefault(cell[:blind] + cell[blind + 1 : 3], []).append(cell[3])
            for cell in cells(task, row[middle + 1 : end]):
                left = seen[cell[:blind] + cell[blind + 1 : 3]]
                right += Counter(left).most_common(1)[0][0] == cell[3]
        total = int(batch.mask.sum())
        sigma = (0.25 / total) ** 0.5 * 2  # answers of a key hang together
        assert abs(right / total - task.floors[floor]) < 4 * sigma


def test_published_settings() -> None:
    task = tasks.preset("hax-joint-recall")
    assert (task.context.length, task.chance) == (1058, 1 / 16)
    batch = task.generate(range(300))
    assert batch.lengths.mean() == pytest.approx(464, abs=60)
    only = JointRecall(min_contexts=8, max_contexts=8, min_keys=8, max_keys=8, num_values=16)
    assert only.floors["value by key"] == pytest.approx(0.259, abs=0.002)


def test_the_plain_statement_of_the_loop() -> None:
    """The same text, block by block, in Python."""
    drawn = SMALL.chosen(keys(60))
    batch = SMALL.render(SMALL.draw(keys(60), "train"), keys(60), "train")
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


def of_sizes(contexts: tuple[int, int], names: tuple[int, int], **fields: Any) -> JointRecall:
    """Two values, so that texts return often."""
    ends = {"min_contexts": contexts[0], "max_contexts": contexts[1]}
    ends |= {"min_keys": names[0], "max_keys": names[1]}
    return JointRecall.model_validate({"num_values": 2, **ends, **fields})


FEW = [
    of_sizes((1, 1), (3, 3)),
    of_sizes((2, 2), (2, 2)),
    of_sizes((1, 2), (1, 3)),
    of_sizes((2, 2), (2, 2), num_queries=1),
    of_sizes((2, 2), (1, 2), shared_keys=False),
    of_sizes((2, 2), (1, 1), levels=2),
    of_sizes((1, 2), (1, 1), levels=2),
]


@pytest.mark.parametrize("task", FEW, ids=str)
def test_no_text_is_in_two_splits(task: JointRecall) -> None:
    """Whichever names and orders made it: a text has one content."""
    assert task.partitioned
    train, test = (
        {row.tobytes() for row in task.generate(range(20_000), split).inputs}
        for split in ("train", "test")
    )
    assert test
    assert not train & test
    batch = task.generate(range(2000))
    texts: dict[bytes, set[int]] = {}
    for row, key in zip(batch.inputs, task.content_key(range(2000)).tolist(), strict=True):
        texts.setdefault(row.tobytes(), set()).add(key)
    assert all(len(found) == 1 for found in texts.values())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_contexts": 5}, "min_contexts=5 exceeds max_contexts=4: needs <= 4"),
        ({"max_keys": 3}, "min_keys=4 exceeds max_keys=3: needs <= 3"),
        ({"num_queries": 5}, "num_queries=5 exceeds min_keys=4: needs <= 4"),
        ({"levels": 3}, "levels: .*less than or equal to 2, got 3"),
        ({"num_values": 1}, "num_values: .*greater than or equal to 2, got 1"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("joint-recall", **fields)
