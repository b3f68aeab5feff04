"""Sentences of a grammar: drawn, recognised, and the law of the next token.

Axes: G symbols of all levels, terminals last; n tokens of a sentence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

SENTENCES, OFFSET = 1, 2  # fields
BOS, END, FIRST = 1, 2, 3  # ids
SCALE = 2.0  # of a token: keeps probabilities of long sentences within range
Ids = NDArray[np.int64]
Reals = NDArray[np.float64]


@njit(cache=True)
def sentence(start: Any, slot: int, law: Any, buffers: Ids) -> Any:
    """A random sentence in buffers[0] as terminals from 0: its tokens, -1 if too many; next slot.

    Args:    law      rules (R, 3), their starts (G + 1,), first terminal, levels
             buffers  two rows of as many places as a sentence may have tokens
    """
    rules, starts, terminal, depth = law
    room = buffers.shape[1]
    buffers[depth % 2, 0] = 0
    num = 1
    for level in range(depth, 0, -1):
        source, out = buffers[level % 2], buffers[(level - 1) % 2]
        made = 0
        for i in range(num):
            symbol = source[i]
            rule = starts[symbol] + below(word(start, slot), starts[symbol + 1] - starts[symbol])
            slot += 1
            for j in range(3):
                if rules[rule, j] >= 0:
                    if made == room:
                        return -1, slot
                    out[made] = rules[rule, j]
                    made += 1
        num = made
    for i in range(num):
        buffers[0, i] -= terminal
    return num, slot


@njit(cache=True)
def write(keys: Any, law: Any, most: int, tokens: Ids, lengths: Ids) -> None:
    """BOS x END for each key; a sentence of more than `most` tokens is drawn again."""
    buffers = np.empty((2, most), np.int64)
    for b in range(len(keys)):
        start, slot, num = field_start(keys[b], SENTENCES, 0), 0, -1
        while num < 0:
            num, slot = sentence(start, slot, law, buffers)
        tokens[b, 0], tokens[b, num + 1] = BOS, END
        for i in range(num):
            tokens[b, i + 1] = FIRST + buffers[0, i]
        lengths[b] = num + 1


@njit(cache=True)
def pack(keys: Any, law: Any, most: int, tokens: Ids) -> None:
    """A window of BOS x END BOS x END ..., as if cut from an endless stream.

    So the first sentence is drawn in proportion to its length, and cut at a uniform place.
    """
    buffers = np.empty((2, most), np.int64)
    for b in range(len(keys)):
        start, offset = field_start(keys[b], SENTENCES, 0), field_start(keys[b], OFFSET, 0)
        slot = tries = at = 0
        while at < tokens.shape[1]:
            num, slot = sentence(start, slot, law, buffers)
            if num < 0:
                continue
            skip = 0
            if at == 0:
                tries += 1
                if below(word(offset, 2 * tries), most + 2) >= num + 2:
                    continue
                skip = below(word(offset, 2 * tries + 1), num + 2)
            for i in range(skip, num + 2):
                if at == tokens.shape[1]:
                    break
                tokens[b, at] = BOS if i == 0 else END
                if 0 < i <= num:
                    tokens[b, at] = FIRST + buffers[0, i - 1]
                at += 1


@njit(cache=True)
def part(charts: Any, c: Any) -> Reals:
    """The chart of one symbol or pair, a view of its share of all values.   (rows, longest + 1)

    There is a row for each place to begin at; the root and its pairs have one only.
    """
    values, offsets, _ = charts
    return values[offsets[c, 0] : offsets[c + 1, 0]].reshape(-1, offsets[c, 1])


@njit(cache=True)
def join(charts: Any, which: Any, begins: int, factor: float) -> None:
    """out[i, d + e] += factor left[i, d] right[i + d, e]: what d, then e tokens from i on can be.

    Args:    which   left, right and out
             begins  how many places i there are to begin at
    """
    ranges = charts[2]
    left, right, out = part(charts, which[0]), part(charts, which[1]), part(charts, which[2])
    for i in range(begins):
        for d in range(ranges[which[0], i, 0], ranges[which[0], i, 1]):
            share = factor * left[i, d]
            if share > 0.0:
                first, stop = ranges[which[1], i + d]
                for e in range(first, stop):
                    out[i, d + e] += share * right[i + d, e]


@njit(cache=True)
def measure(charts: Any, c: Any) -> None:
    """Where a finished chart is not 0: from ranges[c, i, 0] up to ranges[c, i, 1]."""
    chart, ranges = part(charts, c), charts[2]
    for i in range(chart.shape[0]):
        first, stop = chart.shape[1], 0
        for d in range(chart.shape[1]):
            if chart[i, d] > 0.0:
                first, stop = min(first, d), d + 1
        ranges[c, i, 0], ranges[c, i, 1] = first, stop


@njit(cache=True)
def rooms(law: Any, num: int) -> Ids:
    """Where the charts of symbols, then of pairs, begin (and end), and widths.      (C + 1, 2)"""
    _, starts, pairs, pair_of, spans = law
    longest = np.empty(len(spans) + len(pairs), np.int64)
    rows = np.full(len(longest), num + 1)
    longest[: len(spans)] = spans[:, 1]
    for p in range(len(pairs)):
        longest[len(spans) + p] = spans[pairs[p, 0], 1] + spans[pairs[p, 1], 1]
    rows[0] = 1
    for r in range(starts[1]):
        if pair_of[r] >= 0:
            rows[len(spans) + pair_of[r]] = 1
    offsets = np.zeros((len(longest) + 1, 2), np.int64)
    for c in range(len(longest)):
        offsets[c, 1] = min(longest[c], num) + 1
        offsets[c + 1, 0] = offsets[c, 0] + rows[c] * offsets[c, 1]
    return offsets


@njit(cache=True)
def inside(tokens: Ids, law: Any) -> Any:
    """Charts: values of part A [i, d] = SCALE^d P(A => x_i .. x_{i+d-1}), of pairs likewise.

    Args:    tokens  terminals from 0                                                   (n,)
             law     rules (R, 3), starts (G + 1,), pairs (P, 2), pair of rule (R,), spans (G, 2)
    Returns: values, where parts of it begin and widths (C + 1, 2), where they are not 0
             (C, n + 1, 2)
    """
    rules, starts, pairs, pair_of, spans = law
    num_symbols, num = len(spans), len(tokens)
    offsets = rooms(law, num)
    charts = (np.zeros(offsets[-1, 0]), offsets, np.zeros((len(offsets) - 1, num + 1, 2), np.int64))
    done = np.zeros(len(pairs), np.bool_)
    first = terminal_of(starts)
    for i in range(num):
        part(charts, first + tokens[i])[i, 1] = SCALE
    for symbol in range(first, num_symbols):
        measure(charts, symbol)
    for symbol in range(first - 1, -1, -1):
        factor = 1.0 / (starts[symbol + 1] - starts[symbol])
        begins = num if symbol else min(num, 1)
        for r in range(starts[symbol], starts[symbol + 1]):
            x, y, z = rules[r]
            if y < 0:
                left, out = part(charts, x), part(charts, symbol)
                for i in range(out.shape[0]):
                    for d in range(left.shape[1]):
                        out[i, d] += factor * left[i, d]
            elif z < 0:
                join(charts, (x, y, symbol), begins, factor)
            else:
                both = num_symbols + pair_of[r]
                if not done[pair_of[r]]:
                    join(charts, (x, y, both), begins, 1.0)
                    measure(charts, both)
                    done[pair_of[r]] = True
                join(charts, (both, z, symbol), begins, factor)
        measure(charts, symbol)
    return charts


@njit(cache=True)
def terminal_of(starts: Ids) -> int:
    """The first terminal: terminals have no rules."""
    first = len(starts) - 1
    while starts[first - 1] == starts[first]:
        first -= 1
    return first


@njit(cache=True)
def ahead(share: float, start: int, charts: Any, which: Any, starting: Reals) -> None:
    """starting[B, start + d] += share A[start, d]: what begins at `start` ends there.

    Args:    which  A and B
    """
    chart = part(charts, which[0])
    for d in range(charts[2][which[0], start, 0], charts[2][which[0], start, 1]):
        starting[which[1], start + d] += share * chart[start, d]


@njit(cache=True)
def forward(law: Any, charts: Any, starting: Reals) -> None:
    """starting[A, k]: x_0 .. x_{k-1} are produced and A starts next, times SCALE^k. (G, n + 1)"""
    rules, starts, _, pair_of, spans = law
    starting[:] = 0.0
    starting[0, 0] = 1.0
    for symbol in range(terminal_of(starts)):
        num_rules = starts[symbol + 1] - starts[symbol]
        for k in range(starting.shape[1]):
            share = starting[symbol, k] / num_rules
            if share == 0.0:
                continue
            for r in range(starts[symbol], starts[symbol + 1]):
                x, y, z = rules[r]
                starting[x, k] += share
                if y >= 0:
                    ahead(share, k, charts, (x, y), starting)
                if z >= 0:
                    ahead(share, k, charts, (len(spans) + pair_of[r], z), starting)


@njit(cache=True)
def member(tokens: Ids, law: Any) -> float:
    """The probability of a sentence, times SCALE to its number of tokens."""
    if len(tokens) > law[4][0, 1]:
        return 0.0
    return part(inside(tokens, law), 0)[0, len(tokens)]


@njit(cache=True)
def next_law(tokens: Ids, law: Any, probs: Reals) -> None:
    """Probabilities of END and of every terminal behind each prefix; 0 where none goes on.

    Args:    probs  to be filled                                            (n + 1, 1 + terminals)
    """
    charts = inside(tokens, law)
    num, first = len(tokens), terminal_of(law[1])
    starting = np.empty((len(law[4]), num + 1))
    forward(law, charts, starting)
    whole = part(charts, 0)
    for k in range(num + 1):
        probs[k, 0] = whole[0, k] if k < whole.shape[1] else 0.0
        for t in range(starting.shape[0] - first):
            probs[k, t + 1] = starting[first + t, k]
        total = 0.0
        for t in range(probs.shape[1]):
            total += probs[k, t]
        for t in range(probs.shape[1] if total > 0.0 else 0):
            probs[k, t] /= total
