"""Lano: the worked example, sentences, both dynamic programmes, files, what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import log2, prod
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.grammars import Rules
from tasks.lano import Lano

NO, END = -100, 2
EXAMPLE: Rules = ((((0, 1), (1, 0)),), (((0, 1),), ((0,),)))  # S -> AB | BA, A -> 01, B -> 0
Law = dict[tuple[int, ...], float]


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def sentences(levels: Rules, level: int = 0, symbol: int = 0) -> Law:
    """Every sentence and its probability, by brute force."""
    if level == len(levels):
        return {(symbol,): 1.0}
    found: Law = {}
    rules = levels[level][symbol]
    for rule in rules:
        parts = [sentences(levels, level + 1, s).items() for s in rule]
        for chosen in product(*parts):
            text = tuple(x for words, _ in chosen for x in words)
            found[text] = found.get(text, 0) + prod(p for _, p in chosen) / len(rules)
    return found


def levels_of(task: Lano) -> Rules:
    return task.rules.levels


TINY = [
    Lano(grammar=EXAMPLE),
    *(Lano(depth=2, grammar_seed=seed) for seed in range(3)),
    *(Lano(depth=2, grammar_seed=seed, min_rule_length=1) for seed in range(3)),
    Lano(depth=3, num_symbols=2, max_rules=2),
]


def test_the_worked_example() -> None:
    """Sentences 010 and 001; behind 0 either; behind 01 certainly 0; END behind three."""
    task = Lano(grammar=EXAMPLE)
    assert sentences(EXAMPLE) == {(0, 1, 0): 0.5, (0, 0, 1): 0.5}
    law = task.next_law(np.array([3, 4, 3]))
    assert law.tolist() == [
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0.5, 0.5],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
    ]
    answers = [[3, 4, 3, END], [3, 3, 4, END], [3, 4, 4, END], [3, 4, 3, 3], [3, 4, END, 3]]
    batch = task.generate(range(5))
    assert task.accepts(batch, np.array(answers)).tolist() == [True, True, False, False, False]
    assert task.accepts(batch, np.array([[END] * 4])).tolist() == [False]
    assert (batch.inputs[:, :2] == [1, 3]).all()
    assert (batch.lengths == 4).all()
    assert (batch.targets[:, -1] == END).all()
    assert task.rules.num_rules == 4


@pytest.mark.parametrize("task", TINY, ids=lambda t: f"{t.depth}-{t.grammar_seed}")
def test_next_tokens_by_enumeration(task: Lano) -> None:
    """Conditionals of every prefix, and their product, against all sentences."""
    every = sentences(levels_of(task))
    begun: dict[tuple[int, ...], np.ndarray] = {}
    for text, probability in every.items():
        for k in range(len(text) + 1):
            law = begun.setdefault(text[:k], np.zeros(task.context.num_outputs))
            law[END if k == len(text) else 3 + text[k]] += probability
    for text, probability in list(every.items())[:60]:
        found = task.next_law(np.array(text) + 3)
        chain = 1.0
        for k in range(len(text) + 1):
            exact = begun[text[:k]] / begun[text[:k]].sum()
            assert np.abs(found[k] - exact).max() < 1e-14
            chain *= found[k, END if k == len(text) else 3 + text[k]]
        assert chain == pytest.approx(probability, rel=1e-12)
        assert task.is_sentence(np.array([*(x + 3 for x in text), END]))


@pytest.mark.parametrize("task", TINY[:5], ids=lambda t: f"{t.depth}-{t.grammar_seed}")
def test_membership_by_enumeration(task: Lano) -> None:
    every = sentences(levels_of(task))
    longest = max(map(len, every))
    num = task.rules.sizes[-1]
    for size in range(1, min(longest, 6) + 2):
        for text in product(range(num), repeat=size):
            inside = task.is_sentence(np.array([*(x + 3 for x in text), END]))
            assert inside == (text in every)


@pytest.mark.parametrize("task", TINY[:7], ids=lambda t: f"{t.depth}-{t.grammar_seed}")
def test_sentences_follow_their_law(task: Lano) -> None:
    every = sentences(levels_of(task))
    tokens = task.draw(keys(4000), "train")
    rows = zip(tokens["tokens"], tokens["lengths"][:, 0], strict=True)
    counts = Counter(tuple((row[1:num] - 3).tolist()) for row, num in rows)
    assert set(counts) <= set(every)
    likely = [t for t in every if every[t] > 2e-3]
    rest = 4000 - sum(counts[t] for t in likely)
    share = 1 - sum(every[t] for t in likely)
    observed = [counts[t] for t in likely] + ([rest] if share > 1e-3 else [])
    law = np.array([every[t] for t in likely] + ([share] if share > 1e-3 else []))
    assert stats.chisquare(observed, law / law.sum() * sum(observed)).pvalue > 1e-4


@pytest.mark.parametrize("task", TINY, ids=lambda t: f"{t.depth}-{t.grammar_seed}")
def test_lengths_and_chance_are_exact(task: Lano) -> None:
    every = sentences(levels_of(task))
    lengths, counts = task.rules.expected_counts(task.most)
    for size in range(task.most + 1):
        assert lengths[size] == pytest.approx(sum(p for t, p in every.items() if len(t) == size))
    for t in range(task.rules.sizes[-1]):
        mean = sum(p * text.count(t) for text, p in every.items())
        assert counts[:, t].sum() == pytest.approx(mean)
    assert task.rules.mean_tokens == pytest.approx(sum(p * len(t) for t, p in every.items()))
    assert task.rules.longest == max(map(len, every))
    assert task.rules.tables.spans[0].tolist() == [min(map(len, every)), max(map(len, every))]


def test_the_default_grammar() -> None:
    """Rows sum to one, the oracle is their argmax, sampled sentences are members."""
    task = Lano()
    batch = task.generate(range(60), "test")
    law = task.true_probs(batch)
    assert law is not None
    assert np.abs(law.sum(axis=1) - 1).max() < 1e-12
    targets = batch.targets[batch.mask]
    given = law[np.arange(len(targets)), targets]
    assert given.min() > 0
    assert np.array_equal(task.oracle(batch.inputs)[batch.mask], law.argmax(axis=1))
    answers = np.where(batch.mask, batch.targets, 0)
    assert task.accepts(batch, answers).all()
    assert -np.log(given).mean() == pytest.approx(task.entropy, abs=0.03)
    assert (law.argmax(axis=1) == targets).mean() == pytest.approx(task.ceiling, abs=0.04)
    assert task.chance < task.ceiling < 1


def test_scaling_does_not_change_the_law() -> None:
    """The probability of a long sentence by the chain rule, in logarithms, against the chart."""
    from tasks._loops.lano import SCALE, member

    task = tasks.preset("physics-lano-3b")
    assert isinstance(task, Lano)
    batch = task.generate(range(3))
    for row, num in zip(batch.inputs, batch.lengths, strict=True):
        text = row[1:num]
        law = task.next_law(text)
        due = np.append(text[:], END)
        chain = np.log2(law[np.arange(num), due]).sum()
        whole = log2(member(text - 3, task._law())) - (num - 1) * log2(SCALE)
        assert chain == pytest.approx(whole, rel=1e-9)


def test_a_token_replaced_can_leave_a_sentence() -> None:
    """So negative examples must be checked; most are none."""
    task = Lano()
    batch = task.generate(range(100), "test")
    fresh = np.random.default_rng(0)
    still = 0
    for row, num in zip(batch.inputs, batch.lengths, strict=True):
        changed = np.append(row[1:num], END)
        at = fresh.integers(num - 1)
        changed[at] = 3 + (changed[at] - 3 + 1 + fresh.integers(2)) % 3
        still += task.is_sentence(changed)
    assert 0 <= still < 40


def test_packed_windows() -> None:
    """An endless stream of BOS x END, cut anywhere; whole sentences in it are members."""
    task = Lano(packed=True, max_tokens=200)
    batch = task.generate(range(400), "test")
    assert batch.inputs.shape == (400, 200)
    assert (batch.lengths == 200).all()
    ahead = batch.inputs[:, 1:]
    assert np.array_equal(batch.targets[:, :-1], np.where(ahead == 1, NO, ahead))
    single = Lano(max_tokens=200)
    for row in batch.inputs[:30]:
        begins = np.flatnonzero(row == 1)
        assert (row[begins[begins > 0] - 1] == END).all()
        for start in begins[:-1]:
            assert single.is_sentence(row[start + 1 :])
    counts = np.bincount(batch.targets[batch.mask], minlength=6)
    assert counts.max() / counts.sum() == pytest.approx(task.chance, abs=0.01)
    assert task.chance == single.chance
    share = (batch.targets[:, 0] == END).mean()
    assert share == pytest.approx(1 / (2 + task.rules.mean_tokens), abs=0.03)
    assert task.true_probs(batch) is None
    answers = task.oracle(batch.inputs[:10])
    first = int(np.flatnonzero(batch.inputs[0] == 1)[0])
    assert (answers[0, :first] == NO).all(), "nothing is known of what was cut"
    assert np.array_equal(answers[0, first:] != NO, batch.mask[0, first:])


def plain_sentence(drawn: list[int], levels: Rules) -> list[int]:
    """Level by level; each symbol takes the next word."""
    take, text = iter(drawn), [0]
    for level in levels:
        chosen = [level[s][(next(take) >> 32) * len(level[s]) >> 32] for s in text]
        text = [s for rule in chosen for s in rule]
    return text


def test_the_loop_is_its_plain_statement() -> None:
    task = Lano()
    some = keys(40)
    drawn = task.draw(some, "train")
    for b in range(40):
        words = rng.words(some[b : b + 1], 1, 300)[0].tolist()
        text = plain_sentence(words, levels_of(task))
        num = drawn["lengths"][b, 0]
        assert (drawn["tokens"][b, 1:num] - 3).tolist() == text
        assert drawn["tokens"][b, num] == END


def test_no_window_is_in_two_splits() -> None:
    """Equal inputs are one content, whichever token is due behind a window."""
    task = Lano(depth=2, packed=True, max_tokens=9)
    assert task.partitioned
    train, test = (
        {row.tobytes() for row in task.generate(range(3000), split).inputs}
        for split in ("train", "test")
    )
    assert test
    assert not train & test


def test_published_settings() -> None:
    shapes = {"3b": (6, 2, 2), "3h": (6, 2, 3), "3g": (6, 3, 3), "3f": (6, 3, 4)}
    shapes |= {"3j": (7, 3, 3), "3k": (7, 3, 4)}
    for letter, shape in shapes.items():
        task = tasks.preset(f"physics-lano-{letter}")
        assert isinstance(task, Lano)
        assert (task.depth, task.min_rules, task.max_rules) == shape
        assert (task.num_symbols, task.min_rule_length, task.max_rule_length) == (3, 2, 3)
        assert 1 - task._lengths.sum() < 1e-3, "hardly a sentence is too long"
    for letter, rules in {"3b": 32, "3g": 48, "3j": 57}.items():
        task = tasks.preset(f"physics-lano-{letter}")
        assert isinstance(task, Lano)
        assert task.rules.num_rules == rules
    assert tasks.preset("lano-cpu") == Lano()


REFUSED = [
    ({"min_rules": 4}, "min_rules=4 exceeds max_rules=3: needs <= 3"),
    ({"min_rule_length": 3, "max_rule_length": 2}, "min_rule_length=3 exceeds max_rule_length=2"),
    ({"max_rules": 7}, "max_rules=7 is too many for the 36 rules that num_symbols=3 allows"),
    ({"max_tokens": 20}, "max_tokens=20 leaves hardly a sentence: needs about 81"),
    ({"max_rule_length": 4}, "max_rule_length: .*less than or equal to 3, got 4"),
    ({"depth": 0}, "depth: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("lano", **fields)
