"""Variable tracking: layouts, a second reading of the text, laws, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.variable_tracking import ASK, END, IS, SET, VariableTracking

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(53, np.arange(num, dtype=rng.U))


SMALL: dict[str, Any] = {
    "num_chains": 2,
    "num_hops": 1,
    "num_names": 9,
    "num_value_tokens": 2,
    "num_hay_ids": 3,
}
CONTENT = {
    "names": np.array([[8, 2, 0, 5]]),  # chain 0: 8, then 2; chain 1: 0, then 5
    "values": np.array([[4, 2, 7, 7]]),
    "places": np.array([[0, 2, 1, 3]]),
    "gaps": np.array([[1, 1, 1, 3]]),
    "asked": np.array([[0]]),
}


def test_the_layout() -> None:
    """Names from 4, values from 13, hay 23-25."""
    task = VariableTracking(length=31, **SMALL)
    assert list(task.vocabulary.items())[4:] == [
        ("name", range(4, 13)),
        ("value", range(13, 23)),
        ("hay", range(23, 26)),
    ]
    batch = task.render(CONTENT, keys(1), "train")
    first = [23, SET, 12, IS, 17, 15, END, SET, 4, IS, 20, 20, END]
    then = [SET, 6, IS, 12, END, 23 + 18 % 3, 23 + 19 % 3, SET, 9, IS, 4, END]
    text = [*first, *then, 23 + 25 % 3]
    assert task.room == 26
    assert batch.inputs.tolist() == [[*text, ASK, 17, 15, IS, 12]]
    assert batch.targets.tolist() == [[NO] * 29 + [12, 6]]
    assert batch.spans is not None
    assert batch.spans.tolist() == [[-1] * 29 + [0, 1]]
    assert batch.factors["gap"].tolist() == [20]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_the_value_of_the_last_name() -> None:
    task = VariableTracking(length=30, ask="value", **SMALL)
    batch = task.render({**CONTENT, "asked": np.array([[1]])}, keys(1), "train")
    assert batch.inputs[0, task.room :].tolist() == [ASK, 9, IS, 20]
    assert batch.targets[0, task.room :].tolist() == [NO, NO, 20, 20]
    assert batch.spans is not None
    assert batch.spans[0, task.room :].tolist() == [-1, -1, 0, 0]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def program(task: VariableTracking, row: list[int]) -> dict[int, tuple[int, ...]]:
    """Every name's value in the end, in the order of the text: the statements, executed."""
    value: dict[int, tuple[int, ...]] = {}
    t = 0
    while t < task.room:
        if row[t] != SET:
            assert row[t] in task.vocabulary["hay"]
            t += 1
            continue
        end = row.index(END, t)
        name, source = row[t + 1], row[t + 3 : end]
        assert row[t + 2] == IS
        assert name not in value
        value[name] = value[source[0]] if len(source) == 1 and source[0] in value else tuple(source)
        t = end + 1
    return value


FORMS: list[dict[str, Any]] = [
    {},
    {"haystack": "random", "num_chains": 1},
    {"num_value_tokens": 1, "num_hops": 1, "num_chains": 5},
    {"num_value_tokens": 6, "num_hops": 0, "num_chains": 3},
    {"num_value_tokens": 3, "num_chains": 3, "num_hops": 3},
]


@pytest.mark.parametrize("ask", ["names", "value"])
@pytest.mark.parametrize("fields", FORMS, ids=str)
def test_every_form_is_answered_by_its_program(fields: dict[str, Any], ask: str) -> None:
    task = VariableTracking.model_validate({"ask": ask, **fields})
    batch = task.generate(range(200), "validation")
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        value = program(task, row)
        assert len(value) == task.num_statements
        due = [y for y in targets if y != NO]
        tail = row[task.room :]
        if ask == "names":
            known = tuple(tail[1 : 1 + task.num_value_tokens])
            assert due == [name for name, v in value.items() if v == known]
            assert len(due) == task.num_hops + 1
        else:
            assert due == list(value[tail[1]])
            assert list(value.values()).count(value[tail[1]]) == task.num_hops + 1
            assert [n for n, v in value.items() if v == value[tail[1]]][-1] == tail[1]
        assert tail[-len(due) + 1 :] == due[:-1] or len(due) == 1
    assert np.array_equal(np.where(batch.mask, task.oracle(batch.inputs), NO), batch.targets)


def test_chains_interleave_uniformly() -> None:
    """Which of two chains of three each statement belongs to: 20 orders."""
    task = VariableTracking(num_hops=2)
    places = task.draw(keys(6000), "train")["places"].reshape(-1, 2, 3)
    assert (np.diff(places, axis=2) > 0).all(), "a chain keeps its order"
    codes = (2 ** places[:, 0]).sum(axis=1)
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 20
    assert stats.chisquare(counts).pvalue > 1e-4


def test_names_values_and_questions_are_uniform() -> None:
    task = VariableTracking(num_names=12, num_value_ids=4)
    drawn = task.draw(keys(5000), "train")
    for i in (0, 9):
        assert stats.chisquare(np.bincount(drawn["names"][:, i], minlength=12)).pvalue > 1e-4
    pairs = drawn["values"].reshape(-1, 2, 2) @ np.array([4, 1])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert stats.chisquare(np.bincount(pairs[:, 1], minlength=16)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn["asked"][:, 0])).pvalue > 1e-4


@pytest.mark.parametrize("ask", ["names", "value"])
@pytest.mark.parametrize("fields", [FORMS[0], FORMS[2], FORMS[4]], ids=str)
def test_following_any_chain_scores_the_floor(fields: dict[str, Any], ask: str) -> None:
    task = VariableTracking.model_validate({"ask": ask, **fields})
    batch = task.generate(range(1500), "test")
    chosen = rng.integers(keys(1500), 9, 1, task.num_chains)[:, 0].tolist()
    right = []
    for row, targets, chain in zip(batch.inputs.tolist(), batch.targets, chosen, strict=True):
        value = program(task, row)
        one = list(dict.fromkeys(value.values()))[chain]
        answer = [n for n, v in value.items() if v == one] if ask == "names" else list(one)
        right.append((targets[targets != NO] == answer).mean())
    assert np.mean(right) == pytest.approx(task.floor, abs=4 * np.std(right) / 1500**0.5)


def test_a_single_chain_is_all_that_rulers_setting_has() -> None:
    task = tasks.preset("ruler-variable-tracking")
    assert isinstance(task, VariableTracking)
    assert (task.length, task.num_chains, task.num_hops, task.num_value_tokens) == (4096, 1, 4, 5)
    assert task.floor == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"length": 59}, "length=59 is too short for its statements and question: needs >= 60"),
    (
        {"num_names": 9},
        "num_names=9 is too few for num_chains=2 of num_hops=4: needs >= 10",
    ),
    (
        {"num_value_ids": 3, "num_value_tokens": 1},
        "num_value_ids=3 and num_value_tokens=1 make too few values for num_chains=2: needs >= 4",
    ),
    ({"num_chains": 0}, r"num_chains: .*greater than or equal to 1, got 0"),
    ({"num_hops": -1}, r"num_hops: .*greater than or equal to 0, got -1"),
    ({"ask": "both"}, r"ask: .*'names' or 'value', got 'both'"),
    ({"haystack": "needles"}, r"haystack: .*'filler' or 'random', got 'needles'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("variable-tracking", **fields)


@pytest.mark.parametrize(
    "fields",
    [{"length": 60}, {"num_names": 10}, {"num_value_ids": 4, "num_value_tokens": 1}],
    ids=str,
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("variable-tracking", **fields)
    batch = task.generate(range(40), "test")
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
