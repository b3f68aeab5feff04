"""The tasks of the Chomsky hierarchy: laws of the strings, exact chances, floors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import isqrt

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks._loops.chomsky import expressions, two_numbers
from tasks.batch import Batch
from tasks.chomsky import Rewriting
from tasks.chomsky_brackets import ModularArithmeticBrackets, SolveEquation
from tasks.chomsky_numbers import STORED, BinaryMultiplication, _bits_of_roots, _digits_of_sums
from tasks.chomsky_regular import ModularArithmetic
from tasks.chomsky_stack import StackManipulation, _heights


def keys(num: int, stream: int = 5) -> rng.Words:
    return rng.example_keys(stream, np.arange(num, dtype=rng.U))


def sample(task: Rewriting, num: int, stream: int = 5) -> Batch:
    """Examples by the law that the splits share out."""
    some = keys(num, stream)
    return task.render(task.draw(some, "test"), some, "test")


def share(batch: Batch, right: np.ndarray) -> tuple[float, float]:
    """The accuracy of an answer at the positions scored, and its standard error."""
    hits, scored = (right & batch.mask).sum(axis=1), batch.mask.sum(axis=1)
    accuracy = hits.sum() / scored.sum()
    return accuracy, float((hits - accuracy * scored).std() / scored.mean() / len(hits) ** 0.5)


CHANCES = [
    ("even-pairs", {"length": 3}),
    ("even-pairs", {"length": 30}),
    ("cycle-navigation", {"length": 6, "min_length": 2}),
    ("modular-arithmetic", {"length": 3, "min_length": 0}),
    ("modular-arithmetic", {"length": 40}),
    ("modular-arithmetic", {"length": 9, "modulus": 6}),
    ("modular-arithmetic-brackets", {"length": 40, "multiply": True}),
    ("modular-arithmetic-brackets", {"length": 30, "min_length": 5}),
    ("solve-equation", {}),
    ("stack-manipulation", {"length": 4, "min_length": 1}),
    ("stack-manipulation", {"length": 50}),
    ("missing-duplicate", {"length": 4}),
    ("binary-addition", {"length": 5, "min_length": 1}),
    ("binary-addition", {"length": 30}),
    ("compute-sqrt", {"length": 7, "min_length": 1}),
    ("compute-sqrt", {"length": 70, "min_length": 70}),
    ("bucket-sort", {}),
    ("duplicate-string", {"vocab_size": 3}),
]


@pytest.mark.parametrize(("kind", "fields"), CHANCES, ids=str)
def test_chance_is_that_of_the_best_constant(kind: str, fields: dict) -> None:
    task = tasks.make_task(kind, **fields)
    assert isinstance(task, Rewriting)
    batch = sample(task, 8000)
    found = [share(batch, batch.targets == c) for c in range(task.num_classes)]
    best, error = max(found)
    assert abs(best - task.chance) < 4.5 * error + 1e-12


@pytest.mark.parametrize(("limits", "num"), [((10, 40), 2**14), ((41, 500), 2**10)])
def test_the_stored_chance_of_multiplication(limits: tuple[int, int], num: int) -> None:
    low, high = limits
    task = BinaryMultiplication(min_length=low, length=high)
    batch = sample(task, num, stream=77)
    accuracy, error = share(batch, batch.targets == 0)
    value, examples = STORED[limits]
    assert task.chance == value
    assert abs(accuracy - value) < 3 * error * (1 + num / examples) ** 0.5


def test_digits_of_sums_by_counting() -> None:
    for n in range(3, 11):
        zeros = ones = 0.0
        for p in range(1, n - 1):
            pairs = [f"{a + b:b}" for a in range(1, 2**p) for b in range(1, 2 ** (n - 1 - p))]
            zeros += sum(s.count("0") for s in pairs) / len(pairs) / (n - 2)
            ones += sum(s.count("1") for s in pairs) / len(pairs) / (n - 2)
        assert _digits_of_sums(n) == pytest.approx((zeros, ones, 1), abs=1e-9)
    short = [["0", "1"], ["0", "1", "10", "11"]]
    for n, every in enumerate(short, 1):
        ones = sum(s.count("1") for s in every) / len(every)
        assert _digits_of_sums(n)[1] == ones
        assert _digits_of_sums(n)[0] == sum(map(len, every)) / len(every) - ones


def test_bits_of_roots_by_counting() -> None:
    for n in range(1, 14):
        ones = sum(isqrt(x).bit_count() for x in range(1, 2**n)) / (2**n - 1)
        assert _bits_of_roots(n) == pytest.approx(((n + 1) // 2 - ones, ones))


def test_heights_of_stacks_by_counting() -> None:
    for n in range(2, 8):
        total = 0.0
        for s in range(1, n):
            for moves in product((-1, 1, 1), repeat=n - s):
                height = s
                for move in moves:
                    height = max(0, height + move)
                total += height / 3 ** (n - s) / (n - 1)
        assert _heights(9)[n] == pytest.approx(total)


def test_short_expressions_are_as_measured_elsewhere() -> None:
    """P(0) is 0.253 for two digits, 0.21 for five and 0.20 for nineteen or more."""
    for num, expected in ((2, 19 / 75), (5, 0.21), (19, 0.20)):
        task = ModularArithmetic(min_length=0, length=2 * num - 1)
        assert task.chance == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("fields", [{"length": 5}, {"length": 15}, {"modulus": 4, "length": 9}])
def test_the_last_operator_and_digit_score_their_floor(fields: dict) -> None:
    """The commonest value for each, counted on one half and scored on the other."""
    task = ModularArithmetic(**fields)
    batch = sample(task, 40_000)
    rows, n = np.arange(len(batch)), batch.factors["length"]
    size = task.modulus
    operator = np.where(n > 1, batch.inputs[rows, np.maximum(n - 2, 0)] - 1 - size, 3)
    seen = operator * size + batch.inputs[rows, n - 1] - 1
    answer = batch.targets[rows, n]
    counts = np.zeros((4 * size, size))
    np.add.at(counts, (seen[:20_000], answer[:20_000]), 1)
    right = counts.argmax(axis=1)[seen[20_000:]] == answer[20_000:]
    floor = task.floors["last operator and digit"]
    assert abs(right.mean() - floor) < 4 * (floor * (1 - floor) / 20_000) ** 0.5


def shapes(num: int) -> dict[str, float]:
    """Expressions of this length with every digit as d, and how likely each is."""
    if num <= 4:
        return {("d", "-d", "(d)", "(-d)")[num - 1]: 1.0}
    found: dict[str, float] = {}
    for left in range(1, num - 3):
        for (a, p), (b, q) in product(shapes(left).items(), shapes(num - 3 - left).items()):
            for operator in "+-":
                name = f"({a}{operator}{b})"
                found[name] = found.get(name, 0) + p * q / 2 / (num - 4)
    return found


def test_shapes_of_expressions() -> None:
    task = ModularArithmeticBrackets(min_length=0, length=10)
    batch = sample(task, 8000)
    names = ["?", *["d"] * 5, *"+-*()", "e"]
    counts = Counter("".join(names[x] for x in row[:10]) for row in batch.inputs.tolist())
    law = shapes(10)
    assert set(counts) <= set(law)
    expected = np.array([law[name] for name in law]) * 8000
    assert stats.chisquare([counts[name] for name in law], expected).pvalue > 1e-4


def test_which_digit_is_x() -> None:
    """In (d+d) the digits are at 1 and 3: places 4, 0, 1 lead to the first, 2, 3 to the other."""
    task = SolveEquation(min_length=0, length=7)
    batch = sample(task, 6000)
    where = (batch.inputs == task.x + 1).argmax(axis=1)
    counts = np.bincount(where, minlength=5)
    assert counts.sum() == counts[1] + counts[3]
    assert stats.chisquare([counts[1], counts[3]], [3600, 2400]).pvalue > 1e-4
    answers = batch.targets[batch.mask]
    assert stats.chisquare(np.bincount(answers, minlength=5)).pvalue > 1e-4


def test_the_law_of_stack_programs() -> None:
    task = StackManipulation(min_length=0, length=6)
    strings = sample(task, 6000).inputs[:, :6] - 1
    height = (strings < 2).sum(axis=1)
    assert (np.diff((strings >= 2).astype(int), axis=1) >= 0).all(), "the stack comes first"
    assert stats.chisquare(np.bincount(height, minlength=6)[1:]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(strings[strings >= 2] - 2)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(strings[strings < 2])).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["binary-addition", "compute-sqrt"])
def test_numbers_are_uniform(kind: str) -> None:
    task = tasks.make_task(kind, min_length=0, length=4)
    assert isinstance(task, Rewriting)
    counts = Counter(map(tuple, (sample(task, 6000).inputs[:, :4] - 1).tolist()))
    if kind == "compute-sqrt":
        law = {bits: 1 / 15 for bits in product((0, 1), repeat=4) if any(bits)}
    else:
        two = [(0, 1), (1, 0), (1, 1)]
        law = {(1, 2, *b): 1 / 6 for b in two} | {(*b, 2, 1): 1 / 6 for b in two}
    assert set(counts) <= set(law)
    assert stats.chisquare([counts[x] for x in law], [6000 * p for p in law.values()]).pvalue > 1e-4


def test_which_bit_is_missing() -> None:
    task = tasks.make_task("missing-duplicate", min_length=0, length=9)
    assert isinstance(task, Rewriting)
    batch = sample(task, 4000)
    counts = np.bincount((batch.inputs == 3).argmax(axis=1), minlength=8)
    assert counts.size == 8
    assert stats.chisquare(counts).pvalue > 1e-4


def test_strings_are_uniform() -> None:
    for kind, size in (("even-pairs", 2), ("cycle-navigation", 3), ("bucket-sort", 5)):
        task = tasks.make_task(kind, min_length=0, length=70)
        assert isinstance(task, Rewriting)
        drawn = sample(task, 1000).inputs[:, :70] - 1
        assert stats.chisquare(np.bincount(drawn.ravel(), minlength=size)).pvalue > 1e-4
        pairs = drawn[:, :-1] * size + drawn[:, 1:]
        assert stats.chisquare(np.bincount(pairs[:, ::2].ravel())).pvalue > 1e-4


def test_different_expressions_are_counted_by_how_often_they_meet() -> None:
    task = ModularArithmeticBrackets(min_length=0, length=8)
    rows = sample(task, 3000).inputs
    same = (rows[:, None, :8] == rows[None, :, :8]).all(axis=2).sum() - 3000
    assert same / (3000 * 2999) == pytest.approx(1 / task.num_strings(8), rel=0.15)


def plainly(num: int, words: Iterator[int], operators: int) -> str:
    """An expression, drawing one word after the other: length of left, operator; or the digit."""

    def below(high: int) -> int:
        return (next(words) >> 32) * high >> 32

    if num < 5:
        return ("{}", "-{}", "({})", "(-{})")[num - 1].format(below(5))
    left = 1 + below(num - 4)
    operator = "+-*"[below(operators)]
    before = plainly(left, words, operators)
    return f"({before}{operator}{plainly(num - 3 - left, words, operators)})"


def test_the_compiled_expressions_are_the_plain_ones() -> None:
    some, ends = keys(80), np.arange(80) % 40 + 1
    for operators in (2, 3):
        compiled = np.zeros((80, 40), np.uint8)
        expressions(some, ends, (5, operators, 8), 6, compiled)
        drawn = rng.words(some, 6, 80).tolist()
        for row, num, words in zip(compiled, ends.tolist(), drawn, strict=True):
            assert "".join("01234+-*()"[x] for x in row[:num]) == plainly(
                num, iter(words), operators
            )
            assert not row[num:].any()


def test_the_compiled_numbers_are_the_plain_ones() -> None:
    some, ends = keys(120), np.arange(120) % 8 + 1
    ends[0] = 200  # several words of bits
    compiled = np.zeros((120, 200), np.uint8)
    two_numbers(some, ends, 3, compiled)
    for b, num in enumerate(ends.tolist()):
        key = some[b : b + 1]
        place = 1 + int(rng.integers(key, 5, 1, num - 2)[0, 0]) if num > 2 else num
        parts = []
        for field, size in ((3, place), (4, max(0, num - place - 1))):
            attempt = 0
            while True:
                drawn = rng.words(key, field, 4, attempt)[0].tolist()
                bits = [drawn[i // 64] >> i % 64 & 1 for i in range(size)]
                if any(bits) or num < 3:
                    break
                attempt += 1
            parts.append(bits)
        right = parts[0] + ([2] if num > 2 else []) + parts[1]
        assert compiled[b].tolist() == right + [0] * (200 - num)
