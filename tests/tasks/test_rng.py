"""The random numbers: published words, exact laws, and independence of everything but the key."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks import rng
from tasks.rng import U

MASK = 2**64 - 1
GOLDEN: dict[str, Any] = {
    "words": ["816b26f8d34fce95", "cc6a7c78a9e9ff7f", "ecc095bd11591b0a"],
    "integers": [289, 33, 127, 234, 195, 978],
    "distinct": [21, 32, 3, 9, 1, 12],
    "dense": [2, 3, 6, 5, 7, 4],
    "permutation": [5, 7, 6, 8, 3, 1, 2, 4, 0],
    "weighted": [0, 4, 8, 2, 1, 20],
    "stream": 15952714066248663533,
}


def keys(num: int, stream: int = 7) -> rng.Words:
    return rng.example_keys(stream, np.arange(num, dtype=U))


def python_mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    expected = probabilities / probabilities.sum() * counts.sum()
    assert expected.min() > 5, "too few draws for a chi-square test"
    return stats.chisquare(counts, expected).pvalue > 1e-4


def test_mix_gives_the_published_words_of_splitmix64() -> None:
    """The reference implementation seeded with 1234567 prints these."""
    state = np.array([(1234567 + i * rng.STEP) & MASK for i in range(1, 6)], U)
    assert rng.mix(state).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_words_follow_the_formula_in_whole_numbers() -> None:
    stream, index, field, attempt = 2**64 - 5, 2**63 - 1, 3, 2
    key = python_mix((stream + python_mix((index * rng.STEP + 1) & MASK)) & MASK)
    found = rng.example_keys(stream, np.array([index], U))
    assert int(found[0]) == key
    start = python_mix(key ^ ((field * rng.C1 + attempt * rng.C2) & MASK))
    expected = [python_mix((start + slot * rng.STEP) & MASK) for slot in range(1, 8)]
    assert rng.words(found, field, 7, attempt)[0].tolist() == expected


def test_golden_words() -> None:
    """A change here changes every data set: raise every generator_version if it is meant."""
    four = keys(4)
    assert [f"{int(w):016x}" for w in rng.words(four, 1, 3)[3]] == GOLDEN["words"]
    assert rng.integers(four, 2, 6, 1000)[2].tolist() == GOLDEN["integers"]
    assert rng.distinct(four, 3, 6, 40).tolist()[1] == GOLDEN["distinct"]
    assert rng.distinct(four, 3, 6, 8).tolist()[1] == GOLDEN["dense"]
    assert rng.permutation(four, 4, 9)[0].tolist() == GOLDEN["permutation"]
    weights = rng.power_weights(24, -0.99)
    assert rng.weighted_distinct(four, 5, 6, weights)[0].tolist() == GOLDEN["weighted"]
    assert rng.stream_key(["mqar", 1, {"length": 64}, 0, "train"]) == GOLDEN["stream"]


def test_a_draw_depends_on_its_key_field_slot_and_attempt_only() -> None:
    some = keys(50)
    whole = rng.words(some, 3, 20)
    assert np.array_equal(rng.words(some[::-1], 3, 20)[::-1], whole)
    assert np.array_equal(rng.words(some, 3, 5), whole[:, :5])
    slots = np.array([[7, 0], [19, 7]])
    assert np.array_equal(rng.words_at(some[:2], 3, slots), whole[[[0], [1]], slots])
    every = [rng.words(some, field, 20, attempt) for field in (0, 1, 2) for attempt in (0, 1, 2)]
    assert len(set(np.concatenate(every).reshape(-1).tolist())) == 9 * 50 * 20


def test_drawing_changes_no_key() -> None:
    some = keys(9)
    before = some.copy()
    for draw in (rng.words, rng.permutation):
        draw(some, 1, 5)
    rng.distinct(some, 1, 3, 4)
    rng.weighted_distinct(some, 1, 2, rng.power_weights(5, -1.0))
    retried = rng.retry_keys(some, 3)
    assert np.array_equal(some, before)
    assert not np.isin(retried, some).any()
    assert rng.retry_keys(some, 0) is not some


@pytest.mark.parametrize("high", [1, 2, 7, 1000, 2**32])
def test_integers_lie_below_their_limit_and_are_uniform(high: int) -> None:
    drawn = rng.integers(keys(2000), 1, 10, high)
    assert drawn.dtype == np.int64
    assert drawn.min() >= 0
    assert drawn.max() < high
    cells = min(high, 50)
    counts = np.bincount((drawn.reshape(-1) * cells) // high, minlength=cells)
    edges = np.array([-(-high * c // cells) for c in range(cells + 1)])
    assert high == 1 or fits(counts, np.diff(edges).astype(float))


@pytest.mark.parametrize(("num", "high"), [(2, 5), (3, 7), (2, 4), (3, 4), (4, 4), (1, 3)])
def test_distinct_is_uniform_over_ordered_choices(num: int, high: int) -> None:
    """Both ways: drawing repeats again (num < high / 2) and the full order."""
    drawn = rng.distinct(keys(8400), 1, num, high)
    counts = Counter(map(tuple, drawn.tolist()))
    every = list(permutations(range(high), num))
    assert set(counts) <= set(every)
    assert fits(np.array([counts[x] for x in every]), np.ones(len(every)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 200), st.integers(0, 2**64 - 1))
def test_distinct_never_repeats(num: int, more: int, stream: int) -> None:
    high = num + more
    some = keys(20, stream)
    drawn = rng.distinct(some, 1, num, high)
    assert drawn.shape == (20, num)
    assert all(len(set(row)) == num for row in drawn.tolist())
    assert drawn.min() >= 0
    assert drawn.max() < high
    one = rng.distinct(some[13:14], 1, num, high)
    assert np.array_equal(one[0], drawn[13])


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num=5 .* below 4: needs <= 4"):
        rng.distinct(keys(2), 1, 5, 4)
    with pytest.raises(ValueError, match=r"num=4 .* needs <= 3"):
        rng.weighted_distinct(keys(2), 1, 4, rng.power_weights(3, -1.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=9, max_size=9), min_size=1, max_size=5))
def test_repeats_marks_what_came_before(rows: list[list[int]]) -> None:
    expected = [[row[i] in row[:i] for i in range(len(row))] for row in rows]
    assert rng.repeats(np.array(rows)).tolist() == expected


@pytest.mark.parametrize("high", [2, 63, 64, 65, 300])
def test_seen_before(high: int) -> None:
    """As a set in a word, and by sorting."""
    shown = np.random.default_rng(high).integers(0, high, (30, 41))
    shown[:, 5], shown[:, 9] = high - 1, high - 1
    expected = [[row[i] in row[:i] for i in range(41)] for row in shown.tolist()]
    assert rng.seen_before(shown, high).tolist() == expected


def test_permutations_are_uniform() -> None:
    counts = Counter(map(tuple, rng.permutation(keys(4800), 1, 4).tolist()))
    assert fits(np.array([counts[x] for x in permutations(range(4))]), np.ones(24))


def test_exponentials_are_minus_the_logarithm() -> None:
    edges = [0, 1, 2**12, 2**63, 2**63 - 1, MASK, MASK - 2**12, 2**52, 3 * 2**62]
    words = np.concatenate([np.array(edges, U), rng.words(keys(500), 1, 20).reshape(-1)])
    found = rng.exponentials(words)
    exact = [-math.log(((int(w) >> 12) + 0.5) / 2**52) for w in words]
    assert np.abs(found - exact).max() < 1e-9
    assert found.min() > 0
    assert np.isfinite(found).all()
    assert np.array_equal(words[:9], np.array(edges, U)), "the words were written to"


@pytest.mark.parametrize("exponent", [-0.99, 0.0, 1.0, 2.5, 15.0])
def test_power_weights_are_correctly_rounded(exponent: float) -> None:
    weights = rng.power_weights(300, exponent)
    exact = np.arange(1, 301.0) ** exponent
    assert np.allclose(weights, exact, rtol=4e-16, atol=0)
    if exponent == int(exponent):
        assert weights[:20].tolist() == [float(j ** int(exponent)) for j in range(1, 21)]
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 2.0


def successive(weights: list[float], order: tuple[int, ...]) -> float:
    """The probability of drawing exactly this order, one after the other."""
    left, result = sum(weights), 1.0
    for place in order:
        result *= weights[place] / left
        left -= weights[place]
    return result


@pytest.mark.parametrize("weights", [[1.0, 0.5, 0.25, 0.1, 0.7], [1.0, 1.0, 1.0], [3.0, 1.0, 9.0]])
def test_weighted_choice_is_drawing_one_after_the_other(weights: list[float]) -> None:
    """Against the exact probability of every ordered outcome."""
    num = len(weights) - 1
    drawn = rng.weighted_distinct(keys(40_000), 1, num, np.array(weights))
    counts = Counter(map(tuple, drawn.tolist()))
    every = list(permutations(range(len(weights)), num))
    every = [x for x in every if successive(weights, x) * 40_000 > 10]
    rest = 40_000 - sum(counts[x] for x in every)
    probabilities = [successive(weights, x) for x in every]
    observed = np.array([counts[x] for x in every] + ([rest] if rest else []))
    if rest:
        probabilities.append(1 - sum(probabilities))
    assert fits(observed, np.array(probabilities))


def test_few_and_many_winners_of_a_race_agree() -> None:
    """The same race, by partial and by full sorting."""
    weights = rng.power_weights(100, -0.9)
    full = rng.weighted_distinct(keys(200), 1, 100, weights)
    assert np.array_equal(np.sort(full, axis=1), np.tile(np.arange(100), (200, 1)))
    for num in (1, 3, 12, 13, 50):
        assert np.array_equal(rng.weighted_distinct(keys(200), 1, num, weights), full[:, :num])
