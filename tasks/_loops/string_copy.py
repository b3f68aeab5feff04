"""Strings and their copies, written one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BOS, SEP, END = 1, 2, 3
Ids = NDArray[np.int64]


@njit(cache=True)
def write(lengths: Ids, letters: Ids, law: Any, arrays: Any) -> None:
    """Fill windows with BOS s SEP answer END ...; a string that is cut is not scored.

    Args:    lengths  letters of each string                          (B, M)
             letters  ids, of which the first `lengths` count         (B, M, N)
             law      positions of a window, letters of an answer (0: all), backwards,
                      whether END is read, for another string follows
             arrays   inputs, targets, spans, to be filled            (B, L)
    """
    width, most, backwards, goes_on = law
    inputs, targets, spans = arrays
    for b in range(lengths.shape[0]):
        start = 0
        for m in range(lengths.shape[1]):
            if start >= width:
                break
            num = lengths[b, m]
            count = most if most else num
            due = start + num + 1  # where the separator is, and the answer's first letter due
            end = due + count
            whole = end + goes_on < width
            inputs[b, start] = BOS
            for j in range(min(num, width - start - 1)):
                inputs[b, start + 1 + j] = letters[b, m, j]
            if due < width:
                inputs[b, due] = SEP
            for j in range(min(count, width - due - 1)):
                token = letters[b, m, num - 1 - j if backwards else j]
                inputs[b, due + 1 + j] = token
                if whole:
                    targets[b, due + j] = token
                    spans[b, due + j] = m
            if whole:
                targets[b, end] = END
                spans[b, end] = m
                if goes_on:
                    inputs[b, end + 1] = END
            start = end + 2
