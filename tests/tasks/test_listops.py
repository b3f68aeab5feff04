"""ListOps: the published examples, the rules of every expression, and what is refused."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pytest

import tasks
from tasks import rng
from tasks._loops import listops as loops
from tasks.batch import IGNORE
from tasks.listops import OPERATORS, ListOps

IDS = {str(i): i + 1 for i in range(10)} | {"[MIN": 11, "[MAX": 12, "[MED": 13, "[SM": 14, "]": 15}

SMALL: dict[str, Any] = {"min_length": 3, "length": 12, "max_depth": 4, "max_args": 3}


def ids(text: str, length: int = 0) -> list[int]:
    found = [IDS[word] for word in text.split()]
    return found + [0] * (length - len(found))


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def parse(task: ListOps, tokens: list[int]) -> Any:
    """The tree as nested lists, by recursion over the words."""
    words = iter([task.spell(token) for token in tokens if token])

    def node() -> Any:
        word = next(words)
        assert word is not None
        if not word.startswith("["):
            return word
        children = []
        while (child := node()) != "]":
            children.append(child)
        return [word[1:], *children]

    tree = node()
    assert next(words, None) is None
    return tree


def worth(tree: Any) -> int:
    """A second evaluator: recursion, numpy's own functions."""
    if isinstance(tree, str):
        return int(tree)
    values = [worth(child) for child in tree[1:]]
    functions = {"MIN": np.min, "MAX": np.max, "MED": np.median, "SM": np.sum}
    return int(functions[tree[0]](values)) % 10


def depth_of(tree: Any) -> int:
    return 1 if isinstance(tree, str) else 1 + max(map(depth_of, tree[1:]))


EXAMPLES = [
    ("[MAX 2 [MIN 8 3 ] 1 ]", 3),
    ("[MED 1 4 ]", 2),
    ("[SM 9 9 9 ]", 7),
    ("[MED 1 2 ]", 1),
    ("[SM 9 9 ]", 8),
    ("[MED 7 0 5 ]", 5),
    ("[MIN [MAX 1 2 ] [SM 5 6 7 ] 9 ]", 2),
    ("[MED 9 9 1 1 8 ]", 8),
    ("7", 7),
]


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_worked_examples(text: str, value: int) -> None:
    task = ListOps(min_length=0, length=20)
    tokens = np.array([ids(text, 20)])
    batch = task.render({"tokens": tokens}, keys(1), "train")
    assert batch.targets.tolist() == [value]
    assert batch.lengths.tolist() == [len(text.split())]
    assert task.oracle(tokens).tolist() == [value]
    assert worth(parse(task, tokens[0].tolist())) == value


def test_the_ids_of_the_worked_example() -> None:
    assert ids("[MAX 2 [MIN 8 3 ] 1 ]") == [12, 3, 11, 9, 4, 15, 2, 15]
    batch = ListOps(**SMALL).render({"tokens": np.array([ids(EXAMPLES[0][0])])}, keys(1), "test")
    assert {k: v.tolist() for k, v in batch.factors.items()} == {
        "length": [8],
        "depth": [3],
        "num_operators": [2],
        "root": [1],
    }


@pytest.mark.parametrize("text", ["[MAX 2", "]", "[MAX ]", "[MAX 2 ]", "", "[SM [SM 1 2 ]"])
def test_the_oracle_has_no_answer_to_what_is_no_expression(text: str) -> None:
    assert ListOps(**SMALL).oracle(np.array([ids(text, 9)])).tolist() == [IGNORE]


def test_published_setting() -> None:
    task = tasks.preset("lra-listops")
    assert task == ListOps()
    assert task.to_dict() | {"seed": 0} == {
        "kind": "listops",
        "seed": 0,
        "max_depth": 10,
        "max_args": 10,
        "min_length": 500,
        "length": 2000,
        "p_op": 0.25,
        "ops": list(OPERATORS),
        "root_ops": [],
        "balance": False,
    }
    assert (task.context.length, task.context.head, task.context.num_outputs) == (2000, "mean", 10)
    assert not task.partitioned


def test_every_expression_keeps_the_rules_and_its_value() -> None:
    for fields in ({}, {"max_args": 4, "max_depth": 6, "min_length": 20, "length": 90}, SMALL):
        task = ListOps(**fields)
        batch = task.generate(range(60), "validation")
        for row, length, target in zip(
            batch.inputs.tolist(), batch.lengths.tolist(), batch.targets.tolist(), strict=True
        ):
            assert task.min_length < length < task.length
            assert 0 not in row[:length]
            assert not any(row[length:])
            tree = parse(task, row)
            assert worth(tree) == target
            assert depth_of(tree) <= task.max_depth
            stack = [tree]
            while stack:
                node = stack.pop()
                if isinstance(node, list):
                    assert 2 <= len(node) - 1 <= task.max_args
                    stack += node[1:]
        trees = [parse(task, row) for row in batch.inputs.tolist()]
        assert batch.factors["depth"].tolist() == [depth_of(t) for t in trees]
        counted = [str(t).count("'M") + str(t).count("'SM") for t in trees]
        assert batch.factors["num_operators"].tolist() == counted


class TooLongError(Exception):
    """A tree is given up as soon as its length is known to exceed the limit."""


def plain_tree(words: Any, roots: tuple[int, ...]) -> list[int]:
    """SMALL with p_op=0.4: a node takes one word, and its operator counts its arguments at once."""
    length = 1

    def node(depth: int) -> list[int]:
        nonlocal length
        word = next(words)
        low = word & (2**32 - 1)
        if depth == 4 or (depth > 1 and word >> 32 >= round(0.4 * 2**32)):
            return [1 + (low * 10 >> 32)]
        ops = roots if depth == 1 else tuple(range(4))
        which = low * len(ops) * 2 >> 32
        num_args = 2 + which // len(ops)
        length += num_args + 1
        if length > 11:
            raise TooLongError
        children = [node(depth + 1) for _ in range(num_args)]
        return [11 + ops[which % len(ops)], *itertools.chain(*children), 15]

    try:
        return node(1)
    except TooLongError:
        return []


@pytest.mark.parametrize("roots", [(), ("SM", "MIN")], ids=str)
@pytest.mark.parametrize("balance", [False, True])
def test_the_compiled_loop_is_its_plain_statement(roots: tuple[Any, ...], balance: bool) -> None:
    """Trees are drawn until one has an allowed length, and the value that was drawn before."""
    task = ListOps(**SMALL, p_op=0.4, root_ops=roots, balance=balance)
    allowed = tuple(OPERATORS.index(op) for op in roots) or (0, 1, 2, 3)
    for key, row in zip(keys(40), task.draw(keys(40), "train")["tokens"].tolist(), strict=True):
        one = np.array([key])
        words = iter(rng.words(one, 1, 20_000)[0].tolist())
        value = int(rng.integers(one, 2, 1, 10)[0, 0])
        tree: list[int] = []
        while len(tree) < 4 or (balance and worth(parse(task, tree)) != value):
            tree = plain_tree(words, allowed)
        assert row == tree + [0] * (12 - len(tree))


def test_the_value_of_any_digits() -> None:
    """Every multiset of up to four digits, by NumPy."""
    functions = (np.min, np.max, np.median, np.sum)
    for num in (2, 3, 4):
        for digits in itertools.combinations_with_replacement(range(10), num):
            counts = np.bincount(digits, minlength=10)
            for op, function in enumerate(functions):
                assert loops.value(op, counts) == int(function(digits)) % 10


# What is refused

REFUSED = [
    (
        {"min_length": 1999},
        r"min_length=1999 and length=2000: .*probability 0.0e\+00; needs > 1e-06",
    ),
    ({"max_depth": 2}, "min_length=500 and length=2000"),
    ({"p_op": 0.01}, r"min_length=500 and length=2000: .*needs > 1e-06"),
    ({"ops": ("MIN", "MIN")}, "ops=MIN,MIN names an operator twice"),
    ({"root_ops": ("SM", "SM")}, "root_ops=SM,SM names an operator twice"),
    ({"ops": ()}, "ops: .*at least 1 item"),
    ({"ops": ("FIRST",)}, "ops.*'MIN', 'MAX', 'MED' or 'SM', got 'FIRST'"),
    (
        {"balance": True, "ops": ("MIN",)},
        r"balance=True: .*length and the value . with probability .*needs > 1e-06",
    ),
    ({"max_args": 1}, "max_args: .*greater than or equal to 2, got 1"),
    ({"max_depth": 1}, "max_depth: .*greater than or equal to 2, got 1"),
    ({"p_op": 0}, "p_op: .*greater than 0, got 0"),
    ({"p_op": 1.5}, "p_op: .*less than or equal to 1, got 1.5"),
    ({"length": 2**14 + 1}, "length: .*less than or equal to 16384"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("listops", **fields)


def test_golden_examples() -> None:
    batch = ListOps().generate(range(64))
    found = hashlib.sha256(batch.inputs.tobytes() + batch.targets.tobytes()).hexdigest()
    assert found == "9da80918a4fdb0b77ebabfc7b6696f6822b9a474a68befbcab647ccca0e7f35b"
