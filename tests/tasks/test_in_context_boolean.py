"""Boolean functions in context: layout, the law of labels and bits, Bayes by brute force."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.in_context_boolean import InContextBoolean
from tasks.show import spelled

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


FIELDS: list[dict[str, Any]] = [
    {},
    {"family": "parity"},
    {"num_bits": 5, "num_relevant": 3, "num_points": 12},
    {"family": "parity", "num_bits": 6, "num_relevant": 3, "num_points": 9},
    {"num_bits": 3, "num_relevant": 3, "num_points": 7},
    {"num_bits": 4, "num_relevant": 1, "num_points": 6},
]


def rows_of(task: InContextBoolean, num: int) -> list[list[tuple[tuple[int, ...], int]]]:
    """Points and labels of examples, read from the text; the last label from its target."""
    batch = task.generate(range(num), "test")
    found, width = [], task.num_bits + 1
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert [t for t, y in enumerate(out) if y != NO] == [
            task.num_bits - 1 + i * width for i in range(task.num_points)
        ]
        full = [*row, out[-1]]
        points = [full[i : i + width] for i in range(0, len(full), width)]
        assert [p[-1] for p in points] == [y for y in out if y != NO]
        assert all(set(p[:-1]) <= {0, 1} and p[-1] in (2, 3) for p in points)
        found.append([(tuple(p[:-1]), p[-1] - 2) for p in points])
    return found


def functions(task: InContextBoolean) -> list[Any]:
    """All of a family, as functions of a point."""
    places = [*combinations(range(task.num_bits), task.num_relevant)]
    if task.family == "parity":
        return [lambda x, p=p: sum(x[i] for i in p) % 2 for p in places]
    values = [*product((0, 1), repeat=task.num_relevant)]
    return [
        lambda x, p=p, v=v: int(all(x[i] == one for i, one in zip(p, v, strict=True)))
        for p in places
        for v in values
    ]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_some_function_explains_every_example(fields: dict[str, Any]) -> None:
    task = InContextBoolean(**fields)
    every = functions(task)
    assert len(every) == task.num_functions
    chosen = np.zeros(len(every))
    for points in rows_of(task, 300):
        good = [i for i, f in enumerate(every) if all(f(x) == y for x, y in points)]
        assert good
        chosen[good] += 1 / len(good)
    assert (chosen > 0).all() or len(every) > 60


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_labels_are_fair_and_bits_as_free_as_can_be(fields: dict[str, Any]) -> None:
    """Given the label, all points that have it are equally likely: of one fixed function."""
    task = InContextBoolean(**fields)
    bits, labels = task._points(keys(4000))
    assert stats.binomtest(int(labels.sum()), labels.size).pvalue > 1e-4
    assert stats.binomtest(int(bits.sum()), bits.size).pvalue > 1e-4
    assert abs(np.corrcoef(labels[:, 0], labels[:, 1])[0, 1]) < 0.07
    relevant = rng.distinct(keys(4000), 1, task.num_relevant, task.num_bits)
    wanted = rng.integers(keys(4000), 2, task.num_relevant, 2)
    seen = np.take_along_axis(bits[:, 0], relevant, axis=1)
    if task.family == "parity":
        assert np.array_equal(seen.sum(axis=1) % 2, labels[:, 0])
        return
    wrong = (seen ^ wanted) @ 2 ** np.arange(task.num_relevant)
    assert np.array_equal(wrong == 0, labels[:, 0] == 1)
    counts = np.bincount(wrong, minlength=2**task.num_relevant)
    assert stats.chisquare(counts[1:]).pvalue > 1e-4 if len(counts) > 2 else counts[1] > 0


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_bayes_by_brute_force(fields: dict[str, Any]) -> None:
    """The probability of all points and labels under each function, from the law as told."""
    task = InContextBoolean(**fields)
    every = functions(task)
    share = {0: 0, 1: 0}  # points of either label, of any one function
    for x in product((0, 1), repeat=task.num_bits):
        share[every[0](x)] += 1
    batch = task.generate(range(30), "test")
    law = task.true_probs(batch).reshape(30, task.num_points, 4)
    assert np.abs(law.sum(axis=2) - 1).max() < 1e-12
    for points, found in zip(rows_of(task, 30), law, strict=True):
        weights = np.ones(len(every))
        for (x, y), probs in zip(points, found, strict=True):
            says = np.array([f(x) for f in every])
            joint = [float((weights * (says == z)).sum()) / share[z] for z in (0, 1)]
            expected = [0, 0, joint[0] / sum(joint), joint[1] / sum(joint)]
            assert probs == pytest.approx(expected, abs=1e-12)
            weights *= says == y
    answers = task.oracle(batch.inputs)
    assert np.array_equal(answers[batch.mask], law.reshape(-1, 4).argmax(axis=1))
    assert (answers[~batch.mask] == NO).all()


@pytest.mark.parametrize("fields", FIELDS[:4], ids=str)
def test_the_ceiling_is_attained(fields: dict[str, Any]) -> None:
    task = InContextBoolean(**fields)
    batch = task.generate(range(3000), "test")
    right = (task.oracle(batch.inputs) == batch.targets)[batch.mask].reshape(3000, -1)
    sigma = right.mean(axis=1).std() * (1 / 3000 + task.num_points / 2**13) ** 0.5
    assert abs(right.mean() - task.ceiling) < 4 * sigma
    assert right[:, 0].mean() < 0.75
    assert right[:, -1].mean() > right[:, 1].mean() + 0.1


def test_the_last_label_is_not_read() -> None:
    """Equal inputs are one content, whichever label is due: no split shares them."""
    task = InContextBoolean(num_bits=3, num_relevant=1, num_points=2)
    assert task.partitioned
    rows = [{r.tobytes() for r in task.generate(range(3000), s).inputs} for s in ("train", "test")]
    assert not rows[0] & rows[1]
    assert task.generate([0]).inputs.shape == (1, 7)


def test_points_of_which_all_bits_are_relevant_are_counted() -> None:
    """Of one T point and three F ones two points agree with probability 1/4 + 1/12."""
    counts = [InContextBoolean(num_bits=2, num_points=n).num_contents for n in (1, 2, 5, 40)]
    assert counts == [3, 9, 243, 3**40]
    assert not InContextBoolean(num_bits=2, num_points=40).partitioned
    assert InContextBoolean(num_bits=1, num_relevant=1, num_points=9).num_contents == 2**9
    task = InContextBoolean(num_bits=4, num_relevant=2, num_points=1)
    tokens = task._points(keys(6000))[0].reshape(6000, 4) @ [8, 4, 2, 1]
    functions = rng.distinct(keys(6000), 1, 2, 4) @ [4, 1] * 4
    functions += rng.integers(keys(6000), 2, 2, 2) @ [2, 1]
    pairs = same = 0.0
    for number in np.unique(functions):
        counts = np.bincount(tokens[functions == number])
        pairs += counts.sum() * (counts.sum() - 1)
        same += (counts * (counts - 1)).sum()
    assert pairs / same == pytest.approx(task.num_contents, rel=0.05)


def test_examples_read_as_points_and_labels() -> None:
    task = InContextBoolean(num_bits=3, num_points=2)
    assert " ".join(spelled(task, [0, 1, 1, 2, 1, 1, 0])) == "0 1 1 F 1 1 0"
    assert spelled(task, [3]) == ["T"]


REFUSED = [
    ({"num_relevant": 9}, "num_relevant=9 exceeds num_bits=8: needs <= 8"),
    (
        {"num_bits": 20, "num_relevant": 4},
        "num_bits=20 and num_relevant=4 make 77520 functions: needs <= 4096, such as num_bits=20",
    ),
    ({"family": "dnf"}, "family: .*'parity' or 'conjunction'.* got 'dnf'"),
    ({"num_points": 0}, "num_points: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-boolean", **fields)
