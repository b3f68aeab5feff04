"""Random automata in canonical form, and words of their languages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

AUTOMATON, WORDS, STEPS = 1, 2, 3  # fields
BAR, FIRST = 1, 2  # ids
Ids = NDArray[np.int64]


@njit(cache=True)
def pick(start: Any, slot: int, num: Any, pool: Ids) -> int:
    """`num` of the pool, in order of choice, to its front. Returns the next free slot."""
    for i in range(num):
        j = i + below(word(start, slot), len(pool) - i)
        slot += 1
        pool[i], pool[j] = pool[j], pool[i]
    return slot


@njit(cache=True)
def random_automaton(start: Any, law: Any, table: Ids) -> int:
    """A state's arrows bear different symbols to different other states; how many states.

    Args:    law    states and symbols (least, most), symbols there are, most arrows of a state
             table  of every state and symbol the next state, -1 for none; to be filled   (S, V)
    """
    fewest_states, most_states, fewest_symbols, most_symbols, most_out = law
    num = fewest_states + below(word(start, 0), most_states - fewest_states + 1)
    used = fewest_symbols + below(word(start, 1), most_symbols - fewest_symbols + 1)
    table[:] = -1
    alphabet = np.arange(table.shape[1])
    slot = pick(start, 2, used, alphabet)
    symbols = alphabet[:used].copy()
    others = np.empty(num - 1, np.int64)
    for state in range(num):
        out = 1 + below(word(start, slot), most_out)
        slot = pick(start, slot + 1, out, symbols)
        for i in range(num - 1):
            others[i] = i + (i >= state)
        slot = pick(start, slot, out, others)
        for i in range(out):
            table[state, symbols[i]] = others[i]
    return num


@njit(cache=True)
def merge(table: Ids, num: int, group: Ids) -> None:
    """States with the same future get the same group: refined until nothing changes."""
    group[:num] = 0
    groups, before = 1, 0
    fresh = np.empty(num, np.int64)
    while groups != before:
        before, groups = groups, 0
        for state in range(num):
            fresh[state] = -1
            for other in range(state):
                same = group[state] == group[other]
                for symbol in range(table.shape[1]):
                    a, b = table[state, symbol], table[other, symbol]
                    same &= (a < 0) == (b < 0) and (a < 0 or group[a] == group[b])
                if same:
                    fresh[state] = fresh[other]
                    break
            if fresh[state] < 0:
                fresh[state] = groups
                groups += 1
        group[:num] = fresh[:num]


@njit(cache=True)
def renumber(table: Ids, group: Ids, out: Ids) -> None:
    """Arrows (symbol, next) by rising symbol, states in the order of a search from the first.

    States that cannot be reached are left out.
    """
    number = np.full(len(table), -1, np.int64)  # of a group
    queue = np.empty(len(table), np.int64)
    queue[0], number[group[0]] = 0, 0
    num, done = 1, 0
    out[:] = -1
    while done < num:
        state, at = queue[done], 0
        for symbol in range(table.shape[1]):
            after = table[state, symbol]
            if after < 0:
                continue
            if number[group[after]] < 0:
                number[group[after]] = num
                queue[num] = after
                num += 1
            out[done, at, 0] = symbol
            out[done, at, 1] = number[group[after]]
            at += 1
        done += 1


@njit(cache=True)
def automata(keys: Any, law: Any, num_symbols: int, out: Ids) -> None:
    """Minimal automata: arrows (symbol, next) of every state, -1 for none.      (B, S, E, 2)"""
    table = np.empty((out.shape[1], num_symbols), np.int64)
    group = np.empty(out.shape[1], np.int64)
    for b in range(len(keys)):
        num = random_automaton(field_start(keys[b], AUTOMATON, 0), law, table)
        merge(table, num, group)
        renumber(table, group, out[b])


@njit(cache=True)
def write(keys: Any, tables: Ids, law: Any, arrays: Any) -> None:
    """Words with bars between: each starts in state 0, arrows are equally likely.

    Args:    tables  arrows (B, S, E, 2)
             law     words and their lengths (least, most)
             arrays  tokens (B, L + 1), targets (B, L) with the IGNORE that stands in it, lengths
                     (B,), factors (2, B): words, states; to be filled
    """
    fewest, most, shortest, longest = law
    tokens, targets, lengths, factors = arrays
    for b in range(len(keys)):
        sizes, steps = field_start(keys[b], WORDS, 0), field_start(keys[b], STEPS, 0)
        num_words = fewest + below(word(sizes, 0), most - fewest + 1)
        at = 0
        for w in range(num_words):
            if w:
                tokens[b, at] = BAR
                at += 1
            state = 0
            for _ in range(shortest + below(word(sizes, w + 1), longest - shortest + 1)):
                out = 0
                while out < tables.shape[2] and tables[b, state, out, 0] >= 0:
                    out += 1
                arrow = below(word(steps, at), out)
                tokens[b, at] = FIRST + tables[b, state, arrow, 0]
                if at:
                    targets[b, at - 1] = tokens[b, at]
                state = tables[b, state, arrow, 1]
                at += 1
        lengths[b] = at - 1
        factors[0, b] = num_words
        factors[1, b] = (tables[b, :, 0, 0] >= 0).sum()


@njit(cache=True)
def follow(inputs: Ids, tables: Ids, probs: Any) -> None:
    """The law of what follows each position: equal shares of the state's arrows.   (B, L, V)"""
    probs[:] = 0
    for b in range(inputs.shape[0]):
        state = 0
        for t in range(inputs.shape[1]):
            token, after = inputs[b, t], -1
            if token == BAR:
                after = 0
            elif token >= FIRST:
                for e in range(tables.shape[2]):
                    if tables[b, state, e, 0] == token - FIRST:
                        after = tables[b, state, e, 1]
            if after < 0:
                break
            state = after
            out = 0
            while out < tables.shape[2] and tables[b, state, out, 0] >= 0:
                out += 1
            for e in range(out):
                probs[b, t, FIRST + tables[b, state, e, 0]] = 1.0 / out


@njit(cache=True, inline="always")
def context_at(row: Ids, stop: int, size: int, num_ids: int) -> int:
    """The number of row[stop - size:stop] among contexts of all sizes."""
    code = 1
    for t in range(stop - size, stop):
        code = code * num_ids + row[t]
    return code


@njit(cache=True, inline="always")
def slot_of(code: int, slots: Ids) -> int:
    """Where a context is kept, or could be: the first free place. `slots` has a power of two."""
    at = (code * 0x9E3779B1) >> 7 & (len(slots) - 1)
    while slots[at, 0] != code and slots[at, 0] != 0:
        at = at + 1 & (len(slots) - 1)
    return at


@njit(cache=True)
def count(inputs: Ids, size: int, probs: Any) -> None:
    """Shares of the symbols that followed the longest known context of up to size - 1 tokens.

    Args:    probs  zeros, to be filled                                              (B, L, V)
    """
    length, num_ids = probs.shape[1], probs.shape[2]
    room = 4
    while room < 2 * length * size + 4:
        room *= 2
    slots = np.zeros((room, 2), np.int64)  # context, row of its counts
    counts = np.zeros((length * size + 1, num_ids))
    for b in range(inputs.shape[0]):
        row, num = inputs[b], 0
        slots[:] = 0
        for t in range(length):
            if row[t] == 0:
                break
            for n in range(min(size, t + 1) if row[t] != BAR else 0):
                code = context_at(row, t, n, num_ids)
                at = slot_of(code, slots)
                if slots[at, 0] == 0:
                    slots[at, 0], slots[at, 1] = code, num
                    counts[num] = 0
                    num += 1
                counts[slots[at, 1], row[t]] += 1
            for n in range(min(size - 1, t + 1), -1, -1):
                at = slot_of(context_at(row, t + 1, n, num_ids), slots)
                if slots[at, 0] != 0:
                    found = counts[slots[at, 1]]
                    probs[b, t] = found / found.sum()
                    break
