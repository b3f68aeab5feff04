"""Pathfinder, one image at a time: growing two contours that meet nothing, then distractors.

A dash joins what is forbidden one step late: the next one must be free to begin where it ends.
A contour's state: direction, pivot (y, x), and its last dash's place in the planes.
A dash is written down as (direction * size + y) * size + x.

Numba's cache does not see changes of `pathfinder_room`, which is compiled into `draw`: save this
file, too.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numba import njit

from tasks._loops.pathfinder_room import (
    Plane,
    Room,
    find_free,
    find_tails,
    nth_bit,
    part,
    place,
    stamp,
)
from tasks._loops.rng import below, field_start, unit, word
from tasks.rng import Integers, Words
from tasks.stamps import DEGREES, UNIT, Spots, Stamps

TRIALS = 3  # draws of a dash
RETRIES = 5  # draws of a distractor
LEAST = int(1e-4 * 255 * UNIT) + 1  # all candidates' weight, below which there is no way on
DIRECTION, PIVOT_Y, PIVOT_X, LAST = range(4)


@part
def take_last(s: Stamps, room: Room, walk: Integers) -> None:
    """Forbid the area of a contour's last dash."""
    stamp(room.area, s.area, walk[DIRECTION], walk[LAST])
    stamp(room.near, s.near, walk[DIRECTION], walk[LAST])


@part
def overlaps(area: Plane, core: Spots, direction: int, at: int) -> bool:
    """Whether a dash's area and what is taken add up to too much somewhere."""
    for i in range(core.sizes[direction]):
        if area[at + core.places[direction, i]] > core.values[direction, i]:
            return True
    return False


@part
def extend(s: Stamps, room: Room, walk: Integers, start: np.uint64, slot: int) -> tuple[int, int]:
    """Add a dash: its record, -1 if there is no way on, and the next slot."""
    direction = walk[DIRECTION]
    pivot_y = ceil(walk[PIVOT_Y] + s.advance[direction, 0])
    pivot_x = ceil(walk[PIVOT_X] + s.advance[direction, 1])
    total, num = 0, s.turns.sizes[direction]
    for i in range(num):
        k = s.turns.places[direction, i]
        head = place(s, pivot_y + s.candidates[k, 0], pivot_x + s.candidates[k, 1])
        total += (255 - np.int64(room.near[head])) * s.turns.values[direction, i]
        room.sums[i] = total
    if total < LEAST:
        return -1, slot
    for _ in range(TRIALS):
        drawn = int(unit(word(start, slot)) * total)
        slot += 1
        i = 0
        while i < num - 1 and room.sums[i] <= drawn:
            i += 1
        k = s.turns.places[direction, i]
        y, x = pivot_y + s.candidates[k, 0], pivot_x + s.candidates[k, 1]
        if not overlaps(room.area, s.core, DEGREES + k, place(s, y, x)):
            take_last(s, room, walk)
            walk[DIRECTION], walk[LAST] = DEGREES + k, place(s, y, x)
            walk[PIVOT_Y], walk[PIVOT_X] = pivot_y, pivot_x
            return ((DEGREES + k) * s.size + y) * s.size + x, slot
    return -1, slot


@part
def begin(s: Stamps, walk: Integers, degree: int, y: int, x: int) -> int:
    """A contour's first dash, from its tail: its record, -1 if it leaves the image."""
    head_y, head_x = ceil(y + s.to_head[degree, 0]), ceil(x + s.to_head[degree, 1])
    pivot_y = ceil(head_y + s.to_pivot[degree, 0])
    pivot_x = ceil(head_x + s.to_pivot[degree, 1])
    if min(head_y, head_x, pivot_y, pivot_x) < 0:
        return -1
    if max(head_y, head_x, pivot_y, pivot_x) >= s.size:
        return -1
    walk[DIRECTION], walk[LAST] = degree, place(s, y, x)
    walk[PIVOT_Y], walk[PIVOT_X] = pivot_y, pivot_x
    return (degree * s.size + y) * s.size + x


@part
def seed_pair(s: Stamps, walks: Integers, dashes: Integers, start: np.uint64, slot: int) -> int:
    """The first dashes: one in the middle, one at the seed distance from it; the next slot.

    Neither leaves the image: the middle keeps twice the seed distance from its border.
    """
    which = s.seeds[below(word(start, slot), len(s.seeds))]
    rank = below(word(start, slot + 1), which[3] * which[4])
    y, x = which[1] + rank // which[4], which[2] + rank % which[4]
    dashes[0, 0] = begin(s, walks[0], int(which[0]), y, x)
    degree = int(below(word(start, slot + 2), DEGREES))
    away = below(word(start, slot + 3), DEGREES)
    y, x = int(np.rint(y + s.ring[away, 0])), int(np.rint(x + s.ring[away, 1]))
    dashes[1, 0] = begin(s, walks[1], degree, y, x)
    return slot + 4


@part
def grow_pair(
    s: Stamps, room: Room, walks: Integers, dashes: Integers, start: np.uint64, slot: int
) -> tuple[bool, int]:
    """Try the two contours, dash by dash in turns, (2, n): whether all fit, and the next slot."""
    slot = seed_pair(s, walks, dashes, start, slot)
    for i in range(1, dashes.shape[1]):
        for contour in range(2):
            record, slot = extend(s, room, walks[contour], start, slot)
            if record < 0:
                return False, slot
            dashes[contour, i] = record
    return True, slot


@part
def seed_anywhere(
    s: Stamps, room: Room, walk: Integers, start: np.uint64, slot: int
) -> tuple[int, int]:
    """The first dash of a distractor where there is room: its record or -1, and the next slot."""
    for _ in range(TRIALS):
        degree = int(below(word(start, slot), DEGREES))
        slot += 1
        num = find_tails(s, room, degree) if s.usable[degree] else 0
        if num == 0:
            return -1, slot
        y, x = nth_bit(room.tails, int(below(word(start, slot), num)))
        slot += 1
        record = begin(s, walk, degree, y, x)
        if record >= 0:
            return record, slot
    return -1, slot


@part
def grow_distractor(
    s: Stamps, room: Room, walk: Integers, dashes: Integers, start: np.uint64, slot: int
) -> tuple[bool, int]:
    """Try a distractor (d,): whether it fits, and the next slot."""
    dashes[0], slot = seed_anywhere(s, room, walk, start, slot)
    if dashes[0] < 0:
        return False, slot
    for i in range(1, len(dashes)):
        dashes[i], slot = extend(s, room, walk, start, slot)
        if dashes[i] < 0:
            return False, slot
    take_last(s, room, walk)
    return True, slot


@part
def copy(here: Plane, there: Plane) -> None:
    """Copy a plane, eight pixels at a time."""
    to, source = here.view(np.uint64), there.view(np.uint64)
    for i in range(len(to)):
        to[i] = source[i]


@part
def add_distractors(s: Stamps, room: Room, dashes: Integers, start: np.uint64, slot: int) -> None:
    """As many distractors (D, d) as fit, -1 for the others."""
    walk = np.empty(4, np.int64)
    area, near = room.area.copy(), room.near.copy()  # before the last attempt
    for which in range(len(dashes)):
        dashes[which] = -1
        if 100 * find_free(s, room) < s.size * s.size:
            continue
        for _ in range(RETRIES):
            fits, slot = grow_distractor(s, room, walk, dashes[which], start, slot)
            if fits:
                copy(area, room.area)
                copy(near, room.near)
                break
            copy(room.area, area)
            copy(room.near, near)
            dashes[which] = -1


@njit(cache=True)
def draw(
    keys: Words,
    field: int,
    s: Stamps,
    shape: tuple[int, int, int],
    both_ends: bool,  # noqa: FBT001
) -> tuple[Integers, Integers]:
    """Images as records of their dashes.

    Args:    shape      dashes of a target contour n, distractors N, dashes of each d
             both_ends  False, as published: distractors may touch the first contour's last dash
    Returns: records, contour by contour: targets, then distractors, -1 where none (B, 2 n + N d)
             attempts at a pair of contours                                                  (B,)
    """
    num, num_distractors, short = shape
    records = np.empty((len(keys), 2 * num + num_distractors * short), np.int64)
    attempts = np.zeros(len(keys), np.int64)
    walks = np.empty((2, 4), np.int64)
    words = (s.size + 63) // 64
    room = Room(
        np.empty_like(s.empty_area),
        np.empty_like(s.empty_near),
        np.empty(len(s.candidates), np.int64),
        np.empty((s.size, words + 2), np.uint64),
        np.empty((s.size, words), np.uint64),
    )
    for b in range(len(keys)):
        start = field_start(keys[b], field, 0)
        targets = records[b, : 2 * num].reshape(2, num)
        fits, slot = False, 0
        while not fits:
            copy(room.area, s.empty_area)
            copy(room.near, s.empty_near)
            fits, slot = grow_pair(s, room, walks, targets, start, slot)
            attempts[b] += 1
        for contour in range(0 if both_ends else 1, 2):
            take_last(s, room, walks[contour])
        distractors = records[b, 2 * num :].reshape(num_distractors, short)
        add_distractors(s, room, distractors, start, slot)
    return records, attempts
