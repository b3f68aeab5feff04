"""Directed cycles: drawn, and written as tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.named_nodes import choose, shuffle, write
from tasks._loops.rng import below, field_start, word

BOS, ANS, SEP, FIRST_HOP = 1, 2, 3, 4
NAMES, ORDER, HOPS, SOURCES = 2, 3, 4, 5  # fields; 1 is the size
Ids = NDArray[np.int64]


@njit(cache=True)
def draw(keys: Any, sizes: Ids, law: Any, arrays: Any) -> None:
    """A cycle of sizes[b] names, the order of its edges, and questions.

    Args:    law     where names begin by their tokens, numbers of hops to choose from, whether
                     all questions of an example have the same
             arrays  edges (B, N, 2), hops, sources, answers (B, M), to be filled from the left
    """
    offsets, choices, same_hops = law
    edges, hops, sources, answers = arrays
    scratch = np.full(offsets[-1], -1, np.int64)
    names = np.empty(edges.shape[1], np.int64)
    places = np.empty(edges.shape[1], np.int64)
    for b in range(len(keys)):
        num = sizes[b]
        choose(field_start(keys[b], NAMES, 0), num, offsets, scratch, -2 - b, names)
        for i in range(num):
            places[i] = i
        shuffle(field_start(keys[b], ORDER, 0), places[:num])
        for i in range(num):
            edges[b, i, 0] = names[places[i]]
            edges[b, i, 1] = names[(places[i] + 1) % num]
        asked, which = field_start(keys[b], SOURCES, 0), field_start(keys[b], HOPS, 0)
        for m in range(min(num, hops.shape[1])):
            j = m + below(word(asked, m), num - m)
            places[m], places[j] = places[j], places[m]
            k = choices[below(word(which, 0 if same_hops else m), len(choices))]
            hops[b, m] = k
            sources[b, m] = names[places[m]]
            answers[b, m] = names[(places[m] + k) % num]


@njit(cache=True)
def render(content: Any, law: Any, arrays: Any) -> None:
    """BOS, the edges, then HOP_k name ANS name for each question.

    Args:    content  edges (B, N, 2), hops, sources, answers (B, M), -1 where there is none
             law      tokens of every name (W, T), how many (W,), whether SEP is between edges
             arrays   tokens (B, L + 1), spans (B, L), lengths (B,), to be filled
    """
    edges, hops, sources, answers = content
    spelled, sizes, separated = law
    tokens, spans, lengths = arrays
    for b in range(len(tokens)):
        row = tokens[b]
        row[0] = BOS
        at = 1
        for i in range(edges.shape[1]):
            if edges[b, i, 0] < 0:
                break
            if separated and i:
                row[at] = SEP
                at += 1
            at = write(edges[b, i, 0], at, spelled, sizes, row)
            at = write(edges[b, i, 1], at, spelled, sizes, row)
        for m in range(hops.shape[1]):
            if hops[b, m] < 0:
                break
            row[at] = FIRST_HOP + hops[b, m] - 1
            at = write(sources[b, m], at + 1, spelled, sizes, row)
            row[at] = ANS
            end = write(answers[b, m], at + 1, spelled, sizes, row)
            spans[b, at : end - 1] = m
            at = end
        lengths[b] = at - 1
