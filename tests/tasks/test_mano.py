"""Mano: worked examples, the law of trees and values, memorised facts, what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.mano import Mano
from tasks.show import spelled

NO = -100
PLUS, MINUS, TIMES, OVER = range(4)


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def given(symbols: list[int], value: int) -> dict[str, np.ndarray]:
    return {"symbols": np.array([symbols]), "values": np.array([[value]])}


def infix(symbols: list[int], num_operators: int) -> str:
    """As Python would write it, from the left: an evaluator of its own."""
    symbol = symbols.pop(0)
    if symbol >= num_operators:
        return str(symbol - num_operators)
    left, right = infix(symbols, num_operators), infix(symbols, num_operators)
    return f"({left} {'+-*/'[symbol]} {right})"


def test_the_worked_examples() -> None:
    """- * 5 6 + 9 3 = 30 - 12 = 18; * 0 y is 0 for every y."""
    task = Mano(max_operators=3, modulus=23)
    batch = task.render(given([MINUS, TIMES, 8, 9, PLUS, 12, 6], 18), keys(1), "test")
    digit = task.vocabulary["digit"].start
    operators = [7, 8, digit + 5, digit + 6, 6, digit + 9, digit + 3]
    assert batch.inputs.tolist() == [[1, 5, *operators, 2]]
    assert batch.targets.tolist() == [[NO] * 9 + [digit + 18]]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert {k: v.tolist() for k, v in batch.factors.items()} == {
        "num_operators": [3],
        "depth": [2],
        "root": [MINUS],
    }
    for y in range(23):
        batch = task.render(given([TIMES, 3, 3 + y, -1, -1, -1, -1], 0), keys(1), "train")
        assert batch.lengths.tolist() == [6]
        assert task.oracle(batch.inputs)[0, 5] == digit


def test_expressions_read_as_the_paper_writes_them() -> None:
    task = Mano(max_operators=3, modulus=23)
    batch = task.render(given([MINUS, TIMES, 8, 9, PLUS, 12, 6], 18), keys(1), "test")
    assert " ".join(spelled(task, batch.inputs[0].tolist())) == "BOS LEN3 - * 5 6 + 9 3 EQ"
    assert spelled(task, [int(batch.targets[0, -1]), 0]) == ["18", "_"]
    twice = Mano(max_operators=2, modulus=7, operators="asmd", aliases=True)
    words = "_ BOS BOS' EQ EQ' LEN1 LEN1' LEN2 LEN2' + +' - -' * *' / /' 0 1 2 3 4 5 6"
    assert " ".join(spelled(twice, range(24))) == words


FIELDS: list[dict[str, Any]] = [
    {},
    {"aliases": True, "modulus": 6},
    {"operators": "asmd", "modulus": 7},
    {"operators": "asmd", "balance_zero": True, "max_operators": 5},
    {"max_operators": 10, "modulus": 23},
    {"balance_zero": True, "modulus": 5},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_values_agree_with_another_evaluator(fields: dict[str, Any]) -> None:
    task = Mano(**fields)
    for split in ("train", "test"):
        content = task.draw(keys(300), split)
        for row, value in zip(content["symbols"].tolist(), content["values"][:, 0], strict=True):
            symbols = [x for x in row if x >= 0]
            text = infix(symbols, len(task.operators))
            assert not symbols
            if "/" not in text:
                assert eval(text) % task.modulus == value
            else:
                assert quotient(text, task.modulus) == value


def quotient(text: str, modulus: int) -> int:
    """With division step by step, in the field."""

    class Element(int):
        def __add__(self, other: int) -> Element:
            return Element((int(self) + int(other)) % modulus)

        def __sub__(self, other: int) -> Element:
            return Element((int(self) - int(other)) % modulus)

        def __mul__(self, other: int) -> Element:
            return Element(int(self) * int(other) % modulus)

        def __truediv__(self, other: int) -> Element:
            return next(Element(q) for q in range(modulus) if other and q * other % modulus == self)

    spaced = text.replace("(", "( ").replace(")", " )").split(" ")
    code = " ".join(f"Element({x})" if x.isdigit() else x for x in spaced)
    return int(eval(code, {"Element": Element}))


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_values_follow_their_law(fields: dict[str, Any]) -> None:
    task = Mano(**fields)
    law = task.values()
    assert law.sum() == pytest.approx(1)
    content = task.draw(keys(6000), "test")
    roots, values = content["symbols"][:, 0], content["values"][:, 0]
    counts = np.bincount(roots * task.modulus + values, minlength=law.size)
    assert stats.chisquare(counts, law.ravel() * 6000).pvalue > 1e-4
    assert task.chance == pytest.approx(law.sum(axis=0).max())
    if task.balance_zero:
        assert task.chance == pytest.approx(1 / task.modulus)


def test_zero_is_the_best_constant() -> None:
    """Published sizes: .058 for one operator, .065 for four, .070 for ten and more."""
    for num, stated in ((1, 0.058), (4, 0.065), (10, 0.0705), (16, 0.0705)):
        assert Mano(max_operators=num, modulus=23).chance == pytest.approx(stated, abs=2e-3)
    task = Mano()
    batch = task.generate(range(6000), "test")
    zero = (batch.targets[batch.mask] == task.vocabulary["digit"].start).mean()
    assert abs(zero - task.chance) < 4 * (task.chance / 6000) ** 0.5
    assert task.floors == {}, "0 is the best answer to every root operator"


def test_the_floor_of_the_first_operator_is_attained() -> None:
    task = Mano(balance_zero=True)
    floor = task.floors["the first operator"]
    best = task.values().argmax(axis=1)
    content = task.draw(keys(20_000), "test")
    guess = best[content["symbols"][:, 0]]
    right = (guess == content["values"][:, 0]).mean()
    assert abs(right - floor) < 4 * (floor / 20_000) ** 0.5
    assert floor > 1.05 * task.chance


def test_shapes_are_uniform() -> None:
    """Operators are balanced; of three operators the left subtree has 0, 1 or 2, equally often."""
    symbols = Mano(max_operators=3).draw(keys(6000), "test")["symbols"]
    operators = symbols < 3
    assert (operators.sum(axis=1) == 3).all()
    assert stats.chisquare(np.bincount(symbols[operators], minlength=3)).pvalue > 1e-4
    lefts = Counter()
    for row in operators.tolist():
        need, at = 1, 1
        while need:
            need += 1 if row[at] else -1
            at += 1
        lefts[sum(row[1:at])] += 1
    assert stats.chisquare([lefts[i] for i in range(3)]).pvalue > 1e-4
    digits = symbols[~operators] - 3
    assert stats.chisquare(np.bincount(digits, minlength=11)).pvalue > 1e-4


def test_sizes() -> None:
    train = Mano().generate(range(3000)).factors["num_operators"]
    assert stats.chisquare(np.bincount(train, minlength=4)[1:]).pvalue > 1e-4
    assert set(Mano().generate(range(100), "test").factors["num_operators"].tolist()) == {3}
    every = Mano(test_operators="all").generate(range(200), "test").factors["num_operators"]
    assert set(every.tolist()) == {1, 2, 3}


def test_facts_are_in_every_split_and_the_rest_in_one() -> None:
    task = Mano(modulus=2, test_operators="all")

    def seen(split: str, size: int) -> set[bytes]:
        batch = task.generate(range(4000), split)
        rows = batch.inputs[batch.factors["num_operators"] == size]
        return {row.tobytes() for row in rows}

    for size in (1, 2):
        assert seen("train", size) == seen("test", size) == seen("validation", size)
        assert len(seen("test", size)) == {1: 3 * 2**2, 2: 2 * 3**2 * 2**3}[size]
    assert not seen("train", 3) & seen("test", 3)
    assert not seen("validation", 3) & seen("test", 3)


def test_aliases_are_balanced_and_change_no_digit() -> None:
    task = Mano(aliases=True)
    batch = task.generate(range(2000), "test")
    ids = task.vocabulary
    assert stats.chisquare(np.bincount(batch.inputs[:, 0], minlength=3)[1:]).pvalue > 1e-4
    assert set(batch.inputs[:, 0].tolist()) == set(ids["begin"])
    operators = batch.inputs[
        (batch.inputs >= ids["operator"].start) & (batch.inputs < ids["digit"].start)
    ]
    assert stats.chisquare(np.bincount(operators - ids["operator"].start)).pvalue > 1e-4
    assert np.array_equal(task.oracle(batch.inputs)[batch.mask], batch.targets[batch.mask])


def plain_tree(drawn: list[int], size: int, num_operators: int, modulus: int) -> list[int]:
    """Operator, left, right: each takes the next words."""
    take = iter(drawn)

    def tree(inside: int) -> list[int]:
        if inside == 0:
            return [num_operators + ((next(take) >> 32) * modulus >> 32)]
        operator = (next(take) >> 32) * num_operators >> 32
        left = (next(take) >> 32) * inside >> 32
        return [operator, *tree(left), *tree(inside - 1 - left)]

    return tree(size)


def test_the_loop_is_its_plain_statement() -> None:
    task = Mano(max_operators=6)
    some = keys(40)
    symbols = task.draw(some, "test")["symbols"]
    for b in range(40):
        drawn = rng.words(some[b : b + 1], 2, 64)[0].tolist()
        assert symbols[b].tolist() == plain_tree(drawn, 6, 3, 11)


def test_published_settings() -> None:
    for num in (10, 13, 16):
        assert tasks.preset(f"physics-mano-{num}") == Mano(max_operators=num, modulus=23)
    assert tasks.preset("mano-cpu") == Mano(max_operators=3, modulus=11)


REFUSED = [
    ({"operators": "asmd", "modulus": 9}, "modulus=9 with operators=asmd: needs a prime"),
    ({"balance_zero": True, "modulus": 4}, "modulus=4 with balance_zero=yes: needs a prime"),
    ({"modulus": 1}, "modulus: .*greater than or equal to 2, got 1"),
    ({"max_operators": 0}, "max_operators: .*greater than or equal to 1, got 0"),
    ({"operators": "as"}, "operators: .*'asm' or 'asmd', got 'as'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("mano", **fields)


@pytest.mark.parametrize("fields", [{"max_operators": 16}, {"max_operators": 9, "aliases": True}])
def test_every_id_is_spelled(fields: dict[str, Any]) -> None:
    task = Mano(**fields)
    written = [task.spell(i) for i in range(1, task.context.num_inputs or 0)]
    assert None not in written
    assert len(set(written)) == len(written)
    assert f"LEN{fields['max_operators']}" in written
