"""ListOps: worked examples, its law against exact numbers, a second evaluator, what is refused."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import listops_law, rng
from tasks._loops import listops as loops
from tasks.batch import IGNORE, Batch
from tasks.counting import MANY
from tasks.listops import OPERATORS, ListOps

IDS = {str(i): i + 1 for i in range(10)} | {"[MIN": 11, "[MAX": 12, "[MED": 13, "[SM": 14, "]": 15}
# 60,000 examples of the published law, made by another program
PUBLISHED_VALUES = [0.170, 0.092, 0.077, 0.083, 0.087, 0.088, 0.077, 0.071, 0.087, 0.168]
PUBLISHED_MIN = [0.565, 0.219, 0.101, 0.055, 0.029, 0.015, 0.008, 0.004, 0.002, 0.001]
PUBLISHED_MED = [0.012, 0.046, 0.103, 0.165, 0.209, 0.203, 0.146, 0.078, 0.030, 0.008]

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


# The law


def drawn(num: int, **fields: Any) -> tuple[ListOps, Batch]:
    """Examples of the law that the splits share out."""
    task = ListOps(**fields)
    return task, task.render(task.draw(keys(num), "test"), keys(num), "test")


def test_the_published_law() -> None:
    """Exact numbers against 60,000 examples of another program, and against our own."""
    task, batch = drawn(6000)
    assert listops_law.window(task.law, *task.window) == pytest.approx(0.083, abs=0.0015)
    assert task.chance == pytest.approx(0.170, abs=5e-4)
    assert task.floors["root operator"] == pytest.approx(0.361, abs=5e-4)
    assert task.floors["majority"] == task.chance
    joint = task.outcomes
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert joint[:4].sum(axis=1) == pytest.approx([0.25] * 4, abs=1e-9)
    for law, published in (
        (joint.sum(axis=0), PUBLISHED_VALUES),
        (4 * joint[0], PUBLISHED_MIN),
        (4 * joint[1], PUBLISHED_MIN[::-1]),
        (4 * joint[2], PUBLISHED_MED),
        (4 * joint[3], [0.1] * 10),
    ):
        num = 60_000 if published is PUBLISHED_VALUES else 15_000
        sigma = np.sqrt(law * (1 - law) / num)
        assert (np.abs(law - published) < 4 * sigma + 5e-4).all()
    observed = np.bincount(10 * batch.factors["root"] + batch.targets, minlength=40)
    assert stats.chisquare(observed, 6000 * joint[:4].reshape(-1)).pvalue > 1e-4
    assert batch.lengths.mean() == pytest.approx(1037, abs=4 * 400 / 6000**0.5)
    assert np.median(batch.lengths) == pytest.approx(958, abs=30)


def test_the_floor_is_what_the_first_token_is_worth() -> None:
    """The likeliest value of each first token, learnt from one split and scored on another."""
    task, batch = drawn(6000)
    train = task.generate(range(6000), "train")
    table = np.zeros((4, 10))
    np.add.at(table, (train.factors["root"], train.targets), 1)
    answers = table.argmax(axis=1)[batch.inputs[:, 0] - 11]
    share, floor = (answers == batch.targets).mean(), task.floors["root operator"]
    assert abs(share - floor) < 4 * (floor * (1 - floor) / 6000) ** 0.5


SETTINGS: list[dict[str, Any]] = [
    SMALL,
    {**SMALL, "min_length": 0, "p_op": 0.6},
    {**SMALL, "ops": ("MED",), "max_args": 5, "length": 30},
    {**SMALL, "ops": ("MED", "SM"), "root_ops": ("MAX",), "max_args": 2},
    {**SMALL, "root_ops": ("MED",), "max_args": 6, "max_depth": 2, "length": 9},
    {**SMALL, "balance": True, "length": 20},
]


@pytest.mark.parametrize("fields", SETTINGS, ids=lambda x: "-".join(map(str, x.values())))
def test_the_exact_law_of_other_settings(fields: dict[str, Any]) -> None:
    task, batch = drawn(20_000, **fields)
    observed = np.zeros((5, 10))
    np.add.at(observed, (batch.factors["root"], batch.targets), 1)  # -1: the last row
    expected = task.outcomes * 20_000
    assert (observed[expected < 1e-6] == 0).all()
    many = expected > 5
    assert (
        stats.chisquare(
            np.append(observed[many], observed[~many].sum() + 1e-9),
            np.append(expected[many], expected[~many].sum() + 1e-9),
        ).pvalue
        > 1e-4
    )
    guess = task.outcomes.argmax(axis=1)
    first = batch.inputs[:, 0]
    answers = np.where(first > 10, guess[(first - 11).clip(0)], first - 1)
    share, floor = (answers == batch.targets).mean(), task.floors["root operator"]
    assert abs(share - floor) < 4 * (floor * (1 - floor) / 20_000) ** 0.5 + 1e-9


def test_the_law_of_lengths() -> None:
    """Lengths of small trees, against the law got by enumeration."""

    def law(depth: int) -> Counter[int]:
        if depth == 3:
            return Counter({1: 1.0})
        child, found = law(depth + 1), Counter({1: 0.7})
        for num in (2, 3):
            for lengths in itertools.product(child, repeat=num):
                found[2 + sum(lengths)] += 0.3 / 2 * float(np.prod([child[n] for n in lengths]))
        return found

    exact = law(1)
    trees = listops_law.Law(0.3, 3, 3, (0, 1, 2, 3), (0, 1, 2, 3))
    for n in range(1, 20):
        assert listops_law.window(trees, n, n) == pytest.approx(exact[n], abs=1e-11)
    assert listops_law.window(trees, 5, 4) == 0


def test_balance_makes_values_equally_frequent() -> None:
    task, batch = drawn(3000, balance=True, max_depth=6, min_length=20, length=100)
    assert task.chance == pytest.approx(0.1)
    assert stats.chisquare(np.bincount(batch.targets, minlength=10)).pvalue > 1e-4


def test_roots_without_a_shortcut() -> None:
    task, batch = drawn(300, root_ops=("SM",), max_depth=6, min_length=20, length=100)
    assert set(batch.inputs[:, 0].tolist()) == {14}
    assert task.floor == pytest.approx(0.1, abs=1e-3)
    assert {11, 12, 13} <= set(batch.inputs.reshape(-1).tolist())


def every_expression(task: ListOps) -> set[tuple[int, ...]]:
    def below(depth: int) -> list[tuple[int, ...]]:
        digits = [(i,) for i in range(1, 11)]
        if depth == task.max_depth:
            return digits
        children, found = below(depth + 1), digits
        for num in range(2, task.max_args + 1):
            for chosen in itertools.product(children, repeat=num):
                inner = tuple(itertools.chain(*chosen))
                if len(inner) + 2 < task.length:
                    found = found + [(11 + op, *inner, 15) for op in (0, 3)]
        return found

    return {x for x in below(1) if task.min_length < len(x) < task.length}


@pytest.mark.parametrize("fields", [{"max_args": 2, "length": 5}, {"max_args": 3, "length": 6}])
def test_contents_are_counted_and_shared_out(fields: dict[str, Any]) -> None:
    task = ListOps(min_length=1, max_depth=2, ops=("MIN", "SM"), p_op=0.5, **fields)
    every = every_expression(task)
    assert task.num_contents == len(every)
    assert task.partitioned
    found = {
        split: {
            tuple(filter(None, row)) for row in task.generate(range(4000), split).inputs.tolist()
        }
        for split in ("train", "validation", "test")
    }
    assert set().union(*found.values()) <= every
    assert not found["train"] & found["test"]
    assert len(found["train"]) > 0.6 * len(every) * (len(every) < 500)


def test_deeper_contents_are_counted() -> None:
    trees = listops_law.Law(0.5, 3, 2, (0, 3), (0, 3))
    # [op a b]: 2 * 100; one argument nested: 2 * 2 * 10 * 200; both: 2 * 200 * 200
    assert [listops_law.count(trees, n, n) for n in (1, 4, 7, 10)] == [10, 200, 8000, 80_000]
    assert ListOps().num_contents == MANY
    assert ListOps(min_length=50, length=64, max_depth=5).num_contents >= 2**48


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
