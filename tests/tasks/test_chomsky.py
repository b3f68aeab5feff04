"""The tasks of the Chomsky hierarchy: worked examples, answers by other ways, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tasks
from tasks import rng
from tasks.chomsky import Rewriting
from tasks.lengths import pack
from tasks.show import spelled

NO = -100
DIGITS = "01234"


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def make(kind: str, **fields: Any) -> Rewriting:
    task = tasks.make_task(kind, **fields)
    assert isinstance(task, Rewriting)
    return task


def solved(kind: str, string: list[int], **fields: Any) -> list[int]:
    """The answer that is scored, of a string given by its symbols; the oracle agrees."""
    task = make(kind, **{"min_length": 0, "length": len(string), **fields})
    row = np.array([string])
    content = {"length": np.array([[len(string)]]), "string": pack(row, task.num_symbols)}
    batch = task.render(content, keys(1), "train")
    room = int(task.room(len(string)))
    assert batch.inputs.tolist() == [[x + 1 for x in string] + [task.num_symbols + 1] * room]
    assert batch.lengths.tolist() == [len(string) + room]
    targets = batch.targets[0].tolist()
    assert targets[: len(string)] == [NO] * len(string)
    assert [y for y in task.oracle(batch.inputs)[0].tolist() if y != NO] == [
        y for y in targets if y != NO
    ]
    return [y for y in targets if y != NO]


def symbols(text: str, alphabet: str) -> list[int]:
    return [alphabet.index(c) for c in text]


FLAT, BRACKETS, EQUATION = DIGITS + "+-*", DIGITS + "+-*()", DIGITS + "+-()x="

WORKED = [
    ("even-pairs", "001110", "01", [0]),
    ("even-pairs", "0101001", "01", [1]),
    ("even-pairs", "1", "01", [0]),
    ("parity-check", "1101", "01", [1]),
    ("cycle-navigation", "20100", "012", [3]),
    ("modular-arithmetic", "1+2*3", FLAT, [2]),
    ("modular-arithmetic", "1-1-1", FLAT, [4]),
    ("modular-arithmetic", "0*1+4*3-2", FLAT, [0]),
    ("modular-arithmetic", "2-3*4", FLAT, [0]),
    ("modular-arithmetic", "4", FLAT, [4]),
    ("modular-arithmetic-brackets", "(1-(-2))", BRACKETS, [3]),
    ("modular-arithmetic-brackets", "-3", BRACKETS, [2]),
    ("modular-arithmetic-brackets", "((2*4)--1)", BRACKETS, [4]),
    ("solve-equation", "(x+3)=1", EQUATION, [3]),
    ("solve-equation", "(2--x)=0", EQUATION, [3]),
    ("solve-equation", "x=4", EQUATION, [4]),
    ("stack-manipulation", "0110422", DIGITS, [1, 1, 0, 2]),
    ("stack-manipulation", "110222", DIGITS, [2]),
    ("stack-manipulation", "1", "01", [1, 2]),
    ("reverse-string", "110", "01", [0, 1, 1]),
    ("duplicate-string", "011", "01", [0, 1, 1, 0, 1, 1]),
    ("missing-duplicate", "01100210", "0123", [1]),
    ("missing-duplicate", "1011213", "0123", [0]),
    ("missing-duplicate", "1", "01", [1]),
    ("odds-first", "00110101", "01", [0, 1, 0, 0, 0, 1, 1, 1]),
    ("odds-first", "110", "01", [1, 0, 1]),
    ("binary-addition", "001201101", "012", [0, 1, 0, 1, 1, 2]),
    ("binary-addition", "10012000001", "012", [1, 0, 0, 1, 0, 1, 2]),
    ("binary-addition", "121", "012", [0, 1, 2]),
    ("binary-addition", "00", "012", [0, 2]),
    ("binary-addition", "01", "012", [0, 1, 2]),
    ("binary-multiplication", "001201101", "012", [0, 0, 0, 1, 1, 0, 1, 2]),
    ("binary-multiplication", "10012000001", "012", [0, 0, 0, 0, 0, 1, 0, 0, 1, 2]),
    ("binary-multiplication", "01", "012", [0, 2]),
    ("binary-multiplication", "1", "012", [2]),
    ("compute-sqrt", "100101", "01", [1, 1, 0]),
    ("compute-sqrt", "111", "01", [1, 0]),
    ("compute-sqrt", "1", "01", [1]),
    ("bucket-sort", "3040", DIGITS, [0, 0, 3, 4]),
]


@pytest.mark.parametrize(("kind", "text", "alphabet", "answer"), WORKED, ids=str)
def test_worked_examples(kind: str, text: str, alphabet: str, answer: list[int]) -> None:
    assert solved(kind, symbols(text, alphabet)) == answer


SPELLED = [
    ("parity-check", "1101", "01", "1 1 0 1"),
    ("cycle-navigation", "20100", "012", "+1 -1 0 -1 -1"),
    ("modular-arithmetic", "0*1+4*3-2", FLAT, "0 * 1 + 4 * 3 - 2"),
    ("modular-arithmetic-brackets", "(1-(-2))", BRACKETS, "( 1 - ( - 2 ) )"),
    ("solve-equation", "(x+3)=1", EQUATION, "( x + 3 ) = 1"),
    ("stack-manipulation", "0110422", DIGITS, "0 1 1 0 PUSH1 POP POP"),
    ("missing-duplicate", "01100210", "0123", "0 1 1 0 0 ? 1 0"),
    ("binary-addition", "01211", "012", "0 1 + 1 1"),
    ("binary-multiplication", "01211", "012", "0 1 * 1 1"),
    ("compute-sqrt", "1101", "01", "1 1 0 1"),
    ("bucket-sort", "3040", DIGITS, "3 0 4 0"),
]


@pytest.mark.parametrize(("kind", "text", "alphabet", "written"), SPELLED, ids=str)
def test_strings_read_as_the_paper_writes_them(
    kind: str, text: str, alphabet: str, written: str
) -> None:
    task = make(kind)
    ids = [1 + symbol for symbol in symbols(text, alphabet)]
    assert " ".join(spelled(task, [*ids, task.num_symbols + 1, 0])) == f"{written} _ _"


def test_the_layout_of_a_batch() -> None:
    """Padding is 0; the id `empty` is the last; what is behind END is not scored."""
    task = make("stack-manipulation", length=5)
    content = {"length": np.array([[3], [5]]), "string": pack(np.array([[1, 0, 2, 0, 0]] * 2), 5)}
    batch = task.render(content, keys(2), "train")
    assert batch.inputs.tolist() == [
        [2, 1, 3, 6, 6, 6, 6, 0, 0, 0, 0],
        [2, 1, 3, 1, 1, 6, 6, 6, 6, 6, 6],
    ]
    assert batch.targets.tolist() == [
        [NO] * 3 + [1, 2] + [NO] * 6,
        [NO] * 5 + [0, 0, 1, 2] + [NO] * 2,
    ]
    assert batch.spans is not None
    assert np.array_equal(batch.spans, np.where(batch.mask, 0, -1))
    assert batch.lengths.tolist() == [7, 11]
    assert task.vocabulary["empty"] == range(6, 7)


def strings(task: Rewriting, num: int) -> list[tuple[list[int], list[int]]]:
    """Strings and scored answers of some training examples."""
    batch = task.generate(range(num))
    return [
        ([x - 1 for x in row[:n]], [y for y in targets if y != NO])
        for row, targets, n in zip(
            batch.inputs.tolist(), batch.targets.tolist(), batch.factors["length"], strict=True
        )
    ]


def value(string: list[int], alphabet: str) -> int:
    """By Python's own parser."""
    text = "".join(alphabet[x] for x in string)
    assert re.fullmatch(r"[0-9+*()-]+", text)
    return eval(text) % 5


@pytest.mark.parametrize("multiply", [False, True])
def test_brackets_have_the_value_that_python_gives(multiply: bool) -> None:
    task = make("modular-arithmetic-brackets", multiply=multiply)
    for string, answer in strings(task, 1000):
        assert answer == [value(string, BRACKETS)]
        assert (7 in string) <= multiply


def test_expressions_have_the_value_that_python_gives() -> None:
    for string, answer in strings(make("modular-arithmetic", length=33), 1000):
        assert answer == [value(string, FLAT)]
        assert len(string) % 2 == 1


def test_equations_have_one_solution() -> None:
    for string, answer in strings(make("solve-equation"), 600):
        assert string[-2] == 10
        assert string.count(9) == 1
        right = []
        for x in range(5):
            left = [x if s == 9 else s for s in string[:-2]]
            right += [x] if value(left, EQUATION) == string[-1] else []
        assert answer == right


def number(bits: list[int]) -> int:
    return sum(bit << i for i, bit in enumerate(bits))


@pytest.mark.parametrize("kind", ["binary-addition", "binary-multiplication"])
@pytest.mark.parametrize("length", [40, 150])
def test_binary_numbers(kind: str, length: int) -> None:
    for string, answer in strings(make(kind, length=length, min_length=3), 400):
        place = string.index(2)
        a, b = number(string[:place]), number(string[place + 1 :])
        assert min(a, b) > 0
        right = a + b if kind == "binary-addition" else a * b
        assert answer == [*map(int, f"{right:b}"[::-1]), 2]


@pytest.mark.parametrize("length", [40, 61, 300])
def test_square_roots(length: int) -> None:
    for string, answer in strings(make("compute-sqrt", length=length), 400):
        root, square = number(answer[::-1]), number(string[::-1])
        assert square > 0
        assert root * root <= square < (root + 1) ** 2
        assert len(answer) == (len(string) + 1) // 2


def by_rule(kind: str) -> Callable[[list[int]], list[int]]:
    def stack(string: list[int]) -> list[int]:
        text = ""
        for s in string:
            text = text[:-1] if s == 2 else text + str(s % 3)
        return [*map(int, text[::-1]), 2]

    return {
        "even-pairs": lambda s: [int(s[0] != s[-1])],
        "parity-check": lambda s: [s.count(1) & 1],
        "cycle-navigation": lambda s: [(s.count(2) - s.count(0)) % 5],
        "stack-manipulation": stack,
        "reverse-string": lambda s: [s[i] for i in range(len(s) - 1, -1, -1)],
        "duplicate-string": lambda s: s * 2,
        "odds-first": lambda s: [*s[0::2], *s[1::2]],
        "bucket-sort": lambda s: [x for x in range(5) for _ in range(s.count(x))],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "even-pairs",
        "parity-check",
        "cycle-navigation",
        "stack-manipulation",
        "reverse-string",
        "duplicate-string",
        "odds-first",
        "bucket-sort",
    ],
)
def test_answers_by_another_rule(kind: str) -> None:
    rule = by_rule(kind)
    for string, answer in strings(make(kind), 500):
        assert answer == rule(string)


def test_one_bit_is_missing() -> None:
    for string, answer in strings(make("missing-duplicate", min_length=2), 500):
        half = len(string) // 2
        first, second = string[:half], string[half : 2 * half]
        whole = [b if a == 2 else a for a, b in zip(first, second, strict=True)]
        assert set(whole) <= {0, 1}
        filled = [whole[i % half] if s == 2 else s for i, s in enumerate(string[: 2 * half])]
        assert filled == whole * 2
        assert string[2 * half :] == [3] * (len(string) % 2)
        assert answer == [whole[string.index(2) % half]]


def test_what_is_no_string_has_no_answer() -> None:
    empty = {"modular-arithmetic": 9, "modular-arithmetic-brackets": 11, "binary-addition": 4}
    for kind, wrong in (
        ("modular-arithmetic", [[1, 6], [6, 1, 1], [1, 2, 3]]),
        ("modular-arithmetic-brackets", [[9], [10, 1], [9, 1], [1, 6], [6, 7, 1], [9, 10]]),
        ("binary-addition", [[3, 1, 3], [1, 3, 1, 3, 1]]),
    ):
        task = make(kind)
        for string in wrong:
            row = np.zeros((1, task.context.length), np.int64)
            row[0, : len(string) + 1] = [*string, empty[kind]]
            assert (task.oracle(row) == NO).all(), (kind, string)


def test_published_settings() -> None:
    names = [n for n in tasks.presets.names() if n.startswith("chomsky-")]
    assert len(names) == 15
    for name in names:
        task = tasks.preset(name)
        assert isinstance(task, Rewriting)
        assert task.limits("train") == (max(1, task.least), 40)
        assert task.limits("test") == (41, 500)
    brackets = tasks.preset("chomsky-modular-arithmetic-brackets")
    assert brackets.multiply  # pyright: ignore[reportAttributeAccessIssue]
    grazzi = tasks.preset("statetrack-modarith-brackets")
    assert isinstance(grazzi, Rewriting)
    assert (grazzi.limits("train"), grazzi.limits("test")) == ((2, 37), (37, 253))
    flat = tasks.preset("statetrack-modarith")
    assert set(flat.generate(range(300)).factors["length"]) == set(range(1, 38, 2))


REFUSED = [
    ("modular-arithmetic", {"modulus": 1}, "modulus: .*greater than or equal to 2, got 1"),
    ("solve-equation", {"modulus": 17}, "modulus: .*less than or equal to 16, got 17"),
    ("cycle-navigation", {"modulus": 2}, "modulus: .*greater than or equal to 3, got 2"),
    ("reverse-string", {"vocab_size": 1}, "vocab_size: .*greater than or equal to 2, got 1"),
    ("bucket-sort", {"vocab_size": 2**15 + 1}, "vocab_size: .*less than or equal to 32768"),
    ("stack-manipulation", {"length": 4097}, "length=4097 is too long .* needs <= 4096"),
    ("compute-sqrt", {"test_length": 4097}, "test_length=4097 is too long .* needs <= 4096"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(kind: str, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(kind, **fields)


@pytest.mark.parametrize("kind", ["reverse-string", "bucket-sort", "odds-first"])
@pytest.mark.parametrize("size", [256, 257, 2**15])
def test_many_symbols(kind: str, size: int) -> None:
    """As many as a byte holds, and more."""
    task = make(kind, vocab_size=size, min_length=0, length=400)
    batch = task.generate(range(300))
    assert np.array_equal(np.unique(batch.lengths), [800])
    assert batch.inputs[:, :400].min() == 1
    assert size - 2 < batch.inputs[:, :400].max() <= size
    assert np.array_equal(task.oracle(batch.inputs[:20]), batch.targets[:20])
